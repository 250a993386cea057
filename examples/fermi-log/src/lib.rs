//! The smallest plugin: logs the position of each Fermi GBM notice that a person or a program on
//! the ground has improved.

use gwasp_sdk::prelude::*;

#[handler(FERMI_GBM_GND_POS, FERMI_GBM_FIN_POS)]
fn log_position(notice: VoEvent) -> Result<()> {
    let position = notice.position()?;
    info!("Fermi GBM at ra {:.2}, dec {:.2}", position.ra, position.dec);
    Ok(())
}
