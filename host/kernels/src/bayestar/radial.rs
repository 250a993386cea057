//! The integral over distance that marginalizes one pixel's likelihood.
//!
//! `T_k(p, b) = ln ∫ exp(-(p/r - p/r₀)²) Ĩ₀(b/r) r^(a+k) w(r) dr` over the prior's distances,
//! with `r₀ = 2p²/b` and `Ĩ₀(x) = exp(-x) I₀(x)` (Singer & Price 2016, PRD 93 024013, §IV and
//! appendix A); `a` is the prior's power, `w` its cosmological weight. [`direct`] integrates one
//! pair `(p, b)` by brute force: the general case, and what the tables are tested against.

use super::bessel::scaled_i0;
use crate::numeric::Spline;

/// Moments `k = 0, 1, 2` of distance are integrated together.
pub(crate) const N_POWERS: usize = 3;

/// Prior on distance: `p(r) ∝ r^power · w(r)` for `min ≤ r ≤ max`, in Mpc.
#[derive(Clone, Debug)]
pub struct DistancePrior {
    min: f64,
    max: f64,
    power: i32,
    cosmology: Option<Spline>,
}

/// Why a distance prior cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PriorError {
    /// The limits do not enclose any distance.
    #[error("distance limits {min} to {max} Mpc are empty: give 0 <= min < max")]
    Limits {
        /// Lower limit, Mpc.
        min: f64,
        /// Upper limit, Mpc.
        max: f64,
    },
    /// `r^power` has no integral down to zero.
    #[error("distance prior power {0} diverges at zero distance: set a minimum distance")]
    Diverges(i32),
    /// The power is beyond what the tables hold.
    #[error("distance prior power {0} is out of range: use -8 to 8")]
    Power(i32),
    /// Cosmology is defined for volume only.
    #[error("the cosmological prior needs distance prior power 2, not {0}")]
    Cosmology(i32),
}

impl DistancePrior {
    /// A power-law prior, with the comoving-volume weight if `cosmology`.
    ///
    /// # Errors
    /// [`PriorError`] when the limits are empty or the prior cannot be normalized.
    pub fn new(min: f64, max: f64, power: i32, cosmology: bool) -> Result<Self, PriorError> {
        if !(min >= 0.0 && max > min && max.is_finite()) {
            return Err(PriorError::Limits { min, max });
        }
        if !(-8..=8).contains(&power) {
            return Err(PriorError::Power(power));
        }
        if power < 0 && min <= 0.0 {
            return Err(PriorError::Diverges(power));
        }
        if cosmology && power != 2 {
            return Err(PriorError::Cosmology(power));
        }
        let cosmology = cosmology.then(volume_spline);
        Ok(Self {
            min,
            max,
            power,
            cosmology,
        })
    }

    /// Lower limit, Mpc.
    pub fn min(&self) -> f64 {
        self.min
    }

    /// Upper limit, Mpc.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// Power of distance.
    pub fn power(&self) -> i32 {
        self.power
    }

    /// Whether the prior is a pure power law that begins at zero distance.
    pub(crate) fn is_scale_free(&self) -> bool {
        self.cosmology.is_none() && self.min <= 0.0
    }

    /// `ln ∫ r^power dr` over the prior, without the cosmological weight.
    pub(crate) fn ln_norm(&self) -> f64 {
        if self.power == -1 {
            return (self.max / self.min).ln().ln();
        }
        let n = self.power + 1;
        ((self.max.powi(n) - self.min.powi(n)) / f64::from(n)).ln()
    }

    /// `w(r)`: `dV_C/dV_L`, or 1.
    fn weight(&self, r: f64) -> f64 {
        match &self.cosmology {
            None => 1.0,
            Some(spline) => ln_volume_ratio(spline, r.ln()).exp(),
        }
    }
}

const VOLUME_STEP: f64 = 0.445_661_630_902_073;

/// `ln(dV_C/dV_L)` at nodes equidistant in `ln r` (Planck 2015 cosmology).
const LN_VOLUME_RATIO: [f64; 32] = [
    -9.035_306_86e-4,
    -1.410_612_09e-3,
    -2.202_069_80e-3,
    -3.437_042_28e-3,
    -5.363_243_13e-3,
    -8.365_657_16e-3,
    -1.304_089_90e-2,
    -2.030_973_45e-2,
    -3.158_394_96e-2,
    -4.900_678_10e-2,
    -7.578_236_21e-2,
    -1.165_917_83e-1,
    -1.780_433_60e-1,
    -2.690_154_37e-1,
    -4.006_423_42e-1,
    -5.856_841_87e-1,
    -8.372_850_07e-1,
    -1.167_663_99,
    -1.587_602_43,
    -2.106_999_98,
    -2.735_437_85,
    -3.481_014_74,
    -4.347_169_01,
    -5.329_907_64,
    -6.418_183_55,
    -7.597_061_27,
    -8.851_106_26,
    -10.166_392_1,
    -11.531_190_2,
    -12.935_971_3,
    -14.373_177_5,
    -15.836_972_8,
];

fn volume_spline() -> Spline {
    let nodes = (0..32).map(|i| f64::from(i) * VOLUME_STEP).collect();
    Spline::natural(nodes, LN_VOLUME_RATIO.to_vec())
}

fn ln_volume_ratio(spline: &Spline, t: f64) -> f64 {
    if t <= 0.0 {
        0.0
    } else if t >= 31.0 * VOLUME_STEP {
        -3.304_059_176_506_592 * t + 29.810_291_594_530_973
    } else {
        spline.at(t)
    }
}

/// `ln ∫ … dr` without the factor `exp((b/2p)²)`, and `⟨r⟩`, `⟨r²⟩` under the integrand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RadialIntegral {
    pub(crate) ln: f64,
    pub(crate) mean: f64,
    pub(crate) mean_square: f64,
}

/// `T₀` and the moments for `p > 0` (Mpc) and `s = p/r₀ = b/2p ≥ 0`, relative error 1e-8.
///
/// With `z = p/r` the integrand is `exp(-(z-s)²) Ĩ₀(2sz)`: panels follow the Gaussian and are
/// at most a factor 1.5 wide in `r`, with 8 Gauss–Legendre nodes each.
pub(crate) fn direct(prior: &DistancePrior, p: f64, s: f64) -> RadialIntegral {
    let near = if prior.min > 0.0 {
        p / prior.min
    } else {
        f64::INFINITY
    };
    let far = p / prior.max;
    let peak = s.clamp(far, near);
    // Exponents count from the largest value inside the limits.
    let least = (peak - s) * (peak - s);
    let reach = |excess: f64| (least + excess).sqrt();
    let low = far.max(s - reach(REACH));
    let high = near.min(s + reach(REACH));
    let mut sums = [0.0; N_POWERS];
    for (from, to) in [(low, peak), (peak, high)] {
        let mut edge = from;
        while edge < to {
            let end = to.min(edge + panel_width(edge, s)).min(edge * 1.5);
            gauss(&GAUSS_8, edge, end, |z, weight| {
                let q = z - s;
                let r = p / z;
                let value = weight
                    * (least - q * q).exp()
                    * scaled_i0(2.0 * s * z)
                    * r.powi(prior.power + 2)
                    * prior.weight(r);
                sums[0] += value;
                sums[1] += value * r;
                sums[2] += value * r * r;
            });
            edge = end;
        }
    }
    RadialIntegral {
        ln: sums[0].ln() - p.ln() - least,
        mean: sums[1] / sums[0],
        mean_square: sums[2] / sums[0],
    }
}

/// Panel width near the Gaussian's centre grows with the distance from it, in units of `z`:
/// beyond, the exponent itself is steep, so the width shrinks again.
fn panel_width(z: f64, s: f64) -> f64 {
    let q = (z - s).abs();
    if q < 8.0 { 0.7 } else { 5.0 / q }
}

/// Where `exp(-x)` no longer matters.
pub(crate) const REACH: f64 = 50.0;

/// Nodes and weights on `[-1, 1]`.
pub(crate) type Rule<const N: usize> = [(f64, f64); N];

pub(crate) const GAUSS_3: Rule<3> = [
    (-0.774_596_669_241_483_4, 0.555_555_555_555_555_6),
    (0.0, 0.888_888_888_888_888_8),
    (0.774_596_669_241_483_4, 0.555_555_555_555_555_6),
];

pub(crate) const GAUSS_8: Rule<8> = [
    (-0.960_289_856_497_536_2, 0.101_228_536_290_376_37),
    (-0.796_666_477_413_626_7, 0.222_381_034_453_374_43),
    (-0.525_532_409_916_329, 0.313_706_645_877_887_2),
    (-0.183_434_642_495_649_78, 0.362_683_783_378_361_66),
    (0.183_434_642_495_649_78, 0.362_683_783_378_361_66),
    (0.525_532_409_916_329, 0.313_706_645_877_887_2),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_43),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_37),
];

/// Calls `add(node, weight)` for the rule on `[from, to]`.
#[inline(always)]
pub(crate) fn gauss<const N: usize>(
    rule: &Rule<N>,
    from: f64,
    to: f64,
    mut add: impl FnMut(f64, f64),
) {
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    for &(node, weight) in rule {
        add(middle + half * node, half * weight);
    }
}

#[cfg(test)]
mod tests;
