//! A host under a real service manager: a person's systemd with the units that `gwasp systemd
//! install` writes, and supervisord with the configuration of `examples/supervisord`.

#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped must be seen to be"
)]

mod settings;
mod supervisord;
mod userbox;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gwasp_tests::gwasp::Answer;
use gwasp_tests::process::Process;
use serde_json::json;

use super::sender::Again;
use super::{LIMIT, Outcome, Stage, TASKS};
use crate::harness::{Random, Scene, number, record, root, test_plugin};
use supervisord::Supervisord;
use userbox::{NoBox, UserBox};

/// What both can do with a host. Each returns when it is done, but for [`Supervisor::reload`] and
/// [`Supervisor::kill`].
trait Supervisor {
    fn start(&self);
    fn stop(&self);
    fn restart(&self);
    fn reload(&self);
    /// Ends the host without a warning.
    fn kill(&self);
    /// The host's process.
    fn pid(&self) -> u32;
    /// All that the host and the supervisor said so far.
    fn told(&self) -> String;
    /// Whether the host is not started again.
    fn has_given_up(&self) -> bool;

    /// How many hosts were ready so far.
    fn starts(&self) -> usize {
        starts(&self.told())
    }

    /// Waits until so many hosts were ready.
    #[track_caller]
    fn wait_starts(&self, number: usize) {
        self.wait("a start", |told| starts(told) >= number);
    }

    /// Waits until `done` holds of what was said.
    #[track_caller]
    fn wait(&self, what: &str, done: impl Fn(&str) -> bool) {
        let end = Instant::now() + LIMIT;
        loop {
            let told = self.told();
            assert!(!told.contains("plugin refused"), "{told}");
            if done(&told) {
                return;
            }
            assert!(Instant::now() < end, "{what} did not come\n{told}");
            pause();
        }
    }
}

/// How many hosts said that they are ready.
fn starts(told: &str) -> usize {
    told.matches(r#""message":"ready""#).count()
}

/// Between two looks; no end depends on it.
fn pause() {
    thread::sleep(Duration::from_millis(50));
}

/// A stage whose host is under `supervisor`.
struct Supervised<S> {
    supervisor: S,
    stage: Stage,
}

/// Says that a test is skipped. In a CI that is a failure, unless it is for want of rights.
fn skipped(what: &str, is_missing: bool) {
    let in_ci = std::env::var_os("CI").is_some();
    assert!(
        !(in_ci && is_missing),
        "no {what}, and in a CI nothing is skipped"
    );
    eprintln!("skipped: {what}");
}

fn program() -> PathBuf {
    std::env::var_os("GWASP_BIN").unwrap().into()
}

/// A host under a person's systemd, installed and not started; `limits` are those of its
/// configuration, `drop_in` is added to its unit. None, with a word on it, where there can be no
/// systemd.
fn under_systemd(limits: &str, drop_in: &str) -> Option<Supervised<UserBox>> {
    let supervisor = match UserBox::start(&program()) {
        Ok(supervisor) => supervisor,
        Err(NoBox::Missing(what)) => {
            skipped(&format!("{what}; `cargo xtask test` installs it"), true);
            return None;
        }
        Err(NoBox::Forbidden(why)) => {
            skipped(why, false);
            return None;
        }
    };
    let state = supervisor.home().join(".local/state/gwasp");
    let scene = Scene::new().unwrap();
    let stage = Stage::with_state(scene, state.join("store"), Again::All, 0);
    std::fs::create_dir_all(state.join("plugins")).unwrap();
    let plugin = test_plugin("faults-probe");
    std::fs::copy(plugin, state.join("plugins/faults-probe.wasm")).unwrap();
    let config = format!("{}\n[limits]\n{limits}", stage.tables());
    supervisor.write(".config/gwasp/gwasp.toml", &config);
    let installed = supervisor.run(&["gwasp", "systemd", "install"]);
    assert!(installed.status.success(), "{installed:?}");
    let logs_json = "[Service]\nExecStart=\n\
         ExecStart=%h/.local/bin/gwasp run --config %h/.config/gwasp/gwasp.toml --log-format json\n";
    let directory = ".config/systemd/user/gwasp.service.d";
    supervisor.write(
        &format!("{directory}/test.conf"),
        &format!("{logs_json}{drop_in}"),
    );
    supervisor.must(&["daemon-reload"]);
    Some(Supervised { supervisor, stage })
}

/// A host under supervisord; as [`under_systemd`].
fn under_supervisord(limits: &str, changed: &[(&str, &str)]) -> Option<Supervised<Supervisord>> {
    let Some(venv) = std::env::var_os("GWASP_PEERS_VENV") else {
        skipped("no supervisord here; `cargo xtask test` installs it", true);
        return None;
    };
    let scene = Scene::new().unwrap();
    let home = scene.path("home");
    let state = home.join(".local/state/gwasp");
    let stage = Stage::with_state(scene, state.join("store"), Again::All, 0);
    let mut all = vec![
        ("--watchdog 30s", "--watchdog 30s --log-format json"),
        // A test has no time for ten.
        ("startsecs=10", "startsecs=1"),
    ];
    all.extend(changed);
    let supervisor = Supervisord::start(&Path::new(&venv).join("bin"), &home, &program(), &all);
    let plugin = test_plugin("faults-probe");
    std::fs::copy(plugin, state.join("plugins/faults-probe.wasm")).unwrap();
    let config = format!(
        "{}\n[limits]\nleast_life = \"1s\"\n{limits}",
        stage.tables()
    );
    std::fs::write(home.join(".config/gwasp/gwasp.toml"), config).unwrap();
    Some(Supervised { supervisor, stage })
}

impl<S: Supervisor> Supervised<S> {
    /// Has the sender go on to `packets`, of which `receipts` must come.
    #[track_caller]
    fn advance(&self, packets: u64, receipts: u64) {
        let sender = &self.stage.sender;
        sender.allow(packets);
        let came = sender.acknowledges(receipts, LIMIT);
        assert!(came, "{sender:?}\n{}", self.supervisor.told());
    }

    /// Has the host do everything for `packets`, then stop, and compares.
    #[track_caller]
    fn finish(&self, packets: u64) -> Outcome {
        self.advance(packets, packets);
        self.stage.wait_done();
        let settled = self.stage.scene.settled_ledger_of(&self.stage.state, LIMIT);
        settled.unwrap_or_else(|error| panic!("{error:#}\n{}", self.supervisor.told()));
        self.supervisor.stop();
        self.stage.check()
    }

    /// Restarts, stops, reloads and kills a host while packets come.
    #[track_caller]
    fn check_restarts(self) {
        let packets = number("GWASP_PACKETS", 125);
        let rounds = number("GWASP_RESTARTS", 4);
        let mut random = Random::new();
        self.supervisor.start();
        for round in 0..rounds {
            let receipts = packets * (round + 1) / (rounds + 2) + random.below(5);
            // Some are on their way whenever something happens.
            self.advance((receipts + 1 + random.below(20)).min(packets), receipts);
            let (starts, pid) = (self.supervisor.starts(), self.supervisor.pid());
            match round % 4 {
                0 => self.supervisor.restart(),
                1 => {
                    self.supervisor.stop();
                    self.supervisor.start();
                }
                2 => {
                    self.supervisor.reload();
                    self.supervisor
                        .wait("an answer", |told| told.contains("looked_at"));
                    assert_eq!(self.supervisor.pid(), pid, "{}", self.supervisor.told());
                    continue;
                }
                _ => self.supervisor.kill(),
            }
            self.supervisor.wait_starts(starts + 1);
            assert_ne!(self.supervisor.pid(), pid);
        }
        assert!(!self.supervisor.has_given_up());
        let outcome = self.finish(packets);
        let told = self.supervisor.told();
        let unheeded = ["with SIGKILL", "Killing process"].iter();
        let unheeded = unheeded.filter(|said| told.contains(**said)).count();
        assert_eq!(unheeded, 0, "a drain took too long\n{told}");
        self.leave_row(
            &outcome,
            random.seed(),
            rounds,
            "restarts, stops, reloads, kills in turn",
        );
    }

    /// Has a host end by itself again and again.
    #[track_caller]
    fn check_renewals(self) {
        let renewals = number("GWASP_RENEWALS", 10);
        // More tasks than the limit of any life.
        let portion = 30;
        self.supervisor.start();
        let mut starts = 1;
        for renewal in 1..=renewals {
            let packets = portion * renewal;
            self.advance(packets, packets);
            starts += 1;
            self.supervisor.wait_starts(starts);
            assert!(
                !self.supervisor.has_given_up(),
                "{}",
                self.supervisor.told()
            );
        }
        let outcome = self.finish(portion * renewals);
        let told = self.supervisor.told();
        let ended = told.matches(r#""limit":"Tasks""#).count();
        assert!(
            ended >= usize::try_from(renewals).unwrap(),
            "{ended}\n{told}"
        );
        self.leave_row(
            &outcome,
            0,
            renewals,
            "hosts that ended by themselves, none given up",
        );
    }

    /// Has a host hang in each of its syncs, and sees another one do its work.
    #[track_caller]
    fn check_hang(self, word: &str) {
        if Answer::of(Command::new("strace").arg("--version")).is_err() {
            skipped("no strace here; `cargo xtask test` installs it", true);
            return;
        }
        self.supervisor.start();
        self.supervisor.wait_starts(1);
        self.advance(10, 10);
        let mut strace = Command::new("strace");
        strace.args(["--follow-forks", "--quiet=exit", "--output=/dev/null"]);
        strace.args(["--trace=fsync,fdatasync", "--attach"]);
        strace.arg(self.supervisor.pid().to_string());
        // Longer than the test: timers, sockets and signals of the host go on.
        strace.arg("--inject=fsync,fdatasync:delay_enter=600000000");
        let strace = Process::spawn("strace", strace).unwrap();
        self.stage.sender.allow(20);
        self.supervisor.wait(word, |told| told.contains(word));
        // A thread that it holds cannot even be killed.
        drop(strace);
        self.supervisor.wait_starts(2);
        self.finish(20);
    }

    /// A configuration that cannot be used is not tried for ever.
    #[track_caller]
    fn check_wrong_config(&self, start: impl Fn(&S)) {
        start(&self.supervisor);
        let end = Instant::now() + LIMIT;
        while !self.supervisor.has_given_up() {
            assert!(Instant::now() < end, "{}", self.supervisor.told());
            pause();
        }
        let told = self.supervisor.told();
        assert!(told.contains("max_taks"), "{told}");
        assert_eq!(self.supervisor.starts(), 0, "{told}");
    }

    fn leave_row(&self, outcome: &Outcome, seed: u64, faults: u64, what: &str) {
        record(&json!({
            "seed": seed,
            "faults": faults,
            "packets": outcome.packets,
            "tasks": outcome.tasks,
            "lost": outcome.lost,
            "doubled": outcome.doubled,
            "worst": format!("{what}; {} runs repeated", outcome.repeated_runs),
        }))
        .unwrap();
        assert_eq!(outcome.tasks, outcome.packets * TASKS);
    }
}

#[test]
fn a_host_that_systemd_restarts_under_load_loses_and_doubles_nothing() {
    if let Some(host) = under_systemd("", "") {
        host.check_restarts();
    }
}

#[test]
fn a_host_that_supervisord_restarts_under_load_loses_and_doubles_nothing() {
    if let Some(host) = under_supervisord("", &[]) {
        host.check_restarts();
    }
}

#[test]
fn a_host_that_ends_by_itself_is_started_again_by_systemd_however_often() {
    if let Some(host) = under_systemd("max_tasks = 100\nleast_life = \"1s\"\n", "") {
        host.check_renewals();
    }
}

#[test]
fn a_host_that_ends_by_itself_is_started_again_by_supervisord_however_often() {
    if let Some(host) = under_supervisord("max_tasks = 100\n", &[]) {
        host.check_renewals();
    }
}

#[test]
fn a_host_that_hangs_is_ended_by_systemds_watchdog_and_started_again() {
    if let Some(host) = under_systemd("", "WatchdogSec=3\nTimeoutAbortSec=5\n") {
        host.check_hang("Watchdog timeout");
    }
}

#[test]
fn a_host_that_hangs_under_supervisord_aborts_by_itself_and_is_started_again() {
    let short = ("--watchdog 30s", "--watchdog 3s");
    if let Some(host) = under_supervisord("", &[short]) {
        host.check_hang("aborting: no heartbeat");
    }
}

#[test]
fn a_wrong_configuration_is_not_tried_again_by_systemd() {
    if let Some(host) = under_systemd("max_taks = 100\n", "") {
        // `start` waits for the host to be ready, and tells that it never was.
        host.check_wrong_config(|systemd| {
            let started = systemd.systemctl(&["start", "gwasp.service"]);
            assert!(!started.status.success(), "{started:?}");
        });
        assert_eq!(host.supervisor.property("ExecMainStatus"), "78");
        assert_eq!(host.supervisor.property("NRestarts"), "0");
    }
}

#[test]
fn a_wrong_configuration_is_given_up_by_supervisord() {
    let few = ("startretries=5", "startretries=2");
    if let Some(host) = under_supervisord("max_taks = 100\n", &[few]) {
        host.check_wrong_config(|supervisord| {
            supervisord.control(&["start", "gwasp"]);
        });
    }
}

/// A host whose handlers take longer to end than its unit allows for a stop, or its watchdog for
/// silence, is waited for.
#[track_caller]
fn check_long_drain(stop: impl Fn(&UserBox)) {
    let short = "WatchdogSec=2\nTimeoutStopSec=2\n";
    let Some(host) = under_systemd("\n[drain]\ndeadline = \"8s\"\n", short) else {
        return;
    };
    host.supervisor.start();
    host.stage.sink.hold();
    host.advance(1, 1);
    assert!(host.stage.sink.waits(LIMIT, |seen| seen.held > 0));
    stop(&host.supervisor);
    host.stage.sink.release();
    host.supervisor.start();
    host.supervisor.wait_starts(2);
    let told = host.supervisor.told();
    let hurried = ["timed out", "Watchdog timeout", "SIGKILL", "SIGABRT"];
    assert!(!hurried.iter().any(|said| told.contains(said)), "{told}");
    assert!(told.contains("the drain deadline"), "{told}");
    host.finish(1);
}

#[test]
fn a_drain_that_takes_longer_than_the_unit_allows_is_waited_for() {
    check_long_drain(Supervisor::stop);
}

#[test]
fn a_drain_that_the_host_began_itself_is_waited_for() {
    check_long_drain(|systemd| {
        systemd.must(&["kill", "--kill-who=main", "--signal=TERM", "gwasp.service"]);
        systemd.wait("an end", |told| told.contains(r#""message":"stopped""#));
    });
}

#[test]
fn units_that_somebody_changed_are_not_written_over() {
    let scene = Scene::new().unwrap();
    let install = |args: &[&str]| {
        let mut command = scene.gwasp.command();
        command.env("XDG_CONFIG_HOME", scene.path("config"));
        Answer::of(command.args(["systemd", "install"]).args(args)).unwrap()
    };
    let unit = scene.path("config/systemd/user/gwasp.service");
    let shown = install(&["--dry-run"]);
    assert!(shown.stdout.contains("[Service]"), "{shown:?}");
    assert!(!unit.exists());
    let first = install(&[]);
    assert!(
        first.stdout.contains("systemctl --user daemon-reload"),
        "{first:?}"
    );
    let written = std::fs::read_to_string(&unit).unwrap();
    assert!(written.contains(program().to_str().unwrap()), "{written}");
    assert!(install(&[]).status.success());
    std::fs::write(&unit, "# mine").unwrap();
    let refused = install(&[]);
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), "# mine");
    assert!(install(&["--force"]).status.success());
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), written);
}

/// What `systemd-analyze` says to `file`, with `args`; none where it is missing.
fn analyze(args: &[&str], file: &Path, runtime: &Path) -> Option<Answer> {
    let mut command = Command::new("systemd-analyze");
    command.env("XDG_RUNTIME_DIR", runtime).args(args).arg(file);
    let answer = Answer::of(&mut command).ok();
    if answer.is_none() {
        skipped(
            "no systemd-analyze here; `cargo xtask test` installs it",
            true,
        );
    }
    answer
}

#[track_caller]
fn check_unit(directory: &str, program_in_unit: &str, verify: &[&str], threshold: &str) {
    let scene = Scene::new().unwrap();
    let units = scene.path("units");
    std::fs::create_dir(&units).unwrap();
    for name in ["gwasp.service", "gwasp.target"] {
        let unit = root().join("examples/systemd").join(directory).join(name);
        let text = std::fs::read_to_string(unit).unwrap();
        let text = text.replace(program_in_unit, program().to_str().unwrap());
        std::fs::write(units.join(name), text).unwrap();
    }
    for name in ["gwasp.service", "gwasp.target"] {
        let Some(verified) = analyze(verify, &units.join(name), &units) else {
            return;
        };
        assert!(verified.status.success(), "{verified:?}");
        assert_eq!(verified.stderr, "");
    }
    let threshold = format!("--threshold={threshold}");
    let security = ["security", "--offline=true", "--no-pager", &threshold];
    let rated = analyze(&security, &units.join("gwasp.service"), &units).unwrap();
    assert!(rated.status.success(), "{rated:?}");
}

#[test]
fn the_units_of_a_person_are_sound_and_shut_in() {
    let verify = ["verify", "--user", "--recursive-errors=no"];
    check_unit("", "%h/.local/bin/gwasp", &verify, "55");
}

#[test]
fn the_units_of_a_machine_are_sound_and_shut_in() {
    let verify = ["verify", "--recursive-errors=no"];
    check_unit("system", "/usr/local/bin/gwasp", &verify, "50");
}
