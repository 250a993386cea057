//! Turns: tasks of one key run one after another, in the order in which they stand in line.
//!
//! A turn begins when its task is first leased and ends with the task; its retries are within
//! it. A task that does not end may be overtaken after [`HOLD`], but not while it is leased: two
//! tasks of a key never run at the same moment. Whoever was overtaken stands in line again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::record::{Nanos, TaskId};

use super::OpenTask;

/// How long a turn may last beside those who wait for it, in nanoseconds.
pub(crate) const HOLD: Nanos = 120_000_000_000;

/// Where a task stands in line.
type Place = (u8, Nanos, i64);

#[derive(Debug)]
struct Turn {
    holder: TaskId,
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

    /// Ends the turn of a task that ended; gives the next in line.
    pub(crate) fn end(&mut self, task: &OpenTask) -> Option<OpenTask> {
        let key = task.turn.as_ref()?;
        let turn = self.turns.get_mut(key)?;
        if turn.holder != task.id {
            return None;
        }
        forget(&mut self.expiring, turn, key);
        let next = let_through(turn);
        if next.is_none() {
            self.turns.remove(key);
        }
        next
    }

    /// Passes on each turn whose hold has expired; gives those that are let through.
    pub(crate) fn overtake(&mut self, now: Nanos) -> Vec<OpenTask> {
        let mut through = Vec::new();
        while let Some((at, key)) = self.expiring.first().cloned() {
            if at > now {
                break;
            }
            self.expiring.pop_first();
            if let Some(turn) = self.turns.get_mut(&key) {
                tracing::warn!(?key, holder = %turn.holder, "a turn is overtaken after its hold");
                through.extend(let_through(turn));
            }
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
}

fn place(task: &OpenTask) -> Place {
    (task.priority, task.due, task.seq)
}

/// Gives the turn to the first in line.
fn let_through(turn: &mut Turn) -> Option<OpenTask> {
    let (_, next) = turn.waiting.pop_first()?;
    turn.holder = next.id;
    turn.since = None;
    turn.is_leased = false;
    Some(next)
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
