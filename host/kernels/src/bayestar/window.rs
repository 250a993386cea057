//! The part of the radial table that one row of samples reads.
//!
//! A row has one `p`, so the table is cut there once, over the range of `y` that the row's
//! samples need; what is left per sample is interpolation along a line. Patch and anti-diagonal
//! lie one behind the other in one buffer, so that the choice between them is a choice of index.

use super::lanes::{LANES, Lanes, ROUNDER, catmull_rom, exp, ln};
use super::table::{N_NODES, Node, RadialTable, blend};
use crate::numeric::{index, integer, narrow};

/// Size of the buffer; a power of two, so that an index can be masked instead of checked.
const BUFFER: usize = 1_024;
/// Repetitions of each end of the anti-diagonal.
const REPEATS: usize = 4;
/// Where the patch begins.
const PATCH: usize = N_NODES + 2 * REPEATS;
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
    /// Cuts the table at `x = ln p` for signals between `ln_floor` and `ln_best`.
    #[inline(always)]
    pub(crate) fn new(
        table: &RadialTable,
        nodes: &'a mut Nodes,
        x: f64,
        (ln_floor, ln_best): (f32, f32),
    ) -> Self {
        let axes = &table.axes;
        let per_step = 1.0 / axes.step;
        let ln_near = 4.0 * (x - axes.v_max);
        let last_node = (N_NODES - 1) as f64;
        let place = |ln_g: f64| ((x - 0.5 * ln_g - axes.y_min) * per_step).clamp(-4.0, last_node);
        let first = place(f64::from(ln_best).min(ln_near)).floor() - 1.0;
        let last = place(f64::from(ln_floor)).floor() + 2.0;
        let count = index(last - first + 1.0).clamp(4, BUFFER - PATCH);
        table.cut(x, integer(first), &mut nodes.0[PATCH..PATCH + count]);
        Self {
            nodes: &nodes.0,
            from: narrow((x - axes.y_min) * per_step - first - 1.0),
            slope: narrow(0.5 * per_step),
            far: narrow((last_node - first - 1.0).min(count as f64 - 3.0)),
            ln_near: narrow(ln_near),
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
        let top = if near { (PATCH - REPEATS) as f32 } else { self.far };
        let position = if position < top { position } else { top };
        let position = if position > 0.0 { position } else { 0.0 };
        // Rounding half a node lower is rounding down; a tie gives place 1 instead of 0.
        let whole = position - 0.5 + ROUNDER;
        let base = if near { 0 } else { PATCH as u32 };
        let first = whole.to_bits().wrapping_sub(ROUNDER.to_bits()).wrapping_add(base);
        (first, position - (whole - ROUNDER))
    }

    /// The table at one signal.
    #[cfg(test)]
    pub(crate) fn at(&self, ln_g: f32) -> Node {
        let (first, place) = self.place(ln_g);
        blend(self.neighbours(first), catmull_rom(place))
    }

    #[inline(always)]
    fn neighbours(&self, first: u32) -> [&Node; 4] {
        [0, 1, 2, 3].map(|k| &self.nodes[(first as usize).wrapping_add(k) % BUFFER])
    }

    /// Adds `exp(g + T₀ - peak)` times the node of each lane: the last component collects the
    /// sum itself, the middle ones the moments of distance.
    #[inline(always)]
    pub(crate) fn add<const FMA: bool>(&self, totals: &mut [Node; 4], g: &Lanes, peak: f32) {
        let (mut first, mut weights) = ([0_u32; LANES], [[0.0; 4]; LANES]);
        for l in 0..LANES {
            let signal = if g[l] > NO_SIGNAL { g[l] } else { NO_SIGNAL };
            let (from, place) = self.place(ln::<FMA>(signal));
            first[l] = from;
            weights[l] = catmull_rom(place);
        }
        let (mut nodes, mut value) = ([[0.0; 4]; LANES], [0.0; LANES]);
        for l in 0..LANES {
            nodes[l] = blend(self.neighbours(first[l]), weights[l]);
            value[l] = nodes[l][0];
        }
        for l in 0..LANES {
            value[l] = exp::<FMA>((g[l] - peak) + value[l]);
        }
        for l in 0..LANES {
            let total = &mut totals[l % 4];
            for k in 0..4 {
                total[k] += value[l] * nodes[l][k];
            }
        }
    }
}

#[cfg(test)]
mod tests;
