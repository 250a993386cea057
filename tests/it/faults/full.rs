//! A disk that fills up under a host and is freed again, on a small file system of its own.

#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped must be seen to be"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gwasp_tests::process::{Line, Process};
use serde_json::json;

use super::sender::Again;
use super::{LIMIT, Stage};
use crate::harness::{Scene, number, record};

/// The size of the file system.
const SIZE: u64 = 64 << 20;

/// What is left of it when the ballast lies on it.
const LEFT: u64 = 2 << 20;

/// Packets of this length fill what is left within seconds.
const PADDING: usize = 20_000;

/// Most time from space to the next receipt (ops.md, 8.4, row 14).
const SOON: Duration = Duration::from_secs(5);

/// Says to this test that it runs in a name space of its own, where it may mount.
const INSIDE: &str = "GWASP_MAY_MOUNT";

/// A small file system in memory, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "gwasp-test"])
            .arg(&at)
            .stderr(Stdio::null());
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        is_mounted.then(|| Self(at))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Fills it but for a little.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let chunk = vec![0; 64 << 10];
        let mut length = 0;
        while let Ok(written) = ballast.write(&chunk) {
            length += u64::try_from(written).unwrap();
        }
        assert!(length > LEFT, "the store has filled the disk by itself");
        ballast.set_len(length - LEFT).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A host that a failed test left behind may still be ending.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// Runs this test again as another user's root, who may mount; tells whether that worked.
fn run_inside(test: &str) -> bool {
    let mut again = Command::new("unshare");
    again.args(["--user", "--map-root-user", "--mount"]);
    let may = again.args(["mount", "-t", "tmpfs", "x", "/mnt"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let mut again = Command::new("unshare");
    again
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    let status = again.status().unwrap();
    assert!(status.success(), "{status}");
    true
}

/// A stage on a small file system; without one, says why there is none. `test` is the caller,
/// which is run again where it may mount.
fn stage_on_small_disk(test: &str) -> Option<(Stage, Disk)> {
    let scene = Scene::new().unwrap();
    let Some(disk) = Disk::mount(scene.path("disk")) else {
        if std::env::var_os(INSIDE).is_some() || !run_inside(&format!("faults::full::{test}")) {
            eprintln!("skipped: this user may not mount a small file system");
        }
        return None;
    };
    let state = disk.0.join("state");
    Some((Stage::with_state(scene, state, Again::All, PADDING), disk))
}

impl Stage {
    /// Fills the disk and sends until no more receipts come and the host says why.
    #[track_caller]
    fn fill(&self, disk: &Disk, host: &Process, refusals: u32) {
        disk.fill();
        while self
            .sender
            .acknowledges(self.sender.sent(), Duration::from_secs(1))
        {
            self.sender.allow(self.sender.sent() + 10);
            let fits = self.sender.sent() * u64::try_from(PADDING).unwrap() < SIZE;
            assert!(fits, "{:?}", self.sender);
        }
        for _ in 0..refusals {
            host.wait_for("saying that it is full", LIMIT, is_refused)
                .unwrap();
        }
    }
}

#[test]
fn a_full_disk_gives_no_receipts_and_packets_flow_again_once_there_is_space() {
    let name = "a_full_disk_gives_no_receipts_and_packets_flow_again_once_there_is_space";
    let Some((stage, disk)) = stage_on_small_disk(name) else {
        return;
    };
    let cycles = number("GWASP_CYCLES", 2);
    let is_soak = cycles > 2;
    // The longer it is full, the less often a host might look.
    let refusals = if is_soak { 5 } else { 1 };
    let host = stage.ready_host();
    let mut slowest = Duration::ZERO;
    for _ in 0..cycles {
        stage.fill(&disk, &host, refusals);
        let before = u64::try_from(stage.sender.acknowledged().len()).unwrap();
        disk.free();
        let freed = Instant::now();
        assert!(
            stage.sender.acknowledges(before + 1, LIMIT),
            "{:?}\n{}",
            stage.sender,
            host.last_lines()
        );
        slowest = slowest.max(freed.elapsed());
        assert!(stage.sender.settles(LIMIT), "{:?}", stage.sender);
    }
    // A real broker would not have sent them again.
    assert_eq!(stage.sender.repeats(), 0, "{:?}", stage.sender);
    let outcome = stage.finish(stage.sender.sent(), host);
    record(&json!({
        "faults": cycles,
        "packets": outcome.packets,
        "tasks": outcome.tasks,
        "lost": outcome.lost,
        "doubled": outcome.doubled,
        "worst": format!(
            "{:.1} s from space to the next receipt; no connection lost",
            slowest.as_secs_f64(),
        ),
    }))
    .unwrap();
    assert!(!is_soak || slowest <= SOON, "{slowest:?}");
}

#[test]
fn a_host_that_is_told_to_stop_while_its_disk_is_full_stops_and_the_next_one_goes_on() {
    let name = "a_host_that_is_told_to_stop_while_its_disk_is_full_stops_and_the_next_one_goes_on";
    let Some((stage, disk)) = stage_on_small_disk(name) else {
        return;
    };
    let mut config = std::fs::read_to_string(stage.config()).unwrap();
    config.push_str("\n[drain]\ndeadline = \"1s\"\n");
    std::fs::write(stage.config(), config).unwrap();
    let mut host = stage.ready_host();
    stage.fill(&disk, &host, 1);
    host.terminate().unwrap();
    host.wait(LIMIT).unwrap();
    // There is still no space: this one cannot start, and says that it is the disk.
    let mut host = stage.host("info");
    let status = host.wait(LIMIT).unwrap();
    assert_eq!(status.code(), Some(74), "{}", host.last_lines());
    disk.free();
    stage.finish(stage.sender.sent(), stage.ready_host());
}

/// Whether a line says that packets find no space.
fn is_refused(line: &Line) -> bool {
    line.message() == "no space; packets wait and get no receipts"
}
