//! What a matched filter for a template can resolve in a given noise.
//!
//! The template's power over the noise, `W_k = |h_k|²/S_k`, gives the horizon, the effective
//! bandwidth and the autocorrelation. A template has up to millions of bins, but only lags of
//! some ten milliseconds matter: bins are summed in blocks of a quarter hertz, each kept as
//! moments about its centre, from which all three follow without a Fourier transform.

use crate::psd::NoiseCurve;
use crate::waveform::TemplatePower;
use crate::work::{OutOfMemory, Work, filled};
use num_complex::Complex64;
use std::f64::consts::PI;

/// Moments kept: powers 0 to 4 of the distance from the block's centre.
const N_MOMENTS: usize = 5;
/// Target width of a block, Hz.
const BLOCK_HZ: f64 = 0.25;

/// `W` of one detector, in blocks.
#[derive(Clone, Debug)]
pub(crate) struct FilterSpectrum {
    delta_f: f64,
    /// Twice the number of bins up to Nyquist: the length of the implied time series.
    samples: f64,
    /// Centre of the first block, and the step between centres, in bins.
    first_center: f64,
    width: f64,
    blocks: Vec<[f64; N_MOMENTS]>,
    /// First and last bin with power: their number and `W`.
    ends: Option<[(f64, f64); 2]>,
}

impl FilterSpectrum {
    /// Divides a template's power by each of several spectra. One pass over the template.
    pub(crate) fn new(
        power: &TemplatePower,
        curves: &[NoiseCurve],
        work: &Work<'_>,
    ) -> Result<Vec<Self>, OutOfMemory> {
        let width = crate::numeric::index((BLOCK_HZ / power.delta_f).floor()).max(1);
        let n_blocks = power.end.saturating_sub(power.first).div_ceil(width);
        let bytes = n_blocks * size_of::<[f64; N_MOMENTS]>() * curves.len();
        work.check_memory(bytes)?;
        let empty = Self {
            delta_f: power.delta_f,
            samples: 2.0 * power.f_max / power.delta_f,
            first_center: power.first as f64 + 0.5 * (width as f64 - 1.0),
            width: width as f64,
            blocks: Vec::new(),
            ends: None,
        };
        let mut spectra = Vec::with_capacity(curves.len());
        for _ in curves {
            spectra.push(Self {
                blocks: filled(n_blocks, [0.0; N_MOMENTS])?,
                ..empty.clone()
            });
        }
        for bin in power.first..power.end {
            let f = bin as f64 * power.delta_f;
            let (ln_f, h2) = (f.ln(), power.at(bin));
            for (spectrum, curve) in spectra.iter_mut().zip(curves) {
                if let Some(ln_s) = curve.ln_at(f, ln_f) {
                    spectrum.add((bin - power.first) / width, bin as f64, h2 * (-ln_s).exp());
                }
            }
        }
        Ok(spectra)
    }

    fn add(&mut self, block: usize, bin: f64, w: f64) {
        if w.is_nan() || w <= 0.0 {
            return;
        }
        let [first, _] = self.ends.unwrap_or([(bin, w); 2]);
        self.ends = Some([first, (bin, w)]);
        let from_center = bin - self.center(block);
        let mut term = w;
        for moment in &mut self.blocks[block] {
            *moment += term;
            term *= from_center;
        }
    }

    fn center(&self, block: usize) -> f64 {
        self.first_center + block as f64 * self.width
    }

    /// `Σ W (k - about)^m` for `m = 0, 1, 2` by the trapezoid rule: end bins count half.
    fn moments(&self, about: f64) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for (block, [m0, m1, m2, ..]) in self.blocks.iter().enumerate() {
            let shift = self.center(block) - about;
            sums[0] += m0;
            sums[1] += m1 + shift * m0;
            sums[2] += m2 + shift * (2.0 * m1 + shift * m0);
        }
        for (bin, w) in self.ends.into_iter().flatten() {
            let shift = bin - about;
            sums[0] -= 0.5 * w;
            sums[1] -= 0.5 * w * shift;
            sums[2] -= 0.5 * w * shift * shift;
        }
        sums
    }

    /// Distance of SNR 1 for a face-on source overhead, Mpc.
    pub(crate) fn horizon(&self) -> f64 {
        let [sum, ..] = self.moments(0.0);
        (4.0 * self.delta_f * sum).sqrt()
    }

    /// Standard deviation of angular frequency under `W`, rad/s: `1/(ρ·bandwidth)` is the
    /// Cramér–Rao bound on the arrival time at SNR `ρ` (Fairhurst 2009, NJP 11 123006).
    pub(crate) fn bandwidth(&self) -> f64 {
        let [sum, first, _] = self.moments(0.0);
        let [_, _, second] = self.moments(first / sum);
        2.0 * PI * self.delta_f * (second / sum).sqrt()
    }

    /// The autocorrelation at lags `0..n` samples, `a₀ = 1`. The sample rate is twice Nyquist.
    pub(crate) fn autocorrelation(&self, n: usize) -> Vec<Complex64> {
        let lags = (0..n).map(|j| self.lag(2.0 * PI * j as f64 / self.samples));
        let mut values: Vec<Complex64> = lags.collect();
        let scale = values.first().map_or(1.0, |value| 1.0 / value.norm());
        for value in &mut values {
            *value *= scale;
        }
        values
    }

    /// `Σ W exp(i angle k)`, where `angle` is small enough for a block's Taylor series.
    fn lag(&self, angle: f64) -> Complex64 {
        let step = Complex64::cis(angle * self.width);
        let mut turn = Complex64::cis(angle * self.first_center);
        let (half, sixth, fourth) = (
            angle * angle / 2.0,
            angle.powi(3) / 6.0,
            angle.powi(4) / 24.0,
        );
        let mut sum = Complex64::from(0.0);
        for [m0, m1, m2, m3, m4] in &self.blocks {
            let even = m0 - half * m2 + fourth * m4;
            let odd = angle * m1 - sixth * m3;
            sum += turn * Complex64::new(even, odd);
            turn *= step;
        }
        sum
    }
}

#[cfg(test)]
mod tests;
