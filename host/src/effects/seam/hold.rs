//! How a worker ends a run without tearing an external effect in two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a run's seam and the worker that may end the run have in common.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    is_under_way: AtomicBool,
    is_ending: AtomicBool,
}

impl Hold {
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
}

/// A request is under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Flags>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.is_under_way.store(false, Ordering::Relaxed);
    }
}
