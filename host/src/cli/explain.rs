//! `gwasp explain`: what a code means.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::table;
use crate::complaint::Said;
use crate::explain::{Code, code};

/// Tells what a code such as E0101 means, and what to do; without one, lists all codes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp explain E0304     what happened, what to do, an example
  gwasp explain           all codes")]
pub(super) struct Args {
    /// The code, as it stands in brackets behind `error`.
    code: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    code: Code,
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(text) = &args.code else {
        return list(args.json);
    };
    let Some(code) = Code::find(text) else {
        let text = format!("there is no code `{text}`; `gwasp explain` lists them");
        return Err(Said::new(code::NO_PAGE, text).into());
    };
    if args.json {
        table::print_json(&[Row {
            code,
            title: code.title(),
            page: Some(code.page()),
        }])?;
    } else {
        std::io::stdout().lock().write_all(code.page().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool) -> anyhow::Result<ExitCode> {
    let rows = Code::all().map(|code| Row {
        code,
        title: code.title(),
        page: None,
    });
    if json {
        table::print_json(&rows.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    for row in rows {
        writeln!(out, "{}  {}", row.code, row.title)?;
    }
    Ok(ExitCode::SUCCESS)
}
