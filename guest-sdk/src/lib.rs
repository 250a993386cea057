//! What authors of GWASP plugins write against.

#[doc(hidden)]
pub mod __private;
mod boundary;
pub mod clock;
mod error;
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

pub use error::{Context, Error, FailureKind, Result};
pub use gwasp_formats::{NoticeType, notices};
pub use gwasp_macros::{handler, periodic, task};
pub use outcome::IntoOutcome;
pub use packet::{FromPacket, Packet};
