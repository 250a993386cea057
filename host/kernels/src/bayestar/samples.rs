//! The samples of one pixel: a network's output, delayed, weighted and summed, and of those the
//! few that can matter.
//!
//! Whatever inclination and polarization are, the `g` of a sample is at most half the square of
//! the network's signal-to-noise ratio, and at most that of the part of it that two
//! polarizations can produce. Samples whose [`Ceiling`] lies too low are left out of everything
//! that is done per angle.

use super::lanes::{LANES, Lanes, catmull_rom, fma, larger, largest_lane, sin_cos};
use super::network::{Channel, View};
use crate::numeric::narrow;
use crate::work::{OutOfMemory, filled};
use std::ops::Range;

/// `|P|²`, `|X|²`, `Re(P X*)` and `Im(P X*)` of a sample, with `P = Σ F₊ρ` and `X = Σ F×ρ`.
pub(crate) type Signal = [f32; 4];

/// Sums over the channels of a network, Mpc².
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Response {
    /// `Σ F₊²`.
    pub(crate) plus2: f64,
    /// `Σ F×²`.
    pub(crate) cross2: f64,
    /// `Σ F₊F×`.
    pub(crate) both: f64,
}

impl Response {
    /// Adds a channel.
    #[inline(always)]
    pub(crate) fn add(&mut self, view: &View) {
        self.plus2 += view.plus * view.plus;
        self.cross2 += view.cross * view.cross;
        self.both += view.plus * view.cross;
    }
}

/// The largest `g` of a sample over all angles, as a form of the sample's signal.
///
/// It is `½κ²` times the square of the projection of `ρ` on the plane of `F₊` and `F×`. Where
/// these are almost parallel, the whole of `ρ` takes the projection's place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling {
    plus2: f32,
    cross2: f32,
    both: f32,
    power: f32,
}

/// `1 - cos²` of the angle between `F₊` and `F×` below which a projection is too uncertain.
const LEAST_SINE2: f64 = 1e-3;
/// Allows for rounding in a projection.
const ALLOWANCE: f64 = 1.001;

impl Ceiling {
    /// For the response of several channels, and the factor `κ²`.
    pub(crate) fn projected(response: &Response, kappa2: f64) -> Self {
        let Response {
            plus2,
            cross2,
            both,
        } = *response;
        let determinant = plus2 * cross2 - both * both;
        if determinant <= LEAST_SINE2 * plus2 * cross2 {
            return Self::whole(kappa2);
        }
        let scale = 0.5 * kappa2 * ALLOWANCE / determinant;
        Self {
            plus2: narrow(scale * cross2),
            cross2: narrow(scale * plus2),
            both: narrow(-2.0 * scale * both),
            power: 0.0,
        }
    }

    /// `½κ² Σ |ρ|²`: exact for one channel, and for two that see differently.
    pub(crate) fn whole(kappa2: f64) -> Self {
        Self {
            plus2: 0.0,
            cross2: 0.0,
            both: 0.0,
            power: narrow(0.5 * kappa2),
        }
    }
}

/// Buffers for the samples of one pixel, padded to whole groups of lanes with silence.
#[derive(Debug)]
pub(crate) struct Samples {
    n: usize,
    /// Samples, rounded up to whole groups.
    padded: usize,
    /// `Σ F₊ρ` and `Σ F×ρ`, real and imaginary parts, and `Σ |ρ|²`: `[5][padded]`.
    sums: Vec<f32>,
    /// The largest `g` of each sample, `[padded]`.
    ceilings: Vec<f32>,
    /// Signals of the samples that are kept.
    kept: Vec<Signal>,
}

/// Four neighbours of a channel's samples, each as a window on the series, and their weights.
struct Neighbours<'a> {
    windows: [&'a [f32]; 4],
    weights: [f32; 4],
}

impl<'a> Neighbours<'a> {
    #[inline(always)]
    fn new(series: &'a [f32], range: &Range<usize>, view: &View) -> Self {
        let len = range.len();
        let first = range.start as i64 + view.shift - 1;
        let first = usize::try_from(first).unwrap_or(0);
        let window = |k: usize| series.get(first + k..first + k + len).unwrap_or(&[]);
        let windows = [window(0), window(1), window(2), window(3)];
        Self {
            windows,
            weights: catmull_rom(narrow(view.fraction)),
        }
    }

    /// The windows, all of one length.
    #[inline(always)]
    fn aligned(&self) -> [&'a [f32]; 4] {
        let [a, b, c, d] = self.windows;
        let len = d.len();
        let cut = |window: &'a [f32]| window.get(..len).unwrap_or(&[]);
        [cut(a), cut(b), cut(c), d]
    }
}

/// Numbers per sample: the sums, and the ceiling.
const N_ARRAYS: usize = 6;

impl Samples {
    /// Bytes for `n` samples.
    pub(crate) const fn bytes(n: usize) -> usize {
        (N_ARRAYS + size_of::<Signal>() / size_of::<f32>())
            * n.next_multiple_of(LANES)
            * size_of::<f32>()
    }

    pub(crate) fn new(n: usize) -> Result<Self, OutOfMemory> {
        let padded = n.next_multiple_of(LANES);
        Ok(Self {
            n,
            padded,
            sums: filled((N_ARRAYS - 1) * padded, 0.0)?,
            ceilings: filled(padded, 0.0)?,
            kept: filled(padded, Signal::default())?,
        })
    }

    /// Empties the sums over channels.
    pub(crate) fn clear(&mut self) {
        self.sums.fill(0.0);
    }

    /// Adds `F₊ρ` and `F×ρ` of one channel to the sums. Amplitude and phase are interpolated
    /// apart; outside of its series a channel is silent.
    #[inline(always)]
    pub(crate) fn add<const FMA: bool>(&mut self, channel: &Channel, view: &View) {
        let range = valid(self.n, view.shift);
        let amplitudes = Neighbours::new(&channel.amplitude, &range, view);
        let [w0, w1, w2, w3] = amplitudes.weights;
        let [a0, a1, a2, a3] = amplitudes.aligned();
        let [p0, p1, p2, p3] = Neighbours::new(&channel.phase, &range, view).aligned();
        let (plus, cross) = (narrow(view.plus), narrow(view.cross));
        let len = a0.len().min(p0.len());
        let mut arrays = self.sums.chunks_exact_mut(self.padded);
        let mut array = || match arrays.next() {
            Some(array) => &mut array[range.start..range.start + len],
            None => &mut [],
        };
        let (re_plus, im_plus, re_cross, im_cross) = (array(), array(), array(), array());
        let power = array();
        let (a0, a1, a2, a3) = (&a0[..len], &a1[..len], &a2[..len], &a3[..len]);
        let (p0, p1, p2, p3) = (&p0[..len], &p1[..len], &p2[..len], &p3[..len]);
        for s in 0..len {
            let amplitude = fma::<FMA>(
                w3,
                a3[s],
                fma::<FMA>(w2, a2[s], fma::<FMA>(w1, a1[s], w0 * a0[s])),
            );
            let phase = fma::<FMA>(
                w3,
                p3[s],
                fma::<FMA>(w2, p2[s], fma::<FMA>(w1, p1[s], w0 * p0[s])),
            );
            let (sin, cos) = sin_cos::<FMA>(phase);
            let (re, im) = (amplitude * cos, amplitude * sin);
            re_plus[s] = fma::<FMA>(plus, re, re_plus[s]);
            im_plus[s] = fma::<FMA>(plus, im, im_plus[s]);
            re_cross[s] = fma::<FMA>(cross, re, re_cross[s]);
            im_cross[s] = fma::<FMA>(cross, im, im_cross[s]);
            power[s] = fma::<FMA>(amplitude, amplitude, power[s]);
        }
    }

    /// Takes one channel alone: its amplitude is all that counts, and stands for `P`.
    #[inline(always)]
    pub(crate) fn alone<const FMA: bool>(&mut self, channel: &Channel, view: &View) {
        let range = valid(self.n, view.shift);
        let neighbours = Neighbours::new(&channel.amplitude, &range, view);
        let [w0, w1, w2, w3] = neighbours.weights;
        let [a0, a1, a2, a3] = neighbours.aligned();
        self.clear();
        let (re_plus, rest) = self.sums.split_at_mut(self.padded);
        let power = &mut rest[3 * self.padded..][range.clone()];
        let out = re_plus[range].iter_mut().zip(power);
        for (((((re, power), a0), a1), a2), a3) in out.zip(a0).zip(a1).zip(a2).zip(a3) {
            *re = fma::<FMA>(w3, *a3, fma::<FMA>(w2, *a2, fma::<FMA>(w1, *a1, w0 * a0)));
            *power = *re * *re;
        }
    }

    /// Finds the largest `g` that each sample can have; returns the signal of the sample
    /// with the largest of all.
    #[inline(always)]
    pub(crate) fn strongest<const FMA: bool>(&mut self, ceiling: &Ceiling) -> Signal {
        let group = |k: usize| self.sums[k * self.padded..][..self.padded].as_chunks().0;
        let (re_plus, im_plus, re_cross, im_cross) = (group(0), group(1), group(2), group(3));
        let power: &[Lanes] = group(4);
        let mut best = [0.0_f32; LANES];
        let out = self.ceilings.as_chunks_mut::<LANES>().0;
        for (k, out) in out.iter_mut().enumerate() {
            for l in 0..LANES {
                let [plus2, cross2, re, _] = signal::<FMA>(
                    (re_plus[k][l], im_plus[k][l]),
                    (re_cross[k][l], im_cross[k][l]),
                );
                let projected = fma::<FMA>(
                    ceiling.plus2,
                    plus2,
                    fma::<FMA>(ceiling.cross2, cross2, ceiling.both * re),
                );
                out[l] = fma::<FMA>(ceiling.power, power[k][l], projected);
                best[l] = larger(out[l], best[l]);
            }
        }
        let largest = largest_lane(&best);
        let at = self.ceilings.iter().position(|&g| g >= largest);
        self.signal::<FMA>(at.unwrap_or(0))
    }

    /// The signals of all samples that reach `floor`.
    #[inline(always)]
    pub(crate) fn above<const FMA: bool>(&mut self, floor: f32) -> &[Signal] {
        let mut count = 0;
        for k in 0..self.padded / LANES {
            let group = &self.ceilings[k * LANES..][..LANES];
            let mut any = 0;
            for &g in group {
                any |= u32::from(g >= floor);
            }
            if any == 0 {
                continue;
            }
            for s in (k * LANES..(k + 1) * LANES).take_while(|&s| s < self.n) {
                if self.ceilings[s] >= floor {
                    self.kept[count] = self.signal::<FMA>(s);
                    count += 1;
                }
            }
        }
        &self.kept[..count]
    }

    #[inline(always)]
    fn signal<const FMA: bool>(&self, s: usize) -> Signal {
        let at = |k: usize| self.sums[k * self.padded + s];
        signal::<FMA>((at(0), at(1)), (at(2), at(3)))
    }
}

/// The signal of `P` and `X`, given by real and imaginary parts.
#[inline(always)]
fn signal<const FMA: bool>((re_p, im_p): (f32, f32), (re_x, im_x): (f32, f32)) -> Signal {
    [
        fma::<FMA>(re_p, re_p, im_p * im_p),
        fma::<FMA>(re_x, re_x, im_x * im_x),
        fma::<FMA>(re_p, re_x, im_p * im_x),
        fma::<FMA>(im_p, re_x, -(re_p * im_x)),
    ]
}

/// The samples of the network for which a channel's interpolation has all four neighbours:
/// `1 ≤ s + shift < n - 2`.
#[inline(always)]
fn valid(n: usize, shift: i64) -> Range<usize> {
    let last = n as i64;
    let bound = |i: i64| usize::try_from(i.clamp(0, last)).unwrap_or(0);
    let start = bound(1 - shift);
    start..bound(last - 2 - shift).max(start)
}

#[cfg(test)]
mod tests;
