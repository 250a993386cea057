//! `gwasp task`.

mod decide;
mod effects;
mod resume;

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use gwasp_store::{
    FailedAttempt, PacketSeq, Reader, State, TaskDetail, TaskFilter, TaskFound, TaskId, TaskView,
};
use serde::Serialize;

pub(super) use effects::columns as read_effect;

use super::store::{ListArgs, StoreArgs};
use super::table::{self, Column};
use crate::complaint::Said;
use crate::explain::{Code, code};
use crate::text::printable;

/// Looks at tasks, and decides about them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists tasks, newest first.
    List(TaskListArgs),
    /// Shows one task with its failed attempts.
    Show(ShowArgs),
    /// Puts a task in FAILURE back into its queue; it goes on where it failed.
    Resume(resume::Args),
    /// Has tasks in FAILURE begin anew: what they did is done again.
    Restart(decide::Args),
    /// Ends tasks in FAILURE.
    Drop(decide::Args),
    /// Ends tasks that wait, run or are in FAILURE.
    Revoke(decide::Args),
}

#[derive(Debug, clap::Args)]
struct TaskListArgs {
    #[command(flatten)]
    list: ListArgs,
    /// Only tasks in FAILURE: they are set aside until somebody resumes them.
    #[arg(long)]
    dead: bool,
    /// Only tasks of this queue.
    #[arg(long)]
    queue: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The task's id, or its beginning.
    id: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
        Command::Resume(args) => resume::run(args).await,
        Command::Restart(args) => decide::run(args, "restart").await,
        Command::Drop(args) => decide::run(args, "drop").await,
        Command::Revoke(args) => decide::run(args, "revoke").await,
    }
}

#[derive(Serialize)]
struct Row {
    id: String,
    handler: String,
    queue: String,
    state: &'static str,
    attempts: u32,
    made: String,
    due: String,
    /// It waits for tasks that it called.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    waits_for_others: bool,
    /// Those of them that have not ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits_for: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    ended: Option<String>,
    cpu_us: u64,
    packet: Option<i64>,
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    effects: Vec<effects::Effect>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

impl Row {
    fn of(task: TaskView) -> Self {
        let (kind, error) = task
            .failure
            .map(|failure| (failure.kind, failure.message))
            .unzip();
        let code = kind.as_deref().zip(error.as_deref());
        Self {
            id: task.id.to_string(),
            handler: format!("{}.{}", task.plugin, task.handler),
            queue: task.queue,
            state: task.state.as_str(),
            attempts: task.attempts,
            made: table::moment(task.made),
            due: table::moment(task.due),
            waits_for_others: task.waits_for_others,
            waits_for: Vec::new(),
            deadline: task.deadline.map(table::moment),
            ended: task.ended.map(table::moment),
            cpu_us: task.cpu / 1_000,
            packet: task.packet.map(|PacketSeq(seq)| seq),
            code: code.and_then(|(kind, error)| Code::of_failure(kind, error)),
            kind,
            error,
            result: None,
            effects: Vec::new(),
            shadow: false,
        }
    }
}

impl Row {
    /// What a task waits for that is parked.
    fn waits(&self) -> Option<String> {
        if self.state != State::Parked.as_str() {
            return None;
        }
        Some(if self.waits_for_others {
            "waits for tasks that it called".to_owned()
        } else {
            format!("sleeps until {}", self.due)
        })
    }
}

const COLUMNS: [Column; 6] = [
    Column::stays("ID"),
    Column::stays("STATE"),
    Column::out("TRIES", 2),
    Column::out("MADE", 3),
    Column::stays("HANDLER"),
    Column::below("ERROR", 1),
];

fn list(args: &TaskListArgs) -> anyhow::Result<ExitCode> {
    let filter = TaskFilter {
        state: args.dead.then_some(State::Failure),
        queue: args.queue.clone(),
        limit: Some(args.list.limit),
        ..TaskFilter::default()
    };
    let tasks = args.list.store.open()?.tasks(&filter)?;
    if args.list.json {
        let rows: Vec<Row> = tasks.into_iter().map(Row::of).collect();
        table::print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = tasks.into_iter().map(cells).collect();
    table::print(&COLUMNS, &cells)?;
    Ok(ExitCode::SUCCESS)
}

/// A task in a line of a terminal: `gwasp task show` takes the beginning of an id.
fn cells(task: TaskView) -> Vec<String> {
    const ID: usize = 13;
    let made = table::second(task.made);
    let row = Row::of(task);
    let error = row.waits().or(row.error).unwrap_or_default();
    // Lines of a message are written as they stand in a log.
    let first = error.split("\\n").next().unwrap_or_default();
    vec![
        row.id.chars().take(ID).collect(),
        row.state.to_owned(),
        row.attempts.to_string(),
        made,
        row.handler,
        match row.code {
            Some(code) => format!("{code} {first}"),
            None => first.to_owned(),
        },
    ]
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let detail = find(&reader, &args.id)?;
    let (effects, is_shadow) = effects::of(&reader.journal(detail.task.id)?)?;
    if args.json {
        let mut row = Row::of(detail.task);
        row.result = detail
            .result
            .map(|result| String::from_utf8_lossy(&result).into_owned());
        row.waits_for = names(&detail.waits_for);
        row.effects = effects;
        row.shadow = is_shadow;
        table::print_json(&[row])?;
    } else {
        print(detail)?;
        if is_shadow {
            let mut out = std::io::stdout().lock();
            writeln!(out, "mode      shadow: nothing that it asked for was made")?;
        }
        effects::print(&effects)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn names(tasks: &[TaskId]) -> Vec<String> {
    tasks.iter().map(ToString::to_string).collect()
}

/// The task whose id begins with `id`.
fn find(reader: &Reader, id: &str) -> anyhow::Result<TaskDetail> {
    match reader.task(id)? {
        TaskFound::One(detail) => Ok(*detail),
        TaskFound::None => {
            let text = format!("there is no task {id}: it expired, or never was");
            Err(Said::new(code::UNKNOWN, text).into())
        }
        TaskFound::Several(ids) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let text = format!("{id} is the beginning of several tasks: {}", ids.join(", "));
            Err(Said::new(code::AMBIGUOUS, text).into())
        }
    }
}

fn print(detail: TaskDetail) -> std::io::Result<()> {
    let version = detail
        .task
        .version
        .map(|digest| crate::packet::Digest::from_bytes(digest).to_string());
    let row = Row::of(detail.task);
    let mut out = std::io::stdout().lock();
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    writeln!(out, "task      {}", row.id)?;
    writeln!(out, "handler   {}", row.handler)?;
    writeln!(out, "version   {}", optional(version))?;
    writeln!(out, "queue     {}", row.queue)?;
    writeln!(
        out,
        "state     {} after {} attempt{}",
        row.state,
        row.attempts,
        if row.attempts == 1 { "" } else { "s" }
    )?;
    if let Some(waits) = row.waits() {
        writeln!(out, "waits     {waits}")?;
    }
    for task in names(&detail.waits_for) {
        writeln!(out, "            {task}")?;
    }
    writeln!(out, "made      {}", row.made)?;
    if let Some(deadline) = row.deadline {
        writeln!(out, "deadline  {deadline}")?;
    }
    writeln!(out, "ended     {}", optional(row.ended))?;
    writeln!(out, "cpu       {} µs", row.cpu_us)?;
    writeln!(
        out,
        "packet    {}",
        optional(row.packet.map(|seq| seq.to_string()))
    )?;
    if let Some(result) = detail.result {
        let result = String::from_utf8_lossy(&result);
        // Lines of a result stand under it, so that none reads as a line of this table.
        let result = printable(&result).replace('\n', "\n          ");
        writeln!(out, "result    {result}")?;
    }
    if row.state == State::Delivered.as_str() {
        writeln!(
            out,
            "next      the task that called it was told; `gwasp task resume {}` has it go on",
            row.id
        )?;
    }
    if row.state == "FAILURE" {
        let decision = match row.kind.as_deref() {
            Some("in-doubt") => " --done, or --not-done",
            _ => "",
        };
        writeln!(
            out,
            "next      set aside until `gwasp task resume {}{decision}`",
            row.id
        )?;
    }
    if let Some(code) = row.code {
        writeln!(out, "explain   gwasp explain {code}: {}", code.title())?;
    }
    print_failed(&mut out, &detail.failed)
}

/// Each failed attempt; one that failed as an earlier one did points to it.
fn print_failed(out: &mut impl Write, failed: &[FailedAttempt]) -> std::io::Result<()> {
    for (index, attempt) in failed.iter().enumerate() {
        let (number, failure) = (attempt.attempt, &attempt.failure);
        let at = table::moment(attempt.at);
        let earlier = failed[..index].iter().find(|one| one.failure == *failure);
        if let Some(earlier) = earlier {
            let first = earlier.attempt;
            writeln!(out, "attempt {number} failed {at}, as attempt {first}")?;
            continue;
        }
        writeln!(out, "attempt {number} failed {at}")?;
        // A message is kept as one line for logs; here its lines may stand.
        let message = table::clean(&failure.message).replace("\\n", "\n    ");
        let code = Code::of_failure(&failure.kind, &failure.message);
        let code = code.map_or_else(String::new, |code| format!("[{code}]"));
        writeln!(out, "  {}{code}: {}", failure.kind, message.trim_end())?;
        for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
            writeln!(out, "    {}", printable(line))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gwasp_store::{FailedAttempt, Failure};

    use super::print_failed;

    #[test]
    fn a_failure_neither_drives_a_terminal_nor_forges_a_line() {
        let failed = FailedAttempt {
            attempt: 1,
            at: 0,
            failure: Failure {
                kind: "journal".to_owned(),
                message: "asked\u{9b}2J\nattempt 2 forged\\nand on".to_owned(),
                detail: Some("one\x1b[2J\ntwo".to_owned()),
            },
        };
        let mut out = Vec::new();
        print_failed(&mut out, &[failed]).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  journal[E0310]: asked\\u{9b}2J",
                "    attempt 2 forged",
                "    and on",
                "    one\\u{1b}[2J",
                "    two"
            ]
        );
    }
}
