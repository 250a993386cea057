//! `gwasp task`.

mod effects;
mod resume;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use gwasp_store::{PacketSeq, Reader, State, TaskDetail, TaskFilter, TaskFound, TaskView};
use serde::Serialize;

use super::store::StoreArgs;
use super::table;

/// Looks at tasks.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists tasks, newest first.
    List(ListArgs),
    /// Shows one task with its failed attempts.
    Show(ShowArgs),
    /// Puts a task that was set aside back into its queue; it goes on where it failed.
    Resume(resume::Args),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Only tasks that are set aside.
    #[arg(long)]
    dead: bool,
    /// Only tasks of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
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

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
        Command::Resume(args) => resume::run(args),
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
    ended: Option<String>,
    cpu_us: u64,
    packet: Option<i64>,
    kind: Option<String>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    effects: Vec<effects::Effect>,
}

impl Row {
    fn of(task: TaskView) -> Self {
        let (kind, error) = task
            .failure
            .map(|failure| (failure.kind, failure.message))
            .unzip();
        Self {
            id: task.id.to_string(),
            handler: format!("{}.{}", task.plugin, task.handler),
            queue: task.queue,
            state: state(task.state),
            attempts: task.attempts,
            made: table::moment(task.made),
            due: table::moment(task.due),
            ended: task.ended.map(table::moment),
            cpu_us: task.cpu / 1_000,
            packet: task.packet.map(|PacketSeq(seq)| seq),
            kind,
            error,
            result: None,
            effects: Vec::new(),
        }
    }
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let filter = TaskFilter {
        state: args.dead.then_some(State::Failure),
        queue: args.queue.clone(),
        limit: Some(args.limit),
        ..TaskFilter::default()
    };
    let rows: Vec<Row> = args
        .store
        .open()?
        .tasks(&filter)?
        .into_iter()
        .map(Row::of)
        .collect();
    if args.json {
        table::print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            vec![
                row.id,
                row.state.to_owned(),
                row.attempts.to_string(),
                row.handler,
                row.made,
                row.error.unwrap_or_default(),
            ]
        })
        .collect();
    table::print(
        &["ID", "STATE", "TRIES", "HANDLER", "MADE", "ERROR"],
        &cells,
    )?;
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let detail = find(&reader, &args.id)?;
    let effects = effects::of(&reader.journal(detail.task.id)?)?;
    if args.json {
        let mut row = Row::of(detail.task);
        row.result = detail
            .result
            .map(|result| String::from_utf8_lossy(&result).into_owned());
        row.effects = effects;
        table::print_json(&[row])?;
    } else {
        print(detail)?;
        effects::print(&effects)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The task whose id begins with `id`.
fn find(reader: &Reader, id: &str) -> anyhow::Result<TaskDetail> {
    match reader.task(id)? {
        TaskFound::One(detail) => Ok(*detail),
        TaskFound::None => bail!("there is no task {id}: it expired, or never was"),
        TaskFound::Several(ids) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            bail!("{id} is the beginning of several tasks: {}", ids.join(", "))
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
        "state     {} after {} attempts",
        row.state, row.attempts
    )?;
    writeln!(out, "made      {}", row.made)?;
    writeln!(out, "ended     {}", optional(row.ended))?;
    writeln!(out, "cpu       {} µs", row.cpu_us)?;
    writeln!(
        out,
        "packet    {}",
        optional(row.packet.map(|seq| seq.to_string()))
    )?;
    if let Some(result) = detail.result {
        writeln!(out, "result    {}", String::from_utf8_lossy(&result))?;
    }
    if row.state == "FAILURE" {
        let decision = match row.kind.as_deref() {
            Some("in-doubt") => " --done, or --not-done",
            _ => "",
        };
        writeln!(out, "next      gwasp task resume {}{decision}", row.id)?;
    }
    for attempt in detail.failed {
        let failure = attempt.failure;
        writeln!(
            out,
            "attempt {} failed {}",
            attempt.attempt,
            table::moment(attempt.at)
        )?;
        writeln!(out, "  {}: {}", failure.kind, failure.message)?;
        for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(())
}

const fn state(state: State) -> &'static str {
    match state {
        State::Pending => "PENDING",
        State::Retry => "RETRY",
        State::Parked => "PARKED",
        State::Success => "SUCCESS",
        State::Failure => "FAILURE",
        State::Revoked => "REVOKED",
    }
}
