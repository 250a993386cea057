//! How a worker ends a run: not while an external effect is half made, and not for the time that
//! the run waits for something that is not in its slot; but at its task's deadline in any case.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What a run's seam and the worker that may end the run have in common.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_under_way: AtomicBool,
    is_ending: AtomicBool,
    time: Mutex<SlotTime>,
    changed: Notify,
}

/// A limit of a run's time that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It has been in its slot for too long.
    Slot,
    /// Its task's deadline is over.
    Deadline,
}

/// How long the run may take.
#[derive(Clone, Copy, Debug, Default)]
struct SlotTime {
    limit: Duration,
    /// None while it waits for something outside of its slot.
    until: Option<Instant>,
    /// The task's deadline, which no wait puts off.
    deadline: Option<Instant>,
}

impl Hold {
    /// Has the run's time in its slot begin, of which it may have `limit` between two waits; its
    /// task's deadline is `left` from now.
    pub fn begin(&self, limit: Duration, left: Option<Duration>) {
        let now = Instant::now();
        *self.time() = SlotTime {
            limit,
            until: Some(now + limit),
            // One that no clock reaches is none.
            deadline: left.and_then(|left| now.checked_add(left)),
        };
    }

    /// The limit of the run's time that has passed, if one has.
    pub fn passed(&self) -> Option<Passed> {
        let SlotTime {
            until, deadline, ..
        } = *self.time();
        let now = Instant::now();
        let is_over = |end: Option<Instant>| end.is_some_and(|end| now >= end);
        match (is_over(deadline), is_over(until)) {
            (true, _) => Some(Passed::Deadline),
            (false, true) => Some(Passed::Slot),
            (false, false) => None,
        }
    }

    /// Returns when a limit of the run's time has passed.
    pub async fn until_passed(&self) -> Passed {
        loop {
            if let Some(passed) = self.passed() {
                return passed;
            }
            let SlotTime {
                until, deadline, ..
            } = *self.time();
            let next = until.into_iter().chain(deadline).min();
            let changed = self.0.changed.notified();
            match next {
                None => changed.await,
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next.into()) => {}
                    () = changed => {}
                },
            }
        }
    }

    /// Has the run's time in its slot begin anew after a wait, which lasts as long as the value.
    pub(in crate::effects) fn wait_outside(&self) -> Outside {
        self.time().until = None;
        self.0.changed.notify_one();
        Outside(self.clone())
    }

    /// Has the run end; returns whether a request is under way. If one is, the run is to be
    /// polled on: it ends by itself when the request's answer is noted.
    pub fn end(&self) -> bool {
        self.0.is_ending.store(true, Ordering::Relaxed);
        self.0.is_under_way.load(Ordering::Relaxed)
    }

    /// Whether the run is to end.
    pub(super) fn is_ending(&self) -> bool {
        self.0.is_ending.load(Ordering::Relaxed)
    }

    /// Marks a request as under way, as long as the value lives.
    pub(super) fn under_way(&self) -> UnderWay {
        self.0.is_under_way.store(true, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.0))
    }

    fn time(&self) -> MutexGuard<'_, SlotTime> {
        self.0.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run waits for something outside of its slot.
#[derive(Debug)]
pub(in crate::effects) struct Outside(Hold);

impl Drop for Outside {
    fn drop(&mut self) {
        let mut time = self.0.time();
        time.until = Some(Instant::now() + time.limit);
        drop(time);
        self.0.0.changed.notify_one();
    }
}

/// A request is under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.is_under_way.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::{Hold, Passed};

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_run_is_overdue_after_its_time_in_the_slot() {
        let hold = Hold::default();
        hold.begin(LONG, None);
        assert!(hold.passed().is_none() && hold.until_passed().now_or_never().is_none());
        hold.begin(Duration::ZERO, None);
        assert_eq!(hold.passed(), Some(Passed::Slot));
        assert_eq!(hold.until_passed().await, Passed::Slot);
    }

    #[tokio::test]
    async fn the_time_does_not_run_while_the_run_waits_and_begins_anew_after_it() {
        let hold = Hold::default();
        hold.begin(Duration::ZERO, Some(LONG));
        let outside = hold.wait_outside();
        assert!(hold.passed().is_none() && hold.until_passed().now_or_never().is_none());
        let (passed, ()) = tokio::join!(hold.until_passed(), async { drop(outside) });
        assert_eq!(passed, Passed::Slot);
    }

    #[tokio::test]
    async fn the_deadline_passes_while_the_run_waits() {
        let hold = Hold::default();
        hold.begin(LONG, Some(Duration::from_millis(1)));
        let _outside = hold.wait_outside();
        assert_eq!(hold.until_passed().await, Passed::Deadline);
        assert_eq!(hold.passed(), Some(Passed::Deadline));
    }

    #[tokio::test]
    async fn a_wait_does_not_put_off_the_deadline() {
        let hold = Hold::default();
        hold.begin(LONG, Some(Duration::from_millis(1)));
        drop(hold.wait_outside());
        assert_eq!(hold.until_passed().await, Passed::Deadline);
    }
}
