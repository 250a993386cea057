//! The GWASP host: it listens to streams of astronomical alerts, writes every packet down
//! before it acknowledges it, and runs sandboxed handlers on it.
//!
//! The way of a packet, and which module may know which, are told in `ARCHITECTURE.md`.

pub mod guest_build;
pub mod intake;
pub mod listeners;
pub mod packet;
