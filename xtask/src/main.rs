//! What a developer does with this repository: `cargo xtask demo`, `test`, `bench` and
//! `soak`.
//!
//! Each says what it does before it does it, passes on what other programs print, and asks
//! before it changes the machine.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is its purpose"
)]

mod bench;
mod build;
mod demo;
mod machine;
mod marks;
mod peers;
mod soak;
mod step;
mod test;

use std::process::ExitCode;

use clap::Parser;

/// Builds, demonstrates and tests GWASP.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Builds the host and the example plugins, sends the example notices to them, and tells
    /// what happens.
    Demo(demo::Args),
    /// Installs what is missing, and runs every test.
    Test(test::Args),
    /// Measures the host beside its floors, beside Comet and beside pygcn.
    Bench(bench::Args),
    /// Runs the fault tests for a long time, and writes their results to
    /// docs/measurements.md.
    Soak(soak::Args),
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Soak(args) => soak::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("xtask: {}", causes.join(": "));
            ExitCode::FAILURE
        }
    }
}
