use gwasp_sdk::prelude::*;

struct Map;

#[handler(FERMI_GBM_GND_POS)]
fn number(_: VoEvent) -> u32 {
    7
}

#[handler(FERMI_GBM_GND_POS)]
fn not_for_json(_: VoEvent) -> Result<Map> {
    Ok(Map)
}

#[handler(FERMI_GBM_GND_POS)]
fn text_as_error(_: VoEvent) -> Result<(), String> {
    Ok(())
}

fn main() {}
