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

fn main() {}
