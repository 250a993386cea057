//! Tells the service manager that the host does its work (`WatchdogSec=`).
//!
//! Each sign of life follows a heartbeat that went the way of a packet, through intake, dispatch
//! and a commit of the broker. A timer alone would go on ticking in a host that is stuck.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::intake::{Arrival, Intake, Kept, NotKept, Tally};

/// Sends signs of life until `stop`, where the service manager asked for them.
pub(super) async fn run(intake: Intake, stop: CancellationToken) {
    let Some(deadline) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pause = deadline / 3;
    while stop
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        let answer = tokio::time::timeout(deadline, beat(&intake)).await;
        if answer.is_ok_and(|answer| is_alive(&answer)) {
            // A manager that went away needs no sign.
            drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog]));
        } else {
            warn!(target: "gwasp::host", "no heartbeat came through; the service manager may restart the host");
        }
    }
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
