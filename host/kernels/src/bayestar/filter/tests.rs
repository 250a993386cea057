use super::*;
use crate::psd::Psd;
use crate::waveform::{Approximant, Template};

fn curve() -> NoiseCurve {
    let noise = |k: u16| {
        let f = f64::from(k) * 0.5;
        1e-46 * ((20.0 / f).powi(6) + 1.0 + (f / 200.0).powi(2))
    };
    let values = (20..4_000).map(noise).collect();
    Psd::new(10.0, 0.5, values)
        .and_then(|psd| psd.interpolate(0.95))
        .expect("positive")
}

/// `W` of every bin of a short template, summed without blocks.
fn brute_force() -> (TemplatePower, Vec<f64>) {
    let template = Template::new([9.0, 6.0], [0.0; 2], 1_024.0).expect("valid");
    let power = TemplatePower::new(&template, Approximant::ImrPhenomD, 30.0).expect("laid out");
    let curve = curve();
    let w = (0..power.end).map(|k| {
        let f = k as f64 * power.delta_f;
        let ln_s = curve.ln_at(f, f.ln()).filter(|_| k >= power.first);
        ln_s.map_or(0.0, |ln_s| power.at(k as f64) * (-ln_s).exp())
    });
    let w = w.collect();
    (power, w)
}

#[test]
fn blocks_give_the_sums_over_bins() {
    let (power, mut w) = brute_force();
    let spectrum = FilterSpectrum::new(&power, &[curve()], &Work::default()).expect("fits");
    let spectrum = &spectrum[0];
    let lag = |j: usize, w: &[f64]| {
        let angle = 2.0 * PI * j as f64 * power.delta_f / (2.0 * power.f_max);
        (0..)
            .zip(w)
            .map(|(k, w)| w * Complex64::cis(angle * f64::from(k)))
            .sum::<Complex64>()
    };
    let found = spectrum
        .autocorrelation(100, &Work::default())
        .expect("small");
    for j in [0, 1, 10, 99] {
        let expected = lag(j, &w) / lag(0, &w).norm();
        assert!(
            (found[j] - expected).norm() < 1e-8,
            "lag {j}: {} {expected}",
            found[j]
        );
    }
    // The trapezoid rule halves both ends.
    let first = w.iter().position(|&w| w > 0.0).expect("power");
    let last = w.iter().rposition(|&w| w > 0.0).expect("power");
    w[first] *= 0.5;
    w[last] *= 0.5;
    let sum: f64 = w.iter().sum();
    let horizon = (4.0 * power.delta_f * sum).sqrt();
    assert!((spectrum.horizon() / horizon - 1.0).abs() < 1e-12);
    let mean = (0..).zip(&w).map(|(k, w)| f64::from(k) * w).sum::<f64>() / sum;
    let variance = (0..)
        .zip(&w)
        .map(|(k, w)| (f64::from(k) - mean).powi(2) * w)
        .sum::<f64>()
        / sum;
    let bandwidth = 2.0 * PI * power.delta_f * variance.sqrt();
    assert!((spectrum.bandwidth() / bandwidth - 1.0).abs() < 1e-10);
}

#[test]
fn memory_is_checked_before_blocks_are_made() {
    let (power, _) = brute_force();
    let work = Work {
        max_bytes: 100,
        ..Work::default()
    };
    assert!(FilterSpectrum::new(&power, &[curve()], &work).is_err());
}
