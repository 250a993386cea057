//! Makes a sky map of each candidate that a notice tells of, keeps it, and logs how
//! large a piece of the sky it leaves.
//!
//! The notice names the candidate's files; the host's configuration has to allow where they lie:
//!
//! ```toml
//! [services.files]
//! origin = "http://127.0.0.1:8000"
//!
//! [grants.localize]
//! kv = true
//! blobs = true
//! kernels = true
//! services = ["files"]
//! ```

use gwasp_sdk::bayestar::Options;
use gwasp_sdk::prelude::*;

mod area;

/// 990 stands for the number that a search gives to its notices.
#[handler(990)]
fn localize(notice: &VoEvent) -> Result<()> {
    let name = notice.param("GraceID")?.as_str()?;
    let coinc = fetch(notice, "Coinc_File")?;
    let psd = fetch(notice, "PSD_File")?;
    let options = Options {
        object: Some(name.to_owned()),
        ..Options::default()
    };
    let map = bayestar::localize_with(&coinc, Some(&psd), &options)?;
    kv::set(&format!("sky map of {name}"), map.digest())?;
    let area = area::of_probability(0.9, &map.bytes()?)?;
    info!("{name} lies within {area:.0} square degrees at 90 %");
    Ok(())
}

fn fetch(notice: &VoEvent, param: &str) -> Result<Blob> {
    let url = notice.param(param)?.as_str()?;
    Ok(Blob::put(http::get(url).send()?.bytes())?)
}

#[cfg(test)]
mod tests {
    use gwasp_sdk::bayestar::KernelError;
    use gwasp_sdk::prelude::*;
    use gwasp_sdk::{FailureKind, testing};

    use super::{area, localize};

    fn notice() -> VoEvent {
        for file in ["coinc.xml", "psd.xml"] {
            let url = format!("http://127.0.0.1:8000/{file}");
            testing::respond(&url, 200, "<LIGO_LW/>");
        }
        testing::argument_from(include_str!("../notice.xml")).unwrap()
    }

    #[test]
    fn the_map_is_kept_and_its_area_logged() {
        let notice = notice();
        let map = area::tests::map(&[(4, 0.3), (5, 0.7)]);
        testing::sky_map(&map);
        localize(&notice).unwrap();
        let digest = kv::get("sky map of C7").unwrap().unwrap();
        let digest = String::from_utf8(digest).unwrap();
        assert_eq!(Blob::open(&digest).unwrap().bytes().unwrap(), map);
        let line = "info: C7 lies within 6875 square degrees at 90 %";
        assert_eq!(testing::log_lines(), [line]);
    }

    #[track_caller]
    fn check_set_aside(error: KernelError) {
        let notice = notice();
        testing::no_sky_map(error);
        let error = localize(&notice).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Permanent);
    }

    #[test]
    fn what_another_attempt_cannot_mend_is_set_aside() {
        check_set_aside(KernelError::Input("no PSD for H1".to_owned()));
        check_set_aside(KernelError::Denied("no grant".to_owned()));
    }
}
