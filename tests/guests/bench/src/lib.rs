//! Handlers that `gwasp bench` runs: as little as a handler can do, so that what is measured
//! is the host.

use core::hint::black_box;

use gwasp_sdk::clock;
use gwasp_sdk::prelude::*;

// Ten handlers of one notice type that do nothing.

#[handler(60010)]
fn idle0(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle1(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle2(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle3(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle4(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle5(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle6(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle7(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle8(packet: &[u8]) {
    black_box(packet.len());
}

#[handler(60010)]
fn idle9(packet: &[u8]) {
    black_box(packet.len());
}

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
