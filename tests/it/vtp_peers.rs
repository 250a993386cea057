//! VOEvent Transport Protocol with other people's brokers, subscribers and authors: Comet and
//! pygcn, each at both ends of a connection.

#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped must be seen to be"
)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gwasp_tests::gwasp::{ANY_PORT, START_LIMIT};
use gwasp_tests::process::{Line, Process};
use gwasp_tests::sample::Notice;

use crate::harness::Scene;

/// A test that takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A scene, and the Python environment with the peers.
struct Stage {
    scene: Scene,
    venv: PathBuf,
}

/// A Comet broker.
struct Comet {
    process: Process,
    author_port: SocketAddr,
    subscriber_port: SocketAddr,
}

impl Stage {
    /// `None`, with a word on it, where there are no peers.
    fn set() -> Option<Self> {
        let Some(venv) = std::env::var_os("GWASP_PEERS_VENV") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "GWASP_PEERS_VENV is not set, and in a CI nothing is skipped"
            );
            eprintln!("skipped: no Comet and pygcn here; `cargo xtask test` installs them");
            return None;
        };
        let (scene, venv) = (Scene::new().unwrap(), venv.into());
        Some(Self { scene, venv })
    }

    fn peer(&self, program: &str) -> Command {
        Command::new(self.venv.join("bin").join(program))
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.scene.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A Comet under a name of its own, in a folder of its own.
    fn comet(&self, name: &str, args: &[&str]) -> Process {
        let folder = self.folder(name);
        let mut command = self.peer("twistd");
        command
            .args(["--nodaemon", "--pidfile=", "comet"])
            .arg(format!("--local-ivo=ivo://gwasp.test/{name}"))
            .arg("--eventdb=.")
            .args(args)
            .arg("--verbose")
            .arg("--verbose")
            .current_dir(folder);
        Process::spawn(name, command).unwrap()
    }

    fn comet_broker(&self) -> Comet {
        let (author_port, subscriber_port) = (free_port(), free_port());
        let receive = format!("--receive-port={}", author_port.port());
        let broadcast = format!("--broadcast-port={}", subscriber_port.port());
        let args = [
            "--receive",
            &receive,
            "--broadcast",
            &broadcast,
            "--broadcast-test-interval=0",
            "--author-whitelist=127.0.0.0/8",
            "--subscriber-whitelist=127.0.0.0/8",
        ];
        let process = self.comet("broker", &args);
        for port in ["a port", "another port"] {
            let wanted = |line: &Line| line.text.contains("starting on");
            process.wait_for(port, START_LIMIT, wanted).unwrap();
        }
        Comet {
            process,
            author_port,
            subscriber_port,
        }
    }

    /// Starts the host and waits until it is connected to `broker`.
    fn host(&self, broker: SocketAddr) -> Process {
        let host = self.scene.host(broker).unwrap();
        let connected = "connected to broker";
        let wanted = |line: &Line| line.text.contains(connected);
        host.wait_for(connected, START_LIMIT, wanted).unwrap();
        host
    }

    /// Waits until the host has taken `packets` packets, and checks that no other came.
    fn check_accepted(&self, mut host: Process, packets: usize) {
        let packets = u64::try_from(packets).unwrap();
        let end = Instant::now() + LIMIT;
        while self.scene.settled_ledger(LIMIT).unwrap().accepted < packets {
            assert!(Instant::now() < end, "{}", host.last_lines());
            // Between two looks; the loop's end does not depend on it.
            std::thread::sleep(Duration::from_millis(100));
        }
        host.terminate().unwrap();
        assert!(host.wait(LIMIT).unwrap().success(), "{}", host.last_lines());
        let ledger = self.scene.settled_ledger(LIMIT).unwrap();
        assert_eq!((ledger.accepted, ledger.refused), (packets, 0));
    }

    /// Sends files with `gwasp send`; gives whether all were acknowledged, and what it printed.
    fn send(&self, files: &[&Path], to: SocketAddr) -> (bool, String) {
        let to = to.to_string();
        let mut args = vec!["send", "--to", &to];
        args.extend(files.iter().map(|file| file.to_str().unwrap()));
        let answer = self.scene.gwasp.answer(&args).unwrap();
        (
            answer.status.success(),
            format!("{}{}", answer.stdout, answer.stderr),
        )
    }

    /// Plays `dir` to the subscriber that `start` starts, until each notice is acknowledged.
    fn check_replays(&self, dir: &Path, start: impl FnOnce(SocketAddr) -> Process) {
        let args = ["--interval", "5ms", "--until-acked"];
        let mut replay = self.scene.gwasp.replay(dir, ANY_PORT, &args).unwrap();
        let subscriber = start(replay.address);
        assert!(
            replay.process.wait(LIMIT).unwrap().success(),
            "{}\n{}",
            replay.process.last_lines(),
            subscriber.last_lines()
        );
    }
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// The contents of the files in `folder`.
fn contents(folder: &Path) -> BTreeSet<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.map(|file| std::fs::read(file).unwrap()).collect()
}

#[track_caller]
fn check_received(folder: &Path, notices: &[Notice]) {
    let sent: BTreeSet<_> = notices
        .iter()
        .map(|notice| std::fs::read(&notice.file).unwrap())
        .collect();
    let received = contents(folder);
    assert!(
        sent.is_subset(&received),
        "{} of {} notices are in {}",
        received.len(),
        sent.len(),
        folder.display()
    );
}

#[test]
fn a_comet_broker_relays_to_us_what_we_gave_it_as_authors() {
    let Some(stage) = Stage::set() else { return };
    // The five of Fermi are valid by the schema that Comet holds authors to.
    let (_, mut notices) = stage.scene.notices(1).unwrap();
    notices.truncate(5);
    let comet = stage.comet_broker();
    let host = stage.host(comet.subscriber_port);
    let subscribed = "New subscriber";
    let wanted = |line: &Line| line.text.contains(subscribed);
    comet.process.wait_for(subscribed, LIMIT, wanted).unwrap();

    let files: Vec<&Path> = notices.iter().map(|notice| &*notice.file).collect();
    let (acked, printed) = stage.send(&files, comet.author_port);
    assert!(acked, "{printed}");
    assert_eq!(
        printed.matches("ack by ivo://gwasp.test/broker").count(),
        files.len()
    );
    for _ in &files {
        let acked = "Ack received";
        let wanted = |line: &Line| line.text.contains(acked);
        comet.process.wait_for(acked, LIMIT, wanted).unwrap();
    }
    stage.check_accepted(host, notices.len());
}

#[test]
fn an_author_learns_why_comet_refuses() {
    let Some(stage) = Stage::set() else { return };
    let (_, notices) = stage.scene.notices(1).unwrap();
    let comet = stage.comet_broker();
    let file = &*notices.first().unwrap().file;
    assert!(stage.send(&[file], comet.author_port).0);
    let (acked, printed) = stage.send(&[file], comet.author_port);
    assert!(!acked);
    assert!(printed.contains("nak: "), "{printed}");
    assert!(
        printed.contains("Previously seen by this broker"),
        "{printed}"
    );

    let nameless = stage.scene.path("nameless.xml");
    std::fs::write(&nameless, "<VOEvent version='2.0'/>").unwrap();
    let (acked, printed) = stage.send(&[&nameless], comet.author_port);
    assert!(!acked);
    assert!(
        printed.contains("no receipt: the broker closed"),
        "{printed}"
    );
}

#[test]
fn pygcn_serves_us() {
    let Some(stage) = Stage::set() else { return };
    let (_, notices) = stage.scene.notices(1).unwrap();
    let address = free_port();
    let mut command = stage.peer("pygcn-serve");
    command
        .args(["--host", &address.to_string(), "--retransmit-timeout", "1"])
        .args(notices.iter().take(3).map(|notice| &notice.file));
    let server = Process::spawn("pygcn-serve", command).unwrap();
    let bound = "bound to";
    server
        .wait_for(bound, LIMIT, |line| line.text.contains(bound))
        .unwrap();
    let host = stage.host(address);
    // It sends the three over and over; which were known is for the store to tell.
    stage.check_accepted(host, 3);
}

#[test]
fn a_comet_subscriber_takes_what_we_play() {
    let Some(stage) = Stage::set() else { return };
    let (dir, mut notices) = stage.scene.notices(1).unwrap();
    // Comet understands no event without a role, although it may have none.
    notices.retain(|notice| {
        let has_role = std::fs::read_to_string(&notice.file)
            .unwrap()
            .contains("role=");
        if !has_role {
            std::fs::remove_file(&notice.file).unwrap();
        }
        has_role
    });
    let saved = stage.folder("saved");
    let directory = format!("--save-event-directory={}", saved.display());
    stage.check_replays(&dir, |broker| {
        let remote = format!("--remote={broker}");
        let args = [remote.as_str(), "--save-event", &directory];
        stage.comet("subscriber", &args)
    });
    check_received(&saved, &notices);
}

#[test]
fn a_pygcn_listener_takes_what_we_play() {
    let Some(stage) = Stage::set() else { return };
    let (dir, notices) = stage.scene.notices(1).unwrap();
    let archive = stage.folder("archive");
    stage.check_replays(&dir, |broker| {
        let mut command = stage.peer("pygcn-listen");
        command.arg(broker.to_string()).current_dir(&archive);
        Process::spawn("pygcn-listen", command).unwrap()
    });
    check_received(&archive, &notices);
}
