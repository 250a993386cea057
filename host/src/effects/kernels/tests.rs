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

/// Computes with a coinc file in so many bytes of memory, half of which are for the file.
#[track_caller]
fn check_refused_for_memory(max_bytes: usize, coinc: String, named: &str) {
    let files = Files {
        coinc: Bytes::from(coinc),
        psd: None,
    };
    let work = Work {
        max_bytes,
        ..Work::default()
    };
    let made = compute(&files, &checked(&options()).unwrap(), None, &work);
    let Err(KernelAnswer::Limit(reason)) = made else {
        panic!("{made:?}");
    };
    let way_out = "`memory` under [kernels] in the configuration";
    assert!(
        reason.contains(named) && reason.contains(way_out) && !reason.contains("no candidate"),
        "{reason}"
    );
}

#[test]
fn a_file_that_goes_beyond_its_share_of_the_memory_is_told_the_limit() {
    check_refused_for_memory(1_000, " ".repeat(1_000), "more than 62 bytes");
    let table = |column: &str, cells: String| {
        format!(
            "<LIGO_LW><Table Name='t'><Column Name='a' Type='{column}'/>\
             <Stream>{cells}</Stream></Table></LIGO_LW>"
        )
    };
    let cells = table("int_4s", "1,".repeat(2_000));
    check_refused_for_memory(64 << 10, cells, "table t takes the document beyond");
    let array = "<LIGO_LW><Array Name='y' Type='real_8'><Dim>100000</Dim><Stream>1</Stream>\
                 </Array></LIGO_LW>";
    check_refused_for_memory(1 << 20, array.to_owned(), "numbers in arrays");
    check_refused_for_memory(1 << 20, "<a/>".repeat(1_000), "elements");
}

#[test]
fn a_file_that_no_memory_would_do_for_is_no_candidates() {
    let nested = format!("<LIGO_LW>{}", "<a>".repeat(100));
    check_input(&nested, &["nested elements", "no candidate's file"]);
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
