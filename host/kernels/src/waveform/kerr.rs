//! The fundamental (2,2,0) quasinormal mode of a Kerr black hole.
//!
//! Solved from the continued fractions of Leaver 1985, Proc. R. Soc. A 402, 285 (radial eq. 25,
//! angular eq. 20), by Newton's method in frequency and separation constant together, following
//! the mode from zero spin. Units of Leaver: 2M = 1.

use num_complex::Complex64;

/// Spin weight of gravitational waves, and the mode's `m`.
const S: f64 = -2.0;
const M: f64 = 2.0;
const I: Complex64 = Complex64::I;

/// `Mω/2π` as (frequency, damping), for dimensionless spin in `(-1, 1)`.
///
/// Spins are clamped to ±0.9995, where the fractions still converge. Negative spin is the mode
/// that turns against the hole. Accurate to 1e-8.
pub(super) fn fundamental_mode(spin: f64) -> (f64, f64) {
    let spin = spin.clamp(-0.9995, 0.9995);
    let mut mode = Mode {
        omega: Complex64::new(0.747_343, -0.177_925),
        constant: 4.0.into(),
    };
    let mut at = 0.0_f64;
    loop {
        mode = mode.solve(0.5 * at);
        let left = spin - at;
        if left == 0.0 {
            break;
        }
        // The mode moves fast near extremal spin.
        let step = 0.3 * (1.0 - at.abs()).max(1e-4);
        at += left.clamp(-step, step);
    }
    let turns = 0.25 / std::f64::consts::PI;
    (mode.omega.re * turns, -mode.omega.im * turns)
}

/// Frequency and angular separation constant.
#[derive(Clone, Copy)]
struct Mode {
    omega: Complex64,
    constant: Complex64,
}

impl Mode {
    /// Newton's method at `a`, the spin in Leaver's units, within `[-½, ½]`.
    fn solve(self, a: f64) -> Self {
        const STEP: f64 = 1e-6;
        let mut mode = self;
        for _ in 0..30 {
            let (radial, angular) = mode.residuals(a);
            let (radial_w, angular_w) = Self {
                omega: mode.omega + STEP,
                ..mode
            }
            .residuals(a);
            let (radial_c, angular_c) = Self {
                constant: mode.constant + STEP,
                ..mode
            }
            .residuals(a);
            let (rw, rc) = ((radial_w - radial) / STEP, (radial_c - radial) / STEP);
            let (aw, ac) = ((angular_w - angular) / STEP, (angular_c - angular) / STEP);
            let determinant = rw * ac - rc * aw;
            let by_omega = (radial * ac - rc * angular) / determinant;
            let by_constant = (rw * angular - radial * aw) / determinant;
            if !(by_omega + by_constant).is_finite() {
                break;
            }
            mode.omega -= by_omega;
            mode.constant -= by_constant;
            if by_omega.norm() + by_constant.norm() < 1e-11 {
                break;
            }
        }
        mode
    }

    fn residuals(self, a: f64) -> (Complex64, Complex64) {
        (self.radial(a), self.angular(a))
    }

    fn radial(self, a: f64) -> Complex64 {
        const TERMS: u32 = 600;
        let w = self.omega;
        let b = (1.0 - 4.0 * a * a).sqrt();
        let drag = (0.5 * w - a * M) / b;
        let coupled = (4.0 * w + 2.0 * I) * drag;
        let c0 = 1.0 - S - I * w - 2.0 * I * drag;
        let c1 = -4.0 + 2.0 * I * w * (2.0 + b) + 4.0 * I * drag;
        let c2 = S + 3.0 - 3.0 * I * w - 2.0 * I * drag;
        let c3 = w * w * (4.0 + 2.0 * b - a * a) - 2.0 * a * M * w - S - 1.0 + (2.0 + b) * I * w
            - self.constant
            + coupled;
        let c4 = S + 1.0 - 2.0 * w * w - (2.0 * S + 3.0) * I * w - coupled;
        continued_fraction(TERMS, |n| {
            [
                n * n + (c0 + 1.0) * n + c0,
                -2.0 * n * n + (c1 + 2.0) * n + c3,
                n * n + (c2 - 3.0) * n + c4 - c2 + 2.0,
            ]
        })
    }

    fn angular(self, a: f64) -> Complex64 {
        const TERMS: u32 = 40;
        let c = a * self.omega;
        let (k1, k2) = (0.5 * (M - S).abs(), 0.5 * (M + S).abs());
        let k = k1 + k2;
        continued_fraction(TERMS, |n| {
            [
                Complex64::from(-2.0 * (n + 1.0) * (n + 2.0 * k1 + 1.0)),
                n * (n - 1.0) + 2.0 * n * (k + 1.0 - 2.0 * c)
                    - (2.0 * c * (2.0 * k1 + S + 1.0) - k * (k + 1.0))
                    - (c * c + S * (S + 1.0) + self.constant),
                2.0 * c * (n + k + S),
            ]
        })
    }
}

/// `β₀ - α₀γ₁/(β₁ - α₁γ₂/(β₂ - …))`, evaluated from the end; `terms(n)` is `[α, β, γ]`.
fn continued_fraction(count: u32, terms: impl Fn(f64) -> [Complex64; 3]) -> Complex64 {
    let mut tail = Complex64::from(0.0);
    for n in (0..count).rev() {
        let [alpha, beta, _] = terms(f64::from(n));
        let [_, _, gamma] = terms(f64::from(n) + 1.0);
        // At the end nothing follows.
        let quotient = if n + 1 == count {
            Complex64::from(0.0)
        } else {
            alpha * gamma / tail
        };
        tail = beta - quotient;
    }
    tail
}

#[cfg(test)]
mod tests;
