//! The functions of the world `gwasp:plugin`, with this crate's own types.
//!
//! In a plugin they are the host's; in a native build, i.e. in a handler's unit tests, they are
//! the stand-in that [`testing`](crate::testing) sets up. No other module knows which.

#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
mod heap;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod native;

#[cfg(target_family = "wasm")]
pub(crate) use guest::*;
#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
