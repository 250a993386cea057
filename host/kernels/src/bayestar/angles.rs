//! The angles of one pixel: polarization and inclination.
//!
//! Ten polarizations times ten inclinations make up the quadrature (Singer & Price 2016, PRD 93
//! 024013, §IV). Half a turn of the polarization in `2ψ` changes nothing, and the sign of
//! `cos ι` changes the sign of one term and not `p`; so there are 25 angles with a `p` of their
//! own, two for each sign. They are lanes of vectors: what is done for a sample is done for all
//! angles at once.

use super::curves::{Curves, N_FIT};
use super::lanes::{LANES, Lanes, exp2, fma, larger, largest_lane, ln};
use super::samples::{Response, Signal};
use super::table::{NO_SIGNAL, RadialTable};
use crate::numeric::narrow;

/// Positive nodes and weights of the 10-point Gauss–Legendre rule in `cos ι`.
pub(super) const INCLINATIONS: [(f64, f64); N_INCLINATIONS] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_8),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_5),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];
const N_INCLINATIONS: usize = 5;
/// Sine and cosine of `kπ/5`.
const POLARIZATIONS: [(f64, f64); 5] = [
    (0.0, 1.0),
    (0.587_785_252_292_473_1, 0.809_016_994_374_947_5),
    (0.951_056_516_295_153_5, 0.309_016_994_374_947_45),
    (0.951_056_516_295_153_6, -0.309_016_994_374_947_34),
    (0.587_785_252_292_473_2, -0.809_016_994_374_947_4),
];

/// Angles with a `p` of their own.
pub(crate) const N_ANGLES: usize = 25;
/// The same in whole groups of lanes. Padding has no weight, and the `p` of the first angle.
pub(crate) const PADDED: usize = N_ANGLES.next_multiple_of(LANES);
/// One number per angle.
pub(crate) type PerAngle = [f32; PADDED];

/// No direction is so deaf that `p²` (Mpc²) is smaller.
const LEAST_P2: f64 = 1e-20;
/// Largest relative error of a pixel's sum that leaving samples out can make. It is reached only
/// if every sample but the best lies just below the cut-off; in practice the error is a small
/// part of it. Weak samples are far away: where the prior forbids what is near, the few that are
/// left out weigh a hundred times as much in the variance of distance.
const TOLERANCE: f64 = 1e-4;

/// What does not depend on the pixel: `|z|²` is a form of the response, with these coefficients.
#[derive(Debug)]
pub(crate) struct Quadrature {
    plus2: [f64; PADDED],
    cross2: [f64; PADDED],
    both: [f64; PADDED],
    /// Coefficient of the term that changes its sign with `cos ι`.
    odd: [f64; PADDED],
    /// Weight of each of the two signs.
    weight: PerAngle,
    /// Sum over all angles and both signs.
    total: f32,
}

impl Quadrature {
    pub(crate) fn new() -> Self {
        let zero = [0.0; PADDED];
        let mut quadrature = Self {
            plus2: zero,
            cross2: zero,
            both: zero,
            odd: zero,
            weight: [0.0; PADDED],
            total: 0.0,
        };
        for l in 0..PADDED {
            let angle = if l < N_ANGLES { l } else { 0 };
            let (sin, cos) = POLARIZATIONS[angle / N_INCLINATIONS];
            let (u, weight) = INCLINATIONS[angle % N_INCLINATIONS];
            let c = 0.5 * (1.0 + u * u);
            let (even, odd) = (c * c, u * u);
            quadrature.plus2[l] = even * cos * cos + odd * sin * sin;
            quadrature.cross2[l] = even * sin * sin + odd * cos * cos;
            quadrature.both[l] = 2.0 * sin * cos * (even - odd);
            quadrature.odd[l] = 2.0 * c * u;
            if l < N_ANGLES {
                // Two half circles of polarization.
                quadrature.weight[l] = narrow(2.0 * weight);
                quadrature.total += narrow(4.0 * weight);
            }
        }
        quadrature
    }
}

/// The angles of one pixel.
#[derive(Debug)]
pub(crate) struct Angles<'a> {
    quadrature: &'a Quadrature,
    /// `ln p`, with `p` in Mpc.
    pub(crate) x: PerAngle,
    /// `g` as a form of the signal; the last coefficient has either sign.
    form: [PerAngle; 4],
    /// Whether the sign makes a difference.
    signed: bool,
}

/// What can matter to the sum of a pixel.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// The largest log integrand that is known.
    pub(crate) peak: f32,
    /// The `g` below which a sample can be left out at every angle: all that are left out make
    /// up no more than [`TOLERANCE`] of those that are known.
    pub(crate) floor: f32,
    /// The largest `g` that is known of the angles that matter.
    pub(crate) high: f32,
    /// Which angles reach above what can be left out.
    pub(crate) matters: [bool; PADDED],
}

impl<'a> Angles<'a> {
    /// For several channels; `kappa2` is the square of the rescaling.
    #[inline(always)]
    pub(crate) fn of_network<const FMA: bool>(
        quadrature: &'a Quadrature,
        response: &Response,
        kappa2: f64,
    ) -> Self {
        let mut angles = Self::new::<FMA>(quadrature, response, kappa2);
        let forms = [
            &quadrature.plus2,
            &quadrature.cross2,
            &quadrature.both,
            &quadrature.odd,
        ];
        let p2 = p2(quadrature, response, kappa2);
        for (out, form) in angles.form.iter_mut().zip(forms) {
            for l in 0..PADDED {
                out[l] = narrow(0.25 * kappa2 * kappa2 * form[l] / p2[l]);
            }
        }
        angles
    }

    /// For one channel: `b = κ²|z||ρ|`, so `g = ½κ²|ρ|²` whatever the angles are.
    #[inline(always)]
    pub(crate) fn of_channel<const FMA: bool>(
        quadrature: &'a Quadrature,
        response: &Response,
        kappa2: f64,
    ) -> Self {
        let mut angles = Self::new::<FMA>(quadrature, response, kappa2);
        angles.form[0] = [narrow(0.5 * kappa2); PADDED];
        angles.signed = false;
        angles
    }

    #[inline(always)]
    fn new<const FMA: bool>(quadrature: &'a Quadrature, response: &Response, kappa2: f64) -> Self {
        let p2 = p2(quadrature, response, kappa2);
        let mut x = [0.0; PADDED];
        for l in 0..PADDED {
            x[l] = 0.5 * ln::<FMA>(narrow(p2[l]));
        }
        Self {
            quadrature,
            x,
            form: [[0.0; PADDED]; 4],
            signed: true,
        }
    }

    /// The largest `g` of each angle, of either sign, among `signals`.
    #[inline(always)]
    pub(crate) fn largest<const FMA: bool>(&self, signals: &[Signal]) -> PerAngle {
        let mut all = [0.0; PADDED];
        for (k, out) in all.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut best = [NO_SIGNAL; LANES];
            for signal in signals {
                let [even, odd] = self.even_odd::<FMA>(k, signal);
                for l in 0..LANES {
                    best[l] = larger(even[l] + odd[l].abs(), best[l]);
                }
            }
            *out = best;
        }
        all
    }

    /// What one sample of each angle tells about the sum over `n` samples; `g` are theirs.
    #[inline(always)]
    pub(crate) fn bounds<const FMA: bool>(
        &self,
        table: &RadialTable,
        g: &PerAngle,
        n: usize,
    ) -> Bounds {
        let mut values = [0.0; PADDED];
        let (xs, gs) = (self.x.as_chunks::<LANES>().0, g.as_chunks::<LANES>().0);
        for (k, out) in values.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut ln_g = [0.0; LANES];
            for l in 0..LANES {
                ln_g[l] = ln::<FMA>(gs[k][l]);
            }
            let integral = table.coarse(&xs[k], &ln_g);
            for l in 0..LANES {
                out[l] = gs[k][l] + integral[l];
            }
        }
        let peak = largest(&values);
        let mut kept = 0.0;
        for (value, weight) in values.into_iter().zip(self.quadrature.weight) {
            kept += weight * exp2::<FMA>(std::f32::consts::LOG2_E * (value - peak));
        }
        let all = narrow(n as f64) * self.quadrature.total;
        let target = peak - (all / (narrow(TOLERANCE) * kept)).ln();
        let (mut high, mut matters) = ([0.0; PADDED], [false; PADDED]);
        for l in 0..PADDED {
            // Padding has no weight; nor does anything of it go into sums, which it would overflow
            // when its constant 0 is far above the peak.
            matters[l] = l < N_ANGLES && values[l] >= target;
            high[l] = if matters[l] { g[l] } else { 0.0 };
        }
        let high = largest(&high);
        let floor = table.floor::<FMA>(largest(&self.x), target, high);
        Bounds {
            peak,
            floor,
            high,
            matters,
        }
    }

    /// Sums the integrand over all angles and `signals`, alone and times `⟨r⟩` and `⟨r²⟩`, in
    /// units of `exp(peak)`; `curves` were fitted to these angles.
    #[inline(always)]
    pub(crate) fn sum<const FMA: bool>(&self, curves: &Curves, signals: &[Signal]) -> [f64; 3] {
        let mut totals = [0.0; 3];
        for k in 0..PADDED / LANES {
            let mut sums = [[0.0; LANES]; N_FIT];
            for signal in signals {
                let [even, odd] = self.even_odd::<FMA>(k, signal);
                let (mut up, mut down) = ([0.0; LANES], [0.0; LANES]);
                for l in 0..LANES {
                    up[l] = even[l] + odd[l];
                    down[l] = even[l] - odd[l];
                }
                curves.add::<FMA>(k, &up, &mut sums);
                if self.signed {
                    curves.add::<FMA>(k, &down, &mut sums);
                }
            }
            let weights = &self.quadrature.weight.as_chunks::<LANES>().0[k];
            for (total, part) in totals.iter_mut().zip(curves.moments::<FMA>(k, &sums)) {
                for l in 0..LANES {
                    *total += f64::from(weights[l] * part[l]);
                }
            }
        }
        let copies = if self.signed { 1.0 } else { 2.0 };
        totals.map(|total| copies * total)
    }

    /// The parts of `g` that keep and change their sign with `cos ι`, for group `k`.
    #[inline(always)]
    fn even_odd<const FMA: bool>(&self, k: usize, signal: &Signal) -> [Lanes; 2] {
        let [a, b, c, d] = &self.form;
        let part = |form: &'_ PerAngle| -> Lanes {
            let mut part = [0.0; LANES];
            part.copy_from_slice(&form[k * LANES..(k + 1) * LANES]);
            part
        };
        let (a, b, c, d) = (part(a), part(b), part(c), part(d));
        let [plus2, cross2, re, im] = *signal;
        let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
        for l in 0..LANES {
            even[l] = fma::<FMA>(c[l], re, fma::<FMA>(a[l], plus2, b[l] * cross2));
            odd[l] = d[l] * im;
        }
        [even, odd]
    }
}

/// The largest of all angles.
#[inline(always)]
fn largest(values: &PerAngle) -> f32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    for group in values.as_chunks::<LANES>().0 {
        for l in 0..LANES {
            best[l] = if group[l] > best[l] {
                group[l]
            } else {
                best[l]
            };
        }
    }
    largest_lane(&best)
}

/// `p² = ½κ² Σ|z|²`, Mpc².
#[inline(always)]
fn p2(quadrature: &Quadrature, response: &Response, kappa2: f64) -> [f64; PADDED] {
    let mut p2 = [0.0; PADDED];
    for (l, p2) in p2.iter_mut().enumerate() {
        let sum = quadrature.plus2[l] * response.plus2
            + quadrature.cross2[l] * response.cross2
            + quadrature.both[l] * response.both;
        let value = 0.5 * kappa2 * sum;
        *p2 = if value > LEAST_P2 { value } else { LEAST_P2 };
    }
    p2
}
