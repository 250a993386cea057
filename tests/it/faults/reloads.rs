//! A plugin that is replaced over and over while packets come: nothing is lost, and each run is
//! on one version.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gwasp_store::{Reader, State, TaskFilter};
use gwasp_tests::gwasp::{START_LIMIT, is_ready, write_config};
use gwasp_tests::process::Process;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::LIMIT;
use super::sender::{Again, Sender};
use crate::harness::{Scene, number, record};
use crate::hostile::guests::{NOTICE, result_of, version};

/// The plugin that is replaced.
const NAME: &str = "versions";
/// Packets a second meanwhile.
const RATE: f64 = 100.0;
/// A version that takes some seconds to compile.
const DEAR: usize = 2_000;
/// Ways to put a version into its place; one after another.
const WAYS: u32 = 6;

/// A host with one plugin, and a broker that sends it packets.
struct Stage {
    scene: Scene,
    sender: Sender,
    host: Process,
    /// What a run on a version returns, by the digest of those that were seen.
    versions: BTreeMap<[u8; 32], String>,
}

impl Stage {
    /// Starts with version 0; each packet is `padding` bytes longer than it must be.
    fn new(padding: usize) -> Self {
        let scene = Scene::new().unwrap();
        let sender = Sender::start(Again::All, move |number| document(number, padding));
        let plugins = scene.plugins(&[]).unwrap();
        let first = version(0, "general", 0);
        fs::write(plugins.join(format!("{NAME}.wasm")), &first).unwrap();
        let config = scene.path("gwasp.toml");
        write_config(&config, sender.address, &plugins, &scene.path("state")).unwrap();
        let command = scene.gwasp.run_logging(&config, "warn,gwasp::host=debug");
        let host = Process::spawn("gwasp run", command).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        Self {
            scene,
            sender,
            host,
            versions: BTreeMap::from([(sha256(&first), result_of(0))]),
        }
    }

    fn file(&self) -> PathBuf {
        self.scene.path("plugins").join(format!("{NAME}.wasm"))
    }

    /// Puts bytes into their place at once, as `gwasp build` does.
    fn put(&self, bytes: &[u8]) {
        let new = self.scene.path("plugins").join(".new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, self.file()).unwrap();
    }

    /// Puts a link to a file elsewhere into its place.
    fn link(&self, number: u32, bytes: &[u8]) {
        let target = self.scene.path(&format!("version-{number}"));
        fs::write(&target, bytes).unwrap();
        let new = self.scene.path("plugins").join(".link");
        symlink(&target, &new).unwrap();
        fs::rename(&new, self.file()).unwrap();
    }

    #[track_caller]
    fn says(&self, message: &str, digest: Option<&str>) {
        let wanted = |line: &gwasp_tests::process::Line| {
            let is_this = |digest| line.field("digest") == digest;
            line.message() == message && digest.is_none_or(is_this)
        };
        self.host.wait_for(message, LIMIT, wanted).unwrap();
    }

    /// Replaces the plugin, each time in another way, and waits until the host has done with it.
    #[track_caller]
    fn reload(&mut self, number: u32) {
        let bytes = version(number, "general", 0);
        let digest = sha256(&bytes);
        match number % WAYS {
            0 => self.put(&bytes),
            1 => copy_slowly(&self.file(), &bytes),
            2 => {
                self.put(&bytes[..bytes.len() - 1]);
                return self.says("plugin refused", None);
            }
            3 => {
                fs::remove_file(self.file()).unwrap();
                fs::write(self.file(), &bytes).unwrap();
            }
            4 => self.link(number, &bytes),
            _ => {
                let dear = version(1_000 + number, "general", DEAR);
                self.put(&dear);
                self.says("plugin is being loaded", None);
                self.put(&bytes);
                // On a fast machine it is taken before the next one is seen.
                let result = result_of(1_000 + number);
                self.versions.insert(sha256(&dear), result);
            }
        }
        self.says("plugin replaced", Some(&hex(&digest[..6])));
        self.versions.insert(digest, result_of(number));
    }

    /// Sends packets at a steady pace until told to stop; returns how many there were.
    fn send(&self, stop: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
        let (sender, stop) = (self.sender.clone(), Arc::clone(stop));
        thread::spawn(move || {
            let (begun, first) = (Instant::now(), sender.sent());
            let mut sent = first;
            while !stop.load(Ordering::Relaxed) {
                sent += 1;
                let due = Duration::from_secs_f64((sent - first) as f64 / RATE);
                // The pace is what is wanted; nothing waits for it.
                thread::sleep(due.saturating_sub(begun.elapsed()));
                sender.allow(sent);
            }
            sent
        })
    }

    fn memory_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.host.id());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.unwrap().split_whitespace().next().unwrap();
        memory.parse().unwrap()
    }

    /// Waits until all is done, and stops the host.
    #[track_caller]
    fn settle(&self, packets: u64) {
        assert!(
            self.sender.acknowledges(packets, LIMIT),
            "{:?}",
            self.sender
        );
        self.scene.settled_ledger(LIMIT).unwrap();
    }

    /// Each packet has one good end, on a version that is what its run says it was; returns how
    /// many runs there were on each.
    #[track_caller]
    fn end(mut self, packets: u64) -> BTreeMap<String, u64> {
        self.host.terminate().unwrap();
        let status = self.host.wait(LIMIT).unwrap();
        assert!(status.success(), "{status}\n{}", self.host.last_lines());
        let state = self.scene.path("state");
        let ledger = self.scene.gwasp.ledger(&state).unwrap();
        assert_eq!((ledger.accepted, ledger.duplicate), (packets, 0));
        let reader = Reader::open(&state).unwrap();
        let filter = TaskFilter {
            limit: Some(u32::MAX),
            ..TaskFilter::default()
        };
        let mut runs: BTreeMap<String, u64> = BTreeMap::new();
        for task in reader.tasks(&filter).unwrap() {
            assert_eq!((task.state, task.attempts), (State::Success, 1), "{task:?}");
            let result = reader.result(task.id).unwrap().unwrap();
            let result = String::from_utf8(result.to_vec()).unwrap();
            let version = task.version.unwrap();
            assert_eq!(self.versions.get(&version), Some(&result), "{task:?}");
            *runs.entry(result).or_default() += 1;
        }
        assert_eq!(runs.values().sum::<u64>(), packets);
        runs
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Grows a file in small steps, as a slow copy does.
fn copy_slowly(file: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = fs::File::create(file).unwrap();
    for piece in bytes.chunks(bytes.len() / 8 + 1) {
        file.write_all(piece).unwrap();
        file.sync_data().unwrap();
    }
}

fn document(number: u64, padding: usize) -> String {
    let filling = "x".repeat(padding);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent ivorn="ivo://gwasp.test/reloads#{number}" role="observation" version="2.0"
    xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">
  <Who><AuthorIVORN>ivo://gwasp.test/author</AuthorIVORN><Date>2026-01-02T04:05:28</Date></Who>
  <What>
    <Param name="Packet_Type" value="{NOTICE}"/>
    <Description>{filling}</Description>
  </What>
</voe:VOEvent>
"#
    )
}

#[test]
fn reloads_under_traffic_lose_nothing_and_no_run_is_on_two_versions() {
    let reloads = u32::try_from(number("GWASP_RELOADS", 6)).unwrap();
    // Memory is compared only once the host's caches are full: they hold packets.
    let is_long = reloads >= 5 * WAYS;
    let (padding, warming) = if is_long { (20_000, 6_000) } else { (0, 50) };
    let mut stage = Stage::new(padding);
    stage.sender.allow(warming);
    stage.settle(warming);
    let stop = Arc::new(AtomicBool::new(false));
    let sending = stage.send(&stop);
    let mut base = stage.memory_kib();
    for number in 1..=reloads {
        stage.reload(number);
        if number == WAYS {
            base = stage.memory_kib();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let packets = sending.join().unwrap();
    stage.settle(packets);
    let memory = stage.memory_kib();
    let growth = (memory as f64 / base as f64 - 1.0) * 100.0;
    let runs = stage.end(packets);
    let good = (0..=reloads).filter(|number| number % WAYS != 2 || *number == 0);
    for number in good {
        assert!(runs.contains_key(&result_of(number)), "{number}: {runs:?}");
    }
    let per_version = runs.values().min().copied().unwrap_or(0);
    record(&json!({
        "faults": reloads,
        "packets": packets,
        "tasks": packets,
        "lost": 0,
        "doubled": 0,
        "worst": format!(
            "{} versions ran, the least of them {per_version} times; memory {growth:+.1} % \
             ({} MB)",
            runs.len(),
            memory >> 10,
        ),
    }))
    .unwrap();
    if is_long {
        assert!(growth.abs() <= 5.0, "memory {growth:+.1} %");
    }
}
