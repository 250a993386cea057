//! A real supervisord with the configuration of `examples/supervisord`.

use std::path::{Path, PathBuf};
use std::process::Command;

use gwasp_tests::gwasp::Answer;
use gwasp_tests::process::Process;
use rustix::process::{Pid, Signal, kill_process};

use super::{LIMIT, Supervisor};
use crate::harness::root;

/// It, in a home of its own.
pub(super) struct Supervisord {
    home: PathBuf,
    bin: PathBuf,
    process: Process,
}

impl Supervisord {
    /// Starts it in `home`, which has the configuration of the host, with what is `changed` in
    /// the example. The host is not started.
    pub(super) fn start(bin: &Path, home: &Path, program: &Path, changed: &[(&str, &str)]) -> Self {
        for folder in [".config/gwasp", ".local/state/gwasp/plugins", ".local/bin"] {
            std::fs::create_dir_all(home.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(program, home.join(".local/bin/gwasp")).unwrap();
        let example = root().join("examples/supervisord/supervisord.conf");
        let mut text = std::fs::read_to_string(example).unwrap();
        for (from, to) in [("autostart=true", "autostart=false")]
            .iter()
            .chain(changed)
        {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        std::fs::write(home.join(".config/gwasp/supervisord.conf"), text).unwrap();
        let mut command = Command::new(bin.join("supervisord"));
        command.arg("--nodaemon").arg("--configuration");
        command.arg(home.join(".config/gwasp/supervisord.conf"));
        command.env("HOME", home).current_dir(home);
        let process = Process::spawn("supervisord", command).unwrap();
        let started = |line: &gwasp_tests::process::Line| line.text.contains("supervisord started");
        process.wait_for("a start", LIMIT, started).unwrap();
        Self {
            home: home.to_owned(),
            bin: bin.to_owned(),
            process,
        }
    }

    pub(super) fn control(&self, args: &[&str]) -> Answer {
        let mut command = Command::new(self.bin.join("supervisorctl"));
        command.arg("--configuration");
        command.arg(self.home.join(".config/gwasp/supervisord.conf"));
        Answer::of(command.env("HOME", &self.home).args(args)).unwrap()
    }

    /// As [`Supervisord::control`]; the answer must hold `wanted`: exit codes tell too little.
    #[track_caller]
    fn must(&self, args: &[&str], wanted: &str) {
        let answer = self.control(args);
        assert!(
            answer.stdout.contains(wanted),
            "{answer:?}\n{}",
            self.told()
        );
    }
}

impl Supervisor for Supervisord {
    fn start(&self) {
        self.must(&["start", "gwasp"], "gwasp: started");
    }

    fn stop(&self) {
        self.must(&["stop", "gwasp"], "gwasp: stopped");
    }

    fn restart(&self) {
        self.must(&["restart", "gwasp"], "gwasp: started");
    }

    fn reload(&self) {
        self.must(&["signal", "HUP", "gwasp"], "gwasp: signalled");
    }

    fn kill(&self) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    fn pid(&self) -> u32 {
        let answer = self.control(&["pid", "gwasp"]);
        answer.stdout.trim().parse().unwrap()
    }

    fn told(&self) -> String {
        let state = self.home.join(".local/state/gwasp");
        let read = |file: &str| std::fs::read_to_string(state.join(file)).unwrap_or_default();
        read("supervisord.log") + &read("gwasp.log")
    }

    fn has_given_up(&self) -> bool {
        // It looks once a second: what ended at once may count as started, and then as ended in a
        // way that is not put right.
        self.control(&["status"]).stdout.contains("FATAL")
            || self.told().contains("exit status 78; expected")
    }
}

impl Drop for Supervisord {
    fn drop(&mut self) {
        // It ends what it started; SIGKILL would leave the host.
        drop(self.process.terminate());
        drop(self.process.wait(LIMIT));
    }
}
