//! A store in a directory of its own, a broker over it that can hold its answers back, and an
//! effect that answers as it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gwasp_store::Reader;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::super::{Context, External, Leg, Made, Seam, Settled};
use crate::broker::{
    Accepted, Answer, Broker, BrokerError, Commit, Depth, Embedded, Events, Failure, JournalEntry,
    Lease, NewPacket, NewRefusal, NewTask, Offer, Origin, PluginRecord, RetryPolicy, RouteChange,
    RouteRecord, Running, Step, TaskEnd, TaskId, Tick, TickRecord, VersionTasks,
};
use crate::config::{Grant, KernelsConfig};
use crate::effects::Limits;
use crate::effects::driver::{Driver, LiveRun, World};
use crate::effects::journal::{Entry, Journal, Phase};
use crate::effects::kernels::KernelThreads;
use crate::packet::Digest;
use crate::routes::Routes;
use crate::services::HttpServices;

const TASK: TaskId = TaskId([1; 16]);

/// What of its answers a broker holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Withheld {
    Nothing,
    /// Those to commits without an intent.
    Answers,
    All,
}

/// The embedded broker, watched.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Embedded,
    withheld: watch::Sender<Withheld>,
    awaited: Mutex<usize>,
    fails: Mutex<bool>,
    full: Mutex<usize>,
}

impl Watched {
    fn new(inner: Embedded) -> Self {
        Self {
            inner,
            withheld: watch::Sender::new(Withheld::Nothing),
            awaited: Mutex::default(),
            fails: Mutex::default(),
            full: Mutex::default(),
        }
    }

    pub(super) fn withhold_answers(&self) {
        self.withheld.send_replace(Withheld::Answers);
    }

    pub(super) fn withhold_all(&self) {
        self.withheld.send_replace(Withheld::All);
    }

    pub(super) fn release(&self) {
        self.withheld.send_replace(Withheld::Nothing);
    }

    /// Lets the next commit fail.
    pub(super) fn fail_next(&self) {
        *self.fails.lock().unwrap() = true;
    }

    /// Has no space for the next blobs, so many.
    pub(super) fn be_full(&self, blobs: usize) {
        *self.full.lock().unwrap() = blobs;
    }

    /// How many commits with an intent were answered.
    pub(super) fn awaited(&self) -> usize {
        *self.awaited.lock().unwrap()
    }
}

fn has_intent(commits: &[Commit]) -> bool {
    let entries = commits.iter().flat_map(|commit| &commit.journal);
    let mut read = entries.map(|entry| minicbor::decode::<Entry>(&entry.bytes).unwrap());
    read.any(|entry| entry.phase == Phase::Intent)
}

impl Broker for Watched {
    fn hold_plugins(&self, plugins: BTreeSet<String>) {
        self.inner.hold_plugins(plugins);
    }

    fn commit(&self, commits: Vec<Commit>) -> Answer<'_, Vec<Result<(), BrokerError>>> {
        if std::mem::take(&mut *self.fails.lock().unwrap()) {
            return Box::pin(async { vec![Err(BrokerError::Closed)] });
        }
        let has_intent = has_intent(&commits);
        Box::pin(async move {
            let answers = self.inner.commit(commits).await;
            let mut withheld = self.withheld.subscribe();
            let is_let_go = |withheld: &Withheld| match withheld {
                Withheld::Nothing => true,
                Withheld::Answers => has_intent,
                Withheld::All => false,
            };
            withheld.wait_for(is_let_go).await.unwrap();
            *self.awaited.lock().unwrap() += usize::from(has_intent);
            answers
        })
    }

    fn routes(&self) -> Result<(u64, Vec<RouteRecord>), BrokerError> {
        self.inner.routes()
    }

    fn change_route<'a>(
        &'a self,
        plugin: &'a str,
        change: RouteChange,
    ) -> Answer<'a, Result<u64, BrokerError>> {
        self.inner.change_route(plugin, change)
    }

    fn plugins(&self) -> Result<Vec<PluginRecord>, BrokerError> {
        self.inner.plugins()
    }

    fn tasks_by_version(&self) -> Result<Vec<VersionTasks>, BrokerError> {
        self.inner.tasks_by_version()
    }

    fn queues(&self) -> BTreeSet<String> {
        self.inner.queues()
    }

    fn accept(
        &self,
        generation: u64,
        offers: Vec<Offer>,
    ) -> Answer<'_, Result<Vec<Accepted>, BrokerError>> {
        self.inner.accept(generation, offers)
    }

    fn refuse(&self, refusals: Vec<NewRefusal>) -> Answer<'_, Result<(), BrokerError>> {
        self.inner.refuse(refusals)
    }

    fn note_unconfirmed<'a>(
        &'a self,
        source: &'a str,
        frames: u64,
    ) -> Answer<'a, Result<(), BrokerError>> {
        self.inner.note_unconfirmed(source, frames)
    }

    fn note_listening<'a>(
        &'a self,
        source: &'a str,
        listening: bool,
    ) -> Answer<'a, Result<(), BrokerError>> {
        self.inner.note_listening(source, listening)
    }

    fn lease<'a>(&'a self, queue: &'a str, worker: u32) -> Answer<'a, Result<Lease, BrokerError>> {
        self.inner.lease(queue, worker)
    }

    fn open_tasks(&self) -> usize {
        self.inner.open_tasks()
    }

    fn set_aside(&self) -> Result<u64, BrokerError> {
        self.inner.set_aside()
    }

    fn depth(&self, queue: &str) -> Depth {
        self.inner.depth(queue)
    }

    fn running(&self) -> Vec<Running> {
        self.inner.running()
    }

    fn ticks(&self) -> Result<Vec<TickRecord>, BrokerError> {
        self.inner.ticks()
    }

    fn tick(&self, tick: Tick) -> Answer<'_, Result<bool, BrokerError>> {
        self.inner.tick(tick)
    }

    fn ends(&self, tasks: &[TaskId]) -> Result<Vec<Option<TaskEnd>>, BrokerError> {
        self.inner.ends(tasks)
    }

    fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<(Bytes, u64)>, BrokerError> {
        self.inner.kv_get(plugin, key)
    }

    fn claim<'a>(
        &'a self,
        plugin: &'a str,
        name: &'a str,
        task: TaskId,
    ) -> Answer<'a, Result<bool, BrokerError>> {
        self.inner.claim(plugin, name, task)
    }

    fn put_blob(&self, bytes: Bytes) -> Answer<'_, Result<[u8; 32], BrokerError>> {
        let mut full = self.full.lock().unwrap();
        if *full > 0 {
            *full -= 1;
            let cause = gwasp_store::Cause::File {
                operation: "writing",
                source: Arc::new(std::io::ErrorKind::StorageFull.into()),
            };
            return Box::pin(async { Err(BrokerError::Full { cause }) });
        }
        self.inner.put_blob(bytes)
    }

    fn blob(&self, digest: &[u8; 32]) -> Result<Option<Bytes>, BrokerError> {
        self.inner.blob(digest)
    }

    fn events(&self, from: u64, max: usize) -> Result<Events, BrokerError> {
        self.inner.events(from, max)
    }

    fn watch(&self, after: u64) -> Answer<'_, Result<u64, BrokerError>> {
        self.inner.watch(after)
    }

    fn close(&self) -> Answer<'_, Result<(), BrokerError>> {
        self.inner.close()
    }
}

/// A store with one task, which is leased.
pub(super) struct Rig {
    /// What the plugin may do.
    pub(super) grant: Grant,
    /// Whether what the task does may have been done before.
    pub(super) is_asked: bool,
    dir: Arc<TempDir>,
    pub(super) broker: Arc<Watched>,
    lease: Mutex<Lease>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let broker = Watched::new(Embedded::open(dir.path(), BTreeSet::new()).unwrap());
        let (generation, _) = broker.routes().unwrap();
        broker.accept(generation, vec![offer()]).await.unwrap();
        let lease = broker.lease("q", 0).await.unwrap();
        Self {
            grant: Grant {
                kernels: true,
                ..Grant::default()
            },
            is_asked: false,
            dir,
            broker: Arc::new(broker),
            lease: Mutex::new(lease),
        }
    }

    fn lease(&self) -> Lease {
        self.lease.lock().unwrap().clone()
    }

    /// The gate of the run under the present lease.
    pub(super) fn seam(&self) -> Seam {
        let lease = self.lease();
        let (_, routes) = watch::channel(Arc::new(Routes::default()));
        let (services, secrets) = (BTreeMap::new(), BTreeMap::new());
        let http = HttpServices::new(&services, &secrets, Handle::current());
        let http = Arc::new(http.unwrap());
        let world = World {
            broker: Arc::clone(&self.broker) as Arc<dyn Broker>,
            http: watch::channel(Arc::clone(&http)).1,
            routes,
            queues: watch::channel(BTreeSet::new()).1,
            kernels: KernelThreads::new(&KernelsConfig::default()),
            clock: Arc::new(Timestamp::now),
        };
        let live = LiveRun {
            world: Arc::new(world),
            http,
            task: lease.task,
            token: lease.token,
            version: Digest::of(b"plugin"),
            is_asked: self.is_asked,
        };
        let context = Context {
            plugin: "p".to_owned(),
            handler: "h".to_owned(),
            grant: Arc::new(self.grant.clone()),
        };
        let journal = Journal::read(&lease.journal).unwrap();
        let driver = Driver::Live(Arc::new(live));
        Seam::new(context, driver, Limits::default(), journal)
    }

    /// Ends the process, as far as the broker knows, and leases the task in a next one.
    pub(super) async fn crash(&mut self) {
        self.broker.close().await.unwrap();
        self.broker = Arc::new(Watched::new(
            Embedded::open(self.dir.path(), BTreeSet::new()).unwrap(),
        ));
        self.lease_again().await;
    }

    async fn lease_again(&self) {
        let lease = self.broker.lease("q", 0).await.unwrap();
        *self.lease.lock().unwrap() = lease;
    }

    /// Ends the leg with a failure, and leases the task for another attempt.
    pub(super) async fn retry(&self, leg: Leg) {
        let failure = Failure {
            kind: "error".to_owned(),
            message: "m".to_owned(),
            detail: None,
        };
        let keep = leg.keep_for_retry;
        let mut journal = leg.journal;
        journal.retain(|entry| entry.seq < keep);
        let step = Step::Retry {
            due: 0,
            failure,
            keep,
        };
        self.end(journal, step).await;
        self.lease_again().await;
    }

    /// Gives the task back, and leases it again.
    pub(super) async fn give_back(&self, leg: Leg) {
        self.end(leg.journal, Step::GiveBack { due: 0 }).await;
        self.lease_again().await;
    }

    /// Has another worker lease the task.
    pub(super) async fn lose_lease(&mut self) {
        self.end(Vec::new(), Step::GiveBack { due: 0 }).await;
        self.lease_again().await;
    }

    async fn end(&self, journal: Vec<JournalEntry>, step: Step) {
        let lease = self.lease();
        let commit = Commit {
            journal,
            ..Commit::bare(lease.task, lease.token, [7; 32], step)
        };
        let answers = self.broker.commit(vec![commit]).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    pub(super) fn kept(&self) -> Kept {
        Kept {
            dir: Arc::clone(&self.dir),
            seen: Arc::default(),
        }
    }
}

/// The task's journal as it is on disk, read beside the broker.
#[derive(Clone)]
pub(super) struct Kept {
    dir: Arc<TempDir>,
    seen: Arc<Mutex<Vec<(String, Phase)>>>,
}

impl Kept {
    /// Looks, and remembers.
    pub(super) fn look(&self) {
        let reader = Reader::open(self.dir.path()).unwrap();
        let entries = reader.journal(TASK).unwrap();
        let read = entries.iter().map(|entry| {
            let entry: Entry = minicbor::decode(&entry.bytes).unwrap();
            (entry.function, entry.phase)
        });
        *self.seen.lock().unwrap() = read.collect();
    }

    /// Functions and phases at the last look.
    pub(super) fn seen(&self) -> Vec<(String, Phase)> {
        self.seen.lock().unwrap().clone()
    }
}

/// An effect that comes out as it is told, and then never.
pub(super) struct Fake {
    made: Mutex<VecDeque<Made<String>>>,
    settled: Mutex<VecDeque<Settled<String>>>,
    refusal: Option<String>,
    keys: Mutex<Vec<String>>,
    at_make: Mutex<Box<dyn Fn() + Send>>,
    reached: Notify,
}

impl Fake {
    pub(super) fn new(made: impl IntoIterator<Item = Made<String>>) -> Self {
        Self {
            made: Mutex::new(made.into_iter().collect()),
            settled: Mutex::default(),
            refusal: None,
            keys: Mutex::default(),
            at_make: Mutex::new(Box::new(|| {})),
            reached: Notify::new(),
        }
    }

    pub(super) fn settling(self, settled: impl IntoIterator<Item = Settled<String>>) -> Self {
        self.settled.lock().unwrap().extend(settled);
        self
    }

    pub(super) fn refusing(mut self, reason: &str) -> Self {
        self.refusal = Some(reason.to_owned());
        self
    }

    /// Does something each time that it is made.
    pub(super) fn at_make(&self, act: impl Fn() + Send + 'static) {
        *self.at_make.lock().unwrap() = Box::new(act);
    }

    /// Waits until it is made.
    pub(super) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// The keys that it was made under.
    pub(super) fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }
}

impl External for Fake {
    type Answer = String;

    fn refused(&self) -> Option<String> {
        self.refusal.clone()
    }

    async fn make(&self, key: &str) -> Made<String> {
        self.keys.lock().unwrap().push(key.to_owned());
        self.at_make.lock().unwrap()();
        self.reached.notify_one();
        let next = self.made.lock().unwrap().pop_front();
        match next {
            Some(made) => made,
            None => std::future::pending().await,
        }
    }

    async fn settle(&self, _key: &str, _age: Duration) -> Settled<String> {
        let next = self.settled.lock().unwrap().pop_front();
        next.unwrap()
    }

    fn in_doubt(&self, reason: String) -> String {
        format!("in doubt: {reason}")
    }

    fn too_long(&self) -> String {
        "too long".to_owned()
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(3_600)
    }
}

fn offer() -> Offer {
    let policy = RetryPolicy {
        retries: 3,
        backoff_ms: 1,
        max_backoff_ms: 1,
        timeout_ms: 1_000,
        deadline: None,
    };
    let task = NewTask {
        id: TASK,
        plugin: "p".to_owned(),
        handler: "h".to_owned(),
        queue: "q".to_owned(),
        origin: Origin::Packet,
        parent: None,
        priority: 5,
        due: 0,
        order_key: None,
        policy,
        args: None,
    };
    let payload = Bytes::from_static(b"<voe:VOEvent/>");
    let packet = NewPacket {
        source: "gcn".to_owned(),
        key: "FERMI_GBM_FLT_POS".to_owned(),
        id: "ivo://gwasp.test/1".to_owned(),
        identity: [1; 32],
        digest: *Digest::of(&payload).as_bytes(),
        role: "observation".to_owned(),
        received: 1,
        sent: None,
        content_type: "application/xml".to_owned(),
        headers: Vec::new(),
        flags: Vec::new(),
        payload,
    };
    Offer {
        packet,
        tasks: vec![task],
        unmatched: None,
    }
}
