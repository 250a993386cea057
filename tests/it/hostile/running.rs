//! Handlers that misbehave while they run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gwasp_store::{Reader, TaskFilter};
use gwasp_tests::gwasp::{ANY_PORT, Answer, START_LIMIT, is_ready};
use gwasp_tests::process::{Line, Process};
use serde_json::{Value, json};

use super::LIMIT;
use super::guests::{NOTICE, describing, manifest, module};
use crate::harness::{Scene, number, record, test_plugin};

/// More than any of the misdeeds may make of the host, in KiB; each could make gigabytes.
const MEMORY_KIB: u64 = 700 << 10;

/// The honest handlers of the probe, one in the queue of the misdeeds and one in another.
const HONEST: u16 = 60_104;

/// A host with hostile plugins.
struct Stage {
    scene: Scene,
    host: Process,
    pid: u64,
}

impl Stage {
    /// Starts a host that has taken `notices`, with `plugins` and so many slots in the queue
    /// `hostile`.
    fn new(plugins: &[(&str, Vec<u8>)], slots: u32, notices: &[u16]) -> Self {
        let scene = Scene::new().unwrap();
        let directory = scene.path("plugins");
        std::fs::create_dir(&directory).unwrap();
        for (name, bytes) in plugins {
            std::fs::write(directory.join(format!("{name}.wasm")), bytes).unwrap();
        }
        let notices = write_notices(&scene, notices);
        let args = ["--interval", "1ms", "--until-acked"];
        let mut replay = scene.gwasp.replay(&notices, ANY_PORT, &args).unwrap();
        let mut config = format!(
            "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{}\"]\n\
             [queues.hostile]\nconcurrency = {slots}\n\
             [queues.neighbour]\nconcurrency = 1\n\
             [plugins]\ndirectory = {directory:?}\n\
             [store]\ndirectory = {:?}\n",
            replay.address,
            scene.path("state")
        );
        for (name, _) in plugins {
            writeln!(config, "[grants.{name}]\nkv = true\nblobs = true").unwrap();
        }
        let file = scene.path("gwasp.toml");
        std::fs::write(&file, config).unwrap();
        let host = scene.gwasp.run(&file).unwrap();
        let ready = host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        let pid = ready.field("pid").as_u64().unwrap();
        let sent = replay.process.wait(LIMIT).unwrap();
        assert!(sent.success(), "{}", replay.process.last_lines());
        Self { scene, host, pid }
    }

    /// Waits until no task is open, and gives them all.
    fn settled(&self) -> Vec<Ended> {
        self.scene.settled_ledger(LIMIT).unwrap();
        self.tasks()
    }

    fn tasks(&self) -> Vec<Ended> {
        let state = self.scene.path("state");
        let mut command = self.scene.gwasp.command();
        command.args(["task", "list", "--json", "--limit", "1000000", "--state"]);
        let answer = Answer::of(command.arg(state)).unwrap();
        let rows = answer.stdout.lines().map(Ended::read);
        rows.collect()
    }

    /// What a task left.
    fn result(&self, task: &Ended) -> String {
        let state = self.scene.path("state");
        let mut command = self.scene.gwasp.command();
        command.args(["task", "show", &task.id, "--state"]);
        let answer = Answer::of(command.arg(state)).unwrap();
        let result = answer
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("result    "));
        result.unwrap_or_default().to_owned()
    }

    fn results(&self, handler: &str) -> Vec<String> {
        let tasks = self.settled();
        let of_handler = tasks.iter().filter(|task| task.handler == handler);
        let mut results: Vec<String> = of_handler.map(|task| self.result(task)).collect();
        results.sort();
        results
    }

    /// A line of the host's entry in `/proc`, in KiB.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Ends the host, which must still be well.
    #[track_caller]
    fn end(mut self) -> Process {
        let most = self.memory("VmHWM");
        assert!(most < MEMORY_KIB, "the host had {most} KiB");
        self.host.terminate().unwrap();
        let status = self.host.wait(LIMIT).unwrap();
        assert!(status.success(), "{}", self.host.last_lines());
        self.host
    }
}

/// How a task stands.
#[derive(Debug)]
struct Ended {
    id: String,
    handler: String,
    state: String,
    kind: String,
    error: String,
}

impl Ended {
    fn read(line: &str) -> Self {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Self {
            id: text("id"),
            handler: text("handler"),
            state: text("state"),
            kind: text("kind"),
            error: text("error"),
        }
    }
}

/// Writes a notice of each type, in this order.
fn write_notices(scene: &Scene, types: &[u16]) -> PathBuf {
    let dir = scene.path("notices");
    std::fs::create_dir(&dir).unwrap();
    for (number, notice_type) in types.iter().enumerate() {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <voe:VOEvent xmlns:voe=\"http://www.ivoa.net/xml/VOEvent/v2.0\" version=\"2.0\" \
             role=\"observation\" ivorn=\"ivo://gwasp.test/hostile#{number}\">\
             <Who><AuthorIVORN>ivo://gwasp.test</AuthorIVORN>\
             <Date>2026-01-20T08:00:04</Date></Who>\
             <What><Param name=\"Packet_Type\" value=\"{notice_type}\"/></What></voe:VOEvent>"
        );
        std::fs::write(dir.join(format!("{number:05}.xml")), text).unwrap();
    }
    dir
}

/// The plugin whose handlers do wrong.
fn probe() -> Vec<u8> {
    std::fs::read(test_plugin("hostile-probe")).unwrap()
}

/// Handlers of the probe: what makes each run, how it ends, and what its failure says.
const MISDEEDS: [(u16, &str, &str, &str); 28] = [
    (60_001, "spin", "timeout", "ran for 1s"),
    (60_002, "storm", "limit", "10000 calls of host functions"),
    (60_003, "grow", "limit", "its queue gives 67108864"),
    (60_004, "recurse", "trap", "wasm trap"),
    (60_005, "panic", "trap", "no PSD\\u{1b}[31m\\nforged line"),
    (60_006, "unreachable", "trap", "unreachable"),
    (
        60_007,
        "result_beyond_passing",
        "limit",
        "8388608 bytes in one call",
    ),
    (60_008, "result_beyond_keeping", "limit", "put it in a blob"),
    (
        60_009,
        "value_beyond_passing",
        "limit",
        "8388608 bytes in one call",
    ),
    (60_010, "value_beyond_keeping", "permanent", "use a blob"),
    (
        60_011,
        "line_beyond_passing",
        "limit",
        "8388608 bytes in one call",
    ),
    (
        60_012,
        "arguments_beyond_passing",
        "limit",
        "8388608 bytes in one call",
    ),
    (
        60_013,
        "arguments_beyond_keeping",
        "permanent",
        "pass a blob",
    ),
    (60_014, "log_flood", "", ""),
    (60_015, "value_flood", "limit", "16777216 bytes of values"),
    (
        60_016,
        "argument_flood",
        "limit",
        "16777216 bytes of values",
    ),
    (60_017, "blob_flood", "permanent", "67108864 bytes of blobs"),
    (60_018, "handle_flood", "permanent", "1000 blobs at once"),
    (60_020, "unknown_task", "error", "is `probe.bomb` meant?"),
    (
        60_021,
        "unknown_queue",
        "error",
        "no worker serves the queue",
    ),
    (60_022, "huge_key", "permanent", "1 to 512 bytes"),
    (60_023, "greedy_random", "limit", "bytes of answers"),
    (60_024, "huge_task_name", "error", "refused"),
    (
        60_025,
        "forged_failure",
        "error",
        "\\u{1b}[2Jno position\\r",
    ),
    (
        60_026,
        "progress_flood",
        "limit",
        "10000 calls of host functions",
    ),
    (60_027, "forged_result", "", ""),
    (
        60_031,
        "blob_churn",
        "limit",
        "134217728 bytes of new blobs",
    ),
    (60_030, "open_flood", "permanent", "67108864 bytes of blobs"),
];

#[test]
fn each_misdeed_ends_by_its_name_and_nobody_else_notices() {
    let mut notices: Vec<u16> = MISDEEDS.iter().map(|(notice, ..)| *notice).collect();
    notices.push(HONEST);
    let stage = Stage::new(&[("probe", probe())], 2, &notices);
    let tasks: BTreeMap<String, Ended> = stage
        .settled()
        .into_iter()
        .map(|task| (task.handler.clone(), task))
        .collect();
    for (_, handler, kind, says) in MISDEEDS {
        let task = &tasks[&format!("probe.{handler}")];
        assert_eq!(task.kind, kind, "{task:?}");
        assert!(task.error.contains(says), "no {says:?} in {task:?}");
        assert!(!task.error.contains(char::is_control), "{:?}", task.error);
    }
    for handler in ["probe.honest", "probe.neighbour"] {
        assert_eq!(tasks[handler].state, "SUCCESS", "{:?}", tasks[handler]);
    }
    check_log(&stage.end());
}

/// Of a flood of lines, 1000 are kept, each as one line that drives no terminal.
#[track_caller]
fn check_log(ended: &Process) {
    let mut kept = 0;
    while let Some(line) = ended.next_line(LIMIT) {
        if line.target() == "gwasp::plugin" && line.field("handler") == "log_flood" {
            assert!(!line.message().contains(char::is_control), "{}", line.text);
            kept += u32::from(line.message().contains("forged"));
        }
    }
    assert_eq!(kept, 1_000);
}

#[test]
fn guests_that_no_compiler_makes_end_by_their_names() {
    let guests = [
        ("result_is_huge", "limit", "8388608 bytes in one call"),
        ("random_is_greedy", "limit", "65536 random bytes at once"),
        ("blob_is_forged", "trap", "unknown handle index"),
    ];
    let plugins: Vec<(&str, Vec<u8>)> = guests
        .iter()
        .map(|(name, ..)| (*name, module(name)))
        .chain([("honest", module("honest"))])
        .collect();
    let stage = Stage::new(&plugins, 1, &[NOTICE]);
    let tasks = stage.settled();
    let of = |plugin: &str| {
        let handler = format!("{plugin}.run");
        tasks.iter().find(|task| task.handler == handler).unwrap()
    };
    for (name, kind, says) in guests {
        assert_eq!(of(name).kind, kind, "{:?}", of(name));
        assert!(of(name).error.contains(says), "{:?}", of(name));
    }
    assert_eq!(of("honest").state, "SUCCESS");
    stage.end();
}

#[test]
fn a_fresh_sandbox_has_nothing_of_an_earlier_one() {
    let plugins = [("marks", module("leaves_marks")), ("probe", probe())];
    let notices: Vec<u16> = (0..20).flat_map(|_| [NOTICE, 60_101]).collect();
    let stage = Stage::new(&plugins, 1, &notices);
    assert_eq!(stage.results("marks.run"), ["0"; 20]);
    assert_eq!(stage.results("probe.count_runs"), ["0"; 20]);
    stage.end();
}

#[test]
fn two_plugins_have_no_values_in_common() {
    let plugins = [("one", probe()), ("other", probe())];
    let stage = Stage::new(&plugins, 1, &[60_103; 3]);
    assert_eq!(stage.results("one.count_in_values"), ["0", "1", "2"]);
    assert_eq!(stage.results("other.count_in_values"), ["0", "1", "2"]);
    stage.end();
}

#[test]
fn tasks_beyond_the_slots_wait_and_none_fails() {
    let stage = Stage::new(&[("probe", probe())], 2, &[HONEST; 200]);
    let tasks = stage.settled();
    assert_eq!(tasks.len(), 400);
    let unwell: Vec<&Ended> = tasks
        .iter()
        .filter(|task| task.state != "SUCCESS")
        .collect();
    assert!(unwell.is_empty(), "{unwell:?}");
    stage.end();
}

#[test]
fn a_task_that_makes_two_of_its_kind_starves_no_neighbour() {
    let notices = [60_019, HONEST, HONEST, HONEST];
    let stage = Stage::new(&[("probe", probe())], 2, &notices);
    let honest = |line: &Line| {
        let handler = line.field("handler").as_str().unwrap_or_default();
        line.message() == "task succeeded" && matches!(handler, "probe.honest" | "probe.neighbour")
    };
    for _ in 0..6 {
        stage
            .host
            .wait_for("an honest task", LIMIT, honest)
            .unwrap();
    }
    stage.end();
}

#[test]
fn a_packet_of_too_many_descendants_has_the_last_set_aside_and_its_neighbours_run() {
    let stage = Stage::new(&[("probe", probe())], 2, &[60_090, HONEST]);
    let failed = |line: &Line| line.message() == "task set aside";
    let line = stage.host.wait_for("a refusal", LIMIT, failed).unwrap();
    assert_eq!(line.field("handler"), "probe.spread", "{}", line.text);
    assert_eq!(line.field("kind"), "limit", "{}", line.text);
    let error = line.field("error").as_str().unwrap().to_owned();
    assert!(error.contains("descendants"), "{error}");
    assert!(
        error.contains("11400 exceeds the limit of 10000"),
        "{error}"
    );
    let honest = |line: &Line| line.message() == "task succeeded";
    let tasks = loop {
        let tasks = stage.tasks();
        let well = |task: &&Ended| task.state == "SUCCESS";
        // The handler, five parts and two neighbours.
        if tasks.iter().filter(well).count() == 8 {
            break tasks;
        }
        stage.host.wait_for("a success", LIMIT, honest).unwrap();
    };
    let of = |name: &str, state: &str| {
        let of = |task: &&Ended| task.handler == name && task.state == state;
        tasks.iter().filter(of).count()
    };
    assert_eq!(of("probe.spread", "SUCCESS"), 5);
    assert_eq!(of("probe.spread", "FAILURE"), 1);
    assert_eq!(of("probe.honest_task", "PENDING"), 5 * 1_900);
    assert_eq!(of("probe.honest", "SUCCESS"), 1);
    assert_eq!(of("probe.neighbour", "SUCCESS"), 1);
    stage.end();
}

#[test]
fn runs_that_are_stopped_leave_no_memory_and_no_slot_behind() {
    let stops = usize::try_from(number("GWASP_STOPS", 200)).unwrap();
    let mut notices = vec![60_028; stops];
    notices.push(HONEST);
    let stage = Stage::new(&[("probe", probe())], 2, &notices);
    let failed = |line: &Line| line.message() == "task set aside";
    let mut after_some = 0;
    for number in 0..stops {
        let line = stage.host.wait_for("a timeout", LIMIT, failed).unwrap();
        assert_eq!(line.field("kind"), "timeout", "{}", line.text);
        if number == stops / 2 {
            after_some = stage.memory("VmRSS");
        }
    }
    let tasks = stage.settled();
    let honest = tasks.iter().filter(|task| task.state == "SUCCESS").count();
    assert_eq!((tasks.len(), honest), (stops + 2, 2));
    let grown = stage.memory("VmRSS").saturating_sub(after_some);
    assert!(
        grown < 16 << 10,
        "{grown} KiB more after {} more stops",
        stops / 2
    );
    stage.end();
}

#[test]
fn a_run_is_revoked_at_its_tasks_deadline() {
    let stage = Stage::new(&[("probe", probe())], 1, &[60_032]);
    let revoked = |line: &Line| line.message() == "task revoked";
    let line = stage.host.wait_for("the deadline", LIMIT, revoked).unwrap();
    assert_eq!(line.field("state"), "REVOKED", "{}", line.text);
    assert_eq!(line.field("kind"), "expired", "{}", line.text);
    assert!(line.text.contains("while it ran"), "{}", line.text);
    assert_eq!(stage.settled().len(), 1);
    stage.end();
}

/// Misdeeds that are done over and over: what makes each run, its handler, how it ends.
const REPEATED: [(u16, &str, &str); 6] = [
    (60_028, "probe.spin_briefly", "timeout"),
    (60_003, "probe.grow", "limit"),
    (60_004, "probe.recurse", "trap"),
    (60_006, "probe.unreachable", "trap"),
    (60_007, "probe.result_beyond_passing", "limit"),
    (60_002, "probe.storm", "limit"),
];

#[test]
fn misdeeds_over_and_over_end_in_bounds_and_the_next_task_succeeds() {
    let times = number("GWASP_MISDEEDS", 5);
    let round = REPEATED.iter().flat_map(|(notice, ..)| [*notice, HONEST]);
    let notices: Vec<u16> = (0..times).flat_map(|_| round.clone()).collect();
    let stage = Stage::new(&[("probe", probe())], 2, &notices);
    let tasks = stage.settled();
    let honest = tasks.iter().filter(|task| task.state == "SUCCESS").count();
    assert_eq!(honest, notices.len(), "an honest task on each other notice");
    for (_, handler, kind) in REPEATED {
        let of_handler = tasks.iter().filter(|task| task.handler == handler);
        let kinds: Vec<&str> = of_handler.map(|task| task.kind.as_str()).collect();
        assert_eq!(kinds, vec![kind; usize::try_from(times).unwrap()]);
    }
    let most = stage.memory("VmHWM") >> 10;
    let longest = longest_runs(&stage.scene.path("state"));
    record(&json!({
                "faults": times * 6,
        "packets": notices.len(),
        "tasks": tasks.len(),
        "lost": notices.len() - honest,
        "doubled": 0,
        "worst": format!("longest runs: {longest}; the host had {most} MB at most"),
    }))
    .unwrap();
    stage.end();
}

/// The longest run of each misdeed.
fn longest_runs(state: &Path) -> String {
    let filter = TaskFilter {
        limit: Some(u32::MAX),
        ..TaskFilter::default()
    };
    let tasks = Reader::open(state).unwrap().tasks(&filter).unwrap();
    let longest = |handler: &str| {
        let of_handler = tasks.iter().filter(|task| handler.ends_with(&task.handler));
        let runs = of_handler.filter_map(|task| Some(task.ended? - task.started?));
        runs.max().unwrap_or_default() / 1_000_000
    };
    let of_misdeed = |(_, handler, _): &(u16, &str, &str)| {
        let name = handler.trim_start_matches("probe.");
        format!("{name} {} ms", longest(handler))
    };
    let runs: Vec<String> = REPEATED.iter().map(of_misdeed).collect();
    runs.join(", ")
}

#[test]
fn a_plugin_that_names_an_unknown_queue_keeps_no_other_from_running() {
    let manifest = manifest()
        .replace("]]", "],[\"queue\",\"nowhere\"]]")
        .replace(
            &format!("{{\"notice\":{NOTICE}}}"),
            &format!("{{\"notice\":{NOTICE}}},{{\"notice\":{HONEST}}}"),
        );
    let plugins = [
        ("astray", describing("honest", &manifest)),
        ("honest", module("honest")),
    ];
    let stage = Stage::new(&plugins, 1, &[NOTICE, HONEST]);
    let tasks = stage.settled();
    let ended: Vec<(&str, &str)> = tasks
        .iter()
        .map(|task| (task.handler.as_str(), task.state.as_str()))
        .collect();
    assert_eq!(ended, [("honest.run", "SUCCESS")]);
    let mut ledger = stage.scene.gwasp.command();
    ledger
        .args(["ledger", "--state"])
        .arg(stage.scene.path("state"));
    let said = Answer::of(&mut ledger).unwrap().stdout;
    assert!(said.contains("unmatched: 1 plugin-refused"), "{said}");
    stage.end();
}
