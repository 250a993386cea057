//! What the tests share: a store in a temporary directory and short ways to make things.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gwasp_store::{
    Accepted, Clock, Commit, Failure, Lease, Nanos, NewPacket, NewTask, Offer, Options, Origin,
    PacketSeq, Retention, RetryPolicy, Step, Store, StoreError, TaskId,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) const SECOND: Nanos = 1_000_000_000;
/// 2026-01-02T00:00:00Z.
pub(crate) const START: Nanos = 1_767_312_000 * SECOND;
pub(crate) const QUEUE: &str = "general";

/// From one pass of retention to the next: they are those that a test asks for.
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct Hand(Mutex<(Nanos, Duration)>);

impl Hand {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((START, Duration::ZERO))))
    }

    /// Time passes.
    pub(crate) fn advance(&self, by: Nanos) {
        let mut clock = self.0.lock().unwrap();
        clock.0 += by;
        clock.1 += Duration::from_nanos(by.unsigned_abs());
    }

    /// The wall clock is set to another time.
    pub(crate) fn step(&self, by: Nanos) {
        self.0.lock().unwrap().0 += by;
    }
}

impl Clock for Hand {
    fn now(&self) -> Nanos {
        self.look().0
    }

    fn look(&self) -> (Nanos, Duration) {
        *self.0.lock().unwrap()
    }
}

/// A store in a directory of its own, with a clock that stands.
pub(crate) struct Rig {
    dir: TempDir,
    pub(crate) clock: Arc<Hand>,
    pub(crate) options: Options,
    pub(crate) store: Option<Store>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let clock = Hand::new();
        let mut options = Options {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            retention: Retention {
                every: NEVER,
                ..Retention::default()
            },
            ..Options::default()
        };
        change(&mut options);
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Self {
            dir,
            clock,
            options,
            store: None,
        };
        rig.open();
        rig
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn open(&mut self) {
        let store = Store::open(&self.path(), self.options.clone()).unwrap();
        self.store = Some(store);
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Leaves what a crash would leave, and opens again.
    pub(crate) fn crash(&mut self) {
        self.store = None;
        self.open();
    }

    pub(crate) fn close(&mut self) {
        wait(self.store().close()).unwrap();
        self.store = None;
    }

    #[track_caller]
    pub(crate) fn accept(&self, offer: Offer) -> Accepted {
        let generation = self.store().routes().unwrap().0;
        let accepted = wait(self.store().accept(generation, vec![offer])).unwrap();
        assert_eq!(accepted.len(), 1);
        accepted[0]
    }

    #[track_caller]
    pub(crate) fn keep(&self, offer: Offer) -> PacketSeq {
        match self.accept(offer) {
            Accepted::New(seq) => seq,
            Accepted::Duplicate(seq) => panic!("{seq:?} was known"),
        }
    }

    #[track_caller]
    pub(crate) fn lease(&self) -> Lease {
        self.try_lease().expect("a task is due")
    }

    pub(crate) fn try_lease(&self) -> Option<Lease> {
        self.store().lease(QUEUE, 0).unwrap()
    }

    #[track_caller]
    pub(crate) fn commit(&self, commit: Commit) {
        self.try_commit(commit).unwrap();
    }

    pub(crate) fn try_commit(&self, commit: Commit) -> Result<(), StoreError> {
        let mut answers = wait(self.store().commit(vec![commit]));
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    #[track_caller]
    pub(crate) fn check_sound(&self) {
        check_sound(&self.path());
    }
}

/// Checks that counters, rows and bytes of a store agree.
#[track_caller]
pub(crate) fn check_sound(dir: &Path) {
    let reader = gwasp_store::Reader::open(dir).unwrap();
    let ledger = reader.ledger(i64::MIN).unwrap();
    ledger.balances().unwrap();
    let found = reader.verify(true).unwrap();
    assert!(found.is_sound(), "{found:#?}");
}

/// Has a task that is set aside go on with so many entries of its journal.
pub(crate) fn resume(rig: &Rig, name: &str, keep: u32) -> bool {
    let (task, by) = ((task_id(name), None), ("resumed", "alice"));
    wait(rig.store().resume(task, (keep, None), None, by)).unwrap()
}

/// Runs a future to its end on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn task_id(name: &str) -> TaskId {
    let digest = sha256(name.as_bytes());
    TaskId(*digest.first_chunk().unwrap())
}

pub(crate) fn packet(name: &str) -> NewPacket {
    packet_of(
        name,
        Bytes::from(format!("<voe:VOEvent>{name}</voe:VOEvent>")),
    )
}

pub(crate) fn packet_of(name: &str, payload: Bytes) -> NewPacket {
    NewPacket {
        source: "gcn".to_owned(),
        key: "FERMI_GBM_GND_POS".to_owned(),
        id: format!("ivo://nasa.gsfc.gcn/Fermi#{name}"),
        identity: sha256(&payload),
        digest: sha256(&payload),
        role: "observation".to_owned(),
        received: START,
        sent: None,
        content_type: "application/xml".to_owned(),
        headers: vec![("topic".to_owned(), "gcn.classic".to_owned())],
        flags: Vec::new(),
        payload,
    }
}

pub(crate) fn task(name: &str) -> NewTask {
    NewTask {
        id: task_id(name),
        plugin: "fermi-log".to_owned(),
        handler: "on_position".to_owned(),
        queue: QUEUE.to_owned(),
        origin: Origin::Packet,
        parent: None,
        priority: 5,
        due: START,
        order_key: None,
        policy: RetryPolicy {
            retries: 3,
            backoff_ms: 1_000,
            max_backoff_ms: 600_000,
            timeout_ms: 30_000,
            deadline: None,
        },
        args: None,
    }
}

/// A packet with tasks of these names.
pub(crate) fn offer(name: &str, tasks: &[&str]) -> Offer {
    Offer {
        packet: packet(name),
        tasks: tasks.iter().map(|name| task(name)).collect(),
        unmatched: None,
    }
}

pub(crate) fn commit(lease: &Lease, step: Step) -> Commit {
    Commit {
        cpu: 1_000,
        ..Commit::bare(lease.task, lease.token, [7; 32], step)
    }
}

pub(crate) fn success(lease: &Lease) -> Commit {
    commit(lease, Step::Succeed { result: None })
}

pub(crate) fn failure(message: &str) -> Failure {
    Failure {
        kind: "error".to_owned(),
        message: message.to_owned(),
        detail: None,
    }
}

/// A number that a longer run sets, else the one of the quick tests.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    let value = std::env::var_os(variable);
    value
        .and_then(|value| value.to_str()?.parse().ok())
        .unwrap_or(otherwise)
}

/// Appends what a lane counted, a JSON object, to the file that `cargo xtask soak` makes its
/// table of.
pub(crate) fn record(result: &str) {
    use std::io::Write as _;
    let Some(file) = std::env::var_os("GWASP_RESULTS") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file);
    writeln!(file.unwrap(), "{result}").unwrap();
}

/// Random numbers from a seed (splitmix64: Steele, Lea, Flood 2014, OOPSLA, 453).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}
