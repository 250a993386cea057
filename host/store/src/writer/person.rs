//! What a person asks for while the store is open.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::books::{failed, revoked};
use super::commit::Progress;
use super::{Group, PersonOp, Writer, Written, settle};
use crate::action::{Acted, TaskAction, reason};
use crate::error::StoreError;
use crate::event::EventKind;
use crate::open::{handlers, pauses_of, task_of};
use crate::pause::{Pause, Scope};
use crate::queues::Change;
use crate::record::{Failure, State, TaskId};
use crate::schedule::{OpenTask, Seized};
use crate::schema::{Moving, pause_seal, state_code, state_of, unsigned32};

/// Most pauses at once: each is looked at where a handler has a first task.
const MOST_PAUSES: usize = 1_000;

/// Why a person ended a task, for the machine.
const BY_HAND: &str = "by-hand";

/// Reads why tasks that run are to be revoked.
pub(super) fn revocations(connection: &Connection) -> rusqlite::Result<HashMap<i64, Failure>> {
    let mut statement = connection.prepare("SELECT task, kind, message FROM revocations")?;
    let rows = statement.query_map([], |row| {
        let reason = Failure {
            kind: row.get(1)?,
            message: row.get(2)?,
            detail: None,
        };
        Ok((row.get(0)?, reason))
    })?;
    rows.collect()
}

impl Writer<'_> {
    pub(super) fn apply_person(
        &mut self,
        group: &mut Group,
        op: PersonOp,
    ) -> Result<(), StoreError> {
        match op {
            PersonOp::Pause { pause, reply } => {
                let written = self.apply_pause(group, pause);
                settle(group, reply, written)
            }
            PersonOp::Act {
                tasks,
                action,
                who,
                reply,
            } => {
                let written = self.apply_act(group, &tasks, action, &who);
                settle(group, reply, written)
            }
            PersonOp::Move {
                task,
                looked,
                onto,
                what,
                who,
                reply,
            } => {
                let by = (what.as_str(), who.as_str());
                let written = self.apply_move(group, task, (looked, onto), by);
                settle(group, reply, written)
            }
            PersonOp::Dispatch { packet, reply } => {
                let counted = self.count_dispatch(packet);
                settle(group, reply, counted)
            }
            PersonOp::Unpause { scope, reply } => {
                let written = self.apply_unpause(group, scope);
                settle(group, reply, written)
            }
        }
    }

    /// Counts a dispatch of a packet; returns its number.
    fn count_dispatch(&mut self, packet: i64) -> Written<u32> {
        let account: Option<i64> = self
            .sql
            .packet_account
            .query_row([packet], |row| row.get(0))
            .optional()?;
        if account.is_none() {
            let what = format!("packet {packet}");
            return Ok(Err(StoreError::Unknown { what }));
        }
        let last = self
            .sql
            .count_dispatch
            .query_row([packet], |row| row.get(0))?;
        Ok(Ok(unsigned32(last)))
    }

    fn apply_act(
        &mut self,
        group: &mut Group,
        tasks: &[TaskId],
        action: TaskAction,
        who: &str,
    ) -> Written<Vec<Acted>> {
        let handlers = handlers(self.connection)?;
        let mut acted = Vec::with_capacity(tasks.len());
        for id in tasks {
            acted.push(match task_of(self.connection, *id, &handlers)? {
                Some(Some((moving, task))) => self.act(group, (moving, task), action, who)?,
                Some(None) => Acted::Damaged,
                None => Acted::Unknown,
            });
        }
        Ok(Ok(acted))
    }

    fn act(
        &mut self,
        group: &mut Group,
        (moving, task): (Moving, OpenTask),
        action: TaskAction,
        who: &str,
    ) -> Result<Acted, StoreError> {
        let Some(state) = state_of(moving.state) else {
            return Ok(Acted::Damaged);
        };
        let seq = task.seq;
        let acted = self.act_in(group, (moving, state, task), action, who)?;
        if matches!(acted, Acted::Done(_) | Acted::Asked) {
            let what = match action {
                TaskAction::Restart => "restarted",
                TaskAction::Drop => "dropped",
                TaskAction::Revoke => "revoked",
            };
            self.note_decision(group, seq, (what, who))?;
        }
        Ok(acted)
    }

    fn act_in(
        &mut self,
        group: &mut Group,
        (moving, state, task): (Moving, State, OpenTask),
        action: TaskAction,
        who: &str,
    ) -> Result<Acted, StoreError> {
        match (action, state) {
            (TaskAction::Restart, State::Failure | State::Delivered) => {
                self.uncount_end(&moving, &task);
                self.restart(group, task)
            }
            (TaskAction::Restart, State::Parked) if self.waits_for_others(task.seq)? => {
                Ok(Acted::Not(state))
            }
            (TaskAction::Restart, State::Retry | State::Parked) => match self.seize(group, &task) {
                Some(_lease) => Ok(Acted::Runs),
                None => self.restart(group, task),
            },
            (TaskAction::Drop, State::Failure) => {
                self.books.count_many(task.account, failed(task.origin), -1);
                self.end(group, (moving, task), ("dropped", "dropped", who))
            }
            (TaskAction::Revoke, State::Failure) => {
                self.books.count_many(task.account, failed(task.origin), -1);
                self.end(group, (moving, task), (BY_HAND, "revoked", who))
            }
            (TaskAction::Revoke, State::Pending | State::Retry | State::Parked) => {
                match self.seize(group, &task) {
                    Some(lease) => self.ask_to_revoke(group, &task, lease, who),
                    None => self.end(group, (moving, task), (BY_HAND, "revoked", who)),
                }
            }
            (_, state) => Ok(Acted::Not(state)),
        }
    }

    /// Takes an open task out of the schedule; returns the lease under which it runs, if it does.
    pub(super) fn seize(&self, group: &mut Group, task: &OpenTask) -> Option<u64> {
        let seized = self.shared.queues.seize(task);
        Self::taken(group, task, seized)
    }

    /// Takes an open task out of the schedule for a moment: its turn goes on. Returns the lease
    /// under which it runs, if it does.
    pub(super) fn borrow(&self, group: &mut Group, task: &OpenTask) -> Option<u64> {
        let seized = self.shared.queues.borrow(task);
        Self::taken(group, task, seized)
    }

    fn taken(group: &mut Group, task: &OpenTask, seized: Seized) -> Option<u64> {
        match seized {
            Seized::Waited(found) => {
                group.seized.push(found);
                None
            }
            Seized::Runs(lease) if !matches!(group.leases.get(&lease), Some(Progress::Ended)) => {
                Some(lease)
            }
            // It comes into the schedule with this group.
            Seized::Runs(_) | Seized::Nowhere => {
                group.changes.push(Change::Removed(task.clone()));
                None
            }
        }
    }

    fn restart(&mut self, group: &mut Group, mut task: OpenTask) -> Result<Acted, StoreError> {
        task.pinned = None;
        self.resume(group, task, (0, None, None))?;
        Ok(Acted::Done(State::Pending))
    }

    fn waits_for_others(&mut self, task: i64) -> rusqlite::Result<bool> {
        self.sql.has_waits.query_row([task], |row| row.get(0))
    }

    /// Ends a task that neither runs nor waits in the schedule any more, and what it called.
    fn end(
        &mut self,
        group: &mut Group,
        (moving, task): (Moving, OpenTask),
        (kind, verb, who): (&str, &str, &str),
    ) -> Result<Acted, StoreError> {
        let before = self
            .sql
            .find_failure
            .query_row((task.seq, task.attempts), |row| {
                Ok(Failure {
                    kind: row.get(0)?,
                    message: row.get(1)?,
                    detail: row.get(2)?,
                })
            })
            .optional()?;
        let asked = self.known.revocations.remove(&task.seq);
        if asked.is_some() {
            self.sql.forget_revocation.execute([task.seq])?;
        }
        let reason = asked.unwrap_or_else(|| reason(kind, verb, who, before));
        let caller = self.end_wait(&task)?;
        self.end_waiting(group, moving, &task, &reason)?;
        self.revoke_called(group, task.seq)?;
        if let Some(caller) = caller {
            self.wake(group, caller)?;
        }
        Ok(Acted::Done(State::Revoked))
    }

    /// Writes the end of a task that does not run; all of its journal is good for another attempt.
    pub(super) fn end_waiting(
        &mut self,
        group: &mut Group,
        moving: Moving,
        task: &OpenTask,
        reason: &Failure,
    ) -> Result<(), StoreError> {
        self.write_failure(group, task, reason)?;
        self.note_keep(task, u32::MAX)?;
        self.books.count(task.account, revoked(task.origin));
        let ended = Moving {
            state: state_code(State::Revoked),
            ended: Some(group.now),
            ..moving
        };
        self.move_task(task.seq, &ended)?;
        self.known.descendants.end(task.root);
        group.tell_of_task(EventKind::Revoked, task, None);
        Ok(())
    }

    fn ask_to_revoke(
        &mut self,
        group: &mut Group,
        task: &OpenTask,
        lease: u64,
        who: &str,
    ) -> Result<Acted, StoreError> {
        let reason = reason(BY_HAND, "revoked", who, None);
        self.ask_to_end(group, task.seq, lease, reason)?;
        Ok(Acted::Asked)
    }

    /// Notes that a task that runs is to be revoked, over a crash too, and tells its worker.
    pub(super) fn ask_to_end(
        &mut self,
        group: &mut Group,
        task: i64,
        lease: u64,
        reason: Failure,
    ) -> rusqlite::Result<()> {
        self.sql
            .note_revocation
            .execute((task, &reason.kind, &reason.message))?;
        self.known.revocations.insert(task, reason.clone());
        group.changes.push(Change::ToRevoke { lease, reason });
        Ok(())
    }

    fn apply_pause(&mut self, group: &mut Group, mut pause: Pause) -> Written<Pause> {
        pause.since = group.now;
        self.sql.forget_pauses.execute([group.now])?;
        let pauses = pauses_of(self.connection)?;
        let is_other = |known: &Option<Pause>| {
            let known = known.as_ref().map(|known| &known.scope);
            known != Some(&pause.scope)
        };
        let others = pauses.iter().filter(|known| is_other(known)).count();
        // Who stops everything is in need; a pause that takes another's place adds none.
        let is_more = others == pauses.len() && pause.scope != Scope::All;
        if is_more && others >= MOST_PAUSES {
            return Ok(Err(StoreError::TooLarge {
                what: "a number of pauses",
                length: others + 1,
                limit: MOST_PAUSES,
                advice: "pause queues, or everything, instead of single handlers",
            }));
        }
        self.write_pause(&pause)?;
        group.changes.push(Change::Paused {
            scope: pause.scope.clone(),
            until: pause.until,
        });
        Ok(Ok(pause))
    }

    fn write_pause(&mut self, pause: &Pause) -> rusqlite::Result<()> {
        let (kind, name, handler) = pause.scope.columns();
        let Pause {
            since, until, who, ..
        } = pause;
        let seal = pause_seal(pause);
        self.sql
            .set_pause
            .execute((kind, name, handler, since, until, who, seal))?;
        Ok(())
    }

    fn apply_unpause(&mut self, group: &mut Group, scope: Scope) -> Written<bool> {
        let (kind, name, handler) = scope.columns();
        let mut has_ended = self.sql.end_pause.execute((kind, name, handler))? > 0;
        if scope == Scope::All {
            has_ended |= self.forget_damaged_pauses()?;
        }
        group.changes.push(Change::Unpaused(scope));
        Ok(Ok(has_ended))
    }

    /// Removes the rows that are damaged, which pause everything.
    fn forget_damaged_pauses(&mut self) -> rusqlite::Result<bool> {
        let rows = pauses_of(self.connection)?;
        if rows.iter().all(Option::is_some) {
            return Ok(false);
        }
        self.connection.execute("DELETE FROM pauses", [])?;
        for pause in rows.into_iter().flatten() {
            self.write_pause(&pause)?;
        }
        Ok(true)
    }
}
