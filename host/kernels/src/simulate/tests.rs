use super::*;
use crate::bayestar::Candidate;
use crate::ligolw::{Document, Limits};
use crate::shared_bytes;

#[test]
fn the_generator_gives_the_published_sequence() {
    let mut generator = Generator::new(1_234_567);
    let first: Vec<u64> = (0..5).map(|_| generator.bits()).collect();
    let published = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];
    assert_eq!(first, published);
}

#[test]
fn noise_has_the_correlation_that_was_asked_for() {
    let a = |lag: usize| Complex64::from_polar((-0.3 * lag as f64).exp(), 0.7 * lag as f64);
    let noise = Coloured::new(16, a);
    let mut generator = Generator::new(1);
    let draws = 40_000;
    let mut sums = [Complex64::from(0.0); 4];
    for _ in 0..draws {
        let sample = noise.draw(&mut generator);
        for (lag, sum) in sums.iter_mut().enumerate() {
            *sum += sample[9 + lag] * sample[9].conj();
        }
    }
    for (lag, sum) in sums.iter().enumerate() {
        let found = sum / f64::from(draws);
        // Four standard deviations of the mean.
        let near = (found - 2.0 * a(lag)).norm() < 0.04;
        assert!(near, "lag {lag}: {found}, not {}", 2.0 * a(lag));
    }
}

fn source() -> Source {
    Source {
        ra: 1.0,
        dec: -0.4,
        distance: 70.0,
        cos_inclination: 0.8,
        polarization: 0.2,
        phase: 0.1,
        time: GpsTime::new(1_187_008_882, 430_000_000).expect("in range"),
    }
}

fn simulation() -> Simulation {
    let template = Template::new([1.4, 1.4], [0.0; 2], 1_024.0).expect("valid");
    let psd = advanced_ligo(10.0, 0.5, 2_048.0).expect("a spectrum");
    let site = |prefix| Site {
        detector: Detector::by_prefix(prefix).expect("known"),
        psd: psd.clone(),
    };
    let sites = ["H1", "L1", "V1"].map(site).to_vec();
    Simulation::new(&template, WaveformChoice::ByMass, 30.0, sites, 2_048).expect("prepared")
}

#[test]
fn a_seed_is_a_candidate() {
    let simulation = simulation();
    let observe = |seed| simulation.observe(&source(), Some(seed));
    assert_eq!(observe(1), observe(1));
    assert_ne!(observe(1), observe(2));
}

#[test]
fn the_horizon_of_the_design_is_near_the_published_one() {
    // 445 Mpc at SNR 8 for two 1.4 solar masses (Abadie et al. 2010, CQG 27 173001); the
    // analytic fit is an earlier design, a tenth more sensitive.
    let horizon = simulation().horizon() / 8.0;
    assert!((horizon / 445.0 - 1.0).abs() < 0.15, "{horizon} Mpc");
}

/// A source that `bayestar-realize-coincs` injected without noise, and what it measured.
#[test]
fn triggers_without_noise_are_those_of_the_reference() {
    let files = [
        "bayestar/inputs/sim11_HLV_zeronoise.coinc.xml",
        "bayestar/inputs/psd_o4.xml.gz",
        "bayestar/reference_summary.json",
    ];
    let [Some(coinc), Some(psd), Some(summary)] = files.map(shared_bytes) else {
        return;
    };
    let parse = |bytes: &[u8]| Document::parse(bytes, &Limits::default()).expect("XML");
    let reference = Candidate::from_documents(&parse(&coinc), &parse(&psd)).expect("a candidate");
    let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
    let events = summary.as_array().expect("events");
    let named = events
        .iter()
        .find(|event| event["name"] == "sim11_HLV_zeronoise");
    let truth = &named.expect("the event")["truth"];
    let number = |key: &str| truth[key].as_f64().expect("a number");
    let source = Source {
        ra: number("ra_deg").to_radians(),
        dec: number("dec_deg").to_radians(),
        distance: number("distance_mpc"),
        cos_inclination: number("inclination").cos(),
        polarization: number("polarization"),
        phase: 0.0,
        time: GpsTime::parse(&truth["gps"].to_string()).expect("a time"),
    };
    let sites = reference.triggers.iter().map(|trigger| Site {
        detector: trigger.detector,
        psd: trigger.psd.clone(),
    });
    let sites = sites.collect();
    let choice = WaveformChoice::ByMass;
    let simulation =
        Simulation::new(&reference.template, choice, 15.0, sites, 8_192).expect("prepared");
    let ours = simulation.observe(&source, None);
    for (ours, theirs) in ours.triggers.iter().zip(&reference.triggers) {
        let name = theirs.detector.prefix();
        let ratio = ours.snr.expect("an SNR") / theirs.snr.expect("an SNR");
        assert!((ratio - 1.0).abs() < 0.01, "{name}: SNR ratio {ratio}");
        let apart = ours.time.nanos() - theirs.time.nanos();
        assert!(apart.abs() < 125_000, "{name}: {apart} ns apart");
    }
}
