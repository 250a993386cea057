//! Building the host and the example plugins.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use gwasp_tests::gwasp::Gwasp;
use serde_json::Value;

use crate::step;

/// What was built, and where.
#[derive(Debug)]
pub(crate) struct Built {
    /// The `gwasp` binary.
    pub(crate) binary: PathBuf,
    /// The directory with the example plugins.
    pub(crate) plugins: PathBuf,
    /// The directory with the plugins that tests run.
    pub(crate) test_plugins: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl Built {
    /// The program with its plugins.
    pub(crate) fn gwasp(&self) -> Gwasp {
        Gwasp::new(self.binary.clone(), self.plugins.clone())
    }
}

/// The repository's root.
pub(crate) fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in no folder")
}

/// Starts a command line for the `cargo` in use, in the repository's root.
pub(crate) fn cargo() -> Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()?);
    Ok(command)
}

/// Builds the host (dev profile) and, with it, the example plugins.
pub(crate) fn host_and_plugins(yes: bool) -> Result<Built> {
    with_plugins(host(&[])?, yes)
}

/// Builds the host as it is released, without plugins.
pub(crate) fn released() -> Result<PathBuf> {
    host(&["--release"])
}

/// Builds the host as it is released and, with it, the same plugins.
pub(crate) fn to_measure(yes: bool) -> Result<Built> {
    with_plugins(host(&["--release"])?, yes)
}

fn with_plugins(binary: PathBuf, yes: bool) -> Result<Built> {
    let target = binary
        .parent()
        .and_then(Path::parent)
        .with_context(|| format!("{} lies in no target directory", binary.display()))?
        .to_owned();
    let (plugins, test_plugins) = (target.join("plugins"), target.join("test-plugins"));
    for (sources, out) in [("examples", &plugins), ("tests/guests", &test_plugins)] {
        let mut build = Command::new(&binary);
        build
            .current_dir(root()?)
            .args(["build", sources, "--out"])
            .arg(out)
            .stdout(std::io::stderr());
        if yes {
            build.arg("--yes");
        }
        step::run(&format!("building the plugins in {sources}"), &mut build)?;
    }
    Ok(Built {
        binary,
        plugins,
        test_plugins,
        target,
    })
}

fn host(profile: &[&str]) -> Result<PathBuf> {
    let messages = step::output(
        "building the host",
        cargo()?
            .args(["build", "--package", "gwasp", "--bin", "gwasp"])
            .args(profile)
            .args(["--message-format", "json-render-diagnostics"]),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "gwasp")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo named no binary `gwasp`")
}
