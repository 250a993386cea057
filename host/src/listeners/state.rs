//! What a listener tells about itself: where its connection stands, and its counts.
//!
//! **Invariant:** `read = kept + refused + unconfirmed + under way`. `read` is counted when a
//! packet's last byte arrived, before anybody else has seen it, so it is independent of what
//! the store counts.
//!
//! Readers take a [`Snapshot`], or wait for a change of phase with [`ListenerState::watch`].
//! This module knows no protocol.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::text::chain;

/// Where a listener's connection stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Phase {
    /// It looks up, connects, or shakes hands.
    Connecting,
    /// It is connected and reads.
    Up {
        /// Since when.
        #[schema(value_type = String, format = DateTime)]
        since: Timestamp,
    },
    /// It was disconnected and waits before it connects again.
    Waiting {
        /// Until when, by the wall clock.
        #[schema(value_type = String, format = DateTime)]
        until: Timestamp,
    },
    /// It was told to stop and has stopped.
    Stopped,
}

/// What changes seldom: a watcher is woken for each change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ListenerStatus)]
pub struct Status {
    /// Where the connection stands.
    pub phase: Phase,
    /// Why the last connection or attempt ended, and when.
    pub last_error: Option<LastError>,
}

/// Why a connection or an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The error and its causes, in one line.
    pub message: String,
}

/// A count that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Whole frames, stanzas or records, of every kind.
    Frames,
    /// Packets and refused bytes that were read; what the ledger calls *read*.
    Read,
    /// Packets that are on disk, duplicates included.
    Kept,
    /// Packets among the kept that were known.
    Duplicates,
    /// Bytes that were no packet and are on disk.
    Refused,
    /// Read and not on disk when their connection ended.
    Unconfirmed,
    /// Receipts that were written to the peer.
    Receipts,
    /// Messages of the transport itself, such as an iamalive.
    Transports,
    /// Messages that mean nothing here and were passed over.
    Ignored,
    /// Attempts to connect after the first.
    Reconnects,
}

const COUNTS: usize = 10;

/// The state of one connection of a listener, shared between it and those who look.
#[derive(Debug)]
pub struct ListenerState {
    name: Arc<str>,
    status: watch::Sender<Status>,
    counts: [AtomicU64; COUNTS],
    /// Nanoseconds since 1970 of the last packet; 0 when there was none.
    last_packet: AtomicU64,
}

/// The state at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Listener)]
pub struct Snapshot {
    /// The listener's name, e.g. `gcn 127.0.0.1:8099`.
    pub name: String,
    /// Where the connection stands, and why the last one ended.
    pub status: Status,
    /// When the last packet arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_packet: Option<Timestamp>,
    /// [`Count::Frames`].
    pub frames: u64,
    /// [`Count::Read`].
    pub read: u64,
    /// [`Count::Kept`].
    pub kept: u64,
    /// [`Count::Duplicates`].
    pub duplicates: u64,
    /// [`Count::Refused`].
    pub refused: u64,
    /// [`Count::Unconfirmed`].
    pub unconfirmed: u64,
    /// [`Count::Receipts`].
    pub receipts: u64,
    /// [`Count::Transports`].
    pub transports: u64,
    /// [`Count::Ignored`].
    pub ignored: u64,
    /// [`Count::Reconnects`].
    pub reconnects: u64,
}

impl ListenerState {
    /// Makes the state of a listener that has not connected yet.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let status = Status {
            phase: Phase::Connecting,
            last_error: None,
        };
        Self {
            name: name.into(),
            status: watch::Sender::new(status),
            counts: Default::default(),
            last_packet: AtomicU64::new(0),
        }
    }

    /// The listener's name.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Enters another phase.
    pub fn enter(&self, phase: Phase) {
        self.status.send_modify(|status| status.phase = phase);
    }

    /// Notes why a connection or an attempt ended, and gives the reason in one line.
    pub fn failed(&self, time: Timestamp, error: &(dyn Error + 'static)) -> String {
        let message = chain(error);
        let last_error = Some(LastError {
            time,
            message: message.clone(),
        });
        self.status
            .send_modify(|status| status.last_error = last_error);
        message
    }

    /// Counts one, and gives the count with it.
    pub fn count(&self, count: Count) -> u64 {
        self.add(count, 1)
    }

    /// Counts `n`, and gives the count with them.
    pub fn add(&self, count: Count, n: u64) -> u64 {
        self.counter(count).fetch_add(n, Ordering::Relaxed) + n
    }

    /// Counts a packet that was read whole at `time`, and gives the number read so far.
    pub fn packet_read(&self, time: Timestamp) -> u64 {
        let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or_default();
        self.last_packet.store(nanoseconds, Ordering::Relaxed);
        self.count(Count::Read)
    }

    /// The count now.
    pub fn get(&self, count: Count) -> u64 {
        self.counter(count).load(Ordering::Relaxed)
    }

    /// Watches phase and last error.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Everything at one moment. Counts that move meanwhile may be apart by what is under way.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            name: self.name.to_string(),
            status: self.status.borrow().clone(),
            last_packet: self.last_packet(),
            frames: self.get(Count::Frames),
            read: self.get(Count::Read),
            kept: self.get(Count::Kept),
            duplicates: self.get(Count::Duplicates),
            refused: self.get(Count::Refused),
            unconfirmed: self.get(Count::Unconfirmed),
            receipts: self.get(Count::Receipts),
            transports: self.get(Count::Transports),
            ignored: self.get(Count::Ignored),
            reconnects: self.get(Count::Reconnects),
        }
    }

    fn last_packet(&self) -> Option<Timestamp> {
        match self.last_packet.load(Ordering::Relaxed) {
            0 => None,
            nanoseconds => Timestamp::from_nanosecond(nanoseconds.into()).ok(),
        }
    }

    fn counter(&self, count: Count) -> &AtomicU64 {
        &self.counts[count as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect")]
        struct Outer(#[source] std::io::Error);

        let state = ListenerState::new("gcn");
        let refused = std::io::Error::other("refused");
        state.failed(Timestamp::UNIX_EPOCH, &Outer(refused));
        let last_error = state.snapshot().status.last_error.unwrap();
        assert_eq!(last_error.message, "cannot connect: refused");
    }

    #[test]
    fn a_packet_is_counted_and_dated_when_it_was_read() {
        let state = ListenerState::new("gcn");
        assert_eq!(state.snapshot().last_packet, None);
        let time = "2026-11-21T17:50:07.000000001Z".parse().unwrap();
        assert_eq!(state.packet_read(time), 1);
        assert_eq!(state.packet_read(time), 2);
        assert_eq!(state.snapshot().last_packet, Some(time));
        assert_eq!(state.snapshot().read, 2);
    }

    #[tokio::test]
    async fn a_watcher_is_woken_by_a_phase() {
        let state = ListenerState::new("gcn");
        let mut watch = state.watch();
        state.enter(Phase::Up {
            since: Timestamp::UNIX_EPOCH,
        });
        let up = watch
            .wait_for(|status| matches!(status.phase, Phase::Up { .. }))
            .await;
        assert_eq!(up.unwrap().last_error, None);
    }
}
