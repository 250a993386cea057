//! Lookup table of the radial integral.
//!
//! A square grid in `x = ln p` and `y = ln r₀` holds `T₀` and the mean and mean square of
//! distance; three regions of the plane are read from it (Singer & Price 2016, PRD 93 024013,
//! appendix A): a bicubic patch, a curve along its upper edge in `y`, and a curve along its
//! anti-diagonal for everything closer than the patch. The grid is part of the definition of a
//! sky map: a finer one gives another answer in the sixth digit.
//!
//! For a power-law prior from zero distance, cells on a diagonal of the grid share `s = p/r₀`,
//! and their integrals differ only in the lower limit `z = p/r_max`. Each diagonal is therefore
//! one running sum from the far end, panel by panel, instead of a quadrature per cell.

use super::bessel::scaled_i0;
use super::radial::{
    DistancePrior, GAUSS_4, GAUSS_8, N_POWERS, REACH, RadialIntegral, direct, gauss,
};
use crate::numeric::{clamp_index, index, integer, narrow};
use crate::work::{Cancelled, OutOfMemory, Work, filled};

/// Nodes on each axis.
pub(crate) const N_NODES: usize = 400;
/// Cells this far below the anti-diagonal are still neighbours of the bicubic patch.
const MARGIN: usize = 8;
/// Half width of the patch in `ln r₀`.
const ALPHA: f64 = 4.0;

/// One node: `T₀`, `⟨r⟩` and `⟨r²⟩` in units of the largest distance, and padding.
pub(crate) type Node = [f32; 4];

/// The table of one event. About 2.6 MB.
#[derive(Debug)]
pub(crate) struct RadialTable {
    /// Row-major, `x` by `y`; nodes below the anti-diagonal are zero.
    nodes: Vec<Node>,
    /// The last column, over `x`.
    edge: Vec<Node>,
    /// The anti-diagonal, from the far end to the near one, its ends repeated [`Self::PADDING`]
    /// times.
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
        let p_0 = 0.5
            * if prior.power() >= 0 {
                prior.max()
            } else {
                prior.min()
            };
        let x_max = p_max.ln();
        let x_0 = p_0.ln().min(x_max);
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
    /// Repetitions of each end of the anti-diagonal.
    pub(crate) const PADDING: usize = 4;
    /// Bytes that a table occupies while it is made.
    pub(crate) const BYTES: usize = 2 * N_NODES * N_NODES * size_of::<Node>();

    /// Fills the table; `p_max` in Mpc, positive and finite.
    pub(crate) fn new(
        p_max: f64,
        prior: &DistancePrior,
        work: &Work<'_>,
    ) -> Result<Self, TableError> {
        let axes = Axes::new(p_max, prior);
        let diagonals = work.run(2 * N_NODES - 1, || (), |(), k| diagonal(&axes, prior, k))?;
        let mut nodes = filled(N_NODES * N_NODES, [0.0; 4])?;
        for (k, cells) in diagonals.into_iter().enumerate() {
            let (first, _) = cell_range(k);
            for (i, cell) in (first..).zip(cells) {
                nodes[i * N_NODES + i + N_NODES - 1 - k] = to_node(&cell, prior.max());
            }
        }
        let edge = (0..N_NODES)
            .map(|i| nodes[i * N_NODES + N_NODES - 1])
            .collect();
        let diagonal = (0..N_NODES + 2 * Self::PADDING)
            .map(|i| i.saturating_sub(Self::PADDING).min(N_NODES - 1))
            .map(|i| nodes[i * N_NODES + N_NODES - 1 - i])
            .collect();
        Ok(Self {
            nodes,
            edge,
            diagonal,
            axes,
            unit: prior.max(),
        })
    }

    /// The node `(i, j)` with both indices clamped to the grid.
    fn node(&self, i: i64, j: i64) -> &Node {
        &self.nodes[clamp_index(i, N_NODES) * N_NODES + clamp_index(j, N_NODES)]
    }

    /// Node `i` of the anti-diagonal, clamped.
    fn diagonal(&self, i: i64) -> &Node {
        &self.diagonal[clamp_index(i, N_NODES) + Self::PADDING]
    }

    /// The anti-diagonal with [`Self::PADDING`] repetitions of its ends on both sides.
    pub(crate) fn padded_diagonal(&self) -> &[Node] {
        &self.diagonal
    }

    /// Cuts the table at one `x = ln p`.
    pub(crate) fn cut(&self, x: f64) -> Cut<'_> {
        let axes = &self.axes;
        let t = ((x - axes.x_min) / axes.step).clamp(-4.0, N_NODES as f64 + 4.0);
        let (row, weights) = split(t);
        let nodes = [-1, 0, 1, 2].map(|k| self.edge[clamp_index(row + k, N_NODES)]);
        Cut {
            table: self,
            row,
            weights,
            x,
            far: blend(&nodes, &weights),
            ln_far: 2.0 * (x - axes.y_max),
            ln_near: 4.0 * (x - axes.v_max),
        }
    }
}

/// The table at one value of `p`, as a function of `L = ln g`, `g = (b/2p)²`:
/// `y = x - L/2` and, on the anti-diagonal, `u = L/4`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut<'a> {
    table: &'a RadialTable,
    row: i64,
    weights: [f32; 4],
    x: f64,
    /// The value for `L` at most `ln_far`, where `r₀` is beyond the grid.
    pub(crate) far: Node,
    pub(crate) ln_far: f64,
    /// From this `L` on the anti-diagonal is read.
    pub(crate) ln_near: f64,
}

impl Cut<'_> {
    /// Position on the `y` axis, in nodes.
    pub(crate) fn y_position(&self, ln_g: f64) -> f64 {
        let axes = &self.table.axes;
        (self.x - 0.5 * ln_g - axes.y_min) / axes.step
    }

    /// Position on the anti-diagonal, in nodes.
    pub(crate) fn u_position(&self, ln_g: f64) -> f64 {
        let axes = &self.table.axes;
        ((0.25 * ln_g - axes.u_min) / axes.step).clamp(-4.0, N_NODES as f64 + 4.0)
    }

    /// Node `j` of the `y` axis at this `p`.
    pub(crate) fn node(&self, j: i64) -> Node {
        let nodes = [-1, 0, 1, 2].map(|k| *self.table.node(self.row + k, j));
        blend(&nodes, &self.weights)
    }

    /// The interpolated node at `ln_g`.
    pub(crate) fn at(&self, ln_g: f64) -> Node {
        if ln_g <= self.ln_far {
            return self.far;
        }
        let near = ln_g >= self.ln_near;
        let position = if near {
            self.u_position(ln_g)
        } else {
            self.y_position(ln_g)
        };
        let (j, weights) = split(position);
        let nodes = [-1, 0, 1, 2].map(|k| {
            if near {
                *self.table.diagonal(j + k)
            } else {
                self.node(j + k)
            }
        });
        blend(&nodes, &weights)
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

/// Integer part and interpolation weights of a position in nodes.
fn split(position: f64) -> (i64, [f32; 4]) {
    let whole = position.floor();
    (
        integer(whole),
        super::lanes::catmull_rom(narrow(position - whole)),
    )
}

/// Weighted sum of four nodes.
#[inline(always)]
pub(crate) fn blend(nodes: &[Node; 4], weights: &[f32; 4]) -> Node {
    let mut sum = [0.0; 4];
    for (node, weight) in nodes.iter().zip(weights) {
        for (total, value) in sum.iter_mut().zip(node) {
            *total += weight * value;
        }
    }
    sum
}

fn to_node(cell: &RadialIntegral, unit: f64) -> Node {
    let (mean, square) = (cell.mean / unit, cell.mean_square / (unit * unit));
    [narrow(cell.ln), narrow(mean), narrow(square), 0.0]
}

/// The values of `i` on diagonal `k = i - j + N - 1` that the patch or its edges need.
fn cell_range(k: usize) -> (usize, usize) {
    let first = (k + 1).saturating_sub(N_NODES);
    let last = k.min(N_NODES - 1);
    // i + j = 2i - (k - N + 1) is to be at least N - 1 - MARGIN.
    let above = k.saturating_sub(MARGIN).div_ceil(2);
    (first.max(above), last)
}

/// Integrals of all needed cells of one diagonal.
fn diagonal(axes: &Axes, prior: &DistancePrior, k: usize) -> Vec<RadialIntegral> {
    let (first, last) = cell_range(k);
    let s = axes.s(k as f64 - (N_NODES - 1) as f64);
    if prior.is_scale_free() {
        return running(axes, prior, s, first..last + 1);
    }
    (first..=last)
        .map(|i| direct(prior, axes.p(i), s))
        .collect()
}

/// The cells of one diagonal as a running sum over `z` from infinity to `p/r_max`.
fn running(
    axes: &Axes,
    prior: &DistancePrior,
    s: f64,
    cells: std::ops::Range<usize>,
) -> Vec<RadialIntegral> {
    let mut sum = Running::new(prior.power(), s);
    let mut integrals = Vec::with_capacity(cells.len());
    let z_of = |i: usize| axes.p(i) / prior.max();
    if let Some(last) = cells.clone().last() {
        sum.extend(&GAUSS_8, z_of(last).max(s) + REACH.sqrt(), z_of(last), 0.7);
    }
    let mut upper = None;
    for i in cells.rev() {
        let z = z_of(i);
        if let Some(upper) = upper {
            sum.extend(&GAUSS_4, upper, z, 0.4);
        }
        upper = Some(z);
        integrals.push(sum.integral(axes.p(i)));
    }
    integrals.reverse();
    integrals
}

/// `∫ exp(-(z-s)²) Ĩ₀(2sz) z^-(power+2+k) dz`, scaled by `exp(least)` against underflow.
struct Running {
    power: i32,
    s: f64,
    least: f64,
    sums: [f64; N_POWERS],
}

impl Running {
    fn new(power: i32, s: f64) -> Self {
        Self {
            power,
            s,
            least: f64::INFINITY,
            sums: [0.0; N_POWERS],
        }
    }

    /// Adds the part from `low` to `high` in panels of at most `width` and a factor 1.5, leaving
    /// out what lies too far down the Gaussian to matter.
    fn extend<const N: usize>(
        &mut self,
        rule: &super::radial::HalfRule<N>,
        high: f64,
        low: f64,
        width: f64,
    ) {
        self.rescale(low, high);
        let reach = (self.least + REACH).sqrt();
        let low = low.max(self.s - reach);
        let high = high.min(self.s + reach);
        if low >= high {
            return;
        }
        let count = ((high - low) / width)
            .max((high / low).ln() / 0.4)
            .ceil()
            .max(1.0);
        let equal_steps = (high - low) / width >= (high / low).ln() / 0.4;
        let edge = |i: f64| {
            let t = i / count;
            if equal_steps {
                low + (high - low) * t
            } else {
                low * (high / low).powf(t)
            }
        };
        for i in 0..index(count) {
            let (from, to) = (edge(i as f64), edge(i as f64 + 1.0));
            gauss(rule, from, to, |z, weight| self.add(z, weight));
        }
    }

    fn add(&mut self, z: f64, weight: f64) {
        let q = z - self.s;
        let inverse = 1.0 / z;
        let value = weight
            * (self.least - q * q).exp()
            * scaled_i0(2.0 * self.s * z)
            * inverse.powi(self.power + 2);
        self.sums[0] += value;
        self.sums[1] += value * inverse;
        self.sums[2] += value * inverse * inverse;
    }

    /// Counts exponents from the least one met so far.
    fn rescale(&mut self, low: f64, high: f64) {
        let q = self.s.clamp(low, high) - self.s;
        let least = self.least.min(q * q);
        if self.least.is_finite() {
            let factor = (least - self.least).exp();
            self.sums = self.sums.map(|sum| sum * factor);
        }
        self.least = least;
    }

    fn integral(&self, p: f64) -> RadialIntegral {
        RadialIntegral {
            ln: f64::from(self.power + 1) * p.ln() + self.sums[0].ln() - self.least,
            mean: p * self.sums[1] / self.sums[0],
            mean_square: p * p * self.sums[2] / self.sums[0],
        }
    }
}

#[cfg(test)]
mod tests;
