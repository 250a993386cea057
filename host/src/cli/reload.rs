//! `gwasp reload`: has a running host take its configuration and plugins as they are now.

use std::process::ExitCode;

use super::control::HostArgs;
use super::{exit, plugin, table};
use crate::complaint::code_of;
use crate::control::ClientError;
use crate::explain::code;
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

/// Whether the configuration cannot be used: the host says so, or it cannot even be read to find
/// the host.
fn is_refused(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused(problem)) => problem.code().is_some(),
        Some(_) => false,
        None => matches!(
            code_of(error.as_ref()),
            Some(code::CONFIG | code::CONFIG_NAME | code::CONFIG_FILE)
        ),
    }
}
