//! The crash-safe engine under GWASP's embedded broker.
//!
//! A [`Store`] keeps packets, tasks, plugin values and blobs in one directory: `SQLite` for the
//! rows, segment files for large bytes. One writer thread gathers what waits into one
//! transaction with one sync (*group commit*); an operation is answered after that sync and
//! never before.
//!
//! Invariants: what is answered with `Ok` survives a crash at any moment; each operation is
//! all or nothing; a task's id makes one task, however often it is made; a commit writes only
//! under the token of a living lease; bytes that were damaged are named, never handed out.
//!
//! Leases live in memory: after a crash every open task is ready again, and the bumped
//! incarnation makes all former tokens void.
//!
//! What is old goes, as [`Retention`] says; open tasks, those set aside, and what they need never
//! do.
//!
//! In the directory: `store.sqlite` with its log, `segments/`, `lock` (who writes), and
//! `quarantine/` for what was damaged.
//!
//! The store knows neither alerts nor plugins: names are opaque, and matching packets to
//! handlers is the caller's.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

mod action;
mod backup;
mod cache;
mod disk;
mod error;
mod event;
mod lease;
mod ledger;
mod limits;
mod open;
mod options;
mod pause;
mod person;
mod queues;
mod reader;
mod record;
mod revocation;
mod schedule;
mod schema;
mod segments;
mod sql;
mod tick;
mod view;
mod writer;

use cache::Cache;
use limits::{check_commit, check_offers, check_submission, check_tick, commit_bytes};
use queues::Queues;
use reader::Pool;
use writer::{Op, Reply, Request, ValueOp};

/// Format of the stores that this program makes, and the newest that it opens.
pub const FORMAT: i64 = schema::FORMAT;

pub use action::{Acted, Looked, TaskAction};
pub use backup::{BackupError, Copied, backup, compact, restore};
pub use disk::{Disk, DiskLevel, DiskMarks};
pub use error::{Cause, OpenError, StoreError};
pub use event::{Event, EventKind, Events, TaskEvent};
pub use ledger::{
    Account, Difference, Imbalance, Ledger, ListenerCounts, RemovedRows, TaskCounts, Verification,
    day_of,
};
pub use options::{
    Clock, MAX_ACTED, MAX_DESCENDANTS, MAX_JOURNAL_BYTES, MAX_JOURNAL_ENTRIES, MAX_KEY, MAX_VALUE,
    Options, Retention, SystemClock,
};
pub use pause::{Pause, Scope};
pub use reader::Reader;
pub use record::{
    Accepted, Commit, Failure, Input, JournalEntry, KvWrite, Lease, Nanos, NewPacket, NewRefusal,
    NewTask, NotAnId, Offer, Origin, PacketRecord, PacketSeq, PluginRecord, RetryPolicy,
    RouteChange, RouteRecord, State, Step, Submission, TaskId, Token, VersionRecord, VersionTasks,
    Wait,
};
pub use revocation::Revocation;
pub use sql::{Answer, Cell, EffectColumns, ReadEffect, SqlError, select};
pub use tick::{Tick, TickRecord};
pub use view::{
    ArchiveFilter, Decided, Depth, FailedAttempt, GapMark, KvEntry, PacketFilter, PacketView,
    RefusalView, Removed, Running, TaskDetail, TaskEnd, TaskFilter, TaskFound, TaskView,
};

/// Operations smaller than this do not wait for [`Options::waiting_bytes`]: their number is
/// bounded by the channel.
const SMALL: usize = 64 * 1024;

/// A store that this process writes to. Clones share it.
///
/// Futures of this type need no runtime of their own and may be awaited from any thread;
/// dropping one after its first poll does not take the operation back. Dropping the last clone
/// without [`Store::close`] leaves what a crash would leave, except that operations already
/// handed over are done.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.inner.pool.dir())
            .field("incarnation", &self.inner.incarnation)
            .finish_non_exhaustive()
    }
}

/// What clones of a [`Store`] share.
struct Inner {
    options: Options,
    incarnation: u64,
    sender: Option<mpsc::Sender<Request>>,
    waiting: Arc<Semaphore>,
    queues: Arc<Queues>,
    cache: Arc<Cache>,
    commits: Arc<AtomicU64>,
    last_event: watch::Receiver<u64>,
    retention: watch::Sender<Retention>,
    pool: Pool,
    threads: open::Threads,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sender = None;
        self.queues.stop();
        self.threads.join();
    }
}

impl Store {
    /// Opens the store in `dir`, makes it where there is none, and starts its writer.
    ///
    /// Tasks that were open are ready again. If the store was not closed, a [`GapMark`] is
    /// left for each source that was listened to.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while another process has it open; [`OpenError::NewerFormat`] and
    /// [`OpenError::NotAStore`] for what this program cannot read; [`OpenError::Damaged`] where
    /// the database is.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let inner = open::open(dir, options)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns how often this store was opened: the first half of each [`Token`].
    pub fn incarnation(&self) -> u64 {
        self.inner.incarnation
    }

    /// Returns how many group commits were made since the store was opened: each is one sync of
    /// the log.
    pub fn group_commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Relaxed)
    }

    /// Keeps packets, remembers their identities and makes their tasks, in one transaction.
    ///
    /// A packet with a known identity and key makes nothing. One with a known identity under
    /// another key is kept beside the first and shares its payload. One with a known id and
    /// other bytes is kept and flagged `same-id-other-bytes`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if `routes_generation` is not that of the routing table: read
    /// the routes and decide again. [`StoreError::TooLarge`] for a payload or argument beyond
    /// its bound. Nothing is kept on any error.
    pub async fn accept(
        &self,
        routes_generation: u64,
        offers: Vec<Offer>,
    ) -> Result<Vec<Accepted>, StoreError> {
        let bytes = check_offers(&offers, &self.inner.options)?;
        let permit = self.room(bytes).await?;
        self.ask(permit, |reply| Op::Accept {
            generation: routes_generation,
            offers,
            reply,
        })
        .await
    }

    /// Keeps the beginning of bytes that are no packet, and counts them.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn refuse(&self, mut refusals: Vec<NewRefusal>) -> Result<(), StoreError> {
        let cut = self.inner.options.refusal_cut;
        let lengths: Vec<usize> = refusals.iter().map(|one| one.payload.len()).collect();
        for refusal in &mut refusals {
            if refusal.payload.len() > cut {
                refusal.payload = Bytes::copy_from_slice(refusal.payload.get(..cut).unwrap_or(&[]));
            }
        }
        let permit = self
            .room(lengths.iter().map(|length| (*length).min(cut)).sum())
            .await?;
        self.ask(permit, |reply| Op::Refuse {
            refusals,
            lengths,
            reply,
        })
        .await
    }

    /// Counts frames that a listener read from a connection that was lost before they were
    /// acknowledged.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn note_unconfirmed(&self, source: &str, frames: u64) -> Result<(), StoreError> {
        self.ask(None, |reply| Op::Unconfirmed {
            source: source.to_owned(),
            frames,
            reply,
        })
        .await
    }

    /// Notes that a stream is listened to, or not any more: a crash leaves a gap mark for each
    /// that is. Accepting a packet notes it too.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn note_listening(&self, source: &str, listening: bool) -> Result<(), StoreError> {
        self.ask(None, |reply| Op::Listening {
            source: source.to_owned(),
            listening,
            reply,
        })
        .await
    }

    /// Makes tasks that no commit and no offer makes: by a schedule, a person, a redispatch.
    /// Answers for each whether it was made; a known id makes nothing.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for an argument beyond its bound; [`StoreError::Full`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<bool>, StoreError> {
        let mut bytes = 0;
        for submission in &submissions {
            bytes += check_submission(submission)?;
        }
        let permit = self.room(bytes).await?;
        self.ask(permit, |reply| Op::Submit { submissions, reply })
            .await
    }

    /// Has a schedule go on, and makes the tasks of its ticks. Answers `false`, and does nothing,
    /// where it has come to another tick than the caller believes: somebody else did it.
    ///
    /// # Errors
    /// Those of [`Store::submit`].
    pub async fn tick(&self, tick: Tick) -> Result<bool, StoreError> {
        let permit = self.room(check_tick(&tick)?).await?;
        self.ask(permit, |reply| Op::Tick { tick, reply }).await
    }

    /// Leases the next task of a queue: of those that are due, the one with the lowest priority
    /// number, then the earliest due time, then the earliest made. Does not block on the
    /// writer; reads the disk only for what is no longer in memory.
    ///
    /// `worker` is the caller's number for who runs it. A lease ends with a commit only: one
    /// that is dropped is leased until the store is opened again.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the task's input is damaged: the task is set aside.
    /// [`StoreError::Unavailable`] where it cannot be read just now: the task is ready again
    /// after a second.
    pub fn lease(&self, queue: &str, worker: u32) -> Result<Option<Lease>, StoreError> {
        self.inner.lease(queue, worker)
    }

    /// Leases no task of `plugins` from now on, and again those of all others: a task whose
    /// plugin cannot run waits without costing anything.
    pub fn hold_plugins(&self, plugins: BTreeSet<String>) {
        self.inner.queues.hold(plugins);
    }

    /// Waits until a queue may have a task that is due. Each task that becomes due ends one
    /// wait; another worker may have leased it by then.
    pub async fn wait_for_work(&self, queue: &str) {
        self.inner.queues.wait(queue).await;
    }

    /// Waits for the next task of a queue and leases it.
    ///
    /// # Errors
    /// As [`Store::lease`]; [`StoreError::Closed`] once the store is.
    pub async fn next_lease(&self, queue: &str, worker: u32) -> Result<Lease, StoreError> {
        loop {
            if let Some(lease) = self.lease(queue, worker)? {
                return Ok(lease);
            }
            self.wait_for_work(queue).await;
        }
    }

    /// Returns how many tasks have not ended, in all queues.
    pub fn open_tasks(&self) -> usize {
        self.inner.queues.open_tasks()
    }

    /// Counts the tasks that are set aside.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be counted.
    pub fn set_aside(&self) -> Result<u64, StoreError> {
        self.inner.pool.with(Reader::set_aside)
    }

    /// Returns how full a queue is.
    pub fn depth(&self, queue: &str) -> Depth {
        self.inner.queues.depth(queue)
    }

    /// Names the queues that had a task since the store was opened, those in which one waited
    /// then among them.
    pub fn queues(&self) -> BTreeSet<String> {
        self.inner.queues.names()
    }

    /// Lists what is leased, in the order of leasing.
    pub fn running(&self) -> Vec<Running> {
        self.inner.queues.running()
    }

    /// Writes commits, each all or nothing, and answers for each in order.
    ///
    /// The answers' errors: [`StoreError::Fenced`] under an old token,
    /// [`StoreError::TooLarge`] beyond a bound, and what befalls the whole store. On an error
    /// nothing was written and the lease stands, except when fenced.
    pub async fn commit(&self, commits: Vec<Commit>) -> Vec<Result<(), StoreError>> {
        let checks: Vec<_> = commits.iter().map(check_commit).collect();
        let bytes = commits.iter().map(commit_bytes).sum();
        let sound = commits
            .into_iter()
            .zip(&checks)
            .filter_map(|(commit, check)| check.is_ok().then_some(commit))
            .collect();
        let mut answers = match self.commit_sound(sound, bytes).await {
            Ok(answers) => answers.into_iter(),
            Err(error) => vec![Err(error); checks.len()].into_iter(),
        };
        checks
            .into_iter()
            .map(|check| check.and_then(|()| answers.next().unwrap_or(Err(StoreError::Closed))))
            .collect()
    }

    /// Keeps bytes under their SHA-256 and returns it. Keeping them again is cheap.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] beyond [`Options::max_blob`]; [`StoreError::Full`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn put_blob(&self, bytes: Bytes) -> Result<[u8; 32], StoreError> {
        limits::check_length("a blob", bytes.len(), self.inner.options.max_blob)?;
        let digest = segments::digest_of(&bytes);
        let permit = self.room(bytes.len()).await?;
        self.ask(permit, |reply| ValueOp::PutBlob {
            digest,
            bytes,
            reply,
        })
        .await?;
        Ok(digest)
    }

    /// Tells how far tasks are: see [`Reader::ends`].
    ///
    /// # Errors
    /// As [`Reader::ends`].
    pub fn ends(&self, tasks: &[TaskId]) -> Result<Vec<Option<TaskEnd>>, StoreError> {
        self.inner.pool.with(|reader| reader.ends(tasks))
    }

    /// Returns the bytes under a digest, or `None` where there are none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where they are damaged; [`StoreError::Unavailable`] where they
    /// cannot be read.
    pub fn blob(&self, digest: &[u8; 32]) -> Result<Option<Bytes>, StoreError> {
        self.inner.pool.with(|reader| reader.blob(digest))
    }

    /// Returns a plugin's value and its version.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<(Bytes, u64)>, StoreError> {
        self.inner.pool.with(|reader| reader.kv_get(plugin, key))
    }

    /// Claims a name for a task: true for the first task that asks, again and again, and false
    /// for every other, for 30 days at least. Durable before it answers.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for a name beyond [`MAX_KEY`]; [`StoreError::Full`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn claim(&self, plugin: &str, name: &str, task: TaskId) -> Result<bool, StoreError> {
        limits::check_length("the name of a claim", name.len(), MAX_KEY)?;
        self.ask(None, |reply| ValueOp::Claim {
            plugin: plugin.to_owned(),
            name: name.to_owned(),
            task,
            reply,
        })
        .await
    }

    /// Puts a task that was set aside back into its queue, with the first `keep` entries of its
    /// journal; `replace` takes the place of one of them. Its attempts count from 0 again, and
    /// its failures are past. It goes on with the version `onto`, where there is one and
    /// something of its journal is kept. `what` a person did, and `who`, is kept with it. Answers
    /// false where no task is set aside under this id, or where it was since `ended`: the journal
    /// is not the one that was looked at.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for an entry beyond its bound; [`StoreError::Full`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn resume(
        &self,
        (task, ended): (TaskId, Option<Nanos>),
        (keep, replace): (u32, Option<JournalEntry>),
        onto: Option<[u8; 32]>,
        (what, who): (&str, &str),
    ) -> Result<bool, StoreError> {
        limits::check_length("a name", what.len() + who.len(), MAX_KEY)?;
        let bytes = replace.as_ref().map_or(0, |entry| entry.bytes.len());
        limits::check_length("an entry of a journal", bytes, MAX_VALUE)?;
        let permit = self.room(bytes).await?;
        self.ask(permit, |reply| ValueOp::Resume {
            task,
            ended,
            keep,
            replace,
            onto,
            what: what.to_owned(),
            who: who.to_owned(),
            reply,
        })
        .await
    }

    /// Returns at most `max` events from the number `from` on: see [`Reader::events`].
    ///
    /// # Errors
    /// As [`Reader::events`].
    pub fn events(&self, from: u64, max: usize) -> Result<Events, StoreError> {
        self.inner.pool.with(|reader| reader.events(from, max))
    }

    /// Waits until there is an event after the number `after`, and returns the last number.
    ///
    /// # Errors
    /// [`StoreError::Closed`] once the store is.
    pub async fn watch(&self, after: u64) -> Result<u64, StoreError> {
        let mut news = self.inner.last_event.clone();
        let last = news.wait_for(|last| *last > after).await;
        last.map(|last| *last).or(Err(StoreError::Closed))
    }

    /// Removes what is older than [`Options::retention`] says, in small pieces between other
    /// operations, and sweeps blobs; answers what was removed. The store does so by itself
    /// every [`Retention::every`], unless it doubts the clock; whoever asks vouches for it.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`]; what was removed
    /// by then is counted.
    pub async fn retain(&self) -> Result<Removed, StoreError> {
        let op = |reply| Op::Retain { reply: Some(reply) };
        self.ask(None, op).await
    }

    /// Keeps what is kept so long from now on. [`Retention::every`] stays as it was.
    pub fn keep(&self, retention: Retention) {
        self.inner.retention.send_replace(retention);
    }

    /// Has the tasks of `queues`, and of no other queue, run one after another, each to its end.
    /// This holds for tasks that are made afterwards.
    pub fn serve_serially(&self, queues: BTreeSet<String>) {
        self.inner.queues.serve_serially(queues);
    }

    /// Returns the routing table and its generation.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub fn routes(&self) -> Result<(u64, Vec<RouteRecord>), StoreError> {
        self.inner.pool.with(Reader::routes)
    }

    /// Sets a plugin's place in the routing table and returns the table's new generation,
    /// which becomes the plugin's. What a person decided about its versions is over.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn put_route(
        &self,
        plugin: &str,
        digest: [u8; 32],
        manifest: &str,
    ) -> Result<u64, StoreError> {
        let manifest = manifest.to_owned();
        self.change_route(plugin, RouteChange::Put { digest, manifest })
            .await
    }

    /// Changes a plugin's place in the routing table and returns the table's new generation.
    /// Bytes of a version are kept under its digest by [`Store::put_blob`] before it is put
    /// here; they stay while the version is current, may be gone back to, or has tasks.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn change_route(&self, plugin: &str, change: RouteChange) -> Result<u64, StoreError> {
        if let RouteChange::Put { manifest, .. } | RouteChange::RollBack { manifest, .. } = &change
        {
            limits::check_length("a manifest", manifest.len(), MAX_VALUE)?;
        }
        self.ask(None, |reply| ValueOp::Route {
            plugin: plugin.to_owned(),
            change,
            reply,
        })
        .await
    }

    /// Lists plugins and their versions: see [`Reader::plugins`].
    ///
    /// # Errors
    /// As [`Reader::plugins`].
    pub fn plugins(&self) -> Result<Vec<PluginRecord>, StoreError> {
        self.inner.pool.with(Reader::plugins)
    }

    /// Lists how far schedules have come: see [`Reader::ticks`].
    ///
    /// # Errors
    /// As [`Reader::ticks`].
    pub fn ticks(&self) -> Result<Vec<TickRecord>, StoreError> {
        self.inner.pool.with(Reader::ticks)
    }

    /// Counts tasks by plugin and version: see [`Reader::tasks_by_version`].
    ///
    /// # Errors
    /// As [`Reader::tasks_by_version`].
    pub fn tasks_by_version(&self) -> Result<Vec<VersionTasks>, StoreError> {
        self.inner.pool.with(Reader::tasks_by_version)
    }

    /// Does what was handed over before, moves the log into the database, and marks the store
    /// as cleanly closed. Later operations answer [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Failed`]: nothing is lost, but the next start
    /// leaves gap marks. [`StoreError::Closed`] if it was closed before.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closed = self.ask(None, |reply| Op::Close { reply }).await;
        self.inner.queues.stop();
        closed
    }

    async fn commit_sound(
        &self,
        commits: Vec<Commit>,
        bytes: usize,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let permit = self.room(bytes).await?;
        self.ask(permit, |reply| Op::Commit { commits, reply })
            .await
    }

    /// Waits until so many bytes may wait for the writer.
    async fn room(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        if bytes < SMALL {
            return Ok(None);
        }
        let limit = self.inner.options.waiting_bytes;
        limits::check_length("one operation", bytes, limit)?;
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.inner.waiting)
            .acquire_many_owned(kibibytes)
            .await
            .or(Err(StoreError::Closed))?;
        Ok(Some(permit))
    }

    async fn ask<T, O: Into<Op>>(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        op: impl FnOnce(Reply<T>) -> O,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let sender = self.inner.sender.as_ref().ok_or(StoreError::Closed)?;
        let op = op(reply).into();
        let request = Request { op, permit };
        sender.send(request).await.or(Err(StoreError::Closed))?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}
