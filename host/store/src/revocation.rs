//! How a worker learns that the task that it runs is to be revoked.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::record::Failure;

/// Whether somebody asked that a leased task be revoked. Clones are of one lease.
#[derive(Clone, Debug, Default)]
pub struct Revocation(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    wish: OnceLock<(Instant, Failure)>,
    bell: Notify,
}

impl Revocation {
    /// Asks for it; the first reason stands.
    pub fn ask(&self, reason: Failure) {
        self.0.wish.get_or_init(|| (Instant::now(), reason));
        self.0.bell.notify_waiters();
    }

    /// Returns why the task is to be revoked, where it is.
    pub fn reason(&self) -> Option<&Failure> {
        self.0.wish.get().map(|(_, reason)| reason)
    }

    /// Returns how long ago it was asked for.
    pub fn age(&self) -> Option<Duration> {
        self.0.wish.get().map(|(since, _)| since.elapsed())
    }

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        let mut rung = pin!(self.0.bell.notified());
        rung.as_mut().enable();
        if self.reason().is_none() {
            rung.await;
        }
    }
}
