//! Adaptive refinement of the HEALPix grid.
//!
//! The sphere is evaluated at order 4; then, seven times, the 768 pixels that hold most of the
//! probability are each replaced by their four children (Singer & Price 2016, PRD 93 024013,
//! §V). The result has 19,200 pixels of orders 4 to 11.

use super::likelihood::{Likelihood, PixelPosterior, Scratch};
use super::network::Channel;
use crate::healpix::Pixel;
use crate::work::{Cancelled, OutOfMemory, Work};
use pulp::{Arch, Simd, WithSimd};

/// Order of the first grid.
pub(crate) const BASE_ORDER: u8 = 4;
/// Pixels of the first grid.
pub(crate) const N_BASE: usize = 12 << (2 * BASE_ORDER);
/// Pixels replaced in each round.
const N_SPLIT: usize = N_BASE / 4;
/// Rounds.
const N_ROUNDS: usize = 7;
/// Pixels that one thread evaluates before it looks for a cancelled token; fewer where a pixel
/// has more samples than this.
const BLOCK: usize = 32;
const BLOCK_SAMPLES: usize = 1_024;

/// A pixel with its posterior.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) pixel: Pixel,
    pub(crate) posterior: PixelPosterior,
}

impl Sample {
    /// Log of the probability mass, up to a constant.
    fn ln_mass(&self) -> f64 {
        let order = f64::from(self.pixel.order());
        self.posterior.ln - 2.0 * std::f64::consts::LN_2 * order
    }
}

/// Why an evaluation ended early.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(crate) enum RefineError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

/// The grid of one event, and what it takes to evaluate it.
#[derive(Debug)]
pub(crate) struct Survey<'a> {
    likelihood: Likelihood<'a>,
    work: &'a Work<'a>,
    evaluated: usize,
    planned: usize,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(likelihood: Likelihood<'a>, work: &'a Work<'a>) -> Self {
        let n_channels = likelihood.network.channels.len();
        let planned = N_BASE * (1 + N_ROUNDS + n_channels);
        Self {
            likelihood,
            work,
            evaluated: 0,
            planned,
        }
    }

    /// The adaptive map, sorted by rising probability mass.
    pub(crate) fn refine(&mut self) -> Result<Vec<Sample>, RefineError> {
        let base: Vec<Pixel> = Pixel::all(BASE_ORDER).collect();
        let mut samples = self.evaluate(&base, None)?;
        sort_by_mass(&mut samples);
        for _ in 0..N_ROUNDS {
            let kept = samples.len() - N_SPLIT;
            let split = samples.drain(kept..);
            let children: Vec<Pixel> = split
                .filter_map(|sample| sample.pixel.children())
                .flatten()
                .collect();
            let refined = self.evaluate(&children, None)?;
            samples.extend(refined);
            sort_by_mass(&mut samples);
        }
        Ok(samples)
    }

    /// The first grid, with one channel alone.
    pub(crate) fn alone(&mut self, channel: &Channel) -> Result<Vec<Sample>, RefineError> {
        let base: Vec<Pixel> = Pixel::all(BASE_ORDER).collect();
        self.evaluate(&base, Some(channel))
    }

    fn evaluate(
        &mut self,
        pixels: &[Pixel],
        channel: Option<&Channel>,
    ) -> Result<Vec<Sample>, RefineError> {
        let arch = Arch::new();
        let size = (BLOCK * BLOCK_SAMPLES / self.likelihood.network.n.max(1)).clamp(1, BLOCK);
        let blocks = self.work.run(
            pixels.len().div_ceil(size),
            || Scratch::new(&self.likelihood),
            |scratch, k| {
                let pixels = &pixels[k * size..pixels.len().min((k + 1) * size)];
                let scratch = scratch.as_mut().map_err(|&mut error| error)?;
                let likelihood = &self.likelihood;
                Ok(arch.dispatch(Block {
                    likelihood,
                    scratch,
                    pixels,
                    channel,
                }))
            },
        )?;
        self.evaluated += pixels.len();
        self.work
            .report(self.evaluated as f64 / self.planned as f64);
        let blocks: Result<Vec<Vec<Sample>>, OutOfMemory> = blocks.into_iter().collect();
        Ok(blocks?.concat())
    }
}

fn sort_by_mass(samples: &mut [Sample]) {
    samples.sort_by(|a, b| a.ln_mass().total_cmp(&b.ln_mass()));
}

/// A few pixels, evaluated in code compiled for the processor's vector width.
struct Block<'a> {
    likelihood: &'a Likelihood<'a>,
    scratch: &'a mut Scratch,
    pixels: &'a [Pixel],
    channel: Option<&'a Channel>,
}

impl Block<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(self.pixels.len());
        for &pixel in self.pixels {
            let posterior = match self.channel {
                None => self.likelihood.coherent::<FMA>(self.scratch, pixel),
                Some(channel) => self
                    .likelihood
                    .incoherent::<FMA>(self.scratch, channel, pixel),
            };
            samples.push(Sample { pixel, posterior });
        }
        samples
    }
}

impl WithSimd for Block<'_> {
    type Output = Vec<Sample>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<Sample> {
        if S::IS_SCALAR {
            self.run::<false>()
        } else {
            self.run::<true>()
        }
    }
}
