//! Logs each Fermi GBM ground position.

use gwasp_sdk::prelude::*;

#[handler(FERMI_GBM_GND_POS, FERMI_GBM_FIN_POS)]
fn log_position(packet: &Packet) -> Result<()> {
    info!(
        "{} {}: {} bytes",
        packet.key,
        packet.id,
        packet.payload.len()
    );
    Ok(())
}
