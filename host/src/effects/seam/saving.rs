//! How a run's journal reaches the disk while the run goes on.
//!
//! What was handed to the broker and is not yet known to be on disk stays in the seam: a run
//! that is ended in the middle of a wait loses no entry, and what the broker did not keep goes
//! along with the next commit.

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::{Seam, SeamError};
use crate::broker::{Answer, BrokerError, Commit, JournalEntry, Step};
use crate::effects::driver::{Driver, LiveRun};

/// Entries up to so many bytes are written a second time rather than waited for.
const SMALL: usize = 4 << 10;

/// Entries on their way to the disk.
pub(super) struct Noting {
    commit: Answer<'static, Vec<Result<(), BrokerError>>>,
    seqs: Vec<u32>,
    bytes: usize,
}

impl Seam {
    /// Writes what is not on disk yet, and waits for it.
    pub(super) async fn save(&mut self) -> Result<(), SeamError> {
        if let Some(noting) = self.noting.take_if(|noting| noting.bytes <= SMALL) {
            // It goes along once more, so that one wait is enough.
            self.journal.put_back(noting.seqs);
        }
        self.settle_noting().await?;
        self.hand_over();
        self.settle_noting().await?;
        Ok(())
    }

    /// Hands what is not on disk yet to the next group commit, and does not wait for it.
    ///
    /// # Errors
    /// Only those after which nothing can be written.
    pub(super) fn save_unawaited(&mut self) -> Result<(), SeamError> {
        if self.is_noting()? {
            return Ok(()); // What is unsaved goes with the next commit.
        }
        self.hand_over();
        self.is_noting()?;
        Ok(())
    }

    /// Waits for what is on its way to the disk.
    pub(super) async fn settle_noting(&mut self) -> Result<(), BrokerError> {
        let Some(noting) = &mut self.noting else {
            return Ok(());
        };
        let answers = noting.commit.as_mut().await;
        self.noted(answers)
    }

    /// Looks whether something is on its way to the disk, and pushes it on.
    fn is_noting(&mut self) -> Result<bool, SeamError> {
        let Some(noting) = &mut self.noting else {
            return Ok(false);
        };
        let Some(answers) = noting.commit.as_mut().now_or_never() else {
            return Ok(true);
        };
        match self.noted(answers) {
            Err(error @ BrokerError::Fenced { .. }) => Err(error.into()),
            // It was put back, and the next commit has another chance.
            Err(_) | Ok(()) => Ok(false),
        }
    }

    fn noted(&mut self, answers: Vec<Result<(), BrokerError>>) -> Result<(), BrokerError> {
        let noted = answers.into_iter().collect::<Result<(), _>>();
        if let Some(noting) = self.noting.take()
            && noted.is_err()
        {
            self.journal.put_back(noting.seqs);
        }
        noted
    }

    /// Makes a commit of the entries that are not on disk; none in a dry run.
    fn hand_over(&mut self) {
        let Driver::Live(live) = &self.driver else {
            return;
        };
        let journal = self.journal.take_unsaved();
        if journal.is_empty() {
            return;
        }
        let seqs = journal.iter().map(|entry| entry.seq).collect();
        let bytes = journal.iter().map(|entry| entry.bytes.len()).sum();
        let commit = note_of(live, journal, self.committed.blobs.clone());
        let broker = Arc::clone(&live.world.broker);
        self.noting = Some(Noting {
            commit: Box::pin(async move { broker.commit(vec![commit]).await }),
            seqs,
            bytes,
        });
    }
}

fn note_of(live: &LiveRun, journal: Vec<JournalEntry>, blobs: Vec<[u8; 32]>) -> Commit {
    Commit {
        journal,
        blobs,
        ..Commit::bare(live.task, live.token, *live.version.as_bytes(), Step::Note)
    }
}
