//! Spectra and SNR series of triggers, within a budget of memory.

use super::{CandidateError, SnrSeries};
use crate::ligolw::{Document, Series};
use crate::numeric::narrow;
use crate::psd::Psd;
use crate::work::{Cancelled, OutOfMemory, Work, gathered};

/// The memory of a candidate's spectra and series.
pub(super) struct Budget<'a> {
    work: &'a Work<'a>,
    taken: usize,
}

impl<'a> Budget<'a> {
    pub(super) fn new(work: &'a Work<'a>) -> Self {
        Self { work, taken: 0 }
    }

    fn gather<T>(
        &mut self,
        len: usize,
        elements: impl Iterator<Item = T>,
    ) -> Result<Vec<T>, OutOfMemory> {
        let bytes = len.saturating_mul(size_of::<T>());
        self.taken = self.taken.saturating_add(bytes);
        self.work.check_memory(self.taken)?;
        gathered(len, elements)
    }
}

/// The spectrum of an instrument; of two in one document the later counts.
pub(super) fn spectrum(
    document: &Document,
    instrument: &str,
    budget: &mut Budget<'_>,
) -> Result<Psd, CandidateError> {
    let mut all = document.series.iter().rev();
    let found = all.find_map(|series| match budget.work.check_cancel() {
        Ok(()) => {
            let is_spectrum = series.name == "REAL8FrequencySeries" && series.array.len > 0;
            let is_of_instrument = is_spectrum && series.param("instrument") == Some(instrument);
            is_of_instrument.then_some(Ok(series))
        }
        Err(cancelled) => Some(Err(cancelled)),
    });
    let missing = || CandidateError::NoPsd(instrument.to_owned());
    let series = found.transpose()?.ok_or_else(missing)?;
    let error = |problem| CandidateError::Series {
        name: series.name.clone(),
        problem,
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
    let values = budget.gather(values.len(), values.iter().copied())?;
    Psd::new(f0, step, values).map_err(|source| CandidateError::Psd {
        instrument: instrument.to_owned(),
        source,
    })
}

/// The SNR series of a `sngl_inspiral` row. Other time series are none of ours.
pub(super) fn series_of<'a>(
    coinc: &'a Document,
    event_id: i64,
    work: &Work<'_>,
) -> Result<Option<&'a Series>, Cancelled> {
    for series in coinc.series.iter().rev() {
        work.check_cancel()?;
        let is_snr = series.name == "COMPLEX8TimeSeries" && series.array.name == "snr";
        let of = || series.param("event_id").and_then(crate::ligolw::parse_id);
        if is_snr && of() == Some(event_id) {
            return Ok(Some(series));
        }
    }
    Ok(None)
}

pub(super) fn snr_series(
    series: &Series,
    inverted: bool,
    budget: &mut Budget<'_>,
) -> Result<SnrSeries, CandidateError> {
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
    let samples = re.iter().zip(im);
    let samples = samples.map(|(&re, &im)| [narrow(re), narrow(sign * im)]);
    let samples = budget.gather(re.len(), samples)?;
    Ok(SnrSeries {
        epoch,
        delta_t,
        samples,
    })
}
