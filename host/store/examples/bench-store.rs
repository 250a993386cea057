//! Measures durable tasks per second, CPU per task and the latency of accept.
//!
//! `cargo run --release --example bench-store -- [SECONDS] [BURN_US] [DIR] [TASKS
//! WORKERS]`: each round has producers that accept packets of 2 KB one at a time, and worker threads that lease a task,
//! burn `BURN_US` microseconds of CPU in place of a handler, and commit its end. CPU per task is
//! that of the whole process, producers and workers included, without the burnt.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement for people"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gwasp_store::{
    Commit, NewPacket, NewTask, Offer, Options, Origin, RetryPolicy, Step, Store, StoreError,
    TaskId,
};
use sha2::{Digest, Sha256};

const QUEUE: &str = "general";
const PRODUCERS: u64 = 8;
/// Producers wait while more tasks than this are ready, so that each round is in balance.
const BACKLOG: usize = 5_000;

struct Round {
    seconds: u64,
    burn: Duration,
    tasks: usize,
    workers: u32,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(4, |text| text.parse().unwrap());
    let burn = arguments.next().map_or(0, |text| text.parse().unwrap());
    let dir = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let only: Vec<u32> = arguments.map(|text| text.parse().unwrap()).collect();
    let rounds = [(10, 8), (10, 64), (1, 8), (1, 64)];
    for (tasks, workers) in rounds {
        if only.is_empty() || only == [tasks, workers] {
            measure(
                &dir,
                &Round {
                    seconds,
                    burn: Duration::from_micros(burn),
                    tasks: usize::try_from(tasks).unwrap(),
                    workers,
                },
            );
        }
    }
}

fn measure(dir: &Path, round: &Round) {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let before = (cpu_of_process(), cpu_of_writer());
    let began = Instant::now();
    let workers: Vec<_> = (0..round.workers)
        .map(|worker| {
            let (store, done, burn) = (store.clone(), Arc::clone(&done), round.burn);
            std::thread::spawn(move || block_on(work(&store, worker, burn, &done)))
        })
        .collect();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let (store, stop, tasks) = (store.clone(), Arc::clone(&stop), round.tasks);
            std::thread::spawn(move || block_on(produce(&store, producer, tasks, &stop)))
        })
        .collect();
    std::thread::sleep(Duration::from_secs(round.seconds));
    stop.store(true, Ordering::Relaxed);
    let mut latencies: Vec<Duration> = Vec::new();
    for producer in producers {
        latencies.extend(producer.join().unwrap());
    }
    while store.depth(QUEUE).ready + store.depth(QUEUE).leased > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let elapsed = began.elapsed().as_secs_f64();
    let after = (cpu_of_process(), cpu_of_writer());
    let image = tempfile::tempdir_in(dir.path()).unwrap();
    let opening = time_of_opening(dir.path(), image.path());
    block_on(store.close()).unwrap();
    for worker in workers {
        worker.join().unwrap();
    }
    let ended = done.load(Ordering::Relaxed) as f64;
    let micros = |ticks: u64| ticks as f64 * 1e4 / ended;
    latencies.sort_unstable();
    let at = |part: usize| {
        let position = (latencies.len() - 1) * part / 1000;
        latencies.get(position).unwrap().as_secs_f64() * 1e3
    };
    println!(
        "{} tasks per packet, {} workers: {:.0} tasks/s; CPU per task {:.1} us, of it writer {:.1} us; \
         accept p50 {:.2} ms, p99 {:.2} ms, worst {:.1} ms; opens after a crash in {:.0} ms",
        round.tasks,
        round.workers,
        ended / elapsed,
        micros(after.0 - before.0) - round.burn.as_secs_f64() * 1e6,
        micros(after.1 - before.1),
        at(500),
        at(990),
        at(1000),
        opening.as_secs_f64() * 1e3,
    );
}

/// Opens a copy of a store that was not closed.
fn time_of_opening(store: &Path, image: &Path) -> Duration {
    for name in ["store.sqlite", "store.sqlite-wal"] {
        std::fs::copy(store.join(name), image.join(name)).unwrap();
    }
    let began = Instant::now();
    let copy = Store::open(image, Options::default()).unwrap();
    let opening = began.elapsed();
    drop(copy);
    opening
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

async fn work(store: &Store, worker: u32, burn: Duration, done: &AtomicU64) {
    loop {
        let lease = match store.next_lease(QUEUE, worker).await {
            Ok(lease) => lease,
            Err(StoreError::Closed) => return,
            Err(error) => {
                println!("{error}");
                return;
            }
        };
        let began = Instant::now();
        while began.elapsed() < burn {
            std::hint::spin_loop();
        }
        let step = Step::Succeed { result: None };
        let commit = Commit {
            cpu: 15_000,
            ..Commit::bare(lease.task, lease.token, [1; 32], step)
        };
        store.commit(vec![commit]).await.remove(0).unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn produce(store: &Store, producer: u64, tasks: usize, stop: &AtomicBool) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut number = producer;
    while !stop.load(Ordering::Relaxed) {
        if store.depth(QUEUE).ready > BACKLOG {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let offer = offer(number, tasks);
        let began = Instant::now();
        store.accept(0, vec![offer]).await.unwrap();
        latencies.push(began.elapsed());
        number += PRODUCERS;
    }
    latencies
}

fn offer(number: u64, tasks: usize) -> Offer {
    let mut payload = vec![b'x'; 2048];
    payload.splice(..8, number.to_le_bytes());
    let digest: [u8; 32] = Sha256::digest(&payload).into();
    Offer {
        packet: NewPacket {
            source: "gcn".to_owned(),
            key: "FERMI_GBM_GND_POS".to_owned(),
            id: format!("ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_{number}"),
            identity: digest,
            digest,
            role: "observation".to_owned(),
            received: 1_767_312_000_000_000_000,
            sent: None,
            content_type: "application/xml".to_owned(),
            headers: Vec::new(),
            flags: Vec::new(),
            payload: Bytes::from(payload),
        },
        tasks: (0..tasks).map(|handler| task(&digest, handler)).collect(),
        unmatched: None,
    }
}

fn task(identity: &[u8; 32], handler: usize) -> NewTask {
    let cause = Sha256::new()
        .chain_update(identity)
        .chain_update(handler.to_le_bytes());
    NewTask {
        id: TaskId(*cause.finalize().first_chunk().unwrap()),
        plugin: "fermi-log".to_owned(),
        handler: format!("handler_{handler}"),
        queue: QUEUE.to_owned(),
        origin: Origin::Packet,
        parent: None,
        priority: 5,
        due: 0,
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

/// CPU time of this process, in ticks of 10 ms.
fn cpu_of_process() -> u64 {
    ticks(Path::new("/proc/self/stat"))
}

/// CPU time of the writer thread, in ticks of 10 ms.
fn cpu_of_writer() -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = entry.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.trim() == "store-writer" {
            sum += ticks(&path.join("stat"));
        }
    }
    sum
}

fn ticks(path: &Path) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let number = |field: usize| fields.get(field).unwrap().parse::<u64>().unwrap();
    number(11) + number(12)
}
