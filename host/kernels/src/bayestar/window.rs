//! The part of the radial table that one row of samples reads.
//!
//! A row has one `p`, so the table is cut there once, over the range of `y` that the row's
//! samples need; what is left per sample is interpolation along a line. Patch and anti-diagonal
//! lie one behind the other in one buffer, so that the choice between them is a choice of index.

use super::lanes::{ROUNDER, catmull_rom, exp, fma, ln};
#[cfg(test)]
use super::table::blend;
use super::table::{N_NODES, Node, RadialTable};
use crate::numeric::{index, integer, narrow};

/// Size of the buffer; a power of two, so that an index can be masked instead of checked.
const BUFFER: usize = 1_024;
/// Repetitions of each end of the anti-diagonal.
const REPEATS: usize = 4;
/// Where the patch begins.
const PATCH: usize = N_NODES + 2 * REPEATS;
/// The same, added to an index.
const PATCH_BASE: u32 = 408;
const _: () = assert!(PATCH_BASE as usize == PATCH, "both name the same place");
/// Stands for `g` where a sample has no signal at all.
pub(crate) const NO_SIGNAL: f32 = 1e-30;

/// The buffer of one thread.
#[derive(Debug)]
pub(crate) struct Nodes(Box<[Node; BUFFER]>);

impl Nodes {
    pub(crate) const BYTES: usize = BUFFER * size_of::<Node>();

    /// A buffer for one table.
    pub(crate) fn new(table: &RadialTable) -> Self {
        let mut nodes = Box::new([[0.0; 4]; BUFFER]);
        for (node, i) in nodes[..PATCH].iter_mut().zip(-4..) {
            *node = table.diagonal(i);
        }
        Self(nodes)
    }
}

/// A row's view of the table, as a function of `L = ln g`.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    nodes: &'a [Node; BUFFER],
    /// Position in the patch: `from - slope·L`, at most `far`.
    from: f32,
    slope: f32,
    far: f32,
    /// From this `L` on the anti-diagonal is read: position `diagonal_from + ½ slope·L`.
    ln_near: f32,
    diagonal_from: f32,
}

impl<'a> Window<'a> {
    /// Cuts the table at `x = ln p` from node `first` to `last` of the `y` axis.
    #[inline(always)]
    pub(crate) fn new(
        table: &RadialTable,
        nodes: &'a mut Nodes,
        x: f64,
        (first, last): (f32, f32),
    ) -> Self {
        let axes = &table.axes;
        let per_step = 1.0 / axes.step;
        let count = index(f64::from(last - first) + 1.0).clamp(4, BUFFER - PATCH);
        let first = f64::from(first);
        table.cut(x, integer(first), &mut nodes.0[PATCH..PATCH + count]);
        Self {
            nodes: &nodes.0,
            from: narrow((x - axes.y_min) * per_step - first - 1.0),
            slope: narrow(0.5 * per_step),
            far: narrow(((N_NODES - 1) as f64 - first - 1.0).min(count as f64 - 3.0)),
            ln_near: narrow(4.0 * (x - axes.v_max)),
            diagonal_from: narrow(REPEATS as f64 - 1.0 - axes.u_min * per_step),
        }
    }

    /// Index of the first of four neighbours, and the place between the middle two, in `[0, 1]`.
    #[inline(always)]
    fn place(&self, ln_g: f32) -> (u32, f32) {
        let near = ln_g >= self.ln_near;
        let diagonal = self.diagonal_from + 0.5 * self.slope * ln_g;
        let patch = self.from - self.slope * ln_g;
        let position = if near { diagonal } else { patch };
        let top = if near {
            (PATCH - REPEATS) as f32
        } else {
            self.far
        };
        let position = if position < top { position } else { top };
        let position = if position > 0.0 { position } else { 0.0 };
        // Rounding half a node lower is rounding down; a tie gives place 1 instead of 0.
        let whole = position - 0.5 + ROUNDER;
        let base = if near { 0 } else { PATCH_BASE };
        let first = whole
            .to_bits()
            .wrapping_sub(ROUNDER.to_bits())
            .wrapping_add(base);
        (first, position - (whole - ROUNDER))
    }

    /// The table at one signal.
    #[cfg(test)]
    pub(crate) fn at(&self, ln_g: f32) -> Node {
        let (first, place) = self.place(ln_g);
        let at = |k: usize| &self.nodes[(first as usize + k) % BUFFER];
        blend([at(0), at(1), at(2), at(3)], catmull_rom(place))
    }

    /// Adds `exp(g + T₀ - peak)` times the node of each lane: the last component collects the
    /// sum itself, the middle ones the moments of distance. `N` is a multiple of 4.
    #[inline(always)]
    pub(crate) fn add<const FMA: bool, const N: usize>(
        &self,
        totals: &mut [Node; 4],
        g: &[f32; N],
        peak: f32,
    ) {
        let (mut first, mut weights) = ([0_u32; N], [[0.0; N]; 4]);
        for l in 0..N {
            let signal = if g[l] > NO_SIGNAL { g[l] } else { NO_SIGNAL };
            let (from, place) = self.place(ln::<FMA>(signal));
            let [a, b, c, d] = catmull_rom(place);
            first[l] = from;
            weights[0][l] = a;
            weights[1][l] = b;
            weights[2][l] = c;
            weights[3][l] = d;
        }
        let (mut nodes, mut value) = ([[0.0; 4]; N], [0.0; N]);
        look_up::<FMA, N>(self.nodes, &first, &weights, (&mut nodes, &mut value));
        for l in 0..N {
            value[l] = exp::<FMA>((g[l] - peak) + value[l]);
        }
        accumulate(totals, &nodes, &value);
    }
}

/// Interpolates a node per lane, and copies its first component out. A place outside of the
/// buffer, which there is none, would end it.
///
/// That way out keeps the compiler from turning lanes into vectors, where it would gather each
/// component by itself at several times the cost: one node is one vector.
#[inline(always)]
fn look_up<const FMA: bool, const N: usize>(
    nodes: &[Node; BUFFER],
    first: &[u32; N],
    weights: &[[f32; N]; 4],
    (out, value): (&mut [Node; N], &mut [f32; N]),
) {
    for l in 0..N {
        let at = nodes.get(first[l] as usize..);
        let Some([a, b, c, d]) = at.and_then(<[Node]>::first_chunk) else {
            return;
        };
        let (wa, wb, wc, wd) = (weights[0][l], weights[1][l], weights[2][l], weights[3][l]);
        let mut sum = [0.0; 4];
        for k in 0..4 {
            let half = fma::<FMA>(wb, b[k], wa * a[k]);
            sum[k] = fma::<FMA>(wd, d[k], fma::<FMA>(wc, c[k], half));
        }
        (out[l], value[l]) = (sum, sum[0]);
    }
}

/// Adds each lane's node times its weight.
#[inline(always)]
fn accumulate<const N: usize>(totals: &mut [Node; 4], nodes: &[Node; N], weight: &[f32; N]) {
    for l in (0..N).step_by(4) {
        for (m, total) in totals.iter_mut().enumerate() {
            for k in 0..4 {
                total[k] += weight[l + m] * nodes[l + m][k];
            }
        }
    }
}

#[cfg(test)]
mod tests;
