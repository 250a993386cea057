//! Sees whether the host does its work: for `WatchdogSec=` of a service manager, and, where there
//! is none, for itself.
//!
//! Each sign of life follows a heartbeat that went the way of a packet, through intake, dispatch
//! and a commit of the broker. A timer alone would go on ticking in a host that is stuck. A host
//! that is to watch itself does so from a thread of its own, which needs nothing of what may hang.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::supervisor;
use crate::intake::{Arrival, Intake, Kept, NotKept, Tally};

/// How long a host that aborts may take to say so: what hangs may be its log.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Gives signs of life until `stop`, where the service manager or the configuration (`own`)
/// asked for them. A host that has none within `own` is aborted.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn start(
    intake: Intake,
    own: Option<Duration>,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = ()>> {
    let managers = sd_notify::watchdog_enabled();
    let deadline = match (managers, own) {
        (Some(managers), Some(own)) => Some(managers.min(own)),
        (managers, own) => managers.or(own),
    };
    let last = own.map(LastSign::watched).transpose()?;
    Ok(async move {
        if let Some(deadline) = deadline {
            run(&intake, deadline, last.as_ref(), &stop).await;
        }
    })
}

async fn run(
    intake: &Intake,
    deadline: Duration,
    last: Option<&LastSign>,
    stop: &CancellationToken,
) {
    let pause = deadline / 3;
    while stop
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        let answer = tokio::time::timeout(deadline, beat(intake)).await;
        if answer.is_ok_and(|answer| is_alive(&answer)) {
            supervisor::alive();
            if let Some(last) = last {
                last.renew();
            }
        } else {
            warn!(target: "gwasp::host", "no heartbeat came through; the host may be ended and started again");
        }
    }
}

/// When the last sign of life was given; none once no more are expected.
#[derive(Debug)]
struct LastSign(Arc<Mutex<Option<Instant>>>);

impl LastSign {
    /// Starts a thread that aborts the process when there was no sign for `deadline`. Whoever
    /// drops the value ends the watch.
    fn watched(deadline: Duration) -> std::io::Result<Self> {
        let last = Arc::new(Mutex::new(Some(Instant::now())));
        let watched = Arc::clone(&last);
        std::thread::Builder::new()
            .name("gwasp-watchdog".to_owned())
            .spawn(move || watch(&watched, deadline))?;
        Ok(Self(last))
    }

    fn renew(&self) {
        *lock(&self.0) = Some(Instant::now());
    }
}

impl Drop for LastSign {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock(last: &Mutex<Option<Instant>>) -> MutexGuard<'_, Option<Instant>> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(last: &Mutex<Option<Instant>>, deadline: Duration) {
    loop {
        let Some(sign) = *lock(last) else { return };
        let left = deadline.saturating_sub(sign.elapsed());
        if left.is_zero() {
            abort(deadline);
        }
        std::thread::sleep(left);
    }
}

/// Ends the process by SIGABRT, as systemd's watchdog does.
fn abort(deadline: Duration) -> ! {
    let last_words = move || {
        error!(target: "gwasp::host", ?deadline, "aborting: no heartbeat came through in time; the supervisor starts the host again");
    };
    // A log that nobody reads may be what hangs: these words do not hold up the end.
    drop(std::thread::Builder::new().spawn(last_words));
    std::thread::sleep(LAST_WORDS);
    std::process::abort()
}

async fn beat(intake: &Intake) -> Result<Kept, NotKept> {
    let tally = Tally {
        listener: Arc::from("watchdog"),
        read: 0,
    };
    let mut pending = intake.deliver(Arrival::Heartbeat, tally).await?;
    pending.kept().await
}

/// A full disk is no reason to be started again: the way of a packet is open to its end, and
/// what waits there would only be read anew.
const fn is_alive(answer: &Result<Kept, NotKept>) -> bool {
    match answer {
        Ok(_) | Err(NotKept::Full { .. }) => true,
        Err(NotKept::Failed { .. } | NotKept::Closed) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, NotKept, is_alive};

    #[test]
    fn a_host_on_a_full_disk_is_alive_and_one_whose_store_failed_is_not() {
        let reason = || "for the test".to_owned();
        assert!(is_alive(&Ok(Kept::New)));
        assert!(is_alive(&Err(NotKept::Full { reason: reason() })));
        assert!(!is_alive(&Err(NotKept::Failed { reason: reason() })));
        assert!(!is_alive(&Err(NotKept::Closed)));
    }
}
