use gwasp_sdk::prelude::*;

#[task("cbc_gstlal")]
fn with_node(_: String) {}

#[task(FERMI_GBM_GND_POS, 112)]
fn with_notice(_: String) {}

#[task(accept(test), order_by = "id")]
fn with_options_of_a_handler(_: String) {}

#[task]
fn nine(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) {}

fn main() {}
