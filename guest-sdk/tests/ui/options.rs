use gwasp_sdk::prelude::*;

#[handler("cbc_gstlal", retry = 5, queues = "openmp", colour = "red")]
fn unknown(_: Packet) {}

#[handler("cbc_gstlal", timeout = "1 sec", backoff = 5, deadline = "0s", max_backoff = "soon")]
fn durations(_: Packet) {}

#[handler("cbc_gstlal", priority = 10, retries = "many", queue = "open mp", name = "a.b")]
fn values(_: Packet) {}

#[handler("cbc_gstlal", order_by = "superevent_id")]
fn order(_: Packet) {}

#[handler("cbc_gstlal", accept(tests), only(test, live), accept())]
fn roles(_: Packet) {}

#[handler("cbc_gstlal", accept = "test", retries(3))]
fn shapes(_: Packet) {}

#[handler("cbc_gstlal", queue, retries =, timeout = TEN)]
fn values_missing(_: Packet) {}

#[handler("cbc_gstlal", retries = 3, retries = 4)]
fn twice(_: Packet) {}

#[handler("cbc_gstlal", accept(test), only(test))]
fn both(_: Packet) {}

#[handler("cbc_gstlal", every = "1h")]
fn of_another_attribute(_: Packet) {}

fn main() {}
