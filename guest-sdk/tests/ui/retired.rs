#![deny(warnings)]

use gwasp_sdk::prelude::*;

#[handler(LVC_PRELIMINARY, FERMI_GBM_GND_POS)]
fn sky_map(_: VoEvent) {}

fn main() {}
