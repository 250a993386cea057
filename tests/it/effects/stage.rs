//! A host with the probe plugin, a service that the plugin uploads to, and a broker that sends
//! one notice.

#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped must be seen to be"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gwasp_tests::gwasp::{ANY_PORT, Answer, Replay, START_LIMIT, is_ready};
use gwasp_tests::process::Process;
use serde_json::Value;

use super::LIMIT;
use crate::harness::{Scene, test_plugin};
use crate::service::Service;

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:9";

/// What the host is told about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// It does an upload once per key.
    HonoursKeys,
    /// It can be asked what it did.
    CanBeAsked,
    /// It lists what was sent to an address at that address.
    Lists,
    /// Neither.
    Opaque,
}

/// A host's folder, a service, and a broker with one notice for the host.
pub(super) struct Stage {
    pub(super) service: Service,
    scene: Rc<Scene>,
    /// What the whole host runs in.
    mode: String,
    config: String,
    ivorn: String,
    replay: Replay,
}

/// A task, as the host's own lists have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) attempts: u64,
    pub(super) kind: String,
    /// JSON; empty where there is none.
    pub(super) result: String,
    packet: Option<i64>,
}

/// Whether hosts can be killed at a sync; says so where not.
pub(crate) fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "there is no strace");
        eprintln!("skipped: there is no strace to kill hosts with");
    }
    found
}

/// A notice of a type, that tells the plugin where the service is.
pub(super) fn notice(notice_type: &str, ivorn: &str, service: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent ivorn="{ivorn}" role="observation" version="2.0"
    xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">
  <Who><AuthorIVORN>ivo://gwasp.test/author</AuthorIVORN><Date>2026-01-02T04:05:28</Date></Who>
  <What>
    <Param name="Packet_Type" value="{notice_type}"/>
    <Param name="Service" value="{service}"/>
    <Param name="Key" value="S190425z"/>
    <Param name="Pause" value="4"/>
  </What>
</voe:VOEvent>
"#
    )
}

impl Stage {
    pub(super) fn new(notice_type: &str, asking: Asking) -> Self {
        Self::with_grants(
            notice_type,
            asking,
            "[grants.effects-probe]\nkv = true\nblobs = true\nservices = [\"probe\"]\n\
             secrets = [\"key\"]\n",
        )
    }

    /// The plugin may do nothing.
    pub(super) fn without_grant(notice_type: &str) -> Self {
        Self::with_grants(notice_type, Asking::Opaque, "")
    }

    /// The plugin may upload, and keep no values.
    pub(super) fn without_values(notice_type: &str) -> Self {
        let grants = "[grants.effects-probe]\nservices = [\"probe\"]\n";
        Self::with_grants(notice_type, Asking::Opaque, grants)
    }

    /// From the next host on it may.
    pub(super) fn grant_values(&mut self) {
        self.config.push_str("kv = true\n");
    }

    /// From the next host on it has this in its configuration, too.
    pub(super) fn configure(&mut self, text: &str) {
        self.config.push_str(text);
    }

    /// From the next host on the plugin runs in this mode.
    pub(super) fn set_mode(&mut self, mode: &str) {
        let table = "[grants.effects-probe]\n";
        let (before, after) = self.config.split_once(table).unwrap();
        let after = after.strip_prefix("mode = \"shadow\"\n").unwrap_or(after);
        self.config = format!("{before}{table}mode = \"{mode}\"\n{after}");
    }

    /// From the next host on every plugin runs in this mode.
    pub(super) fn set_mode_of_all(&mut self, mode: &str) {
        self.mode = mode.to_owned();
    }

    fn with_grants(notice_type: &str, asking: Asking, grants: &str) -> Self {
        let scene = Rc::new(Scene::new().unwrap());
        let service = Service::start();
        let asked = match asking {
            Asking::HonoursKeys => "honours_key = true\n",
            Asking::CanBeAsked => "resolve = { get = \"/by-key/{key}\", after = \"0s\" }\n",
            Asking::Lists => "resolve = { get = \"{url}\", contains_key = true, after = \"0s\" }\n",
            Asking::Opaque => "",
        };
        if asking == Asking::HonoursKeys {
            service.honour_keys();
        }
        let secret = scene.path("secret");
        write_secret(&secret);
        let config = format!(
            "[services.probe]\norigin = \"http://{}\"\ntimeout = \"12s\"\n{asked}\n\
             [secrets.key]\nfile = {secret:?}\nservices = [\"probe\"]\n\n{grants}",
            service.address
        );
        Self::sending(scene, service, config, notice_type)
    }

    /// Another notice for the same host.
    pub(super) fn next(&self, notice_type: &str) -> Self {
        Self::sending(
            Rc::clone(&self.scene),
            self.service.clone(),
            self.config.clone(),
            notice_type,
        )
    }

    fn sending(scene: Rc<Scene>, service: Service, config: String, notice_type: &str) -> Self {
        let number = std::fs::read_dir(scene.path(".")).unwrap().count();
        let ivorn = format!("ivo://gwasp.test/notice#{notice_type}-{number}");
        let dir = scene.path(&format!("notices-{number}"));
        std::fs::create_dir(&dir).unwrap();
        let text = notice(notice_type, &ivorn, &format!("http://{}", service.address));
        std::fs::write(dir.join("notice.xml"), text).unwrap();
        let replay = scene
            .gwasp
            .replay(&dir, ANY_PORT, &["--until-acked"])
            .unwrap();
        Self {
            service,
            scene,
            mode: "live".to_owned(),
            config,
            ivorn,
            replay,
        }
    }

    fn state(&self) -> PathBuf {
        self.scene.path("state")
    }

    fn write_config(&self) -> PathBuf {
        let plugins = self.scene.plugins(&[test_plugin("effects-probe")]).unwrap();
        let text = format!(
            "mode = {:?}\n[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{}\"]\n\n\
             [plugins]\ndirectory = {:?}\n\n[store]\ndirectory = {:?}\n\n{}",
            self.mode,
            self.replay.address,
            plugins,
            self.state(),
            self.config
        );
        let file = self.scene.path("gwasp.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Starts the host.
    pub(super) fn host(&self) -> Process {
        self.scene.gwasp.run(&self.write_config()).unwrap()
    }

    /// Starts a host with a cache of its own, which may be removed, and with `plugin` in place of
    /// the probe.
    pub(super) fn host_with(&self, plugin: &[u8]) -> Process {
        let config = self.write_config();
        self.replace(plugin);
        let mut command = self.scene.gwasp.run_command(&config);
        command.env("XDG_CACHE_HOME", self.scene.path("cache"));
        let host = Process::spawn("gwasp run", command).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        host
    }

    /// Puts `plugin` in place of the probe.
    pub(super) fn replace(&self, plugin: &[u8]) {
        let plugins = self.scene.path("plugins");
        let new = plugins.join(".new");
        std::fs::write(&new, plugin).unwrap();
        std::fs::rename(&new, plugins.join("effects-probe.wasm")).unwrap();
    }

    /// Removes all compiled code of [`Stage::host_with`].
    pub(super) fn empty_the_cache(&self) {
        std::fs::remove_dir_all(self.scene.path("cache")).unwrap();
    }

    /// Writes a file into the host's folder; returns its path.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.scene.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Changes the store behind the back of its programs.
    pub(super) fn sql(&self, statement: &str) {
        let store = rusqlite::Connection::open(self.state().join("store.sqlite")).unwrap();
        store.execute(statement, []).unwrap();
    }

    /// Has the store forget a blob.
    pub(super) fn forget_blob(&self, digest: &[u8; 32]) {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.sql(&format!("DELETE FROM blobs WHERE digest = x'{hex}'"));
    }

    /// The version that ran last, of each task in the order in which they were made.
    pub(super) fn versions(&self) -> Vec<[u8; 32]> {
        let reader = gwasp_store::Reader::open(&self.state()).unwrap();
        let tasks = reader.tasks(&gwasp_store::TaskFilter::default()).unwrap();
        let versions = tasks.iter().rev().filter_map(|task| task.version);
        versions.collect()
    }

    /// Starts a host that dies when one of its threads syncs a file for the `nth` time.
    ///
    /// The thread that opens the store comes first, with three syncs; then the one that writes
    /// to it, with one for each listener before there is a packet. There are more listeners than
    /// that, so that no sync of the packet and its task is left out.
    pub(super) fn host_that_dies_at_sync(&self, nth: u64) -> Process {
        let config = self.write_config();
        let mut text = std::fs::read_to_string(&config).unwrap();
        for number in 0..3 {
            text.push_str(&format!(
                "\n[listeners.idle{number}]\nkind = \"vtp\"\nbrokers = [\"{NOBODY}\"]\n"
            ));
        }
        std::fs::write(&config, text).unwrap();
        self.scene.dying_at_sync(&config, nth).unwrap()
    }

    /// Makes the store.
    pub(super) fn prime(&self) {
        let config = self.write_config();
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace(&self.replay.address.to_string(), NOBODY);
        std::fs::write(&config, text).unwrap();
        let host = self.scene.gwasp.run(&config).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        self.stop(host);
    }

    /// Has the host stop in order; returns what it logged meanwhile.
    #[track_caller]
    pub(super) fn stop(&self, mut host: Process) -> String {
        host.terminate().unwrap();
        let mut log = String::new();
        while let Some(line) = host.next_line(LIMIT) {
            log.push_str(&line.text);
            log.push('\n');
        }
        let status = host.wait(LIMIT).unwrap();
        assert!(status.success(), "{status}\n{log}");
        log
    }

    /// All tasks of the host; none while there is no store.
    pub(super) fn tasks(&self) -> Vec<Task> {
        let rows = self.scene.gwasp.rows(&["task", "list"], &self.state());
        let mut tasks: Vec<Task> = rows.unwrap_or_default().iter().map(Task::of).collect();
        for task in tasks.iter_mut().filter(|task| task.state == "SUCCESS") {
            task.result = self.result(&task.id);
        }
        tasks
    }

    /// What `gwasp task show` prints of a task.
    pub(super) fn shown(&self, id: &str) -> String {
        let mut command = self.scene.gwasp.command();
        command.args(["task", "show", id, "--state"]);
        Answer::of(command.arg(self.state())).unwrap().stdout
    }

    fn result(&self, id: &str) -> String {
        let mut command = self.scene.gwasp.command();
        command.args(["task", "show", id, "--json", "--state"]);
        let shown = Answer::of(command.arg(self.state())).unwrap();
        let row: Value = serde_json::from_str(&shown.stdout).unwrap();
        row["result"].as_str().unwrap_or_default().to_owned()
    }

    /// The task of this stage's notice, if it was made and has ended.
    fn ended_now(&self) -> Option<Task> {
        let packets = self.scene.gwasp.rows(&["packet", "list"], &self.state());
        let packets = packets.unwrap_or_default();
        let packet = packets.iter().find(|row| row["id"] == *self.ivorn)?;
        let number = packet["number"].as_i64();
        self.tasks().into_iter().find(|task| {
            let has_ended = matches!(task.state.as_str(), "SUCCESS" | "FAILURE");
            has_ended && task.packet == number
        })
    }

    /// Waits for the end of the task of this stage's notice.
    #[track_caller]
    pub(super) fn ended(&self) -> Task {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(task) = self.ended_now() {
                return task;
            }
            assert!(Instant::now() < end, "still open: {:?}", self.tasks());
            pause();
        }
    }

    /// Waits for the end of the task, or of the host; tells whether the host still runs.
    pub(super) fn ended_alive(&self, host: &mut Process) -> bool {
        let end = Instant::now() + LIMIT;
        loop {
            if host.exit_status().unwrap().is_some() {
                return false;
            }
            if self.ended_now().is_some() {
                return true;
            }
            assert!(Instant::now() < end, "{}", host.last_lines());
            pause();
        }
    }

    /// Waits until so many tasks succeeded.
    #[track_caller]
    pub(super) fn wait_tasks(&self, number: usize) {
        let end = Instant::now() + LIMIT;
        loop {
            let tasks = self.tasks();
            if tasks.len() == number && tasks.iter().all(|task| task.state == "SUCCESS") {
                return;
            }
            assert!(Instant::now() < end, "{tasks:?}");
            pause();
        }
    }

    /// A command on this stage's store.
    pub(super) fn gwasp(&self, args: &[&str]) -> Answer {
        let mut command = self.scene.gwasp.command();
        command.args(args).arg("--state").arg(self.state());
        Answer::of(&mut command).unwrap()
    }

    /// Decides about tasks.
    pub(super) fn task(&self, args: &[&str]) -> Answer {
        let mut all = vec!["task"];
        all.extend(args);
        self.gwasp(&all)
    }

    /// Waits until the task of this stage's notice is in `state`.
    pub(super) fn wait_state(&self, state: &str) {
        self.wait_all(state, 1);
    }

    /// Waits until there are `number` tasks, all of them in `state`.
    pub(super) fn wait_all(&self, state: &str, number: usize) {
        let until = Instant::now() + LIMIT;
        loop {
            let tasks = self.tasks();
            if tasks.len() == number && tasks.iter().all(|task| task.state == state) {
                return;
            }
            assert!(Instant::now() < until, "not all {state}: {tasks:?}");
            pause();
        }
    }

    /// Waits until the tasks, newest first, are as they should be.
    pub(super) fn wait_until(&self, are_so: impl Fn(&[Task]) -> bool) {
        let until = Instant::now() + LIMIT;
        while !are_so(&self.tasks()) {
            assert!(Instant::now() < until, "{:?}", self.tasks());
            pause();
        }
    }

    /// Waits until `number` tasks have ended, without a look at each.
    pub(super) fn wait_ended(&self, number: u64) {
        let until = Instant::now() + LIMIT;
        loop {
            let ledger = self.scene.gwasp.ledger(&self.state());
            let tasks = ledger.map(|ledger| ledger.tasks);
            if tasks.is_ok_and(|tasks| tasks.succeeded == number) {
                return;
            }
            assert!(Instant::now() < until, "{number} tasks do not end");
            pause();
        }
    }

    /// The result of the oldest task.
    pub(super) fn first_result(&self) -> String {
        let reader = gwasp_store::Reader::open(&self.state()).unwrap();
        let (_, oldest) = reader.tasks_after(0, 1).unwrap().remove(0);
        let result = reader.result(oldest.id).unwrap().unwrap();
        String::from_utf8(result.to_vec()).unwrap()
    }

    /// The number of the oldest packet.
    pub(super) fn first_packet(&self) -> String {
        let answer = self.gwasp(&["packet", "list", "--json"]);
        let oldest = answer.stdout.lines().last().unwrap();
        let row: Value = serde_json::from_str(oldest).unwrap();
        row["number"].to_string()
    }

    /// Takes up the task of this stage's notice.
    pub(super) fn resume(&self, args: &[&str]) -> Answer {
        let task = self.ended();
        let mut command = self.scene.gwasp.command();
        command.args(["task", "resume", &task.id, "--state"]);
        Answer::of(command.arg(self.state()).args(args)).unwrap()
    }

    /// The books balance, and so many tasks succeeded and failed.
    #[track_caller]
    pub(super) fn check_ledger(&self, succeeded: u64, failed: u64) {
        let tasks = self.scene.gwasp.ledger(&self.state()).unwrap().tasks;
        assert_eq!(
            (tasks.succeeded, tasks.failed, tasks.open),
            (succeeded, failed, 0)
        );
    }

    /// The books balance, and so many tasks are open.
    #[track_caller]
    pub(super) fn check_open(&self, open: u64) {
        let tasks = self.scene.gwasp.ledger(&self.state()).unwrap().tasks;
        assert_eq!(tasks.open, open);
    }

    /// No file of the host's state has these bytes.
    #[track_caller]
    pub(super) fn check_nowhere_in_the_store(&self, text: &str) {
        let mut files = 0;
        for entry in walk(&self.state()) {
            let bytes = std::fs::read(&entry).unwrap();
            let found = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!found, "{text} is in {}", entry.display());
            files += 1;
        }
        assert!(files > 0);
    }
}

impl Task {
    fn of(row: &Value) -> Self {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Self {
            id: text("id"),
            state: text("state"),
            attempts: row["attempts"].as_u64().unwrap_or_default(),
            kind: text("kind"),
            result: String::new(),
            packet: row["packet"].as_i64(),
        }
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn write_secret(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, "swordfish\n").unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Between two looks; the end of a wait does not depend on it.
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
