//! Measures what a handler that spins costs a neighbour in another queue, beside what a native
//! thread that spins costs it.
//!
//! `cargo run --release --example bench-neighbours -- GWASP PROBE.wasm [ROUNDS] [SPINNERS]`:
//! a host gets a notice for the neighbour each 5 ms. In each round of 6 s, the first 2 s have
//! handlers that spin, and 2 s from the third on have native threads that do; in each other round
//! it is the other way round. Latency is from
//! the commit that made a task to the commit that ended it; tasks whose life touches both, or
//! the edge of either, are left out. The store lies in `/dev/shm`, where syncing is free.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement for people"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use gwasp::config::Config;
use gwasp::host::{Host, Places};
use gwasp::settings::Unchanging;
use gwasp::stop::StopSignal;
use gwasp_store::{Reader, TaskFilter, TaskView};

const ADDRESS: &str = "127.0.0.1:18799";
const SPACING: Duration = Duration::from_millis(5);
const NOTICES_PER_ROUND: usize = 1_200;
const SPIN: Duration = Duration::from_secs(2);
const SPINS_AT: u16 = 60_029;
const NEIGHBOUR: u16 = 60_105;

/// Moments in nanoseconds since the Unix epoch.
type Window = (i64, i64);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let gwasp = PathBuf::from(arguments.next().expect("the path of gwasp"));
    let probe = PathBuf::from(arguments.next().expect("the path of hostile-probe.wasm"));
    let mut number = |otherwise| arguments.next().map_or(otherwise, |n| n.parse().unwrap());
    let (rounds, spinners) = (number(5), number(1));
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    lay_out(dir.path(), &probe, rounds, spinners);
    let config = config(dir.path(), spinners);
    let places = Places {
        store: dir.path().join("state"),
        plugins: dir.path().join("plugins"),
        cache: dir.path().join("cache"),
        program: gwasp.clone(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let native = runtime.block_on(run(&config, &places, dir.path(), rounds, spinners));
    drop(runtime);
    let filter = TaskFilter {
        limit: Some(u32::MAX),
        ..TaskFilter::default()
    };
    let tasks = Reader::open(&places.store).unwrap().tasks(&filter).unwrap();
    report(&tasks, &native);
}

/// Writes plugin and notices.
fn lay_out(dir: &Path, probe: &Path, rounds: usize, spinners: usize) {
    std::fs::create_dir(dir.join("plugins")).unwrap();
    std::fs::copy(probe, dir.join("plugins/probe.wasm")).unwrap();
    std::fs::create_dir(dir.join("notices")).unwrap();
    for number in 0..rounds * NOTICES_PER_ROUND {
        let (round, place) = (number / NOTICES_PER_ROUND, number % NOTICES_PER_ROUND);
        let first = if round % 2 == 0 {
            0
        } else {
            NOTICES_PER_ROUND / 2
        };
        let spins = (first..first + spinners).contains(&place);
        let notice_type = if spins { SPINS_AT } else { NEIGHBOUR };
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <voe:VOEvent xmlns:voe=\"http://www.ivoa.net/xml/VOEvent/v2.0\" version=\"2.0\" \
             role=\"observation\" ivorn=\"ivo://gwasp.bench/n#{number}\">\
             <Who><AuthorIVORN>ivo://gwasp.bench</AuthorIVORN><Date>2026-01-20T08:00:04</Date>\
             </Who><What><Param name=\"Packet_Type\" value=\"{notice_type}\"/></What>\
             </voe:VOEvent>"
        );
        std::fs::write(dir.join(format!("notices/{number:06}.xml")), text).unwrap();
    }
}

fn config(dir: &Path, spinners: usize) -> Config {
    let text = format!(
        "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{ADDRESS}\"]\n\
         [queues.hostile]\nconcurrency = {spinners}\n[queues.neighbour]\nconcurrency = 2\n"
    );
    Config::parse(&text, &dir.display().to_string()).unwrap()
}

/// Runs a host for all rounds; answers when native threads spun.
async fn run(
    config: &Config,
    places: &Places,
    dir: &Path,
    rounds: usize,
    spinners: usize,
) -> Vec<Window> {
    let stop = StopSignal::default();
    let source = std::sync::Arc::new(Unchanging(config.clone()));
    let host = Host::new(config, places, stop.clone(), source)
        .await
        .unwrap();
    let notices = dir.join("notices");
    let mut replay = replay(&places.program, &notices);
    let drain = stop.drain.clone();
    let spinning = std::thread::spawn(move || {
        let began = Instant::now();
        let period = SPACING * u32::try_from(NOTICES_PER_ROUND).unwrap();
        let mut windows = Vec::new();
        for round in 0..rounds {
            let within = if round % 2 == 0 {
                period / 2
            } else {
                Duration::ZERO
            };
            let at = period * u32::try_from(round).unwrap() + within;
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            windows.push(spin(spinners));
        }
        replay.wait().unwrap();
        drain.cancel();
        windows
    });
    host.run(|| {}).await.unwrap();
    spinning.join().unwrap()
}

fn replay(gwasp: &Path, notices: &Path) -> Child {
    Command::new(gwasp)
        .arg("replay")
        .arg(notices)
        .args(["--interval", "5ms", "--listen", ADDRESS])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn spin(threads: usize) -> Window {
    let over = AtomicBool::new(false);
    let began = now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut sum = 1_u64;
                while !over.load(Ordering::Relaxed) {
                    sum = std::hint::black_box(sum.wrapping_mul(31));
                }
            });
        }
        std::thread::sleep(SPIN);
        over.store(true, Ordering::Relaxed);
    });
    (began, now())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_nanos()).unwrap()
}

fn report(tasks: &[TaskView], native: &[Window]) {
    let life = |task: &TaskView| Some((task.made, task.ended?));
    let sandboxed: Vec<Window> = tasks
        .iter()
        .filter(|task| task.handler == "spin_long")
        .filter_map(life)
        .collect();
    let (mut quiet, mut wasm, mut thread) = (Vec::new(), Vec::new(), Vec::new());
    for (made, ended) in tasks
        .iter()
        .filter(|task| task.handler == "neighbour")
        .filter_map(life)
    {
        let within = |windows: &[Window]| windows.iter().any(|w| w.0 <= made && ended <= w.1);
        let touches = |windows: &[Window]| windows.iter().any(|w| w.0 <= ended && made <= w.1);
        let of = match (within(&sandboxed), within(native)) {
            (true, false) if !touches(native) => &mut wasm,
            (false, true) if !touches(&sandboxed) => &mut thread,
            (false, false) if !touches(native) && !touches(&sandboxed) => &mut quiet,
            _ => continue,
        };
        of.push(ended - made);
    }
    for (name, latencies) in [
        ("nothing spins", &mut quiet),
        ("a handler spins", &mut wasm),
        ("a native thread spins", &mut thread),
    ] {
        latencies.sort_unstable();
        println!(
            "{name:<22} n {:>5}  p50 {:>7} µs  p90 {:>7} µs  p99 {:>7} µs",
            latencies.len(),
            quantile(latencies, 50) / 1_000,
            quantile(latencies, 90) / 1_000,
            quantile(latencies, 99) / 1_000,
        );
    }
    let percent = quantile(&wasm, 99) * 100 / quantile(&thread, 99).max(1);
    println!("p99 beside a handler is {percent} % of p99 beside a native thread");
}

fn quantile(sorted: &[i64], percent: usize) -> i64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0)
}
