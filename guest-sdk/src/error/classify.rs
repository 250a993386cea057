//! What an error of this crate's own modules, or of the formats, says about another attempt.

use std::error::Error as StdError;
use std::time::Duration;

use gwasp_formats::{FieldError, LvAlertError, PositionError, TimeError, VoEventError};

use super::FailureKind;
use crate::bayestar::KernelError;
use crate::blobs::BlobError;
use crate::gcn::GcnError;
use crate::http::HttpError;
use crate::kv::KvError;
use crate::tasks::TaskError;

/// Looks through the chain for the first error that knows; one that nobody knows is tried again.
pub(super) fn classify(error: &(dyn StdError + 'static)) -> (FailureKind, Option<Duration>) {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(known) = known(error) {
            return known;
        }
        next = error.source();
    }
    (FailureKind::Error, None)
}

fn known(error: &(dyn StdError + 'static)) -> Option<(FailureKind, Option<Duration>)> {
    if let Some(http) = error.downcast_ref::<HttpError>() {
        return Some((http.kind(), http.retry_after()));
    }
    if let Some(task) = error.downcast_ref::<TaskError>() {
        return Some((of_task(task), None));
    }
    if let Some(kernel) = error.downcast_ref::<KernelError>() {
        return Some((of_kernel(kernel), None));
    }
    if let Some(gcn) = error.downcast_ref::<GcnError>() {
        return Some((of_gcn(gcn), None));
    }
    // The same bytes would be read in the same way.
    let parse = error.is::<VoEventError>()
        || error.is::<LvAlertError>()
        || error.is::<FieldError>()
        || error.is::<PositionError>()
        || error.is::<TimeError>();
    if parse {
        return Some((FailureKind::Parse, None));
    }
    // What is denied, too large or gone is so on the next attempt too.
    let permanent = error.is::<KvError>() || error.is::<BlobError>();
    permanent.then_some((FailureKind::Permanent, None))
}

fn of_kernel(error: &KernelError) -> FailureKind {
    match error {
        KernelError::Limit(_) => FailureKind::Error,
        KernelError::Denied(_) | KernelError::Input(_) | KernelError::Invalid(_) => {
            FailureKind::Permanent
        }
    }
}

fn of_gcn(error: &GcnError) -> FailureKind {
    match error {
        GcnError::InDoubt(_) => FailureKind::InDoubt,
        GcnError::Denied(_)
        | GcnError::Invalid(_)
        | GcnError::Limit(_)
        | GcnError::Unsupported(_) => FailureKind::Permanent,
    }
}

/// A function that is not there yet may come: its plugin is just being deployed. A called task
/// that failed had retries of its own.
fn of_task(error: &TaskError) -> FailureKind {
    match error {
        TaskError::Unknown(_) => FailureKind::Error,
        TaskError::Denied(_)
        | TaskError::Limit(_)
        | TaskError::Invalid(_)
        | TaskError::Unsupported(_)
        | TaskError::Arguments(_)
        | TaskError::Result(_) => FailureKind::Permanent,
        TaskError::Failed { kind, .. } => match kind {
            FailureKind::InDoubt => FailureKind::InDoubt,
            FailureKind::Error | FailureKind::Parse | FailureKind::Permanent => {
                FailureKind::Permanent
            }
        },
    }
}
