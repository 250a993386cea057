//! `gwasp bench`: measures the host on this machine.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::places;
use super::table::{self, Column};
use crate::bench::{self, Bench, Figure, Part, Settings};
use crate::config::Config;
use crate::plugins::Compiler;

/// Measures the host beside the floors that it stands on, in one run.
///
/// Figures of a busy machine are worth little by themselves; ratios are of turns side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp build tests/guests/bench       makes the plugin, in GWASP's repository
  gwasp bench                          everything, in about a minute
  gwasp bench tasks --slots 8          one part, with a pool of 8 slots
  gwasp bench --json                   one JSON object a figure

`cargo xtask bench` does all that, and measures Comet and pygcn beside it.")]
pub(super) struct Args {
    /// What is measured [default: all].
    #[arg(value_name = "NAME", value_enum)]
    parts: Vec<Name>,
    /// Plugin with the handlers that are run.
    #[arg(long, value_name = "FILE", default_value = "plugins/bench-probe.wasm")]
    plugin: PathBuf,
    /// Where stores are made [default: the system's directory for temporary files].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Multiplies the number of turns.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    scale: u32,
    /// Slots of the pool, and threads of the bare store.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: u16,
    /// Write a JSON object per figure.
    #[arg(long)]
    json: bool,
}

/// A part, as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// A fresh sandbox and one call, beside bare wasmtime.
    Invocation,
    /// Durable tasks per second and their CPU time, beside the bare store.
    Tasks,
    /// The time from a broker's socket to a handler.
    Latency,
}

impl Name {
    const ALL: [Self; 3] = [Self::Invocation, Self::Tasks, Self::Latency];

    const fn part(self) -> Part {
        match self {
            Self::Invocation => Part::Invocation,
            Self::Tasks => Part::Tasks,
            Self::Latency => Part::Latency,
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let places = places::all(None, None, &Config::default())?;
    let compiler = Compiler::new(places.program, places.cache)?;
    let settings = Settings {
        plugin: args.plugin.clone(),
        directory: args.dir.clone().unwrap_or_else(std::env::temp_dir),
        scale: args.scale,
        slots: args.slots,
    };
    let mut bench = Bench::new(compiler, settings)?;
    let mut figures = bench::machine();
    // In this order, whatever the order of the names: figures of one part use another's.
    for name in Name::ALL {
        if args.parts.is_empty() || args.parts.contains(&name) {
            writeln!(
                std::io::stderr(),
                "measuring {} …",
                format!("{name:?}").to_lowercase()
            )?;
            figures.extend(bench.run(name.part())?);
        }
    }
    if args.json {
        table::print_json(&figures)?;
    } else {
        table::print(
            &["bench", "figure", "value", "unit"].map(Column::stays),
            &rows(&figures),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Figures as cells; a bench is named once.
fn rows(figures: &[Figure]) -> Vec<Vec<String>> {
    let mut last = "";
    let mut rows = Vec::new();
    for figure in figures {
        let bench = if figure.bench == last {
            ""
        } else {
            figure.bench
        };
        last = figure.bench;
        rows.push(vec![
            bench.to_owned(),
            figure.figure.to_owned(),
            number(figure.value),
            figure.unit.to_owned(),
        ]);
    }
    rows
}

/// A value with about three digits that count.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}
