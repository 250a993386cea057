//! `gwasp task`.

mod decide;
mod effects;
mod filter;
mod list;
mod live;
mod next;
mod rerun;
mod resume;
mod show;

use std::process::ExitCode;

use clap::Subcommand;
use gwasp_store::{PacketSeq, Reader, State, TaskDetail, TaskFound, TaskId, TaskView};
use serde::Serialize;

pub(super) use effects::columns as read_effect;

use super::table;
use crate::complaint::Said;
use crate::control::RunningTask;
use crate::explain::{Code, code};
pub(super) use live::Live;
#[cfg(test)]
pub(super) use next::tests_task;

/// Looks at tasks, and decides about them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Rerun(rerun::Args),
    Resume(resume::Args),
    /// Has tasks in FAILURE begin anew: what they did is done again.
    Restart(decide::Args),
    /// Ends tasks in FAILURE.
    Drop(decide::Args),
    /// Ends tasks that wait, run or are in FAILURE.
    Revoke(decide::Args),
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Rerun(args) => rerun::run(args).await,
        Command::Resume(args) => resume::run(args).await,
        Command::Restart(args) => decide::run(args, "restart").await,
        Command::Drop(args) => decide::run(args, "drop").await,
        Command::Revoke(args) => decide::run(args, "revoke").await,
    }
}

/// The word for a task that a handler runs for, which only the running host knows.
pub(super) const STARTED: &str = "STARTED";

/// How much of a task's id is told: commands take the beginning.
pub(super) const SHORT_ID: usize = 13;

/// A task, as a program reads it.
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
    /// The run that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunRow>,
    ended: Option<String>,
    cpu_us: u64,
    packet: Option<i64>,
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

/// A run that is under way.
#[derive(Serialize)]
struct RunRow {
    attempt: u32,
    since: String,
}

impl Row {
    fn of(task: TaskView, live: &Live) -> Self {
        let id = task.id.to_string();
        let run = live.of(&id).filter(|_| is_open(task.state));
        let run = run.map(|run: &RunningTask| RunRow {
            attempt: run.attempt,
            since: format!("{:.3}", run.since),
        });
        let (kind, error) = task
            .failure
            .map(|failure| (failure.kind, failure.message))
            .unzip();
        let code = kind.as_deref().zip(error.as_deref());
        Self {
            id,
            handler: format!("{}.{}", task.plugin, task.handler),
            queue: task.queue,
            state: run.as_ref().map_or(task.state.as_str(), |_| STARTED),
            run,
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
            shadow: task.is_shadow,
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

/// Whether a task may run: one that ended since the host was asked does not.
const fn is_open(state: State) -> bool {
    matches!(state, State::Pending | State::Retry | State::Parked)
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
