//! BAYESTAR: rapid sky localization of compact binary mergers.
//!
//! Singer & Price 2016, PRD 93 024013 (method); Singer et al. 2016, Astrophys. J. 829 L15 and
//! Astrophys. J. Suppl. 226 10 (distance). The way of an event:
//!
//! 1. [`Candidate::from_documents`] takes triggers, template and noise spectra from `LIGO_LW`.
//! 2. [`condition`] turns them into a [`Network`]: horizons, arrival times, SNR series.
//! 3. The likelihood of a pixel is integrated over everything but direction and distance; the
//!    grid is refined where the probability is.
//! 4. The moments of distance per pixel become the layers of the [`SkyMap`].
//!
//! ```no_run
//! use gwasp_kernels::bayestar::{Candidate, Options, localize};
//! use gwasp_kernels::ligolw::{Document, Limits};
//! use gwasp_kernels::skymap::Provenance;
//! use gwasp_kernels::work::Work;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let coinc = Document::parse(&std::fs::read("coinc.xml")?, &Limits::default())?;
//! let psd = Document::parse(&std::fs::read("psd.xml.gz")?, &Limits::default())?;
//! let candidate = Candidate::from_documents(&coinc, &psd)?;
//! let options = Options { f_low: 15.0, ..Options::default() };
//! let map = localize(&candidate, &options, &Work::default())?;
//! std::fs::write("bayestar.multiorder.fits", map.to_fits(&Provenance::default()))?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariant: the map depends on candidate and options only, to the last bit, not on the number
//! of threads.

mod angles;
mod bessel;
mod coinc;
mod condition;
mod curves;
pub(crate) mod filter;
mod lanes;
mod likelihood;
mod network;
mod options;
mod radial;
mod refine;
mod samples;
mod table;

pub use coinc::{
    Candidate, CandidateError, PhaseConventions, SnrSeries, Trigger, write_candidates,
    write_spectra,
};
pub use condition::{ConditionError, condition};
pub use network::{Channel, HourAngle, Network};
pub use options::{OptionError, Options};
pub use radial::{DistancePrior, PriorError};

use crate::distance::Moments;
use crate::skymap::{Row, SkyMap};
use crate::waveform::Approximant;
use crate::work::{Cancelled, OutOfMemory, Work};
use likelihood::{Likelihood, Scratch};
use refine::{N_BASE, RefineError, Sample, Survey};
use table::{RadialTable, TableError};

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalizeError {
    /// The candidate cannot be conditioned.
    #[error("cannot condition the candidate")]
    Condition(#[from] ConditionError),
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// The distance prior is not one.
    #[error("cannot use the distance prior")]
    Prior(#[from] PriorError),
    /// It was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// It would need too much memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The posterior vanishes, or is not a number, everywhere.
    #[error("the posterior is zero everywhere: look at horizons and distance limits")]
    NoPosterior,
}

impl From<RefineError> for LocalizeError {
    fn from(error: RefineError) -> Self {
        match error {
            RefineError::Cancelled(error) => Self::Cancelled(error),
            RefineError::OutOfMemory(error) => Self::OutOfMemory(error),
        }
    }
}

impl From<TableError> for LocalizeError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Cancelled(error) => Self::Cancelled(error),
            TableError::OutOfMemory(error) => Self::OutOfMemory(error),
        }
    }
}

/// Localizes a candidate.
///
/// Takes `options.waveform` for the template, conditions the candidate and evaluates the sky
/// (Singer & Price 2016, PRD 93 024013; distances: Singer et al. 2016, Astrophys. J. 829 L15).
/// The map has 19,200 rows of orders 4 to 11, with densities in 1/sr that integrate to one over
/// the sphere, and distances in Mpc; its `history` names the waveform model that was really used.
/// Times and costs grow with the number of SNR samples and with nothing else. `work.progress`
/// hears fractions from 0 to 1.
///
/// # Errors
/// [`LocalizeError`]: [`Options`](LocalizeError::Options) for a number that no candidate can take,
/// [`Condition`](LocalizeError::Condition) for what is wrong with the candidate, [`Prior`](LocalizeError::Prior) for distances, [`Cancelled`](LocalizeError::Cancelled)
/// within milliseconds of the token's, [`OutOfMemory`](LocalizeError::OutOfMemory) before anything
/// is computed.
pub fn localize(
    candidate: &Candidate,
    options: &Options,
    work: &Work<'_>,
) -> Result<SkyMap, LocalizeError> {
    options.check()?;
    let network = condition(candidate, options, work)?;
    let approximant = options.waveform.resolve(&candidate.template);
    let mut map = localize_network(&network, options, work)?;
    map.history = options.history(approximant, map_prior(&network, options)?.max());
    Ok(map)
}

/// Localizes a network that [`condition`] made, or a caller: every channel with `n` samples,
/// horizons in Mpc, times in seconds and locations in light-seconds as [`Channel`] has them.
/// Of the options the waveform and what conditioning takes only have to be in their ranges; the map's `history`
/// is empty.
///
/// # Errors
/// [`LocalizeError`], as for [`localize`], but for conditioning.
pub fn localize_network(
    network: &Network,
    options: &Options,
    work: &Work<'_>,
) -> Result<SkyMap, LocalizeError> {
    options.check()?;
    work.check_memory(memory(network, work))?;
    let prior = map_prior(network, options)?;
    let rescale = options.rescale();
    let power: f64 = network
        .channels
        .iter()
        .map(|channel| channel.horizon.powi(2))
        .sum();
    let table = RadialTable::new(rescale * (0.5 * power).sqrt(), &prior, work)?;
    let hour_angle = options.hour_angle;
    let likelihood = Likelihood {
        network,
        table: &table,
        rescale,
        hour_angle,
    };
    let mut survey = Survey::new(likelihood, work);
    let mut samples = survey.refine()?;
    let ln_norm = ln_normalization(network.n, &prior);
    let log_bsn = ln_evidence(&samples) + ln_norm;
    let mut log_bci = log_bsn;
    for channel in &network.channels {
        log_bci -= ln_evidence(&survey.alone(channel)?) + ln_norm;
    }
    if !log_bsn.is_finite() {
        return Err(LocalizeError::NoPosterior);
    }
    samples.sort_by_key(|sample| sample.pixel.uniq());
    let mut map = assemble(&samples, network);
    (map.log_bci, map.log_bsn) = (log_bci, log_bsn);
    work.report(1.0);
    Ok(map)
}

/// The prior with the default upper limit: where the best detector would see SNR 4.
fn map_prior(network: &Network, options: &Options) -> Result<DistancePrior, PriorError> {
    let horizon = network
        .channels
        .iter()
        .map(|channel| channel.horizon)
        .fold(0.0, f64::max);
    let max = options.max_distance.unwrap_or(0.25 * horizon);
    DistancePrior::new(
        options.min_distance,
        max,
        options.distance_power,
        options.cosmology,
    )
}

/// Bytes that an evaluation holds at most.
fn memory(network: &Network, work: &Work<'_>) -> usize {
    let grid = 16 * N_BASE * size_of::<Sample>();
    let scratch = Scratch::bytes(network.n).saturating_mul(work.threads.get());
    RadialTable::BYTES
        .saturating_add(grid)
        .saturating_add(scratch)
}

/// `-ln(2 · 2π · 4π · 10 · n) - T⁰`: the volume of the priors. A phase that is already averaged
/// is counted once more; published Bayes factors contain this factor.
fn ln_normalization(n: usize, prior: &DistancePrior) -> f64 {
    use std::f64::consts::PI;
    -(2.0 * 2.0 * PI * 4.0 * PI * 10.0 * n as f64).ln() - prior.ln_norm()
}

/// `ln Σ A exp(V)` over the pixels of a map.
fn ln_evidence(samples: &[Sample]) -> f64 {
    let peak = peak(samples);
    let sum: f64 = samples
        .iter()
        .map(|s| s.pixel.area() * (s.posterior.ln - peak).exp())
        .sum();
    peak + sum.ln()
}

fn peak(samples: &[Sample]) -> f64 {
    samples
        .iter()
        .map(|sample| sample.posterior.ln)
        .fold(f64::NEG_INFINITY, f64::max)
}

/// Normalizes the posterior and fits distances. Evidence is left to the caller.
fn assemble(samples: &[Sample], network: &Network) -> SkyMap {
    let peak = peak(samples);
    let total: f64 = samples
        .iter()
        .map(|s| s.pixel.area() * (s.posterior.ln - peak).exp())
        .sum();
    let (mut mean, mut square) = (0.0, 0.0);
    let mut rows = Vec::with_capacity(samples.len());
    for sample in samples {
        let density = (sample.posterior.ln - peak).exp() / total;
        let moments = Moments::from_powers(sample.posterior.mean, sample.posterior.mean_square);
        if moments.mean.is_finite() && moments.std.is_finite() {
            let probability = density * sample.pixel.area();
            mean += probability * moments.mean;
            square += probability * (moments.std * moments.std + moments.mean * moments.mean);
        }
        rows.push(Row {
            pixel: sample.pixel,
            density,
            distance: moments.fit(),
        });
    }
    let mut instruments: Vec<String> = network
        .channels
        .iter()
        .map(|channel| channel.detector.prefix().to_owned())
        .collect();
    instruments.sort();
    SkyMap {
        rows,
        epoch: network.epoch,
        instruments,
        mean_distance: mean,
        std_distance: (square - mean * mean).max(0.0).sqrt(),
        log_bci: f64::NAN,
        log_bsn: f64::NAN,
        history: Vec::new(),
    }
}

impl Options {
    /// The call that made a map, with every option as it was used.
    fn history(&self, approximant: Approximant, max_distance: f64) -> Vec<String> {
        let disabled = self.disabled_detectors.join(",");
        let call = format!(
            "gwasp_kernels::bayestar::localize(waveform={}, f_low={}, min_distance={}, \
             max_distance={max_distance}, prior_distance_power={}, cosmology={}, \
             enable_snr_series={}, f_high_truncate={}, rescale_loglikelihood={}, \
             disable_detector=[{disabled}])",
            approximant.name(),
            self.f_low,
            self.min_distance,
            self.distance_power,
            self.cosmology,
            self.enable_snr_series,
            self.f_high_truncate,
            self.rescale_loglikelihood,
        );
        vec![
            String::new(),
            "Generated by calling the following function:".to_owned(),
            call,
        ]
    }
}
