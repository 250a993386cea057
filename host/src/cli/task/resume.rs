//! `gwasp task resume`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use gwasp_store::{OpenError, Options, State, Store, TaskDetail};

use super::{find, state};
use crate::cli::store::{StoreArgs, explained};
use crate::cli::{complain, exit, table};
use crate::effects::{Decision, resumption};
use crate::packet::unix_nanos;

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
The host that uses the store must be stopped meanwhile.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The task's id, or its beginning.
    id: String,
    /// The effect in doubt happened: the handler goes on as if it was answered with HTTP 200.
    #[arg(long, conflicts_with = "not_done")]
    done: bool,
    /// The effect in doubt did not happen: it is made again.
    #[arg(long)]
    not_done: bool,
    /// Body of the answer that the handler sees with `--done` [default: empty].
    #[arg(long, value_name = "FILE", requires = "done")]
    answer: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let detail = find(&reader, &args.id)?;
    check(&detail)?;
    warn_of_deadline(&detail);
    let (task, ended) = (detail.task.id, detail.task.ended);
    let failure = detail.task.failure;
    let is_in_doubt = failure.is_some_and(|failure| failure.kind == "in-doubt");
    let plan = resumption(&reader.journal(task)?, is_in_doubt, decision(args)?)?;
    drop(reader);

    let options = Options {
        removes: false,
        ..Options::default()
    };
    let store = match Store::open(&args.store.directory()?, options) {
        Ok(store) => store,
        Err(error @ OpenError::Locked { .. }) => {
            let error = explained(error);
            complain(&error.context("stop the host, resume the task, start the host"));
            return Ok(ExitCode::from(exit::TRY_LATER));
        }
        Err(error) => return Err(error.into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let resumed = runtime.block_on(async {
        let resumed = store.resume((task, ended), plan.keep, plan.replace).await;
        store.close().await?;
        resumed
    })?;
    ensure!(resumed, "task {task} is not set aside any more");
    writeln!(
        std::io::stdout().lock(),
        "task {task} waits in the queue `{}`; {} of its effects are replayed",
        detail.task.queue,
        plan.keep
    )?;
    Ok(ExitCode::SUCCESS)
}

fn check(detail: &TaskDetail) -> anyhow::Result<()> {
    let task = &detail.task;
    match task.state {
        State::Failure => Ok(()),
        State::Pending | State::Retry | State::Parked => bail!(
            "task {} is {}: it goes on by itself once the host runs",
            task.id,
            state(task.state)
        ),
        State::Success | State::Revoked => bail!(
            "task {} is {}: there is nothing to resume",
            task.id,
            state(task.state)
        ),
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
