//! `gwasp reload`: has a running host take its configuration and plugins as they are now.

use std::process::ExitCode;

use super::control::HostArgs;
use super::{exit, plugin, table};
use crate::control::ClientError;
use crate::settings::ReloadAnswer;

/// Has a running host read its configuration again, then look at its plugin directory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All or nothing: a configuration that cannot be used changes nothing, is shown with \
                  its line, and the exit code is 78. What needs a restart is named, and the rest of \
                  the change is applied. Exit code 1: a plugin was refused; what was loaded stays.\n\n\
                  SIGHUP does the same, does not wait, and answers in the log."
)]
pub(super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// Waits until all of it is done; it always does, and scripts that say so are plainer.
    #[arg(long)]
    wait: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let _always = args.wait;
    let answer: ReloadAnswer = match args.host.post("/v1/reload", &()).await {
        Ok(answer) => answer,
        Err(error) if is_refused(&error) => {
            super::complain(&error);
            return Ok(ExitCode::from(exit::CONFIG));
        }
        Err(error) => return Err(error),
    };
    if args.json {
        table::print_json(&[&answer])?;
        return Ok(plugin::code(&answer.plugins));
    }
    let changes = &answer.config;
    if changes.is_empty() {
        table::say("nothing changed in the configuration")?;
    }
    for key in &changes.applied {
        table::say(&format!("{key}: applied"))?;
    }
    for key in &changes.needs_restart {
        table::say(&format!("{key}: needs a restart"))?;
    }
    plugin::tell(&answer.plugins)
}

/// Whether the host could not use the configuration.
fn is_refused(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<ClientError>();
    matches!(refused, Some(ClientError::Refused(problem)) if problem.code().is_some())
}
