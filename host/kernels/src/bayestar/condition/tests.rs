use super::*;
use crate::detectors::Detector;
use crate::psd::Psd;
use crate::waveform::Template;

const START: i64 = 1_000_000_000_000_000_000;

fn trigger(prefix: &str, len: usize) -> Trigger {
    let delta_t = 1.0 / 2_048.0;
    let before = integer(1e9 * delta_t * (len / 2) as f64);
    let sample = |s: usize| {
        let phase = 2.9 * s as f64;
        [narrow(5.0 * phase.cos()), narrow(5.0 * phase.sin())]
    };
    let psd = (0..2_000).map(|k| 1e-46 * (1.0 + (40.0 / (10.0 + f64::from(k))).powi(4)));
    Trigger {
        detector: Detector::by_prefix(prefix).expect("known"),
        snr: Some(8.0),
        phase: 0.5,
        time: GpsTime::from_nanos(START),
        psd: Psd::new(10.0, 1.0, psd.collect()).expect("valid"),
        series: Some(SnrSeries {
            epoch: GpsTime::from_nanos(START - before),
            delta_t,
            samples: (0..len).map(sample).collect(),
        }),
    }
}

fn candidate() -> Candidate {
    let template = Template::new([12.0, 9.0], [0.0; 2], 1_024.0).expect("valid");
    let triggers = vec![trigger("H1", 301), trigger("L1", 301), trigger("V1", 301)];
    Candidate {
        id: 0,
        template,
        triggers,
    }
}

fn options() -> Options {
    Options {
        f_low: 20.0,
        ..Options::default()
    }
}

fn run(change: impl Fn(&mut Candidate)) -> Result<Network, ConditionError> {
    let mut candidate = candidate();
    change(&mut candidate);
    condition(&candidate, &options(), &Work::default())
}

#[test]
fn series_are_cut_about_their_middle() {
    let network = run(|_| {}).expect("conditioned");
    assert!(network.n % 2 == 1 && network.n < 301);
    assert!((network.epoch.nanos() - START).abs() <= 1);
    for channel in &network.channels {
        assert_eq!(channel.phase.len(), network.n);
        let middle = channel.start + 0.5 * (network.n as f64 - 1.0) / network.sample_rate;
        assert!(middle.abs() < 1e-9, "{middle}");
        // Sample 150 of the series is the middle one.
        let turns = (f64::from(channel.phase[network.n / 2]) - 2.9 * 150.0) / (2.0 * PI);
        assert!((turns - turns.round()).abs() < 1e-4, "{turns}");
        for pair in channel.phase.windows(2) {
            assert!((f64::from(pair[1] - pair[0]) - 2.9).abs() < 1e-3);
        }
    }
}

#[test]
fn the_network_is_centred_where_the_weight_is() {
    let network = run(|candidate| candidate.triggers[1].snr = Some(1e6)).expect("conditioned");
    let from_center = |k: usize| dot(network.channels[k].location, network.channels[k].location);
    assert!(from_center(1).sqrt() < 1e-9);
    assert!((from_center(0).sqrt() - 0.010_013).abs() < 1e-5);
}

#[test]
fn without_series_the_autocorrelation_stands_in() {
    let network = run(|candidate| {
        for trigger in &mut candidate.triggers {
            trigger.series = None;
        }
    });
    let network = network.expect("conditioned");
    let middle = network.n / 2;
    for channel in &network.channels {
        assert!((channel.amplitude[middle] - 8.0).abs() < 1e-5);
        let turns = (f64::from(channel.phase[middle]) - 0.5) / (2.0 * PI);
        assert!((turns - turns.round()).abs() < 1e-5);
        // A Hermitian series has an even amplitude.
        let mirrored = channel.amplitude.iter().zip(channel.amplitude.iter().rev());
        assert!(
            mirrored
                .into_iter()
                .all(|(a, b)| (a - b).abs() < 1e-5 && *a <= 8.000_01)
        );
    }
}

#[test]
fn a_trigger_without_snr_is_dropped_only_without_series() {
    let drop_snr = |candidate: &mut Candidate| candidate.triggers[2].snr = None;
    assert_eq!(run(drop_snr).expect("conditioned").channels.len(), 3);
    let mut candidate = candidate();
    drop_snr(&mut candidate);
    let options = Options {
        enable_snr_series: false,
        ..options()
    };
    let network = condition(&candidate, &options, &Work::default()).expect("conditioned");
    assert_eq!(network.channels.len(), 2);
}

#[track_caller]
fn check_refused(change: impl Fn(&mut Candidate), message: &str) {
    assert_eq!(run(change).expect_err(message).to_string(), message);
}

#[test]
fn series_that_do_not_fit_together_are_refused_by_name() {
    let later = |c: &mut Candidate| {
        let trigger = &mut c.triggers[2];
        trigger.time = trigger.time.later(61_000_000_000);
        if let Some(series) = &mut trigger.series {
            series.epoch = series.epoch.later(61_000_000_000);
        }
    };
    check_refused(
        later,
        "the trigger of V1 is more than a minute from the first one",
    );
    check_refused(
        |c| c.triggers[1].series = None,
        "SNR series missing for L1: give all or none",
    );
    check_refused(
        |c| c.triggers[1] = trigger("L1", 300),
        "SNR series of L1 has 300 samples: an odd number is needed",
    );
    check_refused(
        |c| c.triggers[2] = trigger("V1", 31),
        "SNR series of V1 has another length than the first one",
    );
    check_refused(
        |c| c.triggers[0].time = GpsTime::from_nanos(START + 600_000),
        "SNR series of H1 is not centred on its trigger",
    );
    let half_rate = |c: &mut Candidate| {
        if let Some(series) = &mut c.triggers[1].series {
            let before = integer(1e9 * 150.0 / 1_024.0);
            (series.delta_t, series.epoch) = (1.0 / 1_024.0, GpsTime::from_nanos(START - before));
        }
    };
    check_refused(
        half_rate,
        "SNR series of L1 has another time step than the first one",
    );
}

#[test]
fn candidates_without_anything_to_weigh_are_refused() {
    check_refused(
        |c| c.triggers.clear(),
        "no detector is left: of the candidate's 0, all are disabled or without SNR",
    );
    let mute = |c: &mut Candidate| c.triggers.iter_mut().for_each(|trigger| trigger.snr = None);
    check_refused(mute, "no trigger has an SNR");
    let high = |c: &mut Candidate| {
        c.triggers[0].psd = Psd::new(5_000.0, 1.0, vec![1e-46; 1_000]).expect("valid");
    };
    check_refused(
        high,
        "H1 cannot hear the template: its PSD and the template have no band in common",
    );
}
