//! What workers commit: journals, outcomes, values and children.

use rusqlite::params;

use super::books::{failed, succeeded};
use super::tasks::Behind;
use super::{CommitAnswers, Group, Reply, Writer, answer};
use crate::error::StoreError;
use crate::limits::check_length;
use crate::options::{MAX_JOURNAL_BYTES, MAX_JOURNAL_ENTRIES};
use crate::queues::Change;
use crate::record::{Commit, Failure, JournalEntry, Nanos, State, Step};
use crate::schedule::{Leased, OpenTask, Tally};
use crate::schema::{column, length_column, seal_of, state_code};

/// Longest message of a failure that is kept, bytes.
const MAX_MESSAGE: usize = 4 * 1024;
/// Longest detail of a failure that is kept, bytes.
const MAX_DETAIL: usize = 64 * 1024;

/// What this group did under a lease before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// It noted entries.
    Noted(Tally),
    /// It ended the lease.
    Ended,
}

/// The moving columns of a task.
struct Moving {
    state: State,
    due: Nanos,
    attempts: u32,
    ended: Option<Nanos>,
    journal: Tally,
}

impl Writer<'_> {
    pub(super) fn apply_commits(
        &mut self,
        group: &mut Group,
        commits: Vec<Commit>,
        reply: Reply<CommitAnswers>,
    ) -> Result<(), StoreError> {
        let mut answers = Vec::with_capacity(commits.len());
        for commit in commits {
            answers.push(match self.admit(group, &commit) {
                Ok((leased, journal)) => {
                    self.write(group, commit, &leased, journal)?;
                    Ok(())
                }
                Err(refused) => Err(refused),
            });
        }
        group.answers.push(answer(reply, Ok(answers)));
        Ok(())
    }

    /// Checks the token and the journal's bounds; returns what is held and how long its journal
    /// will be.
    fn admit(&self, group: &Group, commit: &Commit) -> Result<(Leased, Tally), StoreError> {
        let fenced = StoreError::Fenced { task: commit.task };
        if commit.token.incarnation != self.shared.incarnation {
            return Err(fenced);
        }
        let lease = commit.token.lease;
        let Some(leased) = self.shared.queues.leased(lease, commit.task) else {
            return Err(fenced);
        };
        let tally = match group.leases.get(&lease) {
            Some(Progress::Ended) => return Err(fenced),
            Some(Progress::Noted(tally)) => *tally,
            None => leased.task.journal,
        };
        let tally = grown(tally, &commit.journal);
        check_length(
            "the entries of a journal",
            tally.entries,
            MAX_JOURNAL_ENTRIES,
        )?;
        check_length("a journal", tally.bytes, MAX_JOURNAL_BYTES)?;
        Ok((leased, tally))
    }

    fn write(
        &mut self,
        group: &mut Group,
        commit: Commit,
        leased: &Leased,
        journal: Tally,
    ) -> Result<(), StoreError> {
        let seq = leased.task.seq;
        for entry in &commit.journal {
            let bytes = entry.bytes.as_ref();
            let seal = seal_of(i64::from(entry.seq), bytes);
            self.sql
                .insert_journal
                .execute((seq, entry.seq, bytes, seal))?;
        }
        for digest in &commit.blobs {
            self.mention(digest, group.now)?;
        }
        let moving = self.step(group, &commit, &leased.task, journal)?;
        self.update(&commit, leased, &moving)?;
        self.publish(group, &commit, &leased.task, &moving);
        if matches!(commit.step, Step::Succeed { .. }) {
            self.write_values(&commit, &leased.task)?;
            let behind = Behind {
                packet: None,
                account: leased.task.account,
            };
            for task in commit.spawns {
                self.make(group, task, behind)?;
            }
        }
        Ok(())
    }

    /// Writes what belongs to the step; returns what becomes of the task.
    fn step(
        &mut self,
        group: &Group,
        commit: &Commit,
        task: &OpenTask,
        journal: Tally,
    ) -> Result<Moving, StoreError> {
        let goes_on = if task.attempts == 0 {
            State::Pending
        } else {
            State::Retry
        };
        let mut moving = Moving {
            state: goes_on,
            due: task.due,
            attempts: task.attempts,
            ended: None,
            journal,
        };
        match &commit.step {
            Step::Note => {}
            Step::GiveBack { due } => moving.due = *due,
            Step::Succeed { result } => {
                if let Some(bytes) = result {
                    let seal = seal_of(task.seq, bytes);
                    self.sql
                        .insert_result
                        .execute((task.seq, bytes.as_ref(), seal))?;
                }
                self.books.count(task.account, succeeded(task.origin));
                moving.state = State::Success;
                moving.attempts += 1;
                moving.ended = Some(group.now);
            }
            Step::Retry { due, failure, keep } => {
                moving.attempts += 1;
                self.write_failure(group, task, moving.attempts, failure)?;
                moving.state = State::Retry;
                moving.due = *due;
                moving.journal = self.cut(task.seq, journal, *keep)?;
            }
            Step::Fail { failure } => {
                moving.attempts += 1;
                self.write_failure(group, task, moving.attempts, failure)?;
                self.books.count(task.account, failed(task.origin));
                moving.state = State::Failure;
                moving.ended = Some(group.now);
            }
        }
        Ok(moving)
    }

    /// Drops the journal's entries from `keep` on.
    fn cut(&mut self, task: i64, journal: Tally, keep: u32) -> rusqlite::Result<Tally> {
        let entries = usize::try_from(keep).unwrap_or(usize::MAX);
        if journal.entries <= entries {
            return Ok(journal);
        }
        self.sql.cut_journal.execute((task, keep))?;
        let bytes = if entries == 0 { 0 } else { journal.bytes };
        Ok(Tally { entries, bytes })
    }

    fn write_failure(
        &mut self,
        group: &Group,
        task: &OpenTask,
        attempt: u32,
        failure: &Failure,
    ) -> rusqlite::Result<()> {
        self.sql.insert_failure.execute(params![
            task.seq,
            attempt,
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

    fn update(
        &mut self,
        commit: &Commit,
        leased: &Leased,
        moving: &Moving,
    ) -> rusqlite::Result<()> {
        self.sql.update_task.execute(params![
            leased.task.seq,
            state_code(moving.state),
            moving.due,
            moving.attempts,
            leased.since,
            moving.ended,
            column(commit.cpu),
            commit.version,
            length_column(moving.journal.entries),
            length_column(moving.journal.bytes),
        ])?;
        Ok(())
    }

    fn publish(&self, group: &mut Group, commit: &Commit, task: &OpenTask, moving: &Moving) {
        let lease = commit.token.lease;
        let change = match &commit.step {
            Step::Note => Change::Noted {
                lease,
                journal: moving.journal,
                version: commit.version,
            },
            Step::Succeed { .. } | Step::Fail { .. } => Change::Ended { lease },
            Step::Retry { .. } | Step::GiveBack { .. } => {
                let mut task = task.clone();
                task.due = moving.due;
                task.attempts = moving.attempts;
                task.journal = moving.journal;
                task.pinned = (moving.journal.entries > 0).then_some(commit.version);
                Change::Returned { lease, task }
            }
        };
        let progress = match change {
            Change::Noted { journal, .. } => Progress::Noted(journal),
            _ => Progress::Ended,
        };
        group.leases.insert(lease, progress);
        group.changes.push(change);
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
