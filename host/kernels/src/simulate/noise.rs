//! Gaussian noise from a seed, with a given correlation.

use num_complex::Complex64;
use std::f64::consts::PI;

/// Pseudo-random numbers by `SplitMix64` (Steele, Lea & Flood 2014, OOPSLA '14, 453).
///
/// The sequence of a seed never changes: simulated candidates are facts that tests and
/// demonstrations refer to.
#[derive(Clone, Debug)]
pub struct Generator(u64);

impl Generator {
    /// Begins the sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number, uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 0.5_f64.powi(53)
    }

    /// Two independent normal numbers of mean 0 and variance 1 (Box & Muller 1958, Ann. Math.
    /// Stat. 29, 610) as one complex number.
    pub fn complex_normal(&mut self) -> Complex64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        Complex64::from_polar(radius, 2.0 * PI * self.uniform())
    }
}

/// Stationary complex noise `n` with `⟨n_j n_k*⟩ = 2 a(j - k)`, `a(0) = 1`.
#[derive(Clone, Debug)]
pub(super) struct Coloured {
    /// Rows of the Cholesky factor; row `j` has `j + 1` entries.
    factor: Vec<Vec<Complex64>>,
}

impl Coloured {
    /// Factors the covariance of `len` samples; `correlation(j)` is `a(j)` for `j ≥ 0`.
    ///
    /// A filter with an empty band has a singular covariance; a trace of white noise, 1e-8 of
    /// the power, makes it regular.
    pub(super) fn new(len: usize, correlation: impl Fn(usize) -> Complex64) -> Self {
        const WHITE: f64 = 1e-8;
        let lags: Vec<Complex64> = (0..len).map(correlation).collect();
        let mut factor: Vec<Vec<Complex64>> = Vec::with_capacity(len);
        for j in 0..len {
            let mut row: Vec<Complex64> = Vec::with_capacity(j + 1);
            for k in 0..=j {
                let above = factor.get(k).unwrap_or(&row);
                let common = row.iter().zip(&above[..k]);
                let known: Complex64 = common.map(|(a, b)| a * b.conj()).sum();
                let rest = lags[j - k] - known;
                let entry = if j == k {
                    Complex64::from((rest.re + WHITE).max(WHITE).sqrt())
                } else {
                    rest / above[k].re
                };
                row.push(entry);
            }
            factor.push(row);
        }
        Self { factor }
    }

    /// One realization.
    pub(super) fn draw(&self, generator: &mut Generator) -> Vec<Complex64> {
        let white: Vec<Complex64> = self
            .factor
            .iter()
            .map(|_| generator.complex_normal())
            .collect();
        let colour = |row: &Vec<Complex64>| row.iter().zip(&white).map(|(a, b)| a * b).sum();
        self.factor.iter().map(colour).collect()
    }
}
