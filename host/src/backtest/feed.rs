//! Which packet comes next: the archive, newest first, a page at a time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use gwasp_store::{ArchiveFilter, Reader, StoreError};

use crate::broker::PacketSeq;

/// Numbers that are read at once.
const PAGE: u32 = 1_000;

/// Gives each packet to one of several threads.
#[derive(Debug)]
pub(super) struct Feed {
    ahead: Mutex<Ahead>,
    filter: ArchiveFilter,
}

#[derive(Debug)]
struct Ahead {
    reader: Reader,
    page: VecDeque<PacketSeq>,
    /// The oldest that was read.
    last: Option<PacketSeq>,
    /// How many may still be given.
    left: Option<u64>,
    at_end: bool,
}

impl Feed {
    pub(super) fn new(reader: Reader, filter: ArchiveFilter, limit: Option<u64>) -> Self {
        Self {
            ahead: Mutex::new(Ahead {
                reader,
                page: VecDeque::new(),
                last: None,
                left: limit,
                at_end: false,
            }),
            filter,
        }
    }

    /// The next packet's number; none after the last.
    pub(super) fn next(&self) -> Result<Option<PacketSeq>, StoreError> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.left == Some(0) {
            return Ok(None);
        }
        if ahead.page.is_empty() && !ahead.at_end {
            ahead.page = ahead.reader.archive(&self.filter, ahead.last, PAGE)?.into();
            ahead.last = ahead.page.back().copied();
            ahead.at_end = ahead.page.is_empty();
        }
        let next = ahead.page.pop_front();
        if next.is_some() {
            ahead.left = ahead.left.map(|left| left - 1);
        }
        Ok(next)
    }
}
