//! A configuration that changes under a running host: what is applied, what is refused, and that
//! nothing is lost meanwhile.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gwasp_store::{Reader, State, TaskFilter, TaskView};
use gwasp_tests::gwasp::{Answer, START_LIMIT, is_ready};
use gwasp_tests::process::{Line, Process};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::LIMIT;
use super::sender::{Again, Sender};
use crate::harness::{Scene, number, record, test_plugin};
use crate::hostile::guests::{NOTICE, endless, version};

/// `FERMI_GBM_ALERT`, for which the probe needs the grant `kv`.
const TALLIED: u16 = 110;
/// Packets a second in the lane.
const RATE: f64 = 500.0;

/// A host whose configuration the tests write.
struct Stage {
    scene: Scene,
    host: Process,
}

impl Stage {
    /// Starts a host with plugins, by name, and these tables.
    fn new(plugins: &[(&str, Vec<u8>)], tables: &str) -> Self {
        let scene = Scene::new().unwrap();
        let directory = scene.plugins(&[]).unwrap();
        for (name, bytes) in plugins {
            fs::write(directory.join(format!("{name}.wasm")), bytes).unwrap();
        }
        write(&scene, tables);
        let mut command = scene.gwasp.command();
        let config = scene.path("gwasp.toml");
        command.args(["run", "--log-format", "json", "--config"]);
        let host = Process::spawn("gwasp run", with(command, &config)).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        Self { scene, host }
    }

    fn gwasp(&self, args: &[&str]) -> Answer {
        let mut command = self.scene.gwasp.command();
        command.args(args).arg("--state");
        Answer::of(&mut with(command, &self.scene.path("state"))).unwrap()
    }

    fn status(&self) -> Value {
        let answer = self.gwasp(&["status", "--json"]);
        serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"))
    }

    /// Has the host take these tables; it answers when that is done.
    fn reload(&self, tables: &str) -> Answer {
        write(&self.scene, tables);
        self.gwasp(&["reload", "--wait"])
    }

    #[track_caller]
    fn applies(&self, tables: &str, says: &[&str]) {
        let answer = self.reload(tables);
        assert_eq!(answer.status.code(), Some(0), "{answer:?}");
        for says in says {
            assert!(answer.stdout.contains(says), "{says}: {answer:?}");
        }
    }

    #[track_caller]
    fn refuses(&self, tables: &str, says: &[&str]) {
        let answer = self.reload(tables);
        assert_eq!(answer.status.code(), Some(78), "{answer:?}");
        for says in says {
            assert!(answer.stderr.contains(says), "{says}: {answer:?}");
        }
    }

    fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.host.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// The next line about a reload.
    #[track_caller]
    fn told(&self) -> Line {
        self.host.wait_for("a reload", LIMIT, is_told).unwrap()
    }

    fn memory_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.host.id());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.unwrap().split_whitespace().next().unwrap();
        memory.parse().unwrap()
    }

    /// How many tasks run now.
    fn running(&self) -> usize {
        self.status()["running"].as_array().unwrap().len()
    }

    /// The ids of the tasks that run now.
    fn running_tasks(&self) -> Vec<String> {
        let running = self.status()["running"].clone();
        let tasks = running.as_array().unwrap().iter();
        tasks
            .map(|task| task["task"].as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    fn revoke(&self, tasks: &[String]) {
        for task in tasks {
            let answer = self.gwasp(&["task", "revoke", task]);
            assert!(answer.status.success(), "{answer:?}");
        }
    }

    /// Looks at the host until `done`.
    #[track_caller]
    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < end, "{what}\n{}", self.host.last_lines());
            // Between two looks.
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn tasks(&self) -> Vec<TaskView> {
        let filter = TaskFilter {
            limit: Some(u32::MAX),
            ..TaskFilter::default()
        };
        let reader = Reader::open(&self.scene.path("state")).unwrap();
        reader.tasks(&filter).unwrap()
    }

    #[track_caller]
    fn stop(mut self) {
        self.host.terminate().unwrap();
        let status = self.host.wait(LIMIT).unwrap();
        assert!(status.success(), "{status}\n{}", self.host.last_lines());
    }
}

fn with(mut command: Command, path: &std::path::Path) -> Command {
    command.arg(path);
    command
}

/// Writes a configuration: the directories, and these tables; keys before a table come first.
fn write(scene: &Scene, tables: &str) {
    let text = format!(
        "{tables}\n[plugins]\ndirectory = {:?}\n[store]\ndirectory = {:?}\n",
        scene.path("plugins"),
        scene.path("state")
    );
    let new = scene.path("gwasp.toml.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, scene.path("gwasp.toml")).unwrap();
}

fn is_told(line: &Line) -> bool {
    let is_answer = line.message().starts_with("reloaded")
        || line.message().starts_with("configuration refused");
    line.target() == "gwasp::host" && is_answer
}

/// A broker whose packets have this type.
fn sender(notice: u16) -> Sender {
    Sender::start(Again::All, move |number| document(notice, number))
}

fn document(notice: u16, number: u64) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent ivorn="ivo://gwasp.test/settings-{notice}#{number}" role="observation" version="2.0"
    xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">
  <Who><AuthorIVORN>ivo://gwasp.test/author</AuthorIVORN><Date>2026-01-02T04:05:28</Date></Who>
  <What><Param name="Packet_Type" value="{notice}"/></What>
</voe:VOEvent>
"#
    )
}

/// A listener's table.
fn listener(name: &str, sender: &Sender) -> String {
    let broker = sender.address;
    format!("[listeners.{name}]\nkind = \"vtp\"\nsource = \"{name}\"\nbrokers = [\"{broker}\"]\n")
}

fn queue(name: &str, slots: u16) -> String {
    format!("[queues.{name}]\nconcurrency = {slots}\n")
}

#[test]
fn a_listener_that_is_added_receives_and_one_that_goes_is_closed_and_others_stay_connected() {
    let (first, second) = (sender(1), sender(2));
    let (one, two) = (listener("one", &first), listener("two", &second));
    let stage = Stage::new(&[], &one);
    first.allow(3);
    assert!(first.acknowledges(3, LIMIT), "{first:?}");

    stage.applies(&format!("{one}{two}"), &["listeners.two"]);
    second.allow(3);
    assert!(second.acknowledges(3, LIMIT), "{second:?}");
    assert_eq!(stage.status()["listeners"].as_array().unwrap().len(), 2);

    stage.applies(&one, &["listeners.two"]);
    assert!(second.is_left(LIMIT), "{second:?}");
    first.allow(6);
    assert!(first.acknowledges(6, LIMIT), "{first:?}");
    assert_eq!((first.connections(), second.connections()), (1, 1));
    assert_eq!(stage.status()["listeners"].as_array().unwrap().len(), 1);

    let slower = format!("{one}silence = \"100s\"\n");
    stage.applies(&slower, &["listeners.one.silence"]);
    first.allow(9);
    assert!(first.acknowledges(9, LIMIT), "{first:?}");
    assert_eq!(
        first.connections(),
        2,
        "it connected anew, and no more often"
    );
    stage.stop();
}

#[test]
fn a_stream_that_is_not_listened_to_any_more_has_no_gap_after_a_crash() {
    let (first, second) = (sender(1), sender(2));
    let (one, two) = (listener("one", &first), listener("two", &second));
    let mut stage = Stage::new(&[], &format!("{one}{two}"));
    for sender in [&first, &second] {
        sender.allow(1);
        assert!(sender.acknowledges(1, LIMIT), "{sender:?}");
    }
    stage.applies(&one, &["listeners.two"]);
    stage.host.kill().unwrap();
    let answer = stage.gwasp(&["ledger", "--verify"]);
    assert!(answer.status.success(), "{answer:?}");
    let state = stage.scene.path("state");
    let store = gwasp_store::Store::open(&state, gwasp_store::Options::default()).unwrap();
    drop(store);
    let gaps = Reader::open(&state).unwrap().gaps(None).unwrap();
    let sources: Vec<&str> = gaps.iter().map(|gap| gap.source.as_str()).collect();
    assert_eq!(sources, ["one"]);
}

#[test]
fn a_grant_that_is_added_counts_for_the_next_task() {
    let packets = sender(TALLIED);
    let listening = listener("gcn", &packets);
    let probe = fs::read(test_plugin("faults-probe")).unwrap();
    let stage = Stage::new(&[("probe", probe)], &listening);
    let mut ended = Vec::new();
    let grant = format!("{listening}[grants.probe]\nkv = true\n");
    for (number, tables) in [(1, &listening), (2, &grant), (3, &listening)] {
        stage.applies(tables, &[]);
        packets.allow(number);
        let count = usize::try_from(number).unwrap();
        let is_ended = |task: &TaskView| matches!(task.state, State::Success | State::Failure);
        stage.until("the task ends", |stage| {
            stage.tasks().iter().filter(|task| is_ended(task)).count() == count
        });
    }
    let mut tasks = stage.tasks();
    tasks.sort_by_key(|task| task.made);
    ended.extend(tasks.iter().map(|task| task.state));
    assert_eq!(ended, [State::Failure, State::Success, State::Failure]);
    stage.stop();
}

#[test]
fn more_slots_begin_at_once_and_fewer_once_their_tasks_have_ended() {
    let packets = sender(NOTICE);
    let listening = listener("gcn", &packets);
    let tables = |slots| {
        format!(
            "{listening}{}[drain]\ndeadline = \"0s\"\n",
            queue("spin", slots)
        )
    };
    let stage = Stage::new(&[("spin", endless("spin"))], &tables(1));
    packets.allow(5);
    stage.until("one runs", |stage| stage.running() == 1);
    stage.applies(&tables(3), &["queues.spin.concurrency: applied"]);
    stage.until("three run", |stage| stage.running() == 3);

    stage.applies(&tables(1), &["queues.spin.concurrency: applied"]);
    assert_eq!(stage.running(), 3, "what runs goes on");

    stage.applies(&tables(3), &["queues.spin.concurrency: applied"]);
    let is = |state: State| move |task: &&TaskView| task.state == state;
    let count = |stage: &Stage, state| stage.tasks().iter().filter(is(state)).count();
    stage.revoke(&stage.running_tasks()[..1]);
    stage.until("another takes the place of one, and no more", |stage| {
        count(stage, State::Revoked) == 1
            && stage.running() == 3
            && count(stage, State::Pending) == 4
    });

    stage.applies(&tables(1), &["queues.spin.concurrency: applied"]);
    stage.revoke(&stage.running_tasks());
    stage.until("four are revoked and one runs", |stage| {
        count(stage, State::Revoked) == 4 && stage.running() == 1
    });
    stage.stop();
}

#[test]
fn a_queue_with_tasks_or_a_handler_is_not_taken_out_and_one_that_idles_is() {
    let packets = sender(NOTICE);
    let base = format!("{}{}", listener("gcn", &packets), queue("general", 2));
    let stage = Stage::new(
        &[("a", version(0, "busy", 0))],
        &format!("{base}{}{}", queue("busy", 1), queue("idle", 1)),
    );
    let paused = stage.gwasp(&["pause", "busy"]);
    assert!(paused.status.success(), "{paused:?}");
    packets.allow(4);
    assert!(packets.acknowledges(4, LIMIT), "{packets:?}");
    stage.refuses(&base, &["error[E0107]", "[queues.busy]", "4 tasks"]);
    let told = stage.told();
    assert_eq!(*told.field("code"), "E0107", "{}", told.text);
    assert!(
        told.field("by").as_str().unwrap().contains("process"),
        "{}",
        told.text
    );

    let unpaused = stage.gwasp(&["unpause", "busy"]);
    assert!(unpaused.status.success(), "{unpaused:?}");
    stage.scene.settled_ledger(LIMIT).unwrap();
    stage.refuses(&base, &["[queues.busy]", "a.run"]);

    stage.applies(
        &format!("{base}{}", queue("busy", 1)),
        &["queues.idle: applied"],
    );
    let queues = stage.status()["queues"].clone();
    let names: Vec<&str> = queues
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["queue"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["busy", "general"]);
    stage.stop();
}

#[test]
fn a_queue_that_is_added_takes_the_plugin_that_was_refused_for_want_of_it() {
    let stage = Stage::new(&[("a", version(0, "late", 0))], &queue("general", 1));
    assert_eq!(stage.status()["plugins"][0]["state"], "not-loaded");
    let tables = format!("{}{}", queue("general", 1), queue("late", 1));
    stage.applies(&tables, &["queues.late: applied", "a: version"]);
    assert_eq!(stage.status()["plugins"][0]["state"], "active");
    stage.stop();
}

#[test]
fn a_wrong_key_changes_nothing_and_is_shown_with_its_line_and_a_caret() {
    let stage = Stage::new(
        &[],
        "[drain]\ndeadline = \"20s\"\n[queues.general]\nconcurrency = 2\n",
    );
    let wrong = "[drain]\ndeadlin = \"10s\"\n[queues.general]\nconcurrency = 3\n";
    stage.refuses(
        wrong,
        &[
            "error[E0101]",
            "gwasp.toml:2:1",
            "2 | deadlin = ",
            "^^^^^^^",
            "is `deadline` meant?",
        ],
    );
    let told = stage.told();
    let error = told.field("error").as_str().unwrap();
    for says in [
        "gwasp.toml:2:1",
        "deadlin = \"10s\"",
        "^^^^^^^",
        "`deadline`",
    ] {
        assert!(error.contains(says), "{says}: {error}");
    }
    let status = stage.status();
    assert_eq!(status["queues"][0]["slots"], 2, "nothing was applied");
    assert_eq!(status["config"]["by"], "the start");
    let said = status["config"]["unusable"].as_str().unwrap();
    assert!(said.contains("deadlin"), "{said}");
    assert_eq!(stage.gwasp(&["status", "--quiet"]).status.code(), Some(1));
    stage.stop();
}

#[test]
fn certificates_that_cannot_be_read_change_nothing() {
    let packets = sender(1);
    let stage = Stage::new(&[], &queue("general", 2));
    let listening = listener("gcn", &packets);
    let tls = format!("{listening}[listeners.gcn.tls]\nca_file = \"/nonexistent/ca.pem\"\n");
    stage.refuses(
        &format!("{tls}{}", queue("general", 3)),
        &["error[E0106]", "/nonexistent/ca.pem"],
    );
    assert_eq!(stage.status()["queues"][0]["slots"], 2);
    stage.stop();
}

#[test]
fn what_needs_a_restart_is_named_and_all_else_is_applied() {
    let stage = Stage::new(&[], &queue("general", 2));
    let tables = format!("{}[kernels]\nconcurrency = 2\n", queue("general", 3));
    let says = [
        "kernels.concurrency: needs a restart",
        "queues.general.concurrency: applied",
    ];
    stage.applies(&tables, &says);
    let told = stage.told();
    assert_eq!(*told.field("needs_restart"), "kernels.concurrency");
    assert_eq!(*told.field("applied"), "queues.general.concurrency");
    let config = &stage.status()["config"];
    assert!(
        config["by"].as_str().unwrap().contains("process"),
        "{config}"
    );
    assert_eq!(
        config["differs"]["needs_restart"],
        json!(["kernels.concurrency"])
    );
    assert_eq!(config["differs"]["applied"], json!([]));
    write(&stage.scene, &queue("general", 4));
    let differs = &stage.status()["config"]["differs"]["applied"];
    assert_eq!(*differs, json!(["queues.general.concurrency"]));
    stage.stop();
}

#[test]
fn the_log_follows_its_table() {
    let stage = Stage::new(&[], "[log]\nfilter = \"warn,gwasp::host=info\"\n");
    stage.applies(
        "[log]\nfilter = \"info,gwasp::host=debug\"\n",
        &["log.filter: applied"],
    );
    stage.applies("[log]\nfilter = \"warn\"\n", &["log.filter: applied"]);
    let asked = |line: &Line| line.target() == "gwasp::control";
    stage.host.wait_for("a line at info", LIMIT, asked).unwrap();
    stage.refuses(
        "[log]\nfilter = \"gwasp=loud\"\n",
        &["^^^", "is no filter of a log"],
    );
    // Of the two answers before, one was at `info` when that did not pass any more.
    let error = stage.told();
    assert_eq!(error.json["level"], "ERROR", "{}", error.text);
    stage.stop();
}

/// A good configuration, different from the one before, or one that cannot be used although the
/// rest of it is good.
fn lane_tables(number: u64, listening: &str) -> (String, bool) {
    let slots = if number.is_multiple_of(4) { 6 } else { 8 };
    let good = format!(
        "{listening}{}[grants.a]\nkv = {}\n",
        queue("general", slots),
        number.is_multiple_of(4)
    );
    let bad = format!("{listening}{}", queue("general", 1));
    match number % 8 {
        1 => (format!("{bad}[drian]\n"), false),
        3 => (format!("{bad}[grants.a]\nsecrets = [\"nobodys\"]\n"), false),
        5 => (
            format!(
                "{bad}[listeners.b]\nkind = \"vtp\"\nbrokers = [\"127.0.0.1:1\"]\n[listeners.b.tls]\nca_file = \"/nonexistent\"\n"
            ),
            false,
        ),
        7 => (format!("{listening}[queues.other]\n"), false),
        _ => (good, true),
    }
}

#[test]
fn good_and_bad_configurations_in_turn_under_traffic_lose_nothing_and_have_one_line_each() {
    let reloads = number("GWASP_RELOADS", 20);
    let packets = sender(NOTICE);
    let listening = listener("gcn", &packets);
    let plugin = ("a", version(0, "lane", 0));
    let lane = format!("{listening}{}", queue("lane", 4));
    let stage = Stage::new(&[plugin], &lane_tables(0, &lane).0);
    let stop = Arc::new(AtomicBool::new(false));
    let (sending, stopped) = (packets.clone(), Arc::clone(&stop));
    let sending = thread::spawn(move || {
        let begun = Instant::now();
        let mut sent = 0;
        while !stopped.load(Ordering::Relaxed) {
            sent += 1;
            // The pace is what is wanted; nothing waits for it.
            let due = Duration::from_secs_f64(sent as f64 / RATE);
            thread::sleep(due.saturating_sub(begun.elapsed()));
            sending.allow(sent);
        }
        sent
    });
    let mut slowest = Duration::ZERO;
    let mut base = 0;
    for reload in 1..=reloads {
        let (tables, is_good) =
            lane_tables(reload, if reload % 8 == 7 { &listening } else { &lane });
        write(&stage.scene, &tables);
        let asked = Instant::now();
        stage.hang_up();
        let told = stage.told();
        slowest = slowest.max(asked.elapsed());
        assert_eq!(told.field("reload").as_u64(), Some(reload), "{}", told.text);
        assert_eq!(*told.field("by"), "SIGHUP");
        assert_eq!(told.message() == "reloaded", is_good, "{}", told.text);
        if reload == 8 {
            base = stage.memory_kib();
        }
        if reload % 10 == 1 {
            let slots = stage.status()["queues"][0]["slots"].as_u64();
            assert!(matches!(slots, Some(6 | 8)), "never {slots:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent = sending.join().unwrap();
    assert!(packets.acknowledges(sent, LIMIT), "{packets:?}");
    let ledger = stage.scene.settled_ledger(LIMIT).unwrap();
    assert_eq!(
        (ledger.accepted, ledger.duplicate, ledger.tasks.succeeded),
        (sent, 0, sent)
    );
    assert_eq!(packets.connections(), 1, "no reload touched the listener");
    assert!(
        stage.tasks().iter().all(|task| task.attempts == 1),
        "no run was torn"
    );
    let memory = stage.memory_kib();
    let growth = (memory as f64 / base as f64 - 1.0) * 100.0;
    stage.stop();
    record(&json!({
        "faults": reloads,
        "packets": sent,
        "tasks": sent,
        "lost": 0,
        "doubled": 0,
        "worst": format!(
            "a reload took {} ms; memory {growth:+.1} % ({} MB)",
            slowest.as_millis(),
            memory >> 10,
        ),
    }))
    .unwrap();
}
