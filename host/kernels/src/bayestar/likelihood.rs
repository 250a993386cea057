//! The marginal likelihood of one pixel.
//!
//! Inclination, polarization, arrival time, coalescence phase and distance are integrated out
//! (Singer & Price 2016, PRD 93 024013, §IV): 10 polarizations × 10 inclinations × `n` times,
//! each a look-up in the radial table. The quadrature is part of the definition, not a limit of
//! precision.
//!
//! Two identities make the sum small. Turning the polarization by half a circle in `2ψ` only
//! changes a sign, so five polarizations are enough. And detectors are summed once per
//! polarization and sample, not once per inclination.
//!
//! Single precision is used where the samples are; directions, and the sums over rows, are in
//! double precision. Nothing is allocated per pixel.

use super::network::{Channel, Direction, HourAngle, Network};
use super::rows::{Row, Rows};
use super::samples::{N_POLARIZATIONS, Samples};
use super::table::RadialTable;
use super::window::Nodes;
use crate::healpix::Pixel;
use crate::numeric::narrow;
use crate::work::OutOfMemory;

/// Positive nodes and weights of the 10-point Gauss–Legendre rule in `cos ι`.
const INCLINATIONS: [(f64, f64); 5] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_8),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_5),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];
/// No direction is so deaf that `p²` (Mpc²) is smaller.
const LEAST_P2: f64 = 1e-20;

/// Log of the angular sum, and the conditional moments of distance (Mpc, Mpc²).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PixelPosterior {
    pub(crate) ln: f64,
    pub(crate) mean: f64,
    pub(crate) mean_square: f64,
}

/// The likelihood of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Likelihood<'a> {
    pub(crate) network: &'a Network,
    pub(crate) table: &'a RadialTable,
    /// Factor on the signal-to-noise ratio that widens the posterior.
    pub(crate) rescale: f64,
    pub(crate) hour_angle: HourAngle,
}

/// Buffers of one thread.
#[derive(Debug)]
pub(crate) struct Scratch {
    samples: Samples,
    rows: Rows,
    nodes: Nodes,
}

impl Scratch {
    /// Bytes for `n` samples.
    pub(crate) const fn bytes(n: usize) -> usize {
        Samples::bytes(n) + Nodes::BYTES + size_of::<Rows>() + 8_192
    }

    pub(crate) fn new(likelihood: &Likelihood<'_>) -> Result<Self, OutOfMemory> {
        let samples = Samples::new(likelihood.network.n)?;
        Ok(Self {
            samples,
            rows: Rows::new(likelihood.network.n),
            nodes: Nodes::new(likelihood.table),
        })
    }
}

impl Likelihood<'_> {
    /// Evaluates `pixel` with all channels.
    #[inline(always)]
    pub(crate) fn coherent<const FMA: bool>(
        &self,
        scratch: &mut Scratch,
        pixel: Pixel,
    ) -> PixelPosterior {
        let direction = self.network.direction(pixel, self.hour_angle);
        if let [channel] = self.network.channels.as_slice() {
            return self.alone::<FMA>(scratch, channel, &direction);
        }
        let (mut plus2, mut cross2, mut both) = (0.0, 0.0, 0.0);
        scratch.samples.clear();
        for channel in &self.network.channels {
            let view = self.network.view(channel, &direction);
            plus2 += view.plus * view.plus;
            cross2 += view.cross * view.cross;
            both += view.plus * view.cross;
            scratch.samples.add::<FMA>(channel, &view);
        }
        scratch.rows.clear();
        for (k, (sin, cos)) in POLARIZATIONS.into_iter().enumerate() {
            scratch.samples.turn::<FMA>(k, (narrow(sin), narrow(cos)));
            let powers = (
                cos * cos * plus2 + sin * sin * cross2 + 2.0 * sin * cos * both,
                sin * sin * plus2 + cos * cos * cross2 - 2.0 * sin * cos * both,
            );
            self.push_rows::<FMA>(scratch, k, powers);
        }
        self.sum_rows::<FMA>(scratch)
    }

    /// Evaluates `pixel` with one channel only.
    #[inline(always)]
    pub(crate) fn incoherent<const FMA: bool>(
        &self,
        scratch: &mut Scratch,
        channel: &Channel,
        pixel: Pixel,
    ) -> PixelPosterior {
        let direction = self.network.direction(pixel, self.hour_angle);
        self.alone::<FMA>(scratch, channel, &direction)
    }

    /// With one channel `b = κ²|z||ρ|`, so `g = ½κ²|ρ|²` whatever the angles are.
    #[inline(always)]
    fn alone<const FMA: bool>(
        &self,
        scratch: &mut Scratch,
        channel: &Channel,
        direction: &Direction,
    ) -> PixelPosterior {
        let view = self.network.view(channel, direction);
        let half = 0.5 * self.rescale * self.rescale;
        let coefficients = [narrow(half), 0.0, 0.0];
        let best = coefficients[0] * scratch.samples.alone::<FMA>(channel, &view);
        scratch.rows.clear();
        for (sin, cos) in POLARIZATIONS {
            let plus = view.plus * cos + view.cross * sin;
            let cross = view.cross * cos - view.plus * sin;
            for (u, weight) in INCLINATIONS {
                let c = 0.5 * (1.0 + u * u);
                let p2 = half * (c * c * plus * plus + u * u * cross * cross);
                let p2 = p2.max(LEAST_P2);
                // Both signs of u, both half circles of polarization.
                let weight = 4.0 * weight;
                scratch.rows.push(Row {
                    polarization: 0,
                    coefficients,
                    p2,
                    weight,
                    best,
                });
            }
        }
        self.sum_rows::<FMA>(scratch)
    }

    /// Adds the ten rows of polarization `k`; `powers` are `Σ F₊²` and `Σ F×²` turned to it.
    #[inline(always)]
    fn push_rows<const FMA: bool>(&self, scratch: &mut Scratch, k: usize, powers: (f64, f64)) {
        let kappa2 = self.rescale * self.rescale;
        for (u, weight) in INCLINATIONS {
            let c = 0.5 * (1.0 + u * u);
            let p2 = 0.5 * kappa2 * (c * c * powers.0.max(0.0) + u * u * powers.1.max(0.0));
            let p2 = p2.max(LEAST_P2);
            let scale = 0.25 * kappa2 * kappa2 / p2;
            let (a, b) = (narrow(scale * c * c), narrow(scale * u * u));
            let d = narrow(scale * 2.0 * c * u);
            let best = scratch.samples.largest_pair::<FMA>(k, [a, b, d]);
            let weight = 2.0 * weight;
            for (d, best) in [(d, best.0), (-d, best.1)] {
                let coefficients = [a, b, d];
                scratch.rows.push(Row {
                    polarization: k,
                    coefficients,
                    p2,
                    weight,
                    best,
                });
            }
        }
    }

    #[inline(always)]
    fn sum_rows<const FMA: bool>(&self, scratch: &mut Scratch) -> PixelPosterior {
        let Scratch {
            samples,
            rows,
            nodes,
        } = scratch;
        let totals = rows.sum::<FMA>(self.table, nodes, samples);
        let unit = self.table.unit;
        PixelPosterior {
            ln: totals.ln,
            mean: unit * totals.mean,
            mean_square: unit * unit * totals.mean_square,
        }
    }
}

/// Sine and cosine of `kπ/5`.
const POLARIZATIONS: [(f64, f64); N_POLARIZATIONS] = [
    (0.0, 1.0),
    (0.587_785_252_292_473_1, 0.809_016_994_374_947_5),
    (0.951_056_516_295_153_5, 0.309_016_994_374_947_45),
    (0.951_056_516_295_153_6, -0.309_016_994_374_947_34),
    (0.587_785_252_292_473_2, -0.809_016_994_374_947_4),
];

#[cfg(test)]
mod tests;
