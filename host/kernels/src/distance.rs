//! The distance ansatz of multi-order sky maps.
//!
//! Along a line of sight `p(r) = N r² exp(-(r - μ)² / 2σ²) / (√(2π) σ)` for `r ≥ 0`
//! (Singer et al. 2016, Astrophys. J. 829 L15, eq. 1; Astrophys. J. Suppl. 226 10, §3).
//! [`Ansatz`] holds `μ`, `σ`, `N`; [`Moments`] the mean and standard deviation that they
//! reproduce.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Conditional mean and standard deviation of distance along one line of sight, Mpc.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Mean; `+∞` where the distance is undefined.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
}

/// Parameters of the ansatz: location and scale in Mpc, normalization in Mpc⁻².
///
/// `(+∞, 1, 0)` marks a line of sight without a usable distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ansatz {
    /// `μ`.
    pub mu: f64,
    /// `σ`.
    pub sigma: f64,
    /// `N`.
    pub norm: f64,
}

/// `mean / std` below `√3` belongs to no ansatz; a little above, the fit is worthless.
const LEAST_RATIO: f64 = 1.732_050_807_568_877_2 + 0.01;

impl Moments {
    /// From `⟨r⟩` and `⟨r²⟩`. A variance that rounding made negative has no distance.
    pub fn from_powers(mean: f64, mean_square: f64) -> Self {
        let variance = mean_square - mean * mean;
        if variance >= 0.0 {
            Self {
                mean,
                std: variance.sqrt(),
            }
        } else {
            Self {
                mean: f64::INFINITY,
                std: 1.0,
            }
        }
    }

    /// Finds the ansatz with these moments by Newton's method on `z = μ/σ`, to a relative change
    /// of 1.5e-8 (Singer et al. 2016, Astrophys. J. Suppl. 226 10, §4.1).
    pub fn fit(self) -> Ansatz {
        let ratio = self.mean / self.std;
        if !ratio.is_finite() || ratio < LEAST_RATIO {
            return Ansatz::UNDEFINED;
        }
        let z = solve_shape(ratio);
        let shape = Shape::at(z);
        let sigma = self.mean * shape.x2 / shape.x3;
        let norm = 1.0 / (sigma * sigma * shape.x2 * normal_cdf(z));
        Ansatz {
            mu: sigma * z,
            sigma,
            norm,
        }
    }
}

impl Ansatz {
    /// No usable distance.
    pub const UNDEFINED: Self = Self {
        mu: f64::INFINITY,
        sigma: 1.0,
        norm: 0.0,
    };

    /// Mean and standard deviation of the ansatz.
    pub fn moments(self) -> Moments {
        let shape = Shape::at(self.mu / self.sigma);
        let mean = self.sigma * shape.x3 / shape.x2;
        let ratio = shape.x4 * shape.x2 / (shape.x3 * shape.x3);
        Moments {
            mean,
            std: mean * (ratio - 1.0).sqrt(),
        }
    }

    /// Probability that the distance is at most `r` Mpc.
    pub fn cdf(self, r: f64) -> f64 {
        if !self.mu.is_finite() || r <= 0.0 {
            return 0.0;
        }
        let (mu, sigma) = (self.mu, self.sigma);
        let (a, b) = (-mu / sigma, (r - mu) / sigma);
        let gauss = |t: f64| (-0.5 * t * t).exp();
        // The difference of two tails, whichever of them is small.
        let between = if a > 0.0 {
            normal_cdf(-a) - normal_cdf(-b)
        } else {
            normal_cdf(b) - normal_cdf(a)
        };
        let square = (mu * mu + sigma * sigma) * between;
        let ends = sigma / (2.0 * PI).sqrt() * (mu * gauss(a) - (r + mu) * gauss(b));
        self.norm * (square + ends)
    }
}

/// Power integrals of the ansatz in units of `σ`, and their derivatives by `z = μ/σ`.
struct Shape {
    x2: f64,
    x3: f64,
    x4: f64,
    slope2: f64,
    slope3: f64,
    slope4: f64,
}

impl Shape {
    fn at(z: f64) -> Self {
        let h = inverse_mills(z);
        let slope = -h * (z + h);
        let square = z * z;
        Self {
            x2: square + 1.0 + z * h,
            x3: z * (square + 3.0) + (square + 2.0) * h,
            x4: square * (square + 6.0) + 3.0 + z * (square + 5.0) * h,
            slope2: 2.0 * z + h + z * slope,
            slope3: 3.0 * (square + 1.0) + 2.0 * z * h + (square + 2.0) * slope,
            slope4: 4.0 * z * (square + 3.0)
                + (3.0 * square + 5.0) * h
                + z * (square + 5.0) * slope,
        }
    }
}

/// Solves `(1 + 1/t²) x₃² = x₄ x₂` for `z`, where `t = mean/std`.
///
/// `t` rises with `z` from `√3`, so the root is unique; it is below `t`, and above -20 for every
/// ratio that is not refused. Far below, where the difference is lost in rounding, a step of
/// Newton's method can lead anywhere: what leaves the bracket is replaced by halving it.
fn solve_shape(ratio: f64) -> f64 {
    const TOLERANCE: f64 = 1.5e-8;
    let weight = 1.0 + 1.0 / (ratio * ratio);
    let (mut low, mut high) = (-20.0, ratio);
    // For large ratios t = z + 3/z + ….
    let mut z = if ratio > 3.0 {
        ratio - 3.0 / ratio
    } else {
        ratio
    };
    for _ in 0..60 {
        let s = Shape::at(z);
        let value = weight * s.x3 * s.x3 - s.x4 * s.x2;
        let slope = 2.0 * weight * s.x3 * s.slope3 - s.slope4 * s.x2 - s.x4 * s.slope2;
        if value > 0.0 {
            high = z;
        } else {
            low = z;
        }
        let newton = z - value / slope;
        let next = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        if (next - z).abs() <= TOLERANCE * z.abs().max(next.abs()) {
            return next;
        }
        z = next;
    }
    z
}

/// Cumulative distribution of the standard normal.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    let tail = 0.5 * scaled_erfc(z.abs() * FRAC_1_SQRT_2) * (-0.5 * z * z).exp();
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// `φ(z) / Φ(z)`, without underflow for negative `z`.
fn inverse_mills(z: f64) -> f64 {
    let root = (2.0 / PI).sqrt();
    if z < 0.0 {
        root / scaled_erfc(-z * FRAC_1_SQRT_2)
    } else {
        (-0.5 * z * z).exp() / ((2.0 * PI).sqrt() * normal_cdf(z))
    }
}

/// `exp(x²) erfc(x)` for `x ≥ 0`, relative error below 1e-14.
///
/// Up to 4 a Chebyshev series of `(1 + 2x)` times it, in `t = (x - 3.75)/(x + 3.75)` (the form of
/// Shepherd & Laframboise 1981, Math. Comp. 36, 249); beyond the continued fraction
/// (Abramowitz & Stegun 7.1.14).
fn scaled_erfc(x: f64) -> f64 {
    if x < 4.0 {
        crate::numeric::chebyshev((x - 3.75) / (x + 3.75), &SCALED_ERFC) / (1.0 + 2.0 * x)
    } else {
        let mut fraction = x;
        for k in (1..=24).rev() {
            fraction = x + 0.5 * f64::from(k) / fraction;
        }
        1.0 / (PI.sqrt() * fraction)
    }
}

const SCALED_ERFC: [f64; 23] = [
    1.177_578_934_567_401_5,
    -0.004_590_054_580_646_497,
    -0.084_249_133_366_518_03,
    0.059_209_939_998_192_04,
    -0.026_658_668_435_306_03,
    0.009_074_997_670_704_995,
    -0.002_413_163_540_417_743_4,
    0.000_490_775_836_525_880_7,
    -6.916_973_302_473_946e-5,
    4.139_027_986_253_355e-6,
    7.740_383_065_724_11e-7,
    -2.188_640_104_483_496_8e-7,
    1.076_499_952_512_577_4e-8,
    4.521_960_435_729_018e-9,
    -7.754_401_602_314_923e-10,
    -6.318_017_960_656_638e-11,
    2.868_820_736_523_503e-11,
    1.941_039_921_386_315_3e-13,
    -9.656_090_741_808_99e-13,
    3.234_449_745_074_622_5e-14,
    3.284_779_855_524_296_6e-14,
    -1.979_897_727_248_195_7e-15,
    -9.436_895_709_313_83e-16,
];

#[cfg(test)]
mod tests;
