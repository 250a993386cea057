//! Many packets and no fault: nothing is lost, nothing comes twice, nothing grows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use gwasp_store::{Reader, State, TaskFilter, TaskView};
use gwasp_tests::gwasp::{START_LIMIT, is_ready, write_config};
use gwasp_tests::process::Process;
use gwasp_tests::sample;
use serde_json::json;

use super::LIMIT;
use super::sender::{Again, Sender};
use crate::harness::{Scene, number, record, root, test_plugin};

/// Handlers that run on each of the example notices, in the order of their files.
const HANDLERS: [&[&str]; 15] = [
    &["tally"],
    &["position", "tally"],
    &["position", "tally"],
    &["log_position", "position", "tally"],
    &["log_position", "position", "tally"],
    &["position", "tally"],
    &["position", "tally"],
    &["tally"],
    &["tally"],
    &["position", "tally"],
    &["tally"],
    &[],
    &[],
    &[],
    &[],
];

/// Packets between two looks at the host's memory.
const STEP: u64 = 500;

/// A host, and a broker that sends it the example notices over and over.
struct Mix {
    scene: Scene,
    sender: Sender,
    host: Process,
    pid: u64,
}

/// What a process has.
#[derive(Clone, Copy, Debug)]
struct Has {
    packets: u64,
    memory_kib: u64,
    files: usize,
}

impl Mix {
    fn start() -> Self {
        let scene = Scene::new().unwrap();
        let documents: Vec<String> = sample::notices(&root().join("examples/notices"))
            .unwrap()
            .iter()
            .map(|notice| {
                let text = std::fs::read_to_string(&notice.file).unwrap();
                let own = "ivo://gwasp.test/steady#NUMBER";
                text.replace(&notice.ivorn, own)
            })
            .collect();
        assert_eq!(documents.len(), HANDLERS.len());
        let sender = Sender::start(Again::All, move |number| {
            documents[kind(number)].replace("#NUMBER", &format!("#{number}"))
        });
        let example = scene.gwasp.plugins().join("fermi-log.wasm");
        let files = [test_plugin("faults-probe"), example];
        let plugins = scene.plugins(&files).unwrap();
        let config = scene.path("gwasp.toml");
        write_config(&config, sender.address, &plugins, &scene.path("state")).unwrap();
        let mut text = std::fs::read_to_string(&config).unwrap();
        text.push_str("\n[grants.faults-probe]\nkv = true\n");
        std::fs::write(&config, text).unwrap();
        let command = scene.gwasp.run_logging(&config, "warn,gwasp::host=info");
        let host = Process::spawn("gwasp run", command).unwrap();
        let ready = host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        let pid = ready.field("pid").as_u64().unwrap();
        Self {
            scene,
            sender,
            host,
            pid,
        }
    }

    fn has(&self, packets: u64) -> Has {
        let proc = PathBuf::from(format!("/proc/{}", self.pid));
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.unwrap().split_whitespace().next().unwrap();
        Has {
            packets,
            memory_kib: memory.parse().unwrap(),
            files: std::fs::read_dir(proc.join("fd")).unwrap().count(),
        }
    }

    /// Sends packets up to `end`, each as soon as there is room for it; tells how long it took
    /// until all had their receipts and tasks were done.
    #[track_caller]
    fn rush(&self, end: u64, looks: &mut Vec<Has>) -> Duration {
        let begun = Instant::now();
        let mut next = self.sender.sent();
        while next < end {
            next = (next + STEP).min(end);
            self.sender.allow(next);
            assert!(self.sender.acknowledges(next, LIMIT), "{:?}", self.sender);
            looks.push(self.has(next));
        }
        self.scene.settled_ledger(LIMIT).unwrap();
        begun.elapsed()
    }

    /// Sends packets up to `end`, `rate` of them a second.
    #[track_caller]
    fn walk(&self, end: u64, rate: f64, looks: &mut Vec<Has>) {
        let (begun, first) = (Instant::now(), self.sender.sent());
        let mut looked = first;
        for next in first + 1..=end {
            let due = Duration::from_secs_f64((next - first) as f64 / rate);
            // The pace is what is wanted; nothing waits for it.
            thread::sleep(due.saturating_sub(begun.elapsed()));
            self.sender.allow(next);
            if next - looked >= STEP {
                looks.push(self.has(next));
                looked = next;
            }
        }
        assert!(self.sender.acknowledges(end, LIMIT), "{:?}", self.sender);
        self.scene.settled_ledger(LIMIT).unwrap();
    }

    /// Stops the host and compares its tasks with those that the packets have.
    #[track_caller]
    fn end(mut self, packets: u64) -> Vec<TaskView> {
        self.host.terminate().unwrap();
        let status = self.host.wait(LIMIT).unwrap();
        assert!(status.success(), "{status}\n{}", self.host.last_lines());
        let state = self.scene.path("state");
        let tasks = tasks(&state);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for task in &tasks {
            assert_eq!((task.state, task.attempts), (State::Success, 1), "{task:?}");
            *counts.entry(task.handler.clone()).or_default() += 1;
        }
        assert_eq!(counts, expected(packets));
        let tally = Reader::open(&state)
            .unwrap()
            .kv_get("faults-probe", "tally")
            .unwrap();
        let tally = String::from_utf8(tally.unwrap().0.to_vec()).unwrap();
        assert_eq!(tally, counts["tally"].to_string());
        let ledger = self.scene.gwasp.ledger(&state).unwrap();
        assert_eq!((ledger.accepted, ledger.duplicate), (packets, 0));
        tasks
    }
}

/// Which of the example notices a packet is.
fn kind(number: u64) -> usize {
    usize::try_from(number).unwrap() % HANDLERS.len()
}

/// How many tasks each handler has after so many packets.
fn expected(packets: u64) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for handler in (0..packets).flat_map(|number| HANDLERS[kind(number)]) {
        *counts.entry((*handler).to_owned()).or_default() += 1;
    }
    counts
}

fn tasks(state: &Path) -> Vec<TaskView> {
    let filter = TaskFilter {
        limit: Some(u32::MAX),
        ..TaskFilter::default()
    };
    Reader::open(state).unwrap().tasks(&filter).unwrap()
}

/// The time from a task's making to its start that 99 of 100 tasks made after `since` have.
fn p99_ms(tasks: &[TaskView], since: i64) -> f64 {
    let mut waits: Vec<i64> = tasks
        .iter()
        .filter(|task| task.made >= since)
        .filter_map(|task| Some(task.started? - task.made))
        .collect();
    waits.sort_unstable();
    let at = (waits.len() * 99 / 100).min(waits.len().saturating_sub(1));
    waits.get(at).map_or(f64::NAN, |wait| *wait as f64 / 1e6)
}

/// The slope of memory by packets (least squares), in MB for each 20 000.
fn slope_mb(looks: &[Has]) -> f64 {
    let n = looks.len() as f64;
    let x = |look: &Has| look.packets as f64 / 20_000.0;
    let y = |look: &Has| look.memory_kib as f64 / 1024.0;
    let mean_x = looks.iter().map(x).sum::<f64>() / n;
    let mean_y = looks.iter().map(y).sum::<f64>() / n;
    let products = looks
        .iter()
        .map(|look| (x(look) - mean_x) * (y(look) - mean_y));
    let squares = looks.iter().map(|look| (x(look) - mean_x).powi(2));
    products.sum::<f64>() / squares.sum::<f64>()
}

#[test]
fn many_packets_without_a_fault_leave_one_outcome_each_and_nothing_grows() {
    let packets = number("GWASP_PACKETS", 5_000);
    // At half of the pace that it can go at; a test has no time for that.
    let walks = packets > 5_000;
    let mix = Mix::start();
    let mut looks = Vec::new();
    // A fifth as fast as they go, which warms everything up; the rest at half of that pace.
    let rushed = packets / 5;
    let took = mix.rush(rushed, &mut looks);
    let full = rushed as f64 / took.as_secs_f64();
    let half_since = now();
    if walks {
        mix.walk(packets, full / 2.0, &mut looks);
    } else {
        mix.rush(packets, &mut looks);
    }
    // By then the caches of the store are full.
    let warm = &looks[looks.len() * 2 / 5..];
    let files = (warm[0].files, mix.has(packets).files);
    let slope = slope_mb(warm);
    // What comes before is warming up.
    let is_warm = packets >= 100_000;
    let growth = match is_warm {
        true => format!("memory {slope:+.2} MB per 20 000 packets"),
        false => "memory still warming up".to_owned(),
    };
    let tasks = mix.end(packets);
    let p99 = p99_ms(&tasks, half_since);
    record(&json!({
                "faults": 0,
        "packets": packets,
        "tasks": tasks.len(),
        "lost": 0,
        "doubled": 0,
        "worst": format!(
            "{full:.0} packets/s at most; at half of it p99 from accept to start {p99:.1} ms; \
             {growth}, {} MB at the end; {} open files, then {}",
            warm.last().unwrap().memory_kib >> 10,
            files.0,
            files.1,
        ),
    }))
    .unwrap();
    assert!(files.1 <= files.0 + 2, "{files:?} open files");
    if is_warm {
        assert!(slope <= 1.0, "{slope} MB more for each 20 000 packets");
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_nanos()).unwrap()
}
