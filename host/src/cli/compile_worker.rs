//! `gwasp compile-worker`: the child that compiles one component under limits.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::plugins::compile_worker;

/// Compiles IN to OUT.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    input: PathBuf,
    output: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match compile_worker(&args.input, &args.output) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err((code, message)) => {
            super::complain(&anyhow::anyhow!(message));
            Ok(ExitCode::from(code))
        }
    }
}
