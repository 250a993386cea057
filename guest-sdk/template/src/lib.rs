//! {{name}}: handlers for the GWASP host.

use gwasp_sdk::prelude::*;

/// Logs where Fermi's Gamma-ray Burst Monitor saw a burst, as improved on the ground.
#[handler(FERMI_GBM_GND_POS)]
fn log_position(notice: &VoEvent) -> Result<()> {
    let position = notice.position()?;
    info!(
        "Fermi GBM at ra {:.2}, dec {:.2}",
        position.ra, position.dec
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use gwasp_sdk::testing;

    use super::log_position;

    #[test]
    fn the_position_of_a_notice_is_logged() {
        let notice = testing::argument_from(include_str!("../tests/fermi.xml")).unwrap();
        log_position(&notice).unwrap();
        assert_eq!(
            testing::log_lines(),
            ["info: Fermi GBM at ra 172.02, dec -34.78"]
        );
    }
}
