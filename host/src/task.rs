//! Tasks: their ids, and when they are tried again.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::broker::{RetryPolicy, TaskId};
use crate::packet::Digest;
use crate::routes::TaskOptions;

/// The id of the task that a packet causes for a handler.
///
/// `dispatch` is 0 for the first time; a person who sends an archived packet again counts up.
/// The same cause makes the same id, from wherever it is offered.
pub fn packet_task_id(identity: &Digest, handler: &str, dispatch: u32) -> TaskId {
    let mut hash = Sha256::new();
    hash.update(b"gwasp packet task\0");
    hash.update(identity.as_bytes());
    hash.update(handler.as_bytes());
    hash.update([0]);
    hash.update(dispatch.to_be_bytes());
    truncated(hash)
}

/// The id of the task that effect number `place` of task `parent` makes, whose request has this
/// digest. A run that asks for something else at the same place makes another task.
pub fn child_task_id(parent: TaskId, place: u32, request: &Digest) -> TaskId {
    let mut hash = Sha256::new();
    hash.update(b"gwasp child task\0");
    hash.update(parent.0);
    hash.update(place.to_be_bytes());
    hash.update(request.as_bytes());
    truncated(hash)
}

/// The id of the task that a tick of a schedule makes.
pub fn tick_task_id(schedule: &str, tick: Timestamp) -> TaskId {
    let mut hash = Sha256::new();
    hash.update(b"gwasp tick task\0");
    hash.update(schedule.as_bytes());
    hash.update([0]);
    hash.update(tick.as_nanosecond().to_be_bytes());
    truncated(hash)
}

/// What the argument of a periodic entry begins with: no call's does, for those are JSON.
const TICK: &str = "tick ";

/// The argument of a periodic entry: the moment at which it was due.
pub fn tick_argument(tick: Timestamp) -> Bytes {
    format!("{TICK}{tick}").into()
}

/// Reads what [`tick_argument`] made; none of what a call passes.
pub fn tick_of(argument: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(argument).ok()?;
    text.strip_prefix(TICK)?.parse().ok()
}

/// The retry policy of a task that is made at `now`, in nanoseconds since the Unix epoch.
pub fn policy_of(options: &TaskOptions, now: i64) -> RetryPolicy {
    RetryPolicy {
        retries: options.retries,
        backoff_ms: millis(options.backoff),
        max_backoff_ms: millis(options.max_backoff),
        timeout_ms: millis(options.timeout),
        deadline: options
            .deadline
            .map(|deadline| now.saturating_add(nanos(deadline))),
    }
}

/// A duration in nanoseconds, as records have it; centuries are as long as one can be.
pub fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn truncated(hash: Sha256) -> TaskId {
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    TaskId(id)
}

/// Delay before attempt `attempt + 1`, when attempt `attempt` (from 1) failed.
///
/// `jitter` in `[0, 1)` spreads tasks that failed together: the delay lies in the upper half
/// of the doubled backoff.
pub fn backoff(attempt: u32, first: Duration, longest: Duration, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let full = first.saturating_mul(1_u32 << doublings).min(longest);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{backoff, child_task_id, packet_task_id};
    use crate::packet::Digest;

    const SECOND: Duration = Duration::from_secs(1);
    const TEN_MINUTES: Duration = Duration::from_secs(600);

    #[test]
    fn one_cause_is_one_id_and_another_cause_another() {
        let packet = Digest::of(b"packet");
        let id = packet_task_id(&packet, "p.f", 0);
        assert_eq!(id, packet_task_id(&packet, "p.f", 0));
        assert_ne!(id, packet_task_id(&packet, "p.g", 0));
        assert_ne!(id, packet_task_id(&packet, "p.f", 1));
        assert_ne!(id, packet_task_id(&Digest::of(b"other"), "p.f", 0));
    }

    #[test]
    fn a_changed_run_makes_another_child_at_the_same_place() {
        let parent = packet_task_id(&Digest::of(b"packet"), "p.f", 0);
        let request = Digest::of(b"plot");
        let id = child_task_id(parent, 0, &request);
        assert_eq!(id, child_task_id(parent, 0, &request));
        assert_ne!(id, child_task_id(parent, 0, &Digest::of(b"annotate")));
        assert_ne!(id, child_task_id(parent, 1, &request));
        assert_ne!(id, child_task_id(id, 0, &request));
    }

    #[test]
    fn the_delay_doubles_up_to_the_longest() {
        let top = 1.0;
        assert_eq!(backoff(1, SECOND, TEN_MINUTES, top), SECOND);
        assert_eq!(backoff(2, SECOND, TEN_MINUTES, top), 2 * SECOND);
        assert_eq!(backoff(4, SECOND, TEN_MINUTES, top), 8 * SECOND);
        assert_eq!(backoff(40, SECOND, TEN_MINUTES, top), TEN_MINUTES);
    }

    #[test]
    fn jitter_moves_whole_second_delays_too() {
        assert_eq!(backoff(1, SECOND, TEN_MINUTES, 0.0), SECOND / 2);
        assert_eq!(backoff(1, SECOND, TEN_MINUTES, 0.5), SECOND * 3 / 4);
    }
}
