//! `cargo bench --package gwasp`: builds the bench plugin and runs `gwasp bench` with it.
//!
//! What follows `--` is passed on, e.g. `-- tasks --json`.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

fn main() -> Result<ExitCode> {
    let gwasp = env!("CARGO_BIN_EXE_gwasp");
    let (repository, out) = (
        concat!(env!("CARGO_MANIFEST_DIR"), "/.."),
        concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-plugins"),
    );
    let built = Command::new(gwasp)
        .current_dir(repository)
        .args(["build", "tests/guests/bench", "--out", out])
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("starting {gwasp}"))?;
    ensure!(built.success(), "the bench plugin was not built");
    let measured = Command::new(gwasp)
        .args(["bench", "--plugin", &format!("{out}/bench-probe.wasm")])
        // Cargo says so to every harness.
        .args(std::env::args().skip(1).filter(|arg| arg != "--bench"))
        .status()
        .with_context(|| format!("starting {gwasp}"))?;
    Ok(match measured.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
