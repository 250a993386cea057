//! When the writer is asked to remove what was kept long enough.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::options::Options;
use crate::record::Nanos;
use crate::writer::{Op, Request};

/// From the opening of a store to its first pass.
const FIRST: Nanos = 60 * 1_000_000_000;

/// Asks for passes of retention, by the store's clock.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Weak, so that the writer ends when every handle is gone.
    sender: mpsc::WeakSender<Request>,
    every: Nanos,
    next: Nanos,
    is_off: bool,
}

impl Pacer {
    /// Begins at `now`; the last pass was at `retained`.
    pub(super) fn new(
        sender: mpsc::WeakSender<Request>,
        options: &Options,
        now: Nanos,
        retained: Nanos,
    ) -> Self {
        let every = nanos(options.retention.every);
        let soonest = now.saturating_add(FIRST.min(every));
        Self {
            sender,
            every,
            next: retained.saturating_add(every).max(soonest),
            is_off: !options.removes,
        }
    }

    /// Asks for a pass where one is due.
    pub(super) fn tick(&mut self, now: Nanos) {
        let latest = now.saturating_add(self.every);
        // A clock that was put back must not put passes off.
        self.next = self.next.min(latest);
        if self.is_off || now < self.next {
            return;
        }
        let op = Op::Retain { reply: None };
        let sender = self.sender.upgrade();
        let request = Request { op, permit: None };
        let asked = sender.is_some_and(|sender| sender.try_send(request).is_ok());
        // A writer that is too busy is asked again.
        if asked {
            self.next = latest;
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
