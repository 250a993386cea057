//! Faults at the N-th system call of one packet's life, from the opening of the store to the
//! outcome of its last task.
//!
//! strace counts calls per thread and kind. A run without a fault tells how many there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gwasp_tests::process::Process;
use serde_json::json;

use super::sender::Again;
use super::{LIMIT, Stage};
use crate::effects::has_strace;
use crate::harness::{Random, number, record};

/// Calls that change what is on disk.
const FILE_CALLS: [&str; 6] = [
    "fsync",
    "fdatasync",
    "pwrite64",
    "write",
    "ftruncate",
    "unlink",
];

/// Calls that others can see: receipts, and requests to services.
const SOCKET_CALLS: [&str; 3] = ["sendto", "sendmsg", "writev"];

/// Makes the packet too long for the database, so that it goes to a segment.
const PADDING: usize = 20_000;

/// The disk failed under the store (sysexits.h: `EX_IOERR`).
const DISK_FAILED: i32 = 74;

/// The N-th call of one kind of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Point {
    call: String,
    nth: u64,
}

/// How a host with a fault ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// In order, when it was told to; the fault did not keep it from its work.
    Well,
    /// With an exit code of its own.
    Code(i32),
    /// By a signal.
    Killed,
}

impl Stage {
    fn with_a_packet() -> Self {
        let stage = Self::new(Again::All, PADDING);
        stage.sender.allow(1);
        stage
    }

    /// The command line of a host under strace, which traces `calls`.
    fn strace(&self, calls: &str, output: &Path) -> Command {
        let mut command = Command::new("strace");
        command
            // The host stays our own child; strace is beside it.
            .args(["--daemonize", "--follow-forks"])
            .arg("--quiet=attach,path-resolution,personality")
            .arg("--decode-fds=path")
            .arg(format!("--output={}", output.display()))
            .arg(format!("--trace={calls}"));
        command
    }

    /// What strace writes.
    fn trace(&self) -> PathBuf {
        self.scene.path("trace")
    }

    fn start(&self, mut strace: Command) -> Process {
        let host = self.gwasp().run_logging(&self.config(), "info");
        strace.arg(host.get_program()).args(host.get_args());
        Process::spawn("strace gwasp run", strace).unwrap()
    }

    /// Starts a host that meets `fault` (as strace's `inject` has it) at `point`.
    fn faulty(&self, point: &Point, fault: &str) -> Process {
        let call = point.call.as_str();
        let mut strace = self.strace(call, &self.trace());
        strace.arg(format!("--inject={call}:{fault}:when={}", point.nth));
        if FILE_CALLS.contains(&call) {
            for file in self.files() {
                strace.arg("--trace-path").arg(file);
            }
        }
        if call == "rename" {
            // The compiled plugin is moved into its place; elsewhere it lies there already.
            strace.env("CACHE_DIRECTORY", self.scene.path("cache"));
        }
        self.start(strace)
    }

    /// What the store consists of.
    fn files(&self) -> Vec<PathBuf> {
        let names = [
            ".",
            "lock",
            "segments",
            "segments/00000001.segment",
            "store.sqlite",
            "store.sqlite-wal",
            "store.sqlite-shm",
        ];
        let state = &self.state;
        let files = names.iter().map(|name| match *name {
            "." => state.clone(),
            name => state.join(name),
        });
        files.collect()
    }

    /// Waits for the end of the packet's tasks, or of the host.
    #[track_caller]
    fn ended(&self, host: &mut Process) -> Ended {
        let end = Instant::now() + LIMIT;
        while host.exit_status().unwrap().is_none() {
            let is_done = self.sink.waits(Duration::from_millis(20), |seen| {
                seen.begun_of("child", 0) > 0
                    && seen.changes_of("keyed", 0) > 0
                    && seen.changes_of("asked", 0) > 0
            });
            if is_done && host.exit_status().unwrap().is_none() {
                host.terminate().unwrap();
                host.wait(LIMIT).unwrap();
            }
            assert!(Instant::now() < end, "{}", host.last_lines());
        }
        let status = host.wait(LIMIT).unwrap();
        match status.code() {
            Some(0) => Ended::Well,
            Some(code) => Ended::Code(code),
            None => Ended::Killed,
        }
    }

    /// How often each call is made, by the thread that makes it most often.
    fn count_calls(&self) -> BTreeMap<String, u64> {
        let calls = [&FILE_CALLS[..], &SOCKET_CALLS[..]].concat().join(",");
        let mut host = self.start(self.strace(&calls, &self.trace()));
        assert_eq!(self.ended(&mut host), Ended::Well, "{}", host.last_lines());
        self.check();
        most_by_call(&wait_for_trace(&self.trace()), &self.state)
    }
}

/// Reads what strace wrote, once it says that the last thread has gone: it ends after the host.
fn wait_for_trace(output: &Path) -> String {
    let end = Instant::now() + LIMIT;
    loop {
        let trace = std::fs::read_to_string(output).unwrap_or_default();
        let last = trace.lines().next_back().unwrap_or_default();
        if last.ends_with("+++") {
            return trace;
        }
        assert!(Instant::now() < end, "strace does not end: {last}");
        // Between two looks; the loop's end does not depend on it.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Counts the calls of a trace; those on files only where they are below `state`.
fn most_by_call(trace: &str, state: &Path) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else {
            continue;
        };
        let is_ours = SOCKET_CALLS.contains(&call) || arguments.contains(state.to_str().unwrap());
        let is_call = FILE_CALLS.contains(&call) || SOCKET_CALLS.contains(&call);
        if is_call && is_ours {
            *counts.entry((thread, call)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in counts {
        let entry: &mut u64 = most.entry(call.to_owned()).or_default();
        *entry = count.max(*entry);
    }
    most
}

/// All points of `calls`.
fn points(most: &BTreeMap<String, u64>) -> Vec<Point> {
    let of_call = |(call, count): (&String, &u64)| {
        let point = |nth| Point {
            call: call.clone(),
            nth,
        };
        (1..=*count).map(point).collect::<Vec<_>>()
    };
    most.iter().flat_map(of_call).collect()
}

/// So many of `points`, at random; all where there are no more.
fn sample(mut points: Vec<Point>, number: u64, random: &mut Random) -> Vec<Point> {
    let number = usize::try_from(number).unwrap();
    while points.len() > number {
        let at = random.below(u64::try_from(points.len()).unwrap());
        points.swap_remove(usize::try_from(at).unwrap());
    }
    points
}

#[test]
fn a_host_that_dies_at_any_durable_call_of_a_packets_life_does_everything_once() {
    if !has_strace() {
        return;
    }
    let most = Stage::with_a_packet().count_calls();
    let mut random = Random::new();
    let seed = random.seed();
    let all = points(&most);
    let known = all.len();
    let mut points = sample(all, number("GWASP_POINTS", 4), &mut random);
    if points.len() == known {
        points.extend((1..=2).map(|nth| Point {
            call: "rename".to_owned(),
            nth,
        }));
    }
    let (mut deaths, mut tasks, mut slowest) = (0, 0, Duration::ZERO);
    for point in &points {
        let stage = Stage::with_a_packet();
        let mut host = stage.faulty(point, "signal=SIGKILL");
        if stage.ended(&mut host) == Ended::Killed {
            deaths += 1;
        }
        let begun = Instant::now();
        let outcome = stage.finish(1, stage.ready_host());
        slowest = slowest.max(begun.elapsed());
        tasks += outcome.tasks;
        assert_eq!(outcome.packets, 1, "{point:?}");
    }
    record(&json!({
        "seed": seed,
        "faults": deaths,
        "packets": points.len(),
        "tasks": tasks,
        "lost": 0,
        "doubled": 0,
        "worst": format!(
            "{} of {known} points: {}; the next host was done after {:.1} s at most",
            points.len(),
            most.iter().map(|(call, count)| format!("{call} {count}")).collect::<Vec<_>>().join(", "),
            slowest.as_secs_f64(),
        ),
    }))
    .unwrap();
    // Which thread comes first to its N-th call differs from run to run.
    assert!(deaths > points.len() / 5, "only {deaths} hosts died");
}

/// Lets a host meet `fault` at `point`; it goes on or ends with the code of a failed disk, and
/// the next one finds everything.
#[track_caller]
fn check_fault(point: &Point, fault: &str) -> (bool, Ended) {
    let stage = Stage::with_a_packet();
    let mut host = stage.faulty(point, fault);
    let ended = stage.ended(&mut host);
    assert!(
        matches!(ended, Ended::Well | Ended::Code(DISK_FAILED)),
        "{fault} at {point:?}: {ended:?}\n{}",
        host.last_lines()
    );
    let trace = wait_for_trace(&stage.trace());
    let outcome = stage.finish(1, stage.ready_host());
    assert_eq!(outcome.packets, 1, "{point:?}");
    let came = trace.lines().find(|line| line.contains("(INJECTED)"));
    // What failed to be synced is not known to be there, whatever a second try says.
    if let Some(line) = came.filter(|line| line.contains("sync")) {
        assert_eq!(ended, Ended::Code(DISK_FAILED), "{line}");
    }
    (came.is_some(), ended)
}

#[test]
fn a_disk_that_fails_under_a_host_ends_it_with_74_and_the_next_one_goes_on() {
    if !has_strace() {
        return;
    }
    let most = Stage::with_a_packet().count_calls();
    let mut random = Random::new();
    let seed = random.seed();
    let times = number("GWASP_POINTS", 1);
    for (name, calls, fault) in [
        ("fsync fails", &["fsync", "fdatasync"][..], "error=EIO"),
        ("write fails", &["pwrite64", "write"][..], "error=EIO"),
        ("write is short", &["pwrite64", "write"][..], "retval=0"),
    ] {
        let mut of_kind = most.clone();
        of_kind.retain(|call, _| calls.contains(&call.as_str()));
        let points = sample(points(&of_kind), times, &mut random);
        let (mut faults, mut failures) = (0, 0);
        for point in &points {
            let (came, ended) = check_fault(point, fault);
            faults += u32::from(came);
            failures += u32::from(ended != Ended::Well);
        }
        record(&json!({
            "what": name,
            "seed": seed,
            "faults": faults,
            "packets": points.len(),
            "tasks": points.len() * 4,
            "lost": 0,
            "doubled": 0,
            "worst": format!("{failures} hosts ended with 74, the others went on"),
        }))
        .unwrap();
    }
}
