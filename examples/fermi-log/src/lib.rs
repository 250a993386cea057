//! The smallest plugin: logs where Fermi's Gamma-ray Burst Monitor saw a burst, as improved on the
//! ground.

use gwasp_sdk::prelude::*;

#[handler(FERMI_GBM_GND_POS, FERMI_GBM_FIN_POS)]
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
    use gwasp_sdk::{FailureKind, testing};

    use super::log_position;

    #[test]
    fn the_position_of_a_notice_is_logged() {
        let notice = testing::argument_from(include_str!("../notice.xml")).unwrap();
        log_position(&notice).unwrap();
        assert_eq!(
            testing::log_lines(),
            ["info: Fermi GBM at ra 172.02, dec -34.78"]
        );
    }

    #[test]
    fn a_notice_without_a_position_is_set_aside() {
        let text = include_str!("../notice.xml");
        let (before, _) = text.split_once("<WhereWhen>").unwrap();
        let packet = testing::packet_from(format!("{before}</voe:VOEvent>"));
        let error = testing::handle("log_position", packet).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Parse);
        assert_eq!(testing::log_lines(), [""; 0]);
    }
}
