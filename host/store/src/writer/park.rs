//! Tasks that wait: for a moment, or for those that they called.
//!
//! A task waits for others as long as it has rows in `waits`. The commit that ends a called task
//! removes its row and, with the last one, has the caller go on: in one transaction, so that no
//! crash leaves a caller that waits for nothing. A called task that fails tells its caller, and is
//! not set aside; what becomes of it is decided there. A caller that asks anew for a task that
//! did not end well has it begin again, with the part of its journal that any attempt keeps.

use rusqlite::OptionalExtension;

use super::books::{failed, revoked};
use super::commit::{Becomes, waits_as};
use super::tasks::Behind;
use super::{Group, Writer};
use crate::error::StoreError;
use crate::open::{handlers, task_of};
use crate::options::MAX_DESCENDANTS;
use crate::queues::Change;
use crate::record::{Failure, Nanos, NewTask, Origin, State, Step, TaskId, Wait};
use crate::schedule::{Caller, OpenTask};
use crate::schema::{Moving, state_code, state_of};

impl Writer<'_> {
    /// Has a task wait. One that calls tasks which have all ended well goes on at once.
    pub(super) fn park(
        &mut self,
        group: &mut Group,
        becomes: &mut Becomes,
        on: Wait,
        (called, behind): (Vec<NewTask>, &Behind),
    ) -> Result<(), StoreError> {
        let task = &mut becomes.task;
        self.forget_waits(task.seq)?;
        let (due, waits) = match on {
            Wait::Until(moment) => (moment, true),
            Wait::Called => (Nanos::MAX, self.call(group, task, called, behind)?),
        };
        if !waits {
            task.due = group.now;
            return Ok(());
        }
        // At its deadline it is leased, and revoked for it.
        let last = task
            .deadline
            .map_or(Nanos::MAX, |deadline| deadline.saturating_add(1));
        task.due = due.min(last);
        becomes.state = State::Parked;
        Ok(())
    }

    /// Makes the tasks that a caller waits for; returns whether any has not ended well.
    fn call(
        &mut self,
        group: &mut Group,
        caller: &OpenTask,
        called: Vec<NewTask>,
        behind: &Behind,
    ) -> Result<bool, StoreError> {
        let behind = Behind {
            caller: Some(Caller::new(caller.id, caller.caller.clone())),
            ..behind.clone()
        };
        let mut waits = false;
        for task in called {
            let seq = match self.find_state(task.id)? {
                None => {
                    let seq = self.known.next_task;
                    self.make(group, task, &behind)?;
                    seq
                }
                Some((_, State::Success)) => continue,
                Some((seq, State::Pending | State::Retry | State::Parked)) => seq,
                Some((seq, State::Failure | State::Revoked | State::Delivered)) => {
                    if !self.begin_again(group, task.id, &behind)? {
                        continue;
                    }
                    seq
                }
            };
            self.sql.note_wait.execute((caller.seq, seq))?;
            waits = true;
        }
        Ok(waits)
    }

    fn find_state(&mut self, task: TaskId) -> rusqlite::Result<Option<(i64, State)>> {
        let found = self
            .sql
            .find_state
            .query_row([task.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.and_then(|(seq, state)| Some((seq, state_of(state)?))))
    }

    /// Has a called task begin again that did not end well; returns false where its row is
    /// damaged.
    fn begin_again(
        &mut self,
        group: &mut Group,
        id: TaskId,
        behind: &Behind,
    ) -> Result<bool, StoreError> {
        let handlers = handlers(self.connection)?;
        let Some((moving, mut task)) = task_of(self.connection, id, &handlers)?.flatten() else {
            return Ok(false);
        };
        let keep = self
            .sql
            .take_keep
            .query_row([task.seq], |row| row.get(0))
            .optional()?;
        self.uncount_end(&moving, &task);
        task.caller.clone_from(&behind.caller);
        self.resume(group, task, (keep.unwrap_or(0), None, None))?;
        Ok(true)
    }

    /// Takes back what was counted of the end of a task that goes on.
    pub(super) fn uncount_end(&mut self, moving: &Moving, task: &OpenTask) {
        let counter = match state_of(moving.state) {
            Some(State::Revoked) => revoked(task.origin),
            _ => failed(task.origin),
        };
        self.books.count_many(task.account, counter, -1);
        if moving.state != state_code(State::Failure) {
            self.known.descendants.begin(task.root);
        }
    }

    /// Notes how much of its journal a called task replays that is called again.
    pub(super) fn note_keep(&mut self, task: &OpenTask, keep: u32) -> rusqlite::Result<()> {
        if task.origin == Origin::Call {
            self.sql.note_keep.execute((task.seq, keep))?;
        }
        Ok(())
    }

    /// Checks that the tasks that are called and not known yet may be made.
    pub(super) fn check_called(&self, root: i64, called: &[NewTask]) -> Result<(), StoreError> {
        let descendants = &self.known.descendants;
        let Err(too_many) = descendants.check_more(root, called.len(), false) else {
            return Ok(());
        };
        if called.len() > MAX_DESCENDANTS {
            return Err(too_many);
        }
        let mut known = self
            .connection
            .prepare_cached("SELECT EXISTS(SELECT 1 FROM tasks WHERE id = ?1)")?;
        let mut fresh = 0;
        for task in called {
            let is_known: bool = known.query_row([task.id.0], |row| row.get(0))?;
            fresh += usize::from(!is_known);
        }
        descendants.check_more(root, fresh, false)
    }

    /// Finds who waits for a task that is about to end, and waits for it no more.
    pub(super) fn caller_told(
        &mut self,
        step: &Step,
        task: &OpenTask,
    ) -> rusqlite::Result<Option<i64>> {
        let ends = matches!(
            step,
            Step::Succeed { .. } | Step::Fail { .. } | Step::Revoke { .. }
        );
        if ends { self.end_wait(task) } else { Ok(None) }
    }

    /// Ends the wait for a task; returns the number of who waited.
    pub(super) fn end_wait(&mut self, task: &OpenTask) -> rusqlite::Result<Option<i64>> {
        if task.origin != Origin::Call {
            return Ok(None);
        }
        self.sql
            .end_wait
            .query_row([task.seq], |row| row.get(0))
            .optional()
    }

    /// Has a caller go on if all that it waited for has ended.
    pub(super) fn wake(&mut self, group: &mut Group, caller: i64) -> Result<(), StoreError> {
        let waits = self.sql.has_waits.query_row([caller], |row| row.get(0))?;
        if waits {
            return Ok(());
        }
        let moving = self
            .sql
            .find_moving
            .query_row([caller], |row| Moving::read(row, caller, 0))
            .optional()?
            .flatten();
        let Some(moving) = moving else {
            tracing::error!(
                caller,
                "row of a task that waits is damaged; it does not go on"
            );
            return Ok(());
        };
        if moving.state != state_code(State::Parked) {
            return Ok(());
        }
        let state = waits_as(u32::from(moving.attempts > 0));
        let woken = Moving {
            state: state_code(state),
            due: group.now,
            ..moving
        };
        self.move_task(caller, &woken)?;
        group.changes.push(Change::Woken(caller));
        Ok(())
    }

    /// Revokes what a task called that will not go on, what that called, and so on.
    pub(super) fn revoke_called(
        &mut self,
        group: &mut Group,
        caller: i64,
    ) -> Result<(), StoreError> {
        let mut called = self.forget_waits(caller)?;
        if called.is_empty() {
            return Ok(());
        }
        let handlers = handlers(self.connection)?;
        while let Some(seq) = called.pop() {
            let id = self.sql.find_id.query_row([seq], |row| row.get(0));
            let Some((moving, task)) = task_of(self.connection, TaskId(id?), &handlers)?.flatten()
            else {
                continue;
            };
            let reason = Failure {
                kind: "caller".to_owned(),
                message: "the task that called it was ended".to_owned(),
                detail: None,
            };
            match self.seize(group, &task) {
                Some(lease) => self.ask_to_end(group, task.seq, lease, reason)?,
                None => {
                    called.extend(self.forget_waits(seq)?);
                    self.end_waiting(group, moving, &task, &reason)?;
                }
            }
        }
        Ok(())
    }

    /// Has a task wait for nothing any more; returns what it waited for.
    fn forget_waits(&mut self, caller: i64) -> rusqlite::Result<Vec<i64>> {
        let rows = self.sql.end_waits.query_map([caller], |row| row.get(0))?;
        rows.collect()
    }
}
