//! Which open task is next: a pure machine without clock, disk or threads.
//!
//! Invariants: an open task is in exactly one of *ready*, *later*, *waiting* (for its turn),
//! *aside* (its plugin is held) and *leased*; a lease number is given once. Of the tasks of a queue that are due, the next is the one with the lowest
//! priority number, then the earliest due time, then the lowest number.

mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::record::{Nanos, Origin, TaskId};
use crate::view::Depth;

use turns::Turns;

/// What tasks of one handler, queue and retry policy have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HandlerRow {
    pub(crate) row: i64,
    pub(crate) plugin: String,
    pub(crate) handler: String,
    pub(crate) queue: String,
    pub(crate) retries: u32,
    pub(crate) backoff_ms: u64,
    pub(crate) max_backoff_ms: u64,
    pub(crate) timeout_ms: u64,
}

/// How long a journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

/// A task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenTask {
    pub(crate) seq: i64,
    pub(crate) id: TaskId,
    pub(crate) handler: Arc<HandlerRow>,
    pub(crate) origin: Origin,
    pub(crate) priority: u8,
    /// Tasks with one turn run one after another.
    pub(crate) turn: Option<Arc<str>>,
    pub(crate) due: Nanos,
    pub(crate) made: Nanos,
    pub(crate) deadline: Option<Nanos>,
    pub(crate) packet: Option<i64>,
    /// What it descends from: the number of a packet, or less than 0 that of a task.
    pub(crate) root: i64,
    pub(crate) account: i64,
    /// Attempts that ended.
    pub(crate) attempts: u32,
    /// CPU time of all legs, nanoseconds.
    pub(crate) cpu: u64,
    pub(crate) journal: Tally,
    /// Plugin version that wrote the journal.
    pub(crate) pinned: Option<Box<[u8; 32]>>,
}

/// A task that a worker holds.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    pub(crate) task: OpenTask,
    pub(crate) worker: u32,
    pub(crate) since: Nanos,
}

#[derive(Debug, Default)]
struct Queue {
    ready: BTreeMap<(u8, Nanos, i64), OpenTask>,
    later: BTreeMap<(Nanos, i64), OpenTask>,
    leased: usize,
}

impl Queue {
    /// Moves what is due from later to ready and returns how many that were.
    fn promote(&mut self, now: Nanos) -> usize {
        let mut promoted = 0;
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let task = first.remove();
            self.ready.insert((task.priority, task.due, task.seq), task);
            promoted += 1;
        }
        promoted
    }
}

/// All open tasks, by queue.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    queues: BTreeMap<String, Queue>,
    turns: Turns,
    /// Plugins whose tasks are not leased.
    held: BTreeSet<String>,
    /// Tasks that were due and whose plugin is held, by plugin.
    aside: BTreeMap<String, Vec<OpenTask>>,
    leases: HashMap<u64, Leased>,
    last_lease: u64,
}

impl Schedule {
    /// Adds a task that has not ended; returns whether it is ready.
    pub(crate) fn insert(&mut self, task: OpenTask, now: Nanos) -> bool {
        if !self.queues.contains_key(&task.handler.queue) {
            let name = task.handler.queue.clone();
            self.queues.insert(name, Queue::default());
        }
        let Some(queue) = self.queues.get_mut(&task.handler.queue) else {
            return false;
        };
        let ready = task.due <= now;
        if ready {
            queue
                .ready
                .insert((task.priority, task.due, task.seq), task);
        } else {
            queue.later.insert((task.due, task.seq), task);
        }
        ready
    }

    /// Leases no task of `plugins` from now on; returns the queues of tasks whose plugin is held
    /// no more.
    pub(crate) fn hold(&mut self, plugins: BTreeSet<String>, now: Nanos) -> Vec<String> {
        let released: Vec<OpenTask> = self
            .aside
            .extract_if(.., |plugin, _| !plugins.contains(plugin))
            .flat_map(|(_, tasks)| tasks)
            .collect();
        self.held = plugins;
        let mut queues = Vec::new();
        for task in released {
            queues.push(task.handler.queue.clone());
            self.insert(task, now);
        }
        queues
    }

    /// Gives a task that began before the store was opened its turn back.
    pub(crate) fn go_on_with_turn(&mut self, task: &OpenTask, now: Nanos) {
        self.turns.go_on(task, now);
    }

    /// Leases the next task that is due.
    pub(crate) fn lease(
        &mut self,
        queue: &str,
        now: Nanos,
        worker: u32,
    ) -> Option<(u64, &OpenTask)> {
        let queue = self.queues.get_mut(queue)?;
        queue.promote(now);
        let task = loop {
            let (_, next) = queue.ready.pop_first()?;
            let plugin = &next.handler.plugin;
            if self.held.contains(plugin) {
                self.aside.entry(plugin.clone()).or_default().push(next);
                continue;
            }
            if let Some(task) = self.turns.begin(next, now) {
                break task;
            }
        };
        queue.leased += 1;
        self.last_lease += 1;
        let leased = Leased {
            task,
            worker,
            since: now,
        };
        let leased = self.leases.entry(self.last_lease).or_insert(leased);
        Some((self.last_lease, &leased.task))
    }

    /// Returns what a lease holds, if it lives and is of this task.
    pub(crate) fn leased(&self, lease: u64, task: TaskId) -> Option<&Leased> {
        self.leases
            .get(&lease)
            .filter(|leased| leased.task.id == task)
    }

    /// Returns all that is leased, in the order of leasing.
    pub(crate) fn all_leased(&self) -> impl Iterator<Item = &Leased> {
        let mut leases: Vec<_> = self.leases.iter().collect();
        leases.sort_unstable_by_key(|(lease, _)| **lease);
        leases.into_iter().map(|(_, leased)| leased)
    }

    /// Notes what became of a leased task whose lease goes on.
    pub(crate) fn note(&mut self, lease: u64, task: OpenTask) {
        if let Some(leased) = self.leases.get_mut(&lease) {
            leased.task = task;
        }
    }

    /// Ends a lease and its task; returns the queue that has a task ready whose turn has come.
    pub(crate) fn end(&mut self, lease: u64, now: Nanos) -> Option<String> {
        let task = self.release(lease)?;
        let next = self.turns.end(&task)?;
        let queue = next.handler.queue.clone();
        self.insert(next, now).then_some(queue)
    }

    /// Ends a lease whose task goes on; its turn does, too.
    pub(crate) fn release(&mut self, lease: u64) -> Option<OpenTask> {
        let leased = self.leases.remove(&lease)?;
        if let Some(queue) = self.queues.get_mut(&leased.task.handler.queue) {
            queue.leased = queue.leased.saturating_sub(1);
        }
        self.turns.pause(&leased.task);
        Some(leased.task)
    }

    /// Returns when the first task of any queue becomes due that is not yet, or may overtake.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.queues
            .values()
            .filter_map(|queue| queue.later.first_key_value())
            .map(|((due, _), _)| *due)
            .chain(self.turns.next_expiry())
            .min()
    }

    /// Makes ready what is due; calls `promoted` with each queue that has more and how many.
    pub(crate) fn promote(&mut self, now: Nanos, mut promoted: impl FnMut(&str, usize)) {
        for task in self.turns.overtake(now) {
            let queue = task.handler.queue.clone();
            if self.insert(task, now) {
                promoted(&queue, 1);
            }
        }
        for (name, queue) in &mut self.queues {
            let count = queue.promote(now);
            if count > 0 {
                promoted(name, count);
            }
        }
    }

    /// Returns whether a queue has a task that may be leased.
    pub(crate) fn is_ready(&self, queue: &str, now: Nanos) -> bool {
        self.queues.get(queue).is_some_and(|queue| {
            let first = queue.later.first_key_value();
            !queue.ready.is_empty() || first.is_some_and(|((due, _), _)| *due <= now)
        })
    }

    /// Returns how many tasks have not ended.
    pub(crate) fn open(&self) -> usize {
        let queues = self.queues.values();
        let in_queues = queues.map(|queue| queue.ready.len() + queue.later.len() + queue.leased);
        let aside: usize = self.aside.values().map(Vec::len).sum();
        in_queues.sum::<usize>() + aside + self.turns.waiting()
    }

    /// Returns how full a queue is.
    pub(crate) fn depth(&self, queue: &str) -> Depth {
        self.queues
            .get(queue)
            .map(|queue| Depth {
                ready: queue.ready.len(),
                later: queue.later.len(),
                leased: queue.leased,
            })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
