//! What a service manager is told: `sd_notify(3)`.
//!
//! Nothing here does anything where the environment names no manager, and a manager that went
//! away is no reason to stop: what cannot be told is dropped.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::broker::Broker;
use crate::settings::Settings;
use crate::stop::StopSignal;

/// A start that takes longer hangs.
const LONGEST_START: Duration = Duration::from_hours(1);
/// How long the manager waits for the next word of a host that starts.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two lines of status.
const STATUS_PAUSE: Duration = Duration::from_secs(5);

fn notify(state: &[NotifyState<'_>]) {
    // Who is not there needs no message.
    drop(sd_notify::notify(state));
}

/// The host is being made: opening a large store, and compiling many plugins, may take longer
/// than the unit's `TimeoutStartSec=`, which the manager forgets as long as the answer is kept.
/// After [`LONGEST_START`] it does not any more.
pub fn starting() -> AbortOnDropHandle<()> {
    notify(&[NotifyState::Status("starting: the store, then the plugins")]);
    AbortOnDropHandle::new(tokio::spawn(async {
        let end = Instant::now() + LONGEST_START;
        while Instant::now() < end {
            notify(&[NotifyState::ExtendTimeoutUsec(micros(PATIENCE))]);
            tokio::time::sleep(PATIENCE / 3).await;
        }
    }))
}

/// A time as systemd reads it; the longest that it can, where it cannot.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// Packets are taken and kept.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Configuration and plugins are read anew; [`ready`] ends it.
pub fn reloading() {
    // `Type=notify-reload` wants the time at which it began, so as not to take an old READY for
    // the answer.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// The host works: a sign of life for `WatchdogSec=`.
pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// The host ends and will be gone within `longest`, which the configuration decides and the unit
/// need not know. From then on systemd's watchdog expects no sign of life.
pub(super) fn stopping(longest: Duration, tasks_open: usize) {
    let status = format!("stopping: {tasks_open} tasks open; what runs may end");
    notify(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros(longest)),
        NotifyState::Status(&status),
    ]);
}

/// Tells what `systemctl status` shows, until `stop`.
pub(super) async fn tell_status(broker: &dyn Broker, stop: &StopSignal, settings: &Settings) {
    let ended = stop.tasks();
    loop {
        let open = broker.open_tasks();
        let listeners = settings.in_force().config.listeners.len();
        let ended = *ended.borrow();
        let status = format!("{listeners} listeners; {open} tasks open, {ended} ended since start");
        notify(&[NotifyState::Status(&status)]);
        let pause = tokio::time::sleep(STATUS_PAUSE);
        if stop.drain.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}
