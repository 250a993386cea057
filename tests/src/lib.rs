//! What the end-to-end tests and `cargo xtask demo` start and read: child processes, the
//! `gwasp` program among them, its ledger, and a made-up candidate with a server of its files.
//!
//! **Invariant:** a child does not outlive the value that stands for it, and every wait has a
//! limit and says what it waited for.

pub mod candidate;
pub mod files;
pub mod gwasp;
pub mod ledger;
pub mod process;
pub mod sample;
