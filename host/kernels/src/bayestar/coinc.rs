//! Candidates as the search pipelines upload them.
//!
//! A coincidence is a row of `coinc_event`; `coinc_event_map` names its `sngl_inspiral` rows.
//! Pipelines disagree on the sign of the phase: the program that made the coincidence decides.

mod conventions;
mod series;
mod write;

pub use conventions::PhaseConventions;
pub use write::{write_candidates, write_spectra};

use crate::detectors::Detector;
use crate::gps::GpsTime;
use crate::ligolw::{Document, LigolwError, RowRef, Table};
use crate::numeric::integer;
use crate::psd::{Psd, PsdError};
use crate::waveform::{Template, TemplateError};
use crate::work::{Cancelled, OutOfMemory, Work};
use series::{Budget, series_of, snr_series, spectrum};
use std::collections::HashMap;

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
    /// A detector with two triggers.
    #[error(
        "coinc_event_map, row {row}: coinc_event {id} has a second trigger of {detector}, \
         sngl_inspiral row {second} after row {first}"
    )]
    Repeated {
        /// The coincidence.
        id: i64,
        /// The row of the map, counted from 1.
        row: usize,
        /// The detector's prefix.
        detector: String,
        /// Row of the first trigger, counted from 1.
        first: usize,
        /// Row of the second.
        second: usize,
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
    /// It was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Its spectra and series would need too much memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl Candidate {
    /// Takes the one candidate of `coinc`; noise spectra come from `psd`, which may be the same
    /// document.
    ///
    /// # Errors
    /// [`CandidateError`]; more or less than one coincidence is one, too.
    pub fn from_documents(coinc: &Document, psd: &Document) -> Result<Self, CandidateError> {
        Self::with_conventions(coinc, psd, &PhaseConventions::default(), &Work::default())
    }

    /// As [`Self::from_documents`], with other phase conventions than the usual ones, until the
    /// token of `work` is cancelled, and within its memory.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn with_conventions(
        coinc: &Document,
        psd: &Document,
        conventions: &PhaseConventions,
        work: &Work<'_>,
    ) -> Result<Self, CandidateError> {
        let events = coinc.require("coinc_event")?;
        let mut rows = events.rows();
        match (rows.next(), rows.len()) {
            (Some(row), 0) => Self::read([coinc, psd], row, conventions, work),
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
        work: &Work<'_>,
    ) -> Result<Self, CandidateError> {
        for row in rows(coinc.require("coinc_event")?, work) {
            let row = row?;
            if row.id("coinc_event_id")? == id {
                return Self::read([coinc, psd], row, conventions, work);
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
        [coinc, psd]: [&Document; 2],
        event: RowRef<'_>,
        conventions: &PhaseConventions,
        work: &Work<'_>,
    ) -> Result<Self, CandidateError> {
        let id = event.id("coinc_event_id")?;
        let inverted = conventions.is_inverted(program_of(coinc, event, work)?)?;
        let slide = event
            .get("time_slide_id")
            .map(|_| event.id("time_slide_id"))
            .transpose()?;
        let singles = singles_of(coinc, id, work)?;
        let template = shared_template(&singles)?;
        let mut budget = Budget::new(work);
        let mut triggers = Vec::with_capacity(singles.len());
        for single in singles {
            let instrument = single.row.text("ifo")?;
            let offset = time_slide(coinc, slide.unwrap_or(0), instrument, work)?;
            let psd = spectrum(psd, instrument, &mut budget)?;
            let mut trigger = trigger(&single, offset, inverted, psd)?;
            if let Some(series) = series_of(coinc, single.row.id("event_id")?, work)? {
                trigger.series = Some(snr_series(series, inverted, &mut budget)?);
            }
            triggers.push(trigger);
        }
        Ok(Self {
            id,
            template,
            triggers,
        })
    }
}

/// The rows of a table, until somebody cancels.
fn rows<'a>(
    table: &'a Table,
    work: &'a Work<'_>,
) -> impl Iterator<Item = Result<RowRef<'a>, Cancelled>> {
    let watched = |row| work.check_cancel().map(|()| row);
    table.rows().map(watched)
}

/// Triggers are before the year 2106, nanoseconds.
const MAX_TIME_NS: i64 = 4_000_000_000_000_000_000;

fn program_of<'a>(
    coinc: &'a Document,
    event: RowRef<'_>,
    work: &'a Work<'_>,
) -> Result<&'a str, CandidateError> {
    let wanted = event.id("process_id")?;
    for row in rows(coinc.require("process")?, work) {
        let row = row?;
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

/// A row of `sngl_inspiral`.
#[derive(Clone, Copy, Debug)]
struct Single<'a> {
    row: RowRef<'a>,
    detector: Detector,
}

/// The triggers of a coincidence, in the order of the map; of each detector one.
fn singles_of<'a>(
    coinc: &'a Document,
    id: i64,
    work: &'a Work<'_>,
) -> Result<Vec<Single<'a>>, CandidateError> {
    let by_event = by_event(coinc.require("sngl_inspiral")?, work)?;
    let mut singles: Vec<Single<'_>> = Vec::new();
    for row in rows(coinc.require("coinc_event_map")?, work) {
        let row = row?;
        if row.id("coinc_event_id")? != id || row.text("table_name")? != "sngl_inspiral" {
            continue;
        }
        let wanted = row.id("event_id")?;
        let (table, column, of) = ("sngl_inspiral", "event_id", "coinc_event_map");
        let single = by_event.get(&wanted).ok_or(CandidateError::Dangling {
            table,
            column,
            id: wanted,
            of,
        })?;
        let ifo = single.text("ifo")?;
        let unknown = || CandidateError::Detector(ifo.chars().take(60).collect());
        let detector = Detector::by_prefix(ifo).ok_or_else(unknown)?;
        if let Some(first) = singles.iter().find(|first| first.detector == detector) {
            return Err(CandidateError::Repeated {
                id,
                row: row.number(),
                detector: detector.prefix().to_owned(),
                first: first.row.number(),
                second: single.number(),
            });
        }
        singles.push(Single {
            row: *single,
            detector,
        });
    }
    if singles.is_empty() {
        return Err(CandidateError::NoTriggers(id));
    }
    Ok(singles)
}

/// The rows of `sngl_inspiral` by their `event_id`; of two with one id the first.
fn by_event<'a>(
    table: &'a Table,
    work: &'a Work<'_>,
) -> Result<HashMap<i64, RowRef<'a>>, CandidateError> {
    let mut by_event = HashMap::new();
    let len = table.rows().len();
    // Of its buckets at most half are empty.
    let needed = len.saturating_mul(2 * (size_of::<(i64, RowRef<'_>)>() + 1));
    work.check_memory(needed)?;
    let refused = |_| OutOfMemory { needed, allowed: 0 };
    by_event.try_reserve(len).map_err(refused)?;
    for row in rows(table, work) {
        let row = row?;
        by_event.entry(row.id("event_id")?).or_insert(row);
    }
    Ok(by_event)
}

/// The offset in seconds of one instrument in a time slide. Slide 0 needs no table.
fn time_slide(
    coinc: &Document,
    slide: i64,
    instrument: &str,
    work: &Work<'_>,
) -> Result<f64, CandidateError> {
    if let Some(table) = coinc.table("time_slide") {
        for row in rows(table, work) {
            let row = row?;
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
fn shared(singles: &[Single<'_>], column: &'static str) -> Result<f64, CandidateError> {
    let mut value = None;
    for Single { row, .. } in singles {
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

fn shared_template(singles: &[Single<'_>]) -> Result<Template, CandidateError> {
    /// Where the pipelines end a template that does not say.
    const DEFAULT_F_FINAL: f64 = 2_048.0;
    for column in ["spin1x", "spin1y", "spin2x", "spin2y"] {
        if shared(singles, column)?.abs() > 0.0 {
            return Err(CandidateError::InPlaneSpin(column));
        }
    }
    let masses = [shared(singles, "mass1")?, shared(singles, "mass2")?];
    let spins = [shared(singles, "spin1z")?, shared(singles, "spin2z")?];
    let f_final = shared(singles, "f_final")?;
    let f_final = if f_final.abs() > 0.0 {
        f_final
    } else {
        DEFAULT_F_FINAL
    };
    Ok(Template::new(masses, spins, f_final)?)
}

fn trigger(
    &Single { row, detector }: &Single<'_>,
    offset: f64,
    inverted: bool,
    psd: Psd,
) -> Result<Trigger, CandidateError> {
    let nanos = row
        .integer("end_time_ns")?
        .checked_add(integer((offset * 1e9).round()));
    let seconds = row.integer("end_time")?;
    let time = nanos.and_then(|nanos| GpsTime::new(seconds, nanos));
    let Some(time) = time.filter(|time| (0..MAX_TIME_NS).contains(&time.nanos())) else {
        return Err(CandidateError::Time(row.id("event_id")?));
    };
    let phase = row.real("coa_phase")?.unwrap_or(0.0);
    Ok(Trigger {
        detector,
        snr: row.real("snr")?,
        phase: if inverted { -phase } else { phase },
        time,
        psd,
        series: None,
    })
}

#[cfg(test)]
mod tests;
