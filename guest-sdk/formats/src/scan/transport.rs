//! Messages of the VOEvent Transport Protocol (IVOA VTP 2.0, section 4).

use crate::xml::{Fault, Walker};

/// What a transport message says.
///
/// Every part may be missing: real peers leave out even the origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportHead {
    /// What the message is for; `None` without a role.
    pub role: Option<TransportRole>,
    /// Whom or what it is about: the broker of an iamalive, the event's ivorn of a receipt.
    pub origin: Option<String>,
    /// Who answers.
    pub response: Option<String>,
    /// When it was made, as it stands; peers write local time without a zone here.
    pub time_stamp: Option<String>,
    /// `Meta/Result`: a nak's reason.
    pub result: Option<String>,
}

/// What a transport message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportRole {
    /// A sign of life.
    IAmAlive,
    /// A request for, or an answer with, credentials or filters.
    Authenticate,
    /// An event was received and is taken care of.
    Ack,
    /// An event is refused for good.
    Nak,
    /// A word that the protocol does not know.
    Unknown(String),
}

impl TransportRole {
    fn from_word(word: &str) -> Self {
        match word.trim() {
            "iamalive" => Self::IAmAlive,
            "authenticate" => Self::Authenticate,
            "ack" => Self::Ack,
            "nak" => Self::Nak,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// Reads the transport message whose root was just opened.
pub(super) fn scan(walker: &mut Walker<'_>) -> Result<TransportHead, Fault> {
    let role = walker.attribute("role");
    let mut head = TransportHead {
        role: role.map(|word| TransportRole::from_word(&word)),
        ..TransportHead::default()
    };
    while let Some(child) = walker.child()? {
        match child {
            "Origin" => read(walker, &mut head.origin)?,
            "Response" => read(walker, &mut head.response)?,
            "TimeStamp" => read(walker, &mut head.time_stamp)?,
            "Meta" => read_meta(walker, &mut head.result)?,
            _ => walker.skip()?,
        }
    }
    Ok(head)
}

fn read_meta(walker: &mut Walker<'_>, result: &mut Option<String>) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        match child {
            "Result" => read(walker, result)?,
            _ => walker.skip()?,
        }
    }
    Ok(())
}

/// Reads an element's text; of several elements the first that is not empty counts.
fn read(walker: &mut Walker<'_>, slot: &mut Option<String>) -> Result<(), Fault> {
    let text = walker.text()?;
    if slot.is_none() && !text.is_empty() {
        *slot = Some(text.into_owned());
    }
    Ok(())
}
