use bytes::Bytes;
use gwasp_kernels::work::Work;

use super::{Files, KernelAnswer, SkyMapOptions, checked, compute};

/// As the SDK sends them where nothing was chosen.
fn options() -> SkyMapOptions {
    SkyMapOptions {
        waveform: "o2-uberbank".to_owned(),
        f_low: 15.0,
        f_high_truncate: 0.95,
        min_distance: 0.0,
        max_distance: None,
        distance_power: 2,
        cosmology: false,
        use_snr_series: true,
        rescale_loglikelihood: 0.83,
        disabled_detectors: Vec::new(),
        object: None,
    }
}

#[track_caller]
fn check_input(coinc: &str, named: &[&str]) {
    let files = Files {
        coinc: Bytes::copy_from_slice(coinc.as_bytes()),
        psd: None,
    };
    let made = compute(
        &files,
        &checked(&options()).unwrap(),
        None,
        &Work::default(),
    );
    let Err(KernelAnswer::Input(reason)) = made else {
        panic!("{made:?}");
    };
    assert!(named.iter().all(|name| reason.contains(name)), "{reason}");
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_its_place() {
    check_input("", &["table", "coinc_event"]);
    check_input("<LIGO_LW></LIGO_LW>", &["table", "coinc_event"]);
    let table = "<LIGO_LW><Table Name='process:table'><Column Name='process_id' Type='int_8s'/>\
                 <Stream Delimiter=','>1,gstlal</Stream></Table></LIGO_LW>";
    check_input(
        table,
        &["coinc file: ", "table process", "row 2", "process_id"],
    );
}

#[track_caller]
fn check_invalid(change: impl FnOnce(&mut SkyMapOptions), named: &str) {
    let mut options = options();
    change(&mut options);
    let Err(KernelAnswer::Invalid(reason)) = checked(&options) else {
        panic!("{options:?}");
    };
    assert!(reason.contains(named), "{reason}");
}

#[test]
fn an_option_that_cannot_be_is_named() {
    check_invalid(|options| options.waveform = "EOBNRv2".to_owned(), "EOBNRv2");
    check_invalid(|options| options.f_low = f64::NAN, "f-low");
    check_invalid(|options| options.f_low = -1.0, "f-low");
    check_invalid(|options| options.f_high_truncate = 1.5, "f-high-truncate");
    let rescale = "rescale-loglikelihood";
    check_invalid(|options| options.rescale_loglikelihood = 0.0, rescale);
}

#[test]
fn a_file_that_is_larger_than_its_share_of_the_memory_is_refused() {
    let files = Files {
        coinc: Bytes::from(vec![b' '; 1_000]),
        psd: None,
    };
    let work = Work {
        max_bytes: 1_000,
        ..Work::default()
    };
    let made = compute(&files, &checked(&options()).unwrap(), None, &work);
    let Err(KernelAnswer::Input(reason)) = made else {
        panic!("{made:?}");
    };
    assert!(reason.contains("more than 62 bytes"), "{reason}");
}

#[test]
fn a_kernel_that_nobody_waits_for_reads_no_file() {
    let files = Files {
        coinc: Bytes::from_static(b"<LIGO_LW></LIGO_LW>"),
        psd: None,
    };
    let work = Work::default();
    work.cancel.cancel();
    let made = compute(&files, &checked(&options()).unwrap(), None, &work);
    let Err(KernelAnswer::Input(reason)) = made else {
        panic!("{made:?}");
    };
    assert_eq!(reason, "coinc file: cancelled");
}
