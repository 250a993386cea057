//! `cargo xtask soak`: the fault and accuracy lanes at length, and their table in
//! docs/measurements.md.
//!
//! A lane leaves a row, as a line of JSON in the file that `GWASP_RESULTS` names. What a lane
//! is, and which there are, is in `lanes`.

mod lanes;
mod pp;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::build::{self, Built};
use crate::{machine, step};
use lanes::{LANES, Lane};

/// Arguments of `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs this lane alone; may be given several times.
    #[arg(long = "lane", value_name = "NAME")]
    lanes: Vec<String>,

    /// Runs each lane at a tenth of its length, with the host as `cargo xtask test` builds it,
    /// and leaves docs/measurements.md as it is.
    #[arg(long)]
    quick: bool,

    /// Shows the lanes and runs none.
    #[arg(long)]
    list: bool,

    /// Beginning of the random numbers; without it, a new one.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Installs what is missing without asking.
    #[arg(long)]
    yes: bool,
}

/// What lanes are run with.
#[derive(Debug)]
struct Run {
    built: Built,
    /// Where lanes leave their rows.
    results: PathBuf,
    seed: u64,
    quick: bool,
}

/// Runs the lanes one after another, then writes what they counted.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let chosen = chosen(&args.lanes)?;
    if args.list {
        for lane in chosen {
            println!("{:<12} row {:<4} {}", lane.name, lane.row, lane.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    machine::install_test_packages(args.yes)?;
    let built = if args.quick {
        build::host_and_plugins(args.yes)?
    } else {
        build::to_measure(args.yes)?
    };
    let run = Run {
        results: built.target.join("soak.jsonl"),
        seed: args.seed.unwrap_or_else(new_seed),
        quick: args.quick,
        built,
    };
    let mut failed = Vec::new();
    let mut rows = Vec::new();
    for lane in chosen {
        if run.results.exists() {
            std::fs::remove_file(&run.results)?;
        }
        if let Err(error) = lane.run(&run) {
            step::say(&format!("lane `{}`: {error:#}", lane.name));
            table::note_failure(&run.results, run.seed)?;
            failed.push(lane.name);
        }
        rows.extend(table::rows(&run.results, lane)?);
    }
    if run.quick {
        print!("{}", table::page(&rows));
    } else {
        table::write(rows)?;
    }
    ensure!(
        failed.is_empty(),
        "failed with seed {}: {}; `cargo xtask soak --lane NAME --seed {}` repeats one",
        run.seed,
        failed.join(", "),
        run.seed
    );
    Ok(ExitCode::SUCCESS)
}

/// The lanes with these names; all of them without a name.
fn chosen(names: &[String]) -> Result<Vec<&'static Lane>> {
    for name in names {
        let known: Vec<&str> = LANES.iter().map(|lane| lane.name).collect();
        ensure!(
            known.contains(&name.as_str()),
            "there is no lane `{name}`; there are {}",
            known.join(", ")
        );
    }
    let is_chosen = |lane: &&Lane| names.is_empty() || names.iter().any(|name| name == lane.name);
    Ok(LANES.iter().filter(is_chosen).collect())
}

fn new_seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs() << 20 | u64::from(now.subsec_micros())
}
