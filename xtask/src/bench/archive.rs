//! `gwasp backtest`: a plugin over an archive that a host kept, on one thread.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gwasp_tests::gwasp::{self, ANY_PORT, Answer, Gwasp};
use serde_json::Value;

use super::beside;
use super::figures::Figure;

/// Packets of the archive.
const PACKETS: u32 = 20_000;
const LIMIT: Duration = Duration::from_secs(300);
/// Between two looks at the ledger.
const LOOK: Duration = Duration::from_millis(200);

/// Fills an archive, and runs the plugin that filled it over it once more.
pub(super) fn figures(gwasp: &Gwasp, directory: &Path) -> Result<Vec<Figure>> {
    let directory = directory.join("archive");
    beside::fresh(&directory)?;
    let state = directory.join("state");
    fill(gwasp, &directory, &state)?;
    let mut command = gwasp.command();
    command
        .arg("backtest")
        .arg(gwasp.plugins().join("fermi-log.wasm"))
        .arg("--state")
        .arg(&state)
        .args(["--jobs", "1", "--diff-only", "--json"]);
    let answer = Answer::of(&mut command)?;
    ensure!(answer.status.success(), "{}", answer.stderr);
    let counts = answer.stdout.lines().last().unwrap_or_default();
    let counts: Value = serde_json::from_str(counts).context("the counts of a back-test")?;
    let count = |name: &str| counts[name].as_f64().with_context(|| format!("no {name}"));
    ensure!(
        count("packets")? >= f64::from(PACKETS),
        "it saw {} packets",
        counts["packets"]
    );
    let figure = |figure: &str, value, unit| Figure {
        bench: "backtest",
        figure: figure.to_owned(),
        value,
        unit,
    };
    Ok(vec![
        figure(
            "packets on one thread",
            count("packets_per_minute")?,
            "/min",
        ),
        figure(
            "CPU per packet",
            count("cpu_seconds")? * 1e3 / f64::from(PACKETS),
            "ms",
        ),
    ])
}

fn fill(gwasp: &Gwasp, directory: &Path, state: &Path) -> Result<()> {
    let notices = directory.join("notices");
    beside::notices(&notices, PACKETS as usize)?;
    let replay = gwasp.replay(&notices, ANY_PORT, &["--interval", "0s"])?;
    let config = directory.join("gwasp.toml");
    gwasp::write_config(&config, replay.address, gwasp.plugins(), state)?;
    let mut host = gwasp.run(&config)?;
    host.wait_for("being ready", gwasp::START_LIMIT, gwasp::is_ready)?;
    let began = Instant::now();
    while gwasp.ledger(state)?.tasks.succeeded < u64::from(PACKETS) {
        ensure!(began.elapsed() < LIMIT, "{}", host.last_lines());
        std::thread::sleep(LOOK);
    }
    host.terminate()?;
    let status = host.wait(LIMIT)?;
    ensure!(status.success(), "the host ended with {status}");
    Ok(())
}
