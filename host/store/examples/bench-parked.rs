//! Measures what tasks that wait cost: memory each, how long a start with them takes, and how late
//! they are leased.
//!
//! `cargo run --release --example bench-parked -- [TASKS] [WAKE_SECONDS] [DIR]`: each of `TASKS`
//! packets makes a task that sleeps for a day with a journal of two entries; then the store is
//! opened again, and a thousand more sleep for moments spread over `WAKE_SECONDS`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement for people"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use gwasp_store::{
    Clock, Commit, JournalEntry, Lease, Nanos, NewPacket, NewTask, Offer, Options, Origin,
    RetryPolicy, Step, Store, SystemClock, TaskId, Wait,
};
use sha2::{Digest, Sha256};

const QUEUE: &str = "general";
const DAY: Nanos = 86_400_000_000_000;
/// Tasks that are made, leased and parked together.
const BATCH: u64 = 500;
/// Tasks whose wake-up is timed.
const WOKEN: u64 = 1_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u64| {
        let next = arguments.next();
        next.map_or(otherwise, |text| text.parse().unwrap())
    };
    let (tasks, seconds) = (number(100_000), number(5));
    let dir = std::env::args().nth(3);
    let dir = dir.map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("bench-parked-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let park = Instant::now();
    let store = open(&dir);
    runtime.block_on(fill(&store, 0..tasks, |_| now() + DAY));
    runtime.block_on(store.close()).unwrap();
    drop(store);
    if tasks > 0 {
        let took = park.elapsed().as_secs_f64();
        println!("{tasks} tasks parked in {took:.1} s");
    }

    // A process that has not parked them: what it has more is for those that it found.
    let me = std::env::current_exe().unwrap();
    if std::env::var_os("BENCH_PARKED_OPENS").is_none() {
        let opened = std::process::Command::new(me)
            .args(["0", &seconds.to_string()])
            .arg(dir.parent().unwrap())
            .env("BENCH_PARKED_OPENS", &dir)
            .status();
        assert!(opened.unwrap().success());
        std::fs::remove_dir_all(&dir).unwrap();
        return;
    }
    std::fs::remove_dir_all(&dir).unwrap();
    let dir = PathBuf::from(std::env::var_os("BENCH_PARKED_OPENS").unwrap());
    let before = rss();
    let start = Instant::now();
    let store = open(&dir);
    let took = start.elapsed();
    let open_tasks = store.open_tasks();
    let grown = rss().saturating_sub(before);
    println!(
        "opened with {open_tasks} in {:.3} s; {grown} KiB more memory, {:.0} bytes each",
        took.as_secs_f64(),
        grown as f64 * 1024.0 / open_tasks.max(1) as f64,
    );
    runtime.block_on(wake(&store, seconds));
    runtime.block_on(store.close()).unwrap();
}

fn open(dir: &Path) -> Store {
    Store::open(dir, Options::default()).unwrap()
}

fn now() -> Nanos {
    SystemClock.now()
}

/// Makes tasks of these numbers, and has each sleep.
async fn fill(store: &Store, numbers: std::ops::Range<u64>, until: impl Fn(u64) -> Nanos) {
    let numbers: Vec<u64> = numbers.collect();
    let generation = store.routes().unwrap().0;
    for batch in numbers.chunks(usize::try_from(BATCH).unwrap()) {
        let offers = batch.iter().map(|number| offer(*number)).collect();
        store.accept(generation, offers).await.unwrap();
        let parks = batch.iter().map(|number| {
            let lease = store.lease(QUEUE, 0).unwrap().unwrap();
            park(&lease, until(*number))
        });
        for answer in store.commit(parks.collect()).await {
            answer.unwrap();
        }
    }
}

fn park(lease: &Lease, until: Nanos) -> Commit {
    let on = Wait::Until(until);
    let mut park = Commit::bare(lease.task, lease.token, [7; 32], Step::Park { on });
    let entry = |seq| JournalEntry {
        seq,
        bytes: Bytes::from(vec![0x18; 120]),
    };
    park.journal = vec![entry(0), entry(1)];
    park
}

/// Times how late tasks are leased.
async fn wake(store: &Store, seconds: u64) {
    let begin = now() + 2_000_000_000;
    let step = Nanos::try_from(seconds * 1_000_000_000 / WOKEN).unwrap();
    let until = |number: u64| begin + step * Nanos::try_from(number % WOKEN).unwrap();
    // Numbers that no run before has used.
    let first = u64::try_from(now()).unwrap() / 1_000;
    fill(store, first..first + WOKEN, until).await;
    let mut late = Vec::new();
    for _ in 0..WOKEN {
        let lease = store.next_lease(QUEUE, 0).await.unwrap();
        late.push((lease, now()));
    }
    let mut delays: Vec<Nanos> = (0..WOKEN)
        .zip(&late)
        .map(|(number, (_, at))| at - (begin + step * Nanos::try_from(number).unwrap()))
        .collect();
    delays.sort_unstable();
    let at = |part: usize| delays[delays.len() * part / 1_000] as f64 / 1e6;
    println!(
        "woken late by {:.2} ms (median), {:.2} ms (p99), {:.2} ms (longest)",
        at(500),
        at(990),
        at(999)
    );
    for (lease, _) in late {
        let end = Step::Succeed { result: None };
        let commit = Commit::bare(lease.task, lease.token, [7; 32], end);
        store.commit(vec![commit]).await.remove(0).unwrap();
    }
}

fn offer(number: u64) -> Offer {
    let payload = Bytes::from(format!("<voe:VOEvent>{number}</voe:VOEvent>"));
    let digest: [u8; 32] = Sha256::digest(&payload).into();
    let task = NewTask {
        id: TaskId(*digest.first_chunk().unwrap()),
        plugin: "orchestrator".to_owned(),
        handler: "second_preliminary".to_owned(),
        queue: QUEUE.to_owned(),
        origin: Origin::Packet,
        parent: None,
        priority: 5,
        due: 0,
        order_key: Some(format!("S{number}")),
        policy: RetryPolicy {
            retries: 3,
            backoff_ms: 1_000,
            max_backoff_ms: 600_000,
            timeout_ms: 30_000,
            deadline: None,
        },
        args: None,
    };
    Offer {
        packet: NewPacket {
            source: "igwn".to_owned(),
            key: "superevent".to_owned(),
            id: number.to_string(),
            identity: digest,
            digest,
            role: "observation".to_owned(),
            received: now(),
            sent: None,
            content_type: "application/xml".to_owned(),
            headers: Vec::new(),
            flags: Vec::new(),
            payload,
        },
        tasks: vec![task],
        unmatched: None,
    }
}

/// Resident memory in KiB.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
