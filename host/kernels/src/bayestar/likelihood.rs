//! The marginal likelihood of one pixel.
//!
//! Inclination, polarization, arrival time, coalescence phase and distance are integrated out
//! (Singer & Price 2016, PRD 93 024013, §IV): 10 polarizations × 10 inclinations × `n` times,
//! each with the radial integral. The quadrature is part of the definition, not a limit of
//! precision.
//!
//! Most samples never matter. The strongest one gives a lower bound of the sum; what can change
//! it by too little, at whatever angle, is left out before any angle is looked at.
//!
//! Single precision is used where the samples are; directions, and the sums over angles, are in
//! double precision. Nothing is allocated per pixel.

use super::angles::{Angles, Quadrature};
use super::curves::{Curves, Nodes};
use super::network::{Channel, Direction, HourAngle, Network};
use super::samples::{Ceiling, Response, Samples};
use super::table::RadialTable;
use crate::healpix::Pixel;
use crate::work::OutOfMemory;

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
    quadrature: Quadrature,
    nodes: Nodes,
}

impl Scratch {
    /// Bytes for `n` samples.
    pub(crate) const fn bytes(n: usize) -> usize {
        Samples::bytes(n) + Nodes::BYTES + size_of::<Quadrature>() + size_of::<Curves>() + 8_192
    }

    pub(crate) fn new(likelihood: &Likelihood<'_>) -> Result<Self, OutOfMemory> {
        Ok(Self {
            samples: Samples::new(likelihood.network.n)?,
            quadrature: Quadrature::new(),
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
        let channels = self.network.channels.as_slice();
        if let [channel] = channels {
            return self.alone::<FMA>(scratch, channel, &direction);
        }
        let mut response = Response::default();
        scratch.samples.clear();
        for channel in channels {
            let view = self.network.view(channel, &direction);
            response.add(&view);
            scratch.samples.add::<FMA>(channel, &view);
        }
        let kappa2 = self.rescale * self.rescale;
        let ceiling = match channels {
            [_, _] => Ceiling::whole(kappa2),
            _ => Ceiling::projected(&response, kappa2),
        };
        let Scratch {
            samples,
            quadrature,
            nodes,
        } = scratch;
        let angles = Angles::of_network::<FMA>(quadrature, &response, kappa2);
        self.sum::<FMA>((samples, nodes), &angles, &ceiling)
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

    #[inline(always)]
    fn alone<const FMA: bool>(
        &self,
        scratch: &mut Scratch,
        channel: &Channel,
        direction: &Direction,
    ) -> PixelPosterior {
        let view = self.network.view(channel, direction);
        let mut response = Response::default();
        response.add(&view);
        let kappa2 = self.rescale * self.rescale;
        let Scratch {
            samples,
            quadrature,
            nodes,
        } = scratch;
        samples.alone::<FMA>(channel, &view);
        let angles = Angles::of_channel::<FMA>(quadrature, &response, kappa2);
        self.sum::<FMA>((samples, nodes), &angles, &Ceiling::whole(kappa2))
    }

    /// Sums over angles and samples.
    #[inline(always)]
    fn sum<const FMA: bool>(
        &self,
        (samples, nodes): (&mut Samples, &mut Nodes),
        angles: &Angles<'_>,
        ceiling: &Ceiling,
    ) -> PixelPosterior {
        let strongest = samples.strongest::<FMA>(ceiling);
        // First with the one sample that promises most, then with all that this one leaves.
        let g = angles.largest::<FMA>(&[strongest]);
        let first = angles.bounds::<FMA>(self.table, &g, self.network.n);
        let g = angles.largest::<FMA>(samples.above::<FMA>(first.floor));
        let bounds = angles.bounds::<FMA>(self.table, &g, self.network.n);
        let signals = samples.above::<FMA>(bounds.floor);
        let curves = Curves::fit::<FMA>(self.table, nodes, &angles.x, &bounds);
        let [sum, mean, mean_square] = angles.sum::<FMA>(&curves, signals);
        let unit = self.table.unit;
        PixelPosterior {
            ln: f64::from(bounds.peak) + sum.ln(),
            mean: unit * mean / sum,
            mean_square: unit * unit * mean_square / sum,
        }
    }
}

#[cfg(test)]
mod tests;
