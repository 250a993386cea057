//! `gwasp task restart|drop|revoke`, and which tasks are meant.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{anyhow, ensure};

use super::filter::Filter;
use super::find;
use crate::cli::control::HostArgs;
use crate::cli::{complain, table};
use crate::control::{TaskAnswer, Tasks, TasksRequest};

/// Which tasks are meant: by id, or by what they have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Ids, or their beginnings.
    #[arg(value_name = "ID", conflicts_with_all = ["dead", "queue", "handler", "since", "error"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Does not ask before it does something to all tasks that match.
    #[arg(long)]
    yes: bool,
}

impl Which {
    /// The tasks, as the host is asked for them.
    pub(super) fn tasks(&self, host: &HostArgs, verb: &str) -> anyhow::Result<Tasks> {
        if !self.ids.is_empty() {
            let reader = host.store().open()?;
            let id = |id: &String| Ok(find(&reader, id)?.task.id.to_string());
            let ids = self.ids.iter().map(id).collect::<anyhow::Result<_>>()?;
            return Ok(Tasks::Ids(ids));
        }
        ensure!(
            self.filter.is_any(),
            "name tasks by their ids, or by what they have in common, e.g. `--dead --queue general`"
        );
        if !self.yes {
            ask(verb)?;
        }
        Ok(Tasks::Matching(self.filter.matching()?))
    }
}

fn ask(verb: &str) -> anyhow::Result<()> {
    ensure!(
        std::io::stdin().is_terminal(),
        "to {verb} all tasks that match, add `--yes`; `gwasp task list` shows them"
    );
    table::say(&format!("{verb} all tasks that match? [y/N]"))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    ensure!(answer.trim().eq_ignore_ascii_case("y"), "nothing was done");
    Ok(())
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    which: Which,
    /// One JSON object a task.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, verb: &str) -> anyhow::Result<ExitCode> {
    let tasks = args.which.tasks(&args.host, verb)?;
    let path = format!("/v1/tasks/{verb}");
    let answers: Vec<TaskAnswer> = args.host.post(&path, &TasksRequest { tasks }).await?;
    tell(&answers, args.json)
}

/// Says what came of each; fails where something was not done.
pub(super) fn tell(answers: &[TaskAnswer], json: bool) -> anyhow::Result<ExitCode> {
    if json {
        table::print_json(answers)?;
    } else {
        for answer in answers {
            let text = format!("{} {}", answer.task, answer.text);
            if answer.is_done {
                table::say(&text)?;
            } else {
                complain(&anyhow!(text));
            }
        }
        if answers.is_empty() {
            table::say("no task matches")?;
        }
    }
    let all = answers.iter().all(|answer| answer.is_done);
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
