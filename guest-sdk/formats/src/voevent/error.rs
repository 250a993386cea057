//! Why a document is no VOEvent, and why a part of one cannot be had.

use crate::xml::XmlError;
use crate::{PositionError, TimeError};

/// Why bytes are not a VOEvent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoEventError {
    /// They are not a well-formed XML document within the limits of this crate.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// They are XML of another kind.
    #[error("the document is `{root}`, not VOEvent")]
    NotVoEvent {
        /// Local name of the root element.
        root: String,
    },
}

/// Why a part of a notice cannot be had; each text can be shown to the notice's reader as it is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// There is no such param where it was looked for.
    #[error("the notice has no Param `{name}`{hint}")]
    NoParam {
        /// The name that was asked for.
        name: String,
        /// What to ask for instead, with its punctuation, or empty.
        hint: String,
    },
    /// There is no such group.
    #[error("the notice has no Group `{name}`{hint}")]
    NoGroup {
        /// The name that was asked for.
        name: String,
        /// What to ask for instead, with its punctuation, or empty.
        hint: String,
    },
    /// The param has neither a `value` attribute nor a `Value` child.
    #[error("Param `{param}` has no value")]
    NoValue {
        /// The param's name.
        param: String,
    },
    /// The param's value is not of the type that was asked for.
    #[error("Param `{param}` is `{value}`, which is not {wanted}")]
    WrongType {
        /// The param's name.
        param: String,
        /// Its value.
        value: String,
        /// The type, with its article: `an integer`.
        wanted: &'static str,
    },
    /// The notice has no event time.
    #[error("the notice has no event time")]
    NoTime,
    /// The event time is not one.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// There is no position, or none to use.
    #[error(transparent)]
    Position(#[from] PositionError),
}
