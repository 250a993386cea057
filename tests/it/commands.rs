//! What people see of a host: the commands that look at it, and what is wrong told in words.

use std::fs;
use std::path::{Path, PathBuf};

use gwasp_tests::gwasp::{ANY_PORT, Answer, START_LIMIT, is_ready};
use gwasp_tests::process::Process;
use std::time::Duration;

use crate::harness::{Scene, root};

/// A test that takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder with plugins and configuration.
pub(crate) struct Site {
    pub(crate) scene: Scene,
}

impl Site {
    fn new(config: &str) -> Self {
        let scene = Scene::new().unwrap();
        fs::create_dir(scene.path("plugins")).unwrap();
        let text = format!(
            "{config}\n[plugins]\ndirectory = {:?}\n[store]\ndirectory = {:?}\n",
            scene.path("plugins"),
            scene.path("state")
        );
        fs::write(scene.path("gwasp.toml"), text).unwrap();
        Self { scene }
    }

    /// Puts a plugin that tests build into the directory.
    pub(crate) fn with_plugin(self, variable: &str, name: &str) -> Self {
        let built = std::env::var_os(variable);
        let built =
            built.unwrap_or_else(|| panic!("{variable} is not set; use `cargo xtask test`"));
        let file = format!("{name}.wasm");
        let to = self.scene.path("plugins").join(&file);
        fs::copy(Path::new(&built).join(file), to).unwrap();
        self
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.scene.path("gwasp.toml")
    }

    /// Runs a command on it, with a terminal of 80 columns.
    pub(crate) fn gwasp(&self, args: &[&str]) -> Answer {
        let mut command = self.scene.gwasp.command();
        command.env("COLUMNS", "80").args(args);
        Answer::of(command.arg("--config").arg(self.config())).unwrap()
    }

    /// Plays the example notices to a host; it has done all its tasks and goes on running.
    fn played() -> (Self, Process) {
        let notices = root().join("examples/notices");
        Self::playing("", &notices, |site| {
            site.with_plugin("GWASP_PLUGINS", "fermi-log")
                .with_plugin("GWASP_TEST_PLUGINS", "effects-probe")
        })
    }

    /// Plays `notices` to a host with this configuration and what `furnished` puts in; it has
    /// done all its tasks and goes on running.
    pub(crate) fn playing(
        config: &str,
        notices: &Path,
        furnished: impl FnOnce(Self) -> Self,
    ) -> (Self, Process) {
        let scene = Scene::new().unwrap();
        let args = ["--interval", "1ms", "--until-acked"];
        let mut replay = scene.gwasp.replay(notices, ANY_PORT, &args).unwrap();
        drop(scene);
        let listener = format!(
            "{config}\n[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{}\"]\n",
            replay.address
        );
        let site = furnished(Self::new(&listener));
        let host = site.scene.gwasp.run(&site.config()).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        assert!(replay.process.wait(LIMIT).unwrap().success());
        site.scene.settled_ledger(LIMIT).unwrap();
        (site, host)
    }

    /// The number and the text of the first row of a list that has `word`.
    fn row(&self, list: &[&str], word: &str) -> String {
        let answer = self.gwasp(list);
        let row = answer.stdout.lines().find(|line| line.contains(word));
        let row = row.unwrap_or_else(|| panic!("no {word} in {answer:?}"));
        row.split_whitespace().next().unwrap().to_owned()
    }
}

#[track_caller]
pub(crate) fn check_says(answer: &Answer, code: i32, parts: &[&str]) {
    let all = format!("{}{}", answer.stdout, answer.stderr);
    assert_eq!(answer.status.code(), Some(code), "{all}");
    for part in parts {
        assert_eq!(all.matches(part).count(), 1, "not once {part:?} in\n{all}");
    }
}

#[test]
fn a_host_can_be_looked_at_while_it_runs() {
    let (site, mut host) = Site::played();
    let ledger = site.gwasp(&["ledger", "--verify"]);
    check_says(&ledger, 0, &["verified: ", "no-handler: "]);

    let packet = site.row(&["packet", "list"], "FERMI_GBM_ALERT");
    let shown = site.gwasp(&["packet", "show", &packet]);
    check_says(&shown, 0, &["FAILURE  effects-probe.write"]);

    let tasks = site.gwasp(&["task", "list"]);
    let widest = tasks.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{}", tasks.stdout);

    let task = site.row(&["task", "list", "--dead"], "effects-probe.write");
    let shown = site.gwasp(&["task", "show", &task]);
    check_says(
        &shown,
        0,
        &[
            "\n        [grants.effects-probe]\n",
            "kv = true",
            "gwasp explain E0601: ",
        ],
    );
    let page = Answer::of(site.scene.gwasp.command().args(["explain", "E0601"])).unwrap();
    check_says(&page, 0, &["# E0601: ", "## What to do"]);

    let dead = ["task", "list", "--dead", "--handler", "effects-probe.write"];
    check_says(
        &site.gwasp(&dead),
        0,
        &["        [grants.effects-probe]\n", "        kv = true\n"],
    );
    let others = ["task", "list", "--json", "--error", "no such text"];
    assert_eq!(site.gwasp(&others).stdout, "");

    check_says(&site.gwasp(&["plugin", "disable", "fermi-log"]), 0, &[]);
    let to = [
        "packet",
        "redispatch",
        &packet,
        "--to",
        "fermi-log.log_position",
    ];
    check_says(&site.gwasp(&to), 1, &["`gwasp plugin enable fermi-log`"]);

    let second = site.gwasp(&["run"]);
    check_says(
        &second,
        75,
        &[&format!("process {}", pid(&host)), "since 20"],
    );

    host.terminate().unwrap();
    assert!(host.wait(LIMIT).unwrap().success(), "{}", host.last_lines());
}

#[test]
fn a_tap_shows_what_becomes_of_packets_and_why_some_are_held_back() {
    let (site, _host) = Site::played();
    let all = site.gwasp(&["tap", "--since", "1h", "--no-follow"]);
    assert!(all.stdout.lines().count() > 15, "{all:?}");
    assert!(all.stdout.lines().all(|line| line.chars().count() <= 80));
    assert!(!all.stdout.contains('\u{1b}'));

    let some = [
        "tap",
        "fermi_pointdir",
        "*.flood",
        "--since",
        "1h",
        "--no-follow",
    ];
    check_says(&site.gwasp(&some), 0, &["no-handler (role", "succeeded"]);
    let json = site.gwasp(&["tap", "no-such-*", "--since", "1h", "--no-follow", "--json"]);
    check_says(&json, 0, &[]);
    assert_eq!(json.stdout, "");
}

fn pid(host: &Process) -> u32 {
    host.id()
}

#[test]
fn who_reads_no_further_ends_a_list_in_silence() {
    let (site, host) = Site::played();
    drop(host);
    for list in [
        &["ledger"][..],
        &["task", "list"],
        &["packet", "list", "--json"],
    ] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut command = site.scene.gwasp.command();
        command.args(list).arg("--config").arg(site.config());
        let child = command.stdout(write).stderr(std::process::Stdio::piped());
        let output = child.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && stderr.is_empty(),
            "{list:?}: {stderr}"
        );
    }
}

#[test]
fn a_check_says_what_would_not_start_or_not_work() {
    let site = Site::new(
        "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"a:1\"]\n\
         [listeners.gcn.tls]\nca_file = \"/none/ca.pem\"\n\
         [services.s]\norigin = \"https://a.org\"\n\
         [secrets.token]\nfile = \"/none/token\"\nservices = [\"s\"]\n\
         [grants.fermi-lgo]\nkv = true\n",
    );
    check_says(
        &site.gwasp(&["check"]),
        78,
        &[
            "listener `gcn` cannot start",
            "/none/ca.pem",
            "secret `token`: ",
            "/none/token",
            "[grants.fermi-lgo]",
            "plugin    none in",
            "store     none yet",
        ],
    );
}

#[test]
fn a_check_names_each_unknown_queue_once() {
    let site = Site::new("[queues.hostil]\n").with_plugin("GWASP_TEST_PLUGINS", "hostile-probe");
    let said = [
        "(is `hostil` meant?); add [queues.hostile]",
        "no queue `neighbour`",
    ];
    check_says(&site.gwasp(&["check"]), 1, &said);
    let site = Site::new("").with_plugin("GWASP_TEST_PLUGINS", "hostile-probe");
    check_says(
        &site.gwasp(&["check"]),
        0,
        &["queue `hostile` is made with the default pool"],
    );
}

#[test]
fn a_check_says_what_a_plugin_calls_and_may_not() {
    let site = Site::new("[grants.localise]\nblobs = true\n")
        .with_plugin("GWASP_PLUGINS", "localize")
        .with_plugin("GWASP_PLUGINS", "fermi-log")
        .with_plugin("GWASP_TEST_PLUGINS", "faults-probe");
    let said = [
        "[grants.localise]: no such plugin loads",
        "(is `localize` meant?)",
        "\n    [grants.localize]\n    kv = true\n    blobs = true\n    kernels = true\n    \
         services = [\"NAME\"]\n",
        // Its requests know of blobs; it calls for none.
        "\n    [grants.faults-probe]\n    kv = true\n    services = [\"NAME\"]\n",
        "have in the configuration:\n\n    [grants.l",
        "have in the configuration:\n\n    [grants.f",
    ];
    check_says(&site.gwasp(&["check"]), 0, &said);
}

#[test]
fn a_check_finds_a_plugin_that_was_removed() {
    let (site, host) = Site::played();
    drop(host);
    fs::remove_file(site.scene.path("plugins").join("fermi-log.wasm")).unwrap();
    let said = ["plugin `fermi-log` is in the store and does not load: 0 open tasks"];
    check_says(&site.gwasp(&["check"]), 1, &said);
}

#[test]
fn a_file_that_is_no_plugin_is_refused_without_its_bytes() {
    let site = Site::new("");
    fs::write(site.scene.path("plugins").join("page.wasm"), "<html>404").unwrap();
    let answer = site.gwasp(&["check"]);
    check_says(
        &answer,
        1,
        &["page.wasm is refused", "no complete WebAssembly"],
    );
    assert!(!answer.stderr.contains("0x"), "{}", answer.stderr);
}

#[test]
fn a_mistake_in_the_configuration_is_told_once_and_in_its_place() {
    let site = Site::new("[queues.general]\nconcurency = 3\n");
    for command in ["check", "run", "ledger"] {
        let answer = site.gwasp(&[command]);
        let code = if command == "ledger" { 1 } else { 78 };
        check_says(&answer, code, &["gwasp.toml:2:1", "`concurrency` meant?"]);
    }
}

#[test]
fn a_host_starts_although_a_plugin_that_it_knows_has_lost_its_queue() {
    let site = Site::new("[queues.hostile]\n[queues.neighbour]\n")
        .with_plugin("GWASP_TEST_PLUGINS", "hostile-probe");
    for queues in ["[queues.hostile]\n[queues.neighbour]\n", "[queues.other]\n"] {
        let text = fs::read_to_string(site.config()).unwrap();
        let (_, rest) = text.split_once("\n[plugins]").unwrap();
        fs::write(site.config(), format!("{queues}\n[plugins]{rest}")).unwrap();
        let mut host = site.scene.gwasp.run(&site.config()).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        host.terminate().unwrap();
        assert!(host.wait(LIMIT).unwrap().success(), "{}", host.last_lines());
    }
    let check = site.gwasp(&["check"]);
    let waits = "plugin `hostile-probe` is in the store and does not load";
    assert!(!check.stderr.contains(waits), "{}", check.stderr);
    check_says(
        &check,
        1,
        &["`hostile-probe` would be refused: there is no queue `hostile`"],
    );
}

#[test]
fn a_host_does_not_take_packets_without_the_plugin_directory_that_it_was_told() {
    let site = Site::new("");
    fs::remove_dir(site.scene.path("plugins")).unwrap();
    let answer = site.gwasp(&["run"]);
    assert_eq!(answer.status.code(), Some(78), "{answer:?}");
    assert!(
        answer.stderr.contains("make it, or correct its name"),
        "{answer:?}"
    );
}
