//! What a person or a page sees of the store: rows as plain values, and what to ask for.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::record::{Failure, Nanos, Origin, PacketSeq, State, TaskId};

/// Which packets to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct PacketFilter {
    /// Only of this stream.
    pub source: Option<String>,
    /// Only with this notice type or node.
    pub key: Option<String>,
    /// Only with this name.
    pub id: Option<String>,
    /// Only received at this moment or later.
    pub since: Option<Nanos>,
    /// At most so many; `None` is 100.
    pub limit: Option<u32>,
}

/// Which packets of the archive to read again.
#[derive(Clone, Debug, Default)]
pub struct ArchiveFilter {
    /// Only of this stream.
    pub source: Option<String>,
    /// Only with a notice type or node that this pattern of `SQLite`'s GLOB matches.
    pub key: Option<String>,
    /// Only received at this moment or later.
    pub since: Option<Nanos>,
    /// Only received before this moment.
    pub until: Option<Nanos>,
    /// Only of those that made no task for this reason.
    pub unmatched: Option<String>,
}

/// A packet without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketView {
    /// Its number.
    pub seq: PacketSeq,
    /// The stream.
    pub source: String,
    /// Notice type or node.
    pub key: String,
    /// The sender's name for it.
    pub id: String,
    /// What makes two arrivals the same packet.
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
    /// What a person may want to know.
    pub flags: Vec<String>,
    /// Why no task was made, where none was.
    pub unmatched: Option<String>,
    /// The packet that holds the payload, where the same one came under another key before.
    pub same_as: Option<PacketSeq>,
    /// Length of the payload, bytes.
    pub length: u64,
    /// When the payload was dropped, where it is no longer kept.
    pub dropped: Option<Nanos>,
    /// How often it came again.
    pub repeats: u64,
}

/// Which tasks to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TaskFilter {
    /// Only in this state; [`State::Failure`] lists the dead letters, which a failure that its
    /// caller was told of is not.
    pub state: Option<State>,
    /// Only those that have not ended, or are set aside.
    pub lives: bool,
    /// Only of this plugin.
    pub plugin: Option<String>,
    /// Only of this handler.
    pub handler: Option<String>,
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only made of this packet, or by tasks that descend from it. Looks at every task.
    pub packet: Option<PacketSeq>,
    /// Only made at this moment or later.
    pub since: Option<Nanos>,
    /// Only those whose last failure has this text in its message.
    pub error: Option<String>,
    /// At most so many; `None` is 100.
    pub limit: Option<u32>,
}

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Its name.
    pub id: TaskId,
    /// Plugin that holds the handler.
    pub plugin: String,
    /// Handler or task name.
    pub handler: String,
    /// Queue that it waits or waited in.
    pub queue: String,
    /// What caused it.
    pub origin: Origin,
    /// The task that caused it.
    pub parent: Option<TaskId>,
    /// The packet that it is run on.
    pub packet: Option<PacketSeq>,
    /// 0 is served first, 9 last.
    pub priority: u8,
    /// Tasks with one key take turns.
    pub order_key: Option<String>,
    /// Where it is.
    pub state: State,
    /// Attempts that ended; one that was given back is none.
    pub attempts: u32,
    /// Not before this moment, where it does not wait for others.
    pub due: Nanos,
    /// Waits for tasks that it called.
    pub waits_for_others: bool,
    /// When it was made.
    pub made: Nanos,
    /// After this moment it is revoked instead of run.
    pub deadline: Option<Nanos>,
    /// When its last attempt began that left a trace.
    pub started: Option<Nanos>,
    /// When it ended.
    pub ended: Option<Nanos>,
    /// CPU time of all legs, nanoseconds.
    pub cpu: u64,
    /// Plugin version that ran last.
    pub version: Option<[u8; 32]>,
    /// How many entries its journal has, or had before it expired.
    pub journal: u64,
    /// Why the last attempt failed, where it did.
    pub failure: Option<Failure>,
    /// Whether its last run was in shadow mode: it made no effect.
    pub is_shadow: bool,
}

/// A task with all that is kept about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDetail {
    /// The task.
    pub task: TaskView,
    /// Attempts that failed since it last began, oldest first.
    pub failed: Vec<FailedAttempt>,
    /// Those before, oldest first; the newest few of many.
    pub past: Vec<FailedAttempt>,
    /// What a person did to it, oldest first; the newest few of many.
    pub decisions: Vec<Decided>,
    /// Argument, for a task that no packet caused.
    pub args: Option<Bytes>,
    /// What it returned.
    pub result: Option<Bytes>,
    /// Tasks that it called and that have not ended, the first few.
    pub waits_for: Vec<TaskId>,
}

/// How far a called task is, for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It has not ended.
    Open,
    /// It ended well, perhaps with a result.
    Succeeded(Option<Bytes>),
    /// It failed, after its own retries.
    Failed(Failure),
    /// It was revoked.
    Revoked(Failure),
}

/// One attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// 1 for the first.
    pub attempt: u32,
    /// When it failed.
    pub at: Nanos,
    /// Why.
    pub failure: Failure,
}

/// What a person did to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// When.
    pub at: Nanos,
    /// What, as a word in the past: `resumed`, `dropped`.
    pub what: String,
    /// Who, in words for a person.
    pub who: String,
}

/// What a look-up by the beginning of an id found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskFound {
    /// One task.
    One(Box<TaskDetail>),
    /// No task: expired or never known.
    None,
    /// Several; the first few are named.
    Several(Vec<TaskId>),
}

/// Bytes that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalView {
    /// Its number.
    pub seq: i64,
    /// The stream.
    pub source: String,
    /// When they were read.
    pub received: Nanos,
    /// Why.
    pub reason: String,
    /// How many bytes there were.
    pub length: u64,
    /// Their beginning.
    pub payload: Bytes,
}

/// A time in which a frame may have been read and not kept, because the process died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapMark {
    /// The stream.
    pub source: String,
    /// When the last packet of this stream was read that was kept or refused.
    pub last_packet: Option<Nanos>,
    /// When the store last committed anything: the process was alive.
    pub last_commit: Nanos,
    /// When the store opened again.
    pub next_start: Nanos,
}

/// A value of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// Plugin that it belongs to.
    pub plugin: String,
    /// Key inside the plugin's name space.
    pub key: String,
    /// Value.
    pub value: Bytes,
    /// Bumped at each write.
    pub version: u64,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Tasks that may be leased now.
    pub ready: usize,
    /// Tasks that are due, and paused or of a plugin that cannot run.
    pub paused: usize,
    /// Tasks that are due, and wait for the turn of another task to end.
    pub turn: usize,
    /// Tasks that are due later, those that sleep too.
    pub later: usize,
    /// Tasks that are leased.
    pub leased: usize,
    /// Tasks that wait for those that they called.
    pub parked: usize,
}

/// A task that a worker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The task.
    pub task: TaskId,
    /// Plugin that holds the handler.
    pub plugin: String,
    /// Handler or task name.
    pub handler: String,
    /// Queue that it came from.
    pub queue: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The caller's number for who runs it.
    pub worker: u32,
    /// When it was leased.
    pub since: Nanos,
}

/// What retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Packets with all that is known of them.
    pub packets: u64,
    /// Payloads of packets whose rows stay.
    pub payloads: u64,
    /// Tasks that ended.
    pub tasks: u64,
    /// Results of tasks.
    pub results: u64,
    /// Journals of tasks.
    pub journals: u64,
    /// Refused bytes.
    pub refusals: u64,
    /// Blobs.
    pub blobs: u64,
    /// Segment files.
    pub segments: u64,
}
