//! The beat: has periodic entries run when their schedules tick.
//!
//! **Invariants:** a tick makes one task, whichever host makes it: its id is the hash of schedule
//! and tick. How far a schedule has come and the tasks of its ticks are one commit, which is
//! refused where another beat came first. So every host beats, and none has to lead: a host that
//! dies leaves no gap that another one would not fill at once.
//!
//! Schedules come from the routing table: those of a plugin that is disabled do not tick, those
//! of one that does not load do, and their tasks wait. Ticks that were missed, because no host ran
//! or because a clock was set forward, are made up for as their schedule says. It knows no
//! queues and no plugins' code.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::plan::{Plan, Remark, plan};
use crate::broker::{Broker, BrokerError, Tick};
use crate::packet::from_unix_nanos;
use crate::routes::Routes;
use crate::text::chain;

/// The clock is looked at no less often: it may be set while the beat sleeps.
const LOOK: Duration = Duration::from_secs(5);
/// Pause after the broker did not answer.
const BROKER_DELAY: Duration = Duration::from_secs(1);

/// The beat of one host.
#[derive(Debug)]
pub(crate) struct Beat {
    broker: Arc<dyn Broker>,
    routes: watch::Receiver<Arc<Routes>>,
    /// How far schedules have come.
    known: BTreeMap<String, Timestamp>,
}

impl Beat {
    /// Makes the beat of the schedules in the newest of `routes`.
    pub(crate) fn new(broker: Arc<dyn Broker>, routes: watch::Receiver<Arc<Routes>>) -> Self {
        Self {
            broker,
            routes,
            known: BTreeMap::new(),
        }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.beat(Timestamp::now()).await {
                Ok(wait) => wait,
                Err(error) => {
                    warn!(target: "gwasp::host", error = %chain(&error), "schedules wait: the broker does not answer; it is asked again");
                    self.known.clear();
                    BROKER_DELAY
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // At the end of the host nobody changes routes any more.
                Ok(()) = self.routes.changed() => {}
            }
        }
    }

    /// Does all that is due at a moment; answers how long nothing else is.
    async fn beat(&mut self, now: Timestamp) -> Result<Duration, BrokerError> {
        let routes = Arc::clone(&self.routes.borrow_and_update());
        if self.known.is_empty() && routes.periodic().next().is_some() {
            self.known = self.read()?;
        }
        let mut wait = LOOK;
        for (route, table) in routes.periodic() {
            let name = route.name();
            let Plan { step, remark, next } =
                plan(route, table, self.known.get(&name).copied(), now);
            if let Some(step) = step
                && !self.take(step, remark).await?
            {
                // Another host came first: what it did is looked up at once.
                self.known.clear();
                return Ok(Duration::ZERO);
            }
            wait = next.map_or(wait, |next| wait.min(until(now, next)));
        }
        Ok(wait)
    }

    fn read(&self) -> Result<BTreeMap<String, Timestamp>, BrokerError> {
        let ticks = self.broker.ticks()?.into_iter();
        Ok(ticks
            .map(|record| (record.schedule, from_unix_nanos(record.through)))
            .collect())
    }

    /// Has a schedule go on; `false` where another host came first.
    async fn take(&mut self, step: Tick, remark: Option<Remark>) -> Result<bool, BrokerError> {
        let (schedule, through) = (step.schedule.clone(), from_unix_nanos(step.through));
        let tasks = step.tasks.len();
        if !self.broker.tick(step).await? {
            debug!(target: "gwasp::host", schedule, "another host ticked");
            return Ok(false);
        }
        match remark {
            None => debug!(target: "gwasp::host", schedule, %through, tasks, "schedule ticked"),
            Some(Remark::Begins) => {
                info!(target: "gwasp::host", schedule, "schedule begins");
            }
            Some(Remark::Missed { since, run }) => {
                warn!(target: "gwasp::host", schedule, %since, %through, run, "ticks of a schedule were missed: `catch_up` says how many of them are run");
            }
            Some(Remark::SetBack { from }) => {
                warn!(target: "gwasp::host", schedule, %from, to = %through, "schedule is set back: the clock was ahead");
            }
        }
        self.known.insert(schedule, through);
        Ok(true)
    }
}

/// From `now` to a tick, at least a moment.
fn until(now: Timestamp, tick: Timestamp) -> Duration {
    let wait = tick.duration_since(now);
    Duration::try_from(wait).unwrap_or_default()
}

#[cfg(test)]
mod tests;
