//! The program under test.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::ledger::Ledger;
use crate::process::{Line, Process};

/// How long starting may take on a busy machine; compiled plugins are not in the cache yet.
pub const START_LIMIT: Duration = Duration::from_secs(60);

/// The `gwasp` binary and a directory with built plugins.
#[derive(Clone, Debug)]
pub struct Gwasp {
    binary: PathBuf,
    plugins: PathBuf,
    apart: bool,
}

/// What a command left.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A VOEvent broker that sends files.
#[derive(Debug)]
pub struct Replay {
    /// It.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Gwasp {
    /// Takes a binary and a plugin directory.
    pub const fn new(binary: PathBuf, plugins: PathBuf) -> Self {
        Self {
            binary,
            plugins,
            apart: false,
        }
    }

    /// Takes what `cargo xtask test` built: `GWASP_BIN` and `GWASP_PLUGINS`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn from_environment() -> Result<Self> {
        let path = |name: &str| {
            let value = std::env::var_os(name);
            let message = || format!("{name} is not set; run the tests by `cargo xtask test`");
            value.map(PathBuf::from).with_context(message)
        };
        Ok(Self::new(path("GWASP_BIN")?, path("GWASP_PLUGINS")?))
    }

    /// Keeps a terminal's Ctrl-C from what this starts: who started it tells it to stop.
    #[must_use]
    pub fn apart(self) -> Self {
        Self {
            apart: true,
            ..self
        }
    }

    /// The directory with built plugins.
    pub fn plugins(&self) -> &Path {
        &self.plugins
    }

    /// A command line that begins with the binary, free of settings of who runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        if self.apart {
            command.process_group(0);
        }
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn answer(&self, args: &[&str]) -> Result<Answer> {
        Answer::of(self.command().args(args))
    }

    /// Starts a broker at `listen` (port 0: a free one) for the files of `notices`, with
    /// further arguments.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn replay(&self, notices: &Path, listen: SocketAddr, args: &[&str]) -> Result<Replay> {
        let mut command = self.command();
        command
            .arg("replay")
            .arg(notices)
            .arg("--listen")
            .arg(listen.to_string());
        command.arg("--json").args(args);
        let process = Process::spawn("gwasp replay", command)?;
        let said = "listening on ";
        let line = process.wait_for("an address", START_LIMIT, |line| line.text.contains(said))?;
        let address = line
            .text
            .split(said)
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        let address = address
            .and_then(|address| address.trim_matches('"').parse().ok())
            .with_context(|| format!("no address in {:?}", line.text))?;
        Ok(Replay { process, address })
    }

    /// Starts the host with a configuration file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, config: &Path) -> Result<Process> {
        Process::spawn("gwasp run", self.run_command(config))
    }

    /// The command line that starts the host, which tells of each task.
    pub fn run_command(&self, config: &Path) -> Command {
        self.run_logging(config, "info,gwasp::task=debug")
    }

    /// The command line that starts the host, which logs what `filter` lets pass.
    pub fn run_logging(&self, config: &Path, filter: &str) -> Command {
        let mut command = self.command();
        command.arg("run").arg("--config").arg(config).args([
            "--log-format",
            "json",
            "--log",
            filter,
        ]);
        command
    }

    /// Every task of a state directory: the IVORN of its packet, its handler, its state.
    ///
    /// # Errors
    /// When the program does not list them.
    pub fn tasks(&self, state: &Path) -> Result<Vec<(String, String, String)>> {
        let packets: BTreeMap<i64, String> = self
            .rows(&["packet", "list"], state)?
            .iter()
            .filter_map(|row| Some((row["number"].as_i64()?, row["id"].as_str()?.to_owned())))
            .collect();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tasks = self.rows(&["task", "list"], state)?;
        let ivorn = |row: &Value| packets.get(&row["packet"].as_i64()?).cloned();
        let task = |row: &Value| {
            let ivorn = ivorn(row).with_context(|| format!("a task of no packet: {row}"))?;
            Ok((ivorn, text(&row["handler"]), text(&row["state"])))
        };
        tasks.iter().map(task).collect()
    }

    /// Rows of a command that lists them, such as `task list`.
    ///
    /// # Errors
    /// When the program does not list them.
    pub fn rows(&self, list: &[&str], state: &Path) -> Result<Vec<Value>> {
        let mut command = self.command();
        command.args(list).arg("--state").arg(state);
        let answer = Answer::of(command.args(["--limit", "1000000", "--json"]))?;
        if !answer.status.success() {
            bail!("gwasp {list:?}: {}\n{}", answer.status, answer.stderr);
        }
        let rows = answer
            .stdout
            .lines()
            .map(|line| Ok(serde_json::from_str(line)?));
        rows.collect()
    }

    /// Reads the ledger of a state directory, recounted.
    ///
    /// # Errors
    /// When the program says that it does not balance, or what it prints does not.
    pub fn ledger(&self, state: &Path) -> Result<Ledger> {
        let state = state
            .to_str()
            .context("a state directory that is no UTF-8")?;
        let answer = self.answer(&["ledger", "--state", state, "--json", "--verify"])?;
        if !answer.status.success() {
            bail!(
                "gwasp ledger: {}\n{}{}",
                answer.status,
                answer.stdout,
                answer.stderr
            );
        }
        let ledger = Ledger::parse(&answer.stdout)?;
        if !ledger.balances() {
            bail!("the ledger does not balance: {ledger:?}");
        }
        Ok(ledger)
    }
}

impl Answer {
    /// Runs `command` to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Result<Self> {
        let output = command
            .output()
            .with_context(|| format!("running {command:?}"))?;
        Ok(Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// A free port of this machine.
pub const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Writes a configuration: one VTP listener `gcn`, one queue, everything else by default.
///
/// # Errors
/// When the file cannot be written.
pub fn write_config(file: &Path, broker: SocketAddr, plugins: &Path, state: &Path) -> Result<()> {
    let text = format!(
        "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"{broker}\"]\n\n\
         [queues.general]\nconcurrency = 8\n\n\
         [plugins]\ndirectory = {plugins:?}\n\n\
         [store]\ndirectory = {state:?}\n"
    );
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// Adds to a configuration what the example plugin `localize` needs to fetch files from `server`.
///
/// # Errors
/// When the file cannot be written.
pub fn grant_localize(file: &Path, server: SocketAddr) -> Result<()> {
    let mut config = OpenOptions::new().append(true).open(file)?;
    write!(
        config,
        "\n[services.files]\norigin = \"http://{server}\"\n\n\
         [grants.localize]\nkv = true\nblobs = true\nkernels = true\nservices = [\"files\"]\n"
    )
    .with_context(|| format!("writing {}", file.display()))
}

/// Whether a line says that the host is ready.
pub fn is_ready(line: &Line) -> bool {
    line.target() == "gwasp::host" && line.message() == "ready"
}
