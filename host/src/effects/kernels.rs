//! `gwasp:plugin/kernels`: heavy computations of the host.
//!
//! A kernel runs on threads of its own, and its time is not the handler's: the time limit of the
//! handler begins anew when it has its answer. The answer is a blob, on disk before it is noted;
//! a replay gives the noted blob, never a recomputation. The same files and options give the same
//! bytes, so a map says nothing of when and how fast it was made.

mod threads;

use std::time::Duration;

use bytes::Bytes;
use gwasp_kernels::bayestar::{
    Candidate, CandidateError, ConditionError, LocalizeError, OptionError, Options,
    PhaseConventions, localize,
};
use gwasp_kernels::ligolw::{Document, LigolwError, Limits};
use gwasp_kernels::skymap::Provenance;
use gwasp_kernels::waveform::{TemplateError, WaveformChoice};
use gwasp_kernels::work::Work;
use tracing::warn;
use wasmtime::component::Resource;

pub use threads::{KernelFault, KernelThreads};

use super::bindings::gwasp::plugin::kernels::{Error, Host, SkyMapOptions};
use super::blobs::Handle;
use super::driver::{Driver, LiveRun};
use super::function::KERNELS_LOCALIZE;
use super::noted::{KernelAnswer, LocalizeRequest};
use super::seam::SeamError;
use super::{Run, blobs, denied};
use crate::broker::BrokerError;
use crate::explain::Coded as _;
use crate::packet::Digest;
use crate::text::chain;
use threads::KernelStopped;

/// Pause before an answer that found no space is kept again.
const SPACE_DELAY: Duration = Duration::from_millis(500);

/// Name of this kernel in an answers file.
const BAYESTAR: &str = "bayestar.localize";

impl Host for Run {
    async fn localize(
        &mut self,
        coinc: Resource<Handle>,
        psd: Option<Resource<Handle>>,
        options: SkyMapOptions,
    ) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        self.seam.take_kernel()?;
        let coinc = self.held_bytes(&coinc)?;
        let psd = psd.map(|psd| self.held_bytes(&psd)).transpose()?;
        let digests = [
            Some(coinc.0.to_string()),
            psd.as_ref().map(|psd| psd.0.to_string()),
        ];
        let request = noted_request(&digests, &options);
        let driver = self.seam.driver();
        let allowed = self.allows_kernels();
        if allowed.is_ok() {
            self.seam.note_asked(&KERNELS_LOCALIZE, || {
                format!("BAYESTAR on a coinc file of {} bytes", coinc.1.len())
            });
        }
        let hold = self.seam.hold();
        let files = Files {
            coinc: coinc.1,
            psd: psd.map(|psd| psd.1),
        };
        let live = async {
            if let Err(denied) = allowed {
                return Ok(denied);
            }
            let _waiting = hold.wait_outside();
            answer(&driver, files, &options).await
        };
        match self
            .seam
            .answered(&KERNELS_LOCALIZE, &request, live)
            .await?
        {
            KernelAnswer::Blob(digest) => self.hand_out_map(&digest),
            KernelAnswer::Input(reason) => Ok(Err(Error::Input(reason))),
            KernelAnswer::Invalid(reason) => Ok(Err(Error::Invalid(reason))),
            KernelAnswer::Limit(reason) => Ok(Err(Error::Limit(reason))),
            KernelAnswer::Denied(reason) => Ok(Err(Error::Denied(reason))),
        }
    }
}

impl Run {
    fn allows_kernels(&self) -> Result<(), KernelAnswer> {
        let context = self.seam.context();
        if context.grant.kernels {
            return Ok(());
        }
        Err(KernelAnswer::Denied(denied(
            &context.plugin,
            "start heavy computations",
            "kernels = true",
        )))
    }

    fn held_bytes(&mut self, blob: &Resource<Handle>) -> wasmtime::Result<(Digest, Bytes)> {
        let handle = self.table().get(blob)?;
        Ok((handle.digest, handle.bytes.clone()))
    }

    fn hand_out_map(&mut self, digest: &str) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        let gone = || SeamError::BlobGone {
            digest: digest.to_owned(),
        };
        let digest = Digest::parse(digest).ok_or_else(gone)?;
        let bytes = blobs::find(&self.seam.driver(), &digest)?.ok_or_else(gone)?;
        self.seam.take_blob(bytes.len())?;
        if let Err(reason) = self.has_room_for_blob(bytes.len()) {
            return Ok(Err(Error::Limit(reason)));
        }
        Ok(Ok(self.hold_blob(digest, bytes)?))
    }
}

/// What is localized.
struct Files {
    coinc: Bytes,
    psd: Option<Bytes>,
}

fn noted_request<'a>(
    digests: &'a [Option<String>; 2],
    options: &'a SkyMapOptions,
) -> LocalizeRequest<'a> {
    let [coinc, psd] = digests;
    LocalizeRequest {
        coinc: coinc.as_deref().unwrap_or_default(),
        psd: psd.as_deref(),
        waveform: &options.waveform,
        f_low: options.f_low,
        f_high_truncate: options.f_high_truncate,
        min_distance: options.min_distance,
        max_distance: options.max_distance,
        distance_power: options.distance_power,
        cosmology: options.cosmology,
        use_snr_series: options.use_snr_series,
        rescale: options.rescale_loglikelihood,
        disabled_detectors: &options.disabled_detectors,
        object: options.object.as_deref(),
    }
}

/// Computes the map and keeps it.
async fn answer(
    driver: &Driver,
    files: Files,
    options: &SkyMapOptions,
) -> Result<KernelAnswer, SeamError> {
    let map = match made(driver, files, options).await? {
        Ok(map) => Bytes::from(map),
        Err(refusal) => return Ok(refusal),
    };
    let digest = Digest::of(&map);
    match driver {
        Driver::Live(live) => keep(live, map).await?,
        Driver::Dry(dry) => dry.put_blob(digest, map),
    }
    Ok(KernelAnswer::Blob(digest.to_string()))
}

/// Keeps a map. Where there is no space for it just now the run waits for some, as an outcome
/// does: what took minutes is not computed again. The worker ends the wait, when the host stops
/// or at the task's deadline.
pub(super) async fn keep(live: &LiveRun, map: Bytes) -> Result<(), SeamError> {
    loop {
        match live.world.broker.put_blob(map.clone()).await {
            Ok(_digest) => return Ok(()),
            Err(error @ (BrokerError::Full { .. } | BrokerError::Unavailable { .. })) => {
                warn!(target: "gwasp::task", task = %live.task, code = error.code().as_str(), error = chain(&error), "no space for a sky map just now; trying again");
                tokio::time::sleep(SPACE_DELAY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn made(
    driver: &Driver,
    files: Files,
    options: &SkyMapOptions,
) -> Result<Result<Vec<u8>, KernelAnswer>, SeamError> {
    let threads = match driver {
        Driver::Live(live) => &live.world.kernels,
        Driver::Dry(dry) => {
            if let Some(map) = dry.kernel_answer(BAYESTAR) {
                return Ok(Ok(map));
            }
            &dry.kernels
        }
    };
    let object = options.object.clone();
    match checked(options) {
        Ok(options) => {
            let kernel = move |work: &Work<'_>| compute(&files, &options, object, work);
            computed(threads, kernel).await
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Runs a kernel. A limit that it met is an answer; a fault of the host is none, and another
/// attempt computes anew.
pub(super) async fn computed(
    threads: &KernelThreads,
    kernel: impl FnOnce(&Work<'_>) -> Result<Vec<u8>, KernelAnswer> + Send + 'static,
) -> Result<Result<Vec<u8>, KernelAnswer>, SeamError> {
    match threads.run(kernel).await {
        Ok(made) => Ok(made),
        Err(KernelStopped::Fault(fault)) => Err(fault.into()),
        Err(stopped @ KernelStopped::TimeLimit(_)) => Ok(Err(KernelAnswer::Limit(format!(
            "sky localization: {stopped}"
        )))),
    }
}

fn compute(
    files: &Files,
    options: &Options,
    object: Option<String>,
    work: &Work<'_>,
) -> Result<Vec<u8>, KernelAnswer> {
    let limits = input_limits(work);
    let parsed = |file: &str, bytes: &[u8]| {
        let read = Document::parse_watched(bytes, &limits, work);
        read.map_err(|error| of_document(file, &error))
    };
    let coinc = parsed("coinc file", &files.coinc)?;
    let psd = files.psd.as_ref();
    let psd = psd.map(|psd| parsed("PSD file", psd)).transpose()?;
    let spectra = psd.as_ref().unwrap_or(&coinc);
    let usual = PhaseConventions::default();
    let candidate = Candidate::with_conventions(&coinc, spectra, &usual, work);
    drop((coinc, psd));
    let candidate = candidate.map_err(|error| of_candidate(&error))?;
    let map = localize(&candidate, options, work).map_err(|error| of_kernel(&error))?;
    let provenance = Provenance {
        object,
        ..Provenance::default()
    };
    Ok(map.to_fits(&provenance))
}

/// Each of the two files may take half of the memory.
fn input_limits(work: &Work<'_>) -> Limits {
    Limits::within(work.max_bytes / 2)
}

/// The kernel's own options; those that cannot be are named.
fn checked(options: &SkyMapOptions) -> Result<Options, KernelAnswer> {
    let waveform = WaveformChoice::by_name(&options.waveform).ok_or_else(|| {
        KernelAnswer::Invalid(format!(
            "unknown waveform {:?}: take one of {}",
            options.waveform,
            WaveformChoice::NAMES.join(", ")
        ))
    })?;
    let options = Options {
        waveform,
        f_low: options.f_low,
        f_high_truncate: options.f_high_truncate,
        min_distance: options.min_distance,
        max_distance: options.max_distance,
        distance_power: options.distance_power,
        cosmology: options.cosmology,
        enable_snr_series: options.use_snr_series,
        rescale_loglikelihood: options.rescale_loglikelihood,
        disabled_detectors: options.disabled_detectors.clone(),
        ..Options::default()
    };
    let refused = |error: OptionError| KernelAnswer::Invalid(error.to_string());
    options.check().map_err(refused)?;
    Ok(options)
}

fn of_document(file: &str, error: &LigolwError) -> KernelAnswer {
    let text = format!("{file}: {}", chain(error));
    if error.is_of_memory() {
        out_of_memory(&text)
    } else {
        KernelAnswer::Input(text)
    }
}

fn of_candidate(error: &CandidateError) -> KernelAnswer {
    let text = chain(error);
    match error {
        CandidateError::OutOfMemory(_) => out_of_memory(&text),
        _ => KernelAnswer::Input(text),
    }
}

fn out_of_memory(text: &str) -> KernelAnswer {
    KernelAnswer::Limit(format!(
        "sky localization: {text}; it is `memory` under [kernels] in the configuration"
    ))
}

fn of_kernel(error: &LocalizeError) -> KernelAnswer {
    let text = chain(error);
    match error {
        LocalizeError::OutOfMemory(_)
        | LocalizeError::Condition(ConditionError::OutOfMemory(_)) => out_of_memory(&text),
        LocalizeError::Options(_)
        | LocalizeError::Prior(_)
        | LocalizeError::Condition(
            ConditionError::NothingDisabled(_)
            | ConditionError::Template(TemplateError::LowFrequency(_) | TemplateError::TooLong(_)),
        ) => KernelAnswer::Invalid(text),
        _ => KernelAnswer::Input(text),
    }
}

#[cfg(test)]
mod tests;
