use super::*;
use crate::bayestar::angles::INCLINATIONS;
use crate::bayestar::radial::{DistancePrior, direct};
use crate::detectors::{Detector, dot};
use crate::gps::GpsTime;
use crate::numeric::narrow;
use crate::work::Work;
use num_complex::Complex64;
use std::f64::consts::PI;

/// A signal of one millisecond's width in each of several detectors, with a little of something
/// else beside it.
fn network(prefixes: &[&str], snr: f64) -> Network {
    let (n, sample_rate) = (41, 1_024.0);
    let channels = prefixes.iter().enumerate().map(|(k, prefix)| {
        let detector = Detector::by_prefix(prefix).expect("known");
        let tilt = k as f64;
        let sample = |s: usize| {
            let t = s as f64 - 20.0 - tilt;
            let bump = snr * (-0.15 * t * t).exp();
            let noise = 0.6 + 0.5 * (1.3 * s as f64 + tilt).sin();
            (narrow(bump + noise), narrow(0.4 * t + tilt))
        };
        let (amplitude, phase) = (0..n).map(sample).unzip();
        Channel {
            detector,
            horizon: 1_500.0 + 300.0 * tilt,
            start: -0.5 * (n as f64 - 1.0) / sample_rate + 0.002 * tilt,
            location: detector.location().map(|x| 0.7 * x),
            amplitude,
            phase,
        }
    });
    let epoch = GpsTime::new(1_187_008_882, 430_000_000).expect("in range");
    let channels = channels.collect();
    Network {
        epoch,
        gmst: epoch.gmst(),
        sample_rate,
        n,
        channels,
    }
}

/// The interpolated series of a channel, in double precision.
fn sample(channel: &Channel, position: f64) -> Complex64 {
    let i = position.floor();
    let n = channel.amplitude.len() as f64;
    if i < 1.0 || i >= n - 2.0 {
        return Complex64::from(0.0);
    }
    let at = |series: &[f32]| {
        let x = [-1.0, 0.0, 1.0, 2.0].map(|k| f64::from(series[crate::numeric::index(i + k)]));
        let t = position - i;
        let cubic = 0.5 * (x[3] - x[0]) + 1.5 * (x[1] - x[2]);
        let square = x[0] - 2.5 * x[1] + 2.0 * x[2] - 0.5 * x[3];
        x[1] + t * (0.5 * (x[2] - x[0]) + t * (square + t * cubic))
    };
    Complex64::from_polar(at(&channel.amplitude), at(&channel.phase))
}

/// The definition: every polarization, inclination and time, each integrated over distance.
fn by_definition(network: &Network, prior: &DistancePrior, kappa: f64, pixel: Pixel) -> [f64; 3] {
    let (ra, dec) = pixel.center();
    let hour_angle = network.gmst - ra;
    let toward = [
        dec.cos() * hour_angle.cos(),
        -dec.cos() * hour_angle.sin(),
        dec.sin(),
    ];
    let half = 0.5 * (network.n as f64 - 1.0);
    let mut terms = Vec::new();
    for j in 0..10 {
        let turn = Complex64::cis(-2.0 * PI * f64::from(j) / 10.0);
        let signed = INCLINATIONS.iter().flat_map(|&(u, w)| [(u, w), (-u, w)]);
        for (u, weight) in signed {
            let z: Vec<Complex64> = network
                .channels
                .iter()
                .map(|channel| {
                    let (plus, cross) = channel.detector.antenna_factors(hour_angle, dec);
                    let f = Complex64::new(plus, cross) * channel.horizon * turn;
                    Complex64::new(0.5 * (1.0 + u * u) * f.re, -u * f.im)
                })
                .collect();
            let p = (0.5 * z.iter().map(Complex64::norm_sqr).sum::<f64>()).sqrt() * kappa;
            for s in 0..network.n {
                let product = network.channels.iter().zip(&z).map(|(channel, z)| {
                    let arrival = channel.start + dot(channel.location, toward);
                    z.conj() * sample(channel, s as f64 - network.sample_rate * arrival - half)
                });
                let b = kappa * kappa * product.sum::<Complex64>().norm();
                let root = b / (2.0 * p);
                let integral = direct(prior, p, root);
                terms.push((root * root + integral.ln, weight, integral));
            }
        }
    }
    let peak = terms
        .iter()
        .map(|term| term.0)
        .fold(f64::NEG_INFINITY, f64::max);
    let mut sums = [0.0; 3];
    for (value, weight, integral) in terms {
        let weight = weight * (value - peak).exp();
        sums[0] += weight;
        sums[1] += weight * integral.mean;
        sums[2] += weight * integral.mean_square;
    }
    [peak + sums[0].ln(), sums[1] / sums[0], sums[2] / sums[0]]
}

#[track_caller]
fn check(prefixes: &[&str], snr: f64, pixels: &[u64]) {
    check_between((0.0, 500.0), prefixes, snr, pixels);
}

/// The same for a prior between two distances.
#[track_caller]
fn check_between((min, max): (f64, f64), prefixes: &[&str], snr: f64, pixels: &[u64]) {
    let network = network(prefixes, snr);
    let prior = DistancePrior::new(min, max, 2, false).expect("valid");
    let rescale = 0.83;
    let power: f64 = network
        .channels
        .iter()
        .map(|channel| channel.horizon.powi(2))
        .sum();
    let p_max = rescale * (0.5 * power).sqrt();
    let table = RadialTable::new(p_max, &prior, &Work::default()).expect("made");
    let hour_angle = HourAngle::Exact;
    let likelihood = Likelihood {
        network: &network,
        table: &table,
        rescale,
        hour_angle,
    };
    let mut scratch = Scratch::new(&likelihood).expect("small");
    for &nest in pixels {
        let pixel = Pixel::new(2, nest).expect("the pixel exists");
        let [ln, mean, square] = by_definition(&network, &prior, rescale, pixel);
        for found in [
            likelihood.coherent::<false>(&mut scratch, pixel),
            likelihood.coherent::<true>(&mut scratch, pixel),
        ] {
            // The table is coarse for an integral as steep as where the prior hardly allows
            // anything.
            let steep = 4e-4 * (-ln).max(0.0);
            assert!(
                (found.ln - ln).abs() < 2e-3 + 1e-5 * ln.abs() + steep,
                "{prefixes:?} {nest}: {} {ln}",
                found.ln
            );
            assert!(
                (found.mean / mean - 1.0).abs() < 1e-3,
                "{prefixes:?} {nest}: {} {mean}",
                found.mean
            );
            let ratio = found.mean_square / square;
            assert!(
                (ratio - 1.0).abs() < 2e-3,
                "{prefixes:?} {nest}: mean square off by {ratio}"
            );
        }
    }
}

#[test]
fn a_pixel_is_what_the_definition_says_for_a_network() {
    check(&["H1", "L1", "V1"], 9.0, &[3, 50, 100, 191]);
}

#[test]
fn a_pixel_is_what_the_definition_says_for_a_loud_signal() {
    check(&["H1", "L1", "V1"], 80.0, &[3, 50, 100, 191]);
    check(&["H1", "L1", "V1", "K1"], 200.0, &[3, 50, 100, 191]);
}

#[test]
fn a_pixel_is_what_the_definition_says_for_one_detector() {
    check(&["V1"], 12.0, &[3, 50, 100, 191]);
}

#[test]
fn a_pixel_is_what_the_definition_says_without_a_clear_signal() {
    check(&["H1", "K1"], 1.0, &[0, 77]);
}

#[test]
fn a_pixel_is_what_the_definition_says_of_nothing() {
    check(&["H1", "L1", "V1"], 0.0, &[0, 77]);
}

/// Signals are too weak for how near the prior is: the peak is far below zero, which angles
/// without weight must not notice.
#[test]
fn a_pixel_is_what_the_definition_says_when_all_distances_are_too_near() {
    for max in [100.0, 30.0, 10.0, 5.0] {
        check_between((0.0, max), &["H1", "L1"], 15.0, &[3, 50, 100, 191]);
        check_between((0.0, max), &["H1", "L1", "V1"], 9.0, &[3, 50, 100, 191]);
        check_between((0.0, max), &["V1"], 9.0, &[3, 191]);
    }
}

#[test]
fn a_pixel_is_what_the_definition_says_when_all_distances_are_too_far() {
    for (min, max) in [(500.0, 1e3), (2e3, 1e4)] {
        check_between((min, max), &["H1", "L1"], 15.0, &[3, 50, 100, 191]);
        check_between((min, max), &["H1", "L1", "V1"], 30.0, &[3, 191]);
    }
}

#[test]
fn one_detector_alone_is_a_network_of_one() {
    let whole = network(&["H1", "L1"], 8.0);
    let mut single = whole.clone();
    single.channels.truncate(1);
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(2_000.0, &prior, &Work::default()).expect("made");
    let pixel = Pixel::new(2, 100).expect("the pixel exists");
    let likelihood = |network| Likelihood {
        network,
        table: &table,
        rescale: 0.83,
        hour_angle: HourAngle::Single,
    };
    let (both, one) = (likelihood(&whole), likelihood(&single));
    let mut scratch = Scratch::new(&both).expect("small");
    let incoherent = both.incoherent::<false>(&mut scratch, &whole.channels[0], pixel);
    assert_eq!(incoherent, one.coherent::<false>(&mut scratch, pixel));
}
