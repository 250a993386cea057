//! What the host must know of a packet before any handler sees it, in one pass.
//!
//! A listener reads a frame and has to tell an event from a transport message, find the bytes by
//! which duplicates are known, and route by notice type, role and ordering key, all before it
//! acknowledges. [`scan`] does that without building a tree.
//!
//! The reader is strict, unlike [`VoEvent`](crate::VoEvent), which also takes a file with text
//! above the document: a frame holds one XML document and nothing else. What it accepts,
//! `VoEvent` accepts, and both agree on ivorn, role and type. An attribute of more than 64 KiB is
//! no attribute of a notice, the IVORN included: such a document is refused, with its bytes kept.

use std::ops::Range;

use crate::notice_type::parse_number;
use crate::xml::{Decoded, Fault, Walker, XmlError};
use crate::{NoticeType, Oddity, Role};

mod transport;

pub use transport::{TransportHead, TransportRole};

/// What a packet's payload is, with what the host needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// An event.
    VoEvent(VoEventHead),
    /// A message of the VOEvent Transport Protocol itself.
    Transport(TransportHead),
    /// Some other XML document (or HTML page), by its root's local name; the rest was not read.
    Other {
        /// Local name of the root element.
        root: String,
    },
}

/// What the host needs of a VOEvent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoEventHead {
    /// Bytes of the input from the `<` of the root element to its closing `>`.
    ///
    /// Their digest is the event's identity (VTP 2.0, section 3): the declaration and comments
    /// around the element do not count. The range is into the bytes as they came, in whatever
    /// encoding, so the same event in two encodings has two identities.
    pub element: Range<usize>,
    /// The `ivorn` attribute as it stands, unless it is blank. Without one nothing can be acknowledged.
    pub ivorn: Option<String>,
    /// The `role` attribute as it stands.
    pub role_word: Option<String>,
    /// The role that counts.
    pub role: Role,
    /// The `version` attribute.
    pub version: Option<String>,
    /// The type by `Packet_Type`, if the event has a valid one.
    pub notice_type: Option<NoticeType>,
    /// `Who/Date` as it stands: when the author wrote the event.
    pub date: Option<String>,
    /// Values of the params that were asked for, in that order; `None` where there is none.
    ///
    /// Only params directly under `What` are looked at; of several with one name the first counts.
    pub params: Vec<Option<String>>,
    /// What is wrong with the event although it could be read.
    pub oddities: Vec<Oddity>,
}

/// Reads what the host needs of `payload`; `params` names the params whose values are wanted, if any.
///
/// ```
/// use gwasp_formats::{Role, Scan, notices, scan};
///
/// let payload = br#"<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0"
///     ivorn="ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_1" role="test" version="2.0"><What>
///       <Param name="Packet_Type" value="112"/><Param name="TrigID" value="524666471"/>
///     </What></voe:VOEvent>"#;
///
/// let Ok(Scan::VoEvent(head)) = scan(payload, &["TrigID"]) else { unreachable!() };
/// assert_eq!(head.notice_type, Some(notices::FERMI_GBM_GND_POS));
/// assert_eq!(head.role, Role::Test);
/// assert_eq!(head.params, [Some("524666471".to_owned())]);
/// ```
///
/// # Errors
///
/// When the payload is not one well-formed XML document within the limits of
/// [`XmlFault`](crate::XmlFault). A well-formed document of another kind is no error.
pub fn scan(payload: &[u8], params: &[&str]) -> Result<Scan, XmlError> {
    let document = Decoded::strict(payload)?;
    let mut walker = Walker::new(&document.text);
    let scanned = scan_root(&mut walker, params);
    let mut scan = scanned.map_err(|fault| document.locate(fault, walker.path()))?;
    if let Scan::VoEvent(head) = &mut scan {
        head.element = document.source_range(head.element.clone());
    }
    Ok(scan)
}

fn scan_root(walker: &mut Walker<'_>, params: &[&str]) -> Result<Scan, Fault> {
    let scan = match walker.child()? {
        Some("VOEvent") => Scan::VoEvent(scan_event(walker, params)?),
        Some("Transport") => Scan::Transport(transport::scan(walker)?),
        root => {
            let root = root.unwrap_or_default().to_owned();
            return Ok(Scan::Other { root });
        }
    };
    walker.finish()?;
    Ok(scan)
}

fn scan_event(walker: &mut Walker<'_>, params: &[&str]) -> Result<VoEventHead, Fault> {
    let mut head = VoEventHead {
        params: vec![None; params.len()],
        ..VoEventHead::default()
    };
    head.read_root(walker);
    let mut packet_type = PacketType::default();
    while let Some(child) = walker.child()? {
        match child {
            "Who" => head.read_who(walker)?,
            "What" => head.read_what(walker, params, &mut packet_type)?,
            _ => walker.skip()?,
        }
    }
    head.notice_type = packet_type.settle(&mut head.oddities);
    head.element = walker.root();
    Ok(head)
}

impl VoEventHead {
    fn read_root(&mut self, walker: &Walker<'_>) {
        self.ivorn = walker.attribute_text("ivorn");
        self.version = walker.attribute_text("version");
        self.role_word = walker.attribute_text("role");
        self.role = settle_role(self.role_word.as_deref(), &mut self.oddities);
    }

    fn read_who(&mut self, walker: &mut Walker<'_>) -> Result<(), Fault> {
        while let Some(child) = walker.child()? {
            match child {
                "Date" => walker.text_into(&mut self.date)?,
                _ => walker.skip()?,
            }
        }
        Ok(())
    }

    fn read_what(
        &mut self,
        walker: &mut Walker<'_>,
        params: &[&str],
        packet_type: &mut PacketType,
    ) -> Result<(), Fault> {
        while let Some(child) = walker.child()? {
            let name = match child {
                "Param" => walker.attribute("name"),
                _ => None,
            };
            let Some(name) = name else {
                walker.skip()?;
                continue;
            };
            let is_packet_type = name == PACKET_TYPE;
            let slots = self.params.iter_mut().zip(params);
            let slots = slots.filter(|(slot, wanted)| slot.is_none() && **wanted == name);
            let mut slots: Vec<_> = slots.map(|(slot, _)| slot).collect();
            if !is_packet_type && slots.is_empty() {
                walker.skip()?;
                continue;
            }
            let value = param_value(walker)?;
            for slot in &mut slots {
                slot.clone_from(&value);
            }
            if is_packet_type {
                packet_type.add(value);
            }
        }
        Ok(())
    }
}

/// Name of the param that holds a GCN notice's type.
pub(crate) const PACKET_TYPE: &str = "Packet_Type";

/// Reads the param that was just opened to its end: its `value` attribute, else its `Value` child.
pub(crate) fn param_value(walker: &mut Walker<'_>) -> Result<Option<String>, Fault> {
    if let Some(value) = walker.attribute("value") {
        walker.skip()?;
        return Ok(Some(value.into_owned()));
    }
    let mut value = None;
    while let Some(child) = walker.child()? {
        match child {
            "Value" if value.is_none() => value = Some(walker.text()?.into_owned()),
            _ => walker.skip()?,
        }
    }
    Ok(value)
}

/// What the `Packet_Type` params of one event say.
#[derive(Debug, Default)]
pub(crate) struct PacketType {
    first: Option<String>,
    repeated: bool,
}

impl PacketType {
    /// Takes the value of one more `Packet_Type`.
    pub(crate) fn add(&mut self, value: Option<String>) {
        self.repeated |= self.first.is_some();
        self.first.get_or_insert_with(|| value.unwrap_or_default());
    }

    /// Decides which type that makes.
    pub(crate) fn settle(self, oddities: &mut Vec<Oddity>) -> Option<NoticeType> {
        let text = self.first?;
        if self.repeated {
            oddities.push(Oddity::RepeatedPacketType);
        }
        let number = parse_number(text.trim());
        if number.is_none() {
            oddities.push(Oddity::BadPacketType(text));
        }
        number.map(NoticeType)
    }
}

/// Decides which role a `role` attribute makes.
pub(crate) fn settle_role(word: Option<&str>, oddities: &mut Vec<Oddity>) -> Role {
    let Some(word) = word else {
        return Role::default();
    };
    Role::from_word(word).unwrap_or_else(|| {
        oddities.push(Oddity::UnknownRole(word.to_owned()));
        Role::default()
    })
}

#[cfg(test)]
mod tests;
