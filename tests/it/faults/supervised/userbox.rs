//! A real `systemd --user`, in name spaces of its own (`box.sh`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use gwasp_tests::gwasp::Answer;
use gwasp_tests::process::Process;
use tempfile::TempDir;

use super::{LIMIT, Supervisor, pause};
use crate::harness::root;

/// A user that no machine has.
const UID: &str = "61500";

/// The box; what is in it ends with the value.
pub(super) struct UserBox {
    dir: TempDir,
    name: String,
    process: Process,
    /// The first process in it.
    init: u32,
}

/// Why there is no box: a peer that is missing, or what this user may not do.
pub(super) enum NoBox {
    Missing(&'static str),
    Forbidden(&'static str),
}

fn script() -> PathBuf {
    root().join("tests/it/faults/supervised/box.sh")
}

impl UserBox {
    /// Starts a box with `program` in it.
    pub(super) fn start(program: &Path) -> Result<Self, NoBox> {
        for needed in ["/lib/systemd/systemd", "/lib/systemd/systemd-journald"] {
            if !Path::new(needed).exists() {
                return Err(NoBox::Missing("systemd"));
            }
        }
        if !rustix::process::geteuid().is_root() {
            return Err(NoBox::Forbidden("a systemd of its own needs root"));
        }
        let dir = tempfile::tempdir().unwrap();
        for folder in ["home", "cgroup"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let name = format!("gwasp-test-{}", std::process::id());
        let name = format!("{name}-{}", dir.path().file_name().unwrap().display());
        if !mounts_cgroup2(dir.path()) {
            return Err(NoBox::Forbidden("cgroup2 cannot be mounted here"));
        }
        let mut command = in_mount_space();
        command.arg("outer").arg(dir.path()).arg(&name);
        command.arg(program).arg(UID);
        let process = Process::spawn("systemd", command).unwrap();
        let init = first_child(&process);
        let started = Self {
            dir,
            name,
            process,
            init,
        };
        started.wait_until("systemd runs", || {
            let state = started.systemctl(&["is-system-running"]).stdout;
            ["running", "degraded"].contains(&state.trim())
        });
        Ok(started)
    }

    /// The person's home, as it is seen from outside.
    pub(super) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Writes a file of the person.
    pub(super) fn write(&self, path: &str, text: &str) {
        let file = self.home().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        self.own();
    }

    /// Has everything in the home belong to the person.
    pub(super) fn own(&self) {
        let owner = format!("{UID}:{UID}");
        let mut chown = Command::new("chown");
        chown.args(["--recursive", "--no-dereference", &owner]);
        let done = Answer::of(chown.arg(self.home())).unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Runs a command in the box, as the person.
    pub(super) fn run(&self, args: &[&str]) -> Answer {
        let mut command = self.enter();
        command.args(["setpriv", "--reuid", UID, "--regid", UID, "--clear-groups"]);
        command.args(["env", "-i", "HOME=/srv/gwasp", "USER=gwasp", "TERM=dumb"]);
        command.arg(format!("XDG_RUNTIME_DIR=/run/user/{UID}"));
        command.arg("PATH=/srv/gwasp/.local/bin:/usr/local/bin:/usr/bin:/bin");
        Answer::of(command.args(args)).unwrap()
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init));
        command.args(["--mount", "--pid", "--cgroup", "--ipc", "--uts"]);
        command
    }

    pub(super) fn systemctl(&self, args: &[&str]) -> Answer {
        let command = [&["systemctl", "--user"], args].concat();
        self.run(&command)
    }

    /// As [`UserBox::systemctl`], for what must be done.
    #[track_caller]
    pub(super) fn must(&self, args: &[&str]) {
        let answer = self.systemctl(args);
        assert!(answer.status.success(), "{answer:?}\n{}", self.told());
    }

    /// A property of the service.
    pub(super) fn property(&self, name: &str) -> String {
        let args = ["show", "gwasp.service", "--value", "--property", name];
        self.systemctl(&args).stdout.trim().to_owned()
    }

    #[track_caller]
    fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !done() {
            assert!(Instant::now() < end, "not {what}:\n{}", self.told());
            pause();
        }
    }
}

impl Supervisor for UserBox {
    fn start(&self) {
        self.must(&["start", "gwasp.target"]);
    }

    fn stop(&self) {
        self.must(&["stop", "gwasp.target"]);
        assert_eq!(self.property("ActiveState"), "inactive", "{}", self.told());
        assert_eq!(self.property("Result"), "success", "{}", self.told());
    }

    fn restart(&self) {
        self.must(&["restart", "gwasp.service"]);
    }

    fn reload(&self) {
        self.must(&["reload", "gwasp.service"]);
    }

    fn kill(&self) {
        self.must(&["kill", "--kill-who=main", "--signal=KILL", "gwasp.service"]);
    }

    fn pid(&self) -> u32 {
        let inner = self.property("MainPID");
        outer_pid(self.init, &inner).unwrap_or_else(|| panic!("no host:\n{}", self.told()))
    }

    fn told(&self) -> String {
        let mut command = self.enter();
        command.args(["journalctl", "--quiet", "--no-pager", "--output=cat"]);
        Answer::of(&mut command).unwrap().stdout
    }

    fn has_given_up(&self) -> bool {
        self.property("ActiveState") == "failed"
    }
}

impl Drop for UserBox {
    fn drop(&mut self) {
        // Nobody is left to tell; a cgroup that stays is empty.
        drop(self.process.kill());
        for _ in 0..40 {
            let mut down = in_mount_space();
            down.arg("down").arg(self.dir.path()).arg(&self.name);
            if Answer::of(down.args(["-", "-"])).is_ok_and(|answer| answer.status.success()) {
                return;
            }
            pause();
        }
    }
}

/// The script in a mount name space of its own.
fn in_mount_space() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/sh"]).arg(script());
    command
}

fn mounts_cgroup2(dir: &Path) -> bool {
    let mut tries = in_mount_space();
    let tries = tries.arg("try").arg(dir).args(["gwasp-test-try", "-", "-"]);
    Answer::of(tries).is_ok_and(|answer| answer.status.success())
}

/// Ids of a process in its name spaces, from the outer one to the inner (`proc_pid_status(5)`).
fn ids(process: &str) -> Vec<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let ids = line.unwrap_or_default().split_whitespace();
    ids.map(str::to_owned).collect()
}

/// The first process of the box that `process` makes.
#[track_caller]
fn first_child(process: &Process) -> u32 {
    let id = process.id();
    let end = Instant::now() + LIMIT;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let first = children.split_whitespace().find(|child| {
            let ids = ids(child);
            ids.len() > 1 && ids.last().is_some_and(|id| id == "1")
        });
        if let Some(first) = first {
            return first.parse().unwrap();
        }
        assert!(Instant::now() < end, "no box:\n{}", process.last_lines());
        pause();
    }
}

/// The id out here of the process `inner` of the box.
fn outer_pid(init: u32, inner: &str) -> Option<u32> {
    let space = |id: &str| std::fs::read_link(format!("/proc/{id}/ns/pid")).ok();
    let wanted = space(&init.to_string());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let found = names
        .find(|name| ids(name).last().is_some_and(|id| id == inner) && space(name) == wanted)?;
    found.parse().ok()
}
