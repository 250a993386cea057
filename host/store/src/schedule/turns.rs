//! Turns: tasks of one key run one after another, in the order in which they stand in line.
//!
//! A turn begins when its task is first leased and ends with the task, or when the task sleeps;
//! its retries are within it, and so are the tasks that it calls, however far down: a queue whose
//! task waits for another of the same queue does not wait for itself. A task that does not end may
//! be overtaken after [`HOLD`], but not while something within its turn is leased: two tasks of a
//! key never run at the same moment. Whoever was overtaken stands in line again, and so does
//! whoever is stopped when it is let through: who is paused stops nobody else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::record::{Nanos, TaskId};

use super::lanes::{Place, place};
use super::{HandlerRow, OpenTask};

/// How long a turn may last beside those who wait for it, in nanoseconds.
pub(crate) const HOLD: Nanos = 120_000_000_000;

#[derive(Debug)]
struct Turn {
    holder: TaskId,
    /// The holder's handler.
    handler: Arc<HandlerRow>,
    /// When the holder was first leased; none while it was only let through.
    since: Option<Nanos>,
    /// What of the turn is leased: its holder, or a task that was called within it.
    leased: Option<TaskId>,
    /// Those who wait for the turn.
    waiting: BTreeMap<Place, OpenTask>,
    /// Tasks within the turn that wait until no other of it is leased.
    within: BTreeMap<Place, OpenTask>,
}

impl Turn {
    fn of(task: &OpenTask, now: Nanos, leased: Option<TaskId>) -> Self {
        Self {
            holder: task.id,
            handler: Arc::clone(&task.handler),
            since: Some(now),
            leased,
            waiting: BTreeMap::new(),
            within: BTreeMap::new(),
        }
    }

    /// Whether a task is the holder, or was called within its turn.
    fn has(&self, task: &OpenTask) -> bool {
        self.holder == task.id || task.is_called_within(self.holder)
    }

    /// Notes that a task is out of its place; gives those that are let through within the turn,
    /// where nothing of it is leased: the first who is not stopped, and those before it.
    fn leave(&mut self, task: TaskId, admits: &impl Fn(&HandlerRow) -> bool) -> Vec<OpenTask> {
        self.leased.take_if(|leased| *leased == task);
        let mut through = Vec::new();
        while self.leased.is_none()
            && let Some((_, next)) = self.within.pop_first()
        {
            let is_admitted = admits(&next.handler);
            through.push(next);
            if is_admitted {
                break;
            }
        }
        through
    }
}

/// The turns of all keys.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    turns: HashMap<Arc<str>, Turn>,
    /// When a turn may be overtaken: those that have somebody waiting and are not leased.
    expiring: BTreeSet<(Nanos, Arc<str>)>,
}

impl Turns {
    /// Begins or goes on with the turn of a task that is about to be leased, and gives it back;
    /// none where another has the turn, and the task now waits.
    pub(crate) fn begin(&mut self, task: OpenTask, now: Nanos) -> Option<OpenTask> {
        let Some(key) = task.turn.clone() else {
            return Some(task);
        };
        let Some(turn) = self.turns.get_mut(&key) else {
            let turn = Turn::of(&task, now, Some(task.id));
            self.turns.insert(key, turn);
            return Some(task);
        };
        if !turn.has(&task) {
            turn.waiting.insert(place(&task), task);
            expect(&mut self.expiring, turn, &key);
            return None;
        }
        if turn.leased.is_some() {
            turn.within.insert(place(&task), task);
            return None;
        }
        forget(&mut self.expiring, turn, &key);
        turn.since.get_or_insert(now);
        turn.leased = Some(task.id);
        Some(task)
    }

    /// Gives a task that began in an earlier process its turn back; the first to ask has it.
    pub(crate) fn go_on(&mut self, task: &OpenTask, now: Nanos) {
        if let Some(key) = &task.turn {
            let turn = self.turns.entry(Arc::clone(key));
            turn.or_insert_with(|| Turn::of(task, now, None));
        }
    }

    /// The task's lease ended and its turn goes on; gives those that are let through within it.
    pub(super) fn pause(
        &mut self,
        task: &OpenTask,
        admits: impl Fn(&HandlerRow) -> bool,
    ) -> Vec<OpenTask> {
        let Some(key) = &task.turn else {
            return Vec::new();
        };
        let Some(turn) = self.turns.get_mut(key) else {
            return Vec::new();
        };
        let through = turn.leave(task.id, &admits);
        expect(&mut self.expiring, turn, key);
        through
    }

    /// Takes a task out that waits for its turn.
    pub(super) fn seize(&mut self, task: &OpenTask) -> Option<OpenTask> {
        let key = task.turn.as_ref()?;
        let turn = self.turns.get_mut(key)?;
        let is_it = |(_, other): &(&Place, &OpenTask)| other.seq == task.seq;
        if let Some((place, _)) = turn.within.iter().find(is_it) {
            let place = *place;
            return turn.within.remove(&place);
        }
        let (place, _) = turn.waiting.iter().find(is_it)?;
        let place = *place;
        forget(&mut self.expiring, turn, key);
        let found = turn.waiting.remove(&place);
        expect(&mut self.expiring, turn, key);
        found
    }

    /// Ends the turn of a task that ended or sleeps; gives those that are let through: see
    /// [`let_through`].
    pub(super) fn end(
        &mut self,
        task: &OpenTask,
        admits: impl Fn(&HandlerRow) -> bool,
    ) -> Vec<OpenTask> {
        let Some(key) = &task.turn else {
            return Vec::new();
        };
        let Some(turn) = self.turns.get_mut(key) else {
            return Vec::new();
        };
        let next = turn.leave(task.id, &admits);
        if turn.holder != task.id {
            expect(&mut self.expiring, turn, key);
            return next;
        }
        if let Some(leased) = turn.leased {
            // What it called still runs: nobody else may, until that has ended.
            turn.holder = leased;
            return Vec::new();
        }
        let mut through = self.pass_on(key, &admits);
        through.extend(next);
        through
    }

    /// Passes on each turn whose hold has expired; gives those that are let through.
    pub(super) fn overtake(
        &mut self,
        now: Nanos,
        admits: impl Fn(&HandlerRow) -> bool,
    ) -> Vec<OpenTask> {
        let mut through = Vec::new();
        while let Some((at, key)) = self.expiring.first().cloned() {
            if at > now {
                break;
            }
            if let Some(turn) = self.turns.get(&key) {
                tracing::warn!(?key, holder = %turn.holder, "a turn is overtaken after its hold");
            }
            self.expiring.pop_first();
            through.extend(self.pass_on(&key, &admits));
        }
        through
    }

    /// Passes on each turn that has not begun and whose holder is stopped, and lets those through
    /// that may wait for somebody who is stopped within a turn; gives those that are let through.
    pub(super) fn pass_over(&mut self, admits: impl Fn(&HandlerRow) -> bool) -> Vec<OpenTask> {
        let is_stopped = |turn: &Turn| turn.since.is_none() && !admits(&turn.handler);
        let keys = self.turns.iter().filter(|(_, turn)| is_stopped(turn));
        let mut keys: Vec<Arc<str>> = keys.map(|(key, _)| Arc::clone(key)).collect();
        keys.sort_unstable();
        let mut through = Vec::new();
        for key in keys {
            through.extend(self.pass_on(&key, &admits));
        }
        let idle = self.turns.values_mut();
        let idle = idle.filter(|turn| turn.leased.is_none());
        through.extend(idle.flat_map(|turn| std::mem::take(&mut turn.within).into_values()));
        through.sort_unstable_by_key(|task| task.seq);
        through
    }

    fn pass_on(&mut self, key: &Arc<str>, admits: &impl Fn(&HandlerRow) -> bool) -> Vec<OpenTask> {
        let Some(turn) = self.turns.get_mut(key) else {
            return Vec::new();
        };
        forget(&mut self.expiring, turn, key);
        // What was called within the turn stands in line like all others.
        let within = std::mem::take(&mut turn.within).into_values();
        let (mut through, is_taken) = let_through(turn, admits);
        through.extend(within);
        if !is_taken {
            self.turns.remove(key);
        }
        through
    }

    /// When the first turn may be overtaken.
    pub(crate) fn next_expiry(&self) -> Option<Nanos> {
        self.expiring.first().map(|(at, _)| *at)
    }

    /// How many tasks wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        let turns = self.turns.values();
        turns
            .map(|turn| turn.waiting.len() + turn.within.len())
            .sum()
    }

    /// How many tasks of a queue wait for their turn. Looks at each that waits, in any queue.
    pub(crate) fn waiting_in(&self, queue: &str) -> usize {
        let turns = self.turns.values();
        let waiting = turns.flat_map(|turn| turn.waiting.values().chain(turn.within.values()));
        waiting.filter(|task| task.handler.queue == queue).count()
    }
}

/// Gives the turn to the first in line who is not stopped; gives it and those before it, and
/// whether there was one.
fn let_through(turn: &mut Turn, admits: &impl Fn(&HandlerRow) -> bool) -> (Vec<OpenTask>, bool) {
    let mut through = Vec::new();
    while let Some((_, next)) = turn.waiting.pop_first() {
        let is_admitted = admits(&next.handler);
        if is_admitted {
            turn.holder = next.id;
            turn.handler = Arc::clone(&next.handler);
            turn.since = None;
            turn.leased = None;
        }
        through.push(next);
        if is_admitted {
            return (through, true);
        }
    }
    (through, false)
}

fn expiry(turn: &Turn) -> Option<Nanos> {
    let since = turn.since?;
    (turn.leased.is_none() && !turn.waiting.is_empty()).then(|| since.saturating_add(HOLD))
}

fn expect(expiring: &mut BTreeSet<(Nanos, Arc<str>)>, turn: &Turn, key: &Arc<str>) {
    if let Some(at) = expiry(turn) {
        expiring.insert((at, Arc::clone(key)));
    }
}

fn forget(expiring: &mut BTreeSet<(Nanos, Arc<str>)>, turn: &Turn, key: &Arc<str>) {
    if let Some(at) = expiry(turn) {
        expiring.remove(&(at, Arc::clone(key)));
    }
}
