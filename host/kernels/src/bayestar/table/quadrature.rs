//! The integrals of a table's cells.
//!
//! For a power-law prior from zero distance, cells on a diagonal of the grid share `s = p/r₀`,
//! and their integrals differ only in the lower limit `z = p/r_max`. Each diagonal is therefore
//! one running sum from the far end, panel by panel, instead of a quadrature per cell.

use super::{Axes, N_NODES};
use crate::bayestar::bessel::scaled_i0;
use crate::bayestar::radial::{
    DistancePrior, GAUSS_3, GAUSS_8, N_POWERS, REACH, RadialIntegral, Rule, direct, gauss,
};
use crate::numeric::index;

/// Cells this far below the anti-diagonal are still neighbours of the bicubic patch.
const MARGIN: usize = 8;

/// The values of `i` on diagonal `k = i - j + N - 1` that the patch or its edges need.
pub(super) fn cell_range(k: usize) -> (usize, usize) {
    let first = (k + 1).saturating_sub(N_NODES);
    let last = k.min(N_NODES - 1);
    // i + j = 2i - (k - N + 1) is to be at least N - 1 - MARGIN.
    let above = k.saturating_sub(MARGIN).div_ceil(2);
    (first.max(above), last)
}

/// Integrals of all needed cells of one diagonal.
pub(super) fn diagonal(axes: &Axes, prior: &DistancePrior, k: usize) -> Vec<RadialIntegral> {
    let (first, last) = cell_range(k);
    let s = axes.s(k as f64 - (N_NODES - 1) as f64);
    if prior.is_scale_free() {
        return running(axes, prior, s, first..last + 1);
    }
    (first..=last)
        .map(|i| direct(prior, axes.p(i), s))
        .collect()
}

/// The cells of one diagonal as a running sum over `z` from infinity to `p/r_max`.
fn running(
    axes: &Axes,
    prior: &DistancePrior,
    s: f64,
    cells: std::ops::Range<usize>,
) -> Vec<RadialIntegral> {
    let mut sum = Running::new(prior.power(), s);
    let mut integrals = Vec::with_capacity(cells.len());
    let z_of = |i: usize| axes.p(i) / prior.max();
    if let Some(last) = cells.clone().last() {
        sum.extend(&GAUSS_8, z_of(last).max(s) + REACH.sqrt(), z_of(last), 0.7);
    }
    let mut upper = None;
    for i in cells.rev() {
        let z = z_of(i);
        if let Some(upper) = upper {
            sum.extend(&GAUSS_3, upper, z, 0.25);
        }
        upper = Some(z);
        integrals.push(sum.integral(axes.p(i)));
    }
    integrals.reverse();
    integrals
}

/// `∫ exp(-(z-s)²) Ĩ₀(2sz) z^-(power+2+k) dz`, scaled by `exp(least)` against underflow.
struct Running {
    power: i32,
    s: f64,
    least: f64,
    sums: [f64; N_POWERS],
}

impl Running {
    fn new(power: i32, s: f64) -> Self {
        Self {
            power,
            s,
            least: f64::INFINITY,
            sums: [0.0; N_POWERS],
        }
    }

    /// Adds the part from `low` to `high` in panels of at most `width` and a factor 1.5, leaving
    /// out what lies too far down the Gaussian to matter.
    fn extend<const N: usize>(&mut self, rule: &Rule<N>, high: f64, low: f64, width: f64) {
        self.rescale(low, high);
        let reach = (self.least + REACH).sqrt();
        let low = low.max(self.s - reach);
        let high = high.min(self.s + reach);
        if low >= high {
            return;
        }
        let count = ((high - low) / width)
            .max((high / low).ln() / 0.4)
            .ceil()
            .max(1.0);
        let equal_steps = (high - low) / width >= (high / low).ln() / 0.4;
        let edge = |i: f64| {
            let t = i / count;
            if equal_steps {
                low + (high - low) * t
            } else {
                low * (high / low).powf(t)
            }
        };
        for i in 0..index(count) {
            let (from, to) = (edge(i as f64), edge(i as f64 + 1.0));
            gauss(rule, from, to, |z, weight| self.add(z, weight));
        }
    }

    fn add(&mut self, z: f64, weight: f64) {
        let q = z - self.s;
        let inverse = 1.0 / z;
        let value = weight
            * (self.least - q * q).exp()
            * scaled_i0(2.0 * self.s * z)
            * inverse.powi(self.power + 2);
        self.sums[0] += value;
        self.sums[1] += value * inverse;
        self.sums[2] += value * inverse * inverse;
    }

    /// Counts exponents from the least one met so far.
    fn rescale(&mut self, low: f64, high: f64) {
        let q = self.s.clamp(low, high) - self.s;
        let least = self.least.min(q * q);
        if self.least.is_finite() {
            let factor = (least - self.least).exp();
            self.sums = self.sums.map(|sum| sum * factor);
        }
        self.least = least;
    }

    fn integral(&self, p: f64) -> RadialIntegral {
        RadialIntegral {
            ln: f64::from(self.power + 1) * p.ln() + self.sums[0].ln() - self.least,
            mean: p * self.sums[1] / self.sums[0],
            mean_square: p * p * self.sums[2] / self.sums[0],
        }
    }
}
