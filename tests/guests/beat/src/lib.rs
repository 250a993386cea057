//! A plugin that runs by the time.

use gwasp_sdk::prelude::*;

/// Each second; its result is the moment for which it was due.
#[periodic(every = "1s", catch_up = "all(1000)", name = "each_second")]
fn each_second(due: clock::Timestamp) -> Result<String> {
    Ok(due.to_string())
}

/// Seldom: on 29 February.
#[periodic("30 2 29 2 *", tz = "Europe/Rome")]
fn seldom() {}
