//! Recently kept packets and arguments in memory, so that a worker need not read them.
//!
//! Bounded in bytes; what came first leaves first. Whatever is absent here is on disk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::record::{Input, PacketRecord};

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 512;

/// What an input is kept under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A packet, by its number.
    Packet(i64),
    /// The argument of a task, by the task's number.
    Args(i64),
}

#[derive(Debug, Default)]
struct Entries {
    inputs: HashMap<Key, Input>,
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

/// A bounded cache of inputs.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: usize,
    entries: Mutex<Entries>,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: Mutex::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Input> {
        self.entries().inputs.get(&key).cloned()
    }

    pub(crate) fn insert_packet(&self, record: Arc<PacketRecord>) {
        let size = record.packet.payload.len();
        self.insert(Key::Packet(record.seq.0), Input::Packet(record), size);
    }

    pub(crate) fn insert_args(&self, task: i64, args: Bytes) {
        let size = args.len();
        self.insert(Key::Args(task), Input::Args(args), size);
    }

    fn insert(&self, key: Key, input: Input, size: usize) {
        let size = size + OVERHEAD;
        if size > self.limit {
            return;
        }
        let mut entries = self.entries();
        if entries.inputs.insert(key, input).is_some() {
            return;
        }
        entries.order.push_back((key, size));
        entries.bytes += size;
        while entries.bytes > self.limit {
            let Some((oldest, size)) = entries.order.pop_front() else {
                return;
            };
            entries.inputs.remove(&oldest);
            entries.bytes -= size;
        }
    }
}
