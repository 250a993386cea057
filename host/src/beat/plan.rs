//! What is to be done about one schedule at one moment: a pure function.

use jiff::{SignedDuration, Timestamp};

use crate::broker::{NewTask, Origin, Tick};
use crate::packet::unix_nanos;
use crate::routes::{Due, Route, Timetable};
use crate::task::{policy_of, tick_argument, tick_task_id};

/// A schedule that has come so far beyond the clock is set back to it: the clock was wrong once.
/// What its ticks made until then is known, and not made again.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What the broker is asked for.
    pub(super) step: Option<Tick>,
    /// Why it is worth a word to a person.
    pub(super) remark: Option<Remark>,
    /// The next tick; none where there never is one.
    pub(super) next: Option<Timestamp>,
}

/// What a person may want to know of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// The schedule was not known.
    Begins,
    /// Ticks were missed since then, and so many of them are made up for.
    Missed { since: Timestamp, run: usize },
    /// The clock was ahead until this tick.
    SetBack { from: Timestamp },
}

/// Says what is to be done at `now` about a schedule that has come to `last`.
pub(super) fn plan(
    route: &Route,
    table: &Timetable,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Plan {
    let to = |through| Tick {
        schedule: route.name(),
        last: last.map(unix_nanos),
        through: unix_nanos(through),
        tasks: Vec::new(),
    };
    let Some(done) = last else {
        return Plan {
            step: Some(to(now)),
            remark: Some(Remark::Begins),
            next: table.next(now),
        };
    };
    if done.duration_since(now) > AHEAD {
        return Plan {
            step: Some(to(now)),
            remark: Some(Remark::SetBack { from: done }),
            next: table.next(now),
        };
    }
    let Some(due) = table.due(done, now) else {
        return Plan {
            step: None,
            remark: None,
            next: table.next(done.max(now)),
        };
    };
    let Due {
        ticks,
        through,
        skips,
    } = due;
    let remark = (skips || ticks.len() > 1).then_some(Remark::Missed {
        since: done,
        run: ticks.len(),
    });
    let tasks = ticks.into_iter().map(|tick| task(route, tick, now));
    Plan {
        step: Some(Tick {
            tasks: tasks.collect(),
            ..to(through)
        }),
        remark,
        next: table.next(now),
    }
}

fn task(route: &Route, tick: Timestamp, now: Timestamp) -> NewTask {
    let options = &route.entry.options;
    NewTask {
        id: tick_task_id(&route.name(), tick),
        plugin: route.plugin.clone(),
        handler: route.entry.name.clone(),
        queue: options.queue.clone(),
        origin: Origin::Beat,
        parent: None,
        priority: options.priority,
        due: unix_nanos(tick),
        order_key: None,
        policy: policy_of(options, unix_nanos(now)),
        args: Some(tick_argument(tick)),
    }
}

#[cfg(test)]
mod tests;
