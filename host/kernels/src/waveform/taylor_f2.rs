//! `TaylorF2` amplitude to 3.5PN (Buonanno et al. 2009, PRD 80 084043, eqs. 3.18, 3.19 and the
//! energy and flux of §III; Blanchet 2014, LRR 17 2). Spin and tides enter the phase only.

use super::Template;
use crate::constants::{EULER_GAMMA, MPC_SI, MRSUN_SI, MTSUN_SI};
use std::f64::consts::PI;

/// The amplitude of one template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amplitude {
    mass_s: f64,
    factor: f64,
    eta: f64,
    /// Coefficients of v², v⁴, v⁶ in the energy's derivative.
    energy: [f64; 3],
    /// Coefficients of v² to v⁷ in the flux; the one of v⁶ lacks its logarithm.
    flux: [f64; 6],
}

impl Amplitude {
    pub(super) fn new(template: &Template) -> Self {
        let eta = template.eta();
        let (eta2, eta3) = (eta * eta, eta * eta * eta);
        let e2 = -(0.75 + eta / 12.0);
        let e4 = -(27.0 / 8.0 - 19.0 * eta / 8.0 + eta2 / 24.0);
        let e6 = -(675.0 / 64.0 - (34_445.0 / 576.0 - 205.0 * PI * PI / 96.0) * eta
            + 155.0 * eta2 / 96.0
            + 35.0 * eta3 / 5_184.0);
        let f2 = -(1_247.0 / 336.0 + 35.0 * eta / 12.0);
        let f4 = -(44_711.0 / 9_072.0 - 9_271.0 * eta / 504.0 - 65.0 * eta2 / 18.0);
        let f5 = -(8_191.0 / 672.0 + 583.0 * eta / 24.0) * PI;
        let f6 = 6_643_739_519.0 / 69_854_400.0 + 16.0 * PI * PI / 3.0
            - 1_712.0 * EULER_GAMMA / 105.0
            + (41.0 * PI * PI / 48.0 - 134_543.0 / 7_776.0) * eta
            - 94_403.0 * eta2 / 3_024.0
            - 775.0 * eta3 / 324.0;
        let f7 = -(16_285.0 / 504.0 - 214_745.0 * eta / 1_728.0 - 193_385.0 * eta2 / 3_024.0) * PI;
        let masses = template.mass[0] * template.mass[1];
        Self {
            mass_s: template.mass_s(),
            factor: 4.0 * masses / MPC_SI * MRSUN_SI * MTSUN_SI * (PI / 12.0).sqrt(),
            eta,
            energy: [2.0 * e2, 3.0 * e4, 4.0 * e6],
            flux: [f2, 4.0 * PI, f4, f5, f6, f7],
        }
    }

    /// Orbital frequency of the innermost stable circular orbit, doubled, Hz.
    pub(super) fn f_isco(&self) -> f64 {
        1.0 / (6.0_f64.powf(1.5) * PI * self.mass_s)
    }

    /// `|h|` at `f` Hz, in 1/Hz.
    pub(super) fn at(&self, f: f64) -> f64 {
        let v = (PI * self.mass_s * f).cbrt();
        let v2 = v * v;
        let [e2, e4, e6] = self.energy;
        let energy = self.eta * v * (1.0 + v2 * (e2 + v2 * (e4 + v2 * e6)));
        let [f2, f3, f4, f5, f6, f7] = self.flux;
        let f6 = f6 - 1_712.0 / 105.0 * (4.0 * v).ln();
        let series = 1.0 + v2 * (f2 + v * (f3 + v * (f4 + v * (f5 + v * (f6 + v * f7)))));
        let flux = 32.0 / 5.0 * self.eta * self.eta * v2.powi(5) * series;
        self.factor * v * (energy / flux).max(0.0).sqrt()
    }
}
