//! `gwasp config`: what is in force, who said so, and what could be said.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{exit, layers, places, table};
use crate::config::{Config, LogConfig, Value};

/// The example with every key, which is also the reference.
const EXAMPLE: &str = include_str!("../../../examples/gwasp.toml");
/// Keys and values longer than this do not push all remarks to the right.
const WIDEST: usize = 60;

/// Shows the configuration that is in force, its schema, or one to begin with.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp config show --origin           each value, and which file or variable set it
  gwasp config default > gwasp.toml    every key with its default and what it does
  gwasp config schema > gwasp.schema.json    for editors that complete and check TOML")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows what is in force, defaults included.
    Show(ShowArgs),
    /// Prints the JSON schema of a configuration.
    Schema,
    /// Prints a configuration with every key, its default and what it does.
    Default,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Configuration (TOML).
    #[arg(long, short, value_name = "FILE", env = "GWASP_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of plugins [default: ./plugins].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Directory of the store [default: ./gwasp-state].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// What is logged, as `gwasp run` takes it.
    #[arg(long, value_name = "FILTER", env = "GWASP_LOG", value_parser = LogConfig::parse_filter)]
    log: Option<String>,
    /// Say of each value who set it, and list the files that are looked at.
    #[arg(long)]
    origin: bool,
    /// One JSON object a line, with key, value and origin.
    #[arg(long)]
    json: bool,
}

/// One value, as a program reads it.
#[derive(Debug, Serialize)]
struct Row {
    key: String,
    value: toml::Value,
    origin: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Show(args) => return show(args),
        Command::Schema => {
            let schema = schemars::schema_for!(Config);
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", serde_json::to_string_pretty(&schema)?)?;
        }
        Command::Default => std::io::stdout().lock().write_all(EXAMPLE.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let mut layered = match layers::layered(args.config.as_deref()) {
        Ok(layered) => layered,
        Err(error) => {
            super::complain(&error);
            return Ok(ExitCode::from(exit::CONFIG));
        }
    };
    let config = &mut layered.config;
    let found = places::all(args.plugins.as_deref(), args.state.as_deref(), config)?;
    config.store.directory = Some(found.store);
    config.plugins.directory = Some(found.plugins);
    config.plugins.cache = Some(found.cache);
    if let Some(filter) = &args.log {
        config.log.filter.clone_from(filter);
    }
    if !args.origin && !args.json {
        let text = toml::to_string_pretty(config)?;
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Row> = layered
        .values()?
        .into_iter()
        .map(|value| row(value, args))
        .collect();
    if args.json {
        table::print_json(&rows)?;
    } else {
        list_files(args.config.as_deref())?;
        print(&rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(value: Value<'_>, args: &ShowArgs) -> Row {
    let key: Vec<String> = value.path.iter().map(|key| quoted(key)).collect();
    let key = key.join(".");
    let flag = match key.as_str() {
        "store.directory" if args.state.is_some() => Some("--state"),
        "plugins.directory" if args.plugins.is_some() => Some("--plugins"),
        "log.filter" if args.log.is_some() => Some("--log or $GWASP_LOG"),
        _ => None,
    };
    let origin = match (flag, value.origin) {
        (Some(flag), _) => flag.to_owned(),
        (None, Some(place)) => place.origin(),
        (None, None) => "default".to_owned(),
    };
    Row {
        key,
        value: value.value,
        origin,
    }
}

/// A key as TOML has it.
fn quoted(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(is_bare) {
        key.to_owned()
    } else {
        toml::Value::from(key).to_string()
    }
}

fn list_files(named: Option<&Path>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "# A later one lies over an earlier one; GWASP__… variables over all:"
    )?;
    for file in layers::files(named)? {
        let there = if file.is_file() { "" } else { " (not there)" };
        writeln!(
            out,
            "#   {}{there}",
            table::clean(&file.display().to_string())
        )?;
    }
    Ok(())
}

/// The values as TOML, with their origins as remarks.
fn print(rows: &[Row]) -> std::io::Result<()> {
    let lines: Vec<String> = rows
        .iter()
        .map(|row| format!("{} = {}", row.key, row.value))
        .collect();
    let widths = lines.iter().map(|line| line.chars().count());
    let widest = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    for (line, row) in lines.iter().zip(rows) {
        let line = table::clean(line);
        writeln!(out, "{line:widest$}  # {}", table::clean(&row.origin))?;
    }
    Ok(())
}
