//! `gwasp version`: what this program is, and what it fits.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::table;
use crate::plugins::WIT_VERSION;

/// The engine of the lock file; it does not tell its version itself.
const WASMTIME: &str = "48.0.8";

/// Shows the version of the host and of what must fit it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What fits together.
#[derive(Debug, Serialize)]
struct Versions {
    host: &'static str,
    /// The boundary to plugins; any of these, with any third number.
    wit: [&'static str; 1],
    sdk: &'static str,
    store_format: i64,
    wasmtime: &'static str,
}

const VERSIONS: Versions = Versions {
    host: env!("CARGO_PKG_VERSION"),
    wit: [WIT_VERSION],
    // All packages of the workspace bear one version.
    sdk: env!("CARGO_PKG_VERSION"),
    store_format: gwasp_store::FORMAT,
    wasmtime: WASMTIME,
};

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.json {
        table::print_json(&[VERSIONS])?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "gwasp         {}", VERSIONS.host)?;
    writeln!(
        out,
        "plugins       gwasp:plugin {}",
        VERSIONS.wit.join(", ")
    )?;
    writeln!(out, "gwasp-sdk     {}", VERSIONS.sdk)?;
    writeln!(out, "store format  {}", VERSIONS.store_format)?;
    writeln!(out, "wasmtime      {}", VERSIONS.wasmtime)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_that_of_the_lock_file() {
        let lock: toml::Table = include_str!("../../../Cargo.lock").parse().unwrap();
        let packages = lock["package"].as_array().unwrap();
        let engine = packages
            .iter()
            .find(|package| package["name"].as_str() == Some("wasmtime"));
        assert_eq!(engine.unwrap()["version"].as_str(), Some(WASMTIME));
    }

    #[test]
    fn the_sdk_has_the_version_of_the_host() {
        let manifest = include_str!("../../../guest-sdk/Cargo.toml");
        assert!(manifest.contains("version.workspace = true"));
    }
}
