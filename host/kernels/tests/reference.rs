//! Sky maps and their intermediate values against those of `ligo.skymap` 2.5.4.
//!
//! Inputs and maps are the shared test data; where they are missing every test says that it is
//! skipped. The events here take a second or two; all of them are for a soak run.
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]
#![expect(clippy::expect_used, reason = "helpers of tests fail like tests")]

use gwasp_kernels::bayestar::{Candidate, LocalizeError, Network, Options, condition, localize};
use gwasp_kernels::ligolw::{Document, Limits};
use gwasp_kernels::skymap::{Provenance, SkyMap};
use gwasp_kernels::waveform::{Approximant, WaveformChoice};
use gwasp_kernels::work::{CancelToken, Work};
use std::f64::consts::{FRAC_PI_3, PI};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A file of the shared data, or `None` after saying so.
fn shared(path: &str) -> Option<Vec<u8>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = std::env::var_os("GWASP_SHARED_DATA").unwrap_or_else(|| beside.into());
    let file = PathBuf::from(root).join("bayestar").join(path);
    let bytes = std::fs::read(&file).ok();
    if bytes.is_none() {
        eprintln!("skipped: {} is not there", file.display());
    }
    bytes
}

/// Name, input, spectra and model of each event that is compared.
const EVENTS: [(&str, &str, &str); 13] = [
    ("sim01_HL_bns", "sim01_HL_bns.coinc.xml", "psd_o4.xml.gz"),
    (
        "sim03_HLV_bns_Vsub",
        "sim03_HLV_bns_Vsub.coinc.xml",
        "psd_o4.xml.gz",
    ),
    (
        "sim04_L1_single_bns",
        "sim04_L1_single_bns.coinc.xml",
        "psd_o4.xml.gz",
    ),
    (
        "sim05_HLV_bns_noseries",
        "sim05_HLV_bns_noseries.coinc.xml",
        "psd_o4.xml.gz",
    ),
    (
        "sim06_HLVK_bns",
        "sim06_HLVK_bns.coinc.xml",
        "psd_design.xml.gz",
    ),
    ("sim08_HLV_bbh", "sim08_HLV_bbh.coinc.xml", "psd_o4.xml.gz"),
    (
        "sim11_HLV_zeronoise",
        "sim11_HLV_zeronoise.coinc.xml",
        "psd_o4.xml.gz",
    ),
    ("f2y_HLV_noseries", "f2y_HLV_noseries.coinc.xml.gz", ""),
    ("f2y_HL_noseries", "f2y_HL_noseries.coinc.xml.gz", ""),
    ("f2y_HV_noseries", "f2y_HV_noseries.coinc.xml.gz", ""),
    ("f2y_LV_noseries", "f2y_LV_noseries.coinc.xml.gz", ""),
    (
        "gw_G211117_HLV_noseries",
        "gw_G211117_HLV_noseries.coinc.xml",
        "psd_gwcelery.xml.gz",
    ),
    ("doc_HIKLV", "doc_HIKLV.coinc.xml", ""),
];

fn candidate(name: &str) -> Option<Candidate> {
    let &(_, coinc, psd) = EVENTS.iter().find(|(event, ..)| *event == name)?;
    let read = |path: &str| {
        let bytes = shared(&format!("inputs/{path}"))?;
        Some(Document::parse(&bytes, &Limits::default()).expect("well formed"))
    };
    let coinc = read(coinc)?;
    let psd = if psd.is_empty() {
        coinc.clone()
    } else {
        read(psd)?
    };
    Some(Candidate::from_documents(&coinc, &psd).expect("a candidate"))
}

/// The options of the reference runs.
fn options() -> Options {
    Options {
        f_low: 15.0,
        ..Options::default()
    }
}

/// The rows `[UNIQ as bits, density, μ, σ, N]` and the header of a multi-order file.
fn read_map(file: &[u8]) -> (Vec<[f64; 5]>, Vec<String>) {
    let cards: Vec<String> = file[2_880..]
        .chunks(80)
        .map(|card| String::from_utf8_lossy(card).into_owned())
        .take_while(|card| !card.starts_with("END "))
        .collect();
    let header_bytes = (80 * (cards.len() + 1)).next_multiple_of(2_880);
    let word = |row: &[u8], k: usize| -> [u8; 8] { row[8 * k..][..8].try_into().expect("8 bytes") };
    let rows = file[2_880 + header_bytes..].chunks_exact(40).take(19_200);
    let rows = rows.map(|row| {
        let uniq = u64::from_be_bytes(word(row, 0));
        let real = |k| f64::from_be_bytes(word(row, k));
        // Below 2^53 the number is exact.
        [uniq as f64, real(1), real(2), real(3), real(4)]
    });
    (rows.collect(), cards)
}

fn header_value(cards: &[String], keyword: &str) -> f64 {
    let card = cards
        .iter()
        .find(|card| card.starts_with(&format!("{keyword:<8}=")));
    let value = card.expect(keyword)[9..]
        .split('/')
        .next()
        .expect("a value");
    value.trim().parse().expect("a number")
}

/// Compares with the stored map of an event within the limits that rounding alone can reach.
///
/// Both maps must have the same pixels except for a few; their Jensen–Shannon divergence is
/// taken over the common ones.
#[track_caller]
fn check_map(name: &str, map: &SkyMap) {
    if let Some(file) = shared(&format!("reference/{name}.multiorder.fits")) {
        check_against(name, &file, map);
    }
}

/// As [`check_map`], with the reference's map as `file`.
#[track_caller]
fn check_against(name: &str, file: &[u8], map: &SkyMap) {
    let (reference, cards) = read_map(file);
    let (ours, our_cards) = read_map(&map.to_fits(&Provenance::default()));
    let relative = |key: &str| header_value(&our_cards, key) / header_value(&cards, key) - 1.0;
    let absolute = |key: &str| header_value(&our_cards, key) - header_value(&cards, key);
    assert!(
        relative("DISTMEAN").abs() < 2e-4,
        "{name}: DISTMEAN {}",
        relative("DISTMEAN")
    );
    assert!(
        relative("DISTSTD").abs() < 4e-4,
        "{name}: DISTSTD {}",
        relative("DISTSTD")
    );
    assert!(
        absolute("LOGBCI").abs() < 0.01,
        "{name}: LOGBCI {}",
        absolute("LOGBCI")
    );
    assert!(
        absolute("LOGBSN").abs() < 0.01,
        "{name}: LOGBSN {}",
        absolute("LOGBSN")
    );
    let mut divergence = 0.0;
    let mut common = 0.0;
    for row in &ours {
        let Ok(k) = reference.binary_search_by(|known| known[0].total_cmp(&row[0])) else {
            continue;
        };
        let order = (row[0].log2() / 2.0).floor() - 1.0;
        let area = FRAC_PI_3 * 0.25_f64.powf(order);
        let (p, q) = (area * reference[k][1], area * row[1]);
        let entropy = |x: f64| {
            if x > 0.0 {
                x * (2.0 * x / (p + q)).ln()
            } else {
                0.0
            }
        };
        divergence += 0.5 * (entropy(p) + entropy(q));
        common += p;
    }
    assert!(
        common > 0.99,
        "{name}: only {common} of the probability is in common pixels"
    );
    assert!(divergence < 5e-6, "{name}: divergence {divergence}");
}

fn localized(name: &str, options: &Options, work: &Work<'_>) -> Option<SkyMap> {
    let candidate = candidate(name)?;
    Some(localize(&candidate, options, work).expect("a map"))
}

#[test]
fn a_single_detector_event_is_localized_as_by_the_reference() {
    let name = "sim04_L1_single_bns";
    let Some(map) = localized(name, &options(), &Work::default()) else {
        return;
    };
    check_map(name, &map);
}

#[test]
fn an_event_with_a_sub_threshold_detector_is_localized_as_by_the_reference() {
    let name = "sim03_HLV_bns_Vsub";
    let Some(map) = localized(name, &options(), &Work::default()) else {
        return;
    };
    check_map(name, &map);
}

#[test]
fn a_loud_event_in_four_detectors_is_localized_as_by_the_reference() {
    let name = "sim06_HLVK_bns";
    let Some(map) = localized(name, &options(), &Work::default()) else {
        return;
    };
    check_map(name, &map);
}

#[test]
fn a_black_hole_binary_is_localized_as_by_the_reference() {
    let name = "sim08_HLV_bbh";
    let waveform = WaveformChoice::Always(Approximant::ImrPhenomD);
    let options = Options {
        waveform,
        ..options()
    };
    let Some(map) = localized(name, &options, &Work::default()) else {
        return;
    };
    check_map(name, &map);
}

#[test]
fn an_event_without_snr_series_is_localized_as_by_the_reference() {
    let name = "f2y_HL_noseries";
    let Some(map) = localized(name, &options(), &Work::default()) else {
        return;
    };
    check_map(name, &map);
}

/// All events; some minutes of one processor without optimization.
#[test]
fn every_event_is_localized_as_by_the_reference() {
    if std::env::var_os("GWASP_SOAK").is_none() {
        eprintln!("skipped: set GWASP_SOAK=1 to compare every event");
        return;
    }
    for (name, ..) in EVENTS {
        if let Some(map) = localized(name, &options(), &Work::default()) {
            check_map(name, &map);
        }
    }
}

/// Localizes an event with options of which no map is stored, here and with ligo.skymap.
#[track_caller]
fn check_options(venv: &Path, event: &str, arguments: &[&str], options: &Options) {
    let Some(map) = localized(event, options, &Work::default()) else {
        return;
    };
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("options");
    std::fs::create_dir_all(&directory).expect("a directory");
    let &(_, coinc, psd) = EVENTS
        .iter()
        .find(|(name, ..)| *name == event)
        .expect("known");
    for name in [coinc, psd] {
        let bytes = shared(&format!("inputs/{name}")).expect("read before");
        std::fs::write(directory.join(name), bytes).expect("written");
    }
    let status = Command::new(venv.join("bin/bayestar-localize-coincs"))
        .args(arguments)
        .args(["--loglevel", "CRITICAL", "--output", "."])
        .args([coinc, psd])
        .current_dir(&directory)
        .status()
        .expect("started");
    assert!(status.success(), "bayestar-localize-coincs: {status}");
    let file = std::fs::read(directory.join("0.fits")).expect("a map");
    check_against(&format!("{event} {arguments:?}"), &file, &map);
}

#[test]
fn options_without_stored_maps_do_what_they_do_in_the_reference() {
    let venv = std::env::var_os("GWASP_SKYMAP_VENV").map(PathBuf::from);
    let Some(venv) = venv.filter(|_| std::env::var_os("GWASP_SOAK").is_some()) else {
        eprintln!("skipped: `cargo xtask soak` compares options with those of ligo.skymap");
        return;
    };
    let check = |event, arguments: &[&str], options: Options| {
        let arguments = [&["--f-low", "15"], arguments].concat();
        check_options(&venv, event, &arguments, &options);
    };
    let single = "sim04_L1_single_bns";
    let cosmology = Options {
        cosmology: true,
        ..options()
    };
    check(single, &["--cosmology"], cosmology);
    for max in ["10", "3000"] {
        let far_off = Options {
            max_distance: max.parse().ok(),
            ..options()
        };
        check("sim01_HL_bns", &["--max-distance", max], far_off);
    }
    let logarithmic = Options {
        min_distance: 20.0,
        max_distance: Some(400.0),
        distance_power: -1,
        ..options()
    };
    let arguments = [
        "--min-distance",
        "20",
        "--max-distance",
        "400",
        "--prior-distance-power",
        "-1",
    ];
    check(single, &arguments, logarithmic);
    let plain = Options {
        rescale_loglikelihood: 1.0,
        ..options()
    };
    check(single, &["--rescale-loglikelihood", "1"], plain);
    let silent = Options {
        enable_snr_series: false,
        ..options()
    };
    check(single, &["--disable-snr-series"], silent);
    let disabled = Options {
        disabled_detectors: vec!["V1".to_owned()],
        ..options()
    };
    check(
        "sim03_HLV_bns_Vsub",
        &["--disable-detector", "V1"],
        disabled,
    );
}

#[test]
fn the_file_is_the_same_to_the_byte_on_any_number_of_threads() {
    let Some(candidate) = candidate("sim06_HLVK_bns") else {
        return;
    };
    let file = |threads: usize| {
        let threads = NonZeroUsize::new(threads).expect("positive");
        let work = Work {
            threads,
            ..Work::default()
        };
        let map = localize(&candidate, &options(), &work).expect("a map");
        map.to_fits(&Provenance::default())
    };
    let one = file(1);
    assert!(one == file(2) && one == file(5));
}

#[test]
fn a_cancelled_computation_ends_without_a_map() {
    let Some(candidate) = candidate("sim03_HLV_bns_Vsub") else {
        return;
    };
    let cancel = CancelToken::new();
    // Cancel from within, at the first sign of progress.
    let token = cancel.clone();
    let fractions = Mutex::new(Vec::new());
    let progress = |fraction: f64| {
        fractions.lock().expect("not poisoned").push(fraction);
        token.cancel();
    };
    let work = Work {
        cancel,
        progress: Some(&progress),
        ..Work::default()
    };
    let outcome = localize(&candidate, &options(), &work);
    assert!(matches!(outcome, Err(LocalizeError::Cancelled(_))));
    let fractions = fractions.into_inner().expect("not poisoned");
    assert!(fractions.len() == 1 && fractions[0] < 0.5, "{fractions:?}");
}

#[test]
fn too_little_memory_is_refused_before_the_start() {
    let Some(candidate) = candidate("sim03_HLV_bns_Vsub") else {
        return;
    };
    let work = Work {
        max_bytes: 1 << 20,
        ..Work::default()
    };
    let outcome = localize(&candidate, &options(), &work);
    assert!(matches!(outcome, Err(LocalizeError::OutOfMemory(_))));
}

#[test]
fn detectors_can_be_disabled_and_unknown_ones_are_an_error() {
    let Some(candidate) = candidate("sim03_HLV_bns_Vsub") else {
        return;
    };
    let disable = |prefixes: &[&str]| {
        let disabled_detectors = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        let options = Options {
            disabled_detectors,
            ..options()
        };
        let network = condition(&candidate, &options, &Work::default());
        network.map(|network| network.channels.len())
    };
    assert_eq!(disable(&["V1"]).expect("two are left"), 2);
    assert_eq!(disable(&["V1", "K1"]).expect("two are left"), 2);
    assert!(disable(&["K1"]).is_err());
    assert!(disable(&["H1", "L1", "V1"]).is_err());
}

/// Real documents with a few bytes changed are conditioned or refused, never a panic.
#[test]
fn damaged_candidates_never_panic() {
    let soak = std::env::var_os("GWASP_SOAK").is_some();
    let count = if soak { 20_000 } else { 150 };
    let Some(whole) = shared("inputs/sim03_HLV_bns_Vsub.coinc.xml") else {
        return;
    };
    let Some(psd) = shared("inputs/psd_o4.xml.gz") else {
        return;
    };
    let psd = Document::parse(&psd, &Limits::default()).expect("well formed");
    // Knuth's generator: what matters is that a failure can be repeated.
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut conditioned = 0;
    for _ in 0..count {
        let mut bytes = whole.clone();
        for _ in 0..=random(4) {
            // Digits for digits keep more documents readable than any byte would.
            let at = random(bytes.len());
            bytes[at] = if bytes[at].is_ascii_digit() || random(3) == 0 {
                b"0123456789-.e"[random(13)]
            } else {
                b"<>\"&,/ A0\xff"[random(10)]
            };
        }
        let Ok(document) = Document::parse(&bytes, &Limits::default()) else {
            continue;
        };
        let Ok(candidate) = Candidate::from_documents(&document, &psd) else {
            continue;
        };
        conditioned += usize::from(condition(&candidate, &options(), &Work::default()).is_ok());
    }
    assert!(
        conditioned > 0 && conditioned < count,
        "{conditioned} of {count}"
    );
}

#[track_caller]
fn check_near(name: &str, what: &str, found: f64, expected: f64, tolerance: f64) {
    let apart = (found - expected).abs();
    assert!(apart <= tolerance, "{name}: {what} {found}, not {expected}");
}

/// The reference rounds arrival times to 256 ns, so times may be half of that apart.
#[track_caller]
fn check_network(name: &str, network: &Network, expected: &serde_json::Value) {
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let epoch = expected["epoch_ns"].as_i64().expect("an integer");
    let apart = (network.epoch.nanos() - epoch).abs();
    assert!(apart <= 384, "{name}: epoch {apart} ns apart");
    check_near(name, "GMST", network.gmst, number(&expected["gmst"]), 1e-10);
    check_near(
        name,
        "rate",
        network.sample_rate,
        number(&expected["sample_rate"]),
        1e-9,
    );
    assert_eq!(Some(network.n as u64), expected["n"].as_u64(), "{name}: n");
    for (k, channel) in network.channels.iter().enumerate() {
        let horizon = number(&expected["horizons"][k]);
        // The black-hole binary's amplitude is another implementation of IMRPhenomD.
        let tolerance = if name.ends_with("bbh") { 1e-6 } else { 1e-12 };
        check_near(name, "horizon", channel.horizon / horizon, 1.0, tolerance);
        check_near(
            name,
            "start",
            channel.start,
            number(&expected["toas"][k]),
            400e-9,
        );
        for (axis, &coordinate) in channel.location.iter().enumerate() {
            let expected = number(&expected["locations"][k][axis]);
            check_near(name, "location", coordinate, expected, 1e-9);
        }
        for (which, sample) in [0, network.n / 2, network.n - 1].into_iter().enumerate() {
            let amplitude = number(&expected["snr_abs"][k][which]);
            let phase = number(&expected["snr_arg"][k][which]);
            check_near(
                name,
                "amplitude",
                channel.amplitude[sample].into(),
                amplitude,
                2e-5,
            );
            // Where unwrapping begins is arbitrary.
            let turned = f64::from(channel.phase[sample]) - phase;
            let turned = (turned + PI).rem_euclid(2.0 * PI) - PI;
            check_near(name, "phase", turned, 0.0, 1e-4);
        }
    }
}

#[test]
fn conditioning_agrees_with_the_reference() {
    let Some(vectors) = shared("vectors.json") else {
        return;
    };
    let vectors: serde_json::Value = serde_json::from_slice(&vectors).expect("JSON");
    for (name, expected) in vectors["events"].as_object().expect("events") {
        let Some(candidate) = candidate(name) else {
            return;
        };
        let network = condition(&candidate, &options(), &Work::default()).expect("conditioned");
        check_network(name, &network, expected);
    }
}
