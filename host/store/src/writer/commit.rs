//! What workers commit: journals, outcomes, values and children.

use rusqlite::params;

use super::books::{failed, revoked, shadow, succeeded};
use super::tasks::Behind;
use super::{CommitAnswers, Group, Writer, Written};
use crate::error::StoreError;
use crate::event::{EventKind, Ran};
use crate::limits::check_length;
use crate::options::{MAX_JOURNAL_BYTES, MAX_JOURNAL_ENTRIES};
use crate::queues::Change;
use crate::record::{Commit, Failure, JournalEntry, Nanos, State, Step, Wait};
use crate::schedule::{Leased, OpenTask, Tally};
use crate::schema::{Moving, column, length_column, seal_of, state_code};

/// Longest message of a failure that is kept, bytes.
const MAX_MESSAGE: usize = 4 * 1024;
/// Longest detail of a failure that is kept, bytes.
const MAX_DETAIL: usize = 64 * 1024;

/// Most failures of a task that are kept beside those since it last began.
const MOST_PAST: u32 = 20;

/// What this group did under a lease before.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// It noted entries: the task as it stands now.
    Noted(OpenTask),
    /// It ended the lease.
    Ended,
}

/// What becomes of a task.
pub(super) struct Becomes {
    pub(super) state: State,
    ended: Option<Nanos>,
    pub(super) task: OpenTask,
}

impl Writer<'_> {
    pub(super) fn apply_commits(
        &mut self,
        group: &mut Group,
        commits: Vec<Commit>,
    ) -> Written<CommitAnswers> {
        let mut answers = Vec::with_capacity(commits.len());
        for commit in commits {
            answers.push(match self.admit(group, &commit) {
                Ok(leased) => {
                    self.write(group, commit, leased)?;
                    Ok(())
                }
                Err(refused) => Err(refused),
            });
        }
        Ok(Ok(answers))
    }

    /// Checks the token and the journal's bounds; returns what is held, with the journal and
    /// the CPU time of this commit counted in.
    fn admit(&self, group: &Group, commit: &Commit) -> Result<Leased, StoreError> {
        let fenced = StoreError::Fenced { task: commit.task };
        if commit.token.incarnation != self.shared.incarnation {
            return Err(fenced);
        }
        let lease = commit.token.lease;
        let Some(mut leased) = self.shared.queues.leased(lease, commit.task) else {
            return Err(fenced);
        };
        match group.leases.get(&lease) {
            Some(Progress::Ended) => return Err(fenced),
            Some(Progress::Noted(task)) => leased.task = task.clone(),
            None => {}
        }
        let task = &mut leased.task;
        task.journal = grown(task.journal, &commit.journal);
        task.cpu = task.cpu.saturating_add(commit.cpu);
        check_length(
            "the entries of a journal",
            task.journal.entries,
            MAX_JOURNAL_ENTRIES,
        )?;
        check_length("a journal", task.journal.bytes, MAX_JOURNAL_BYTES)?;
        if !commit.spawns.is_empty() {
            let descendants = &self.known.descendants;
            match commit.step {
                Step::Succeed { .. } => {
                    descendants.check_more(task.root, commit.spawns.len(), true)?;
                }
                Step::Park { .. } => self.check_called(task.root, &commit.spawns)?,
                _ => {}
            }
        }
        Ok(leased)
    }

    fn write(
        &mut self,
        group: &mut Group,
        mut commit: Commit,
        leased: Leased,
    ) -> Result<(), StoreError> {
        let Leased { task, since, .. } = leased;
        self.heed_revocation(&mut commit.step, task.seq)?;
        let caller = self.caller_told(&commit.step, &task)?;
        let goes_on = match commit.step {
            Step::Succeed { .. } | Step::Revoke { .. } => false,
            Step::Fail { .. } => caller.is_none(),
            _ => true,
        };
        self.write_journal(group, &commit, task.seq, goes_on)?;
        if matches!(commit.step, Step::Succeed { .. }) {
            self.write_values(&task.handler.plugin, &commit.kv)?;
        }
        let behind = Behind {
            packet: None,
            account: task.account,
            root: Some(task.root),
            is_asked: task.is_asked,
            caller: None,
        };
        let mut becomes = self.step(group, &commit.step, task)?;
        if caller.is_some() && becomes.state == State::Failure {
            becomes.state = State::Delivered;
        }
        let spawns = std::mem::take(&mut commit.spawns);
        let spawned = match commit.step {
            Step::Park { on } => {
                self.park(group, &mut becomes, on, (spawns, &behind))?;
                Vec::new()
            }
            Step::Succeed { .. } => spawns,
            _ => Vec::new(),
        };
        let has_journal = becomes.task.journal.entries > 0;
        becomes.task.pinned = has_journal.then(|| Box::new(commit.version));
        if !goes_on {
            self.known.descendants.end(becomes.task.root);
        }
        self.update(&commit, since, &becomes)?;
        if commit.is_shadow && self.sql.note_shadow.execute([becomes.task.seq])? > 0 {
            let task = &becomes.task;
            self.books.count(task.account, shadow(task.origin));
        }
        if let Some(kind) = kind_of(&commit.step) {
            let ran = Ran {
                cpu: commit.cpu,
                since,
                is_shadow: commit.is_shadow,
            };
            group.tell_of_task(kind, &becomes.task, Some(ran));
        }
        if matches!(commit.step, Step::Fail { .. } | Step::Revoke { .. }) {
            self.note_keep(&becomes.task, commit.keep)?;
            self.revoke_called(group, becomes.task.seq)?;
        }
        publish(group, &commit, becomes);
        for task in spawned {
            self.make(group, task, &behind)?;
        }
        caller.map_or(Ok(()), |caller| self.wake(group, caller))
    }

    fn write_journal(
        &mut self,
        group: &Group,
        commit: &Commit,
        task: i64,
        goes_on: bool,
    ) -> Result<(), StoreError> {
        for entry in &commit.journal {
            let bytes = entry.bytes.as_ref();
            let seal = seal_of(i64::from(entry.seq), bytes);
            self.sql
                .insert_journal
                .execute((task, entry.seq, bytes, seal))?;
        }
        for digest in &commit.blobs {
            if self.mention(digest, group.now)? && goes_on {
                self.sql.note_mention.execute((task, digest))?;
            }
        }
        Ok(())
    }

    /// Has a task end that was to be revoked, and would go on or be set aside.
    fn heed_revocation(&mut self, step: &mut Step, task: i64) -> rusqlite::Result<()> {
        if matches!(step, Step::Note) {
            return Ok(());
        }
        let Some(reason) = self.known.revocations.remove(&task) else {
            return Ok(());
        };
        self.sql.forget_revocation.execute([task])?;
        if !matches!(step, Step::Succeed { .. }) {
            *step = Step::Revoke { reason };
        }
        Ok(())
    }

    /// Writes what belongs to the step; returns what becomes of the task.
    fn step(
        &mut self,
        group: &Group,
        step: &Step,
        mut task: OpenTask,
    ) -> Result<Becomes, StoreError> {
        let mut state = waits_as(task.attempts);
        match step {
            // The rest is decided where it is known what it waits for.
            Step::Note | Step::Park { .. } => {}
            Step::GiveBack { due } => task.due = *due,
            Step::Succeed { result } => {
                if let Some(bytes) = result {
                    let seal = seal_of(task.seq, bytes);
                    self.sql
                        .insert_result
                        .execute((task.seq, bytes.as_ref(), seal))?;
                }
                self.books.count(task.account, succeeded(task.origin));
                task.attempts += 1;
                state = State::Success;
            }
            Step::Retry { due, failure, keep } => {
                task.attempts += 1;
                self.write_failure(group, &task, failure)?;
                task.due = *due;
                task.journal = self.cut(task.seq, task.journal, *keep)?;
                state = State::Retry;
            }
            Step::Fail { failure } => {
                task.attempts += 1;
                self.write_failure(group, &task, failure)?;
                self.books.count(task.account, failed(task.origin));
                state = State::Failure;
            }
            Step::Revoke { reason } => {
                self.write_failure(group, &task, reason)?;
                self.books.count(task.account, revoked(task.origin));
                state = State::Revoked;
            }
        }
        let has_ended = !matches!(state, State::Pending | State::Retry | State::Parked);
        Ok(Becomes {
            state,
            ended: has_ended.then_some(group.now),
            task,
        })
    }

    /// Drops the journal's entries from `keep` on.
    fn cut(&mut self, task: i64, journal: Tally, keep: u32) -> rusqlite::Result<Tally> {
        let entries = usize::try_from(keep).unwrap_or(usize::MAX);
        if journal.entries <= entries {
            return Ok(journal);
        }
        self.sql.cut_journal.execute((task, keep))?;
        if entries == 0 {
            return Ok(Tally::default());
        }
        self.tally(task)
    }

    pub(super) fn write_failure(
        &mut self,
        group: &Group,
        task: &OpenTask,
        failure: &Failure,
    ) -> rusqlite::Result<()> {
        // A task that is revoked while it waits for another attempt has a word on the last one.
        self.keep_failures(task.seq, task.attempts)?;
        self.sql.insert_failure.execute(params![
            task.seq,
            task.attempts,
            group.now,
            cut_text(&failure.kind, MAX_MESSAGE),
            cut_text(&failure.message, MAX_MESSAGE),
            failure
                .detail
                .as_deref()
                .map(|detail| cut_text(detail, MAX_DETAIL)),
        ])?;
        Ok(())
    }

    /// Keeps failures beside those that say how the task stands, from an attempt on.
    pub(super) fn keep_failures(&mut self, task: i64, from: u32) -> rusqlite::Result<()> {
        if self.sql.keep_failures.execute((task, from))? > 0 {
            self.sql.cut_past_failures.execute((task, MOST_PAST))?;
        }
        Ok(())
    }

    fn update(
        &mut self,
        commit: &Commit,
        started: Nanos,
        becomes: &Becomes,
    ) -> rusqlite::Result<()> {
        let task = &becomes.task;
        let moving = Moving {
            state: state_code(becomes.state),
            due: task.due,
            attempts: i64::from(task.attempts),
            started: Some(started),
            ended: becomes.ended,
            cpu: column(task.cpu),
            version: Some(commit.version),
            journal: length_column(task.journal.entries),
            journal_bytes: length_column(task.journal.bytes),
        };
        self.move_task(task.seq, &moving)
    }

    /// Writes what changes in the life of a task, with its seal.
    pub(super) fn move_task(&mut self, task: i64, moving: &Moving) -> rusqlite::Result<()> {
        self.sql.update_task.execute(params![
            task,
            moving.state,
            moving.due,
            moving.attempts,
            moving.started,
            moving.ended,
            moving.cpu,
            moving.version,
            moving.journal,
            moving.journal_bytes,
            moving.seal(task),
        ])?;
        Ok(())
    }
}

/// Returns what is told of a step, where anything is.
fn kind_of(step: &Step) -> Option<EventKind> {
    match step {
        Step::Note | Step::GiveBack { .. } => None,
        Step::Park { .. } => Some(EventKind::Parked),
        Step::Succeed { .. } => Some(EventKind::Succeeded),
        Step::Retry { .. } => Some(EventKind::Retry),
        Step::Fail { .. } => Some(EventKind::SetAside),
        Step::Revoke { .. } => Some(EventKind::Revoked),
    }
}

/// Notes what changes in the schedule when the group is on disk.
fn publish(group: &mut Group, commit: &Commit, becomes: Becomes) {
    let Becomes { state, task, .. } = becomes;
    let lease = commit.token.lease;
    let (progress, change) = match &commit.step {
        Step::Note => (Progress::Noted(task.clone()), Change::Noted { lease, task }),
        Step::Succeed { .. } | Step::Fail { .. } | Step::Revoke { .. } => {
            (Progress::Ended, Change::Ended { lease })
        }
        Step::Park { on: Wait::Until(_) } => (Progress::Ended, Change::Sleeps { lease, task }),
        Step::Park { on: Wait::Called } if state == State::Parked => {
            (Progress::Ended, Change::Parked { lease, task })
        }
        Step::Retry { .. } | Step::GiveBack { .. } | Step::Park { .. } => {
            (Progress::Ended, Change::Returned { lease, task })
        }
    };
    group.leases.insert(lease, progress);
    group.changes.push(change);
}

/// Where a task is that waits for a slot.
pub(super) const fn waits_as(attempts: u32) -> State {
    if attempts == 0 {
        State::Pending
    } else {
        State::Retry
    }
}

/// Returns how long a journal is with more entries. Bytes of replaced entries count on.
fn grown(tally: Tally, entries: &[JournalEntry]) -> Tally {
    entries.iter().fold(tally, |tally, entry| {
        let position = usize::try_from(entry.seq).unwrap_or(usize::MAX);
        Tally {
            entries: tally.entries.max(position.saturating_add(1)),
            bytes: tally.bytes.saturating_add(entry.bytes.len()),
        }
    })
}

/// Cuts a text at a character's end.
fn cut_text(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}
