//! Ends the host by itself at a limit of tasks, memory or time, for a supervisor to start it
//! again.
//!
//! Each limit is drawn within a tenth of what the configuration says, so that hosts that were
//! started together do not all end together. No limit ends a host that has not lived for
//! `least_life`. The end is a drain like any other; this module does not know how that goes.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::LimitsConfig;
use crate::stop::StopSignal;

/// The most that a drawn limit differs from the one that was asked for.
const JITTER: f64 = 0.1;
/// Between two looks; so much later may a limit be seen.
const PAUSE: Duration = Duration::from_millis(10);

/// The limits of this process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limits {
    tasks: Option<u64>,
    /// Resident bytes.
    memory: Option<u64>,
    lifetime: Option<Duration>,
    least_life: Duration,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Tasks,
    Memory,
    Lifetime,
}

impl Limits {
    /// Draws limits; `random` yields numbers from 0 to 1. None where nothing is limited.
    pub(super) fn draw(config: &LimitsConfig, mut random: impl FnMut() -> f64) -> Option<Self> {
        let mut factor = || 1.0 + JITTER * (2.0 * random() - 1.0);
        let limits = Self {
            tasks: config.max_tasks.map(|most| scaled(most.get(), factor())),
            memory: config.max_memory.map(|most| scaled(most.0, factor())),
            lifetime: config.max_lifetime.map(|most| most.mul_f64(factor())),
            least_life: config.least_life,
        };
        let is_limited =
            limits.tasks.is_some() || limits.memory.is_some() || limits.lifetime.is_some();
        is_limited.then_some(limits)
    }

    /// Which limit a host has reached that lived so long and ended so many tasks.
    fn reached(
        &self,
        life: Duration,
        tasks: u64,
        memory: impl FnOnce() -> Option<u64>,
    ) -> Option<Reached> {
        if life < self.least_life {
            return None;
        }
        if self.lifetime.is_some_and(|most| life >= most) {
            return Some(Reached::Lifetime);
        }
        if self.tasks.is_some_and(|most| tasks >= most) {
            return Some(Reached::Tasks);
        }
        let most = self.memory?;
        memory()
            .is_some_and(|memory| memory >= most)
            .then_some(Reached::Memory)
    }

    /// Has the host drain once it has reached a limit. It was `born` at its start.
    pub(super) async fn watch(self, stop: StopSignal, born: Instant) {
        self.warn_of_memory();
        let mut ended = stop.tasks();
        // Those that ended before are to be looked at, too.
        ended.mark_changed();
        loop {
            let looks = async {
                tokio::select! {
                    // The sender is in `stop`, which lives as long as this.
                    _changed = ended.changed() => {}
                    () = past(born, self.lifetime) => {}
                }
                past(born, Some(self.least_life)).await;
                tokio::time::sleep(PAUSE).await;
            };
            if stop.drain.run_until_cancelled(looks).await.is_none() {
                return;
            }
            let tasks = *ended.borrow_and_update();
            if let Some(limit) = self.reached(born.elapsed(), tasks, resident) {
                info!(
                    target: "gwasp::host", ?limit, tasks, life = ?born.elapsed(),
                    memory_mib = resident().unwrap_or(0) >> 20,
                    "ending by itself, to be started again"
                );
                stop.drain.cancel();
                return;
            }
        }
    }

    /// A limit that a host is above as it starts would end it after each first task.
    fn warn_of_memory(&self) {
        if let (Some(most), Some(now)) = (self.memory, resident())
            && now >= most
        {
            warn!(
                target: "gwasp::host", limit_mib = most >> 20, memory_mib = now >> 20,
                "the host has more memory at its start than it may have; raise `max_memory`"
            );
        }
    }
}

/// Waits until `born` is so long ago; for ever where there is no time.
async fn past(born: Instant, time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep_until(born + time).await,
        None => std::future::pending().await,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a limit of ten per cent more or less has no use for its last digits"
)]
fn scaled(most: u64, factor: f64) -> u64 {
    (most as f64 * factor).round() as u64
}

/// Resident bytes of this process (`proc_pid_statm(5)`); none where the system does not tell.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Limits, Reached, resident};
    use crate::config::{ByteSize, LimitsConfig};
    use crate::stop::StopSignal;

    fn config() -> LimitsConfig {
        LimitsConfig {
            max_tasks: std::num::NonZeroU64::new(1_000),
            max_memory: Some(ByteSize(1 << 30)),
            max_lifetime: Some(Duration::from_secs(100)),
            ..LimitsConfig::default()
        }
    }

    fn limits() -> Limits {
        Limits::draw(&config(), || 0.5).unwrap()
    }

    #[track_caller]
    fn check(life: u64, tasks: u64, mib: u64, expected: Option<Reached>) {
        let reached = limits().reached(Duration::from_secs(life), tasks, || Some(mib << 20));
        assert_eq!(reached, expected);
    }

    #[test]
    fn each_limit_ends_a_host_and_none_ends_a_young_one() {
        check(50, 999, 1_023, None);
        check(50, 1_000, 0, Some(Reached::Tasks));
        check(50, 0, 1_024, Some(Reached::Memory));
        check(100, 0, 0, Some(Reached::Lifetime));
        check(9, 5_000, 5_000, None);
        check(10, 5_000, 5_000, Some(Reached::Tasks));
    }

    #[test]
    fn drawn_limits_differ_by_a_tenth_at_most() {
        let least = Limits::draw(&config(), || 0.0).unwrap();
        let most = Limits::draw(&config(), || 1.0).unwrap();
        assert_eq!((least.tasks, most.tasks), (Some(900), Some(1_100)));
        assert_eq!(least.lifetime, Some(Duration::from_secs(90)));
        assert_eq!(most.lifetime, Some(Duration::from_secs(110)));
        assert_eq!(least.least_life, most.least_life);
    }

    #[test]
    fn a_host_without_limits_is_not_watched() {
        assert_eq!(Limits::draw(&LimitsConfig::default(), || 0.5), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_has_done_enough_drains_and_not_before_its_least_life() {
        let (stop, born) = (StopSignal::default(), Instant::now());
        let watching = tokio::spawn(limits().watch(stop.clone(), born));
        for _ in 0..1_000 {
            stop.count_task();
        }
        stop.drain.cancelled().await;
        assert!(born.elapsed() >= Duration::from_secs(10));
        assert!(born.elapsed() < Duration::from_secs(11));
        assert!(!stop.now.is_cancelled());
        watching.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_has_nothing_to_do_ends_when_its_time_is_over() {
        let (stop, born) = (StopSignal::default(), Instant::now());
        tokio::spawn(limits().watch(stop.clone(), born));
        stop.drain.cancelled().await;
        assert!(born.elapsed() >= Duration::from_secs(100));
    }
}
