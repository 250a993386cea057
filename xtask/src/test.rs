//! `cargo xtask test`: every test, with what they need.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::build::{self, Built, cargo};
use crate::{machine, peers, step};

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leaves out what needs other people's servers.
    #[arg(long)]
    quick: bool,

    /// Installs what is missing without asking.
    #[arg(long)]
    yes: bool,

    /// Passed on: names of tests, or options of the test runner.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Sets up what is missing, builds, and runs the tests.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(
        !(args.quick && machine::in_ci()),
        "`--quick` leaves tests out, and CI is set: run `cargo xtask test` without it"
    );
    if !args.quick {
        machine::install_test_packages(args.yes)?;
    }
    let built = build::host_and_plugins(args.yes)?;
    let venv = if args.quick {
        None
    } else {
        Some(peers::python(&built.target)?)
    };
    let mut tests = runner(&built)?;
    if let Some(venv) = &venv {
        tests.env("GWASP_PEERS_VENV", venv);
    } else {
        tests.env_remove("GWASP_PEERS_VENV");
    }
    step::run("running the tests", tests.args(&args.rest))?;
    if args.rest.is_empty() {
        step::run(
            "running the examples in the documentation",
            &mut doctests()?,
        )?;
    }
    if args.quick {
        step::say(
            "skipped: tests against comet, pygcn and supervisord; `cargo xtask test` runs them",
        );
    }
    if std::env::var_os("GWASP_SKYMAP_VENV").is_none() {
        step::say(
            "skipped: ligo.skymap, healpy and astropy reading our sky maps; `cargo xtask soak` \
             runs that, and so do tests with GWASP_SKYMAP_VENV, their Python environment",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The test runner with the environment that the end-to-end tests read.
pub(crate) fn runner(built: &Built) -> Result<Command> {
    let mut command = cargo()?;
    if step::succeeds(cargo()?.args(["nextest", "--version"])) {
        command.args(["nextest", "run", "--workspace"]);
    } else {
        command.args(["test", "--workspace", "--lib", "--bins", "--tests"]);
    }
    command
        .env("GWASP_BIN", &built.binary)
        .env("GWASP_PLUGINS", &built.plugins)
        .env("GWASP_TEST_PLUGINS", &built.test_plugins);
    Ok(command)
}

fn doctests() -> Result<Command> {
    let mut command = cargo()?;
    command.args(["test", "--workspace", "--doc", "--quiet"]);
    Ok(command)
}
