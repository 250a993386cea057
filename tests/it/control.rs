//! A running host and who controls it: what it says of itself, and what it is told.

mod asking;
mod deciding;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use gwasp_tests::gwasp::{Answer, START_LIMIT, is_ready};
use gwasp_tests::process::{Line, Process};
use serde_json::Value;

use crate::harness::Scene;

/// A running host with the example plugins, and where it listens to.
struct Stage {
    scene: Scene,
    host: Process,
}

impl Stage {
    /// The broker that the host is told of is not there.
    fn new() -> Self {
        let scene = Scene::new().unwrap();
        fs::create_dir(scene.path("plugins")).unwrap();
        let file = "fermi-log.wasm";
        fs::copy(
            scene.gwasp.plugins().join(file),
            scene.path("plugins").join(file),
        )
        .unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{}\"]\n[plugins]\ndirectory = {:?}\n\
             [store]\ndirectory = {:?}\n",
            nobody.local_addr().unwrap(),
            scene.path("plugins"),
            scene.path("state")
        );
        drop(nobody);
        fs::write(scene.path("gwasp.toml"), text).unwrap();
        let host = start(&scene);
        Self { scene, host }
    }

    fn gwasp(&self, args: &[&str]) -> Answer {
        let mut command = self.scene.gwasp.command();
        command
            .args(args)
            .arg("--state")
            .arg(self.scene.path("state"));
        Answer::of(&mut command).unwrap()
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        let answer = self.gwasp(args);
        let lines = answer.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{answer:?}")))
            .collect()
    }

    /// The state and the version of the plugin.
    fn plugin(&self) -> (String, String) {
        let plugins = self.json(&["plugin", "list", "--json"]);
        assert_eq!(plugins.len(), 1, "{plugins:?}");
        let text = |name: &str| plugins[0][name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("current"))
    }
}

fn start(scene: &Scene) -> Process {
    let host = scene.gwasp.run(&scene.path("gwasp.toml")).unwrap();
    host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
    host
}

#[track_caller]
fn check_code(answer: &Answer, code: i32) {
    assert_eq!(answer.status.code(), Some(code), "{answer:?}");
}

#[test]
fn a_status_names_what_a_person_should_look_at() {
    let stage = Stage::new();
    let answer = stage.gwasp(&["status"]);
    check_code(&answer, 2);
    assert!(answer.stdout.starts_with("CRITICAL: gwasp "), "{answer:?}");
    assert!(answer.stdout.contains("is not connected"), "{answer:?}");
    let status = &stage.json(&["status", "--json"])[0];
    assert_eq!(status["verdict"], "critical");
    assert_eq!(status["plugins"][0]["plugin"], "fermi-log");
    assert_eq!(status["plugins"][0]["state"], "active");
    assert_eq!(status["queues"][0]["queue"], "general");
    assert_eq!(status["set_aside"], 0);
    let silent = stage.gwasp(&["status", "--quiet"]);
    check_code(&silent, 2);
    assert_eq!(silent.stdout, "");
}

#[test]
fn where_no_host_runs_commands_say_so_and_how_to_start_one() {
    let mut stage = Stage::new();
    stage.host.kill().unwrap();
    let status = stage.gwasp(&["status"]);
    check_code(&status, 69);
    assert!(
        status.stdout.starts_with("no host runs on the store in "),
        "{status:?}"
    );
    let reload = stage.gwasp(&["reload"]);
    check_code(&reload, 1);
    assert!(
        reload.stderr.contains("`gwasp run` starts one"),
        "{reload:?}"
    );
}

#[test]
fn a_plugin_is_disabled_enabled_replaced_and_gone_back_from() {
    let mut stage = Stage::new();
    let file = stage.scene.path("plugins/fermi-log.wasm");
    let (state, first) = stage.plugin();
    assert_eq!(state, "active");

    check_code(&stage.gwasp(&["plugin", "disable", "fermi-log"]), 0);
    assert_eq!(stage.plugin(), ("disabled".to_owned(), String::new()));
    let status = stage.gwasp(&["status"]);
    assert!(
        status.stdout.contains("fermi-log is disabled"),
        "{status:?}"
    );
    check_code(&stage.gwasp(&["plugin", "enable", "fermi-log"]), 0);
    assert_eq!(stage.plugin(), ("active".to_owned(), first.clone()));

    fs::write(&file, "no component").unwrap();
    let refused = stage.gwasp(&["reload"]);
    check_code(&refused, 1);
    assert!(
        refused.stdout.contains("refused, what was loaded stays"),
        "{refused:?}"
    );
    assert_eq!(stage.plugin(), ("active".to_owned(), first.clone()));
    // It is not forgotten because it was said.
    let again = stage.gwasp(&["reload"]);
    check_code(&again, 1);
    assert_eq!(again.stdout, refused.stdout);

    // A custom section of no meaning makes another version of the same plugin.
    let mut other = fs::read(stage.scene.gwasp.plugins().join("fermi-log.wasm")).unwrap();
    other.extend([0, 3, 2, b'v', b'2']);
    fs::write(&file, other).unwrap();
    let loaded = stage.gwasp(&["reload"]);
    check_code(&loaded, 0);
    let (state, second) = stage.plugin();
    assert_eq!(state, "active");
    assert_ne!(second, first);
    assert!(loaded.stdout.contains(&second[..12]), "{loaded:?}");

    check_code(&stage.gwasp(&["plugin", "rollback", "fermi-log"]), 0);
    assert_eq!(stage.plugin(), ("active".to_owned(), first.clone()));
    stage.host.kill().unwrap();
    stage.host = start(&stage.scene);
    assert_eq!(stage.plugin(), ("active".to_owned(), first.clone()));
    let status = stage.gwasp(&["status"]);
    assert!(status.stdout.contains("was rolled back"), "{status:?}");
    let missing = stage.gwasp(&["plugin", "rollback", "fermi-log", "--to", "0000"]);
    check_code(&missing, 1);
    assert!(
        missing.stderr.contains("has no version 0000"),
        "{missing:?}"
    );
}

#[test]
fn only_the_owner_may_ask_and_each_action_is_logged_with_who_asked() {
    let stage = Stage::new();
    let socket = stage.scene.path("state/control.sock");
    let mode = fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let unknown = stage.gwasp(&["plugin", "enable", "fermi-lgo"]);
    check_code(&unknown, 1);
    assert!(
        unknown.stderr.contains("is `fermi-log` meant?"),
        "{unknown:?}"
    );
    let uid = rustix::process::geteuid().as_raw();
    let logged = |line: &Line| {
        line.json["path"] == "/v1/plugins/fermi-lgo/enable"
            && line.json["uid"] == uid
            && line.json["status"] == 404
    };
    let host = &stage.host;
    host.wait_for("the log line", START_LIMIT, logged).unwrap();
}

#[test]
fn what_was_held_back_is_dispatched_by_its_reason_and_since_a_moment() {
    let stage = Stage::new();
    let held = ["packet", "redispatch", "--held", "role", "--since", "1d"];
    let none = stage.gwasp(&held);
    check_code(&none, 0);
    assert!(
        none.stdout.starts_with("0 packets were held back"),
        "{none:?}"
    );
    check_code(&stage.gwasp(&held[..4]), 2);
    check_code(&stage.gwasp(&held[..2]), 2);
    let both = [&held[..], &["7"]].concat();
    check_code(&stage.gwasp(&both), 2);
}
