//! Faults of the machine under a running host, and what is left of its work.
//!
//! The oracle stands outside: a broker that knows what was acknowledged, and services that count
//! what was done. A lane of `cargo xtask soak` is a test here with larger numbers.

mod calls;
mod full;
mod killed;
mod reloads;
mod sender;
mod settings;
mod sink;
mod steady;
mod supervised;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gwasp_store::Reader;
use gwasp_tests::gwasp::{Gwasp, START_LIMIT, is_ready};
use gwasp_tests::process::Process;

use crate::harness::{Scene, test_plugin};
use sender::{Again, Sender};
use sink::{Seen, Sink};

/// What takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Slots of the one queue.
const SLOTS: u64 = 8;

/// Tasks of one packet: one for each of its three handlers, and the one that one of them makes.
const TASKS: u64 = 4;

/// Packets whose tasks may be unfinished at one time, so that there is work of every kind
/// whenever a fault comes.
const BACKLOG: u64 = 150;

/// A host's folder, the broker that it listens to and the services that its plugin changes.
struct Stage {
    scene: Scene,
    state: PathBuf,
    sender: Sender,
    sink: Sink,
}

/// What was counted when a host had finished.
#[derive(Debug)]
struct Outcome {
    packets: u64,
    tasks: u64,
    lost: u64,
    doubled: u64,
    repeated_runs: u64,
}

/// A packet for the probe; `padding` makes it longer.
fn document(number: u64, services: &str, padding: usize) -> String {
    let mut text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent ivorn="ivo://gwasp.test/faults#{number}" role="observation" version="2.0"
    xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">
  <Who><AuthorIVORN>ivo://gwasp.test/author</AuthorIVORN><Date>2026-01-02T04:05:28</Date></Who>
  <What>
    <Param name="Packet_Type" value="60301"/>
    <Param name="Service" value="{services}"/>
"#
    );
    if padding > 0 {
        // Not a text that compresses to nothing on a disk that does so.
        let filling: String = (0..padding)
            .map(|at| char::from(b'a' + u8::try_from((at * at + at / 26) % 26).unwrap()))
            .collect();
        writeln!(text, "    <Description>{filling}</Description>").unwrap();
    }
    text.push_str("  </What>\n</voe:VOEvent>\n");
    text
}

impl Stage {
    /// A stage whose packets are `padding` bytes longer than they must be.
    fn new(again: Again, padding: usize) -> Self {
        let scene = Scene::new().unwrap();
        let state = scene.path("state");
        Self::with_state(scene, state, again, padding)
    }

    fn with_state(scene: Scene, state: PathBuf, again: Again, padding: usize) -> Self {
        let sink = Sink::start();
        let services = format!("http://{}", sink.address);
        let sender = Sender::start(again, move |number| document(number, &services, padding));
        scene.plugins(&[test_plugin("faults-probe")]).unwrap();
        let stage = Self {
            scene,
            state,
            sender,
            sink,
        };
        stage.write_config();
        stage
    }

    fn config(&self) -> PathBuf {
        self.scene.path("gwasp.toml")
    }

    fn gwasp(&self) -> &Gwasp {
        &self.scene.gwasp
    }

    fn write_config(&self) {
        let text = format!(
            "{}\n[plugins]\ndirectory = {:?}\n\n[store]\ndirectory = {:?}\n",
            self.tables(),
            self.scene.path("plugins"),
            self.state,
        );
        std::fs::write(self.config(), text).unwrap();
    }

    /// A configuration but for the places of plugins and store.
    fn tables(&self) -> String {
        let sink = self.sink.address;
        format!(
            "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{}\"]\n\n\
             [queues.general]\nconcurrency = {SLOTS}\n\n\
             [services.keyed]\norigin = \"http://{sink}/keyed\"\nhonours_key = true\n\n\
             [services.asked]\norigin = \"http://{sink}/asked\"\n\
             resolve = {{ get = \"/asked/by-key/{{key}}\", after = \"1s\" }}\n\n\
             [grants.faults-probe]\nkv = true\nservices = [\"keyed\", \"asked\"]\n",
            self.sender.address,
        )
    }

    /// Starts a host without a fault and waits until it is ready.
    fn ready_host(&self) -> Process {
        let host = self.host("info");
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        host
    }

    /// Starts a host that logs what `filter` lets pass.
    fn host(&self, filter: &str) -> Process {
        let command = self.gwasp().run_logging(&self.config(), filter);
        Process::spawn("gwasp run", command).unwrap()
    }

    /// Lets the sender go on, up to `packets`, as far as the work keeps pace, until so many
    /// receipts came or so many packets were sent.
    #[track_caller]
    fn advance(&self, packets: u64, receipts: u64, host: &Process) {
        let end = Instant::now() + LIMIT;
        loop {
            let pace = self.sink.done() + self.sender.given_up() + BACKLOG;
            self.sender.allow(pace.min(packets));
            if self
                .sender
                .acknowledges(receipts, Duration::from_millis(20))
                || self.sender.sent() == packets
            {
                return;
            }
            assert!(
                Instant::now() < end,
                "{:?}\n{}",
                self.sender,
                host.last_lines()
            );
        }
    }

    /// Has a host finish `packets` and stop in order, and compares what was done with what was
    /// acknowledged.
    #[track_caller]
    fn finish(&self, packets: u64, mut host: Process) -> Outcome {
        self.advance(packets, packets, &host);
        self.sender.allow(packets);
        let settled = self.sender.settles(LIMIT);
        assert!(settled, "{:?}\n{}", self.sender, host.last_lines());
        self.wait_done();
        self.scene.settled_ledger_of(&self.state, LIMIT).unwrap();
        host.terminate().unwrap();
        let status = host.wait(LIMIT).unwrap();
        assert!(status.success(), "{status}\n{}", host.last_lines());
        self.check()
    }

    /// Waits until everything was done for what was acknowledged, or the time is over.
    fn wait_done(&self) {
        let acknowledged = self.sender.acknowledged();
        self.sink.waits(LIMIT, |seen| {
            acknowledged.iter().all(|packet| {
                seen.begun_of("child", *packet) > 0
                    && seen.changes_of("keyed", *packet) > 0
                    && seen.changes_of("asked", *packet) > 0
            })
        });
    }

    /// Compares what was done with what was acknowledged, when no host runs.
    #[track_caller]
    fn check(&self) -> Outcome {
        let verified = Reader::open(&self.state).unwrap().verify(true).unwrap();
        assert!(verified.is_sound(), "{verified:?}");
        let seen = self.sink.seen();
        let acknowledged = self.sender.acknowledged();
        let sent = self.sender.sent();
        assert_eq!(seen.violations, [""; 0]);
        let done = seen.packets();
        let strangers: Vec<&u64> = done.iter().filter(|packet| **packet >= sent).collect();
        assert!(strangers.is_empty(), "never sent: {strangers:?}");
        let kept: Vec<u64> = acknowledged.union(&done).copied().collect();
        let values = values(&self.state);
        let mut outcome = Outcome {
            packets: u64::try_from(kept.len()).unwrap(),
            tasks: 0,
            lost: 0,
            doubled: 0,
            repeated_runs: seen.repeated_runs(),
        };
        for packet in &kept {
            for times in times_of(*packet, &seen, &values) {
                outcome.lost += u64::from(times == 0);
                outcome.doubled += u64::from(times > 1);
            }
        }
        let ledger = self.scene.gwasp.ledger(&self.state).unwrap();
        outcome.tasks = ledger.tasks.made;
        assert_eq!((outcome.lost, outcome.doubled), (0, 0), "{outcome:?}");
        assert_eq!(
            u64::try_from(values.len()).unwrap(),
            outcome.packets * 4 + u64::from(outcome.packets > 0),
            "values of packets that nobody knows"
        );
        assert_eq!(values.get("children"), Some(&outcome.packets));
        assert_eq!(ledger.accepted, outcome.packets);
        assert_eq!(
            (ledger.tasks.made, ledger.tasks.succeeded),
            (outcome.packets * TASKS, outcome.packets * TASKS)
        );
        outcome
    }
}

/// How often each effect of a packet took place, each of which must have once.
fn times_of(packet: u64, seen: &Seen, values: &BTreeMap<String, u64>) -> Vec<u64> {
    let value = |handler: &str| {
        let found = values.get(&format!("{handler}/{packet}"));
        found.copied().unwrap_or_default()
    };
    let mut times: Vec<u64> = ["keyed", "asked", "parent", "child"].map(value).into();
    for service in ["keyed", "asked"] {
        times.push(seen.changes_of(service, packet).into());
    }
    // A run may begin twice.
    times.push(seen.begun_of("child", packet).min(1).into());
    times
}

/// The plugin's values, which are all numbers.
fn values(state: &Path) -> BTreeMap<String, u64> {
    let reader = Reader::open(state).unwrap();
    let values = reader.kv(Some("faults-probe"), "", Some(u32::MAX)).unwrap();
    let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
    values
        .into_iter()
        .map(|entry| (entry.key, number(&entry.value)))
        .collect()
}
