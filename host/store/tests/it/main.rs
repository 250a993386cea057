//! The store through its public API, with faults.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod acting;
mod asking;
mod backing_up;
mod common;
mod crash;
mod damage;
mod disk;
mod events;
mod injection;
mod keeping;
mod ledger;
mod logs;
mod marks;
mod parking;
mod parking_model;
mod pausing;
mod reopening;
mod resuming;
mod retention;
mod running;
mod ticking;
mod upgrading;
mod versions;
