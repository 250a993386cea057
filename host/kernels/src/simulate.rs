//! Candidates made from a known source: what a search would have uploaded.
//!
//! A [`Simulation`] is a network of detectors with their noise, and a template. It turns a
//! [`Source`] into a [`Candidate`]: each detector's SNR is the template's autocorrelation, scaled
//! and turned by the detector's response (Singer & Price 2016, PRD 93 024013, eqs. 3 and 12),
//! plus stationary Gaussian noise that has the correlation which the matched filter gives it. The
//! trigger is the largest SNR near the true arrival. Nothing here draws from the sky: a caller
//! that wants a population draws its own sources.
//!
//! Noise comes from a seed and nothing else, by a generator that is part of this module, so the
//! same seed is the same candidate on every machine and for ever.
//!
//! ```
//! use gwasp_kernels::bayestar::{write_candidates, write_spectra};
//! use gwasp_kernels::detectors::Detector;
//! use gwasp_kernels::gps::GpsTime;
//! use gwasp_kernels::simulate::{Site, Simulation, Source, advanced_ligo};
//! use gwasp_kernels::waveform::{Template, WaveformChoice};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let template = Template::new([1.4, 1.4], [0.0, 0.0], 1_024.0)?;
//! let psd = advanced_ligo(10.0, 0.25, 2_048.0)?;
//! let site = |prefix| Some(Site { detector: Detector::by_prefix(prefix)?, psd: psd.clone() });
//! let sites: Vec<Site> = ["H1", "L1", "V1"].into_iter().filter_map(site).collect();
//! let simulation = Simulation::new(&template, WaveformChoice::ByMass, 30.0, sites, 2_048)?;
//! let source = Source {
//!     ra: 3.44,
//!     dec: -0.41,
//!     distance: 60.0,
//!     cos_inclination: 0.9,
//!     polarization: 0.3,
//!     phase: 0.0,
//!     time: GpsTime::new(1_187_008_882, 430_000_000).ok_or("time")?,
//! };
//! let candidate = simulation.observe(&source, Some(1));
//! assert_eq!(candidate.triggers.len(), 3);
//! let (coinc, psd) = (write_candidates(&[candidate.clone()]), write_spectra(&candidate));
//! assert!(coinc.contains("sngl_inspiral") && psd.contains("REAL8FrequencySeries"));
//! # Ok(())
//! # }
//! ```

mod noise;

pub use noise::Generator;

use crate::bayestar::filter::{FilterError, FilterSpectrum};
use crate::bayestar::{Candidate, SnrSeries, Trigger};
use crate::constants::C_SI;
use crate::detectors::{Detector, dot};
use crate::gps::GpsTime;
use crate::numeric::{index, integer, narrow};
use crate::psd::{Psd, PsdError};
use crate::waveform::{Template, TemplateError, TemplatePower, WaveformChoice};
use crate::work::{Cancelled, OutOfMemory, Work};
use noise::Coloured;
use num_complex::Complex64;

/// Seconds about the true arrival in which the trigger is looked for.
const SEARCH_S: f64 = 0.008;
/// Earth's diameter in light-seconds, and what a localization wants beyond: no network asks for
/// more on either side of its triggers.
const REACH_S: f64 = 2.0 * 6_378_137.0 / C_SI + 0.010;
/// Samples per second that the noise's covariance is still solved for in a moment.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 256..=8_192;

/// One detector and its noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The detector.
    pub detector: Detector,
    /// Its noise, one-sided, 1/Hz.
    pub psd: Psd,
}

/// A compact binary merger somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// Right ascension, radians.
    pub ra: f64,
    /// Declination, `[-π/2, π/2]` radians.
    pub dec: f64,
    /// Luminosity distance, Mpc; positive.
    pub distance: f64,
    /// Cosine of the angle between orbital axis and line of sight, `[-1, 1]`.
    pub cos_inclination: f64,
    /// Polarization angle, radians.
    pub polarization: f64,
    /// Phase at coalescence, radians.
    pub phase: f64,
    /// When the signal passes the Earth's centre.
    pub time: GpsTime,
}

/// Why a network cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// No sites.
    #[error("a simulation needs at least one detector")]
    NoSites,
    /// The sample rate.
    #[error("{0} samples per second are outside of 256 to 8192")]
    SampleRate(u32),
    /// The template's grid.
    #[error("the template cannot be used")]
    Template(#[from] TemplateError),
    /// The spectrum of a detector.
    #[error("PSD of {detector}")]
    Psd {
        /// Whose.
        detector: String,
        /// Why.
        source: PsdError,
    },
    /// The template has no power where the detector hears.
    #[error("{0} hears nothing of the template: its PSD and the template do not overlap")]
    Deaf(String),
    /// It takes too much memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// Does not occur: nobody can ask a simulation to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<FilterError> for SimulateError {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::Cancelled(error) => Self::Cancelled(error),
            FilterError::OutOfMemory(error) => Self::OutOfMemory(error),
        }
    }
}

/// One detector, ready to observe.
#[derive(Clone, Debug)]
struct Listener {
    site: Site,
    /// Where a face-on source overhead has SNR 1, Mpc.
    horizon: f64,
    filter: FilterSpectrum,
    noise: Coloured,
}

/// A network that listens for one template.
#[derive(Clone, Debug)]
pub struct Simulation {
    template: Template,
    listeners: Vec<Listener>,
    sample_rate: u32,
    /// Samples on either side of a trigger.
    half: i64,
    /// Samples on either side of the true arrival in which the trigger is looked for.
    search: i64,
}

impl Simulation {
    /// Prepares filters and noise. `f_low` in Hz, `sample_rate` of the SNR series in
    /// `256..=8192` per second: twice the template's highest frequency or more.
    ///
    /// # Errors
    /// [`SimulateError`].
    pub fn new(
        template: &Template,
        waveform: WaveformChoice,
        f_low: f64,
        sites: Vec<Site>,
        sample_rate: u32,
    ) -> Result<Self, SimulateError> {
        if sites.is_empty() {
            return Err(SimulateError::NoSites);
        }
        if !SAMPLE_RATES.contains(&sample_rate) {
            return Err(SimulateError::SampleRate(sample_rate));
        }
        let rate = f64::from(sample_rate);
        let half = integer((REACH_S * rate).ceil());
        let search = integer((SEARCH_S * rate).ceil());
        let power = TemplatePower::new(template, waveform.resolve(template), f_low)?;
        let mut listeners = Vec::with_capacity(sites.len());
        for site in sites {
            let name = || site.detector.prefix().to_owned();
            let curve = site.psd.interpolate(1.0);
            let curve = curve.map_err(|source| SimulateError::Psd {
                detector: name(),
                source,
            })?;
            let spectra = FilterSpectrum::new(&power, &[curve], &Work::default())?;
            let [filter] = <[FilterSpectrum; 1]>::try_from(spectra)
                .map_err(|_none| SimulateError::Deaf(name()))?;
            let horizon = filter.horizon();
            if !(horizon > 0.0 && horizon.is_finite()) {
                return Err(SimulateError::Deaf(name()));
            }
            let len = index((2 * (half + search) + 1) as f64);
            let noise = Coloured::new(len, |lag| filter.correlation(lag as f64 / rate));
            listeners.push(Listener {
                site,
                horizon,
                filter,
                noise,
            });
        }
        Ok(Self {
            template: *template,
            listeners,
            sample_rate,
            half,
            search,
        })
    }

    /// Where the best detector would see SNR 1, Mpc.
    pub fn horizon(&self) -> f64 {
        let horizons = self.listeners.iter().map(|listener| listener.horizon);
        horizons.fold(0.0, f64::max)
    }

    /// The SNR of a source in each detector, without noise.
    pub fn snr(&self, source: &Source) -> Vec<f64> {
        let loudness = |listener: &Listener| {
            let (_, response) = arrive(&listener.site.detector, source);
            response.norm() * listener.horizon / source.distance
        };
        self.listeners.iter().map(loudness).collect()
    }

    /// What the network sees of a source: one trigger per detector, however faint. With a seed
    /// the noise is drawn from it; without, there is none. The candidate's id is 0.
    pub fn observe(&self, source: &Source, seed: Option<u64>) -> Candidate {
        let mut generator = seed.map(Generator::new);
        let triggers = self.listeners.iter().map(|listener| {
            let noise = generator.as_mut().map(|g| listener.noise.draw(g));
            self.trigger(listener, source, noise)
        });
        Candidate {
            id: 0,
            template: self.template,
            triggers: triggers.collect(),
        }
    }

    fn trigger(
        &self,
        listener: &Listener,
        source: &Source,
        noise: Option<Vec<Complex64>>,
    ) -> Trigger {
        let rate = f64::from(self.sample_rate);
        let (delay, response) = arrive(&listener.site.detector, source);
        let peak = response * listener.horizon / source.distance;
        let (second, nanos) = source.time.later(integer((1e9 * delay).round())).split();
        // Samples are taken at whole multiples of the step, counted from a whole second.
        let nearest = integer((1e-9 * nanos as f64 * rate).round());
        let side = self.half + self.search;
        let mut snr: Vec<Complex64> = (nearest - side..=nearest + side)
            .map(|k| {
                let lag = k as f64 / rate - 1e-9 * nanos as f64;
                peak * listener.filter.correlation(lag)
            })
            .collect();
        for (sample, noise) in snr.iter_mut().zip(noise.into_iter().flatten()) {
            *sample += noise;
        }
        let near = self.half..=self.half + 2 * self.search;
        let loudness = |k: &i64| snr[at(*k)].norm();
        let loudest = near
            .max_by(|a, b| loudness(a).total_cmp(&loudness(b)))
            .unwrap_or(side);
        let moment = |k: i64| {
            let nanos = 1e9 * (nearest - side + k) as f64 / rate;
            GpsTime::from_nanos(1_000_000_000 * second).later(integer(nanos.round()))
        };
        let kept = &snr[at(loudest - self.half)..=at(loudest + self.half)];
        Trigger {
            detector: listener.site.detector,
            snr: Some(snr[at(loudest)].norm()),
            phase: snr[at(loudest)].arg(),
            time: moment(loudest),
            psd: listener.site.psd.clone(),
            series: Some(SnrSeries {
                epoch: moment(loudest - self.half),
                delta_t: 1.0 / rate,
                samples: kept.iter().map(|z| [narrow(z.re), narrow(z.im)]).collect(),
            }),
        }
    }
}

/// An index that is known not to be negative.
fn at(k: i64) -> usize {
    usize::try_from(k).unwrap_or(0)
}

/// Seconds from the Earth's centre to the detector, and the SNR that a source overhead would
/// have turned and scaled.
fn arrive(detector: &Detector, source: &Source) -> (f64, Complex64) {
    let hour_angle = source.time.gmst() - source.ra;
    let toward = [
        source.dec.cos() * hour_angle.cos(),
        -source.dec.cos() * hour_angle.sin(),
        source.dec.sin(),
    ];
    let (plus, cross) = detector.antenna_factors(hour_angle, source.dec);
    let turned = Complex64::new(plus, cross) * Complex64::cis(-2.0 * source.polarization);
    let u = source.cos_inclination;
    let response = Complex64::new(0.5 * (1.0 + u * u) * turned.re, -u * turned.im);
    (
        -dot(detector.location(), toward),
        response * Complex64::cis(source.phase),
    )
}

/// Advanced LIGO at design sensitivity from `f_min` to `f_max` in steps of `delta_f`, Hz: the
/// analytic fit of Sathyaprakash & Schutz 2009, Living Rev. Relativ. 12, 2, table 1.
///
/// # Errors
/// [`PsdError`] for frequencies that make no spectrum.
pub fn advanced_ligo(f_min: f64, delta_f: f64, f_max: f64) -> Result<Psd, PsdError> {
    const MOST: f64 = 1e6;
    let steps = (f_max - f_min) / delta_f;
    if !(f_min > 0.0 && (1.0..MOST).contains(&steps)) {
        let f0 = f_min;
        return Err(PsdError::Frequencies { f0, delta_f });
    }
    let density = |k: usize| {
        let x = (f_min + k as f64 * delta_f) / 215.0;
        let square = x * x;
        let shot = (1.0 - square + 0.5 * square * square) / (1.0 + 0.5 * square);
        1e-49 * (x.powf(-4.14) - 5.0 / square + 111.0 * shot)
    };
    let values = (0..=index(steps.round())).map(density).collect();
    Psd::new(f_min, delta_f, values)
}

#[cfg(test)]
mod tests;
