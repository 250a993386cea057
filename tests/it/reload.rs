//! A plugin directory that changes under a running host, and what SIGHUP does.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use gwasp_tests::gwasp::{START_LIMIT, is_ready};
use gwasp_tests::process::{Line, Process};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Scene;
use crate::hostile::guests::{compile_bomb, version};

/// What takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// A host that listens to nothing.
struct Stage {
    scene: Scene,
    host: Process,
}

impl Stage {
    /// Starts a host with version 0 of plugin `a`; `config` is added to its configuration.
    fn new(config: &str) -> Self {
        let scene = Scene::new().unwrap();
        let plugins = scene.plugins(&[]).unwrap();
        fs::write(plugins.join("a.wasm"), version(0, "general", 0)).unwrap();
        let text = format!(
            "[plugins]\ndirectory = {plugins:?}\n\n[store]\ndirectory = {:?}\n\n{config}",
            scene.path("state")
        );
        let config = scene.path("gwasp.toml");
        fs::write(&config, text).unwrap();
        let command = scene.gwasp.run_logging(&config, "info,gwasp::host=debug");
        let host = Process::spawn("gwasp run", command).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        Self { scene, host }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scene.path("plugins").join(name)
    }

    /// Puts a file into its place at once, as `gwasp build` does.
    fn put(&self, name: &str, bytes: &[u8]) {
        let new = self.file(".new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, self.file(name)).unwrap();
    }

    fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.host.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// Waits for a line of the host with this message, or one that begins so.
    #[track_caller]
    fn says(&self, message: &str) -> Line {
        let wanted =
            |line: &Line| line.target() == "gwasp::host" && line.message().starts_with(message);
        self.host.wait_for(message, LIMIT, wanted).unwrap()
    }

    /// The next of these messages is `message`.
    #[track_caller]
    fn says_next(&self, message: &str, others: &[&str]) -> Line {
        let wanted = |line: &Line| {
            let is = |message: &&str| line.message().starts_with(*message);
            is(&message) || others.iter().any(is)
        };
        let line = self.host.wait_for(message, LIMIT, wanted).unwrap();
        assert!(line.message().starts_with(message), "{}", line.text);
        line
    }

    #[track_caller]
    fn stop(mut self) {
        self.host.terminate().unwrap();
        let status = self.host.wait(LIMIT).unwrap();
        assert!(status.success(), "{status}\n{}", self.host.last_lines());
    }
}

#[test]
fn a_file_that_is_dropped_into_the_directory_is_loaded() {
    let stage = Stage::new("");
    stage.put("b.wasm", &version(1, "general", 0));
    assert_eq!(stage.says("plugin loaded").field("plugin"), "b");
    stage.stop();
}

#[test]
fn a_file_that_is_dear_to_compile_does_not_keep_others_from_being_loaded() {
    let stage = Stage::new("");
    stage.put("dear.wasm", &compile_bomb());
    stage.says("plugin is being loaded");
    stage.put("b.wasm", &version(1, "general", 0));
    // A machine may be fast enough for the compiler to die before the other file had to pass it.
    let is_end = |line: &Line| ["plugin loaded", "plugin refused"].contains(&line.message());
    let first = stage.host.wait_for("an end", LIMIT, is_end).unwrap();
    let (loaded, refused) = match first.message() {
        "plugin loaded" => (first, stage.says("plugin refused")),
        _ => (stage.says("plugin loaded"), first),
    };
    assert_eq!(loaded.field("plugin"), "b");
    let said = refused.field("error").as_str().unwrap();
    assert!(said.contains("the compiler was stopped"), "{said}");
    stage.stop();
}

#[test]
fn a_queue_that_comes_with_a_new_version_has_a_pool() {
    let stage = Stage::new("");
    stage.put("a.wasm", &version(1, "late", 0));
    let pool = stage.says("pool started");
    assert_eq!(pool.field("queue"), "late");
    stage.says("plugin replaced");
    stage.stop();
}

#[test]
fn a_queue_that_is_not_configured_is_refused_by_name_and_the_old_version_stays() {
    let stage = Stage::new("[queues.general]\n");
    stage.put("a.wasm", &version(1, "late", 0));
    let refused = stage.says("plugin refused");
    let said = refused.field("error").as_str().unwrap();
    assert!(said.contains("[queues.late]"), "{said}");
    assert!(refused.field("stays").is_string(), "{}", refused.text);
    stage.stop();
}

#[test]
fn a_broken_file_is_told_of_once_for_each_content_and_again_when_asked_for() {
    let stage = Stage::new("");
    let ends = ["plugin refused", "plugin loaded"];
    stage.put("a.wasm", b"\0asm broken");
    stage.says_next("plugin refused", &ends);
    // The same bytes again; what comes after them tells that they were looked at.
    stage.put("a.wasm", b"\0asm broken");
    stage.put("b.wasm", &version(1, "general", 0));
    stage.says_next("plugin loaded", &ends);
    stage.put("a.wasm", b"\0asm other");
    stage.says_next("plugin refused", &ends);
    stage.put("a.wasm", b"\0asm broken");
    stage.hang_up();
    stage.says_next("plugin refused", &ends);
    let reloaded = stage.says("reloaded");
    assert_eq!(*reloaded.field("refused"), 1);
    stage.stop();
}

#[test]
fn who_hangs_up_has_a_plugin_removed_whose_file_is_gone_and_loaded_when_it_is_back() {
    let stage = Stage::new("");
    let bytes = version(1, "general", 0);
    stage.put("b.wasm", &bytes);
    stage.says("plugin loaded");
    fs::remove_file(stage.file("b.wasm")).unwrap();
    stage.hang_up();
    assert_eq!(stage.says("plugin removed").field("plugin"), "b");
    stage.says("reloaded");
    stage.put("b.wasm", &bytes);
    assert_eq!(stage.says("plugin loaded").field("plugin"), "b");
    stage.stop();
}

#[test]
fn a_directory_that_vanishes_changes_nothing_and_is_followed_when_it_is_back() {
    let stage = Stage::new("");
    let (plugins, away) = (stage.scene.path("plugins"), stage.scene.path("away"));
    fs::rename(&plugins, &away).unwrap();
    stage.says("the plugin directory cannot be used");
    fs::rename(&away, &plugins).unwrap();
    stage.put("a.wasm", &version(1, "general", 0));
    assert_eq!(stage.says("plugin replaced").field("plugin"), "a");
    stage.stop();
}
