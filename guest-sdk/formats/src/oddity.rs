//! What was read in spite of being wrong.

use serde::{Serialize, Serializer};

/// A departure from the rules that did not keep a notice from being read.
///
/// Its `Display` is for people: log lines, and the notes of `gwasp notice`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Oddity {
    /// The role is none that VOEvent knows; the notice counts as an observation.
    #[error("the role `{0}` is unknown and counts as observation")]
    UnknownRole(String),
    /// `Packet_Type` is no integer from 0 to 65535; the notice has no type.
    #[error("Packet_Type is `{0}`, not a number from 0 to 65535")]
    BadPacketType(String),
    /// There is more than one `Packet_Type`; the first counts.
    #[error("Packet_Type is given more than once; the first counts")]
    RepeatedPacketType,
    /// There was something before the document.
    #[error("{0} bytes before the document were passed over")]
    TextBeforeDocument(usize),
}

impl Serialize for Oddity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
