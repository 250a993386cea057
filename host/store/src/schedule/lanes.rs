//! The tasks of one queue that wait, by handler, and the gate that stops some of them.
//!
//! Each handler of a queue has a *lane* of tasks that are due. Only the first task of each open
//! lane is looked at when the next is sought: what is stopped costs nothing, however much of it
//! stands in front, and stopping or letting go costs as much as there are lanes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::pause::Scope;
use crate::record::Nanos;
use crate::view::Depth;

use super::{HandlerRow, OpenTask};

/// Where a task stands among those that are due: priority, due time, number.
pub(super) type Place = (u8, Nanos, i64);

pub(super) fn place(task: &OpenTask) -> Place {
    (task.priority, task.due, task.seq)
}

/// What is not leased.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Plugins that cannot run.
    held: BTreeSet<String>,
    /// What a person stopped, and until when.
    pauses: BTreeMap<Scope, Option<Nanos>>,
}

impl Gate {
    pub(super) fn hold(&mut self, plugins: BTreeSet<String>) {
        self.held = plugins;
    }

    pub(super) fn pause(&mut self, scope: Scope, until: Option<Nanos>) {
        self.pauses.insert(scope, until);
    }

    pub(super) fn unpause(&mut self, scope: &Scope) {
        self.pauses.remove(scope);
    }

    /// Forgets pauses that are over; returns whether any was.
    pub(super) fn expire(&mut self, now: Nanos) -> bool {
        let before = self.pauses.len();
        self.pauses
            .retain(|_, until| until.is_none_or(|until| until > now));
        self.pauses.len() < before
    }

    /// Returns when the first pause ends.
    pub(super) fn next_end(&self) -> Option<Nanos> {
        self.pauses.values().copied().flatten().min()
    }

    /// Returns whether tasks of a handler may be leased.
    pub(super) fn admits(&self, handler: &HandlerRow) -> bool {
        !self.held.contains(&handler.plugin)
            && !self.pauses.keys().any(|scope| scope.covers(handler))
    }
}

/// Tasks of one handler that are due; never empty.
#[derive(Debug)]
struct Lane {
    handler: Arc<HandlerRow>,
    is_open: bool,
    ready: BTreeMap<Place, OpenTask>,
}

impl Lane {
    fn head(&self) -> Option<Place> {
        let (place, _) = self.ready.first_key_value()?;
        self.is_open.then_some(*place)
    }
}

/// The tasks of one queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By the handler's row.
    lanes: BTreeMap<i64, Lane>,
    /// The first task of each open lane.
    heads: BTreeSet<(Place, i64)>,
    pub(super) later: BTreeMap<(Nanos, i64), OpenTask>,
    /// Tasks in lanes that are open, and in those that are not.
    ready: usize,
    stopped: usize,
    pub(super) leased: usize,
    /// Tasks that wait for those that they called; they stand elsewhere.
    pub(super) parked: usize,
}

impl Queue {
    /// Adds a task that is due; returns whether it may be leased.
    pub(super) fn push(&mut self, task: OpenTask, gate: &Gate) -> bool {
        let row = task.handler.row;
        let lane = self.lanes.entry(row).or_insert_with(|| Lane {
            is_open: gate.admits(&task.handler),
            handler: Arc::clone(&task.handler),
            ready: BTreeMap::new(),
        });
        let before = lane.head();
        lane.ready.insert(place(&task), task);
        let (is_open, after) = (lane.is_open, lane.head());
        self.set_head(row, before, after);
        *self.count(is_open) += 1;
        is_open
    }

    /// Takes the next task that may be leased.
    pub(super) fn pop(&mut self) -> Option<OpenTask> {
        let (place, row) = self.heads.first().copied()?;
        self.take(row, place)
    }

    /// Takes the task of a handler that stands at a place.
    pub(super) fn take(&mut self, row: i64, place: Place) -> Option<OpenTask> {
        let lane = self.lanes.get_mut(&row)?;
        let before = lane.head();
        let task = lane.ready.remove(&place)?;
        let (is_open, after) = (lane.is_open, lane.head());
        if lane.ready.is_empty() {
            self.lanes.remove(&row);
        }
        self.set_head(row, before, after);
        let count = self.count(is_open);
        *count = count.saturating_sub(1);
        Some(task)
    }

    /// Takes a task out, wherever it waits here. It may be due later than its row says.
    pub(super) fn seize(&mut self, task: &OpenTask) -> Option<OpenTask> {
        if let Some(found) = self.later.remove(&(task.due, task.seq)) {
            return Some(found);
        }
        let row = task.handler.row;
        if let Some(found) = self.take(row, place(task)) {
            return Some(found);
        }
        let is_it = |other: &OpenTask| other.seq == task.seq;
        if let Some((key, _)) = self.later.iter().find(|(_, other)| is_it(other)) {
            let key = *key;
            return self.later.remove(&key);
        }
        let ready = &self.lanes.get(&row)?.ready;
        let (place, _) = ready.iter().find(|(_, other)| is_it(other))?;
        self.take(row, *place)
    }

    /// Moves what is due from later to its lane; returns how many of these may be leased.
    pub(super) fn promote(&mut self, now: Nanos, gate: &Gate) -> usize {
        let mut promoted = 0;
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let task = first.remove();
            promoted += usize::from(self.push(task, gate));
        }
        promoted
    }

    /// Opens and closes lanes as the gate says; returns whether any was opened.
    pub(super) fn obey(&mut self, gate: &Gate) -> bool {
        let mut opened = false;
        for (row, lane) in &mut self.lanes {
            let is_open = gate.admits(&lane.handler);
            if is_open == lane.is_open {
                continue;
            }
            let (before, length) = (lane.head(), lane.ready.len());
            lane.is_open = is_open;
            if is_open {
                opened = true;
                self.heads.extend(lane.head().map(|place| (place, *row)));
                self.ready += length;
                self.stopped = self.stopped.saturating_sub(length);
            } else {
                if let Some(place) = before {
                    self.heads.remove(&(place, *row));
                }
                self.stopped += length;
                self.ready = self.ready.saturating_sub(length);
            }
        }
        opened
    }

    /// Returns whether there is a task that may be leased, or becomes due.
    pub(super) fn is_ready(&self, now: Nanos) -> bool {
        let first = self.later.first_key_value();
        !self.heads.is_empty() || first.is_some_and(|((due, _), _)| *due <= now)
    }

    /// Returns how many tasks of it have not ended, those apart that wait for their turn.
    pub(super) fn open(&self) -> usize {
        self.ready + self.stopped + self.later.len() + self.leased + self.parked
    }

    pub(super) fn depth(&self) -> Depth {
        Depth {
            ready: self.ready,
            paused: self.stopped,
            turn: 0,
            later: self.later.len(),
            leased: self.leased,
            parked: self.parked,
        }
    }

    fn count(&mut self, is_open: bool) -> &mut usize {
        if is_open {
            &mut self.ready
        } else {
            &mut self.stopped
        }
    }

    fn set_head(&mut self, row: i64, before: Option<Place>, after: Option<Place>) {
        if before == after {
            return;
        }
        if let Some(place) = before {
            self.heads.remove(&(place, row));
        }
        self.heads.extend(after.map(|place| (place, row)));
    }
}
