//! `cargo xtask bench`: the host beside its floors, as a process, over an archive,
//! and beside other programs;
//! `cargo xtask bench bayestar`: sky localization beside ligo.skymap.

mod archive;
mod bayestar;
mod beside;
mod figures;
mod process;

use std::process::ExitCode;

use anyhow::Result;

use crate::build::{self, Built};
use crate::{machine, peers, step};

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    part: Option<Part>,

    /// Leaves out Comet and pygcn.
    #[arg(long)]
    quick: bool,

    /// Multiplies the number of turns.
    #[arg(long, value_name = "N", default_value_t = 1)]
    scale: u32,

    /// Writes one JSON object a figure to standard output.
    #[arg(long)]
    json: bool,

    /// Installs what is missing without asking.
    #[arg(long)]
    yes: bool,
}

/// What has a bench of its own.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Measures sky localization beside ligo.skymap, and writes docs/measurements.md.
    Bayestar(bayestar::Args),
}

/// Builds what is released, and measures it.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let Some(Part::Bayestar(args)) = &args.part {
        return bayestar::run(args);
    }
    if !args.quick {
        machine::install_test_packages(args.yes)?;
    }
    let built = build::to_measure(args.yes)?;
    step::run("measuring the host's parts", &mut parts(args, &built))?;
    let directory = built.target.join("bench");
    step::say("measuring the host as a process");
    let mut found = process::figures(&built.gwasp(), &directory)?;
    step::say("measuring a back-test");
    found.extend(archive::figures(&built.gwasp(), &directory)?);
    if args.quick {
        step::say("skipped: Comet and pygcn; without `--quick` they are measured, too");
    } else {
        let venv = peers::python(&built.target)?;
        step::say("measuring the host, Comet and pygcn with the same notices");
        found.extend(beside::figures(
            &built.gwasp(),
            &venv,
            &directory,
            args.scale,
        )?);
    }
    figures::print(&found, args.json);
    Ok(ExitCode::SUCCESS)
}

fn parts(args: &Args, built: &Built) -> std::process::Command {
    let mut bench = built.gwasp().command();
    bench
        .arg("bench")
        .arg("--plugin")
        .arg(built.test_plugins.join("bench-probe.wasm"))
        .args(["--scale", &args.scale.to_string()]);
    if args.json {
        bench.arg("--json");
    }
    bench
}
