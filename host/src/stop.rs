//! How the parts of a host are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::broker::BrokerError;
use crate::explain::Coded as _;
use crate::text::chain;

/// Tells a host to stop: once in order, a second time at once.
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    /// Stop taking packets and tasks, finish what runs.
    pub drain: CancellationToken,
    /// Give back what runs.
    pub now: CancellationToken,
    failed: Arc<AtomicBool>,
    /// How many tasks have left their slots.
    tasks: watch::Sender<u64>,
}

impl StopSignal {
    /// Stops the host at once where `error` says that nothing can be kept any more.
    ///
    /// A failed sync is not tried again and believed: what reached the disk is known only after
    /// the store was opened anew.
    pub fn heed(&self, error: &BrokerError) {
        if matches!(error, BrokerError::Failed { .. }) && !self.failed.swap(true, Ordering::SeqCst)
        {
            error!(target: "gwasp::host", code = error.code().as_str(), error = %chain(error), "stopping: nothing can be kept");
            self.drain.cancel();
            self.now.cancel();
        }
    }

    /// Notes that a slot has done with a task: a host may be told to end after so many.
    pub fn count_task(&self) {
        self.tasks.send_modify(|tasks| *tasks += 1);
    }

    /// How many times [`StopSignal::count_task`] was called.
    pub fn tasks(&self) -> watch::Receiver<u64> {
        self.tasks.subscribe()
    }

    /// Whether nothing can be kept any more.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}
