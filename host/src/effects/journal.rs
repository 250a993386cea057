//! A run's journal: what was asked, and what was answered.
//!
//! Entries are CBOR maps with integer keys that are never given another meaning; keys that this
//! host does not know are kept out of the way. Journals are read for years, by back-tests and
//! migrations.

use std::collections::BTreeSet;

use bytes::Bytes;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::function::{Class, Function};
use super::noted::is_refusal;
use crate::broker::JournalEntry;
use crate::packet::Digest;

/// Most entries that a run may have.
const MAX_ENTRIES: usize = 10_000;
/// Most bytes that a run's journal may have. The broker counts entries that were written twice
/// twice, and takes 16 MiB.
const MAX_BYTES: usize = 12 << 20;
/// Room that is left for the end of a run and the beginnings of requests.
const RESERVE: usize = 1 << 10;
/// How much of a request is kept beside its digest, for a person to read.
const REQUEST_HEAD: usize = 256;

/// What stands at the end of the journal of a run that made no effect.
const SHADOW: Function = Function {
    name: "gwasp:host/shadow@0.1",
    class: Class::Local,
};

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
    /// Whether it happened is not known and cannot be asked, and the run was told so.
    #[n(3)]
    InDoubt,
    /// The run waits for the answer, and holds nothing meanwhile; in the answer's place is what
    /// was decided when it began to wait.
    #[n(4)]
    Waiting,
}

impl Phase {
    /// What a person reads of it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "not known yet",
            Self::NotDone => "not done",
            Self::Answered => "answered",
            Self::InDoubt => "in doubt",
            Self::Waiting => "waited for",
        }
    }
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
    /// When an intent's request was last about to leave: nanoseconds since the Unix epoch.
    #[n(10)]
    pub sent: Option<i64>,
    /// Whether nothing was made, and the answer is none of the world's.
    #[n(11)]
    pub dry: Option<bool>,
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
    /// An entry is missing.
    #[error("entry {seq} of the journal is missing")]
    Missing {
        /// Its position.
        seq: u32,
    },
}

/// What the journal knows of the effect that is asked for.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing that was asked for: it is new.
    New,
    /// What an earlier leg asked for and has no answer: in doubt, or waited for.
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
    /// Whether what was read was written by a run that made no effect.
    is_dry: Option<bool>,
    /// Entries that are not on disk in their present form.
    unsaved: BTreeSet<u32>,
}

impl Journal {
    /// Reads what earlier legs left.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] and [`JournalError::Missing`].
    pub fn read(stored: &[JournalEntry]) -> Result<Self, JournalError> {
        let mut journal = Self::default();
        for (seq, entry) in (0..).zip(stored) {
            if entry.seq != seq {
                return Err(JournalError::Missing { seq });
            }
            let read = minicbor::decode(&entry.bytes).map_err(|source| JournalError::Corrupt {
                seq: entry.seq,
                source,
            })?;
            journal.bytes += entry.bytes.len();
            journal.entries.push(read);
        }
        journal.is_dry = journal.entries.first().map(|entry| entry.dry == Some(true));
        // A run goes on before its mark.
        if journal
            .entries
            .pop_if(|last| last.function == SHADOW.name)
            .is_some()
        {
            journal.is_dry = Some(true);
        }
        Ok(journal)
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Leaves the first `keep` entries.
    #[must_use]
    pub fn cut(mut self, keep: u32) -> Self {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        self.entries.truncate(keep);
        self
    }

    /// Whether it was written by a run that made no effect; none where there is nothing in it.
    pub fn is_dry(&self) -> Option<bool> {
        self.is_dry
    }

    /// Adds the mark of a run that made no effect, so that a journal of nothing else has it.
    pub(super) fn mark_dry(&mut self) {
        if self.is_replaying() {
            return; // Stopped before it went on: what is there has the mark.
        }
        let mark = Entry::new(self.position(), &SHADOW, &[], 0);
        let mark = Entry {
            dry: Some(true),
            ..mark.answered(Vec::new(), Phase::Answered)
        };
        self.unsaved.insert(self.position());
        self.entries.push(mark);
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
                noted: entry.describe(),
                asked: describe(function.name, &request[..request.len().min(REQUEST_HEAD)]),
            });
        }
        match (entry.phase, &entry.answer) {
            (Phase::Answered | Phase::NotDone | Phase::InDoubt, Some(answer)) => {
                Ok(Found::Answer(answer.to_vec()))
            }
            (Phase::NotDone, None) => Ok(Found::New),
            _ => Ok(Found::Intent(entry.clone())),
        }
    }

    /// How many external effects come before the present position.
    pub(super) fn external_before(&self) -> usize {
        self.entries
            .iter()
            .take(self.position)
            .filter(|entry| entry.is_external())
            .count()
    }

    /// Whether an answer of `len` bytes can be written.
    pub(super) fn has_room(&self, len: usize) -> bool {
        let bytes = self.bytes.saturating_add(len).saturating_add(RESERVE);
        self.position < MAX_ENTRIES && bytes <= MAX_BYTES
    }

    /// Writes an entry at the present position, in place of the one that is there.
    pub(super) fn write(&mut self, entry: Entry) -> Result<(), JournalError> {
        let answer = entry.answer.as_ref().map_or(0, |answer| answer.len());
        if !self.has_room(answer) {
            return Err(JournalError::TooLong);
        }
        self.bytes += answer + REQUEST_HEAD;
        self.unsaved.insert(self.position());
        match self.entries.get_mut(self.position) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        Ok(())
    }

    /// Writes an entry as [`Journal::write`] does, and goes on to the next position.
    pub(super) fn append(&mut self, entry: Entry) -> Result<(), JournalError> {
        self.write(entry)?;
        self.advance();
        Ok(())
    }

    /// Takes back the intent at the present position: its request never left.
    pub(super) fn withdraw(&mut self) {
        if let Some(entry) = self.entries.get_mut(self.position) {
            entry.phase = Phase::NotDone;
            self.unsaved.insert(entry.seq);
        }
    }

    /// Goes on to the next position.
    pub(super) fn advance(&mut self) {
        self.position += 1;
    }

    /// What is to be written to disk.
    pub(super) fn take_unsaved(&mut self) -> Vec<JournalEntry> {
        std::mem::take(&mut self.unsaved)
            .into_iter()
            .filter_map(|seq| self.entries.get(usize::try_from(seq).ok()?))
            .map(Entry::stored)
            .collect()
    }

    /// Takes back what [`Journal::take_unsaved`] gave and what may not be on disk.
    pub(super) fn put_back(&mut self, seqs: impl IntoIterator<Item = u32>) {
        self.unsaved.extend(seqs);
    }

    /// How many entries another attempt replays: up to and with the last external effect that is
    /// done or may be, or the last wait that is over. What was uploaded is not uploaded again, and
    /// what was waited for is not waited for again; what was read after it is read anew. A called
    /// task that did not end well is called again.
    pub(super) fn keep_for_retry(&self) -> u32 {
        let last = self.entries.iter().rposition(Entry::is_kept);
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
            sent: None,
            dry: None,
        }
    }

    /// Whether it is an external effect.
    pub(super) fn is_external(&self) -> bool {
        super::TABLE
            .iter()
            .any(|known| known.name == self.function && known.class == Class::External)
    }

    /// Whether another attempt replays it.
    fn is_kept(&self) -> bool {
        match self.phase {
            Phase::NotDone => false,
            Phase::Answered => self.is_external() || Function::parks(&self.function),
            Phase::Intent | Phase::InDoubt | Phase::Waiting => self.is_external(),
        }
    }

    /// As the broker keeps it.
    pub(super) fn stored(&self) -> JournalEntry {
        // Writing to a Vec cannot fail.
        let bytes = minicbor::to_vec(self).unwrap_or_default();
        JournalEntry {
            seq: self.seq,
            bytes: Bytes::from(bytes),
        }
    }

    /// Whether nobody knows, or knew so far, if the effect happened.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_external() && matches!(self.phase, Phase::Intent | Phase::InDoubt)
    }

    /// Reads an entry as the broker keeps it; none where it cannot be read.
    pub fn read(stored: &JournalEntry) -> Option<Self> {
        minicbor::decode(&stored.bytes).ok()
    }

    /// What was asked for, for a person.
    pub fn describe(&self) -> String {
        describe(&self.function, &self.head)
    }

    /// What was asked of the function, for a person; a long request is cut.
    pub fn request_text(&self) -> String {
        request_text(&self.head)
    }

    /// Whether the plugin did not get what it asked for: see [`Entry::answer`].
    pub fn is_refused(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| is_refusal(&self.function, answer))
    }

    /// Adds the answer.
    pub(super) fn answered(mut self, answer: Vec<u8>, phase: Phase) -> Self {
        self.answer = Some(ByteVec::from(answer));
        self.phase = phase;
        self
    }
}

fn describe(function: &str, head: &[u8]) -> String {
    format!("`{function}` with {}", request_text(head))
}

/// The head of a request may be cut in the middle; what is whole of it is shown. Of a map the
/// values tell a person enough.
fn request_text(head: &[u8]) -> String {
    let mut decoder = minicbor::Decoder::new(head);
    let Ok(Some(fields)) = decoder.map() else {
        return whole(head);
    };
    let mut values = Vec::new();
    for _ in 0..fields {
        if decoder.skip().is_err() {
            break;
        }
        let begin = decoder.position();
        let is_whole = decoder.skip().is_ok();
        let end = if is_whole {
            decoder.position()
        } else {
            head.len()
        };
        values.push(whole(&head[begin.min(end)..end]));
        if !is_whole {
            break;
        }
    }
    values.retain(|value| !value.is_empty());
    values.join(", ")
}

/// The text of a value, up to where it is cut.
fn whole(value: &[u8]) -> String {
    let text = minicbor::display(value).to_string();
    text.split(" !!!").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
