//! `cargo xtask demo`: the whole way of a packet, on one machine, in one minute.

mod account;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gwasp_tests::gwasp::{self, Gwasp, Replay};
use gwasp_tests::process::Process;
use gwasp_tests::sample;

use crate::build::{self, root};
use crate::step::say;
use account::Account;

/// How often the demonstration looks up from the host's log.
const TICK: Duration = Duration::from_millis(100);
/// Without a new event for this long, `--once` gives up.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
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
    let gwasp = built.gwasp();
    let notices_dir = root()?.join("examples/notices");
    let mut account = Account::new(sample::notices(&notices_dir)?);

    let dir = fresh_dir(&built.target.join("demo"))?;
    let replay = start_replay(&gwasp, &notices_dir, args)?;
    let config = dir.join("gwasp.toml");
    let state = dir.join("state");
    gwasp::write_config(&config, replay.address, gwasp.plugins(), &state)?;
    say(&format!(
        "gwasp run --config {}   (a broker with the notices: {})",
        config.display(),
        replay.address
    ));
    let mut host = gwasp.run(&config)?;
    host.wait_for("being ready", gwasp::START_LIMIT, gwasp::is_ready)?;

    follow(&host, &mut account, args.once, &stop)?;
    let interrupted = stop.load(Ordering::Relaxed);
    say("stopping the host");
    // Ctrl-C on a terminal has reached it already; it may be gone.
    if host.exit_status()?.is_none() {
        host.terminate()?;
    }
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

fn start_replay(gwasp: &Gwasp, notices: &Path, args: &Args) -> Result<Replay> {
    let mut rest = vec![
        "--interval",
        args.interval.as_str(),
        "--wait-subscribers",
        "1",
    ];
    if args.once {
        rest.push("--until-acked");
    }
    gwasp.replay(notices, &rest)
}

/// Tells what the host does until the sample is through (`once`) or somebody stops it.
fn follow(host: &Process, account: &mut Account, once: bool, stop: &AtomicBool) -> Result<()> {
    let mut last_event = Instant::now();
    let mut said = false;
    while !stop.load(Ordering::Relaxed) {
        if let Some(line) = host.next_line(TICK) {
            account.tell(&line);
            last_event = Instant::now();
            continue;
        }
        if account.is_complete() && once {
            return Ok(());
        }
        if account.is_complete() && !said {
            said = true;
            say("the sample is through; the host goes on listening until Ctrl-C");
        }
        if once && last_event.elapsed() > SILENCE_LIMIT {
            bail!(
                "nothing happened for {SILENCE_LIMIT:?}; {}",
                host.last_lines()
            );
        }
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
