//! `gwasp task list`.

use std::collections::HashMap;
use std::process::ExitCode;

use gwasp_store::{TaskFilter, TaskView};
use jiff::Timestamp;

use super::filter::Filter;
use super::live::Live;
use super::next::{pause_of, told};
use super::{Row, SHORT_ID, is_open};
use crate::cli::store::ListArgs;
use crate::cli::table::{self, Column};
use crate::control::Pause;
use crate::packet::unix_nanos;

/// Lists tasks, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp task list --dead                      what is set aside, and why
  gwasp task list --handler fermi-log --since 2h
  gwasp task list --dead --error 'may not'    what `gwasp task resume` resumes
                                              with the same options")]
pub(super) struct Args {
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    filter: Filter,
}

const COLUMNS: [Column; 6] = [
    Column::stays("ID"),
    Column::stays("STATE"),
    Column::out("TRIES", 2),
    Column::out("MADE", 3),
    Column::stays("HANDLER"),
    Column::below("WHY", 1),
];

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let filter = TaskFilter {
        limit: Some(args.list.limit),
        ..args.filter.matching()?.into()
    };
    let reader = args.list.store.open()?;
    // What runs is asked for first: a task that ends meanwhile is listed as it ended.
    let live = Live::ask(&args.list.store).await?;
    let tasks = reader.tasks(&filter)?;
    if args.list.json {
        let rows: Vec<Row> = tasks.into_iter().map(|task| Row::of(task, &live)).collect();
        table::print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let pauses = told(reader.pauses(unix_nanos(Timestamp::now()))?);
    let mut known = Known::default();
    let cells: Vec<Vec<String>> = tasks
        .into_iter()
        .map(|task| known.cells(task, &live, &pauses))
        .collect();
    table::print(&COLUMNS, &cells)?;
    Ok(ExitCode::SUCCESS)
}

/// Why tasks failed that are listed already, with the first of them.
#[derive(Default)]
struct Known(HashMap<String, String>);

impl Known {
    /// A task in a line of a terminal.
    fn cells(&mut self, task: TaskView, live: &Live, pauses: &[Pause]) -> Vec<String> {
        let made = table::second(task.made);
        let pause = pause_of(&task, pauses).filter(|_| is_open(task.state));
        let pause = pause.map(|pause| format!("paused: {}", pause.scope));
        let row = Row::of(task, live);
        let id: String = row.id.chars().take(SHORT_ID).collect();
        let why = match (&row.run, pause) {
            (Some(run), _) => format!("attempt {} since {}", run.attempt, run.since),
            (None, Some(pause)) => pause,
            (None, None) => row.waits().unwrap_or_else(|| self.why(&id, &row)),
        };
        let shadow = if row.shadow { " (shadow)" } else { "" };
        vec![
            id,
            format!("{}{shadow}", row.state),
            row.attempts.to_string(),
            made,
            row.handler,
            why,
        ]
    }

    /// Why a task failed: with what to do about it, the first time.
    fn why(&mut self, id: &str, row: &Row) -> String {
        let Some(error) = &row.error else {
            return String::new();
        };
        let why = match row.code {
            Some(code) => format!("{code} {error}"),
            None => error.clone(),
        };
        let Some(first) = self.0.get(&why) else {
            self.0.insert(why.clone(), id.to_owned());
            return why;
        };
        // Lines of a message are written as they stand in a log.
        let line = why.split("\\n").next().unwrap_or_default();
        if line == why {
            return why;
        }
        format!("{line} (as {first})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Live, Row};

    fn row(error: &str) -> Row {
        let task = super::super::next::tests_task();
        let mut row = Row::of(task, &Live::default());
        row.error = Some(error.to_owned());
        row
    }

    #[test]
    fn the_lines_to_add_are_told_once() {
        let mut known = Known::default();
        let message = "may not keep values; add\\n\\n    [grants.p]\\n    kv = true";
        assert_eq!(known.why("aa", &row(message)), message);
        assert_eq!(
            known.why("bb", &row(message)),
            "may not keep values; add (as aa)"
        );
        assert_eq!(known.why("cc", &row("short")), "short");
        assert_eq!(known.why("dd", &row("short")), "short");
    }
}
