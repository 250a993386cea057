//! Listeners: each owns one connection to one stream, speaks its protocol, and hands over what
//! it reads.
//!
//! A listener knows no handlers. It reconnects by itself for ever, and acknowledges to its
//! sender only what [`Intake`](crate::intake::Intake) answered to be on disk.

pub mod backoff;
pub mod state;
pub mod vtp;
