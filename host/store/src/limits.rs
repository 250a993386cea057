//! Bounds of what callers hand in, checked before it reaches the writer.

use crate::error::StoreError;
use crate::options::{MAX_JOURNAL_BYTES, MAX_JOURNAL_ENTRIES, MAX_KEY, MAX_VALUE, Options};
use crate::record::{Commit, JournalEntry, KvWrite, NewTask, Offer, Step, Submission};
use crate::tick::Tick;

pub(crate) fn check_length(
    what: &'static str,
    length: usize,
    limit: usize,
) -> Result<(), StoreError> {
    if length > limit {
        return Err(StoreError::TooLarge {
            what,
            length,
            limit,
            advice: "make it smaller or use a blob",
        });
    }
    Ok(())
}

/// Checks offers and returns how many bytes they hold.
pub(crate) fn check_offers(offers: &[Offer], options: &Options) -> Result<usize, StoreError> {
    let mut bytes = 0;
    for offer in offers {
        let packet = &offer.packet;
        check_length("a payload", packet.payload.len(), options.max_payload)?;
        let headers: usize = packet.headers.iter().map(|(k, v)| k.len() + v.len()).sum();
        check_length("the headers of a packet", headers, MAX_VALUE)?;
        bytes += packet.payload.len() + headers;
        for task in &offer.tasks {
            bytes += check_task(task)?;
        }
    }
    Ok(bytes)
}

/// Checks a submission and returns how many bytes it holds.
pub(crate) fn check_submission(submission: &Submission) -> Result<usize, StoreError> {
    check_task(&submission.task)
}

/// Checks the next step of a schedule and returns how many bytes it holds.
pub(crate) fn check_tick(tick: &Tick) -> Result<usize, StoreError> {
    tick.tasks.iter().map(check_task).sum()
}

/// Checks all of a commit that needs no look at the store.
pub(crate) fn check_commit(commit: &Commit) -> Result<(), StoreError> {
    if let Step::Succeed {
        result: Some(bytes),
    } = &commit.step
    {
        check_length("a result", bytes.len(), MAX_VALUE)?;
    }
    for write in &commit.kv {
        check_write(write)?;
    }
    for task in &commit.spawns {
        check_task(task)?;
    }
    let entries = commit.journal.len();
    check_length("the entries of a journal", entries, MAX_JOURNAL_ENTRIES)?;
    check_length(
        "a journal",
        journal_bytes(&commit.journal),
        MAX_JOURNAL_BYTES,
    )
}

/// Returns how many bytes a commit holds.
pub(crate) fn commit_bytes(commit: &Commit) -> usize {
    let result = match &commit.step {
        Step::Succeed {
            result: Some(bytes),
        } => bytes.len(),
        Step::Succeed { result: None }
        | Step::Note
        | Step::Retry { .. }
        | Step::Fail { .. }
        | Step::Revoke { .. }
        | Step::GiveBack { .. }
        | Step::Park { .. } => 0,
    };
    let values: usize = commit.kv.iter().map(write_bytes).sum();
    let args: usize = commit.spawns.iter().map(args_bytes).sum();
    result + values + args + journal_bytes(&commit.journal)
}

fn check_task(task: &NewTask) -> Result<usize, StoreError> {
    let bytes = args_bytes(task);
    check_length("an argument", bytes, MAX_VALUE)?;
    Ok(bytes)
}

fn check_write(write: &KvWrite) -> Result<(), StoreError> {
    let (KvWrite::Set { key, .. } | KvWrite::Delete { key } | KvWrite::Add { key, .. }) = write;
    check_length("a key", key.len(), MAX_KEY)?;
    check_length("a value", write_bytes(write), MAX_VALUE)
}

fn write_bytes(write: &KvWrite) -> usize {
    match write {
        KvWrite::Set { value, .. } => value.len(),
        KvWrite::Delete { .. } | KvWrite::Add { .. } => 0,
    }
}

fn args_bytes(task: &NewTask) -> usize {
    task.args.as_ref().map_or(0, bytes::Bytes::len)
}

fn journal_bytes(entries: &[JournalEntry]) -> usize {
    entries.iter().map(|entry| entry.bytes.len()).sum()
}
