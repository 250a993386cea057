//! Handlers that `gwasp bench` runs: as little as a handler can do, so that what is measured
//! is the host.

use core::hint::black_box;

use gwasp_sdk::clock;
use gwasp_sdk::prelude::*;

/// Handlers of one notice type that do nothing.
macro_rules! idle {
    ($($name:ident)*) => {
        $(
            #[handler(60010)]
            fn $name(packet: &[u8]) {
                black_box(packet.len());
            }
        )*
    };
}

idle!(idle0 idle1 idle2 idle3 idle4 idle5 idle6 idle7 idle8 idle9);

/// The only handler of its notice type; does nothing.
#[handler(60001)]
fn one(packet: &[u8]) {
    black_box(packet.len());
}

/// Asks for the time, so that the host knows when it began.
#[handler(60002)]
fn stamp(_packet: &[u8]) {
    black_box(clock::now());
}

/// What a filter wants to know of a survey's alert.
#[derive(Debug, serde::Deserialize)]
struct Alert {
    candidate: Candidate,
}

/// A difference-image source.
#[derive(Debug, serde::Deserialize)]
struct Candidate {
    magnitude: f64,
    reliability: f64,
}

/// Reads a large alert and says whether it is of interest, as a filter does.
#[handler(60136)]
fn filter(alert: &Alert) -> Result<bool> {
    Ok(alert.candidate.reliability > 0.9 && alert.candidate.magnitude < 19.0)
}
