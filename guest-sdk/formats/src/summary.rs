//! What one looks at first in a notice: `gwasp notice`.

use serde::Serialize;

use crate::{NoticeType, Oddity, PositionError, Role, TimeScale, VoEvent, VoEventError};

/// One notice in a line. As JSON: these fields in this order, `null` where absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NoticeSummary {
    /// The type's name, `UNKNOWN_<n>` for a number without one; `None` without `Packet_Type`.
    pub notice_type: Option<NoticeType>,
    /// The type's number.
    pub number: Option<u16>,
    /// The event's identifier.
    pub ivorn: Option<String>,
    /// The role that counts.
    pub role: Role,
    /// The author's identifier.
    pub author: Option<String>,
    /// When it was written, as it stands.
    pub date: Option<String>,
    /// The event time in RFC 3339 with `Z` and the document's own fraction.
    pub time: Option<String>,
    /// Right ascension in degrees.
    pub ra: Option<f64>,
    /// Declination in degrees.
    pub dec: Option<f64>,
    /// Radius of the error circle in degrees.
    pub error_radius: Option<f64>,
    /// Id of the coordinate system, as in `UTC-FK5-GEO`.
    pub frame: Option<String>,
    /// What is odd about the notice, for people.
    pub note: Option<String>,
}

impl NoticeSummary {
    /// Reads a VOEvent and sums it up.
    ///
    /// # Errors
    ///
    /// When the bytes are not a VOEvent.
    pub fn read(bytes: &[u8]) -> Result<Self, VoEventError> {
        VoEvent::parse(bytes).map(|event| Self::from(&event))
    }
}

impl From<&VoEvent> for NoticeSummary {
    fn from(event: &VoEvent) -> Self {
        let mut notes: Vec<String> = event.oddities.iter().map(Oddity::to_string).collect();
        let time = read_time(event, &mut notes);
        let position = read_position(event, &mut notes);
        let (ra, dec, error_radius) = position.unwrap_or_default();
        Self {
            notice_type: event.notice_type,
            number: event.notice_type.map(NoticeType::number),
            ivorn: event.ivorn.clone(),
            role: event.role,
            author: event.who.author_ivorn.clone(),
            date: event.who.date.clone(),
            time,
            ra,
            dec,
            error_radius,
            frame: event.where_when.coord_system.clone(),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

fn read_time(event: &VoEvent, notes: &mut Vec<String>) -> Option<String> {
    let time = match event.where_when.time() {
        Ok(time) => time?,
        Err(error) => {
            notes.push(error.to_string());
            return None;
        }
    };
    if time.scale() != TimeScale::Utc {
        notes.push(format!("the time counts in {}, not UTC", time.scale()));
    }
    Some(time.to_string())
}

/// RA, Dec and error radius.
type Place = (Option<f64>, Option<f64>, Option<f64>);

fn read_position(event: &VoEvent, notes: &mut Vec<String>) -> Option<Place> {
    let error = match event.where_when.position() {
        Ok(position) => {
            return Some((Some(position.ra), Some(position.dec), position.error_radius));
        }
        Err(PositionError::Missing) => return None,
        Err(error) => error,
    };
    notes.push(error.to_string());
    match error {
        PositionError::Unusable { position, .. } => {
            Some((Some(position.ra), Some(position.dec), position.error_radius))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
