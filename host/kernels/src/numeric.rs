//! Conversions between number types whose loss is intended, each in one named place.

/// Rounds to the nearest `f32`; the precision that the caller asks for.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the rounding is the purpose"
)]
#[inline(always)]
pub(crate) fn narrow(x: f64) -> f32 {
    x as f32
}

/// The integer part of a number that is not negative; `0` below and for NaN, saturating above.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate, which is the documented behaviour"
)]
#[inline(always)]
pub(crate) fn index(x: f64) -> usize {
    x as usize
}

/// The integer part of `x`, towards zero; saturating, `0` for NaN.
#[expect(
    clippy::cast_possible_truncation,
    reason = "float to integer casts saturate"
)]
#[inline(always)]
pub(crate) fn integer(x: f64) -> i64 {
    x as i64
}

/// A small signed index after clamping into `0..len`; `len` must not be zero.
#[inline(always)]
pub(crate) fn clamp_index(i: i64, len: usize) -> usize {
    usize::try_from(i.max(0)).map_or(len - 1, |i| i.min(len - 1))
}

/// Sum of `c[k] T_k(t)` by Clenshaw's recurrence.
pub(crate) fn chebyshev(t: f64, c: &[f64]) -> f64 {
    let (mut next, mut after) = (0.0, 0.0);
    for &coefficient in c.iter().skip(1).rev() {
        (next, after) = (2.0 * t * next - after + coefficient, next);
    }
    t * next - after + c.first().unwrap_or(&0.0)
}

/// Natural cubic spline through `(x[i], y[i])` with rising `x`, evaluated by [`Spline::at`].
#[derive(Clone, Debug)]
pub(crate) struct Spline {
    x: Vec<f64>,
    y: Vec<f64>,
    second: Vec<f64>,
}

impl Spline {
    /// Solves for the second derivatives; `x` and `y` have the same length, at least two.
    pub(crate) fn natural(x: Vec<f64>, y: Vec<f64>) -> Self {
        let n = x.len();
        let mut second = vec![0.0; n];
        let mut upper = vec![0.0; n];
        for i in 1..n.saturating_sub(1) {
            let (left, right) = (x[i] - x[i - 1], x[i + 1] - x[i]);
            let pivot = 2.0 * (left + right) - left * upper[i - 1];
            upper[i] = right / pivot;
            let slope = (y[i + 1] - y[i]) / right - (y[i] - y[i - 1]) / left;
            second[i] = (6.0 * slope - left * second[i - 1]) / pivot;
        }
        for i in (1..n.saturating_sub(1)).rev() {
            second[i] -= upper[i] * second[i + 1];
        }
        Self { x, y, second }
    }

    /// The value at `t`; outside of the nodes the outermost cubic is continued.
    pub(crate) fn at(&self, t: f64) -> f64 {
        let i = self
            .x
            .partition_point(|&x| x <= t)
            .clamp(1, self.x.len() - 1);
        let h = self.x[i] - self.x[i - 1];
        let (a, b) = ((self.x[i] - t) / h, (t - self.x[i - 1]) / h);
        let bend = (a * a * a - a) * self.second[i - 1] + (b * b * b - b) * self.second[i];
        a * self.y[i - 1] + b * self.y[i] + bend * h * h / 6.0
    }
}
