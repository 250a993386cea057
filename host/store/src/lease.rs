//! Leasing: taking a task from the schedule and loading what it is run on.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::Inner;
use crate::cache::Key;
use crate::error::StoreError;
use crate::reader::Reader;
use crate::record::{Commit, Failure, Input, JournalEntry, Lease, RetryPolicy, Step, Token};
use crate::schedule::OpenTask;
use crate::writer::{Op, Request};

/// How long a task waits whose input cannot be read just now.
const UNREADABLE: Duration = Duration::from_secs(1);

impl Inner {
    /// Leases the next task of a queue.
    pub(crate) fn lease(&self, queue: &str, worker: u32) -> Result<Option<Lease>, StoreError> {
        let Some((lease, task)) = self.queues.lease(queue, worker)? else {
            return Ok(None);
        };
        let token = Token {
            incarnation: self.incarnation,
            lease,
        };
        match self.load(&task) {
            Ok((input, journal)) => Ok(Some(grant(&task, token, input, journal))),
            Err(
                error @ (StoreError::Corrupt { .. }
                | StoreError::Unknown { .. }
                | StoreError::Dropped { .. }),
            ) => {
                self.set_aside(&task, token, &error);
                Err(error)
            }
            Err(error) => {
                self.queues.put_back(lease, UNREADABLE);
                Err(error)
            }
        }
    }

    fn load(&self, task: &OpenTask) -> Result<(Input, Vec<JournalEntry>), StoreError> {
        let key = match task.packet {
            Some(packet) => Key::Packet(packet),
            None => Key::Args(task.seq),
        };
        let input = match self.cache.get(key) {
            Some(input) => input,
            None => self.pool.with(|reader| read_input(reader, key))?,
        };
        let journal = if task.journal.entries == 0 {
            Vec::new()
        } else {
            self.pool.with(|reader| reader.journal_of(task.seq))?
        };
        Ok((input, journal))
    }

    /// Sets a task aside that cannot be run; if the writer has no room, it is tried again.
    fn set_aside(&self, task: &OpenTask, token: Token, error: &StoreError) {
        let (reply, _) = oneshot::channel();
        let version = task.pinned.as_deref().copied().unwrap_or_default();
        let failure = Failure {
            kind: "corrupt".to_owned(),
            message: error.to_string(),
            detail: None,
        };
        let commit = Commit::bare(task.id, token, version, Step::Fail { failure });
        let op = Op::Commit {
            commits: vec![commit],
            reply,
        };
        let request = Request { op, permit: None };
        let sender = self.sender.as_ref();
        if sender.is_none_or(|sender| sender.try_send(request).is_err()) {
            self.queues.put_back(token.lease, UNREADABLE);
        }
    }
}

fn read_input(reader: &Reader, key: Key) -> Result<Input, StoreError> {
    match key {
        Key::Packet(seq) => {
            let record = reader.record(seq)?;
            let record = record.ok_or_else(|| StoreError::Unknown {
                what: format!("packet {seq}"),
            })?;
            Ok(Input::Packet(record.into()))
        }
        Key::Args(task) => {
            let args = reader.args(task)?;
            Ok(Input::Args(args.unwrap_or_else(Bytes::new)))
        }
    }
}

fn grant(task: &OpenTask, token: Token, input: Input, journal: Vec<JournalEntry>) -> Lease {
    let handler = &task.handler;
    Lease {
        task: task.id,
        token,
        plugin: handler.plugin.clone(),
        handler: handler.handler.clone(),
        queue: handler.queue.clone(),
        origin: task.origin,
        attempt: task.attempts.saturating_add(1),
        policy: RetryPolicy {
            retries: handler.retries,
            backoff_ms: handler.backoff_ms,
            max_backoff_ms: handler.max_backoff_ms,
            timeout_ms: handler.timeout_ms,
            deadline: task.deadline,
        },
        made: task.made,
        input,
        journal,
        pinned: task.pinned.as_deref().copied(),
    }
}
