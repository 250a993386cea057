//! Which open task is next: a pure machine without clock, disk or threads.
//!
//! Invariants: an open task is in exactly one of *ready*, *later*, *waiting* (for its turn),
//! *parked* (on tasks that it called) and *leased*; a lease number is given once. A task that
//! sleeps is one that is due later. Of the tasks of a queue that are due, and neither
//! paused nor of a plugin that is held, the next is the one with the lowest priority number, then
//! the earliest due time, then the lowest number.

mod callers;
mod lanes;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::pause::Scope;
use crate::record::{Failure, Nanos, Origin, TaskId};
use crate::revocation::Revocation;
use crate::view::Depth;

pub(crate) use callers::Caller;
use lanes::{Gate, Queue};
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
    /// Its external effects may have been made before.
    pub(crate) is_asked: bool,
    /// Who waits for it, where it was called.
    pub(crate) caller: Option<Arc<Caller>>,
}

impl OpenTask {
    /// Returns whether it was called by a task, or by one that was called by it, and so on.
    fn is_called_within(&self, task: TaskId) -> bool {
        let caller = self.caller.as_ref();
        caller.is_some_and(|caller| caller.is_or_serves(task))
    }
}

/// A task that a worker holds.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    pub(crate) task: OpenTask,
    pub(crate) worker: u32,
    pub(crate) since: Nanos,
    pub(crate) revocation: Revocation,
}

/// Where a task is that a person wants to do something to.
#[derive(Debug)]
pub(crate) enum Seized {
    /// It waited, and is in the schedule no more.
    Waited(OpenTask),
    /// It runs under this lease.
    Runs(u64),
    /// It is not in the schedule.
    Nowhere,
}

/// All open tasks, by queue.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    queues: BTreeMap<String, Queue>,
    turns: Turns,
    gate: Gate,
    leases: HashMap<u64, Leased>,
    last_lease: u64,
    /// Tasks that wait for those that they called, by number.
    parked: BTreeMap<i64, OpenTask>,
    /// When those of them are due that have a deadline.
    deadlines: BTreeSet<(Nanos, i64)>,
}

impl Schedule {
    /// Adds a task that has not ended; returns whether it may be leased now.
    pub(crate) fn insert(&mut self, task: OpenTask, now: Nanos) -> bool {
        if !self.queues.contains_key(&task.handler.queue) {
            let name = task.handler.queue.clone();
            self.queues.insert(name, Queue::default());
        }
        let Some(queue) = self.queues.get_mut(&task.handler.queue) else {
            return false;
        };
        if task.due <= now {
            return queue.push(task, &self.gate);
        }
        queue.later.insert((task.due, task.seq), task);
        false
    }

    /// Adds a task that waits until it is woken, or due: at [`Nanos::MAX`] never.
    pub(crate) fn park(&mut self, task: OpenTask) {
        let queue = task.handler.queue.clone();
        self.queues.entry(queue).or_default().parked += 1;
        if task.due < Nanos::MAX {
            self.deadlines.insert((task.due, task.seq));
        }
        self.parked.insert(task.seq, task);
    }

    /// Has a parked task go on; returns its queue where it may be leased.
    pub(crate) fn wake(&mut self, seq: i64, now: Nanos) -> Option<String> {
        let mut task = self.unpark(seq)?;
        task.due = now;
        self.let_through(task, now)
    }

    /// Has the parked tasks go on that are due, up to the first that may be leased; returns its
    /// queue.
    fn wake_due(&mut self, now: Nanos) -> Option<String> {
        while let Some((due, seq)) = self.deadlines.first().copied() {
            if due > now {
                break;
            }
            let woken = self.wake(seq, now);
            if woken.is_some() {
                return woken;
            }
        }
        None
    }

    fn unpark(&mut self, seq: i64) -> Option<OpenTask> {
        let task = self.parked.remove(&seq)?;
        self.deadlines.remove(&(task.due, seq));
        if let Some(queue) = self.queues.get_mut(&task.handler.queue) {
            queue.parked = queue.parked.saturating_sub(1);
        }
        Some(task)
    }

    /// Leases no task of `plugins` from now on, and again those of all others; returns the
    /// queues that have more to lease.
    pub(crate) fn hold(&mut self, plugins: BTreeSet<String>, now: Nanos) -> Vec<String> {
        self.gate.hold(plugins);
        self.obey(now)
    }

    /// Leases nothing of `scope` from now on, until a moment where there is one; returns the
    /// queues in which others come before their turn.
    pub(crate) fn pause(&mut self, scope: Scope, until: Option<Nanos>, now: Nanos) -> Vec<String> {
        self.gate.pause(scope, until);
        self.obey(now)
    }

    /// Ends a pause; returns the queues that have more to lease.
    pub(crate) fn unpause(&mut self, scope: &Scope, now: Nanos) -> Vec<String> {
        self.gate.unpause(scope);
        self.obey(now)
    }

    /// Ends the pauses that are over; returns the queues that have more to lease.
    pub(crate) fn end_pauses(&mut self, now: Nanos) -> Vec<String> {
        if self.gate.next_end().is_none_or(|end| end > now) {
            return Vec::new();
        }
        self.gate.expire(now);
        self.obey(now)
    }

    /// Does what the gate says; whoever was next and is stopped now is passed over.
    fn obey(&mut self, now: Nanos) -> Vec<String> {
        let gate = &self.gate;
        let opened = self.queues.iter_mut().filter_map(|(name, queue)| {
            let is_opened = queue.obey(gate);
            is_opened.then(|| name.clone())
        });
        let mut queues: Vec<String> = opened.collect();
        for task in self.turns.pass_over(|handler| gate.admits(handler)) {
            queues.extend(self.let_through(task, now));
        }
        queues
    }

    /// Makes a task ready that waited for its turn; returns its queue where it may be leased.
    fn let_through(&mut self, task: OpenTask, now: Nanos) -> Option<String> {
        let queue = task.handler.queue.clone();
        self.insert(task, now).then_some(queue)
    }

    /// Gives a task that began before the store was opened its turn back.
    pub(crate) fn go_on_with_turn(&mut self, task: &OpenTask, now: Nanos) {
        self.turns.go_on(task, now);
    }

    /// Leases the next task that is due.
    pub(crate) fn lease(&mut self, queue: &str, now: Nanos, worker: u32) -> Option<(u64, &Leased)> {
        while self.wake_due(now).is_some() {}
        let queue = self.queues.get_mut(queue)?;
        queue.promote(now, &self.gate);
        let task = loop {
            if let Some(task) = self.turns.begin(queue.pop()?, now) {
                break task;
            }
        };
        queue.leased += 1;
        self.last_lease += 1;
        let leased = Leased {
            task,
            worker,
            since: now,
            revocation: Revocation::default(),
        };
        let leased = self.leases.entry(self.last_lease).or_insert(leased);
        Some((self.last_lease, leased))
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

    /// Asks the worker of a lease to end its task.
    pub(crate) fn ask_to_revoke(&mut self, lease: u64, reason: Failure) {
        if let Some(leased) = self.leases.get(&lease) {
            leased.revocation.ask(reason);
        }
    }

    /// Takes a task out that waits; returns the queue whose task has its turn now, too.
    pub(crate) fn seize(&mut self, task: &OpenTask, now: Nanos) -> (Seized, Option<String>) {
        let seized = self.take(task);
        let next = match &seized {
            Seized::Waited(found) => self.end_turn(found, now),
            Seized::Runs(_) | Seized::Nowhere => None,
        };
        (seized, next)
    }

    /// Takes a task out that waits; its turn goes on.
    pub(crate) fn take(&mut self, task: &OpenTask) -> Seized {
        let mut leases = self.leases.iter();
        if let Some((lease, _)) = leases.find(|(_, leased)| leased.task.id == task.id) {
            return Seized::Runs(*lease);
        }
        let found = self.unpark(task.seq).or_else(|| {
            let queue = self.queues.get_mut(&task.handler.queue);
            queue.and_then(|queue| queue.seize(task))
        });
        match found.or_else(|| self.turns.seize(task)) {
            Some(found) => Seized::Waited(found),
            None => Seized::Nowhere,
        }
    }

    /// Ends a lease and its task; returns the queue that has a task ready whose turn has come.
    pub(crate) fn end(&mut self, lease: u64, now: Nanos) -> Option<String> {
        let task = self.take_lease(lease)?;
        self.end_turn(&task, now)
    }

    /// Ends the turn of a task that ended; returns the queue whose task has the next turn.
    fn end_turn(&mut self, task: &OpenTask, now: Nanos) -> Option<String> {
        let gate = &self.gate;
        let through = self.turns.end(task, |handler| gate.admits(handler));
        let queues = through
            .into_iter()
            .filter_map(|task| self.let_through(task, now));
        queues.last()
    }

    /// Ends a lease whose task goes on; its turn does, too. Returns the task, and the queue that
    /// has a task ready that was called within the turn.
    pub(crate) fn release(&mut self, lease: u64, now: Nanos) -> Option<(OpenTask, Option<String>)> {
        let task = self.take_lease(lease)?;
        let gate = &self.gate;
        let within = self.turns.pause(&task, |handler| gate.admits(handler));
        let queues = within
            .into_iter()
            .filter_map(|next| self.let_through(next, now));
        let queue = queues.last();
        Some((task, queue))
    }

    fn take_lease(&mut self, lease: u64) -> Option<OpenTask> {
        let leased = self.leases.remove(&lease)?;
        if let Some(queue) = self.queues.get_mut(&leased.task.handler.queue) {
            queue.leased = queue.leased.saturating_sub(1);
        }
        Some(leased.task)
    }

    /// Returns when the first task of any queue becomes due that is not yet, or may overtake, or
    /// when a pause ends.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.queues
            .values()
            .filter_map(|queue| queue.later.first_key_value())
            .map(|((due, _), _)| *due)
            .chain(self.deadlines.first().map(|(due, _)| *due))
            .chain(self.turns.next_expiry())
            .chain(self.gate.next_end())
            .min()
    }

    /// Makes ready what is due; calls `promoted` with each queue that has more and how many.
    pub(crate) fn promote(&mut self, now: Nanos, mut promoted: impl FnMut(&str, usize)) {
        let gate = &self.gate;
        for task in self.turns.overtake(now, |handler| gate.admits(handler)) {
            if let Some(queue) = self.let_through(task, now) {
                promoted(&queue, 1);
            }
        }
        while let Some(queue) = self.wake_due(now) {
            promoted(&queue, 1);
        }
        for (name, queue) in &mut self.queues {
            let count = queue.promote(now, &self.gate);
            if count > 0 {
                promoted(name, count);
            }
        }
    }

    /// Returns whether a queue has a task that may be leased.
    pub(crate) fn is_ready(&self, queue: &str, now: Nanos) -> bool {
        self.queues
            .get(queue)
            .is_some_and(|queue| queue.is_ready(now))
    }

    /// Names the queues that had a task since the store was opened.
    pub(crate) fn queues(&self) -> BTreeSet<String> {
        self.queues.keys().cloned().collect()
    }

    /// Returns how many tasks have not ended.
    pub(crate) fn open(&self) -> usize {
        let in_queues: usize = self.queues.values().map(Queue::open).sum();
        in_queues + self.turns.waiting()
    }

    /// Returns how full a queue is.
    pub(crate) fn depth(&self, queue: &str) -> Depth {
        let depth = self.queues.get(queue).map(Queue::depth).unwrap_or_default();
        Depth {
            turn: self.turns.waiting_in(queue),
            ..depth
        }
    }
}

#[cfg(test)]
mod tests;
