//! The store through its public API, with faults.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
mod keeping;
mod ledger;
mod reopening;
mod resuming;
mod running;
