//! How a run ended, and what becomes of its task.

use std::time::Duration;

use bytes::Bytes;

use super::invoke::MAX_PASSED;
use crate::broker::{BrokerError, Failure, RetryPolicy, Step, Wait};
use crate::effects::bindings::gwasp::plugin::types;
use crate::effects::{JournalError, OutOfMemory, Passed, SeamError};
use crate::task::{backoff, nanos};
use crate::text::{chain, one_line, printable};

/// Longest message of a failure, in bytes; it stands in one line of a log.
pub(super) const MAX_MESSAGE: usize = 4_096;
/// Longest detail, in bytes.
const MAX_DETAIL: usize = 64 << 10;
/// How wasmtime says that a guest passed more than [`super::invoke::MAX_PASSED`]; it has no type
/// for it.
const PASSED_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";

/// Largest result that is kept.
const MAX_RESULT: usize = 1 << 20;
/// How long a task waits that the broker could not serve.
const BROKER_DELAY: Duration = Duration::from_secs(1);
/// Longest time after which a handler, or a service through it, may ask to be tried again.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Why a run failed; decides whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The handler said so.
    Error,
    /// The payload does not parse.
    Parse,
    /// The handler said that another attempt would fail in the same way.
    Permanent,
    /// Nobody knows whether an external effect happened.
    InDoubt,
    /// The guest panicked or broke a rule of WebAssembly.
    Trap,
    /// It took too long.
    Timeout,
    /// It asked for more than it may.
    Limit,
    /// Its journal and what it asks for differ.
    Journal,
    /// An external effect is in doubt, and nobody could be asked.
    Unsettled,
    /// The host could not run it.
    Host,
    /// The version that it began on is gone.
    Version,
}

impl FailureKind {
    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Parse => "parse",
            Self::Permanent => "permanent",
            Self::InDoubt => "in-doubt",
            Self::Version => "version",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::Journal => "journal",
            Self::Unsettled => "unsettled",
            Self::Host => "host",
        }
    }

    /// Whether another attempt may end otherwise.
    pub const fn is_worth_another_attempt(self) -> bool {
        matches!(
            self,
            Self::Error | Self::Trap | Self::Timeout | Self::Limit | Self::Unsettled | Self::Host
        )
    }
}

/// Why the host stopped a run.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error(
        "the handler ran for {timeout:?}; `timeout = \"…\"` in its attribute sets how long it may"
    )]
    Timeout { timeout: Duration },
    #[error("its deadline passed while it ran")]
    Expired,
    #[error("the host is stopping")]
    Cancelled,
    #[error("somebody revoked the task")]
    Revoked,
}

impl Stopped {
    /// Why a run is stopped whose limit has passed; `timeout` is its time in the slot.
    pub(super) const fn by(passed: Passed, timeout: Duration) -> Self {
        match passed {
            Passed::Slot => Self::Timeout { timeout },
            Passed::Deadline => Self::Expired,
        }
    }
}

/// Why a task is revoked whose deadline passed.
pub(super) fn expired(message: String) -> Failure {
    Failure {
        kind: "expired".to_owned(),
        message,
        detail: None,
    }
}

/// The attempt that ended.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    /// How often and when the task is tried.
    pub(super) policy: &'a RetryPolicy,
    /// 1 for the first.
    pub(super) number: u32,
    /// The time in nanoseconds since the Unix epoch.
    pub(super) now: i64,
    /// Spreads retries; in `[0, 1)`.
    pub(super) jitter: f64,
    /// How many entries of the journal another attempt replays.
    pub(super) keep: u32,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Well, perhaps with a result.
    Done(Option<Bytes>),
    /// Not well.
    Failed {
        /// Why, for the machine.
        kind: FailureKind,
        /// Why, in one line for a person.
        message: String,
        /// What helps to debug.
        detail: Option<String>,
        /// After what time the handler asks to be tried again.
        retry_after: Option<Duration>,
    },
    /// Stopped by the host: the task goes back for so long, and the attempt is not counted.
    GivenBack {
        /// Not before so much time has passed.
        delay: Duration,
    },
    /// Not yet: it waits, and goes on in a later leg.
    Parked(Wait),
    /// Its task's deadline passed: what it would still do is too late.
    Expired,
    /// The lease was lost: nothing may be written.
    Fenced,
}

impl Ended {
    /// Reads what a call gave.
    pub(super) fn of(result: wasmtime::Result<Result<Option<Vec<u8>>, types::Failure>>) -> Self {
        match result {
            Ok(Ok(Some(result))) if result.len() > MAX_RESULT => Self::failed(
                FailureKind::Limit,
                &format!(
                    "the result has {} bytes; the limit is {MAX_RESULT}: put it in a blob",
                    result.len()
                ),
            ),
            Ok(Ok(result)) => Self::Done(result.map(Bytes::from)),
            Ok(Err(failure)) => Self::of_failure(&failure),
            Err(error) => Self::of_trap(&error),
        }
    }

    pub(super) fn failed(kind: FailureKind, message: &str) -> Self {
        Self::Failed {
            kind,
            // The causes of the host's own errors quote what the guest asked for.
            message: one_line(message, MAX_MESSAGE),
            detail: None,
            retry_after: None,
        }
    }

    fn of_failure(failure: &types::Failure) -> Self {
        Self::Failed {
            kind: match failure.kind {
                types::FailureKind::Error => FailureKind::Error,
                types::FailureKind::Parse => FailureKind::Parse,
                types::FailureKind::Permanent => FailureKind::Permanent,
                types::FailureKind::InDoubt => FailureKind::InDoubt,
            },
            message: one_line(&failure.message, MAX_MESSAGE),
            detail: failure
                .detail
                .as_deref()
                .map(|detail| cut(printable(detail), MAX_DETAIL)),
            retry_after: failure.retry_after.map(Duration::from_millis),
        }
    }

    fn of_trap(error: &wasmtime::Error) -> Self {
        match error.downcast_ref::<Stopped>() {
            // Whoever holds the lease knows what becomes of a task that was revoked.
            Some(Stopped::Cancelled | Stopped::Revoked) => {
                return Self::GivenBack {
                    delay: Duration::ZERO,
                };
            }
            Some(Stopped::Expired) => return Self::Expired,
            Some(stopped @ Stopped::Timeout { .. }) => {
                return Self::failed(FailureKind::Timeout, &stopped.to_string());
            }
            None => {}
        }
        if let Some(error) = error.downcast_ref::<OutOfMemory>() {
            return Self::failed(FailureKind::Limit, &error.to_string());
        }
        match error.downcast_ref::<SeamError>() {
            Some(error) => Self::of_seam(error),
            None => Self::of_wasm_trap(error),
        }
    }

    fn of_wasm_trap(error: &wasmtime::Error) -> Self {
        let cause = error.root_cause().to_string();
        if cause.contains(PASSED_TOO_MUCH) {
            return Self::failed(
                FailureKind::Limit,
                &format!(
                    "the handler passed more than {MAX_PASSED} bytes in one call; put large \
                     values into blobs, piece by piece"
                ),
            );
        }
        Self::Failed {
            kind: FailureKind::Trap,
            message: one_line(&cause, MAX_MESSAGE),
            // The names of functions in it are the guest's.
            detail: Some(cut(printable(&format!("{error:?}")), MAX_DETAIL)),
            retry_after: None,
        }
    }

    /// Reads why the seam ended a run.
    fn of_seam(error: &SeamError) -> Self {
        match error {
            SeamError::Broker(error) => Self::of_broker(error),
            SeamError::Limit { .. } | SeamError::Journal(JournalError::TooLong) => {
                Self::failed(FailureKind::Limit, &chain(error))
            }
            SeamError::Unsettled { .. } => Self::failed(FailureKind::Unsettled, &error.to_string()),
            SeamError::Kernel(_) => Self::failed(FailureKind::Host, &chain(error)),
            SeamError::Parked(on) => Self::Parked(*on),
            SeamError::Ended => Self::GivenBack {
                delay: Duration::ZERO,
            },
            SeamError::Journal(_) | SeamError::Encoding(_) | SeamError::BlobGone { .. } => {
                Self::failed(FailureKind::Journal, &chain(error))
            }
        }
    }

    /// Reads why the broker ended a run.
    fn of_broker(error: &BrokerError) -> Self {
        match error {
            BrokerError::Fenced { .. } => Self::Fenced,
            BrokerError::TooLarge { .. } => Self::failed(FailureKind::Limit, &error.to_string()),
            BrokerError::Corrupt { .. }
            | BrokerError::Unknown { .. }
            | BrokerError::Dropped { .. }
            | BrokerError::Conflict { .. } => Self::failed(FailureKind::Host, &chain(error)),
            BrokerError::Full { .. }
            | BrokerError::Unavailable { .. }
            | BrokerError::Failed { .. }
            | BrokerError::Closed => Self::GivenBack {
                delay: BROKER_DELAY,
            },
        }
    }

    /// Puts a panic's message in the place of the trap that followed it.
    pub fn explained_by(self, panic: Option<String>) -> Self {
        match (self, panic) {
            (
                Self::Failed {
                    kind: FailureKind::Trap,
                    detail,
                    retry_after,
                    ..
                },
                Some(message),
            ) => Self::Failed {
                kind: FailureKind::Trap,
                message,
                detail,
                retry_after,
            },
            (ended, _) => ended,
        }
    }

    /// What becomes of the task after `attempt`; none where nothing may be written.
    pub(super) fn step(self, attempt: &Attempt<'_>) -> Option<Step> {
        match self {
            Self::Done(result) => Some(Step::Succeed { result }),
            Self::GivenBack { delay } => Some(Step::GiveBack {
                due: attempt.now.saturating_add(nanos(delay)),
            }),
            Self::Parked(on) => Some(Step::Park { on }),
            Self::Expired => Some(Step::Revoke {
                reason: expired(Stopped::Expired.to_string()),
            }),
            Self::Fenced => None,
            Self::Failed {
                kind,
                message,
                detail,
                retry_after,
            } => {
                let policy = attempt.policy;
                let failure = Failure {
                    kind: kind.as_str().to_owned(),
                    message,
                    detail,
                };
                let asked = retry_after.map(|delay| delay.min(LONGEST_RETRY_AFTER));
                let delay = asked.unwrap_or_else(|| {
                    let first = Duration::from_millis(policy.backoff_ms);
                    backoff(
                        attempt.number,
                        first,
                        Duration::from_millis(policy.max_backoff_ms),
                        attempt.jitter,
                    )
                });
                let due = attempt.now.saturating_add(nanos(delay));
                let in_time = policy.deadline.is_none_or(|deadline| due < deadline);
                if kind.is_worth_another_attempt() && attempt.number <= policy.retries && in_time {
                    Some(Step::Retry {
                        due,
                        failure,
                        keep: attempt.keep,
                    })
                } else {
                    Some(Step::Fail { failure })
                }
            }
        }
    }
}

/// The first `max` bytes of a text, or a few less.
fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Attempt, Ended, FailureKind};
    use crate::broker::{RetryPolicy, Step};
    use crate::effects::{KernelFault, OutOfMemory, SeamError};
    use crate::explain::{Code, code};

    const POLICY: RetryPolicy = RetryPolicy {
        retries: 2,
        backoff_ms: 1_000,
        max_backoff_ms: 10_000,
        timeout_ms: 10_000,
        deadline: Some(60_000_000_000),
    };

    const fn attempt(policy: &RetryPolicy, number: u32, now: i64) -> Attempt<'_> {
        Attempt {
            policy,
            number,
            now,
            jitter: 0.0,
            keep: 0,
        }
    }

    #[track_caller]
    fn check(kind: FailureKind, number: u32, now: i64, retried: bool) {
        let step = Ended::failed(kind, "m").step(&attempt(&POLICY, number, now));
        assert_eq!(
            matches!(step, Some(Step::Retry { .. })),
            retried,
            "{step:?}"
        );
    }

    #[test]
    fn an_error_is_tried_again_until_its_retries_are_used_up() {
        check(FailureKind::Error, 1, 0, true);
        check(FailureKind::Trap, 2, 0, true);
        check(FailureKind::Error, 3, 0, false);
    }

    #[test]
    fn what_would_fail_in_the_same_way_is_set_aside_at_once() {
        for kind in [
            FailureKind::Parse,
            FailureKind::Permanent,
            FailureKind::InDoubt,
            FailureKind::Journal,
            FailureKind::Version,
        ] {
            check(kind, 1, 0, false);
        }
    }

    #[test]
    fn a_computation_that_panicked_is_tried_again_as_a_failure_of_the_host() {
        let error = wasmtime::Error::from(SeamError::from(KernelFault::Panicked));
        let ended = Ended::of(Err(error));
        let Ended::Failed { kind, message, .. } = &ended else {
            panic!("{ended:?}");
        };
        assert_eq!(*kind, FailureKind::Host);
        assert!(
            message.contains("panicked, a defect of the host"),
            "{message}"
        );
        let step = ended.step(&attempt(&POLICY, 1, 0));
        assert!(matches!(step, Some(Step::Retry { .. })), "{step:?}");
    }

    #[test]
    fn what_an_error_of_the_host_quotes_cannot_drive_a_terminal() {
        let message = "asked for \"\u{9b}2J\nINFO forged\"";
        let Ended::Failed { message, .. } = Ended::failed(FailureKind::Journal, message) else {
            panic!("it failed");
        };
        assert_eq!(message, "asked for \"\\u{9b}2J\\nINFO forged\"");
    }

    #[track_caller]
    fn check_code(ended: Ended, expected: Code) {
        let Ended::Failed { kind, message, .. } = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(Code::of_failure(kind.as_str(), &message), Some(expected));
    }

    #[test]
    fn each_failure_has_a_code() {
        for kind in [
            FailureKind::Error,
            FailureKind::Parse,
            FailureKind::Permanent,
            FailureKind::InDoubt,
            FailureKind::Trap,
            FailureKind::Timeout,
            FailureKind::Limit,
            FailureKind::Journal,
            FailureKind::Unsettled,
            FailureKind::Host,
            FailureKind::Version,
        ] {
            assert!(Code::of_failure(kind.as_str(), "").is_some(), "{kind:?}");
        }
        let expired = super::expired(String::new());
        assert_eq!(Code::of_failure(&expired.kind, ""), Some(code::RUN_EXPIRED));
    }

    #[test]
    fn memory_and_stack_are_told_from_other_limits_and_traps() {
        let limit = Ended::of(Err(SeamError::Limit {
            what: "calls",
            limit: 1,
        }
        .into()));
        check_code(limit, code::RUN_LIMIT);
        check_code(
            Ended::of(Err(OutOfMemory::of_test().into())),
            code::RUN_MEMORY,
        );
        let trap = |trap: wasmtime::Trap| Ended::of(Err(trap.into()));
        check_code(trap(wasmtime::Trap::StackOverflow), code::RUN_STACK);
        check_code(trap(wasmtime::Trap::UnreachableCodeReached), code::RUN_TRAP);
    }

    #[test]
    fn nothing_is_tried_again_after_its_deadline() {
        check(FailureKind::Error, 1, 59_900_000_000, false);
    }

    #[test]
    fn what_the_host_gave_back_is_no_attempt_even_after_the_last_retry() {
        let delay = Duration::from_secs(1);
        let step = Ended::GivenBack { delay }.step(&attempt(&POLICY, 3, 5));
        assert!(
            matches!(step, Some(Step::GiveBack { due: 1_000_000_005 })),
            "{step:?}"
        );
    }

    #[test]
    fn nothing_is_written_under_a_lease_that_was_lost() {
        assert!(Ended::Fenced.step(&attempt(&POLICY, 1, 0)).is_none());
    }

    #[track_caller]
    fn check_asked(retry_after: Duration, seconds: i64) {
        let policy = RetryPolicy {
            deadline: None,
            ..POLICY
        };
        let ended = Ended::Failed {
            kind: FailureKind::Error,
            message: "m".to_owned(),
            detail: None,
            retry_after: Some(retry_after),
        };
        let step = ended.step(&attempt(&policy, 1, 0));
        let Some(Step::Retry { due, .. }) = step else {
            panic!("{step:?}");
        };
        assert_eq!(due, seconds * 1_000_000_000);
    }

    #[test]
    fn a_handler_is_tried_again_when_it_asks_for_but_within_a_day() {
        check_asked(Duration::from_secs(100), 100);
        check_asked(Duration::from_hours(24 * 365), 86_400);
        check_asked(Duration::MAX, 86_400);
    }
}
