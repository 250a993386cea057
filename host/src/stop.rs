//! How the parts of a host are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::broker::BrokerError;
use crate::text::chain;

/// Tells a host to stop: once in order, a second time at once.
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    /// Stop taking packets and tasks, finish what runs.
    pub drain: CancellationToken,
    /// Give back what runs.
    pub now: CancellationToken,
    failed: Arc<AtomicBool>,
}

impl StopSignal {
    /// Stops the host at once where `error` says that nothing can be kept any more.
    ///
    /// A failed sync is not tried again and believed: what reached the disk is known only after
    /// the store was opened anew.
    pub fn heed(&self, error: &BrokerError) {
        if matches!(error, BrokerError::Failed { .. }) && !self.failed.swap(true, Ordering::SeqCst)
        {
            error!(target: "gwasp::host", error = %chain(error), "stopping: nothing can be kept");
            self.drain.cancel();
            self.now.cancel();
        }
    }

    /// Whether nothing can be kept any more.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}
