//! A person's decision about a task that was set aside.

use super::books::failed;

use super::{Group, Writer, Written};
use crate::error::StoreError;
use crate::event::EventKind;
use crate::open::set_aside;
use crate::queues::Change;
use crate::record::{JournalEntry, Nanos, State, TaskId};
use crate::schedule::{OpenTask, Tally};
use crate::schema::{Moving, column, length_column, seal_of, state_code, unsigned};

impl Writer<'_> {
    pub(super) fn apply_resume(
        &mut self,
        group: &mut Group,
        id: TaskId,
        keep: u32,
        replace: Option<JournalEntry>,
    ) -> Written<bool> {
        let Some(task) = set_aside(self.connection, id)? else {
            return Ok(Ok(false));
        };
        self.resume(group, task, keep, replace)?;
        Ok(Ok(true))
    }

    fn resume(
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
        self.sql.forget_failures.execute([task.seq])?;
        self.update_resumed(&task, group.now)?;
        self.books.count_many(task.account, failed(task.origin), -1);
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
