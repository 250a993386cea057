//! What a matched filter for a template can resolve in a given noise.
//!
//! The template's power over the noise, `W_k = |h_k|²/S_k`, gives the horizon, the effective
//! bandwidth and the autocorrelation. A template has up to millions of bins, but `W` is smooth
//! within a run of 32 of them, and only lags of some ten milliseconds matter. So `W` is taken at
//! five places of a run, and runs are summed in blocks of a quarter hertz, each kept as moments
//! about its centre; horizon, bandwidth and lags follow from those without a Fourier transform.
//! Runs with a taper or a corner of the spectrum inside are summed bin by bin.

use crate::numeric::index;
use crate::psd::NoiseCurve;
use crate::waveform::TemplatePower;
use crate::work::{Cancelled, OutOfMemory, Work, filled};
use num_complex::Complex64;
use std::f64::consts::PI;

/// Powers 0 to 4 of the distance from the centre.
type Moments = [f64; 5];
/// Target width of a block, Hz.
const BLOCK_HZ: f64 = 0.25;
/// Bins of a run.
const RUN: usize = 32;
/// Places of a run where the power is taken, in bins from its centre.
const PLACES: [f64; 5] = [-15.0, -9.0, 0.0, 9.0, 15.0];

/// Why a filter could not be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(crate) enum FilterError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

/// `W` of one detector, in blocks.
#[derive(Clone, Debug)]
pub(crate) struct FilterSpectrum {
    delta_f: f64,
    /// Twice the number of bins up to Nyquist: the length of the implied time series.
    samples: f64,
    /// Number of the first block, counted from zero frequency.
    first_block: usize,
    /// Bins of a block.
    width: usize,
    blocks: Vec<Moments>,
    /// First and last bin with power: their number and `W`.
    ends: Option<[(f64, f64); 2]>,
}

impl FilterSpectrum {
    /// Divides a template's power by each of several spectra. One pass over the template.
    pub(crate) fn new(
        power: &TemplatePower,
        curves: &[NoiseCurve],
        work: &Work<'_>,
    ) -> Result<Vec<Self>, FilterError> {
        let width = index((BLOCK_HZ / power.delta_f).floor()).max(1);
        let width = if width > RUN {
            width.next_multiple_of(RUN)
        } else {
            width
        };
        let first_block = power.first / width;
        let n_blocks = (power.end / width + 1).saturating_sub(first_block);
        work.check_memory(n_blocks.saturating_mul(size_of::<Moments>() * curves.len()))?;
        let mut spectra = Vec::with_capacity(curves.len());
        for _ in curves {
            spectra.push(Self {
                delta_f: power.delta_f,
                samples: 2.0 * power.f_max / power.delta_f,
                first_block,
                width,
                blocks: filled(n_blocks, [0.0; 5])?,
                ends: None,
            });
        }
        let weights = run_weights();
        // Blocks shorter than a run are summed bin by bin.
        let smooth_from = if width >= RUN {
            power.untapered()
        } else {
            usize::MAX
        };
        let mut bin = power.first;
        while bin < power.end {
            let end = (bin + 1).next_multiple_of(RUN).min(power.end);
            let whole = bin >= smooth_from && end - bin == RUN;
            for (spectrum, curve) in spectra.iter_mut().zip(curves) {
                if whole && is_smooth(power, curve, bin) {
                    spectrum.add_run(power, curve, (bin, &weights));
                } else {
                    spectrum.add_bins(power, curve, bin..end);
                }
            }
            if bin.is_multiple_of(4_096) {
                work.check_cancel()?;
            }
            bin = end;
        }
        for (spectrum, curve) in spectra.iter_mut().zip(curves) {
            if let Some([_, (last, w)]) = &mut spectrum.ends {
                *w = w_at(power, curve, *last).unwrap_or(0.0);
            }
        }
        Ok(spectra)
    }

    fn add_bins(
        &mut self,
        power: &TemplatePower,
        curve: &NoiseCurve,
        bins: std::ops::Range<usize>,
    ) {
        for bin in bins {
            let place = bin as f64;
            let w = w_at(power, curve, place).unwrap_or(0.0);
            if w.is_nan() || w <= 0.0 {
                continue;
            }
            let [first, _] = self.ends.unwrap_or([(place, w); 2]);
            self.ends = Some([first, (place, w)]);
            let block = bin / self.width - self.first_block;
            let from_center = place - self.center(block);
            let mut term = w;
            for moment in &mut self.blocks[block] {
                *moment += term;
                term *= from_center;
            }
        }
    }

    /// Adds a run of bins; `weights` make moments about its centre of the power at its places.
    fn add_run(
        &mut self,
        power: &TemplatePower,
        curve: &NoiseCurve,
        (bin, weights): (usize, &[Moments; 5]),
    ) {
        let center = bin as f64 + 0.5 * (RUN as f64 - 1.0);
        let mut run = [0.0; 5];
        for (place, weights) in PLACES.iter().zip(weights) {
            let w = w_at(power, curve, center + place).unwrap_or(0.0);
            for (moment, weight) in run.iter_mut().zip(weights) {
                *moment += w * weight;
            }
        }
        let last = (bin + RUN - 1) as f64;
        let first = self.ends.map_or_else(
            || (bin as f64, w_at(power, curve, bin as f64).unwrap_or(0.0)),
            |[first, _]| first,
        );
        self.ends = Some([first, (last, 0.0)]);
        let block = bin / self.width - self.first_block;
        let shifted = shift(&run, center - self.center(block));
        for (moment, more) in self.blocks[block].iter_mut().zip(shifted) {
            *moment += more;
        }
    }

    /// Centre of a block, in bins.
    fn center(&self, block: usize) -> f64 {
        ((self.first_block + block) * self.width) as f64 + 0.5 * (self.width as f64 - 1.0)
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
    pub(crate) fn autocorrelation(
        &self,
        n: usize,
        work: &Work<'_>,
    ) -> Result<Vec<Complex64>, FilterError> {
        let mut values = filled(n, Complex64::from(0.0))?;
        for (j, value) in values.iter_mut().enumerate() {
            if j.is_multiple_of(16) {
                work.check_cancel()?;
            }
            *value = self.lag(2.0 * PI * j as f64 / self.samples);
        }
        let scale = values.first().map_or(1.0, |value| 1.0 / value.norm());
        for value in &mut values {
            *value *= scale;
        }
        Ok(values)
    }

    /// The autocorrelation at a lag of less than 0.2 s, `a(0) = 1`.
    pub(crate) fn correlation(&self, lag_s: f64) -> Complex64 {
        let power: f64 = self.blocks.iter().map(|[m0, ..]| m0).sum();
        self.lag(2.0 * PI * self.delta_f * lag_s) / power
    }

    /// `Σ W exp(i angle k)`, where `angle` is small enough for a block's Taylor series.
    fn lag(&self, angle: f64) -> Complex64 {
        let step = Complex64::cis(angle * self.width as f64);
        let mut turn = Complex64::cis(angle * self.center(0));
        let square = angle * angle;
        let (half, sixth, fourth) = (square / 2.0, square * angle / 6.0, square * square / 24.0);
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

/// `W` at a place in bins, not necessarily a whole number.
fn w_at(power: &TemplatePower, curve: &NoiseCurve, bin: f64) -> Option<f64> {
    let f = bin * power.delta_f;
    let ln_s = curve.ln_at(f, f.ln())?;
    Some(power.at(bin) * (-ln_s).exp())
}

/// Whether the noise is one power law, and finite, over the run that begins at `bin`.
fn is_smooth(power: &TemplatePower, curve: &NoiseCurve, bin: usize) -> bool {
    curve.is_one_piece(
        bin as f64 * power.delta_f,
        (bin + RUN - 1) as f64 * power.delta_f,
    )
}

/// For each place, the sums over a run of the Lagrange polynomial that is 1 there, times powers
/// of the distance from the centre.
fn run_weights() -> [Moments; 5] {
    let mut weights = [[0.0; 5]; 5];
    for k in 0..RUN {
        let x = k as f64 - 0.5 * (RUN as f64 - 1.0);
        for (own, weights) in PLACES.iter().zip(&mut weights) {
            let others = PLACES.iter().filter(|other| (*other - own).abs() > 0.5);
            let mut term: f64 = others.map(|other| (x - other) / (own - other)).product();
            for weight in weights {
                *weight += term;
                term *= x;
            }
        }
    }
    weights
}

/// Moments about a centre that is `by` further down.
fn shift(moments: &Moments, by: f64) -> Moments {
    let [m0, m1, m2, m3, m4] = moments;
    [
        *m0,
        m1 + by * m0,
        m2 + by * (2.0 * m1 + by * m0),
        m3 + by * (3.0 * m2 + by * (3.0 * m1 + by * m0)),
        m4 + by * (4.0 * m3 + by * (6.0 * m2 + by * (4.0 * m1 + by * m0))),
    ]
}

#[cfg(test)]
mod tests;
