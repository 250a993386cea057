use gwasp_sdk::prelude::*;

#[periodic("*/5 * * *")]
fn four_fields() {}

#[periodic("61 * * * *")]
fn no_minute() {}

#[periodic("0 12 * * friday")]
fn no_day() {}

#[periodic(every = "often")]
fn no_duration() {}

#[periodic]
fn never() {}

#[periodic("0 0 * * *", every = "24h")]
fn two_schedules() {}

#[periodic(IPN_POS)]
fn with_notice() {}

#[periodic(every = "1h")]
fn two_arguments(_: clock::Timestamp, _: clock::Timestamp) {}

#[periodic("0 0 * * *", tz = "Rome, Italy")]
fn no_zone() {}

#[periodic("0 0 * * *", catch_up = "all(0)")]
fn no_policy() {}

#[handler(IPN_POS, tz = "Europe/Rome")]
fn zone_of_a_handler(_: &VoEvent) {}

fn main() {}
