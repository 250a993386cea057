//! `gwasp task resume`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use gwasp_store::{OpenError, Options, State, Store, TaskDetail};

use super::decide::{Which, tell};
use super::find;
use crate::broker::{Embedded, Operations};
use crate::cli::control::{HostArgs, PATIENCE};
use crate::cli::store::explained;
use crate::cli::{complain, exit, table, test};
use crate::complaint::Said;
use crate::control::{ResumeRequest, Settled, TaskAnswer, Tasks, own_name};
use crate::effects::Decision;
use crate::explain::code;
use crate::operations::{self, Versions, Wanted};
use crate::packet::unix_nanos;
use crate::plugins::Ticker;

/// Puts a task that was set aside back into its queue; it goes on where it failed.
///
/// What it did before is not done again. Where nobody knows whether its last effect was done,
/// you find out at the service and say so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp task list --dead                     shows what was set aside
  gwasp task resume 5a3e                     tries again from the step that failed
  gwasp task resume 5a3e --done              the upload in doubt did arrive
  gwasp task resume 5a3e --not-done          it did not: the host makes it again
  gwasp task resume 5a3e --on p@current      goes on with the mended version of its plugin
With --on each task's journal is tried first: a version that asks for something else than the part
of it that the task goes on with is refused, with the first difference, and nothing is changed.
It is the same whether a host runs on the store or not.")]
pub(super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    which: Which,
    /// They go on with this version of their plugin, where it asks for what their journals
    /// hold: the beginning of its digest, or PLUGIN@current.
    #[arg(long, value_name = "VERSION")]
    on: Option<String>,
    /// The effect in doubt happened: the handler goes on as if it was answered with HTTP 200.
    #[arg(long, conflicts_with = "not_done")]
    done: bool,
    /// The effect in doubt did not happen: it is made again.
    #[arg(long)]
    not_done: bool,
    /// Body of the answer that the handler sees with `--done` [default: empty].
    #[arg(long, value_name = "FILE", requires = "done")]
    answer: Option<PathBuf>,
    /// One JSON object a task.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let wanted: Option<Wanted> = args
        .on
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|reason: String| Said::new(code::RESUME, reason))?;
    let tasks = args.which.tasks(&args.host, "resume")?;
    let decision = decision(args)?;
    if let Tasks::Ids(ids) = &tasks {
        let reader = args.host.store().open()?;
        for id in ids {
            let detail = find(&reader, id)?;
            check(&detail, args.on.is_some())?;
            warn_of_deadline(&detail);
        }
    }
    let answers = match args.host.client()? {
        Ok(client) => {
            let decision = decision.map(Settled::from);
            let on = args.on.clone();
            let wish = ResumeRequest {
                tasks,
                decision,
                on,
            };
            client.post("/v1/tasks/resume", &wish, PATIENCE).await?
        }
        Err(directory) => {
            let Some(answers) =
                resume_alone(&directory, tasks, (decision.as_ref(), wanted)).await?
            else {
                return Ok(ExitCode::from(exit::TRY_LATER));
            };
            answers
        }
    };
    tell(&answers, args.json)
}

/// Resumes in a store on which no host runs; nothing where another process has it.
async fn resume_alone(
    directory: &Path,
    tasks: Tasks,
    (decision, wanted): (Option<&Decision>, Option<Wanted>),
) -> anyhow::Result<Option<Vec<TaskAnswer>>> {
    let options = Options {
        removes: false,
        ..Options::default()
    };
    let broker: Arc<dyn Operations> = match Store::open(directory, options) {
        Ok(store) => Arc::new(Embedded::over(store)),
        Err(error @ OpenError::Locked { .. }) => {
            complain(&explained(error));
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let (tasks, who) = (tasks.try_into()?, own_name());
    let resumed = match &wanted {
        None => operations::resume(&broker, tasks, decision, &who).await,
        Some(wanted) => {
            let ticker = Ticker::start().context("no thread for time limits")?;
            let versions = Versions::new(Arc::new(test::loader(&ticker)?), &ticker);
            operations::resume_on(&broker, &versions, wanted, (tasks, decision), &who).await
        }
    };
    broker.close().await?;
    Ok(Some(
        resumed?.into_iter().map(TaskAnswer::of_resumed).collect(),
    ))
}

fn check(detail: &TaskDetail, moves: bool) -> anyhow::Result<()> {
    let task = &detail.task;
    match task.state {
        State::Failure | State::Delivered => Ok(()),
        State::Pending | State::Retry | State::Parked if moves => Ok(()),
        State::Pending | State::Retry | State::Parked => bail!(Said::new(
            code::RESUME,
            format!(
                "task {} is {}: it goes on by itself once the host runs",
                task.id,
                task.state.as_str()
            )
        )),
        State::Success | State::Revoked => bail!(Said::new(
            code::RESUME,
            format!(
                "task {} is {}: there is nothing to resume",
                task.id,
                task.state.as_str()
            )
        )),
    }
}

/// A task that is resumed after its deadline does nothing.
fn warn_of_deadline(detail: &TaskDetail) {
    let now = unix_nanos(jiff::Timestamp::now());
    if let Some(deadline) = detail.task.deadline.filter(|deadline| *deadline < now) {
        complain(&anyhow!(
            "the task's deadline passed at {}: the host will not run it, but end it as REVOKED",
            table::moment(deadline)
        ));
    }
}

fn decision(args: &Args) -> anyhow::Result<Option<Decision>> {
    if args.not_done {
        return Ok(Some(Decision::NotDone));
    }
    if !args.done {
        return Ok(None);
    }
    let body = match &args.answer {
        Some(path) => {
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?
        }
        None => Vec::new(),
    };
    Ok(Some(Decision::Done(body)))
}
