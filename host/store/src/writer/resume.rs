//! A person's decision about a task that was set aside.

use super::books::shadow;

use super::{Group, Writer, Written};
use crate::action::{Acted, Looked};
use crate::error::StoreError;
use crate::event::EventKind;
use crate::open::{handlers, task_of};
use crate::queues::Change;
use crate::record::{JournalEntry, Nanos, State, TaskId};
use crate::schedule::{OpenTask, Tally};
use crate::schema::{Moving, column, length_column, seal_of, state_code, state_of, unsigned};

/// How many entries of its journal a task goes on with, what takes the place of one of them, and
/// the version that it goes on with, where that is another.
pub(super) type Goes = (u32, Option<JournalEntry>, Option<[u8; 32]>);

/// Most decisions about a task that are kept.
const MOST_DECISIONS: u32 = 50;

impl Writer<'_> {
    pub(super) fn apply_resume(
        &mut self,
        group: &mut Group,
        (id, ended): (TaskId, Option<Nanos>),
        goes: Goes,
        by: (&str, &str),
    ) -> Written<bool> {
        let handlers = handlers(self.connection)?;
        let found = task_of(self.connection, id, &handlers)?.flatten();
        let is_meant = |moving: &Moving| {
            [State::Failure, State::Delivered]
                .map(state_code)
                .contains(&moving.state)
                && ended.is_none_or(|ended| moving.ended == Some(ended))
        };
        let Some((moving, task)) = found.filter(|(moving, _)| is_meant(moving)) else {
            return Ok(Ok(false));
        };
        self.uncount_end(&moving, &task);
        self.note_decision(group, task.seq, by)?;
        self.resume(group, task, goes)?;
        Ok(Ok(true))
    }

    /// Notes what a person did to a task, and who.
    pub(super) fn note_decision(
        &mut self,
        group: &Group,
        task: i64,
        (what, who): (&str, &str),
    ) -> rusqlite::Result<()> {
        self.sql
            .note_decision
            .execute((task, group.now, what, who))?;
        self.sql.cut_decisions.execute((task, MOST_DECISIONS))?;
        Ok(())
    }

    /// Has a task that is not in the schedule begin again, with a part of its journal.
    pub(super) fn resume(
        &mut self,
        group: &mut Group,
        mut task: OpenTask,
        (keep, replace, onto): Goes,
    ) -> Result<(), StoreError> {
        self.sql.cut_journal.execute((task.seq, keep))?;
        if let Some(entry) = replace {
            let seal = seal_of(i64::from(entry.seq), &entry.bytes);
            self.sql
                .insert_journal
                .execute((task.seq, entry.seq, entry.bytes.as_ref(), seal))?;
        }
        task.journal = self.tally(task.seq)?;
        task.pinned = task.pinned.filter(|_| task.journal.entries > 0);
        if let Some(onto) = onto.filter(|_| task.journal.entries > 0) {
            task.pinned = Some(Box::new(onto));
        }
        task.attempts = 0;
        task.due = group.now;
        self.keep_failures(task.seq, 0)?;
        self.sql.forget_failures.execute([task.seq])?;
        // It runs as its plugin does then.
        if self.sql.forget_shadow.execute([task.seq])? > 0 {
            self.books.count_many(task.account, shadow(task.origin), -1);
        }
        self.update_resumed(&task, group.now)?;
        group.tell_of_task(EventKind::Resumed, &task, None);
        group.changes.push(Change::Made(task));
        Ok(())
    }

    /// Has a task that waits, and stays on the version that wrote its journal, go on with
    /// another; nothing where it is not as it was looked at. Its turn goes on.
    pub(super) fn apply_move(
        &mut self,
        group: &mut Group,
        id: TaskId,
        (looked, onto): (Looked, [u8; 32]),
        by: (&str, &str),
    ) -> Written<Option<Acted>> {
        let handlers = handlers(self.connection)?;
        let (moving, mut task) = match task_of(self.connection, id, &handlers)? {
            Some(Some(found)) => found,
            Some(None) => return Ok(Ok(Some(Acted::Damaged))),
            None => return Ok(Ok(Some(Acted::Unknown))),
        };
        let state = match state_of(moving.state) {
            Some(state @ (State::Pending | State::Retry | State::Parked)) => state,
            Some(state) => return Ok(Ok(Some(Acted::Not(state)))),
            None => return Ok(Ok(Some(Acted::Damaged))),
        };
        let is_meant = moving.version == looked.version
            && moving.started == looked.started
            && u64::try_from(moving.journal).is_ok_and(|journal| journal == looked.journal);
        if !is_meant || task.journal.entries == 0 {
            return Ok(Ok(None));
        }
        if self.borrow(group, &task).is_some() {
            return Ok(Ok(Some(Acted::Runs)));
        }
        // Who waits for it, only the schedule knows.
        let found = group.seized.iter().find(|found| found.id == task.id);
        task.caller = found.and_then(|found| found.caller.clone());
        self.note_decision(group, task.seq, by)?;
        task.pinned = Some(Box::new(onto));
        let moved = Moving {
            version: Some(onto),
            ..moving
        };
        self.move_task(task.seq, &moved)?;
        group.changes.push(Change::Made(task));
        Ok(Ok(Some(Acted::Done(state))))
    }

    /// Measures a journal afresh: entries that were replaced do not count any more.
    pub(super) fn tally(&mut self, task: i64) -> rusqlite::Result<Tally> {
        self.sql.measure_journal.query_row([task], |row| {
            let length = |column: i64| usize::try_from(unsigned(column)).unwrap_or(usize::MAX);
            Ok(Tally {
                entries: length(row.get(0)?),
                bytes: length(row.get(1)?),
            })
        })
    }

    fn update_resumed(&mut self, task: &OpenTask, now: Nanos) -> rusqlite::Result<()> {
        let moving = Moving {
            state: state_code(State::Pending),
            due: now,
            attempts: 0,
            started: None,
            ended: None,
            cpu: column(task.cpu),
            version: task.pinned.as_deref().copied(),
            journal: length_column(task.journal.entries),
            journal_bytes: length_column(task.journal.bytes),
        };
        self.move_task(task.seq, &moving)
    }
}
