//! The radial integral along the angles of one pixel, as polynomials.
//!
//! All samples of a pixel that matter have `q = √g` between two values. There the log integrand
//! `q² + T₀` and the moments of distance are smooth functions of `q`, one of each per angle;
//! polynomials through eight nodes take the table's place. What is left per sample is free of
//! look-ups, so that vectors of any width can do it.
//!
//! Nodes crowd at the upper end, where the sum comes from.

use super::angles::{Bounds, N_ANGLES, PADDED, PerAngle};
use super::lanes::{LANES, Lanes, ROUNDER, catmull_rom, exp2, fma, ln};
use super::table::{N_NODES, NO_SIGNAL, Node, RadialTable};
use crate::numeric::{index, integer, narrow};

/// Nodes, and coefficients of a polynomial.
pub(crate) const N_FIT: usize = 8;
/// Least width of the interval in `q`; below, rounding would decide about the polynomials.
const LEAST_WIDTH: f32 = 0.25;
/// How far nodes are drawn to the upper end.
const CROWDING: f64 = 0.3;

/// Logarithm, to base 2, in place of an integrand that does not matter.
const NOTHING: f32 = -1e6;

/// Polynomials from values at nodes on `[-1, 1]`; made once.
#[derive(Debug)]
pub(crate) struct Nodes {
    at: [f32; N_FIT],
    /// Coefficient `k` is the sum over nodes of these times the values.
    matrix: [[f32; N_FIT]; N_FIT],
    line: Line,
}

/// One angle's part of the table, behind the anti-diagonal, so that the choice between the two is
/// a choice of index.
#[derive(Debug)]
struct Line {
    nodes: Box<[Node; N_LINE]>,
}

/// Where the part begins.
const PATCH: usize = N_NODES + 4;
/// The same, added to an index.
const PATCH_BASE: u32 = 404;
const _: () = assert!(PATCH_BASE as usize == PATCH, "both name the same place");
/// Nodes of a line: of both there are as many as an axis has, and neighbours.
const N_LINE: usize = 2 * PATCH;

impl Nodes {
    pub(crate) const BYTES: usize = N_LINE * size_of::<Node>() + 1_024;

    pub(crate) fn new(table: &RadialTable) -> Self {
        let at: [f64; N_FIT] = std::array::from_fn(|j| {
            let t = -(std::f64::consts::PI * (j as f64 + 0.5) / N_FIT as f64).cos();
            t + CROWDING * (1.0 - t * t)
        });
        let mut nodes = Self {
            at: at.map(narrow),
            matrix: [[0.0; N_FIT]; N_FIT],
            line: Line::new(table),
        };
        for j in 0..N_FIT {
            for (row, coefficient) in nodes.matrix.iter_mut().zip(lagrange(&at, j)) {
                row[j] = narrow(coefficient);
            }
        }
        nodes
    }
}

/// The polynomial that is 1 at node `j` and 0 at the others, from the constant upwards.
fn lagrange(at: &[f64; N_FIT], j: usize) -> [f64; N_FIT] {
    let mut product = [0.0; N_FIT];
    product[0] = 1.0;
    for (_, node) in at.iter().enumerate().filter(|&(m, _)| m != j) {
        let scale = 1.0 / (at[j] - node);
        for k in (0..N_FIT).rev() {
            let below = if k > 0 { product[k - 1] } else { 0.0 };
            product[k] = scale * (below - node * product[k]);
        }
    }
    product
}

/// `q = middle + half·t` with `t` from -1 to 1.
#[derive(Clone, Copy, Debug)]
struct Interval {
    middle: f32,
    half: f32,
}

impl Interval {
    /// The interval of a pixel.
    #[inline(always)]
    fn new(bounds: &Bounds) -> Self {
        let (low, high) = (bounds.floor.sqrt(), bounds.high.sqrt());
        let low = if low < high - LEAST_WIDTH {
            low
        } else {
            (high - LEAST_WIDTH).max(0.0)
        };
        let half = 0.5 * (high - low).max(LEAST_WIDTH);
        Self {
            middle: low + half,
            half,
        }
    }

    /// `ln g` at several `t`.
    #[inline(always)]
    fn ln_g<const FMA: bool>(self, t: &[f32; N_FIT]) -> [f32; N_FIT] {
        let mut ln_g = [0.0; N_FIT];
        for j in 0..N_FIT {
            let q = fma::<FMA>(self.half, t[j], self.middle);
            let g = q * q;
            ln_g[j] = ln::<FMA>(if g > NO_SIGNAL { g } else { NO_SIGNAL });
        }
        ln_g
    }

    /// Coefficients in `t` of `g - peak`, to base 2.
    fn square(self, peak: f32) -> [f32; 3] {
        let [middle, half, peak] = [self.middle, self.half, peak].map(f64::from);
        [middle * middle - peak, 2.0 * middle * half, half * half]
            .map(|share| narrow(std::f64::consts::LOG2_E * share))
    }
}

/// The polynomials of one pixel, for each angle.
#[derive(Debug)]
pub(crate) struct Curves {
    /// `t = per_q·q - offset` is in `[-1, 1]`.
    per_q: f32,
    offset: f32,
    /// Log to base 2 of the integrand, less the peak.
    value: [PerAngle; N_FIT],
    mean: [PerAngle; N_FIT],
    square: [PerAngle; N_FIT],
}

impl Curves {
    /// Fits the integrals at `x = ln p` of each angle that matters, over the interval of the
    /// bounds. Logs count from their peak.
    #[inline(always)]
    pub(crate) fn fit<const FMA: bool>(
        table: &RadialTable,
        nodes: &mut Nodes,
        x: &PerAngle,
        bounds: &Bounds,
    ) -> Self {
        let interval = Interval::new(bounds);
        let ln_g = interval.ln_g::<FMA>(&nodes.at);
        let mut found = [[[0.0; PADDED]; N_FIT]; 3];
        for (l, &x) in x.iter().enumerate().take(N_ANGLES) {
            if bounds.matters[l] {
                let at = nodes.line.look_up::<FMA>(table, x, &ln_g);
                for j in 0..N_FIT {
                    found[0][j][l] = std::f32::consts::LOG2_E * at[j][0];
                    found[1][j][l] = at[j][1];
                    found[2][j][l] = at[j][2];
                }
            }
        }
        let mut curves = Self {
            per_q: 1.0 / interval.half,
            offset: interval.middle / interval.half,
            value: [[0.0; PADDED]; N_FIT],
            mean: [[0.0; PADDED]; N_FIT],
            square: [[0.0; PADDED]; N_FIT],
        };
        transform::<FMA>(&nodes.matrix, &found[0], &mut curves.value);
        transform::<FMA>(&nodes.matrix, &found[1], &mut curves.mean);
        transform::<FMA>(&nodes.matrix, &found[2], &mut curves.square);
        // What is large needs no fit.
        for (value, share) in curves.value.iter_mut().zip(interval.square(bounds.peak)) {
            for value in value {
                *value += share;
            }
        }
        for l in 0..PADDED {
            if !bounds.matters[l] {
                curves.value[0][l] = NOTHING;
            }
        }
        curves
    }

    /// Adds the integrand of group `k` at `g`, times the powers of `t`, to `sums`.
    #[inline(always)]
    pub(crate) fn add<const FMA: bool>(&self, k: usize, g: &Lanes, sums: &mut [Lanes; N_FIT]) {
        let part = |curve: &PerAngle| -> Lanes {
            let mut part = [0.0; LANES];
            part.copy_from_slice(&curve[k * LANES..(k + 1) * LANES]);
            part
        };
        let coefficients: [Lanes; N_FIT] = std::array::from_fn(|m| part(&self.value[m]));
        for l in 0..LANES {
            let q = if g[l] > 0.0 { g[l] } else { 0.0 }.sqrt();
            let t = fma::<FMA>(self.per_q, q, -self.offset);
            // Below the interval the integrand is too small to matter, and stays so at its edge.
            let t = if t > -1.0 { t } else { -1.0 };
            let t = if t < 1.0 { t } else { 1.0 };
            let mut value = coefficients[N_FIT - 1][l];
            for m in (0..N_FIT - 1).rev() {
                value = fma::<FMA>(value, t, coefficients[m][l]);
            }
            let mut power = exp2::<FMA>(value);
            for sum in sums.iter_mut() {
                sum[l] += power;
                power *= t;
            }
        }
    }

    /// The sum itself and those over `⟨r⟩` and `⟨r²⟩`, from the sums over powers of `t`.
    #[inline(always)]
    pub(crate) fn moments<const FMA: bool>(&self, k: usize, sums: &[Lanes; N_FIT]) -> [Lanes; 3] {
        let (mut mean, mut square) = ([0.0; LANES], [0.0; LANES]);
        for ((means, squares), sum) in self.mean.iter().zip(&self.square).zip(sums) {
            let means = &means.as_chunks::<LANES>().0[k];
            let squares = &squares.as_chunks::<LANES>().0[k];
            for l in 0..LANES {
                mean[l] = fma::<FMA>(means[l], sum[l], mean[l]);
                square[l] = fma::<FMA>(squares[l], sum[l], square[l]);
            }
        }
        [sums[0], mean, square]
    }
}

impl Line {
    /// A line of one table.
    fn new(table: &RadialTable) -> Self {
        let mut nodes = Box::new([[0.0; 4]; N_LINE]);
        for (node, edge) in nodes.iter_mut().zip(table.diagonal()) {
            *node = *edge;
        }
        Self { nodes }
    }

    /// The table at `x` and each of several rising `L = ln g`.
    #[inline(always)]
    fn look_up<const FMA: bool>(
        &mut self,
        table: &RadialTable,
        x: f32,
        ln_g: &[f32; N_FIT],
    ) -> [Node; N_FIT] {
        let axes = &table.axes;
        let per_step = narrow(1.0 / axes.step);
        let last = (N_NODES - 1) as f32;
        // Beyond this the anti-diagonal is read.
        let ln_near = 4.0 * (x - narrow(axes.v_max));
        let y_at = |ln_g: f32| {
            let ln_g = if ln_g < ln_near { ln_g } else { ln_near };
            let place = (x - 0.5 * ln_g - narrow(axes.y_min)) * per_step;
            let place = if place > 0.0 { place } else { 0.0 };
            if place < last { place } else { last }
        };
        let (far, near) = (y_at(ln_g[0]).floor(), y_at(ln_g[N_FIT - 1]).floor());
        let patch = self.nodes.get_mut(PATCH..).unwrap_or(&mut []);
        let count = index(f64::from(far - near) + 4.0).clamp(4, patch.len());
        table.cut(x.into(), integer(f64::from(near)) - 1, &mut patch[..count]);
        let (mut first, mut at) = ([0_u32; N_FIT], [0.0; N_FIT]);
        for j in 0..N_FIT {
            let on_edge = ln_g[j] >= ln_near;
            let edge = (0.25 * ln_g[j] - narrow(axes.u_min)) * per_step;
            let edge = if edge > 0.0 { edge } else { 0.0 };
            let edge = if edge < last { edge } else { last };
            let place = if on_edge { edge } else { y_at(ln_g[j]) - near };
            // Rounding half a node lower is rounding down; a tie gives place 1 instead of 0.
            let cell = place - 0.5 + ROUNDER;
            let cell = if cell > ROUNDER { cell } else { ROUNDER };
            let base = if on_edge { 0 } else { PATCH_BASE };
            first[j] = cell.to_bits().wrapping_sub(ROUNDER.to_bits()) + base;
            at[j] = place - (cell - ROUNDER);
        }
        let mut weights = [[0.0; 4]; N_FIT];
        for j in 0..N_FIT {
            weights[j] = catmull_rom(at[j]);
        }
        let mut found = [[0.0; 4]; N_FIT];
        for j in 0..N_FIT {
            let nodes = self.nodes.get(first[j] as usize..);
            if let Some([a, b, c, d]) = nodes.and_then(<[Node]>::first_chunk) {
                let [wa, wb, wc, wd] = weights[j];
                for k in 0..4 {
                    let half = fma::<FMA>(wb, b[k], wa * a[k]);
                    found[j][k] = fma::<FMA>(wd, d[k], fma::<FMA>(wc, c[k], half));
                }
            }
        }
        found
    }
}

/// Coefficients from values at the nodes, for all angles.
///
/// A constant is its own polynomial: what is transformed is the differences from the last value,
/// which lose less to rounding.
#[inline(always)]
fn transform<const FMA: bool>(
    matrix: &[[f32; N_FIT]; N_FIT],
    values: &[PerAngle; N_FIT],
    out: &mut [PerAngle; N_FIT],
) {
    for k in 0..PADDED / LANES {
        let group: [&Lanes; N_FIT] = std::array::from_fn(|j| &values[j].as_chunks::<LANES>().0[k]);
        let last = group[N_FIT - 1];
        for (m, (out, row)) in out.iter_mut().zip(matrix).enumerate() {
            let mut sum = if m == 0 { *last } else { [0.0; LANES] };
            for j in 0..N_FIT - 1 {
                for l in 0..LANES {
                    sum[l] = fma::<FMA>(row[j], group[j][l] - last[l], sum[l]);
                }
            }
            out.as_chunks_mut::<LANES>().0[k] = sum;
        }
    }
}

#[cfg(test)]
mod tests;
