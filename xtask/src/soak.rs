//! `cargo xtask soak`: the fault tests at length, and their table in docs/measurements.md.

mod pp;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::build::{self, root};
use crate::{machine, step};

/// Arguments of `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often each lane kills the host.
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u32,

    /// Beginning of the random numbers; without it, a new one.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Installs what is missing without asking.
    #[arg(long)]
    yes: bool,
}

/// The tests that are lanes: each repeats what it does as often as it is told.
const LANES: [&str; 3] = [
    "first_slice::a_host_that_is_killed_at_random_loses_and_doubles_nothing",
    "first_slice::a_host_that_dies_as_it_syncs_loses_and_doubles_nothing",
    "effects::a_host_that_dies_at_any_sync_of_a_run_uploads_once",
];

/// Runs the lanes one after another, then writes what they counted.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    machine::install_test_packages(args.yes)?;
    let built = build::host_and_plugins(args.yes)?;
    let results = built.target.join("soak.jsonl");
    if results.exists() {
        std::fs::remove_file(&results)?;
    }
    let seed = args.seed.unwrap_or_else(new_seed);
    let mut failed = Vec::new();
    for lane in LANES {
        let mut test = build::cargo()?;
        test.args([
            "test",
            "--package",
            "gwasp-tests",
            "--test",
            "it",
            "--",
            "--exact",
            lane,
        ])
        .arg("--nocapture")
        .env("GWASP_BIN", &built.binary)
        .env("GWASP_PLUGINS", &built.plugins)
        .env("GWASP_TEST_PLUGINS", &built.test_plugins)
        .env("GWASP_EVERY_SYNC", "1")
        .env("GWASP_KILLS", args.kills.to_string())
        .env("GWASP_SEED", seed.to_string())
        .env("GWASP_RESULTS", &results);
        if let Err(error) = step::run(
            &format!("{lane}, {} kills, seed {seed}", args.kills),
            &mut test,
        ) {
            step::say(&format!("{error:#}"));
            failed.push(lane);
        }
    }
    pp::run(&built)?;
    write_table(&results)?;
    ensure!(
        failed.is_empty(),
        "failed with seed {seed}: {}",
        failed.join(", ")
    );
    Ok(ExitCode::SUCCESS)
}

fn new_seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs() << 20 | u64::from(now.subsec_micros())
}

/// Writes the table of `docs/measurements.md` between its two marks.
fn write_table(results: &Path) -> Result<()> {
    const BEGIN: &str = "<!-- soak: begin -->";
    const END: &str = "<!-- soak: end -->";
    let file = root()?.join("docs/measurements.md");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let (before, rest) = text
        .split_once(BEGIN)
        .context("docs/measurements.md lacks its first mark")?;
    let (_, after) = rest
        .split_once(END)
        .context("docs/measurements.md lacks its second mark")?;
    let table = table(&std::fs::read_to_string(results).unwrap_or_default())?;
    std::fs::write(&file, format!("{before}{BEGIN}\n{table}{END}{after}"))
        .with_context(|| format!("writing {}", file.display()))?;
    step::say(&format!("{} has the results", file.display()));
    Ok(())
}

fn table(results: &str) -> Result<String> {
    let mut table = format!("{}, {}\n\n", today()?, this_machine());
    table.push_str("| lane | seed | kills | packets | tasks | lost | doubled |\n");
    table.push_str("|---|---|---|---|---|---|---|\n");
    for line in results.lines() {
        let row: Value = serde_json::from_str(line).context("reading a lane's result")?;
        let columns = [
            "lane", "seed", "kills", "packets", "tasks", "lost", "doubled",
        ];
        let cells: Vec<String> = columns.iter().map(|&column| cell(&row[column])).collect();
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    Ok(table)
}

fn cell(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn today() -> Result<String> {
    let date = step::output(
        "asking for the date",
        Command::new("date").args(["-u", "+%Y-%m-%d"]),
    )?;
    Ok(date.trim().to_owned())
}

/// Processor and number of cores: what a reader needs to judge the numbers by.
fn this_machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    format!("{cores} cores of {model}")
}
