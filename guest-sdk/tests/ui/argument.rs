use gwasp_sdk::prelude::*;

struct Alert;

#[handler("cbc_gstlal")]
fn not_of_a_packet(_: Alert) {}

#[handler("cbc_gstlal")]
fn by_reference(_: &Alert) {}

#[task]
fn not_of_json(_: Alert) {}

#[periodic(every = "1h")]
fn not_a_moment(_: Packet) {}

fn main() {}
