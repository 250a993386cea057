//! `gwasp skymap`: sky maps of gravitational-wave candidates.
//!
//! Thin over [`gwasp_kernels`], which knows neither files nor terminals: this module reads and
//! writes them, and stops a computation when the user does.

mod file;
mod flatten;
mod info;
mod interrupt;
mod localize;

use std::process::ExitCode;

use clap::Subcommand;
use gwasp_kernels::work::CancelToken;

use super::exit;

/// Makes, describes and converts gravitational-wave sky maps.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Localize(localize::Args),
    Info(info::Args),
    Flatten(flatten::Args),
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cancel = CancelToken::new();
    let result = match &args.command {
        Command::Localize(args) => localize::run(args, &cancel),
        Command::Info(args) => return info::run(args),
        Command::Flatten(args) => flatten::run(args, &cancel),
    };
    match result {
        // Whatever it says then, it was stopped.
        Err(_) if cancel.is_cancelled() => {
            super::complain(&anyhow::anyhow!("interrupted: nothing was written"));
            Ok(ExitCode::from(exit::INTERRUPTED))
        }
        other => other.map(|()| ExitCode::SUCCESS),
    }
}
