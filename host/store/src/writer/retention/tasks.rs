//! Tasks that ended, and what is kept with them.

use rusqlite::Row;

use super::super::books::{failed, removed, revoked, shadow, succeeded};
use super::{Fate, LOOK, Pass, Writer};
use crate::error::StoreError;
use crate::record::{Nanos, State};
use crate::schema::{origin_of, state_code, state_of};

/// Entries of a journal that are removed at once.
const ENTRIES: i64 = 64;
/// Whether the caller of task `t` is open or set aside.
const IS_NEEDED: &str = "coalesce(t.origin = 1
    AND EXISTS(SELECT 1 FROM tasks p WHERE p.id = t.parent AND p.state < 4), 0)";

/// What says how old a task is.
#[derive(Clone, Copy, Debug)]
struct Age {
    /// `None` where the task is gone.
    state: Option<i64>,
    ended: Option<Nanos>,
    made: Option<Nanos>,
    /// Who called it has not ended, and may ask for it again.
    is_needed: bool,
}

impl Age {
    /// Reads the columns `state, ended, made` and [`IS_NEEDED`] after the first.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            state: row.get(1)?,
            ended: row.get(2)?,
            made: row.get(3)?,
            is_needed: row.get(4)?,
        })
    }

    /// Returns whether what belongs to the task may go; what is not done with never may.
    fn has_gone(self, before: Nanos) -> bool {
        let Some(state) = self.state else {
            return true;
        };
        let is_done = [State::Success, State::Revoked, State::Delivered]
            .map(state_code)
            .contains(&state);
        is_done && !self.is_needed && self.ended.is_some_and(|ended| ended < before)
    }

    fn fate(self, before: Nanos) -> Fate {
        if self.made.is_none_or(|made| made < before) {
            Fate::Old
        } else {
            Fate::Young
        }
    }
}

/// What a look at a table beside the tasks came to.
struct Beside {
    rows: u64,
    /// The stage is done with it.
    is_done: bool,
}

impl Writer<'_> {
    pub(super) fn remove_results(&self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.kept().results);
        let removed = self.remove_beside(
            pass,
            before,
            &format!(
                "SELECT r.task, t.state, t.ended, t.made, {IS_NEEDED} FROM results r
                 LEFT JOIN tasks t ON t.seq = r.task WHERE r.task > ?1 ORDER BY r.task LIMIT ?2"
            ),
            "DELETE FROM results WHERE task = ?1",
        )?;
        pass.removed.results += removed.rows;
        Ok(removed.is_done)
    }

    pub(super) fn remove_arguments(&self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.kept().journals);
        let removed = self.remove_beside(
            pass,
            before,
            &format!(
                "SELECT a.task, t.state, t.ended, t.made, {IS_NEEDED} FROM args a
                 LEFT JOIN tasks t ON t.seq = a.task WHERE a.task > ?1 ORDER BY a.task LIMIT ?2"
            ),
            "DELETE FROM args WHERE task = ?1",
        )?;
        Ok(removed.is_done)
    }

    /// Walks a table that has at most one row beside each task.
    fn remove_beside(
        &self,
        pass: &mut Pass,
        before: Nanos,
        select: &str,
        delete: &'static str,
    ) -> Result<Beside, StoreError> {
        let rows = self.rows(select, (pass.cursor, LOOK), Age::read)?;
        let mut removed = 0;
        let is_done = pass.walk(rows, |_, task, age| {
            if age.has_gone(before) {
                self.run_once(delete, [task])?;
                removed += 1;
            }
            Ok(age.fate(before))
        })?;
        Ok(Beside {
            rows: removed,
            is_done,
        })
    }

    /// Removes journals from their ends, a few entries at once.
    pub(super) fn remove_journals(&self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.kept().journals);
        let rows = self.rows(
            &format!(
                "SELECT j.task, t.state, t.ended, t.made, {IS_NEEDED}
                 FROM (SELECT min(task) AS task FROM journal WHERE task > ?1) j
                 LEFT JOIN tasks t ON t.seq = j.task WHERE j.task IS NOT NULL"
            ),
            [pass.cursor],
            Age::read,
        )?;
        let Some((task, age)) = rows.first().copied() else {
            return Ok(true);
        };
        while age.has_gone(before) {
            let removed = self.run_once(
                "DELETE FROM journal WHERE task = ?1 AND seq IN (
                     SELECT seq FROM journal WHERE task = ?1 ORDER BY seq DESC LIMIT ?2)",
                (task, ENTRIES),
            )?;
            if removed == 0 {
                pass.removed.journals += 1;
                break;
            }
            if pass.is_over() {
                return Ok(false);
            }
        }
        pass.walk(rows, |_, _, age| Ok(age.fate(before)))
    }

    /// Removes tasks whose results and journals have gone, and of whose packets none is
    /// remembered any more.
    pub(super) fn remove_tasks(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let retention = self.kept();
        let kept = self.packet_rows().max(retention.results);
        let before = pass.before(kept.max(retention.journals));
        let rows = self.rows(
            &format!(
                "SELECT seq, state, ended, made, {IS_NEEDED}, account, origin FROM tasks t
                 WHERE seq > ?1 ORDER BY seq LIMIT ?2"
            ),
            (pass.cursor, LOOK),
            |row| Ok((Age::read(row)?, row.get(5)?, row.get(6)?)),
        )?;
        pass.walk(rows, |pass, task, (age, account, origin)| {
            // The last number is never given again.
            let is_last = task + 1 >= self.known.next_task;
            if age.has_gone(before) && !is_last {
                self.remove_task(task, age, account, origin)?;
                pass.removed.tasks += 1;
            }
            Ok(age.fate(before))
        })
    }

    fn remove_task(
        &mut self,
        task: i64,
        age: Age,
        account: i64,
        origin: i64,
    ) -> rusqlite::Result<()> {
        self.run_once("DELETE FROM failures WHERE task = ?1", [task])?;
        self.run_once("DELETE FROM past_failures WHERE task = ?1", [task])?;
        self.run_once("DELETE FROM decisions WHERE task = ?1", [task])?;
        self.run_once("DELETE FROM asked WHERE task = ?1", [task])?;
        self.run_once("DELETE FROM keeps WHERE task = ?1", [task])?;
        let was_shadow = self.run_once("DELETE FROM shadows WHERE task = ?1", [task])? > 0;
        self.run_once("DELETE FROM tasks WHERE seq = ?1", [task])?;
        let Some(origin) = origin_of(origin) else {
            return Ok(());
        };
        let counter = match age.state.and_then(state_of) {
            Some(State::Revoked) => revoked(origin),
            Some(State::Delivered) => failed(origin),
            _ => succeeded(origin),
        };
        self.books.count(account, removed(&counter));
        if was_shadow {
            self.books.count(account, removed(&shadow(origin)));
        }
        Ok(())
    }
}
