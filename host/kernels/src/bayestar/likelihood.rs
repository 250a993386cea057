//! The marginal likelihood of one pixel.
//!
//! Inclination, polarization, arrival time, coalescence phase and distance are integrated out
//! (Singer & Price 2016, PRD 93 024013, §IV): 10 polarizations × 10 inclinations × `n` times,
//! each a look-up in the radial table. The quadrature is part of the definition, not a limit of
//! precision.
//!
//! Three identities make the sum small. Turning the polarization by π/2 in `2ψ` only changes a
//! sign, so five polarizations are enough. Detectors are summed once per polarization and
//! sample. And for fixed `p` the integrand rises with `b`, so the best sample of each row of
//! samples bounds the row: what stays more than `CUTOFF` below the best of all is left out.
//!
//! Single precision is used where the samples are; directions, and the sums over rows, are in
//! double precision. Nothing is allocated per pixel.

use super::lanes::{catmull_rom, exp, fma, ln, sin_cos};
use super::network::{Channel, Direction, HourAngle, Network, View};
use super::table::{Cut, Node, RadialTable, blend};
use crate::healpix::Pixel;
use crate::numeric::{index, narrow};
use crate::work::{OutOfMemory, filled};

/// Samples are handled in groups of this many.
const LANES: usize = 16;
/// Polarization angles `2ψ` in `[0, π)`, equidistant; the other half circle mirrors them.
const N_POLARIZATIONS: usize = 5;
/// Positive nodes and weights of the 10-point Gauss–Legendre rule in `cos ι`.
const INCLINATIONS: [(f64, f64); 5] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_8),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_5),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];
/// Samples below the best one by more than this, in log likelihood, are dropped; the relative
/// error of the sum is at most `100 n exp(-CUTOFF)`.
const CUTOFF: f64 = 20.0;
/// Stands for the logarithm's argument where a sample has no signal at all.
const NO_SIGNAL: f32 = 1e-30;
/// In place of the square amplitude of the padding behind the last sample.
const PADDING: f32 = -1e30;

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
    /// Samples, rounded up to whole groups.
    padded: usize,
    /// `Σ F₊ρ` and `Σ F×ρ`: real and imaginary parts, `[4][padded]`.
    sums: Vec<f32>,
    /// `|P|²`, `|X|²` and `Im(P X*)` of each polarization, `[5][3][padded]`.
    squares: Vec<f32>,
    rows: Vec<Row>,
    /// The cut of the table that a row uses.
    nodes: Vec<Node>,
}

/// The samples of one polarization and inclination: `g = a·|P|² + b·|X|² + c·Im(P X*)`.
#[derive(Clone, Copy, Debug)]
struct Row {
    polarization: usize,
    coefficients: [f32; 3],
    /// `ln p`.
    x: f64,
    weight: f64,
    /// Largest `g` of the row.
    best: f32,
    /// Log integrand there.
    value: f64,
}

impl Scratch {
    /// Bytes for `n` samples.
    pub(crate) const fn bytes(n: usize) -> usize {
        (4 + 3 * N_POLARIZATIONS) * n.next_multiple_of(LANES) * size_of::<f32>() + 65_536
    }

    pub(crate) fn new(n: usize) -> Result<Self, OutOfMemory> {
        let padded = n.next_multiple_of(LANES);
        Ok(Self {
            padded,
            sums: filled(4 * padded, 0.0)?,
            squares: filled(3 * N_POLARIZATIONS * padded, 0.0)?,
            rows: Vec::with_capacity(2 * N_POLARIZATIONS * INCLINATIONS.len()),
            nodes: filled(super::table::N_NODES + 16, [0.0; 4])?,
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
        scratch.sums.fill(0.0);
        for channel in &self.network.channels {
            let view = self.network.view(channel, &direction);
            plus2 += view.plus * view.plus;
            cross2 += view.cross * view.cross;
            both += view.plus * view.cross;
            add_channel::<FMA>(scratch, channel, &view);
        }
        scratch.rows.clear();
        for k in 0..N_POLARIZATIONS {
            let (sin, cos) = polarization(k).sin_cos();
            turn::<FMA>(scratch, self.network.n, k, (narrow(sin), narrow(cos)));
            let powers = (
                cos * cos * plus2 + sin * sin * cross2 + 2.0 * sin * cos * both,
                sin * sin * plus2 + cos * cos * cross2 - 2.0 * sin * cos * both,
            );
            self.push_rows(scratch, k, powers);
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
        square_amplitude::<FMA>(scratch, channel, &view);
        scratch.rows.clear();
        let coefficients = [narrow(half), 0.0, 0.0];
        let best = coefficients[0] * largest(&scratch.squares[..self.network.n]);
        for k in 0..N_POLARIZATIONS {
            let (sin, cos) = polarization(k).sin_cos();
            let plus = view.plus * cos + view.cross * sin;
            let cross = view.cross * cos - view.plus * sin;
            for (u, weight) in INCLINATIONS {
                let c = 0.5 * (1.0 + u * u);
                let p2 = half * (c * c * plus * plus + u * u * cross * cross);
                let x = 0.5 * p2.max(f64::MIN_POSITIVE).ln();
                // Both signs of u, both half circles of polarization.
                let weight = 4.0 * weight;
                scratch.rows.push(Row {
                    polarization: 0,
                    coefficients,
                    x,
                    weight,
                    best,
                    value: 0.0,
                });
            }
        }
        self.sum_rows::<FMA>(scratch)
    }

    /// Adds the ten rows of polarization `k`; `powers` are `Σ F₊²` and `Σ F×²` turned to it.
    #[inline(always)]
    fn push_rows(&self, scratch: &mut Scratch, k: usize, powers: (f64, f64)) {
        let kappa2 = self.rescale * self.rescale;
        for (u, weight) in INCLINATIONS {
            let c = 0.5 * (1.0 + u * u);
            let p2 = 0.5 * kappa2 * (c * c * powers.0.max(0.0) + u * u * powers.1.max(0.0));
            let p2 = p2.max(1e-30);
            let scale = 0.25 * kappa2 * kappa2 / p2;
            let [a, b, d] = [scale * c * c, scale * u * u, scale * 2.0 * c * u].map(narrow);
            let best = largest_pair(scratch, k, [a, b, d]);
            let x = 0.5 * p2.ln();
            for (d, best) in [(d, best.0), (-d, best.1)] {
                let coefficients = [a, b, d];
                let weight = 2.0 * weight;
                scratch.rows.push(Row {
                    polarization: k,
                    coefficients,
                    x,
                    weight,
                    best,
                    value: 0.0,
                });
            }
        }
    }

    /// Sums all rows, skipping what cannot matter.
    #[inline(always)]
    fn sum_rows<const FMA: bool>(&self, scratch: &mut Scratch) -> PixelPosterior {
        let mut peak = f64::NEG_INFINITY;
        for row in &mut scratch.rows {
            let g = f64::from(row.best.max(NO_SIGNAL));
            row.value = g + f64::from(self.table.cut(row.x).at(g.ln())[0]);
            peak = peak.max(row.value);
        }
        let peak_lane = narrow(peak);
        let target = f64::from(peak_lane) - CUTOFF;
        let mut totals = [0.0; 3];
        let Scratch {
            padded,
            squares,
            rows,
            nodes,
            ..
        } = scratch;
        for row in rows.iter().filter(|row| row.value >= target) {
            let cut = self.table.cut(row.x);
            let floor = threshold(&cut, row, target);
            let window = Window::new(&cut, self.table, nodes, (floor, row.best));
            let from = 3 * row.polarization * *padded;
            let samples = &squares[from..from + 3 * *padded];
            let sums = row_sums::<FMA>(samples, row, &window, (floor, peak_lane));
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total += row.weight * f64::from(sum);
            }
        }
        let unit = self.table.unit;
        PixelPosterior {
            ln: f64::from(peak_lane) + totals[0].ln(),
            mean: unit * totals[1] / totals[0],
            mean_square: unit * unit * totals[2] / totals[0],
        }
    }
}

fn polarization(k: usize) -> f64 {
    k as f64 * (std::f64::consts::PI / N_POLARIZATIONS as f64)
}

/// The samples of the network for which a channel's interpolation has all four neighbours:
/// `1 ≤ s + shift < n - 2`. Outside the channel counts as silent.
#[inline(always)]
fn valid(n: usize, shift: i64) -> std::ops::Range<usize> {
    let n_signed = i64::try_from(n).unwrap_or(i64::MAX);
    let bound = |i: i64| usize::try_from(i.clamp(0, n_signed)).unwrap_or(0);
    bound(1 - shift)..bound((n_signed - 2).saturating_sub(shift)).max(bound(1 - shift))
}

/// The four shifted windows of a channel's series that interpolation needs.
#[inline(always)]
fn neighbours<'a>(series: &'a [f32], range: &std::ops::Range<usize>, shift: i64) -> [&'a [f32]; 4] {
    let len = range.len();
    let first = i64::try_from(range.start).unwrap_or(0) + shift - 1;
    let first = usize::try_from(first).unwrap_or(0);
    [0, 1, 2, 3].map(|k| series.get(first + k..first + k + len).unwrap_or(&[]))
}

/// Adds `F₊ρ` and `F×ρ` of one channel to the sums over detectors.
#[inline(always)]
fn add_channel<const FMA: bool>(scratch: &mut Scratch, channel: &Channel, view: &View) {
    let n = channel.amplitude.len();
    let range = valid(n, view.shift);
    let [w0, w1, w2, w3] = catmull_rom(narrow(view.fraction));
    let (plus, cross) = (narrow(view.plus), narrow(view.cross));
    let [a0, a1, a2, a3] = neighbours(&channel.amplitude, &range, view.shift);
    let [p0, p1, p2, p3] = neighbours(&channel.phase, &range, view.shift);
    let len = a3.len().min(p3.len()).min(range.len());
    let (re_plus, rest) = scratch.sums.split_at_mut(scratch.padded);
    let (im_plus, rest) = rest.split_at_mut(scratch.padded);
    let (re_cross, im_cross) = rest.split_at_mut(scratch.padded);
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

/// Writes `|ρ|²` of one channel as polarization 0, and zeros beside it.
#[inline(always)]
fn square_amplitude<const FMA: bool>(scratch: &mut Scratch, channel: &Channel, view: &View) {
    let n = channel.amplitude.len();
    let range = valid(n, view.shift);
    let [w0, w1, w2, w3] = catmull_rom(narrow(view.fraction));
    let [a0, a1, a2, a3] = neighbours(&channel.amplitude, &range, view.shift);
    let padded = scratch.padded;
    scratch.squares[..n].fill(0.0);
    scratch.squares[n..padded].fill(PADDING);
    scratch.squares[padded..3 * padded].fill(0.0);
    let out = &mut scratch.squares[range];
    for ((((out, a0), a1), a2), a3) in out.iter_mut().zip(a0).zip(a1).zip(a2).zip(a3) {
        let amplitude = fma::<FMA>(w3, *a3, fma::<FMA>(w2, *a2, fma::<FMA>(w1, *a1, w0 * a0)));
        *out = amplitude * amplitude;
    }
}

/// Turns the sums to polarization `k` and writes `|P|²`, `|X|²`, `Im(P X*)`.
#[inline(always)]
fn turn<const FMA: bool>(scratch: &mut Scratch, n: usize, k: usize, (sin, cos): (f32, f32)) {
    let padded = scratch.padded;
    let (re_plus, rest) = scratch.sums.split_at(padded);
    let (im_plus, rest) = rest.split_at(padded);
    let (re_cross, im_cross) = rest.split_at(padded);
    let out = &mut scratch.squares[3 * k * padded..3 * (k + 1) * padded];
    let (plus2, rest) = out.split_at_mut(padded);
    let (cross2, both) = rest.split_at_mut(padded);
    let (re_cross, im_cross) = (&re_cross[..padded], &im_cross[..padded]);
    let both = &mut both[..padded];
    for s in 0..padded {
        let re_p = fma::<FMA>(cos, re_plus[s], sin * re_cross[s]);
        let im_p = fma::<FMA>(cos, im_plus[s], sin * im_cross[s]);
        let re_x = fma::<FMA>(cos, re_cross[s], -(sin * re_plus[s]));
        let im_x = fma::<FMA>(cos, im_cross[s], -(sin * im_plus[s]));
        plus2[s] = fma::<FMA>(re_p, re_p, im_p * im_p);
        cross2[s] = fma::<FMA>(re_x, re_x, im_x * im_x);
        both[s] = fma::<FMA>(im_p, re_x, -(re_p * im_x));
    }
    plus2[n..].fill(PADDING);
}

/// The largest value, at least zero.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |best, &value| if value > best { value } else { best })
}

/// The largest `g` of the two rows with coefficients `(a, b, ±d)`.
#[inline(always)]
fn largest_pair(scratch: &Scratch, k: usize, [a, b, d]: [f32; 3]) -> (f32, f32) {
    let padded = scratch.padded;
    let samples = &scratch.squares[3 * k * padded..3 * (k + 1) * padded];
    let (plus2, rest) = samples.split_at(padded);
    let (cross2, both) = rest.split_at(padded);
    let (mut up, mut down) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let groups = plus2.as_chunks::<LANES>().0.iter();
    let groups = groups
        .zip(cross2.as_chunks::<LANES>().0)
        .zip(both.as_chunks::<LANES>().0);
    for ((plus2, cross2), both) in groups {
        for l in 0..LANES {
            let even = a * plus2[l] + b * cross2[l];
            let odd = d * both[l];
            let (sum, difference) = (even + odd, even - odd);
            up[l] = if sum > up[l] { sum } else { up[l] };
            down[l] = if difference > down[l] {
                difference
            } else {
                down[l]
            };
        }
    }
    (largest(&up), largest(&down))
}

/// The `g` below which the row's log integrand is under `target`; never too large.
///
/// The log integrand is convex in `b`, so a chord lies above it: false position from the left
/// end approaches the crossing from below and may stop anywhere.
fn threshold(cut: &Cut<'_>, row: &Row, target: f64) -> f32 {
    let (mut low, mut low_value) = (0.0, f64::from(cut.far[0]));
    let high = f64::from(row.best).sqrt();
    for _ in 0..3 {
        if low_value >= target || row.value <= low_value {
            break;
        }
        let root = low + (high - low) * (target - low_value) / (row.value - low_value);
        let g = root * root;
        let value = g + f64::from(cut.at(g.max(1e-30).ln())[0]);
        if value >= target {
            break;
        }
        (low, low_value) = (root, value);
    }
    narrow(low * low)
}

/// The part of a cut that one row reads, as a function of `L = ln g`.
struct Window<'a> {
    patch: &'a [Node],
    diagonal: &'a [Node],
    far: Node,
    ln_far: f32,
    ln_near: f32,
    /// Index of the first neighbour is the integer part of `from - slope·L` …
    from: f32,
    slope: f32,
    /// … or, on the anti-diagonal, of `diagonal_from + diagonal_slope·L`.
    diagonal_from: f32,
    diagonal_slope: f32,
}

impl<'a> Window<'a> {
    #[inline(always)]
    fn new(
        cut: &Cut<'_>,
        table: &'a RadialTable,
        nodes: &'a mut [Node],
        (floor, best): (f32, f32),
    ) -> Self {
        let ln_best = f64::from(best.max(NO_SIGNAL)).ln().min(cut.ln_near);
        let ln_floor = f64::from(floor.max(NO_SIGNAL)).ln().max(cut.ln_far);
        let first = cut.y_position(ln_best).floor() - 1.0;
        let last = cut.y_position(ln_floor.min(ln_best)).floor() + 2.0;
        let count = index(last - first + 1.0).clamp(4, nodes.len());
        let start = crate::numeric::integer(first);
        for (node, j) in nodes[..count].iter_mut().zip(start..) {
            *node = cut.node(j);
        }
        let step = table.axes.step;
        Self {
            patch: &nodes[..count],
            diagonal: table.padded_diagonal(),
            far: cut.far,
            ln_far: narrow(cut.ln_far),
            ln_near: narrow(cut.ln_near),
            from: narrow(cut.y_position(0.0) - first - 1.0),
            slope: narrow(0.5 / step),
            diagonal_from: narrow(RadialTable::PADDING as f64 - 1.0 - table.axes.u_min / step),
            diagonal_slope: narrow(0.25 / step),
        }
    }

    #[inline(always)]
    fn at(&self, ln_g: f32) -> Node {
        if ln_g <= self.ln_far {
            return self.far;
        }
        let (nodes, position) = if ln_g >= self.ln_near {
            (
                self.diagonal,
                self.diagonal_from + self.diagonal_slope * ln_g,
            )
        } else {
            (self.patch, self.from - self.slope * ln_g)
        };
        let position = if position > 0.0 { position } else { 0.0 };
        let whole = index(f64::from(position)).min(nodes.len() - 4);
        let weights = catmull_rom((position - whole as f32).min(1.0));
        match nodes[whole..].first_chunk() {
            Some(nodes) => blend(nodes, &weights),
            None => self.far,
        }
    }
}

/// `Σ exp(value - peak)` over one row's samples, alone and times the moments of distance.
#[inline(always)]
fn row_sums<const FMA: bool>(
    samples: &[f32],
    row: &Row,
    window: &Window<'_>,
    (floor, peak): (f32, f32),
) -> [f32; 3] {
    let padded = samples.len() / 3;
    let [a, b, d] = row.coefficients;
    let mut totals = [[0.0_f32; LANES]; 3];
    let groups = |k: usize| samples[k * padded..(k + 1) * padded].as_chunks::<LANES>().0;
    for ((plus2, cross2), both) in groups(0).iter().zip(groups(1)).zip(groups(2)) {
        let mut g = [0.0_f32; LANES];
        let mut above = false;
        for l in 0..LANES {
            g[l] = fma::<FMA>(d, both[l], a * plus2[l] + b * cross2[l]);
            above |= g[l] >= floor;
        }
        if above {
            add_group::<FMA>(&mut totals, &g, window, peak);
        }
    }
    totals.map(|lanes| lanes.iter().sum())
}

/// Adds one group of samples to the lanes of the totals.
#[inline(always)]
fn add_group<const FMA: bool>(
    totals: &mut [[f32; LANES]; 3],
    g: &[f32; LANES],
    window: &Window<'_>,
    peak: f32,
) {
    let mut logs = [0.0_f32; LANES];
    for l in 0..LANES {
        logs[l] = ln::<FMA>(if g[l] > NO_SIGNAL { g[l] } else { NO_SIGNAL });
    }
    let (mut value, mut mean, mut square) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
    for l in 0..LANES {
        let node = window.at(logs[l]);
        value[l] = (g[l] - peak) + node[0];
        mean[l] = node[1];
        square[l] = node[2];
    }
    for l in 0..LANES {
        let weight = exp::<FMA>(value[l]);
        totals[0][l] += weight;
        totals[1][l] = fma::<FMA>(weight, mean[l], totals[1][l]);
        totals[2][l] = fma::<FMA>(weight, square[l], totals[2][l]);
    }
}
