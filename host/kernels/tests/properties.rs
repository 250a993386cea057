//! What must hold for every candidate: symmetries of the sky map, and a reader that nothing
//! upsets.
#![expect(clippy::expect_used, reason = "helpers of tests fail like tests")]

use gwasp_kernels::bayestar::{
    Candidate, HourAngle, Options, condition, localize, write_candidates, write_spectra,
};
use gwasp_kernels::detectors::Detector;
use gwasp_kernels::gps::GpsTime;
use gwasp_kernels::healpix::Pixel;
use gwasp_kernels::ligolw::{Document, Limits};
use gwasp_kernels::psd::Psd;
use gwasp_kernels::simulate::{Generator, Simulation, Site, Source, advanced_ligo};
use gwasp_kernels::skymap::{Row, SkyMap};
use gwasp_kernels::waveform::{Template, WaveformChoice};
use gwasp_kernels::work::Work;
use proptest::prelude::*;
use std::collections::HashMap;
use std::f64::consts::{FRAC_PI_2, PI};
use std::time::Duration;

/// A candidate in three detectors, by seed; few samples, so that a map takes little time.
fn candidate(seed: u64) -> Candidate {
    let psd = advanced_ligo(10.0, 1.0, 1_024.0).expect("a spectrum");
    let site = |prefix| Site {
        detector: Detector::by_prefix(prefix).expect("known"),
        psd: psd.clone(),
    };
    let sites = ["H1", "L1", "V1"].map(site).to_vec();
    let template = Template::new([30.0, 25.0], [0.1, 0.0], 512.0).expect("valid");
    let simulation =
        Simulation::new(&template, WaveformChoice::ByMass, 20.0, sites, 512).expect("prepared");
    let mut generator = Generator::new(seed);
    let mut uniform = || generator.uniform();
    let source = Source {
        ra: 2.0 * PI * uniform(),
        dec: (2.0 * uniform() - 1.0).asin(),
        distance: 400.0 + 1_000.0 * uniform(),
        cos_inclination: 2.0 * uniform() - 1.0,
        polarization: PI * uniform(),
        phase: 2.0 * PI * uniform(),
        time: GpsTime::new(1_368_200_000, 123_456_789).expect("in range"),
    };
    simulation.observe(&source, Some(seed))
}

fn options() -> Options {
    Options {
        f_low: 20.0,
        hour_angle: HourAngle::Exact,
        ..Options::default()
    }
}

fn map(candidate: &Candidate) -> SkyMap {
    localize(candidate, &options(), &Work::default()).expect("a map")
}

/// Half of the summed difference of probability over common pixels, and what is in others.
fn variation(a: &[Row], b: &[Row]) -> f64 {
    let known: HashMap<Pixel, f64> = b.iter().map(|row| (row.pixel, row.density)).collect();
    let apart = |row: &Row| {
        let other = known.get(&row.pixel);
        row.pixel.area() * other.map_or(row.density, |other| (row.density - other).abs())
    };
    a.iter().map(apart).sum()
}

#[track_caller]
fn check_same(a: &SkyMap, b: &SkyMap, scale: f64, tolerance: f64) {
    let apart = variation(&a.rows, &b.rows);
    assert!(apart < tolerance, "maps are {apart} apart");
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < tolerance;
    assert!(near(a.mean_distance * scale, b.mean_distance));
    assert!(near(a.std_distance * scale, b.std_distance));
    assert!((a.log_bsn - b.log_bsn).abs() < 10.0 * tolerance);
    assert!((a.log_bci - b.log_bci).abs() < 10.0 * tolerance);
}

/// When the Earth has turned on by `quarters` of a turn.
fn turned(time: GpsTime, quarters: f64) -> GpsTime {
    const SIDEREAL_DAY: f64 = 86_164.090_53;
    let after = |seconds: f64| {
        let nanos = Duration::from_secs_f64(seconds).as_nanos();
        time.later(i64::try_from(nanos).expect("days"))
    };
    let mut seconds = quarters / 4.0 * SIDEREAL_DAY;
    for _ in 0..3 {
        let late = after(seconds).gmst() - time.gmst() - quarters * FRAC_PI_2;
        seconds -= late / (2.0 * PI) * SIDEREAL_DAY;
    }
    after(seconds)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_order_of_detectors_does_not_matter(seed: u64) {
        let candidate = candidate(seed);
        let mut turned = candidate.clone();
        turned.triggers.rotate_left(1);
        check_same(&map(&candidate), &map(&turned), 1.0, 1e-3);
    }

    /// A quarter of a turn takes pixels to pixels.
    #[test]
    fn a_map_turns_with_the_earth(seed: u64, quarters in 1_u8..4) {
        let candidate = candidate(seed);
        let mut later = candidate.clone();
        for trigger in &mut later.triggers {
            let by = turned(trigger.time, quarters.into()).nanos() - trigger.time.nanos();
            trigger.time = trigger.time.later(by);
            if let Some(series) = &mut trigger.series {
                series.epoch = series.epoch.later(by);
            }
        }
        let mut expected = map(&candidate);
        for row in &mut expected.rows {
            let (order, nest) = (row.pixel.order(), row.pixel.nest());
            let (face, within) = (nest >> (2 * order), nest & ((1 << (2 * order)) - 1));
            let face = face / 4 * 4 + (face % 4 + u64::from(quarters)) % 4;
            row.pixel = Pixel::new(order, (face << (2 * order)) + within).expect("a pixel");
        }
        // Pixels of nearly equal probability may be split in one map and not in the other.
        check_same(&expected, &map(&later), 1.0, 1e-2);
    }

    /// Twice the noise amplitude at the same SNR is half the distance.
    #[test]
    fn distances_scale_with_the_noise_and_the_sky_does_not(seed: u64, factor in 0.25_f64..4.0) {
        let candidate = candidate(seed);
        let mut louder = candidate.clone();
        for trigger in &mut louder.triggers {
            let psd = &trigger.psd;
            let values = psd.values().iter().map(|value| value * factor * factor).collect();
            trigger.psd = Psd::new(psd.f0(), psd.delta_f(), values).expect("a spectrum");
        }
        check_same(&map(&candidate), &map(&louder), 1.0 / factor, 1e-3);
    }

    #[test]
    fn probabilities_add_up_to_one_on_the_sky_and_along_each_line_of_sight(seed: u64) {
        let map = map(&candidate(seed));
        let total: f64 = map.rows.iter().map(|row| row.density * row.pixel.area()).sum();
        prop_assert!((total - 1.0).abs() < 1e-9, "{}", total);
        let area: f64 = map.rows.iter().map(|row| row.pixel.area()).sum();
        prop_assert!((area - 4.0 * PI).abs() < 1e-9, "{}", area);
        for row in map.rows.iter().filter(|row| row.distance.norm > 0.0) {
            let total = row.distance.cdf(1e9);
            prop_assert!((total - 1.0).abs() < 1e-6, "{:?}: {}", row, total);
        }
    }
}

/// A change of a document: at a place (in thousandths of its length), of so many bytes.
#[derive(Clone, Debug)]
enum Edit {
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
    Move(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let (place, length) = (0_usize..1_000_000, 1_usize..400);
    let word = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..6),
        proptest::sample::select(vec![
            "-1",
            "1e999",
            "nan",
            "9223372036854775807",
            "<",
            "</LIGO_LW>",
            ",",
            ",,",
            "\"",
            "&#0;",
            "<Stream>",
            "<Dim>99999999</Dim>",
            "<Dim>1</Dim>",
            "int_8s",
            "ilwd:char",
            "Delimiter=' '",
            "base64,BigEndian",
            "<!--",
            "<![CDATA[",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
    ];
    prop_oneof![
        (place.clone(), word).prop_map(|(at, word)| Edit::Replace(at, word)),
        (place.clone(), length.clone()).prop_map(|(at, len)| Edit::Remove(at, len)),
        (place.clone(), length.clone()).prop_map(|(at, len)| Edit::Repeat(at, len)),
        (place.clone(), length, place).prop_map(|(at, len, to)| Edit::Move(at, len, to)),
    ]
}

fn apply(document: &mut Vec<u8>, edit: &Edit) {
    let at = |place: usize| place * document.len() / 1_000_000;
    let piece = |start: usize, len: usize| start..(start + len).min(document.len());
    match edit {
        Edit::Replace(place, word) => {
            let range = piece(at(*place), word.len());
            document.splice(range, word.iter().copied());
        }
        Edit::Remove(place, len) => {
            document.drain(piece(at(*place), *len));
        }
        Edit::Repeat(place, len) => {
            let copy = document[piece(at(*place), *len)].to_vec();
            let start = at(*place);
            document.splice(start..start, copy);
        }
        Edit::Move(place, len, to) => {
            let to = at(*to);
            let taken: Vec<u8> = document.drain(piece(at(*place), *len)).collect();
            let to = to.min(document.len());
            document.splice(to..to, taken);
        }
    }
}

fn written() -> (Vec<u8>, Vec<u8>) {
    let candidate = candidate(1);
    let coinc = write_candidates(std::slice::from_ref(&candidate));
    (coinc.into_bytes(), write_spectra(&candidate).into_bytes())
}

/// Reads and conditions what can be read; bounded in time and memory, never a panic.
fn digest(coinc: &[u8], psd: &[u8]) -> bool {
    let limits = Limits::within(8 << 20);
    let (Ok(coinc), Ok(psd)) = (
        Document::parse(coinc, &limits),
        Document::parse(psd, &limits),
    ) else {
        return false;
    };
    let work = Work {
        max_bytes: 64 << 20,
        ..Work::default()
    };
    Candidate::from_documents(&coinc, &psd)
        .is_ok_and(|candidate| condition(&candidate, &options(), &work).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn documents_edited_at_random_are_read_or_refused(
        edits in proptest::collection::vec((any::<bool>(), edit()), 1..5),
    ) {
        let (mut coinc, mut psd) = written();
        for (which, edit) in &edits {
            apply(if *which { &mut coinc } else { &mut psd }, edit);
        }
        digest(&coinc, &psd);
    }

    #[test]
    fn candidates_are_read_back_as_they_were_written(seed: u64, id: i64) {
        let mut written = candidate(seed);
        written.id = id;
        let parse = |xml: &str| Document::parse(xml.as_bytes(), &Limits::default()).expect("XML");
        let coinc = parse(&write_candidates(std::slice::from_ref(&written)));
        let psd = parse(&write_spectra(&written));
        prop_assert_eq!(Candidate::from_documents(&coinc, &psd).expect("a candidate"), written);
    }
}

#[test]
fn a_document_that_nobody_edited_is_conditioned() {
    let (coinc, psd) = written();
    assert!(digest(&coinc, &psd));
}
