use super::*;
use crate::detectors::Detector;
use crate::ligolw::{Document, Limits};
use crate::waveform::Template;

fn candidate(id: i64, series: Option<SnrSeries>) -> Candidate {
    let trigger = |prefix: &str, snr, series| Trigger {
        detector: Detector::by_prefix(prefix).expect("known"),
        snr,
        phase: -0.123_456_789,
        time: GpsTime::new(1_368_200_000, 98_765_432).expect("in range"),
        psd: Psd::new(10.0, 0.25, vec![1e-46, 3.3e-47, 2.2e-47]).expect("valid"),
        series,
    };
    Candidate {
        id,
        template: Template::new([1.5, 1.3], [0.05, -0.01], 1_024.0).expect("valid"),
        triggers: vec![
            trigger("V1", Some(4.25), series.clone()),
            trigger("H1", None, series),
        ],
    }
}

#[track_caller]
fn check_read_back(candidate: &Candidate) {
    let parse = |xml: &str| Document::parse(xml.as_bytes(), &Limits::default()).expect("XML");
    let coinc = parse(&write_candidates(std::slice::from_ref(candidate)));
    let psd = parse(&write_spectra(candidate));
    let read = Candidate::from_documents(&coinc, &psd).expect("a candidate");
    assert_eq!(&read, candidate);
}

#[test]
fn a_candidate_is_read_back_as_it_was_written() {
    let series = SnrSeries {
        epoch: GpsTime::new(1_368_200_000, 7).expect("in range"),
        delta_t: 1.0 / 2_048.0,
        samples: vec![[1.0, -2.5], [f32::MIN_POSITIVE, 0.1], [3.0, 1e7]],
    };
    check_read_back(&candidate(3, Some(series)));
}

#[test]
fn a_candidate_without_series_is_read_back_as_it_was_written() {
    check_read_back(&candidate(0, None));
}
