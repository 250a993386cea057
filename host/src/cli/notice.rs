//! `gwasp notice`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use gwasp_formats::NoticeSummary;
use serde::Serialize;

use super::table;
use crate::text::chain;

/// Shows what a notice says: type, IVORN, role, author, time and position.
///
/// Exit code 1 where a file does not parse.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp notice notice.xml
  gwasp notice --json *.xml | jq 'select(.ra)'")]
pub(super) struct Args {
    /// VOEvents.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// One JSON object a line: the fields of a notice, or `file` and `error`.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    file: &'a str,
    #[serde(flatten)]
    notice: NoticeSummary,
}

#[derive(Serialize)]
struct Failure<'a> {
    file: &'a str,
    error: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut failed = false;
    for path in &args.files {
        let file = path.to_string_lossy();
        let read = std::fs::read(path)
            .map_err(|error| format!("the file cannot be read: {error}"))
            .and_then(|bytes| NoticeSummary::read(&bytes).map_err(|error| chain(&error)));
        failed |= read.is_err();
        match (read, args.json) {
            (Ok(notice), true) => {
                let row = Row {
                    file: &file,
                    notice,
                };
                writeln!(out, "{}", table::json(&row)?)?;
            }
            (Err(error), true) => {
                let failure = Failure { file: &file, error };
                writeln!(out, "{}", table::json(&failure)?)?;
            }
            (Ok(notice), false) => print(&mut out, &file, &notice)?,
            (Err(error), false) => {
                let (file, error) = (table::clean(&file), table::clean(&error));
                writeln!(out, "{file}\n  error         {error}")?;
            }
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Every field that the notice has, in the order of its JSON form.
fn print(out: &mut impl std::io::Write, file: &str, notice: &NoticeSummary) -> anyhow::Result<()> {
    writeln!(out, "{}", table::clean(file))?;
    if let serde_json::Value::Object(fields) = serde_json::to_value(notice)? {
        for (name, value) in fields {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => {
                    writeln!(out, "  {name:<13} {}", table::clean(&text))?;
                }
                other => {
                    let (value, unit) = (table::json(&other)?, unit(&name));
                    writeln!(out, "  {name:<13} {value}{unit}")?;
                }
            }
        }
    }
    Ok(())
}

fn unit(field: &str) -> &'static str {
    match field {
        "ra" | "dec" | "error_radius" => " deg",
        _ => "",
    }
}
