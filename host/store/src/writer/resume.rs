//! A person's decision about a task that was set aside.

use super::books::shadow;

use super::{Group, Writer, Written};
use crate::error::StoreError;
use crate::event::EventKind;
use crate::open::{handlers, task_of};
use crate::queues::Change;
use crate::record::{JournalEntry, Nanos, State, TaskId};
use crate::schedule::{OpenTask, Tally};
use crate::schema::{Moving, column, length_column, seal_of, state_code, unsigned};

/// Most decisions about a task that are kept.
const MOST_DECISIONS: u32 = 50;

impl Writer<'_> {
    pub(super) fn apply_resume(
        &mut self,
        group: &mut Group,
        (id, ended): (TaskId, Option<Nanos>),
        (keep, replace): (u32, Option<JournalEntry>),
        (what, who): (&str, &str),
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
        self.note_decision(group, task.seq, (what, who))?;
        self.resume(group, task, keep, replace)?;
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
        keep: u32,
        replace: Option<JournalEntry>,
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
