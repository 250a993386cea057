//! Tells the service manager that the host does its work (`WatchdogSec=`).
//!
//! Each sign of life follows a heartbeat that went the way of a packet, through intake, dispatch
//! and a commit of the broker. A timer alone would go on ticking in a host that is stuck.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::intake::{Arrival, Intake, Tally};

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
        if beat(&intake, deadline).await {
            // A manager that went away needs no sign.
            drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog]));
        } else {
            warn!(target: "gwasp::host", "no heartbeat came through; the service manager may restart the host");
        }
    }
}

async fn beat(intake: &Intake, deadline: Duration) -> bool {
    let tally = Tally {
        listener: Arc::from("watchdog"),
        read: 0,
    };
    let way = async {
        let mut pending = intake.deliver(Arrival::Heartbeat, tally).await.ok()?;
        pending.kept().await.ok()
    };
    tokio::time::timeout(deadline, way)
        .await
        .is_ok_and(|kept| kept.is_some())
}
