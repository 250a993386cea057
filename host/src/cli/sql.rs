//! `gwasp sql`.

use std::io::Write as _;
use std::process::ExitCode;

use gwasp_store::{Answer, Cell, SqlError, select};
use serde_json::{Map, Value};

use super::store::StoreArgs;
use super::table;
use super::task::read_effect;
use crate::complaint::Said;
use crate::explain::code;

/// Answers a question in SQL from what is kept.
///
/// A host may be running on the store. The views are packets, tasks, effects and ledger; docs/sql.md has their columns. Nothing can
/// be changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp sql \"select state, count(*) from tasks group by state\"
  gwasp sql \"select handler, error, count(*) from tasks where state = 'FAILURE' group by 1, 2\"
  gwasp sql \"select key, count(*) from packets where received > '2026-11-24' group by key\"
  gwasp sql \"select task, request from effects where state = 'in doubt'\"")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The query.
    query: String,
    /// At most so many rows.
    #[arg(long, default_value_t = 10_000)]
    limit: usize,
    /// How long it may take.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    time: humantime::Duration,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    drop(args.store.open()?);
    let directory = args.store.directory()?;
    let limits = (args.time.into(), args.limit);
    let answer = match select(&directory, &args.query, limits, read_effect) {
        Ok(answer) => answer,
        // Its text is what a person needs to mend the query.
        Err(SqlError::Database(error)) => {
            let text = format!("{error}; docs/sql.md lists the columns");
            return Err(Said::new(code::SQL, text).into());
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        json(&answer)?;
    } else {
        print(&answer)?;
    }
    if answer.is_cut {
        let limit = args.limit;
        super::complain(&anyhow::anyhow!(
            "there are more than {limit} rows; `--limit` sets how many are shown"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn json(answer: &Answer) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for row in &answer.rows {
        let pairs = answer.columns.iter().cloned().zip(row.iter().map(value));
        let object: Map<String, Value> = pairs.collect();
        writeln!(out, "{}", table::json(&object)?)?;
    }
    Ok(())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => (*number).into(),
        Cell::Real(number) => (*number).into(),
        Cell::Text(text) => text.as_str().into(),
    }
}

fn print(answer: &Answer) -> std::io::Result<()> {
    let cells = |row: &Vec<Cell>| -> Vec<String> {
        row.iter()
            .map(|cell| match cell {
                Cell::Null => "-".to_owned(),
                Cell::Integer(number) => number.to_string(),
                Cell::Real(number) => number.to_string(),
                Cell::Text(text) => text.clone(),
            })
            .collect()
    };
    let rows: Vec<_> = answer.rows.iter().map(cells).collect();
    table::print_any(&answer.columns, &rows)
}
