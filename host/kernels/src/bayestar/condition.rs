//! From triggers to what the likelihood sees.
//!
//! Detectors are placed relative to their centre of timing accuracy, SNR series are cut to what
//! a signal can need to cross the network, and split into amplitude and unwrapped phase. Where a
//! candidate has no series, the template's autocorrelation stands for the SNR of a signal
//! without noise (Singer & Price 2016, PRD 93 024013, §III and appendix B).

use super::coinc::{Candidate, SnrSeries, Trigger};
use super::filter::{FilterError, FilterSpectrum};
use super::network::{Channel, Network};
use super::options::{OptionError, Options};
use crate::detectors::dot;
use crate::gps::GpsTime;
use crate::numeric::{index, integer, narrow};
use crate::psd::{NoiseCurve, PsdError};
use crate::waveform::{TemplateError, TemplatePower};
use crate::work::{Cancelled, OutOfMemory, Work};
use num_complex::Complex64;
use std::f64::consts::PI;

/// Time beyond the light travel time that series are kept for, s.
const MARGIN_S: f64 = 0.005;
/// No two triggers of one event are further apart than this, nanoseconds.
const MAX_APART_NS: u64 = 60_000_000_000;
/// No series may be longer; 8192 Hz for half a minute.
const MAX_SAMPLES: usize = 1 << 18;

/// Why a candidate cannot be conditioned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// Nothing is left to localize with.
    #[error("no detector is left: of the candidate's {0}, all are disabled or without SNR")]
    NoDetectors(usize),
    /// A detector was to be disabled that the candidate does not have.
    #[error("none of the disabled detectors {0:?} is in the candidate")]
    NothingDisabled(Vec<String>),
    /// The template cannot be laid out.
    #[error("cannot lay out the template")]
    Template(#[from] TemplateError),
    /// A spectrum cannot be used.
    #[error("PSD of {detector}")]
    Psd {
        /// Whose.
        detector: String,
        /// Why.
        source: PsdError,
    },
    /// Template and spectrum have no frequency in common.
    #[error("{0} cannot hear the template: its PSD and the template have no band in common")]
    Deaf(String),
    /// No trigger has an SNR, so nothing weighs the detectors.
    #[error("no trigger has an SNR")]
    NoSnr,
    /// A trigger has no SNR, and no series is there in its place.
    #[error("{0} has neither SNR nor SNR series")]
    Silent(String),
    /// Some detectors have series and some have not.
    #[error("SNR series missing for {0}: give all or none")]
    SomeSeries(String),
    /// Series of different rate.
    #[error("SNR series of {0} has another time step than the first one")]
    TimeStep(String),
    /// A series has no middle sample.
    #[error("SNR series of {detector} has {len} samples: an odd number is needed")]
    EvenLength {
        /// Whose.
        detector: String,
        /// Samples.
        len: usize,
    },
    /// Series of different length.
    #[error("SNR series of {0} has another length than the first one")]
    Lengths(String),
    /// A series is not about its trigger.
    #[error("SNR series of {0} is not centred on its trigger")]
    NotCentred(String),
    /// Triggers that cannot be of one event.
    #[error("the trigger of {0} is more than a minute from the first one")]
    Apart(String),
    /// A series is longer than any use.
    #[error("an SNR series of {0} samples is longer than this program takes")]
    TooLong(usize),
    /// It would need too much memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// It was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<FilterError> for ConditionError {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::Cancelled(error) => Self::Cancelled(error),
            FilterError::OutOfMemory(error) => Self::OutOfMemory(error),
        }
    }
}

/// Prepares a candidate for localization: leaves out disabled detectors, weighs the others by
/// the inverse square of their timing errors (Fairhurst 2009, NJP 11 123006), and cuts all SNR
/// series about their triggers to one odd length, long enough for the light to cross the network;
/// where no detector has a series, makes them from the template's autocorrelation without noise
/// (Singer & Price 2016, PRD 93 024013, §III).
///
/// Of the options, waveform, `f_low` (Hz, from 1 to the template's final frequency),
/// `f_high_truncate`, `enable_snr_series` and `disabled_detectors` count. The result's horizons
/// are in Mpc at SNR 1, its times in seconds since its epoch, its locations in light-seconds.
///
/// # Errors
/// [`ConditionError`], which names the detector that is wrong.
pub fn condition(
    candidate: &Candidate,
    options: &Options,
    work: &Work<'_>,
) -> Result<Network, ConditionError> {
    options.check()?;
    let triggers = select(candidate, options)?;
    let approximant = options.waveform.resolve(&candidate.template);
    let power = TemplatePower::new(&candidate.template, approximant, options.f_low)?;
    let mut curves = Vec::with_capacity(triggers.len());
    for trigger in &triggers {
        curves.push(noise_curve(trigger, options)?);
    }
    let spectra = FilterSpectrum::new(&power, &curves, work)?;
    for (trigger, spectrum) in triggers.iter().zip(&spectra) {
        if !(spectrum.horizon() > 0.0 && spectrum.bandwidth() > 0.0) {
            return Err(ConditionError::Deaf(name(trigger)));
        }
    }
    work.check_cancel()?;
    let layout = Layout::new(&triggers, &spectra)?;
    let has_series =
        options.enable_snr_series && triggers.iter().any(|trigger| trigger.series.is_some());
    let series = if has_series {
        cut_series(&triggers, layout.reach)?
    } else {
        make_series(&triggers, &spectra, (layout.reach, power.f_max), work)?
    };
    for (trigger, this) in triggers.iter().zip(&series) {
        let first = series.first().map_or(0, |first| center(first).nanos());
        if center(this).nanos().abs_diff(first) > MAX_APART_NS {
            return Err(ConditionError::Apart(name(trigger)));
        }
    }
    Ok(layout.assemble(&triggers, &spectra, &series))
}

fn name(trigger: &Trigger) -> String {
    trigger.detector.prefix().to_owned()
}

/// Leaves out disabled detectors and, without series, those that have no SNR.
fn select<'a>(
    candidate: &'a Candidate,
    options: &Options,
) -> Result<Vec<&'a Trigger>, ConditionError> {
    let disabled = |trigger: &&Trigger| {
        options
            .disabled_detectors
            .iter()
            .any(|prefix| prefix == trigger.detector.prefix())
    };
    if !options.disabled_detectors.is_empty() && !candidate.triggers.iter().any(|t| disabled(&t)) {
        return Err(ConditionError::NothingDisabled(
            options.disabled_detectors.clone(),
        ));
    }
    let heard = |trigger: &&Trigger| options.enable_snr_series || trigger.snr.is_some();
    let selected: Vec<&Trigger> = candidate
        .triggers
        .iter()
        .filter(|t| !disabled(t) && heard(t))
        .collect();
    if selected.is_empty() {
        return Err(ConditionError::NoDetectors(candidate.triggers.len()));
    }
    Ok(selected)
}

fn noise_curve(trigger: &Trigger, options: &Options) -> Result<NoiseCurve, ConditionError> {
    let curve = trigger.psd.interpolate(options.f_high_truncate);
    curve.map_err(|source| ConditionError::Psd {
        detector: name(trigger),
        source,
    })
}

/// Where detectors are relative to their weighted centre, and how much time to keep.
struct Layout {
    weights: Vec<f64>,
    locations: Vec<[f64; 3]>,
    /// Seconds on either side of the trigger.
    reach: f64,
}

impl Layout {
    fn new(triggers: &[&Trigger], spectra: &[FilterSpectrum]) -> Result<Self, ConditionError> {
        // Weights are inverse squares of timing errors.
        let weigh = |(trigger, spectrum): (&&Trigger, &FilterSpectrum)| {
            trigger
                .snr
                .map_or(0.0, |snr| (snr * spectrum.bandwidth()).powi(2))
        };
        let weights: Vec<f64> = triggers.iter().zip(spectra).map(weigh).collect();
        let total: f64 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err(ConditionError::NoSnr);
        }
        let mut locations: Vec<[f64; 3]> = triggers
            .iter()
            .map(|trigger| trigger.detector.location())
            .collect();
        let center = [0, 1, 2].map(|axis| {
            let weighted = locations.iter().zip(&weights).map(|(l, w)| l[axis] * w);
            weighted.sum::<f64>() / total
        });
        for location in &mut locations {
            for (coordinate, origin) in location.iter_mut().zip(center) {
                *coordinate -= origin;
            }
        }
        let crossing = locations.iter().map(|&l| dot(l, l).sqrt() + MARGIN_S);
        let timing = spectra
            .iter()
            .map(|spectrum| 0.5 * PI / spectrum.bandwidth());
        let reach = crossing.chain(timing).fold(0.0, f64::max);
        Ok(Self {
            weights,
            locations,
            reach,
        })
    }

    fn assemble(
        self,
        triggers: &[&Trigger],
        spectra: &[FilterSpectrum],
        series: &[SnrSeries],
    ) -> Network {
        let (n, delta_t) = series
            .first()
            .map_or((1, 1.0), |s| (s.samples.len(), s.delta_t));
        let half = 0.5 * (n as f64 - 1.0) * delta_t;
        let arrivals: Vec<i64> = series.iter().map(|s| center(s).nanos()).collect();
        let first = arrivals.first().copied().unwrap_or(0);
        let count = i64::try_from(arrivals.len()).unwrap_or(1).max(1);
        let mean = first
            + arrivals
                .iter()
                .map(|a| a - first)
                .sum::<i64>()
                .div_euclid(count);
        let seconds: Vec<f64> = arrivals.iter().map(|a| 1e-9 * (a - mean) as f64).collect();
        let total: f64 = self.weights.iter().sum();
        let offset: f64 = seconds
            .iter()
            .zip(&self.weights)
            .map(|(t, w)| t * w)
            .sum::<f64>()
            / total;
        let epoch = GpsTime::from_nanos(mean + integer((1e9 * offset).round()));
        let mut channels = Vec::with_capacity(triggers.len());
        let located = triggers.iter().zip(spectra).zip(self.locations);
        for (((trigger, spectrum), location), (series, t)) in
            located.zip(series.iter().zip(seconds))
        {
            let (amplitude, phase) = polar(&series.samples);
            channels.push(Channel {
                detector: trigger.detector,
                horizon: spectrum.horizon(),
                start: t - offset - half,
                location,
                amplitude,
                phase,
            });
        }
        Network {
            epoch,
            gmst: epoch.gmst(),
            sample_rate: 1.0 / delta_t,
            n,
            channels,
        }
    }
}

/// Time of the middle sample.
fn center(series: &SnrSeries) -> GpsTime {
    let half = 0.5 * (series.samples.len() as f64 - 1.0) * series.delta_t;
    series.epoch.later(integer((1e9 * half).round()))
}

/// `2m - 1` samples reach `reach` seconds to both sides.
fn half_length(reach: f64, sample_rate: f64) -> Result<usize, ConditionError> {
    let half = index((reach * sample_rate).ceil());
    if half > MAX_SAMPLES / 2 {
        return Err(ConditionError::TooLong(half.saturating_mul(2)));
    }
    Ok(half.max(1))
}

/// Cuts the given series to what is needed, about their middle.
fn cut_series(triggers: &[&Trigger], reach: f64) -> Result<Vec<SnrSeries>, ConditionError> {
    let mut cut: Vec<SnrSeries> = Vec::with_capacity(triggers.len());
    for trigger in triggers {
        let series = trigger
            .series
            .as_ref()
            .ok_or_else(|| ConditionError::SomeSeries(name(trigger)))?;
        let len = series.samples.len();
        if len.is_multiple_of(2) {
            return Err(ConditionError::EvenLength {
                detector: name(trigger),
                len,
            });
        }
        if len > MAX_SAMPLES {
            return Err(ConditionError::TooLong(len));
        }
        let away = center(series).nanos().abs_diff(trigger.time.nanos());
        if away > integer(1e9 * series.delta_t).unsigned_abs() + 10 {
            return Err(ConditionError::NotCentred(name(trigger)));
        }
        let half = half_length(reach, 1.0 / series.delta_t)?;
        let skip = (len / 2 + 1).saturating_sub(half);
        let samples = series.samples[skip..len - skip].to_vec();
        let nanos = integer((1e9 * skip as f64 * series.delta_t).round());
        let epoch = series.epoch.later(nanos);
        let this = SnrSeries {
            epoch,
            delta_t: series.delta_t,
            samples,
        };
        if let Some(first) = cut.first() {
            if (first.delta_t - this.delta_t).abs() > 0.0 {
                return Err(ConditionError::TimeStep(name(trigger)));
            }
            if first.samples.len() != this.samples.len() {
                return Err(ConditionError::Lengths(name(trigger)));
            }
        }
        cut.push(this);
    }
    Ok(cut)
}

/// The SNR of each trigger without noise: its template's autocorrelation.
fn make_series(
    triggers: &[&Trigger],
    spectra: &[FilterSpectrum],
    (reach, nyquist): (f64, f64),
    work: &Work<'_>,
) -> Result<Vec<SnrSeries>, ConditionError> {
    let sample_rate = 2.0 * nyquist;
    let half = half_length(reach, sample_rate)?;
    let delta_t = 1.0 / sample_rate;
    let before = integer((1e9 * (half as f64 - 1.0) * delta_t).round());
    let mut made = Vec::with_capacity(triggers.len());
    for (trigger, spectrum) in triggers.iter().zip(spectra) {
        let snr = trigger
            .snr
            .ok_or_else(|| ConditionError::Silent(name(trigger)))?;
        let peak = Complex64::from_polar(snr, trigger.phase);
        let later = spectrum.autocorrelation(half, work)?;
        let earlier = later.iter().skip(1).rev().map(Complex64::conj);
        let single = |a: Complex64| [narrow((peak * a).re), narrow((peak * a).im)];
        let samples = earlier.chain(later.iter().copied()).map(single).collect();
        let epoch = trigger.time.later(-before);
        made.push(SnrSeries {
            epoch,
            delta_t,
            samples,
        });
    }
    Ok(made)
}

/// Amplitude, and phase unwrapped so that no step leaves `(-π, π]`. Samples that are not finite
/// are skipped when unwrapping.
fn polar(samples: &[[f32; 2]]) -> (Vec<f32>, Vec<f32>) {
    let mut last: Option<f64> = None;
    let mut split = |&[re, im]: &[f32; 2]| {
        let (re, im) = (f64::from(re), f64::from(im));
        let mut phase = im.atan2(re);
        if phase.is_finite() {
            if let Some(last) = last {
                let turns = ((last - phase) / (2.0 * PI)).round();
                phase += 2.0 * PI * turns;
            }
            last = Some(phase);
        }
        (narrow(re.hypot(im)), narrow(phase))
    };
    samples.iter().map(&mut split).unzip()
}

#[cfg(test)]
mod tests;
