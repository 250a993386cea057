//! The samples of one pixel: a network's output, delayed, weighted and summed.
//!
//! Arrays are padded to whole groups of lanes. A padded sample has a square amplitude so far
//! below zero that its likelihood vanishes.

use super::lanes::{LANES, Lanes, catmull_rom, fma, sin_cos};
use super::network::{Channel, View};
use crate::numeric::narrow;
use crate::work::{OutOfMemory, filled};
use std::ops::Range;

/// Polarization angles `2ψ` in `[0, π)`, equidistant; the other half circle mirrors them.
pub(crate) const N_POLARIZATIONS: usize = 5;
/// In place of the square amplitude of the padding behind the last sample.
const PADDING: f32 = -1e30;

/// Buffers for the samples of one pixel.
#[derive(Debug)]
pub(crate) struct Samples {
    n: usize,
    /// Samples, rounded up to whole groups.
    padded: usize,
    /// `Σ F₊ρ` and `Σ F×ρ`: real and imaginary parts, `[4][padded]`.
    sums: Vec<f32>,
    /// `|P|²`, `|X|²` and `Im(P X*)` of each polarization, `[5][3][padded]`.
    squares: Vec<f32>,
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

impl Samples {
    /// Bytes for `n` samples.
    pub(crate) const fn bytes(n: usize) -> usize {
        (4 + 3 * N_POLARIZATIONS) * n.next_multiple_of(LANES) * size_of::<f32>()
    }

    pub(crate) fn new(n: usize) -> Result<Self, OutOfMemory> {
        let padded = n.next_multiple_of(LANES);
        let sums = filled(4 * padded, 0.0)?;
        let squares = filled(3 * N_POLARIZATIONS * padded, 0.0)?;
        Ok(Self {
            n,
            padded,
            sums,
            squares,
        })
    }

    /// `|P|²`, `|X|²` and `Im(P X*)` of polarization `k`, in groups.
    #[inline(always)]
    pub(crate) fn groups(&self, k: usize) -> [&[Lanes]; 3] {
        let padded = self.padded;
        let samples = &self.squares[3 * k * padded..3 * (k + 1) * padded];
        let (plus2, rest) = samples.split_at(padded);
        let (cross2, both) = rest.split_at(padded);
        [
            plus2.as_chunks().0,
            cross2.as_chunks().0,
            both.as_chunks().0,
        ]
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
        let (re_plus, rest) = self.sums.split_at_mut(self.padded);
        let (im_plus, rest) = rest.split_at_mut(self.padded);
        let (re_cross, im_cross) = rest.split_at_mut(self.padded);
        let len = a0.len().min(p0.len());
        let window = range.start..range.start + len;
        let (re_plus, im_plus) = (&mut re_plus[window.clone()], &mut im_plus[window.clone()]);
        let (re_cross, im_cross) = (&mut re_cross[window.clone()], &mut im_cross[window]);
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
        }
    }

    /// Writes `|ρ|²` of one channel alone as polarization 0, with zeros beside it; returns the
    /// largest.
    #[inline(always)]
    pub(crate) fn alone<const FMA: bool>(&mut self, channel: &Channel, view: &View) -> f32 {
        let range = valid(self.n, view.shift);
        let neighbours = Neighbours::new(&channel.amplitude, &range, view);
        let [w0, w1, w2, w3] = neighbours.weights;
        let [a0, a1, a2, a3] = neighbours.aligned();
        self.squares[..self.n].fill(0.0);
        self.squares[self.n..self.padded].fill(PADDING);
        self.squares[self.padded..3 * self.padded].fill(0.0);
        let out = &mut self.squares[range];
        for ((((out, a0), a1), a2), a3) in out.iter_mut().zip(a0).zip(a1).zip(a2).zip(a3) {
            let amplitude = fma::<FMA>(w3, *a3, fma::<FMA>(w2, *a2, fma::<FMA>(w1, *a1, w0 * a0)));
            *out = amplitude * amplitude;
        }
        largest(&self.squares[..self.n])
    }

    /// Turns the sums to polarization `k`, given by sine and cosine of its angle, and writes
    /// `|P|²`, `|X|²` and `Im(P X*)`.
    #[inline(always)]
    pub(crate) fn turn<const FMA: bool>(&mut self, k: usize, (sin, cos): (f32, f32)) {
        let padded = self.padded;
        let (re_plus, rest) = self.sums.split_at(padded);
        let (im_plus, rest) = rest.split_at(padded);
        let (re_cross, im_cross) = rest.split_at(padded);
        let out = &mut self.squares[3 * k * padded..3 * (k + 1) * padded];
        let (plus2, rest) = out.split_at_mut(padded);
        let (cross2, both) = rest.split_at_mut(padded);
        let im_cross = &im_cross[..padded];
        for s in 0..padded {
            let re_p = fma::<FMA>(cos, re_plus[s], sin * re_cross[s]);
            let im_p = fma::<FMA>(cos, im_plus[s], sin * im_cross[s]);
            let re_x = fma::<FMA>(cos, re_cross[s], -(sin * re_plus[s]));
            let im_x = fma::<FMA>(cos, im_cross[s], -(sin * im_plus[s]));
            plus2[s] = fma::<FMA>(re_p, re_p, im_p * im_p);
            cross2[s] = fma::<FMA>(re_x, re_x, im_x * im_x);
            both[s] = fma::<FMA>(im_p, re_x, -(re_p * im_x));
        }
        plus2[self.n..].fill(PADDING);
    }

    /// The largest `a·|P|² + b·|X|² ± d·Im(P X*)` of polarization `k`, for both signs; at least
    /// zero.
    #[inline(always)]
    pub(crate) fn largest_pair<const FMA: bool>(
        &self,
        k: usize,
        [a, b, d]: [f32; 3],
    ) -> (f32, f32) {
        let [plus2, cross2, both] = self.groups(k);
        let (mut up, mut down) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        for ((plus2, cross2), both) in plus2.iter().zip(cross2).zip(both) {
            for l in 0..LANES {
                let even = fma::<FMA>(a, plus2[l], b * cross2[l]);
                let (sum, difference) =
                    (fma::<FMA>(d, both[l], even), fma::<FMA>(-d, both[l], even));
                up[l] = if sum > up[l] { sum } else { up[l] };
                down[l] = if difference > down[l] {
                    difference
                } else {
                    down[l]
                };
            }
        }
        (largest_lane(&up), largest_lane(&down))
    }
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

/// The largest value, at least zero.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for l in 0..LANES {
            lanes[l] = if group[l] > lanes[l] {
                group[l]
            } else {
                lanes[l]
            };
        }
    }
    let best = largest_lane(&lanes);
    rest.iter()
        .fold(best, |best, &value| if value > best { value } else { best })
}

/// The largest of one group, by halves.
#[inline(always)]
fn largest_lane(lanes: &Lanes) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
    for l in 0..8 {
        eight[l] = larger(lanes[l], lanes[l + 8]);
    }
    for l in 0..4 {
        four[l] = larger(eight[l], eight[l + 4]);
    }
    larger(larger(four[0], four[2]), larger(four[1], four[3]))
}

#[cfg(test)]
mod tests;
