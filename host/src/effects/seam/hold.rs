//! How a worker ends a run: not while an external effect is half made, and not for the time that
//! the run waits for something that is not in its slot.

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

/// How long the run may be in its slot.
#[derive(Clone, Copy, Debug, Default)]
struct SlotTime {
    limit: Duration,
    /// None while it waits for something outside of its slot.
    until: Option<Instant>,
}

impl Hold {
    /// Has the run's time in its slot begin.
    pub fn begin(&self, limit: Duration) {
        let until = Some(Instant::now() + limit);
        *self.time() = SlotTime { limit, until };
    }

    /// Whether the run has been in its slot for too long.
    pub fn is_overdue(&self) -> bool {
        let until = self.time().until;
        until.is_some_and(|until| Instant::now() >= until)
    }

    /// Returns when the run has been in its slot for too long.
    pub async fn overdue(&self) {
        while !self.is_overdue() {
            let until = self.time().until;
            let changed = self.0.changed.notified();
            match until {
                None => changed.await,
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
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
        let limit = self.0.time().limit;
        self.0.begin(limit);
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

    use super::Hold;

    #[tokio::test]
    async fn a_run_is_overdue_after_its_time_in_the_slot() {
        let hold = Hold::default();
        hold.begin(Duration::from_secs(600));
        assert!(!hold.is_overdue() && hold.overdue().now_or_never().is_none());
        hold.begin(Duration::ZERO);
        assert!(hold.is_overdue());
        hold.overdue().await;
    }

    #[tokio::test]
    async fn the_time_does_not_run_while_the_run_waits_and_begins_anew_after_it() {
        let hold = Hold::default();
        hold.begin(Duration::ZERO);
        let outside = hold.wait_outside();
        assert!(!hold.is_overdue() && hold.overdue().now_or_never().is_none());
        let (_, ()) = tokio::join!(hold.overdue(), async { drop(outside) });
        assert!(hold.is_overdue());
    }
}
