//! `gwasp dev`: a plugin's source under an editor.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gwasp_tests::gwasp::{Answer, Gwasp};
use gwasp_tests::process::Process;
use tempfile::TempDir;

use crate::commands::Site;
use crate::harness::root;

/// What takes longer on any machine hangs: the first build makes the standard library, and
/// builds wait for each other.
const LIMIT: Duration = Duration::from_secs(120);

/// A plugin as `gwasp new` makes it.
struct Project {
    dir: TempDir,
    name: &'static str,
}

impl Project {
    fn new(name: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gwasp = Gwasp::from_environment().unwrap();
        let mut command = gwasp.command();
        command.current_dir(dir.path()).args(["new", name]);
        let answer = Answer::of(&mut command).unwrap();
        assert!(answer.status.success(), "{answer:?}");
        let project = Self { dir, name };
        // The versions that are on this machine anyway.
        fs::copy(root().join("Cargo.lock"), project.path("Cargo.lock")).unwrap();
        project
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(self.name).join(file)
    }

    /// Replaces a part of the source as an editor does: by a file that is renamed.
    fn edit(&self, part: &str, by: &str) {
        let source = fs::read_to_string(self.path("src/lib.rs")).unwrap();
        assert!(source.contains(part), "{source}");
        let new = self.path("src/.lib.rs.new");
        fs::write(&new, source.replacen(part, by, 1)).unwrap();
        fs::rename(new, self.path("src/lib.rs")).unwrap();
    }

    /// Starts `gwasp dev` in the plugin's folder. Its builds share the target directory of the
    /// example plugins.
    fn dev(&self, args: &[&str]) -> Dev {
        let gwasp = Gwasp::from_environment().unwrap();
        let mut command = gwasp.command();
        command.current_dir(self.path(".")).arg("dev").args(args);
        command.env("CARGO_TARGET_DIR", gwasp.plugins().parent().unwrap());
        Dev(Process::spawn("gwasp dev", command).unwrap())
    }
}

struct Dev(Process);

impl Dev {
    /// Waits for a line that contains this.
    #[track_caller]
    fn says(&self, part: &str) -> String {
        let line = self
            .0
            .wait_for(part, LIMIT, |line| line.text.contains(part));
        line.unwrap().text
    }

    /// Ctrl-C ends it, and it is content.
    #[track_caller]
    fn interrupt(mut self) {
        self.0.interrupt().unwrap();
        let status = self.0.wait(Duration::from_secs(60)).unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.0.last_lines());
    }
}

/// Waits until a file has other text than `before`; answers it.
fn other_text(file: &Path, before: &str) -> String {
    let end = Instant::now() + LIMIT;
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if !text.is_empty() && text != before {
            return text;
        }
        assert!(Instant::now() < end, "{} stays {before:?}", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_handler_that_fails_is_mended_while_its_source_is_watched() {
    let project = Project::new("edit-save-see");
    project.edit(
        "    let position",
        "    bail!(\"clouds\");\n    let position",
    );
    let notice = root().join("examples/notices/04_fermi_gbm_gnd_pos.xml");
    let dev = project.dev(&["--packet", notice.to_str().unwrap()]);
    dev.says("round 1: start");
    dev.says(", run ");
    dev.says("  FAILURE   edit-save-see.log_position");
    dev.says("error   error: clouds");

    project.edit("bail!(\"clouds\");", "let sky = ;");
    dev.says("round 2: src/lib.rs");
    dev.says("error: expected expression, found `;`");
    dev.says("does not compile; waiting for the next save");

    project.edit("let sky = ;", "info!(\"looking\");");
    dev.says("round 3: src/lib.rs");
    dev.says("- FAILURE   edit-save-see.log_position");
    dev.says("-   error   error: clouds");
    dev.says("+ SUCCESS   edit-save-see.log_position");
    dev.says("+   log     looking");
    dev.interrupt();
}

#[test]
fn the_tests_of_a_plugin_are_what_it_is_run_on_where_nobody_names_a_packet() {
    let project = Project::new("no-packet-named");
    let dev = project.dev(&[]);
    assert!(dev.says("SUCCESS").ends_with("tests/fermi.xml"));
    // An edit of the notice is a change as well.
    let file = project.path("tests/fermi.xml");
    let notice = fs::read_to_string(&file).unwrap();
    fs::write(&file, notice.replace("172.01", "12.01")).unwrap();
    dev.says("round 2: tests/fermi.xml");
    dev.says("+   log     Fermi GBM at ra 12.0");
    dev.interrupt();
}

#[test]
fn a_build_is_given_up_with_all_that_it_started_when_it_is_of_no_use_any_more() {
    let project = Project::new("given-up");
    let script = "fn main() {\n    std::fs::write(\".started\", \
                  std::process::id().to_string()).unwrap();\n    \
                  std::thread::sleep(std::time::Duration::from_secs(3_600));\n}\n";
    fs::write(project.path("build.rs"), script).unwrap();
    let dev = project.dev(&[]);
    let first = other_text(&project.path(".started"), "");
    project.edit("Fermi GBM at", "GBM at");
    dev.says("round 2: src/lib.rs");
    let second = other_text(&project.path(".started"), &first);
    assert_ended(&first);
    dev.interrupt();
    assert_ended(&second);
}

/// The process with this id is no more.
#[track_caller]
fn assert_ended(pid: &str) {
    let end = Instant::now() + LIMIT;
    // Who is dead and not buried yet has no command line.
    while fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(Instant::now() < end, "process {pid} runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_host_takes_each_build_over_and_its_last_packet_is_run() {
    let notices = root().join("examples/notices");
    let (site, _host) = Site::playing("", &notices, |site| site);
    let project = Project::new("taken-over");
    let config = site.config();
    let dev = project.dev(&["--config", config.to_str().unwrap(), "--reload"]);
    let heading = dev.says("SUCCESS   taken-over.log_position");
    assert!(heading.contains("  packet "), "{heading}");
    let first = dev.says("host: taken-over: version ");
    project.edit("Fermi GBM at", "GBM at");
    dev.says("+   log     GBM at");
    let second = dev.says("host: taken-over: version ");
    assert_ne!(first, second);
    let list = site.gwasp(&["plugin", "list"]);
    let version = second.split_whitespace().nth(3).unwrap();
    assert!(list.stdout.contains(version), "{second}\n{list:?}");
    dev.interrupt();
}

#[test]
fn who_wants_a_host_to_take_builds_over_is_told_that_none_runs() {
    let project = Project::new("no-host");
    let gwasp = Gwasp::from_environment().unwrap();
    let mut command = gwasp.command();
    command.current_dir(project.path("."));
    let answer = Answer::of(command.args(["dev", "--reload"])).unwrap();
    assert!(
        answer.stderr.contains("`gwasp run` starts one"),
        "{answer:?}"
    );
}
