//! `gwasp compile-worker`: the child that compiles one plugin under limits.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::plugins::{AddressSpace, compile_worker};

/// Compiles IN to OUT.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    input: PathBuf,
    output: PathBuf,
    /// How much address space the process has that runs the code.
    #[arg(long, value_enum)]
    address_space: Space,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Space {
    Ample,
    Short,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let space = match args.address_space {
        Space::Ample => AddressSpace::Ample,
        Space::Short => AddressSpace::Short,
    };
    match compile_worker(&args.input, &args.output, space) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err((code, message)) => {
            // The parent puts it into a sentence of its own.
            write!(std::io::stderr(), "{message}")?;
            Ok(ExitCode::from(code))
        }
    }
}
