//! Lookup table of the radial integral.
//!
//! A square grid in `x = ln p` and `y = ln r₀` holds `T₀` and the mean and mean square of
//! distance; three regions of the plane are read from it (Singer & Price 2016, PRD 93 024013,
//! appendix A): a bicubic patch, a curve along its upper edge in `y`, and a curve along its
//! anti-diagonal for everything closer than the patch. The grid is part of the definition of a
//! sky map: a finer one gives another answer in the sixth digit.
//!
//! Signals enter as `L = ln g` with `g = (b/2p)²`: then `y = x - L/2`, and the place on the
//! anti-diagonal is `u = L/4`.

mod quadrature;

use super::lanes::{LANES, Lanes, ROUNDER, catmull_rom, ln};
use super::radial::{DistancePrior, RadialIntegral};
use crate::numeric::{clamp_index, integer, narrow};
use crate::work::{Cancelled, OutOfMemory, Work, filled};
use quadrature::{cell_range, diagonal};

/// Nodes on each axis.
pub(crate) const N_NODES: usize = 400;
/// Half width of the patch in `ln r₀`.
const ALPHA: f64 = 4.0;

/// One node: `T₀`, `⟨r⟩` and `⟨r²⟩` in units of the largest distance, and 1, so that a sum over
/// weighted nodes carries its own weight along.
pub(crate) type Node = [f32; 4];

/// Stands for `g` where a sample has no signal at all.
pub(crate) const NO_SIGNAL: f32 = 1e-30;

/// Row length, and number of rows, of the coarse copy: a power of two, so that an index can be
/// masked instead of checked.
const COARSE: usize = 512;
/// Its logarithm.
const COARSE_BITS: u32 = COARSE.trailing_zeros();

/// The table of one event. About 3.6 MB.
#[derive(Debug)]
pub(crate) struct RadialTable {
    /// Row-major, `x` by `y`; nodes below the anti-diagonal are zero.
    nodes: Vec<Node>,
    /// `T₀` alone, `[COARSE][COARSE]`, for bounds that need no interpolation of higher order.
    coarse: Vec<f32>,
    /// The same, but the largest of all smaller `x` with the same signal.
    highest: Vec<f32>,
    /// The anti-diagonal from the far end to the near one, with its ends repeated.
    diagonal: Vec<Node>,
    /// The axes.
    pub(crate) axes: Axes,
    /// Largest distance, Mpc: the unit of the moments.
    pub(crate) unit: f64,
}

/// Limits of the axes, and the steps between nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axes {
    pub(crate) x_min: f64,
    pub(crate) y_min: f64,
    pub(crate) y_max: f64,
    pub(crate) step: f64,
    /// Below this `(x + y)/2` the anti-diagonal is read.
    pub(crate) v_max: f64,
    pub(crate) u_min: f64,
}

impl Axes {
    /// Axes for the largest `p` that the network can produce, Mpc.
    fn new(p_max: f64, prior: &DistancePrior) -> Self {
        let root = std::f64::consts::SQRT_2;
        let limit = if prior.power() >= 0 {
            prior.max()
        } else {
            prior.min()
        };
        let x_max = p_max.ln();
        let x_0 = (0.5 * limit).ln().min(x_max);
        let x_min = x_0 - (1.0 + root) * ALPHA;
        Self {
            x_min,
            y_min: 2.0 * x_0 - root * ALPHA - x_max,
            y_max: x_0 + ALPHA,
            step: (x_max - x_min) / (N_NODES - 1) as f64,
            v_max: x_0 - ALPHA / root,
            u_min: -(1.0 + 1.0 / root) * ALPHA,
        }
    }

    fn p(&self, i: usize) -> f64 {
        (self.x_min + i as f64 * self.step).exp()
    }

    /// `s = p/r₀` on the diagonal `i - j = offset`.
    fn s(&self, offset: f64) -> f64 {
        (self.x_min - self.y_min + offset * self.step).exp()
    }
}

impl RadialTable {
    /// Bytes that a table occupies while it is made.
    pub(crate) const BYTES: usize =
        2 * N_NODES * N_NODES * size_of::<Node>() + 2 * COARSE * COARSE * size_of::<f32>();

    /// Fills the table; `p_max` in Mpc, positive and finite.
    pub(crate) fn new(
        p_max: f64,
        prior: &DistancePrior,
        work: &Work<'_>,
    ) -> Result<Self, TableError> {
        let axes = Axes::new(p_max, prior);
        let diagonals = work.run(2 * N_NODES - 1, || (), |(), k| diagonal(&axes, prior, k))?;
        let mut nodes = filled(N_NODES * N_NODES, [0.0; 4])?;
        let mut coarse = filled(COARSE * COARSE, 0.0)?;
        for (k, cells) in diagonals.into_iter().enumerate() {
            let (first, _) = cell_range(k);
            for (i, cell) in (first..).zip(cells) {
                let j = i + N_NODES - 1 - k;
                let node = to_node(&cell, prior.max());
                coarse[i * COARSE + j] = node[0];
                nodes[i * N_NODES + j] = node;
            }
        }
        Ok(Self {
            highest: highest(&coarse)?,
            diagonal: anti_diagonal(&nodes),
            nodes,
            coarse,
            axes,
            unit: prior.max(),
        })
    }

    /// The anti-diagonal from the far end to the near one, with its ends repeated: once before
    /// and twice behind.
    pub(crate) fn diagonal(&self) -> &[Node] {
        &self.diagonal
    }

    /// Writes the nodes `first, first + 1, …` of the `y` axis at `x`; beyond the ends of either
    /// axis its last node is repeated.
    #[inline(always)]
    pub(crate) fn cut(&self, x: f64, first: i64, out: &mut [Node]) {
        let axes = &self.axes;
        let position = ((x - axes.x_min) / axes.step).clamp(-4.0, N_NODES as f64 + 4.0);
        let row = position.floor();
        let weights = catmull_rom(narrow(position - row));
        let row = integer(row);
        let line = |k: i64| {
            let start = clamp_index(row + k, N_NODES) * N_NODES;
            &self.nodes[start..start + N_NODES]
        };
        let lines = [line(-1), line(0), line(1), line(2)];
        let last = first.saturating_add_unsigned(out.len() as u64);
        if first >= 0 && last <= N_NODES as i64 {
            // Nodes side by side are one long array of numbers.
            let start = clamp_index(first, N_NODES);
            let part = |k: usize| lines[k][start..start + out.len()].as_flattened();
            let (a, b, c, d) = (part(0), part(1), part(2), part(3));
            let [wa, wb, wc, wd] = weights;
            for ((((out, a), b), c), d) in out
                .as_flattened_mut()
                .iter_mut()
                .zip(a)
                .zip(b)
                .zip(c)
                .zip(d)
            {
                *out = (wa * a + wb * b) + (wc * c + wd * d);
            }
        } else {
            for (node, j) in out.iter_mut().zip(first..) {
                let j = clamp_index(j, N_NODES);
                *node = blend(
                    [&lines[0][j], &lines[1][j], &lines[2][j], &lines[3][j]],
                    weights,
                );
            }
        }
    }

    /// `T₀` by bilinear interpolation, for bounds; `x` and `L` per lane.
    #[inline(always)]
    pub(crate) fn coarse(&self, x: &Lanes, ln_g: &Lanes) -> Lanes {
        self.bilinear(&self.coarse, x, ln_g)
    }

    /// The `g` below which `g + T₀` is under `target` for every `p` up to `exp(x)`, in the range
    /// up to `high`. It rises with `g`, so sixteen steps and sixteen smaller ones find it.
    #[inline(always)]
    pub(crate) fn floor<const FMA: bool>(&self, x: f32, target: f32, high: f32) -> f32 {
        let xs = [x; LANES];
        let mut low = 0.0;
        let mut step = high.sqrt() / LANES as f32;
        for _ in 0..2 {
            let (mut g, mut ln_g) = ([0.0; LANES], [0.0; LANES]);
            for l in 0..LANES {
                let q = low + step * l as f32;
                g[l] = q * q;
                ln_g[l] = ln::<FMA>(if g[l] > NO_SIGNAL { g[l] } else { NO_SIGNAL });
            }
            let highest = self.bilinear(&self.highest, &xs, &ln_g);
            let mut below = 0.0_f32;
            for l in 0..LANES {
                below += if g[l] + highest[l] < target { 1.0 } else { 0.0 };
            }
            low += step * (below - 1.0).max(0.0);
            step /= LANES as f32;
        }
        low * low
    }

    #[inline(always)]
    fn bilinear(&self, plane: &[f32], x: &Lanes, ln_g: &Lanes) -> Lanes {
        let axes = &self.axes;
        let (x_min, y_min) = (narrow(axes.x_min), narrow(axes.y_min));
        let (v_max, per_step) = (narrow(axes.v_max), narrow(1.0 / axes.step));
        let top = narrow((N_NODES - 1) as f64 - 1e-3);
        let coarse: &[f32; COARSE * COARSE] = match plane.first_chunk() {
            Some(coarse) => coarse,
            None => &[0.0; COARSE * COARSE],
        };
        let (mut cell, mut tx, mut ty) = ([0_u32; LANES], [0.0; LANES], [0.0; LANES]);
        for l in 0..LANES {
            let near = ln_g[l] > 4.0 * (x[l] - v_max);
            let u = 0.25 * ln_g[l];
            let (x, y) = if near {
                (v_max + u, v_max - u)
            } else {
                (x[l], x[l] - 0.5 * ln_g[l])
            };
            let (x, y) = ((x - x_min) * per_step, (y - y_min) * per_step);
            let x = if x > 0.0 { x } else { 0.0 };
            let x = if x < top { x } else { top };
            let y = if y > 0.0 { y } else { 0.0 };
            let y = if y < top { y } else { top };
            let (i, j) = (x - 0.5 + ROUNDER, y - 0.5 + ROUNDER);
            tx[l] = x - (i - ROUNDER);
            ty[l] = y - (j - ROUNDER);
            let low_bits = (1 << COARSE_BITS) - 1;
            cell[l] = ((i.to_bits() & low_bits) << COARSE_BITS) | (j.to_bits() & low_bits);
        }
        let mut values = [0.0; LANES];
        for l in 0..LANES {
            let at = |offset: usize| coarse[(cell[l] as usize + offset) % (COARSE * COARSE)];
            let low = at(0) + ty[l] * (at(1) - at(0));
            let high = at(COARSE) + ty[l] * (at(COARSE + 1) - at(COARSE));
            values[l] = low + tx[l] * (high - low);
        }
        values
    }
}

/// Why a table could not be made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(crate) enum TableError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

/// Weighted sum of four nodes.
#[inline(always)]
pub(crate) fn blend([a, b, c, d]: [&Node; 4], [wa, wb, wc, wd]: [f32; 4]) -> Node {
    let mut sum = [0.0; 4];
    for k in 0..4 {
        sum[k] = (wa * a[k] + wb * b[k]) + (wc * c[k] + wd * d[k]);
    }
    sum
}

/// The largest `T₀` of all smaller `x` with the same signal, that is, along the diagonals.
/// On the far edge, where `T₀` no longer depends on the signal, of all smaller `x`.
fn highest(coarse: &[f32]) -> Result<Vec<f32>, OutOfMemory> {
    let mut highest = filled(COARSE * COARSE, f32::NEG_INFINITY)?;
    for i in 0..N_NODES {
        let start = N_NODES - 1 - i;
        for j in start..N_NODES {
            let own = coarse[i * COARSE + j];
            let inside = i > 0 && j > start;
            let before = match inside {
                true if j == N_NODES - 1 => {
                    highest[(i - 1) * COARSE + j].max(highest[(i - 1) * COARSE + j - 1])
                }
                true => highest[(i - 1) * COARSE + j - 1],
                false => f32::NEG_INFINITY,
            };
            highest[i * COARSE + j] = own.max(before);
        }
        // Interpolation reads a little below the anti-diagonal.
        for j in start.saturating_sub(2)..start {
            highest[i * COARSE + j] = highest[i * COARSE + start];
        }
    }
    Ok(highest)
}

fn anti_diagonal(nodes: &[Node]) -> Vec<Node> {
    let node = |i: usize| nodes[i * N_NODES + N_NODES - 1 - i];
    let inner = (0..N_NODES).map(node);
    let first = std::iter::once(node(0));
    first.chain(inner).chain([node(N_NODES - 1); 2]).collect()
}

fn to_node(cell: &RadialIntegral, unit: f64) -> Node {
    let (mean, square) = (cell.mean / unit, cell.mean_square / (unit * unit));
    [narrow(cell.ln), narrow(mean), narrow(square), 1.0]
}

#[cfg(test)]
mod tests;
