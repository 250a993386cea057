//! A run's journal: what was asked, and what was answered.
//!
//! Entries are CBOR maps with integer keys that are never given another meaning; keys that this
//! host does not know are kept out of the way. Journals are read for years, by back-tests and
//! migrations.

use bytes::Bytes;
use gwasp_store::JournalEntry;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::function::{Class, Function};
use crate::packet::Digest;

/// Most entries that a run may have.
const MAX_ENTRIES: usize = 10_000;
/// Most bytes that a run's journal may have.
const MAX_BYTES: usize = 16 << 20;
/// How much of a request is kept beside its digest, for a person to read.
const REQUEST_HEAD: usize = 256;

/// How far an effect has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// On disk before the request leaves; whether it happened is not known.
    #[n(0)]
    Intent,
    /// Answered, and not done: another attempt asks again.
    #[n(1)]
    NotDone,
    /// Answered.
    #[n(2)]
    Answered,
}

/// One effect of a run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// Its position in the run, from 0.
    #[n(0)]
    pub seq: u32,
    /// Name of the host function.
    #[n(1)]
    pub function: String,
    /// SHA-256 of the request.
    #[n(2)]
    pub request: ByteArray<32>,
    /// Beginning of the request.
    #[n(3)]
    pub head: ByteVec,
    /// When it was asked: nanoseconds since the Unix epoch.
    #[n(4)]
    pub time: i64,
    /// How far it has come.
    #[n(5)]
    pub phase: Phase,
    /// The answer, as CBOR.
    #[n(6)]
    pub answer: Option<ByteVec>,
    /// Idempotency key of an external effect.
    #[n(7)]
    pub key: Option<String>,
    /// When an intent is neither sent nor awaited any more: nanoseconds since the Unix epoch.
    #[n(8)]
    pub until: Option<i64>,
    /// Incarnation of the broker under which an intent was written.
    #[n(9)]
    pub incarnation: Option<u64>,
}

/// Why a journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The run asks for another effect than the journal holds.
    #[error(
        "the run asks for {asked} where its journal, at position {seq}, holds {noted}; \
         the plugin is not deterministic, or is not the version that began the run"
    )]
    Differs {
        /// Position of the first difference.
        seq: u32,
        /// What the journal holds.
        noted: String,
        /// What the run asks for.
        asked: String,
    },
    /// The run has more effects than a journal may hold.
    #[error("a run may have {MAX_ENTRIES} effects and {MAX_BYTES} bytes of answers")]
    TooLong,
    /// An entry cannot be read.
    #[error("entry {seq} of the journal cannot be read")]
    Corrupt {
        /// Its position.
        seq: u32,
        /// Why.
        source: minicbor::decode::Error,
    },
}

/// What the journal knows of the effect that is asked for.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing: it is new.
    New,
    /// An intent of an earlier leg: in doubt.
    Intent(Entry),
    /// Its answer.
    Answer(Vec<u8>),
}

/// The journal of a run that goes on.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    position: usize,
    bytes: usize,
    /// Entries at or after this index are not on disk in their present form.
    unsaved: Vec<usize>,
}

impl Journal {
    /// Reads what earlier legs left.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`].
    pub fn read(stored: &[JournalEntry]) -> Result<Self, JournalError> {
        let mut journal = Self::default();
        for entry in stored {
            let read = minicbor::decode(&entry.bytes).map_err(|source| JournalError::Corrupt {
                seq: entry.seq,
                source,
            })?;
            journal.bytes += entry.bytes.len();
            journal.entries.push(read);
        }
        Ok(journal)
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether effects of earlier legs are still being replayed.
    pub(super) fn is_replaying(&self) -> bool {
        self.position < self.entries.len()
    }

    /// Position of the effect that is asked for next.
    pub(super) fn position(&self) -> u32 {
        u32::try_from(self.position).unwrap_or(u32::MAX)
    }

    /// What is known of the effect that is asked for at the present position.
    pub(super) fn find(&self, function: &Function, request: &[u8]) -> Result<Found, JournalError> {
        let Some(entry) = self.entries.get(self.position) else {
            return Ok(Found::New);
        };
        if entry.function != function.name || *entry.request != *Digest::of(request).as_bytes() {
            return Err(JournalError::Differs {
                seq: entry.seq,
                noted: describe(&entry.function, &entry.head),
                asked: describe(function.name, &request[..request.len().min(REQUEST_HEAD)]),
            });
        }
        match (&entry.phase, &entry.answer) {
            (Phase::Answered | Phase::NotDone, Some(answer)) => Ok(Found::Answer(answer.to_vec())),
            _ => Ok(Found::Intent(entry.clone())),
        }
    }

    /// Goes on to the next position.
    pub(super) fn advance(&mut self) {
        self.position += 1;
    }

    /// Writes an entry at the present position, in place of the one that is there.
    pub(super) fn write(&mut self, entry: Entry) -> Result<(), JournalError> {
        self.bytes += entry.answer.as_ref().map_or(0, |answer| answer.len()) + REQUEST_HEAD;
        if self.entries.len() >= MAX_ENTRIES || self.bytes > MAX_BYTES {
            return Err(JournalError::TooLong);
        }
        if self.position < self.entries.len() {
            self.entries[self.position] = entry;
        } else {
            self.entries.push(entry);
        }
        self.unsaved.push(self.position);
        Ok(())
    }

    /// What is to be written to disk.
    pub(super) fn take_unsaved(&mut self) -> Vec<JournalEntry> {
        let mut unsaved = std::mem::take(&mut self.unsaved);
        unsaved.dedup();
        unsaved
            .iter()
            .filter_map(|&at| self.entries.get(at))
            .map(store_form)
            .collect()
    }

    /// How many entries another attempt replays: up to and with the last external effect that is
    /// done. What was uploaded is not uploaded again; what was read after it is read anew.
    pub(super) fn keep_for_retry(&self) -> u32 {
        let is_external = |name: &str| {
            super::TABLE
                .iter()
                .any(|known| known.name == name && known.class == Class::External)
        };
        let last = self
            .entries
            .iter()
            .rposition(|entry| entry.phase != Phase::NotDone && is_external(&entry.function));
        last.map_or(0, |at| u32::try_from(at + 1).unwrap_or(u32::MAX))
    }
}

impl Entry {
    /// Makes an entry for a request that is asked for at `seq`.
    pub(super) fn new(seq: u32, function: &Function, request: &[u8], time: i64) -> Self {
        Self {
            seq,
            function: function.name.to_owned(),
            request: ByteArray::from(*Digest::of(request).as_bytes()),
            head: ByteVec::from(request[..request.len().min(REQUEST_HEAD)].to_vec()),
            time,
            phase: Phase::Intent,
            answer: None,
            key: None,
            until: None,
            incarnation: None,
        }
    }

    /// Adds the answer.
    pub(super) fn answered(mut self, answer: Vec<u8>, phase: Phase) -> Self {
        self.answer = Some(ByteVec::from(answer));
        self.phase = phase;
        self
    }
}

fn store_form(entry: &Entry) -> JournalEntry {
    // Writing to a Vec cannot fail.
    let bytes = minicbor::to_vec(entry).unwrap_or_default();
    JournalEntry {
        seq: entry.seq,
        bytes: Bytes::from(bytes),
    }
}

fn describe(function: &str, head: &[u8]) -> String {
    format!("`{function}` with {}", head.escape_ascii())
}

#[cfg(test)]
mod tests;
