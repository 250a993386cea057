//! Amplitudes of inspiral templates in the frequency domain.
//!
//! Sky localization needs `|h(f)|²` only: of a face-on source at 1 Mpc, on the frequency grid and
//! with the taper that `LALSimulation`'s `SimInspiralFD` would use. Phases are not computed.
//!
//! Masses in solar masses, frequencies in Hz, spins dimensionless along the orbital axis.

mod kerr;
mod phenom_d;
mod taylor_f2;

use crate::constants::MTSUN_SI;
use crate::numeric::index;
use std::f64::consts::PI;

/// A template: component masses, aligned spins and the highest frequency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Template {
    mass: [f64; 2],
    spin: [f64; 2],
    f_final: f64,
}

/// Why a template is not one.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// Masses must be positive.
    #[error("component mass {0} solar masses is outside of 0.01 to 10000")]
    Mass(f64),
    /// Dimensionless spins lie in [-1, 1].
    #[error("dimensionless spin {0} is outside of -1 to 1")]
    Spin(f64),
    /// The final frequency must be positive.
    #[error("final frequency {0} Hz is outside of 16 to 16384")]
    FinalFrequency(f64),
    /// The lower cut-off must be positive and below the final frequency.
    #[error("lowest frequency {0} Hz is outside of 1 Hz to the template's final frequency")]
    LowFrequency(f64),
    /// The signal would need too fine a grid.
    #[error("a template of {0:.0} s is longer than this program takes: raise the lowest frequency")]
    TooLong(f64),
}

impl Template {
    /// Checks masses (solar masses) and spins; `f_final` in Hz.
    ///
    /// # Errors
    /// [`TemplateError`] for values outside of any use.
    pub fn new(mass: [f64; 2], spin: [f64; 2], f_final: f64) -> Result<Self, TemplateError> {
        for m in mass {
            if !(0.01..=1e4).contains(&m) {
                return Err(TemplateError::Mass(m));
            }
        }
        for s in spin {
            if !(-1.0..=1.0).contains(&s) {
                return Err(TemplateError::Spin(s));
            }
        }
        if !(16.0..=16_384.0).contains(&f_final) {
            return Err(TemplateError::FinalFrequency(f_final));
        }
        Ok(Self {
            mass,
            spin,
            f_final,
        })
    }

    /// Component masses in solar masses.
    pub fn mass(&self) -> [f64; 2] {
        self.mass
    }

    /// Dimensionless spins along the orbital axis.
    pub fn spin(&self) -> [f64; 2] {
        self.spin
    }

    /// The frequency where the template ends, Hz.
    pub fn f_final(&self) -> f64 {
        self.f_final
    }

    /// Total mass in solar masses.
    pub fn total_mass(&self) -> f64 {
        self.mass[0] + self.mass[1]
    }

    /// Total mass in seconds.
    fn mass_s(&self) -> f64 {
        self.total_mass() * MTSUN_SI
    }

    /// Symmetric mass ratio.
    fn eta(&self) -> f64 {
        self.mass[0] * self.mass[1] / (self.total_mass() * self.total_mass())
    }
}

/// An amplitude model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approximant {
    /// Post-Newtonian inspiral with 3.5PN amplitude, up to the innermost stable circular orbit.
    TaylorF2,
    /// Inspiral, merger and ringdown of aligned-spin binaries (Khan et al. 2016).
    ImrPhenomD,
}

impl Approximant {
    /// The name under which `LALSimulation` has the model.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaylorF2 => "TaylorF2threePointFivePN",
            Self::ImrPhenomD => "IMRPhenomD",
        }
    }
}

/// How the model is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaveformChoice {
    /// By total mass: `TaylorF2` below 4 solar masses. Above, `LALSimulation`'s choice would be
    /// `SEOBNRv4_ROM`, whose data no package brings; `IMRPhenomD` has the same amplitude to 1 %.
    #[default]
    ByMass,
    /// One model for every mass.
    Always(Approximant),
}

impl WaveformChoice {
    /// Names that [`by_name`](Self::by_name) takes, but for their long forms.
    pub const NAMES: [&'static str; 4] = ["o2-uberbank", "o1-uberbank", "IMRPhenomD", "TaylorF2"];

    /// The choice of a name that the command line of `bayestar-localize-coincs` knows.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "o2-uberbank" | "o1-uberbank" => Some(Self::ByMass),
            "IMRPhenomD" | "IMRPhenomDpseudoFourPN" => Some(Self::Always(Approximant::ImrPhenomD)),
            "TaylorF2" | "TaylorF2threePointFivePN" => Some(Self::Always(Approximant::TaylorF2)),
            _ => None,
        }
    }

    /// The model for a template.
    pub fn resolve(self, template: &Template) -> Approximant {
        match self {
            Self::Always(approximant) => approximant,
            Self::ByMass if template.total_mass() < 4.0 => Approximant::TaylorF2,
            Self::ByMass => Approximant::ImrPhenomD,
        }
    }
}

/// `|h(f)|²` of a template at 1 Mpc, face-on, at `f = k Δf`.
#[derive(Clone, Debug)]
pub struct TemplatePower {
    model: Model,
    /// Δf, Hz.
    pub delta_f: f64,
    /// Nyquist frequency, Hz; half the rate of series made from this spectrum.
    pub f_max: f64,
    /// First frequency bin that is not tapered away.
    pub first: usize,
    /// The bin from which on there is no taper.
    untapered: usize,
    /// The bin behind the last one that is not zero.
    pub end: usize,
}

#[derive(Clone, Debug)]
enum Model {
    TaylorF2(taylor_f2::Amplitude),
    PhenomD(Box<phenom_d::Amplitude>),
}

/// Templates longer than this, 2¹² s, are refused.
const MAX_SECONDS: f64 = 4_096.0;

impl TemplatePower {
    /// Lays out grid and taper as `LALSimulation` conditions a template that begins at `f_low` Hz.
    ///
    /// # Errors
    /// [`TemplateError::LowFrequency`], [`TemplateError::TooLong`].
    pub fn new(
        template: &Template,
        approximant: Approximant,
        f_low: f64,
    ) -> Result<Self, TemplateError> {
        if !(1.0..template.f_final).contains(&f_low) {
            return Err(TemplateError::LowFrequency(f_low));
        }
        let mass = template.mass_s();
        let f_max = (2.0 * template.f_final).log2().ceil().exp2();
        let f_min = f_low.min(1.0 / (27.0 * PI * mass));
        let bound = chirp_time_bound(template, f_min);
        let reduced = 5.0 * mass / (template.eta() * 1.1 * bound);
        let f_start = reduced.powf(0.375) / (8.0 * PI * mass);
        let merge = match approximant {
            Approximant::TaylorF2 => 0.0,
            Approximant::ImrPhenomD => merge_and_ring_time(template),
        };
        let seconds = chirp_time_bound(template, f_start) + merge + 6.0 / f_min;
        if seconds.is_nan() || seconds >= MAX_SECONDS {
            return Err(TemplateError::TooLong(seconds));
        }
        let samples = (2.0 * f_max * seconds).round();
        // The smallest power of two strictly above the number of samples.
        let transform = (samples.log2().floor() + 1.0).exp2();
        let delta_f = 2.0 * f_max / transform;
        let model = match approximant {
            Approximant::TaylorF2 => Model::TaylorF2(taylor_f2::Amplitude::new(template)),
            Approximant::ImrPhenomD => Model::PhenomD(Box::new(phenom_d::Amplitude::new(template))),
        };
        let stop = match &model {
            Model::TaylorF2(amplitude) => amplitude.f_isco().min(template.f_final),
            Model::PhenomD(amplitude) => amplitude.f_cut().min(template.f_final),
        };
        // Nyquist itself is left out.
        let end = index((stop / delta_f).ceil().min(f_max / delta_f));
        let first = index((f_start / delta_f).round()).max(1);
        let untapered = index((f_min / delta_f).round());
        Ok(Self {
            model,
            delta_f,
            f_max,
            first,
            untapered,
            end,
        })
    }

    /// The bin from which on the template is not tapered.
    pub fn untapered(&self) -> usize {
        self.untapered
    }

    /// `|h|²` in 1/Hz² at `bin`, a place between `first` and `end`, not necessarily whole.
    pub fn at(&self, bin: f64) -> f64 {
        let f = bin * self.delta_f;
        let amplitude = match &self.model {
            Model::TaylorF2(model) => model.at(f),
            Model::PhenomD(model) => model.at(f),
        };
        if bin >= self.untapered as f64 {
            return amplitude * amplitude;
        }
        let t = (bin - self.first as f64) / (self.untapered as f64 - self.first as f64);
        let tapered = amplitude * 0.5 * (1.0 - (PI * t).cos());
        tapered * tapered
    }
}

/// An upper bound of the time from frequency `f` to coalescence, s (`LALSimulation`'s
/// `SimInspiralChirpTimeBound`).
fn chirp_time_bound(template: &Template, f: f64) -> f64 {
    let (mass, eta) = (template.mass_s(), template.eta());
    let chi = template.spin[0].abs().max(template.spin[1].abs());
    let v = (PI * mass * f).cbrt();
    let c2 = 743.0 / 252.0 + 11.0 * eta / 3.0;
    let c3 = 226.0 / 15.0 * chi;
    let c4 = 3_058_673.0 / 508_032.0 + 5_429.0 * eta / 504.0 + 617.0 * eta * eta / 72.0;
    let series = 1.0 + (c2 + (c3 + c4 * v) * v) * v * v;
    5.0 * mass / (256.0 * eta) * v.powi(-8) * series
}

/// Time that `LALSimulation` allows for merger and ringdown, s.
fn merge_and_ring_time(template: &Template) -> f64 {
    let mass = template.mass_s();
    let [a, b] = template.spin;
    let spin = (0.686 + 0.15 * (a + b))
        .max(a.abs())
        .max(b.abs())
        .min(0.998);
    let omega = (1.5251 - 1.1568 * (1.0 - spin).powf(0.1292)) / mass;
    let quality = 0.7 + 1.4187 * (1.0 - spin).powf(-0.499);
    54.0 * PI * mass + 22.0 * quality / omega
}

#[cfg(test)]
mod tests;
