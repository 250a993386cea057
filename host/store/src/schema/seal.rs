//! Seals: sums over columns, by which a damaged row is told from a whole one.
//!
//! They guard against a disk that changes bytes, not against a person who does.

use rusqlite::Row;

use super::length_column;
use crate::pause::Pause;
use crate::record::TaskId;

/// A sum over columns. Every step is a bijection of the sum, so one changed word always
/// changes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal(u64);

impl Seal {
    /// Begins the sum of the row with this number.
    pub(crate) fn new(row: i64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15).number(row)
    }

    fn word(self, word: u64) -> Self {
        let mixed = (self.0 ^ word).wrapping_mul(0x2545_f491_4f6c_dd1d);
        Self(mixed ^ (mixed >> 29))
    }

    pub(crate) fn number(self, number: i64) -> Self {
        self.word(u64::from_ne_bytes(number.to_ne_bytes()))
    }

    pub(crate) fn maybe(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.word(1).number(number),
            None => self.word(0),
        }
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mut sum = self.number(length_column(bytes.len()));
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            sum = sum.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        if let Some(head) = last.get_mut(..rest.len()) {
            head.copy_from_slice(rest);
        }
        sum.word(u64::from_le_bytes(last))
    }

    pub(crate) fn maybe_bytes(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.word(1).bytes(bytes),
            None => self.word(0),
        }
    }

    pub(crate) fn column(self) -> i64 {
        i64::from_ne_bytes(self.0.to_ne_bytes())
    }
}

/// Returns the seal of bytes that stand under a number.
pub(crate) fn seal_of(row: i64, bytes: &[u8]) -> i64 {
    Seal::new(row).bytes(bytes).column()
}

/// The fixed columns of a task.
pub(crate) struct Fixed<'a> {
    pub(crate) seq: i64,
    pub(crate) id: &'a TaskId,
    pub(crate) handler: i64,
    pub(crate) origin: i64,
    pub(crate) account: i64,
    pub(crate) packet: Option<i64>,
    pub(crate) parent: Option<&'a [u8]>,
    pub(crate) root: i64,
    pub(crate) priority: i64,
    pub(crate) order_key: Option<&'a str>,
    pub(crate) made: i64,
    pub(crate) deadline: Option<i64>,
}

impl Fixed<'_> {
    pub(crate) fn seal(&self) -> i64 {
        Seal::new(self.seq)
            .bytes(&self.id.0)
            .number(self.handler)
            .number(self.origin)
            .number(self.account)
            .maybe(self.packet)
            .maybe_bytes(self.parent)
            .number(self.root)
            .number(self.priority)
            .maybe_bytes(self.order_key.map(str::as_bytes))
            .number(self.made)
            .maybe(self.deadline)
            .column()
    }
}

/// The moving columns of a task.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moving {
    pub(crate) state: i64,
    pub(crate) due: i64,
    pub(crate) attempts: i64,
    pub(crate) started: Option<i64>,
    pub(crate) ended: Option<i64>,
    pub(crate) cpu: i64,
    pub(crate) version: Option<[u8; 32]>,
    pub(crate) journal: i64,
    pub(crate) journal_bytes: i64,
}

impl Moving {
    /// Reads the columns `state, due, attempts, started, ended, cpu, version, journal,
    /// journal_bytes, moving_seal` from `first` on; `None` where they are damaged.
    pub(crate) fn read(row: &Row<'_>, seq: i64, first: usize) -> rusqlite::Result<Option<Self>> {
        let moving = Self {
            state: row.get(first)?,
            due: row.get(first + 1)?,
            attempts: row.get(first + 2)?,
            started: row.get(first + 3)?,
            ended: row.get(first + 4)?,
            cpu: row.get(first + 5)?,
            version: row.get(first + 6)?,
            journal: row.get(first + 7)?,
            journal_bytes: row.get(first + 8)?,
        };
        let seal: i64 = row.get(first + 9)?;
        Ok((seal == moving.seal(seq)).then_some(moving))
    }

    pub(crate) fn seal(&self, seq: i64) -> i64 {
        Seal::new(seq)
            .number(self.state)
            .number(self.due)
            .number(self.attempts)
            .maybe(self.started)
            .maybe(self.ended)
            .number(self.cpu)
            .maybe_bytes(self.version.as_ref().map(<[u8; 32]>::as_slice))
            .number(self.journal)
            .number(self.journal_bytes)
            .column()
    }
}

/// Returns the seal of a row of `handlers`.
pub(crate) fn handler_seal(names: [&str; 3], numbers: [i64; 4]) -> i64 {
    let names = names
        .iter()
        .fold(Seal::new(0), |seal, name| seal.bytes(name.as_bytes()));
    let all = numbers
        .iter()
        .fold(names, |seal, number| seal.number(*number));
    all.column()
}

/// Returns the seal of a plugin's value.
pub(crate) fn kv_seal(plugin: &str, key: &str, version: i64, value: &[u8]) -> i64 {
    Seal::new(version)
        .bytes(plugin.as_bytes())
        .bytes(key.as_bytes())
        .bytes(value)
        .column()
}

/// Returns the seal of a row of `routes`.
pub(crate) fn route_seal(plugin: &str, generation: i64, digest: &[u8], manifest: &str) -> i64 {
    Seal::new(generation)
        .bytes(plugin.as_bytes())
        .bytes(digest)
        .bytes(manifest.as_bytes())
        .column()
}

/// Returns the seal of a row of `ticks`.
pub(crate) fn tick_seal(schedule: &str, through: i64) -> i64 {
    Seal::new(through).bytes(schedule.as_bytes()).column()
}

/// Returns the seal of a row of `pauses`.
pub(crate) fn pause_seal(pause: &Pause) -> i64 {
    let (kind, name, handler) = pause.scope.columns();
    Seal::new(kind)
        .bytes(name.as_bytes())
        .bytes(handler.as_bytes())
        .number(pause.since)
        .maybe(pause.until)
        .bytes(pause.who.as_bytes())
        .column()
}
