//! What authors of GWASP plugins write against.

#[doc(hidden)]
pub mod __private;
pub mod blobs;
mod boundary;
pub mod clock;
mod error;
pub mod gracedb;
pub mod http;
pub mod kv;
pub mod log;
mod outcome;
mod packet;
pub mod prelude;
pub mod progress;
pub mod random;
mod registry;
pub mod tasks;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use blobs::Blob;
pub use error::{Context, Error, FailureKind, Result};
pub use gwasp_formats as formats;
pub use gwasp_formats::{NoticeType, VoEvent, notices};
pub use gwasp_macros::{handler, periodic, task};
pub use outcome::IntoOutcome;
pub use packet::{FromPacket, Packet};
