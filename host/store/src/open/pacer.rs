//! When the writer is asked to remove what was kept long enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::options::{Clock, Options};
use crate::record::Nanos;
use crate::schema::unsigned;
use crate::writer::{Op, Request};

/// From the opening of a store to its first pass.
const FIRST: Duration = Duration::from_mins(1);

/// Asks for passes of retention, by monotonic time.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Weak, so that the writer ends when every handle is gone.
    sender: mpsc::WeakSender<Request>,
    clock: Arc<dyn Clock>,
    every: Duration,
    /// The monotonic time of the next pass.
    next: Duration,
    is_off: bool,
}

impl Pacer {
    /// Begins now; the last pass was at `retained`.
    pub(super) fn new(
        sender: mpsc::WeakSender<Request>,
        options: &Options,
        retained: Nanos,
    ) -> Self {
        let every = options.retention.every;
        let (now, passed) = options.clock.look();
        let since = Duration::from_nanos(unsigned(now.saturating_sub(retained)));
        let wait = every.saturating_sub(since).max(FIRST.min(every));
        Self {
            sender,
            clock: Arc::clone(&options.clock),
            every,
            next: passed.saturating_add(wait),
            is_off: !options.removes,
        }
    }

    /// Asks for a pass where one is due.
    pub(super) fn tick(&mut self) {
        let (_, passed) = self.clock.look();
        if self.is_off || passed < self.next {
            return;
        }
        let op = Op::Retain { reply: None };
        let sender = self.sender.upgrade();
        let request = Request { op, permit: None };
        let asked = sender.is_some_and(|sender| sender.try_send(request).is_ok());
        // A writer that is too busy is asked again.
        if asked {
            self.next = passed.saturating_add(self.every);
        }
    }
}
