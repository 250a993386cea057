//! `cargo xtask demo`: the whole way of a packet, on one machine, in one minute.

mod account;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gwasp_tests::files::FileServer;
use gwasp_tests::gwasp::{self, Gwasp, Replay};
use gwasp_tests::process::Process;
use gwasp_tests::sample::{self, Notice};

use crate::build::{self, root};
use crate::step::say;
use account::Account;

/// How often the demonstration looks up from the host's log.
const TICK: Duration = Duration::from_millis(100);
/// Without a packet or a task for this long, something is wrong.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// How long the host may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ends after the sample; succeeds only if every expected handler ran, nothing is open
    /// and the ledger balances.
    #[arg(long)]
    once: bool,

    /// Time between two notices.
    #[arg(long, value_name = "DURATION", default_value = "500ms")]
    interval: String,

    /// Installs what is missing without asking.
    #[arg(long)]
    yes: bool,
}

/// Builds, sends the example notices, and tells what happens.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("watching for Ctrl-C")?;
    }
    let built = build::host_and_plugins(args.yes)?;
    let gwasp = built.gwasp().apart();
    let mut notices = sample::notices(&root()?.join("examples/notices"))?;
    let dir = fresh_dir(&built.target.join("demo"))?;
    let files = FileServer::with_candidate()?;
    let candidate = root()?.join("examples/localize/notice.xml");
    notices.push(sample::candidate(&candidate, &dir, files.address)?);
    let mut sender = Sender::new(gwasp.clone(), dir.join("notices"), notices, &args.interval);
    let mut account = Account::default();
    account.expect(sender.round()?);
    let config = dir.join("gwasp.toml");
    let state = dir.join("state");
    gwasp::write_config(&config, sender.address, gwasp.plugins(), &state)?;
    gwasp::grant_localize(&config, files.address)?;
    say(&format!(
        "gwasp run --config {}   (a broker with the notices: {}; files of a candidate: {})",
        config.display(),
        sender.address,
        files.address
    ));
    let mut host = gwasp.run(&config)?;
    host.wait_for("being ready", gwasp::START_LIMIT, gwasp::is_ready)?;

    follow(&host, &mut account, &mut sender, args.once, &stop)?;
    let interrupted = stop.load(Ordering::Relaxed);
    say("stopping the host");
    host.terminate()?;
    let status = host.wait(STOP_LIMIT)?;
    ensure!(
        status.success(),
        "the host ended with {status}; {}",
        host.last_lines()
    );
    let ledger = gwasp.ledger(&state)?;
    account.summarise(&ledger);
    if !args.once {
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!interrupted, "interrupted before the sample was through");
    account.verify(&ledger)?;
    say("every expected handler ran, nothing is open, the ledger balances");
    Ok(ExitCode::SUCCESS)
}

/// A broker that sends the sample, and again with new IVORNs when it is through.
struct Sender {
    gwasp: Gwasp,
    dir: PathBuf,
    notices: Vec<Notice>,
    interval: String,
    address: SocketAddr,
    rounds: u32,
    replay: Option<Replay>,
}

impl Sender {
    fn new(gwasp: Gwasp, dir: PathBuf, notices: Vec<Notice>, interval: &str) -> Self {
        Self {
            gwasp,
            dir,
            notices,
            interval: interval.to_owned(),
            address: gwasp::ANY_PORT,
            rounds: 0,
            replay: None,
        }
    }

    /// Begins a round; answers its notices. The address stays the same.
    fn round(&mut self) -> Result<Vec<Notice>> {
        self.rounds += 1;
        let suffix = format!("round{}", self.rounds);
        let dir = self.dir.join(&suffix);
        let notices = sample::copies(&self.notices, &dir, &suffix)?;
        let args = ["--interval", self.interval.as_str(), "--until-acked"];
        self.replay = None;
        let replay = self.gwasp.replay(&dir, self.address, &args)?;
        self.address = replay.address;
        self.replay = Some(replay);
        Ok(notices)
    }
}

/// Tells what the host does until the sample is through (`once`) or somebody stops it.
fn follow(
    host: &Process,
    account: &mut Account,
    sender: &mut Sender,
    once: bool,
    stop: &AtomicBool,
) -> Result<()> {
    let mut last_event = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if let Some(line) = host.next_line(TICK) {
            if account.tell(&line) {
                last_event = Instant::now();
            }
        } else if account.is_complete() && once {
            return Ok(());
        } else if account.is_complete() {
            say("once more, with new IVORNs; Ctrl-C ends this");
            account.expect(sender.round()?);
        }
        ensure!(
            last_event.elapsed() < SILENCE_LIMIT,
            "nothing happened for {SILENCE_LIMIT:?}; {}",
            host.last_lines()
        );
        ensure!(host.is_running(), "the host ended; {}", host.last_lines());
    }
    Ok(())
}

/// The demonstration begins with nothing: what an earlier one left is removed.
fn fresh_dir(dir: &Path) -> Result<PathBuf> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir.to_owned())
}
