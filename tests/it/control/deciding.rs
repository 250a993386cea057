//! What a person decides about tasks, and what a crash and another person make of it.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use gwasp_tests::gwasp::{ANY_PORT, Answer, Replay, START_LIMIT};
use gwasp_tests::process::{Line, Process};
use serde_json::Value;

use super::{check_code, start};
use crate::harness::Scene;
use crate::hostile::guests::{NOTICE, describing, manifest};

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// It is served first, and loops.
const LOOPS: &str = "a-loops";
/// It waits behind.
const HONEST: &str = "b-honest";

/// A host with one slot, and one notice for both plugins.
struct Stage {
    scene: Scene,
    host: Process,
    _replay: Replay,
}

impl Stage {
    /// The task that loops runs, and the other one waits.
    fn new() -> Self {
        let scene = Scene::new().unwrap();
        let plugins = scene.path("plugins");
        fs::create_dir(&plugins).unwrap();
        let option = |name: &str, value: &str| {
            let options = format!("[[\"retries\",\"0\"],[\"{name}\",\"{value}\"]]");
            manifest().replace("[[\"retries\",\"0\"]]", &options)
        };
        for (name, text, manifest) in [
            (LOOPS, "loops", option("timeout", "1h")),
            (HONEST, "honest", option("priority", "9")),
        ] {
            let bytes = describing(text, &manifest);
            fs::write(plugins.join(format!("{name}.wasm")), bytes).unwrap();
        }
        let notices = scene.path("notices");
        fs::create_dir(&notices).unwrap();
        fs::write(notices.join("1.xml"), notice()).unwrap();
        let replay = scene.gwasp.replay(&notices, ANY_PORT, &[]).unwrap();
        let mut config = format!(
            "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{}\"]\n[queues.general]\n\
             concurrency = 1\n",
            replay.address
        );
        for (table, name) in [("plugins", "plugins"), ("store", "state")] {
            writeln!(config, "[{table}]\ndirectory = {:?}", scene.path(name)).unwrap();
        }
        fs::write(scene.path("gwasp.toml"), config).unwrap();
        let host = start(&scene);
        let stage = Self {
            scene,
            host,
            _replay: replay,
        };
        stage.wait_for("the loop", |tasks| tasks.len() == 2);
        stage.wait_for_run();
        stage
    }

    fn gwasp(&self, args: &[&str]) -> Answer {
        let mut command = self.scene.gwasp.command();
        command
            .args(args)
            .arg("--state")
            .arg(self.scene.path("state"));
        Answer::of(&mut command).unwrap()
    }

    fn rows(&self, args: &[&str]) -> Vec<Value> {
        let answer = self.gwasp(args);
        let lines = answer.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{answer:?}")))
            .collect()
    }

    /// The tasks, by the plugins' names.
    fn tasks(&self) -> Vec<Value> {
        let mut tasks = self.rows(&["task", "list", "--json"]);
        tasks.sort_by_key(|task| task["handler"].to_string());
        tasks
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_so(&self.tasks()) {
            assert!(
                Instant::now() < end,
                "waited for {what}: {:?}",
                self.tasks()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait_for_run(&self) {
        let end = Instant::now() + LIMIT;
        let runs = || self.rows(&["status", "--json"])[0]["running"].clone();
        while runs().as_array().is_none_or(Vec::is_empty) {
            assert!(Instant::now() < end, "nothing runs");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The id of the task of a plugin.
    fn id(&self, plugin: &str) -> String {
        let tasks = self.tasks();
        let name = format!("{plugin}.run");
        let found = tasks.iter().find(|task| task["handler"] == name.as_str());
        found.unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn crash(&mut self) {
        self.host.kill().unwrap();
    }

    fn start(&mut self) {
        self.host = start(&self.scene);
    }

    /// Both tasks' states, that of the loop first.
    #[track_caller]
    fn wait_states(&self, expected: [&str; 2]) {
        self.wait_for(&format!("{expected:?}"), |tasks| {
            let states = tasks.iter().map(|task| task["state"].as_str().unwrap());
            states.eq(expected)
        });
    }
}

fn notice() -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent ivorn="ivo://gwasp.test/deciding#1" role="observation" version="2.0"
    xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">
  <Who><AuthorIVORN>ivo://gwasp.test/author</AuthorIVORN><Date>2026-01-02T04:05:28</Date></Who>
  <What><Param name="Packet_Type" value="{NOTICE}"/></What>
</voe:VOEvent>"#
    )
}

#[test]
fn a_guest_that_loops_is_ended_by_hand_and_its_slot_goes_on() {
    let stage = Stage::new();
    let revoked = stage.gwasp(&["task", "revoke", &stage.id(LOOPS)]);
    check_code(&revoked, 0);
    assert!(revoked.stdout.contains("was asked to end"), "{revoked:?}");
    stage.wait_states(["REVOKED", "SUCCESS"]);
    let by_hand = |line: &Line| line.json["state"] == "REVOKED" && line.json["kind"] == "by-hand";
    stage
        .host
        .wait_for("the log line", START_LIMIT, by_hand)
        .unwrap();
}

/// What ran when the host died is not begun again, and what waited stays revoked.
#[test]
fn a_task_that_was_revoked_before_a_crash_does_not_run_after_it() {
    let mut stage = Stage::new();
    for plugin in [HONEST, LOOPS] {
        check_code(&stage.gwasp(&["task", "revoke", &stage.id(plugin)]), 0);
    }
    stage.crash();
    stage.start();
    stage.wait_states(["REVOKED", "REVOKED"]);
    for plugin in [LOOPS, HONEST] {
        let shown = &stage.rows(&["task", "show", &stage.id(plugin), "--json"])[0];
        let attempts = shown["attempts"].as_u64().unwrap();
        assert!(attempts <= u64::from(plugin == LOOPS), "{shown}");
    }
    check_code(&stage.gwasp(&["store", "check"]), 0);
}

#[test]
fn a_pause_outlives_a_crash_and_goes_on_being_said() {
    let mut stage = Stage::new();
    check_code(&stage.gwasp(&["pause", "--all"]), 0);
    check_code(&stage.gwasp(&["task", "revoke", &stage.id(LOOPS)]), 0);
    stage.crash();
    stage.start();
    stage.wait_states(["REVOKED", "PENDING"]);
    let status = stage.gwasp(&["status"]);
    assert!(status.stdout.contains("everything is paused"), "{status:?}");
    assert!(stage.rows(&["status", "--json"])[0]["running"] == Value::Array(Vec::new()));
    check_code(&stage.gwasp(&["unpause", "--all"]), 0);
    stage.wait_states(["REVOKED", "SUCCESS"]);
}

/// Of those who decide at once one has its way, and all others are told so.
#[test]
fn of_many_who_decide_about_a_task_at_once_one_has_its_way() {
    let stage = Stage::new();
    let waiting = stage.id(HONEST);
    let decide = || stage.gwasp(&["task", "revoke", &waiting]);
    let answers: Vec<Answer> = thread::scope(|threads| {
        let all: Vec<_> = (0..6).map(|_| threads.spawn(decide)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let done = answers.iter().filter(|answer| answer.status.success());
    assert_eq!(done.count(), 1, "{answers:?}");
    let refused = answers.iter().filter(|answer| !answer.status.success());
    for answer in refused {
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(said.contains("REVOKED"), "{answer:?}");
    }
    check_code(&stage.gwasp(&["task", "revoke", &stage.id(LOOPS)]), 0);
    stage.wait_states(["REVOKED", "REVOKED"]);
    check_code(&stage.gwasp(&["ledger", "--verify"]), 0);
}
