//! When two outcomes are the same.

use bytes::Bytes;

use crate::broker::{State, TaskDetail};
use crate::workers::Ended;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well, perhaps with a result.
    Success(Option<Bytes>),
    /// Not well.
    Failure {
        /// Kind, as tables have it.
        kind: String,
        /// Why, for a person.
        message: String,
    },
}

/// What was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// The handler was not there.
    New,
    /// No task of it is kept for the packet: it expired, or was never made.
    NotKept,
    /// It was not run to its end: it waits, or was revoked.
    NotRun,
    /// It ended.
    Ended(Outcome),
}

/// What the comparison of what is with what was says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// State and result, or kind and message of the failure, are the same.
    Same,
    /// They are not.
    Different,
    /// There is nothing to compare with: the handler is new.
    New,
    /// There is nothing to compare with: what was is not known.
    NotCompared,
    /// It ran before, and does not match any more.
    Gone,
}

impl Verdict {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::New => "new",
            Self::NotCompared => "not-compared",
            Self::Gone => "gone",
        }
    }

    /// Whether it is a difference from what was.
    pub(crate) const fn is_difference(self) -> bool {
        matches!(self, Self::Different | Self::Gone)
    }
}

impl Outcome {
    /// Reads how a dry run ended.
    pub(crate) fn of(ended: &Ended) -> Self {
        match ended {
            Ended::Done(result) => Self::Success(result.clone()),
            Ended::Failed { kind, message, .. } => Self::Failure {
                kind: kind.as_str().to_owned(),
                message: message.clone(),
            },
            Ended::GivenBack { .. } | Ended::Parked(_) | Ended::Expired | Ended::Fenced => {
                Self::Failure {
                    kind: "stopped".to_owned(),
                    message: "the run was stopped before its end".to_owned(),
                }
            }
        }
    }

    /// The state in tables.
    pub(crate) const fn state(&self) -> &'static str {
        match self {
            Self::Success(_) => "SUCCESS",
            Self::Failure { .. } => "FAILURE",
        }
    }

    /// The state, and of a failure its kind.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Success(_) => self.state().to_owned(),
            Self::Failure { kind, .. } => format!("{} {kind}", self.state()),
        }
    }

    /// The result, or the failure's message.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Success(result) => result.as_ref().map_or_else(String::new, |result| {
                String::from_utf8_lossy(result).into_owned()
            }),
            Self::Failure { message, .. } => message.clone(),
        }
    }

    /// Whether both say the same; results are compared as JSON, whose spaces and order of keys
    /// mean nothing.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Success(Some(one)), Self::Success(Some(other))) => {
                let value = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
                one == other || value(one).is_some_and(|one| Some(one) == value(other))
            }
            _ => self == other,
        }
    }
}

impl Was {
    /// Reads what became of a task.
    pub(crate) fn of(detail: &TaskDetail) -> Self {
        match (detail.task.state, &detail.task.failure) {
            (State::Success, _) => Self::Ended(Outcome::Success(detail.result.clone())),
            (State::Failure | State::Delivered, Some(failure)) => Self::Ended(Outcome::Failure {
                kind: failure.kind.clone(),
                message: failure.message.clone(),
            }),
            _ => Self::NotRun,
        }
    }

    /// Compares what is with it.
    pub(crate) fn verdict(&self, is: &Outcome) -> Verdict {
        match self {
            Self::New => Verdict::New,
            Self::NotKept | Self::NotRun => Verdict::NotCompared,
            Self::Ended(was) if was.is_like(is) => Verdict::Same,
            Self::Ended(_) => Verdict::Different,
        }
    }
}
