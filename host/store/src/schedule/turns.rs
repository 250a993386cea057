//! Turns: tasks of one key run one after another, in the order in which they stand in line.
//!
//! A turn begins when its task is first leased and ends with the task; its retries are within
//! it. A task that does not end may be overtaken after [`HOLD`], but not while it is leased: two
//! tasks of a key never run at the same moment. Whoever was overtaken stands in line again, and
//! so does whoever is stopped when it is let through: who is paused stops nobody else.

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
    is_leased: bool,
    waiting: BTreeMap<Place, OpenTask>,
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
            let turn = Turn {
                holder: task.id,
                handler: Arc::clone(&task.handler),
                since: Some(now),
                is_leased: true,
                waiting: BTreeMap::new(),
            };
            self.turns.insert(key, turn);
            return Some(task);
        };
        if turn.holder == task.id {
            forget(&mut self.expiring, turn, &key);
            turn.since.get_or_insert(now);
            turn.is_leased = true;
            return Some(task);
        }
        turn.waiting.insert(place(&task), task);
        expect(&mut self.expiring, turn, &key);
        None
    }

    /// Gives a task that began in an earlier process its turn back; the first to ask has it.
    pub(crate) fn go_on(&mut self, task: &OpenTask, now: Nanos) {
        if let Some(key) = &task.turn {
            self.turns.entry(Arc::clone(key)).or_insert_with(|| Turn {
                holder: task.id,
                handler: Arc::clone(&task.handler),
                since: Some(now),
                is_leased: false,
                waiting: BTreeMap::new(),
            });
        }
    }

    /// The task's lease ended and its turn goes on.
    pub(crate) fn pause(&mut self, task: &OpenTask) {
        if let Some(key) = &task.turn
            && let Some(turn) = self.turns.get_mut(key)
            && turn.holder == task.id
        {
            turn.is_leased = false;
            expect(&mut self.expiring, turn, key);
        }
    }

    /// Takes a task out that waits for its turn.
    pub(super) fn seize(&mut self, task: &OpenTask) -> Option<OpenTask> {
        let key = task.turn.as_ref()?;
        let turn = self.turns.get_mut(key)?;
        let mut waiting = turn.waiting.iter();
        let (place, _) = waiting.find(|(_, other)| other.seq == task.seq)?;
        let place = *place;
        forget(&mut self.expiring, turn, key);
        let found = turn.waiting.remove(&place);
        expect(&mut self.expiring, turn, key);
        found
    }

    /// Ends the turn of a task that ended; gives those that are let through: see
    /// [`let_through`].
    pub(super) fn end(
        &mut self,
        task: &OpenTask,
        admits: impl Fn(&HandlerRow) -> bool,
    ) -> Vec<OpenTask> {
        let Some(key) = &task.turn else {
            return Vec::new();
        };
        match self.turns.get(key) {
            Some(turn) if turn.holder == task.id => self.pass_on(key, &admits),
            _ => Vec::new(),
        }
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

    /// Passes on each turn that has not begun and whose holder is stopped; gives those that are
    /// let through.
    pub(super) fn pass_over(&mut self, admits: impl Fn(&HandlerRow) -> bool) -> Vec<OpenTask> {
        let is_stopped = |turn: &Turn| turn.since.is_none() && !admits(&turn.handler);
        let keys = self.turns.iter().filter(|(_, turn)| is_stopped(turn));
        let mut keys: Vec<Arc<str>> = keys.map(|(key, _)| Arc::clone(key)).collect();
        keys.sort_unstable();
        let mut through = Vec::new();
        for key in keys {
            through.extend(self.pass_on(&key, &admits));
        }
        through
    }

    fn pass_on(&mut self, key: &Arc<str>, admits: &impl Fn(&HandlerRow) -> bool) -> Vec<OpenTask> {
        let Some(turn) = self.turns.get_mut(key) else {
            return Vec::new();
        };
        forget(&mut self.expiring, turn, key);
        let (through, is_taken) = let_through(turn, admits);
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
        self.turns.values().map(|turn| turn.waiting.len()).sum()
    }

    /// How many tasks of a queue wait for their turn. Looks at each that waits, in any queue.
    pub(crate) fn waiting_in(&self, queue: &str) -> usize {
        let waiting = self.turns.values().flat_map(|turn| turn.waiting.values());
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
            turn.is_leased = false;
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
    (!turn.is_leased && !turn.waiting.is_empty()).then(|| since.saturating_add(HOLD))
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
