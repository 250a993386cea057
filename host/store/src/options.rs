//! Bounds of a store, and the clock that it reads.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::disk::DiskMarks;
use crate::record::Nanos;

/// Longest result of a task and longest value of a plugin, bytes.
pub const MAX_VALUE: usize = 1024 * 1024;
/// Longest key of a plugin's value or name of a claim, bytes.
pub const MAX_KEY: usize = 1024;
/// Most entries in the journal of one run.
pub const MAX_JOURNAL_ENTRIES: usize = 10_000;
/// Most bytes in the journal of one run.
pub const MAX_JOURNAL_BYTES: usize = 16 * 1024 * 1024;
/// Most tasks that descend from one packet, or from one task without a packet, and are open or
/// set aside. A commit that would make more is refused.
pub const MAX_DESCENDANTS: usize = 10_000;

/// Most tasks that one call acts on: they change in one transaction, and others wait for it.
pub const MAX_ACTED: usize = 1_000;

/// Tells the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns nanoseconds since the Unix epoch, UTC.
    fn now(&self) -> Nanos;

    /// Returns the time, and how much monotonic time has passed since some moment, both looked
    /// at together.
    fn look(&self) -> (Nanos, Duration);
}

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
    }

    fn look(&self) -> (Nanos, Duration) {
        static SOME_MOMENT: LazyLock<Instant> = LazyLock::new(Instant::now);
        (self.now(), SOME_MOMENT.elapsed())
    }
}

const DAY: Duration = Duration::from_hours(24);

/// How long what is kept? Open tasks, those set aside, and what they need are kept for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Payloads of packets. Rows of packets, with their identities, stay 30 days at least.
    pub packets: Duration,
    /// Most bytes of payloads and refused bytes: beyond it those of the oldest go first.
    pub packet_bytes: u64,
    /// Results of tasks, after their end.
    pub results: Duration,
    /// Journals and arguments of tasks, after their end.
    pub journals: Duration,
    /// Blobs, after they were last mentioned in a commit.
    pub blobs: Duration,
    /// Events.
    pub events: Duration,
    /// Most events.
    pub event_count: u64,
    /// From one pass over the store to the next.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            packets: 30 * DAY,
            packet_bytes: 10 << 30,
            results: 7 * DAY,
            journals: 7 * DAY,
            blobs: 7 * DAY,
            events: 7 * DAY,
            event_count: 1_000_000,
            every: Duration::from_hours(1),
        }
    }
}

/// Bounds of a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Queues whose tasks run one after another, each to its end.
    pub serial: BTreeSet<String>,
    /// Payloads and blobs longer than this go to segment files, bytes.
    pub segment_threshold: usize,
    /// A segment file that is longer than this is followed by a new one, bytes.
    pub segment_size: u64,
    /// Most tasks, offers and commits in one transaction.
    pub group: usize,
    /// Most operations that wait for the writer.
    pub channel: usize,
    /// Most bytes that wait for the writer, in payloads and blobs.
    pub waiting_bytes: usize,
    /// Longest payload, bytes; at most `waiting_bytes`.
    pub max_payload: usize,
    /// Longest blob, bytes; at most `waiting_bytes`.
    pub max_blob: usize,
    /// Packets and arguments kept in memory for the workers, bytes.
    pub cache_bytes: usize,
    /// How much of refused bytes is kept, bytes.
    pub refusal_cut: usize,
    /// How long what is kept.
    pub retention: Retention,
    /// Whether the store removes by itself what `retention` says. A tool that writes one thing
    /// into a store leaves that to the host, which alone knows how long what is to be kept.
    pub removes: bool,
    /// Free bytes of the disk below which it does less; none by default.
    pub disk: DiskMarks,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            serial: BTreeSet::new(),
            segment_threshold: 16 * 1024,
            segment_size: 16 * 1024 * 1024,
            group: 1024,
            channel: 1024,
            waiting_bytes: 64 * 1024 * 1024,
            max_payload: 32 * 1024 * 1024,
            max_blob: 64 * 1024 * 1024,
            cache_bytes: 64 * 1024 * 1024,
            refusal_cut: 64 * 1024,
            retention: Retention::default(),
            removes: true,
            disk: DiskMarks::default(),
            clock: Arc::new(SystemClock),
        }
    }
}
