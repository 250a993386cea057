//! What the store keeps, as plain values.
//!
//! Times are nanoseconds since 1970-01-01T00:00:00Z ([`Nanos`]). Texts such as queue or
//! handler names are opaque here: the store knows neither alerts nor plugins.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::revocation::Revocation;

/// Nanoseconds since the Unix epoch, UTC.
pub type Nanos = i64;

/// A task's name: 128 bits that are a hash of what caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub [u8; 16]);

impl fmt::Display for TaskId {
    /// Writes the UUID text form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            if matches!(position, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for TaskId {
    type Err = NotAnId;

    /// Reads 32 hexadecimal digits; dashes and case do not matter.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.chars().filter(|digit| *digit != '-');
        let digits: Option<Vec<u8>> = digits
            .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
            .collect();
        let digits = digits.filter(|digits| digits.len() == 32).ok_or(NotAnId)?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Self(id))
    }
}

/// A text that is no task's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task's id has 32 hexadecimal digits; `gwasp task list --json` shows whole ones")]
pub struct NotAnId;

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A packet's number in the order of offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PacketSeq(pub i64);

/// A packet to be kept.
#[derive(Clone, Debug)]
pub struct NewPacket {
    /// The stream.
    pub source: String,
    /// Notice type or node; empty where it has none.
    pub key: String,
    /// The sender's name for it; several packets may share one.
    pub id: String,
    /// What makes two offers the same packet.
    pub identity: [u8; 32],
    /// SHA-256 of the payload.
    pub digest: [u8; 32],
    /// VOEvent role or what stands for it.
    pub role: String,
    /// When it was read.
    pub received: Nanos,
    /// The transport's own time.
    pub sent: Option<Nanos>,
    /// MIME type.
    pub content_type: String,
    /// The transport's headers.
    pub headers: Vec<(String, String)>,
    /// What a person may want to know.
    pub flags: Vec<String>,
    /// The exact bytes.
    pub payload: Bytes,
}

/// A packet with what is to be made of it, decided by the caller under one version of the
/// routing table.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The packet.
    pub packet: NewPacket,
    /// One task per handler that it matches; their input is this packet.
    pub tasks: Vec<NewTask>,
    /// Why there is none, where there is none: `no-handler`, `held-back`, `too-old`.
    pub unmatched: Option<String>,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is kept, and its tasks are made.
    New(PacketSeq),
    /// It was known under this number; nothing was made.
    Duplicate(PacketSeq),
}

/// Bytes that are no packet, kept for a person.
#[derive(Clone, Debug)]
pub struct NewRefusal {
    /// The stream.
    pub source: String,
    /// When they were read.
    pub received: Nanos,
    /// Why they were refused.
    pub reason: String,
    /// The bytes, perhaps only their beginning.
    pub payload: Bytes,
}

/// What caused a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A packet that matched.
    Packet,
    /// Another task that waits for it, or a person.
    Call,
    /// Another task that does not wait.
    Spawn,
    /// A schedule.
    Beat,
    /// A person who sent an archived packet again.
    Redispatch,
}

/// When and how often a task is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first.
    pub retries: u32,
    /// Delay before the second attempt, in milliseconds; doubled each time.
    pub backoff_ms: u64,
    /// Longest delay, in milliseconds.
    pub max_backoff_ms: u64,
    /// Time in a slot per leg, in milliseconds.
    pub timeout_ms: u64,
    /// Moment after which it is not tried any more.
    pub deadline: Option<Nanos>,
}

/// A task to be made. Making a task whose id is known is making nothing.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Hash of its cause.
    pub id: TaskId,
    /// Plugin that holds the handler.
    pub plugin: String,
    /// Handler or task name inside the plugin.
    pub handler: String,
    /// Queue that it waits in.
    pub queue: String,
    /// What caused it.
    pub origin: Origin,
    /// The task that caused it.
    pub parent: Option<TaskId>,
    /// 0 is served first, 9 last.
    pub priority: u8,
    /// Not before this moment.
    pub due: Nanos,
    /// Tasks with one key take turns.
    pub order_key: Option<String>,
    /// When and how often it is tried.
    pub policy: RetryPolicy,
    /// Argument, for a task that no packet caused.
    pub args: Option<Bytes>,
}

/// Proof of a lease: what an old token asks for is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// Bumped each time the store opens.
    pub incarnation: u64,
    /// Bumped at each lease.
    pub lease: u64,
}

/// A packet as it is kept.
#[derive(Clone, Debug)]
pub struct PacketRecord {
    /// Its number.
    pub seq: PacketSeq,
    /// What was kept.
    pub packet: NewPacket,
}

/// A task that a worker may run until it commits an end, a retry or a return.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Proof of this lease.
    pub token: Token,
    /// Plugin that holds the handler.
    pub plugin: String,
    /// Handler or task name.
    pub handler: String,
    /// Queue that it came from.
    pub queue: String,
    /// What caused it.
    pub origin: Origin,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When and how often it is tried.
    pub policy: RetryPolicy,
    /// When it was made.
    pub made: Nanos,
    /// What it is run on.
    pub input: Input,
    /// What earlier legs left to be replayed, oldest first.
    pub journal: Vec<JournalEntry>,
    /// The plugin version that the journal was written by.
    pub pinned: Option<[u8; 32]>,
    /// Whether its external effects may have been made before, by a store that this one was
    /// restored from: each is settled as if in doubt before it is made.
    pub is_asked: bool,
    /// How the worker learns that the task is to be revoked.
    pub revocation: Revocation,
}

/// What a task is run on.
#[derive(Clone, Debug)]
pub enum Input {
    /// A packet.
    Packet(Arc<PacketRecord>),
    /// The argument of a call, spawn or tick.
    Args(Bytes),
}

/// One entry of a run's journal; the bytes are the caller's encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Position in the run, from 0. Writing a position again replaces it (an intent by its
    /// answer).
    pub seq: u32,
    /// What the caller encoded.
    pub bytes: Bytes,
}

/// A write to a plugin's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvWrite {
    /// Sets a value.
    Set {
        /// Key inside the plugin's name space.
        key: String,
        /// Value.
        value: Bytes,
    },
    /// Deletes a key.
    Delete {
        /// Key inside the plugin's name space.
        key: String,
    },
    /// Adds to a decimal integer; an absent or other value counts as 0.
    Add {
        /// Key inside the plugin's name space.
        key: String,
        /// What is added.
        delta: i64,
    },
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `error`, `parse`, `permanent`, `in-doubt`, `trap`, `timeout`, `limit`, …
    pub kind: String,
    /// One line for a person.
    pub message: String,
    /// What helps to debug.
    pub detail: Option<String>,
}

/// What a commit does with its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Notes journal entries; the lease goes on.
    Note,
    /// Ends it well.
    Succeed {
        /// The result, where there is one.
        result: Option<Bytes>,
    },
    /// Puts it back to be tried again.
    Retry {
        /// Not before.
        due: Nanos,
        /// Why this attempt failed.
        failure: Failure,
        /// How many journal entries stay; the rest is dropped.
        keep: u32,
    },
    /// Sets it aside: kept with its journal until a person decides. Where another task waits for
    /// it, that one is told instead.
    Fail {
        /// Why.
        failure: Failure,
    },
    /// Has it wait; it holds no slot until it is leased again, and the attempt goes on.
    Park {
        /// What for.
        on: Wait,
    },
    /// Ends it by a decision, e.g. because its deadline has passed.
    Revoke {
        /// Why.
        reason: Failure,
    },
    /// Puts it back: the attempt is not counted, the journal stays.
    GiveBack {
        /// Not before.
        due: Nanos,
    },
}

/// What a parked task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A moment.
    Until(Nanos),
    /// The ends of the tasks that its commit makes. One that is known is not made again; one that
    /// is known and ended otherwise than well begins again.
    Called,
}

/// One change of one task, all or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The task.
    pub task: TaskId,
    /// Proof of the lease under which it was run.
    pub token: Token,
    /// Plugin version that ran.
    pub version: [u8; 32],
    /// CPU time of this leg, nanoseconds.
    pub cpu: u64,
    /// Entries to append or replace.
    pub journal: Vec<JournalEntry>,
    /// Writes to the plugin's values; only with `Succeed`.
    pub kv: Vec<KvWrite>,
    /// Tasks to make; only with `Succeed`, and with `Park` those that are waited for.
    pub spawns: Vec<NewTask>,
    /// Digests of blobs that this commit mentions.
    pub blobs: Vec<[u8; 32]>,
    /// How many journal entries are replayed where a task that ends otherwise than well is asked
    /// for again by who called it.
    pub keep: u32,
    /// Whether the run was in shadow mode: it made no effect.
    pub is_shadow: bool,
    /// What becomes of the task.
    pub step: Step,
}

impl Commit {
    /// Makes a commit of nothing but a step.
    pub const fn bare(task: TaskId, token: Token, version: [u8; 32], step: Step) -> Self {
        Self {
            task,
            token,
            version,
            cpu: 0,
            journal: Vec::new(),
            kv: Vec::new(),
            spawns: Vec::new(),
            blobs: Vec::new(),
            keep: u32::MAX,
            is_shadow: false,
            step,
        }
    }
}

/// Celery's words for where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Waits for its first attempt.
    Pending,
    /// Waits for another attempt.
    Retry,
    /// Sleeps, or waits for tasks that it called.
    Parked,
    /// Ended well.
    Success,
    /// Set aside.
    Failure,
    /// Ended by a decision.
    Revoked,
    /// Failed, and the task that called it was told: whoever called it decides.
    Delivered,
}

impl State {
    /// Returns its name, in every table and log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Retry => "RETRY",
            Self::Parked => "PARKED",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
            Self::Delivered => "DELIVERED",
        }
    }
}

/// A plugin's place in the routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRecord {
    /// Plugin name.
    pub plugin: String,
    /// Bumped at each change of this plugin.
    pub generation: u64,
    /// Digest of the component.
    pub digest: [u8; 32],
    /// What the plugin declares, as JSON.
    pub manifest: String,
}

/// How a plugin's place in the routing table changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// New tasks are for this version, which was found in the plugin directory.
    Put {
        /// Digest of the component.
        digest: [u8; 32],
        /// What it declares, as JSON.
        manifest: String,
    },
    /// A person goes back to a former version.
    RollBack {
        /// Digest of the component.
        digest: [u8; 32],
        /// What it declares, as JSON.
        manifest: String,
        /// The version that is passed over, for as long as the directory has no other.
        instead_of: [u8; 32],
    },
    /// It has no routes any more: its file is gone.
    Remove,
    /// It has no routes any more, whatever the directory has, until it is enabled.
    Disable,
    /// It may have routes again.
    Enable,
}

/// A plugin that has, or had, a place in the routing table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginRecord {
    /// Its name.
    pub plugin: String,
    /// The version that new tasks are for.
    pub current: Option<[u8; 32]>,
    /// Since when it is disabled.
    pub disabled: Option<Nanos>,
    /// The version that the plugin directory has and that is not used, by a person's decision.
    pub passed_over: Option<[u8; 32]>,
    /// Its versions, the newest first.
    pub versions: Vec<VersionRecord>,
}

/// One version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRecord {
    /// Digest of the component.
    pub digest: [u8; 32],
    /// When it was last found as new in the plugin directory.
    pub since: Nanos,
    /// Whether its bytes are kept.
    pub is_kept: bool,
}

/// How many tasks of a plugin have not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionTasks {
    /// The plugin.
    pub plugin: String,
    /// The version that they stay on; none for those that run on what is current then.
    pub pinned: Option<[u8; 32]>,
    /// Those that wait or run.
    pub open: u64,
    /// Those that are set aside.
    pub set_aside: u64,
}

/// A task to be made by a schedule, a person or a redispatch.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The task.
    pub task: NewTask,
    /// The archived packet that it is run on, where there is one.
    pub packet: Option<PacketSeq>,
}
