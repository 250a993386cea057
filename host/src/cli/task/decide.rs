//! `gwasp task restart|drop|revoke`, and which tasks are meant.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{anyhow, bail, ensure};

use super::find;
use crate::cli::control::HostArgs;
use crate::cli::{complain, table};
use crate::control::{Matching, TaskAnswer, Tasks, TasksRequest};

/// Which tasks are meant: by id, or by what they have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Ids, or their beginnings.
    #[arg(value_name = "ID", conflicts_with_all = ["dead", "queue", "handler", "since", "error"])]
    ids: Vec<String>,
    /// All that are set aside.
    #[arg(long)]
    dead: bool,
    /// All of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// All of this handler, PLUGIN.HANDLER.
    #[arg(long, value_name = "PLUGIN.HANDLER")]
    handler: Option<String>,
    /// Only those made since, e.g. 2h or 2026-01-31T03:00Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<jiff::Timestamp>,
    /// Only those whose last failure has this text.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Does not ask before it does something to all tasks that match.
    #[arg(long)]
    yes: bool,
}

/// A moment: a time ago, or a date and time.
fn since(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = jiff::SignedDuration::try_from(ago).map_err(|error| error.to_string())?;
        return jiff::Timestamp::now()
            .checked_sub(ago)
            .map_err(|error| error.to_string());
    }
    text.parse().map_err(|error| {
        format!("write a time ago, such as 2h, or a date and time with its zone ({error})")
    })
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
        let named = [&self.queue, &self.handler, &self.error];
        let is_any = self.dead || self.since.is_some() || named.into_iter().any(Option::is_some);
        ensure!(
            is_any,
            "name tasks by their ids, or by what they have in common, e.g. `--dead --queue general`"
        );
        if !self.yes {
            ask(verb)?;
        }
        let (plugin, handler) = match &self.handler {
            Some(name) => match name.split_once('.') {
                Some((plugin, handler)) => (Some(plugin.to_owned()), Some(handler.to_owned())),
                None => bail!("`{name}` is no handler; write PLUGIN.HANDLER"),
            },
            None => (None, None),
        };
        Ok(Tasks::Matching(Matching {
            dead: self.dead,
            queue: self.queue.clone(),
            plugin,
            handler,
            since: self.since,
            error: self.error.clone(),
        }))
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
