use gwasp_sdk::prelude::*;
use serde::Serialize;

#[derive(Serialize)]
struct Map {
    pixels: u32,
}

#[task]
fn localize(pixels: u32) -> Result<Map> {
    Ok(Map { pixels })
}

#[handler("superevent")]
fn on_superevent(_: &[u8]) -> Result<()> {
    localize::spawn(1)?;
    localize::call(1)?;
    tasks::all([localize::prepare(1)])?;
    Ok(())
}

fn main() {}
