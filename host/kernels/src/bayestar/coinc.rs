//! Candidates as the search pipelines upload them.
//!
//! A coincidence is a row of `coinc_event`; `coinc_event_map` names its `sngl_inspiral` rows.
//! Pipelines disagree on the sign of the phase: the program that made the coincidence decides.

mod write;

pub use write::{write_candidates, write_spectra};

use crate::detectors::Detector;
use crate::gps::GpsTime;
use crate::ligolw::{Document, LigolwError, RowRef, Series};
use crate::numeric::{integer, narrow};
use crate::psd::{Psd, PsdError};
use crate::waveform::{Template, TemplateError};

/// A coincident candidate, ready to be conditioned.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// `coinc_event_id`.
    pub id: i64,
    /// The template that all detectors share.
    pub template: Template,
    /// One trigger per detector, in the file's order.
    pub triggers: Vec<Trigger>,
}

/// What one detector saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// The detector.
    pub detector: Detector,
    /// Signal-to-noise ratio; `None` where the pipeline found no trigger.
    pub snr: Option<f64>,
    /// Coalescence phase in radians, in the convention that the SNR is `ρ exp(iφ)`.
    pub phase: f64,
    /// Arrival time, time slides applied.
    pub time: GpsTime,
    /// Noise spectrum.
    pub psd: Psd,
    /// SNR around the trigger.
    pub series: Option<SnrSeries>,
}

/// A complex signal-to-noise ratio as a function of time.
#[derive(Clone, Debug, PartialEq)]
pub struct SnrSeries {
    /// Time of the first sample.
    pub epoch: GpsTime,
    /// Step, s.
    pub delta_t: f64,
    /// Real and imaginary parts.
    pub samples: Vec<[f32; 2]>,
}

/// Why a document holds no usable candidate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// A table or column is missing or wrong.
    #[error(transparent)]
    Ligolw(#[from] LigolwError),
    /// There is not exactly one coincidence.
    #[error("the document has {0} coincidences, not one")]
    Count(usize),
    /// A coincidence that is not there.
    #[error("the document has no coinc_event {0}")]
    NoSuchId(i64),
    /// A coincidence without triggers.
    #[error("coinc_event {0} has no sngl_inspiral rows in coinc_event_map")]
    NoTriggers(i64),
    /// A row id points nowhere.
    #[error("{column} {id} of {of} is not in table {table}")]
    Dangling {
        /// The table that lacks it.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The id.
        id: i64,
        /// Who refers to it.
        of: &'static str,
    },
    /// A detector that is not known.
    #[error("unknown detector {0:?}")]
    Detector(String),
    /// The phase convention of the program is not known.
    #[error("unknown pipeline {0:?}: say whether its phases are to be inverted")]
    Program(String),
    /// Template parameters differ between detectors.
    #[error("sngl_inspiral rows of one coincidence differ in {0}")]
    Templates(&'static str),
    /// Spins in the orbital plane.
    #[error("{0} is not zero: templates with spins in the orbital plane are not supported")]
    InPlaneSpin(&'static str),
    /// The template is not one.
    #[error("the template cannot be used")]
    Template(#[from] TemplateError),
    /// A detector without noise spectrum.
    #[error("no PSD for {0}: give a PSD document that has it")]
    NoPsd(String),
    /// A spectrum that is not one.
    #[error("PSD of {instrument}")]
    Psd {
        /// Whose.
        instrument: String,
        /// Why.
        source: PsdError,
    },
    /// A series that lacks something.
    #[error("series {name}: {problem}")]
    Series {
        /// Element's name.
        name: String,
        /// What.
        problem: &'static str,
    },
    /// A time outside of any use.
    #[error("end_time of sngl_inspiral {0} is out of range")]
    Time(i64),
}

impl Candidate {
    /// Takes the one candidate of `coinc`; noise spectra come from `psd`, which may be the same
    /// document.
    ///
    /// # Errors
    /// [`CandidateError`]; more or less than one coincidence is one, too.
    pub fn from_documents(coinc: &Document, psd: &Document) -> Result<Self, CandidateError> {
        Self::with_conventions(coinc, psd, &PhaseConventions::default())
    }

    /// As [`Self::from_documents`], with other phase conventions than the usual ones.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn with_conventions(
        coinc: &Document,
        psd: &Document,
        conventions: &PhaseConventions,
    ) -> Result<Self, CandidateError> {
        let events = coinc.require("coinc_event")?;
        let mut rows = events.rows();
        match (rows.next(), rows.len()) {
            (Some(row), 0) => Self::read(coinc, psd, row, conventions),
            (None, _) => Err(CandidateError::Count(0)),
            (Some(_), more) => Err(CandidateError::Count(more + 1)),
        }
    }

    /// The `coinc_event_id`s of a document, in its order.
    ///
    /// # Errors
    /// [`CandidateError::Ligolw`] without table or column.
    pub fn ids(coinc: &Document) -> Result<Vec<i64>, CandidateError> {
        let events = coinc.require("coinc_event")?;
        let ids = events.rows().map(|row| row.id("coinc_event_id"));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// As [`Self::with_conventions`], for one coincidence of a document that may have several.
    ///
    /// # Errors
    /// [`CandidateError`]; [`CandidateError::NoSuchId`] where the document does not have it.
    pub fn by_id(
        coinc: &Document,
        psd: &Document,
        id: i64,
        conventions: &PhaseConventions,
    ) -> Result<Self, CandidateError> {
        for row in coinc.require("coinc_event")?.rows() {
            if row.id("coinc_event_id")? == id {
                return Self::read(coinc, psd, row, conventions);
            }
        }
        Err(CandidateError::NoSuchId(id))
    }

    /// The file name that the search was given as `--reference-psd`, if the document says.
    ///
    /// For a caller that has no PSD document: where the spectra would be, relative to the working
    /// directory or to the candidate's file.
    ///
    /// # Errors
    /// [`CandidateError::Ligolw`] for tables without the columns that lead there.
    pub fn reference_psd(coinc: &Document) -> Result<Option<&str>, CandidateError> {
        let Some(parameters) = coinc.table("process_params") else {
            return Ok(None);
        };
        let Some(single) = coinc.require("sngl_inspiral")?.rows().next() else {
            return Ok(None);
        };
        let process = single.id("process_id")?;
        for row in parameters.rows() {
            if row.text("param")? == "--reference-psd" && row.id("process_id")? == process {
                return Ok(Some(row.text("value")?));
            }
        }
        Ok(None)
    }

    fn read(
        coinc: &Document,
        psd: &Document,
        event: RowRef<'_>,
        conventions: &PhaseConventions,
    ) -> Result<Self, CandidateError> {
        let id = event.id("coinc_event_id")?;
        let inverted = conventions.is_inverted(program_of(coinc, event)?)?;
        let slide = event
            .get("time_slide_id")
            .map(|_| event.id("time_slide_id"))
            .transpose()?;
        let singles = singles_of(coinc, id)?;
        let template = shared_template(&singles)?;
        let spectra = spectra(psd)?;
        let mut triggers = Vec::with_capacity(singles.len());
        for row in singles {
            let offset = time_slide(coinc, slide.unwrap_or(0), row.text("ifo")?)?;
            triggers.push(trigger(row, offset, inverted, &spectra)?);
            let single = row.id("event_id")?;
            if let (Some(trigger), Some(series)) = (triggers.last_mut(), series_of(coinc, single)) {
                trigger.series = Some(snr_series(series, inverted)?);
            }
        }
        Ok(Self {
            id,
            template,
            triggers,
        })
    }
}

/// Triggers are before the year 2106, nanoseconds.
const MAX_TIME_NS: i64 = 4_000_000_000_000_000_000;

/// Which sign a pipeline gives to the phase, by the name of its program.
///
/// Half of the pipelines report the conjugate of what the others do; a program that is not known
/// is an error, since a wrong guess moves the source to another place on the sky.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseConventions(Vec<(String, bool)>);

impl Default for PhaseConventions {
    /// The pipelines that upload to `GraceDB`.
    fn default() -> Self {
        let inverted = [
            "gstlal_inspiral",
            "gstlal_inspiral_coinc_extractor",
            "gstlal_inspiral_postcohspiir_online",
            "bayestar_realize_coincs",
            "bayestar-realize-coincs",
            "MBTAOnline",
            "sgnl-inspiral",
        ];
        let known = inverted.map(|program| (program.to_owned(), true));
        let mut conventions = Self(known.to_vec());
        conventions.set("pycbc", false);
        conventions
    }
}

impl PhaseConventions {
    /// Adds a program, or changes it: whether its phases and SNR series are to be conjugated.
    pub fn set(&mut self, program: &str, inverted: bool) {
        self.0.retain(|(known, _)| known != program);
        self.0.push((program.to_owned(), inverted));
    }

    fn is_inverted(&self, program: &str) -> Result<bool, CandidateError> {
        let known = self.0.iter().find(|(known, _)| known == program);
        let unknown = || CandidateError::Program(program.chars().take(60).collect());
        known.map(|&(_, inverted)| inverted).ok_or_else(unknown)
    }
}

fn program_of<'a>(coinc: &'a Document, event: RowRef<'_>) -> Result<&'a str, CandidateError> {
    let wanted = event.id("process_id")?;
    for row in coinc.require("process")?.rows() {
        if row.id("process_id")? == wanted {
            return Ok(row.text("program")?);
        }
    }
    let (table, column, of) = ("process", "process_id", "coinc_event");
    Err(CandidateError::Dangling {
        table,
        column,
        id: wanted,
        of,
    })
}

/// The triggers of a coincidence, in the order of the map.
fn singles_of(coinc: &Document, id: i64) -> Result<Vec<RowRef<'_>>, CandidateError> {
    let table = coinc.require("sngl_inspiral")?;
    let mut singles = Vec::new();
    for row in coinc.require("coinc_event_map")?.rows() {
        if row.id("coinc_event_id")? != id || row.text("table_name")? != "sngl_inspiral" {
            continue;
        }
        let wanted = row.id("event_id")?;
        let mut found = None;
        for single in table.rows() {
            if single.id("event_id")? == wanted {
                found = Some(single);
                break;
            }
        }
        let (table, column, of) = ("sngl_inspiral", "event_id", "coinc_event_map");
        singles.push(found.ok_or(CandidateError::Dangling {
            table,
            column,
            id: wanted,
            of,
        })?);
    }
    if singles.is_empty() {
        return Err(CandidateError::NoTriggers(id));
    }
    Ok(singles)
}

/// The offset in seconds of one instrument in a time slide. Slide 0 needs no table.
fn time_slide(coinc: &Document, slide: i64, instrument: &str) -> Result<f64, CandidateError> {
    if let Some(table) = coinc.table("time_slide") {
        for row in table.rows() {
            if row.id("time_slide_id")? == slide && row.text("instrument")? == instrument {
                return Ok(row.real("offset")?.unwrap_or(0.0));
            }
        }
    }
    if slide == 0 {
        return Ok(0.0);
    }
    let (table, column, of) = ("time_slide", "time_slide_id", "coinc_event");
    Err(CandidateError::Dangling {
        table,
        column,
        id: slide,
        of,
    })
}

/// A number that every row must share; an empty cell, or no such column, is zero.
fn shared(rows: &[RowRef<'_>], column: &'static str) -> Result<f64, CandidateError> {
    let mut value = None;
    for row in rows {
        let this = if row.get(column).is_some() {
            row.real(column)?.unwrap_or(0.0)
        } else {
            0.0
        };
        #[expect(
            clippy::float_cmp,
            reason = "detectors share one template, digit by digit"
        )]
        let differs = value.is_some_and(|value: f64| value != this);
        if differs {
            return Err(CandidateError::Templates(column));
        }
        value = Some(this);
    }
    Ok(value.unwrap_or(0.0))
}

fn shared_template(rows: &[RowRef<'_>]) -> Result<Template, CandidateError> {
    /// Where the pipelines end a template that does not say.
    const DEFAULT_F_FINAL: f64 = 2_048.0;
    for column in ["spin1x", "spin1y", "spin2x", "spin2y"] {
        if shared(rows, column)?.abs() > 0.0 {
            return Err(CandidateError::InPlaneSpin(column));
        }
    }
    let masses = [shared(rows, "mass1")?, shared(rows, "mass2")?];
    let spins = [shared(rows, "spin1z")?, shared(rows, "spin2z")?];
    let f_final = shared(rows, "f_final")?;
    let f_final = if f_final.abs() > 0.0 {
        f_final
    } else {
        DEFAULT_F_FINAL
    };
    Ok(Template::new(masses, spins, f_final)?)
}

fn trigger(
    row: RowRef<'_>,
    offset: f64,
    inverted: bool,
    spectra: &[(String, Psd)],
) -> Result<Trigger, CandidateError> {
    let ifo = row.text("ifo")?;
    let detector =
        Detector::by_prefix(ifo).ok_or_else(|| CandidateError::Detector(ifo.to_owned()))?;
    let nanos = row
        .integer("end_time_ns")?
        .checked_add(integer((offset * 1e9).round()));
    let seconds = row.integer("end_time")?;
    let time = nanos.and_then(|nanos| GpsTime::new(seconds, nanos));
    let Some(time) = time.filter(|time| (0..MAX_TIME_NS).contains(&time.nanos())) else {
        return Err(CandidateError::Time(row.id("event_id")?));
    };
    let phase = row.real("coa_phase")?.unwrap_or(0.0);
    let psd = spectra
        .iter()
        .rev()
        .find(|(instrument, _)| instrument == ifo);
    let (_, psd) = psd.ok_or_else(|| CandidateError::NoPsd(ifo.to_owned()))?;
    Ok(Trigger {
        detector,
        snr: row.real("snr")?,
        phase: if inverted { -phase } else { phase },
        time,
        psd: psd.clone(),
        series: None,
    })
}

/// All spectra of a document, by instrument; of two for one instrument the later counts.
fn spectra(document: &Document) -> Result<Vec<(String, Psd)>, CandidateError> {
    let mut spectra = Vec::new();
    for series in &document.series {
        if series.name != "REAL8FrequencySeries" || series.array.len == 0 {
            continue;
        }
        let error = |problem| CandidateError::Series {
            name: series.name.clone(),
            problem,
        };
        let Some(instrument) = series.param("instrument") else {
            continue;
        };
        let f0 = series
            .param("f0")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0);
        let step = series
            .array
            .step
            .ok_or_else(|| error("no Scale in its first Dim"))?;
        let values = series
            .array
            .component(1)
            .ok_or_else(|| error("no second component"))?;
        let psd = Psd::new(f0, step, values.to_vec());
        let instrument = instrument.to_owned();
        match psd {
            Ok(psd) => spectra.push((instrument, psd)),
            Err(source) => return Err(CandidateError::Psd { instrument, source }),
        }
    }
    Ok(spectra)
}

/// The SNR series of a `sngl_inspiral` row. Other time series are none of ours.
fn series_of(coinc: &Document, event_id: i64) -> Option<&Series> {
    coinc.series.iter().rev().find(|series| {
        series.name == "COMPLEX8TimeSeries"
            && series.array.name == "snr"
            && series.param("event_id").and_then(crate::ligolw::parse_id) == Some(event_id)
    })
}

fn snr_series(series: &Series, inverted: bool) -> Result<SnrSeries, CandidateError> {
    let error = |problem| CandidateError::Series {
        name: series.name.clone(),
        problem,
    };
    let epoch = series.epoch.ok_or_else(|| error("no epoch"))?;
    let delta_t = series
        .array
        .step
        .ok_or_else(|| error("no Scale in its first Dim"))?;
    if !(1e-6..=1.0).contains(&delta_t) {
        return Err(error("time step is outside of 1 us to 1 s"));
    }
    let (Some(re), Some(im)) = (series.array.component(1), series.array.component(2)) else {
        return Err(error("fewer than three components"));
    };
    let sign = if inverted { -1.0 } else { 1.0 };
    let samples = re
        .iter()
        .zip(im)
        .map(|(&re, &im)| [narrow(re), narrow(sign * im)])
        .collect();
    Ok(SnrSeries {
        epoch,
        delta_t,
        samples,
    })
}

#[cfg(test)]
mod tests;
