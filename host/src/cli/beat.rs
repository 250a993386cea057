//! `gwasp beat list`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::store::StoreArgs;
use super::table::{self, Column};
use crate::packet::{Digest, from_unix_nanos};
use crate::routes::{Manifest, PluginRoutes, Routes};

/// Looks at schedules: what runs by the time, and when.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the schedules of all plugins, with the last tick that is done and the next.
    #[command(after_help = "Examples:
  gwasp beat list
  gwasp beat list --json
  gwasp task list --queue slow      the tasks that ticks made are tasks like others
  gwasp pause clean.sweep           keeps the tasks of a schedule from running")]
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::List(args) = &args.command;
    let reader = args.store.open()?;
    let (generation, records) = reader.routes()?;
    let ticks = reader.ticks()?;
    let mut plugins = Vec::new();
    for record in records {
        let manifest = Manifest::read(&record.manifest)
            .with_context(|| format!("the schedules of plugin `{}`", record.plugin))?;
        plugins.push(PluginRoutes {
            plugin: record.plugin,
            generation: record.generation,
            digest: Digest::from_bytes(record.digest),
            manifest,
        });
    }
    let routes = Routes::new(generation, &plugins);
    let now = Timestamp::now();
    let rows = routes.periodic().map(|(route, table)| {
        let schedule = route.name();
        let known = ticks.iter().find(|tick| tick.schedule == schedule);
        let last = known.map(|tick| from_unix_nanos(tick.through));
        Row {
            runs: table.to_string(),
            catch_up: table.catch_up().to_string(),
            last,
            next: table.next(last.map_or(now, |last| last.max(now))),
            queue: route.entry.options.queue.clone(),
            schedule,
        }
    });
    let rows: Vec<Row> = rows.collect();
    if args.json {
        table::print_json(&rows)?;
    } else if rows.is_empty() {
        let none = "no plugin has a schedule; `#[periodic(\"0 * * * *\")]` on a function is one";
        writeln!(std::io::stdout(), "{none}")?;
    } else {
        let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
        table::print(&COLUMNS, &cells)?;
    }
    Ok(ExitCode::SUCCESS)
}

const COLUMNS: [Column; 6] = [
    Column::stays("SCHEDULE"),
    Column::stays("RUNS"),
    Column::stays("NEXT"),
    Column::below("LAST", 2),
    Column::out("CATCH UP", 1),
    Column::out("QUEUE", 0),
];

#[derive(Serialize)]
struct Row {
    schedule: String,
    runs: String,
    catch_up: String,
    /// None until a host has seen it.
    last: Option<Timestamp>,
    next: Option<Timestamp>,
    queue: String,
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let moment = |at: Option<Timestamp>, none: &str| {
            at.map_or_else(|| none.to_owned(), |at| format!("{at:.0}"))
        };
        vec![
            self.schedule.clone(),
            self.runs.clone(),
            moment(self.next, "never"),
            moment(self.last, "not seen by a host yet"),
            self.catch_up.clone(),
            self.queue.clone(),
        ]
    }
}
