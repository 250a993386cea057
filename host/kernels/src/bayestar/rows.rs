//! The rows of samples of one pixel.
//!
//! A row is one polarization and inclination over all times: it has one `p`, and its samples
//! have `g = (b/2p)²`. For fixed `p` the log integrand `g + T₀` rises with `g`, and it is convex
//! in `√g`; so the best sample of a row bounds the row, and chords bound where a row sinks below
//! a threshold. What stays far enough below the best of the pixel is left out.

use super::lanes::{LANES, Lanes, exp, fma, ln};
use super::samples::Samples;
use super::table::{N_NODES, RadialTable};
use super::window::{NO_SIGNAL, Nodes, Window};
use crate::numeric::narrow;

/// Most rows of a pixel: ten polarizations, of which half are mirrored, times ten inclinations.
const MAX_ROWS: usize = 64;
/// Largest relative error of a pixel's sum that leaving samples out can make. It is reached only
/// if every sample but the best of each row lies just below the cut-off; in practice the error is
/// a small part of it.
const TOLERANCE: f64 = 1e-3;

/// Chords drawn to find where a row begins to matter; each costs as much as a sample group.
const CHORDS: usize = 2;
/// The `g` of a lane without a sample: its likelihood vanishes.
const NO_SAMPLE: f32 = -1e30;

/// One row, as it is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Which third of the samples it reads.
    pub(crate) polarization: usize,
    /// `g = a·|P|² + b·|X|² + c·Im(P X*)`.
    pub(crate) coefficients: [f32; 3],
    /// `p²`, Mpc².
    pub(crate) p2: f64,
    /// Weight of the quadrature.
    pub(crate) weight: f64,
    /// Largest `g`.
    pub(crate) best: f32,
}

/// The rows of one pixel, field by field, so that bounds are found for many at once.
#[derive(Debug)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    /// Samples of a row.
    n: f32,
    weight: [f32; MAX_ROWS],
    x: [f32; MAX_ROWS],
    best: [f32; MAX_ROWS],
    ln_best: [f32; MAX_ROWS],
    /// Log integrand at the best sample.
    value: [f32; MAX_ROWS],
    /// `g` below which nothing matters.
    floor: [f32; MAX_ROWS],
    /// First and last node of the table's `y` axis that the row needs.
    first: [f32; MAX_ROWS],
    last: [f32; MAX_ROWS],
}

/// Log of a pixel's sum, and the moments of distance in the table's unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowTotals {
    pub(crate) ln: f64,
    pub(crate) mean: f64,
    pub(crate) mean_square: f64,
}

impl Rows {
    /// Rows of `n` samples.
    pub(crate) fn new(n: usize) -> Self {
        let zero = [0.0; MAX_ROWS];
        let rows = Vec::with_capacity(MAX_ROWS);
        Self {
            rows,
            n: narrow(n as f64),
            weight: zero,
            x: zero,
            best: zero,
            ln_best: zero,
            value: zero,
            floor: zero,
            first: zero,
            last: zero,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Adds a row; beyond [`MAX_ROWS`] rows nothing is added.
    #[inline(always)]
    pub(crate) fn push(&mut self, row: Row) {
        let k = self.rows.len();
        if k < MAX_ROWS {
            self.x[k] = narrow(row.p2);
            self.best[k] = row.best;
            self.weight[k] = narrow(row.weight);
            self.rows.push(row);
        }
    }

    /// Sums all rows over their samples.
    #[inline(always)]
    pub(crate) fn sum<const FMA: bool>(
        &mut self,
        table: &RadialTable,
        nodes: &mut Nodes,
        samples: &Samples,
    ) -> RowTotals {
        let (peak, target) = self.find_bounds::<FMA>(table);
        let mut totals = [0.0; 4];
        let mut k = 0;
        while k < self.rows.len() {
            let end = self.end_of_pair(k);
            let (mut first, mut last) = (f32::INFINITY, f32::NEG_INFINITY);
            for m in k..end {
                let matters = self.value[m] >= target;
                first = if matters {
                    self.first[m].min(first)
                } else {
                    first
                };
                last = if matters {
                    self.last[m].max(last)
                } else {
                    last
                };
            }
            if first < last {
                let x = 0.5 * self.rows[k].p2.ln();
                let window = Window::new(table, nodes, x, (first, last));
                for m in (k..end).filter(|&m| self.value[m] >= target) {
                    let bounds = (self.floor[m], peak);
                    self.rows[m].add::<FMA>(&mut totals, samples, &window, bounds);
                }
            }
            k = end;
        }
        let [_, mean, mean_square, sum] = totals;
        RowTotals {
            ln: f64::from(peak) + sum.ln(),
            mean: mean / sum,
            mean_square: mean_square / sum,
        }
    }

    /// Where the rows end that share the `p` of row `k`: one or two.
    #[inline(always)]
    fn end_of_pair(&self, k: usize) -> usize {
        let p2 = self.rows[k].p2;
        let same = |row: &Row| (row.p2 - p2).abs() <= 0.0;
        k + 1 + usize::from(self.rows.get(k + 1).is_some_and(same))
    }

    /// Values and floors of all rows; returns the largest value, and the one below which samples
    /// are dropped.
    #[inline(always)]
    fn find_bounds<const FMA: bool>(&mut self, table: &RadialTable) -> (f32, f32) {
        let groups = self.rows.len().div_ceil(LANES);
        let xs = self.x.as_chunks_mut::<LANES>().0.iter_mut();
        let bests = self.best.as_chunks::<LANES>().0.iter();
        let logs = self.ln_best.as_chunks_mut::<LANES>().0.iter_mut();
        let values = self.value.as_chunks_mut::<LANES>().0.iter_mut();
        for (((x, best), log), value) in xs.zip(bests).zip(logs).zip(values).take(groups) {
            for l in 0..LANES {
                x[l] = 0.5 * ln::<FMA>(if x[l] > NO_SIGNAL { x[l] } else { NO_SIGNAL });
                log[l] = ln::<FMA>(if best[l] > NO_SIGNAL {
                    best[l]
                } else {
                    NO_SIGNAL
                });
            }
            let table = table.coarse(x, log);
            for l in 0..LANES {
                value[l] = best[l] + table[l];
            }
        }
        let mut peak = f32::NEG_INFINITY;
        for &value in &self.value[..self.rows.len()] {
            peak = if value > peak { value } else { peak };
        }
        let target = peak - self.cutoff::<FMA>(peak);
        for k in 0..groups {
            let range = k * LANES..(k + 1) * LANES;
            let part = |all: &[f32; MAX_ROWS]| {
                let mut part = [0.0; LANES];
                part.copy_from_slice(&all[range.clone()]);
                part
            };
            let (x, best, value) = (part(&self.x), part(&self.best), part(&self.value));
            let floor = floors_of::<FMA>(table, &x, (&best, &value), target);
            let (first, last) = node_range::<FMA>(table, &x, (&floor, &part(&self.ln_best)));
            self.floor[range.clone()].copy_from_slice(&floor);
            self.first[range.clone()].copy_from_slice(&first);
            self.last[range].copy_from_slice(&last);
        }
        (peak, target)
    }

    /// How far below the best sample others are dropped, in log likelihood: the best samples of
    /// all rows are part of the sum, and all samples that are dropped make up no more than
    /// [`TOLERANCE`] of those.
    #[inline(always)]
    fn cutoff<const FMA: bool>(&self, peak: f32) -> f32 {
        let mut parts = self.weight;
        for (part, value) in parts.iter_mut().zip(&self.value) {
            *part *= exp::<FMA>(value - peak);
        }
        let len = self.rows.len();
        let kept: f32 = parts[..len].iter().sum();
        let weight: f32 = self.weight[..len].iter().sum();
        (self.n * weight / (narrow(TOLERANCE) * kept)).ln()
    }
}

/// The `g` below which the log integrand is under `target`; never too large.
///
/// A chord of a convex function lies above it: false position from the left end approaches the
/// crossing from below and may stop anywhere.
#[inline(always)]
fn floors_of<const FMA: bool>(
    table: &RadialTable,
    x: &Lanes,
    (best, high_value): (&Lanes, &Lanes),
    target: f32,
) -> Lanes {
    let mut low = [0.0; LANES];
    let mut low_value = table.coarse(x, &[NO_SIGNAL.ln(); LANES]);
    for _ in 0..CHORDS {
        let (mut root, mut ln_g) = ([0.0; LANES], [0.0; LANES]);
        for l in 0..LANES {
            let part = (target - low_value[l]) / (high_value[l] - low_value[l]);
            root[l] = low[l] + (best[l].sqrt() - low[l]) * part;
            let g = root[l] * root[l];
            ln_g[l] = ln::<FMA>(if g > NO_SIGNAL { g } else { NO_SIGNAL });
        }
        let value = table.coarse(x, &ln_g);
        for l in 0..LANES {
            let value = root[l] * root[l] + value[l];
            let rises = low_value[l] < target && low_value[l] < high_value[l];
            let below = rises && value < target && root[l] > low[l];
            low[l] = if below { root[l] } else { low[l] };
            low_value[l] = if below { value } else { low_value[l] };
        }
    }
    for low in &mut low {
        *low *= *low;
    }
    low
}

/// First and last node of the `y` axis that interpolation needs between floor and best.
#[inline(always)]
fn node_range<const FMA: bool>(
    table: &RadialTable,
    x: &Lanes,
    (floor, ln_best): (&Lanes, &Lanes),
) -> (Lanes, Lanes) {
    let axes = &table.axes;
    let (y_min, per_step) = (narrow(axes.y_min), narrow(1.0 / axes.step));
    let (v_max, last_node) = (narrow(axes.v_max), (N_NODES - 1) as f32);
    let (mut first, mut last) = ([0.0; LANES], [0.0; LANES]);
    let place = |x: f32, ln_g: f32| {
        let place = (x - 0.5 * ln_g - y_min) * per_step;
        let place = if place < last_node { place } else { last_node };
        (if place > -4.0 { place } else { -4.0 }).floor()
    };
    for l in 0..LANES {
        // Beyond this the anti-diagonal is read.
        let ln_near = 4.0 * (x[l] - v_max);
        let ln_floor = ln::<FMA>(if floor[l] > NO_SIGNAL {
            floor[l]
        } else {
            NO_SIGNAL
        });
        first[l] = place(
            x[l],
            if ln_best[l] < ln_near {
                ln_best[l]
            } else {
                ln_near
            },
        ) - 1.0;
        last[l] = place(x[l], ln_floor) + 2.0;
    }
    (first, last)
}

impl Row {
    /// Adds `Σ exp(value - peak)` over the row's samples, alone in the last place and times the
    /// moments of distance before it.
    #[inline(always)]
    fn add<const FMA: bool>(
        &self,
        totals: &mut [f64; 4],
        samples: &Samples,
        window: &Window<'_>,
        (floor, peak): (f32, f32),
    ) {
        let [a, b, d] = self.coefficients;
        let mut sums = [[0.0; 4]; 4];
        let mut pending = Pending::new();
        let [plus2, cross2, both] = samples.groups(self.polarization);
        for ((plus2, cross2), both) in plus2.iter().zip(cross2).zip(both) {
            let mut g = [0.0; LANES];
            for l in 0..LANES {
                g[l] = fma::<FMA>(d, both[l], fma::<FMA>(a, plus2[l], b * cross2[l]));
            }
            let above = lanes_above(&g, floor);
            if above == ALL_LANES {
                window.add::<FMA, LANES>(&mut sums, &g, peak);
            } else if above != 0 && pending.push(&g, above) {
                window.add::<FMA, LANES>(&mut sums, &pending.take(), peak);
            }
        }
        match pending.len {
            0 => {}
            1..=4 => window.add::<FMA, 4>(&mut sums, &pending.rest(), peak),
            5..=8 => window.add::<FMA, 8>(&mut sums, &pending.rest(), peak),
            _ => window.add::<FMA, LANES>(&mut sums, &pending.rest(), peak),
        }
        for k in 0..4 {
            let sum = (sums[0][k] + sums[1][k]) + (sums[2][k] + sums[3][k]);
            totals[k] += self.weight * f64::from(sum);
        }
    }
}

/// Every lane of a group.
const ALL_LANES: u32 = (1 << LANES) - 1;

/// A bit for each lane that reaches `floor`; put together by halves, as vectors can.
#[inline(always)]
fn lanes_above(g: &Lanes, floor: f32) -> u32 {
    let (mut bits, mut eight, mut four) = ([0_u32; LANES], [0_u32; 8], [0_u32; 4]);
    for l in 0..LANES {
        bits[l] = if g[l] >= floor { 1 << l } else { 0 };
    }
    for l in 0..8 {
        eight[l] = bits[l] | bits[l + 8];
    }
    for l in 0..4 {
        four[l] = eight[l] | eight[l + 4];
    }
    (four[0] | four[2]) | (four[1] | four[3])
}

/// Samples of incomplete groups that wait until there are enough of them for a whole one.
struct Pending {
    g: [f32; 2 * LANES],
    len: usize,
}

impl Pending {
    #[inline(always)]
    fn new() -> Self {
        Self {
            g: [NO_SAMPLE; 2 * LANES],
            len: 0,
        }
    }

    /// Takes the lanes of a group whose bits are set; whether a whole group is there.
    #[inline(always)]
    fn push(&mut self, group: &Lanes, mut lanes: u32) -> bool {
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize % LANES;
            // Fewer than a group wait, and a group comes: the bound never acts.
            self.g[self.len % (2 * LANES)] = group[lane];
            self.len += 1;
            lanes &= lanes - 1;
        }
        self.len >= LANES
    }

    /// Gives the first group away.
    #[inline(always)]
    fn take(&mut self) -> Lanes {
        let mut whole = [0.0; LANES];
        whole.copy_from_slice(&self.g[..LANES]);
        self.g.copy_within(LANES.., 0);
        self.len -= LANES;
        whole
    }

    /// What is left, filled up with nothing.
    #[inline(always)]
    fn rest<const N: usize>(&self) -> [f32; N] {
        let mut rest = [NO_SAMPLE; N];
        for (l, (rest, &g)) in rest.iter_mut().zip(&self.g).enumerate() {
            *rest = if l < self.len { g } else { NO_SAMPLE };
        }
        rest
    }
}
