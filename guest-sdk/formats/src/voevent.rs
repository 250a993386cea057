//! VOEvent documents (IVOA VOEvent 2.0; 1.1 and 2.1 as far as they agree) as plain data.
//!
//! Reading is tolerant of what real producers send: any namespace, any role, any order of
//! elements, text before the document, numbers that are none. A part that is missing is `None`;
//! what is present but odd is in [`VoEvent::oddities`]; only what is not XML, or not a VOEvent, is
//! an error. Values stay text until they are asked for, so that one bad number spoils nothing else.
//!
//! This module does not know whether an event is new, nor what its type means.

use serde::Serialize;

use crate::xml::{Decoded, Walker};
use crate::{NoticeTime, NoticeType, Oddity, Role};

mod error;
mod param;
mod read;
mod where_when;

pub use error::{FieldError, VoEventError};
pub use param::{Group, Param, What};
pub use where_when::{Coords, Position, PositionError, WhereWhen};

/// One VOEvent.
///
/// ```
/// use gwasp_formats::{VoEvent, notices};
///
/// # let document: &[u8] = br#"<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0"
/// #   ivorn="ivo://nasa.gsfc.gcn/Fermi#GBM_1" role="observation" version="2.0"><What>
/// #   <Param name="Packet_Type" value="112"/><Param name="TrigID" value="524666471"/>
/// #   <Group name="Obs_Support_Info"><Param name="Sun_RA" value="146.6" unit="deg"/></Group></What>
/// #   <WhereWhen><ObsDataLocation><ObservationLocation><AstroCoords coord_system_id="UTC-FK5-GEO">
/// #   <Time><TimeInstant><ISOTime>2017-08-17T12:41:06.47</ISOTime></TimeInstant></Time>
/// #   <Position2D unit="deg"><Value2><C1>176.8</C1><C2>-39.8</C2></Value2>
/// #   <Error2Radius>11.6</Error2Radius></Position2D></AstroCoords></ObservationLocation>
/// #   </ObsDataLocation></WhereWhen></voe:VOEvent>"#;
/// let notice = VoEvent::parse(document)?;
/// assert_eq!(notice.notice_type(), Some(notices::FERMI_GBM_GND_POS));
/// assert_eq!(notice.param("TrigID")?.as_i64()?, 524666471);
/// assert_eq!(notice.param_in("Obs_Support_Info", "Sun_RA")?.as_f64()?, 146.6);
/// assert_eq!(notice.time()?.to_string(), "2017-08-17T12:41:06.47Z");
/// let position = notice.position()?;
/// assert_eq!((position.ra, position.dec, position.error_radius), (176.8, -39.8, Some(11.6)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VoEvent {
    /// The event's identifier. It is not unique: some have been used again for other content.
    pub ivorn: Option<String>,
    /// What the event is about; an unknown word counts as observation and is an oddity.
    pub role: Role,
    /// Version of the standard, as in `2.0`.
    pub version: Option<String>,
    /// Type of the GCN notice, by the param `Packet_Type`.
    pub notice_type: Option<NoticeType>,
    /// Who wrote it, and when.
    pub who: Who,
    /// What was measured.
    pub what: What,
    /// Where on the sky, and when.
    pub where_when: WhereWhen,
    /// What the author takes it for.
    pub why: Why,
    /// Earlier events that this one speaks of.
    pub citations: Vec<Citation>,
    /// Text for people.
    pub description: Option<String>,
    /// Address of more.
    pub reference: Option<String>,
    /// What is wrong with the document although it could be read.
    pub oddities: Vec<Oddity>,
}

/// Who wrote an event, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Who {
    /// Identifier of the author.
    pub author_ivorn: Option<String>,
    /// When the event was written, as it stands; [`NoticeTime::parse`] reads it.
    pub date: Option<String>,
    /// Whom to ask.
    pub author: Author,
    /// Text for people.
    pub description: Option<String>,
}

/// Whom to ask about an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(
    missing_docs,
    reason = "the names of the standard say all that there is to say"
)]
pub struct Author {
    pub title: Option<String>,
    pub short_name: Option<String>,
    pub contact_name: Option<String>,
    pub contact_email: Option<String>,
    pub contact_phone: Option<String>,
    pub contributors: Vec<String>,
}

/// What an author takes an event for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Why {
    /// From 0 (none) to 1; `None` also where it is no number.
    pub importance: Option<f64>,
    /// When the event loses its interest, as it stands.
    pub expires: Option<String>,
    /// Name of the source.
    pub name: Option<String>,
    /// Kind of the source, as in `process.variation.burst;em.gamma`.
    pub concept: Option<String>,
    /// Guesses, with their probabilities.
    pub inferences: Vec<Inference>,
    /// Text for people.
    pub description: Option<String>,
}

/// One guess at what an event is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inference {
    /// From 0 to 1; `None` also where it is no number.
    pub probability: Option<f64>,
    /// How the event and the named source are related.
    pub relation: Option<String>,
    /// Name of the source.
    pub name: Option<String>,
    /// Kind of the source.
    pub concept: Option<String>,
}

/// An earlier event that an event speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Citation {
    /// The earlier event's identifier.
    pub ivorn: String,
    /// In what way.
    pub cite: Option<CiteKind>,
}

/// In what way an event speaks of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CiteKind {
    /// It adds to it.
    FollowUp,
    /// It replaces it.
    Supersedes,
    /// It takes it back.
    Retraction,
    /// A word that the standard does not know.
    #[serde(untagged)]
    Other(String),
}

impl VoEvent {
    /// Reads one document.
    ///
    /// # Errors
    ///
    /// When the bytes are not one well-formed XML document within the limits of
    /// [`XmlFault`](crate::XmlFault), or one of another kind. The error names the byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, VoEventError> {
        let (document, skipped) = Decoded::lenient(bytes)?;
        let mut walker = Walker::new(&document.text);
        let read = match walker.child() {
            Ok(Some("VOEvent")) => read::event(&mut walker),
            Ok(root) => {
                let root = root.unwrap_or_default().to_owned();
                return Err(VoEventError::NotVoEvent { root });
            }
            Err(fault) => Err(fault),
        };
        let read = read.and_then(|event| walker.finish().map(|()| event));
        let mut event = read.map_err(|fault| document.locate(fault, walker.path()))?;
        if skipped > 0 {
            event.oddities.push(Oddity::TextBeforeDocument(skipped));
        }
        Ok(event)
    }

    /// Returns the type of the GCN notice; `None` for an event of another producer.
    pub fn notice_type(&self) -> Option<NoticeType> {
        self.notice_type
    }

    /// Finds a param that is in no group: `notice.param("TrigID")?.as_i64()?`.
    ///
    /// # Errors
    ///
    /// When there is none; the error says where one with such a name is.
    pub fn param(&self, name: &str) -> Result<&Param, FieldError> {
        self.what.param(name)
    }

    /// Finds a group of params.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn group(&self, name: &str) -> Result<&Group, FieldError> {
        self.what.group(name)
    }

    /// Finds a param of a group.
    ///
    /// # Errors
    ///
    /// When there is no such group or no such param in it.
    pub fn param_in(&self, group: &str, param: &str) -> Result<&Param, FieldError> {
        self.what.group(group)?.param(param)
    }

    /// Returns the event time.
    ///
    /// # Errors
    ///
    /// When the notice has none or an impossible one.
    pub fn time(&self) -> Result<NoticeTime, FieldError> {
        self.where_when.time()?.ok_or(FieldError::NoTime)
    }

    /// Returns where on the sky the event was.
    ///
    /// # Errors
    ///
    /// When the notice has no position (0, 0 with radius 0 is none) or none to point at.
    pub fn position(&self) -> Result<Position, FieldError> {
        Ok(self.where_when.position()?)
    }

    /// Returns the identifiers of the events that this one takes back.
    pub fn retracts(&self) -> impl Iterator<Item = &str> {
        let retractions = self
            .citations
            .iter()
            .filter(|cited| cited.cite == Some(CiteKind::Retraction));
        retractions.map(|cited| cited.ivorn.as_str())
    }
}

impl CiteKind {
    fn from_word(word: String) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "followup" => Self::FollowUp,
            "supersedes" => Self::Supersedes,
            "retraction" => Self::Retraction,
            _ => Self::Other(word),
        }
    }
}

#[cfg(test)]
mod tests;
