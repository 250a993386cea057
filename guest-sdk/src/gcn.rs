//! Notices to the peers of the host's VOEvent broker.

use std::fmt;

use crate::boundary;

/// Sends a VOEvent and waits; returns the peers that acknowledged it.
///
/// # Errors
/// [`GcnError::Unsupported`] in this version of the host, which has no broker of its own yet.
///
/// ```
/// use gwasp_sdk::{gcn, testing};
///
/// let peers = gcn::send("<voe:VOEvent/>")?;
/// assert_eq!(peers.len(), 1);
/// assert_eq!(testing::notices(), [b"<voe:VOEvent/>"]);
/// # Ok::<(), gwasp_sdk::gcn::GcnError>(())
/// ```
pub fn send(voevent: impl AsRef<[u8]>) -> Result<Vec<String>, GcnError> {
    boundary::gcn_send(voevent.as_ref())
}

/// Has a VOEvent be sent once the run has ended well, and does not wait.
///
/// # Errors
/// [`GcnError::Unsupported`] in this version of the host, which has no broker of its own yet.
///
/// ```
/// use gwasp_sdk::{gcn, testing};
///
/// gcn::post("<voe:VOEvent/>")?;
/// assert_eq!(testing::notices().len(), 1);
/// # Ok::<(), gwasp_sdk::gcn::GcnError>(())
/// ```
pub fn post(voevent: impl AsRef<[u8]>) -> Result<(), GcnError> {
    boundary::gcn_post(voevent.as_ref())
}

/// Why a notice was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GcnError {
    /// The host's configuration does not allow it; the text has the lines to add.
    Denied(String),
    /// It is no VOEvent that can be sent.
    Invalid(String),
    /// A limit, named with its value.
    Limit(String),
    /// The host cannot do it yet.
    Unsupported(String),
    /// Nobody knows whether a peer has it.
    InDoubt(String),
}

impl fmt::Display for GcnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text)
            | Self::Invalid(text)
            | Self::Limit(text)
            | Self::Unsupported(text)
            | Self::InDoubt(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for GcnError {}
