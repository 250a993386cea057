use gwasp_sdk::prelude::*;

#[handler(FERMI_GBM_GND_POS)]
async fn asynchronous(_: VoEvent) {}

#[handler(FERMI_GBM_GND_POS)]
unsafe fn not_safe(_: VoEvent) {}

#[handler(FERMI_GBM_GND_POS)]
fn generic<T>(_: T) {}

#[handler(FERMI_GBM_GND_POS)]
fn nameless(_: impl Clone) -> impl Clone {}

#[task]
fn nameless_in_a_result() -> Result<impl Clone> {
    Ok(())
}

#[handler(FERMI_GBM_GND_POS)]
fn five(_: &Packet, _: &[u8], _: &str, _: String, _: VoEvent) {}

#[handler(FERMI_GBM_GND_POS)]
fn to_change(_: &mut VoEvent) {}

#[handler(FERMI_GBM_GND_POS)]
struct Burst;

struct Bursts;

impl Bursts {
    #[handler(FERMI_GBM_GND_POS)]
    fn method(&self) {}
}

#[handler(FERMI_GBM_GND_PSO, retry = 3)]
async fn several_at_once(_: VoEvent) {}

fn main() {}
