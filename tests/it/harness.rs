//! What several tests need: a folder with a configuration, peers, a seed, a place for results.

#![expect(
    clippy::print_stderr,
    reason = "who reads a test's output wants its seed"
)]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use gwasp_tests::gwasp::{Gwasp, write_config};
use gwasp_tests::ledger::Ledger;
use gwasp_tests::process::Process;
use gwasp_tests::sample::{self, Notice};
use serde_json::Value;
use tempfile::TempDir;

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A host's folder: configuration and state, gone with the value.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) gwasp: Gwasp,
    dir: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Result<Self> {
        let gwasp = Gwasp::from_environment()?;
        Ok(Self {
            gwasp,
            dir: tempfile::tempdir()?,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a plugin directory of its own, with these files in it.
    pub(crate) fn plugins(&self, files: &[PathBuf]) -> Result<PathBuf> {
        let directory = self.path("plugins");
        if !directory.exists() {
            std::fs::create_dir(&directory)?;
        }
        for file in files {
            std::fs::copy(file, directory.join(file.file_name().unwrap_or_default()))?;
        }
        Ok(directory)
    }

    /// Starts the host; its state is what earlier ones left.
    pub(crate) fn host(&self, broker: SocketAddr) -> Result<Process> {
        let config = self.path("gwasp.toml");
        write_config(&config, broker, self.gwasp.plugins(), &self.path("state"))?;
        self.gwasp.run(&config)
    }

    /// Starts the host under strace, which kills it when a thread of it syncs a file for the
    /// `nth` time.
    pub(crate) fn host_that_dies_at_sync(&self, broker: SocketAddr, nth: u64) -> Result<Process> {
        let config = self.path("gwasp.toml");
        write_config(&config, broker, self.gwasp.plugins(), &self.path("state"))?;
        self.dying_at_sync(&config, nth)
    }

    /// Starts a host with a configuration as [`Scene::host_that_dies_at_sync`] does. Syncs are
    /// counted per thread. (With `--seccomp-bpf` strace 6.1 counts none but the first.)
    pub(crate) fn dying_at_sync(&self, config: &Path, nth: u64) -> Result<Process> {
        let mut command = Command::new("strace");
        command
            // The host stays our own child; strace is beside it.
            .args([
                "--daemonize",
                "--follow-forks",
                "--quiet=all",
                "--output=/dev/null",
            ])
            .arg("--trace=fsync,fdatasync")
            .arg(format!(
                "--inject=fsync,fdatasync:signal=SIGKILL:when={nth}"
            ));
        let host = self.gwasp.run_command(config);
        command.arg(host.get_program()).args(host.get_args());
        Process::spawn("strace gwasp run", command)
    }

    /// Reads the ledger until no task is open.
    pub(crate) fn settled_ledger(&self, limit: Duration) -> Result<Ledger> {
        self.settled_ledger_of(&self.path("state"), limit)
    }

    /// Reads the ledger of a state directory until no task is open.
    pub(crate) fn settled_ledger_of(&self, state: &Path, limit: Duration) -> Result<Ledger> {
        let end = Instant::now() + limit;
        loop {
            let ledger = self.gwasp.ledger(state)?;
            if ledger.tasks.open == 0 {
                return Ok(ledger);
            }
            if Instant::now() > end {
                bail!("tasks are still open after {limit:?}: {ledger:?}");
            }
            // Between two looks; the loop's end does not depend on it.
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Writes each example notice `copies` times into a folder, each under an IVORN of its
    /// own.
    pub(crate) fn notices(&self, copies: u32) -> Result<(PathBuf, Vec<Notice>)> {
        let dir = self.path("notices");
        let originals = sample::notices(&root().join("examples/notices"))?;
        let mut notices = Vec::new();
        for copy in 0..copies {
            notices.extend(sample::copies(&originals, &dir, &format!("copy{copy:05}"))?);
        }
        Ok((dir, notices))
    }
}

/// One of the plugins of `tests/guests`, as `cargo xtask test` builds it.
pub(crate) fn test_plugin(name: &str) -> PathBuf {
    let missing = "GWASP_TEST_PLUGINS is not set; run the tests by `cargo xtask test`";
    let directory = std::env::var_os("GWASP_TEST_PLUGINS").expect(missing);
    Path::new(&directory).join(format!("{name}.wasm"))
}

/// A number that a longer run sets, else the one of the quick tests.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    let value = std::env::var_os(variable);
    value
        .and_then(|value| value.to_str()?.parse().ok())
        .unwrap_or(otherwise)
}

/// Appends what a lane counted to the file that `cargo xtask soak` makes its table of.
pub(crate) fn record(result: &Value) -> Result<()> {
    let Some(file) = std::env::var_os("GWASP_RESULTS") else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{result}")?;
    Ok(())
}

/// Random numbers from a seed (splitmix64: Steele, Lea, Flood 2014, OOPSLA, 453).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Takes `GWASP_SEED`, else one of the clock, and prints it.
    pub(crate) fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| u64::from(now.subsec_nanos()));
        let seed = number("GWASP_SEED", nanos);
        eprintln!("seed: {seed}; GWASP_SEED={seed} repeats it");
        Self(seed)
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.0
    }

    /// Random numbers of their own.
    pub(crate) fn branch(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
