//! Building plugins: from a Rust package to a component that a host can load.
//!
//! **Invariant:** a running host never sees half a file: what is put into a plugin directory is
//! renamed into it.
//!
//! Cargo's output lies in a target directory of its own, so that a host's and a guest's
//! toolchain do not rebuild each other's work. This module asks nobody anything and reads no
//! environment: what changes the machine is named by [`toolchain`] and run by the caller.

pub(crate) mod attempt;
pub(crate) mod component;
pub(crate) mod packages;
pub(crate) mod toolchain;

use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cargo_metadata::{Artifact, Message, TargetKind};

use crate::plugins;
use component::Component;
use packages::{Guest, Workspace};
use toolchain::Toolchain;

/// What a plugin needs of its release profile; passed to Cargo, so that an author's
/// `Cargo.toml` needs none of it. Names stay in: they are a trap's backtrace.
const PROFILE: [&str; 6] = [
    "profile.release.opt-level='s'",
    "profile.release.lto=true",
    "profile.release.codegen-units=1",
    "profile.release.panic='abort'",
    "profile.release.debug=false",
    "profile.release.strip='debuginfo'",
];

/// A smaller stack than Rust's megabyte: it is the largest part of the memory that a fresh
/// instance needs, and kernels before 6.7 clear it between two runs. A handler that needs more
/// traps, and boxes what is large.
const LINKED: &str =
    "target.wasm32-unknown-unknown.rustflags=['-C', 'link-arg=-zstack-size=131072']";

/// Why plugins could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// Cargo could not be started, or its output not be read.
    #[error("running {cargo}")]
    Cargo {
        /// The program.
        cargo: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Cargo reported an error; it is on the terminal already.
    #[error("cargo could not build {packages}; its messages are above")]
    Failed {
        /// The packages that were asked for.
        packages: String,
    },
    /// Cargo ended well, but named no WebAssembly file.
    #[error(
        "cargo built no WebAssembly file for {package}; give its Cargo.toml `[lib] crate-type = [\"cdylib\"]`"
    )]
    NoArtifact {
        /// The package.
        package: String,
    },
    /// A file that Cargo named could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What Cargo built is no plugin.
    #[error("making a component of {package}")]
    Encode {
        /// The package.
        package: String,
        /// Why not.
        source: plugins::ComponentError,
    },
}

/// Builds the guests of one workspace in one run of Cargo, and makes each a component.
///
/// Cargo's diagnostics go to standard error.
///
/// # Errors
/// [`BuildError`] names the first package that failed.
pub(crate) fn build(
    toolchain: &Toolchain,
    workspace: &Workspace,
) -> Result<Vec<Component>, BuildError> {
    let artifacts = compile(toolchain, workspace)?;
    artifacts
        .into_iter()
        .map(|(package, path)| component(package, path))
        .collect()
}

/// Makes a component of what Cargo built.
fn component(package: String, path: PathBuf) -> Result<Component, BuildError> {
    let core = std::fs::read(&path).map_err(|source| BuildError::Read { path, source })?;
    match plugins::encode(&core) {
        Ok(bytes) => Ok(Component {
            name: package,
            bytes,
        }),
        Err(source) => Err(BuildError::Encode { package, source }),
    }
}

/// Runs Cargo; answers each guest's name with the file that Cargo says it wrote.
fn compile(
    toolchain: &Toolchain,
    workspace: &Workspace,
) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let failed_to_run = |source| BuildError::Cargo {
        cargo: toolchain.cargo().display().to_string(),
        source,
    };
    let mut cargo = cargo(toolchain, workspace, "json-render-diagnostics");
    let mut child = cargo.spawn().map_err(failed_to_run)?;
    let written = match child.stdout.take() {
        Some(stdout) => modules_named(stdout).map_err(failed_to_run)?,
        None => Vec::new(),
    };
    if !child.wait().map_err(failed_to_run)?.success() {
        let names: Vec<&str> = workspace
            .guests
            .iter()
            .map(|guest| guest.name.as_str())
            .collect();
        return Err(BuildError::Failed {
            packages: names.join(", "),
        });
    }
    let guests = workspace.guests.iter();
    guests.map(|guest| artifact(guest, &written)).collect()
}

/// Cargo's command line for the guests of a workspace; its messages come on standard output.
fn cargo(toolchain: &Toolchain, workspace: &Workspace, messages: &str) -> Command {
    let mut cargo = toolchain.command();
    cargo
        .current_dir(&workspace.root)
        .args(["build", "--release", "--lib", "--target", toolchain::TARGET])
        .args(["--message-format", messages])
        .arg("--target-dir")
        .arg(workspace.target_dir.join("guest"))
        .args(toolchain.build_args())
        .stdout(Stdio::piped());
    for setting in PROFILE.into_iter().chain([LINKED]) {
        cargo.args(["--config", setting]);
    }
    for guest in &workspace.guests {
        cargo.args(["--package", &guest.id.repr]);
    }
    cargo
}

/// A guest's name and the file that Cargo says it wrote for it.
fn artifact(guest: &Guest, written: &[(String, PathBuf)]) -> Result<(String, PathBuf), BuildError> {
    match written.iter().find(|(id, _)| *id == guest.id.repr) {
        Some((_, path)) => Ok((guest.name.clone(), path.clone())),
        None => Err(BuildError::NoArtifact {
            package: guest.name.clone(),
        }),
    }
}

/// The WebAssembly modules that Cargo's JSON messages name, with their package ids.
fn modules_named(messages: impl Read) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut modules = Vec::new();
    for message in Message::parse_stream(BufReader::new(messages)) {
        if let Message::CompilerArtifact(artifact) = message? {
            modules.extend(module_of(artifact));
        }
    }
    Ok(modules)
}

/// The WebAssembly module of a guest, with its package id.
fn module_of(artifact: Artifact) -> Option<(String, PathBuf)> {
    if !artifact.target.is_kind(TargetKind::CDyLib) {
        return None;
    }
    let mut files = artifact.filenames.into_iter();
    let module = files.find(|path| path.extension() == Some("wasm"))?;
    Some((artifact.package_id.repr, module.into_std_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_taken_from_cargos_messages_and_not_guessed() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///p#0.1.0","manifest_path":"/p/Cargo.toml","target":{"kind":["cdylib","rlib"],"crate_types":["cdylib","rlib"],"name":"p","src_path":"/p/src/lib.rs","edition":"2024","doc":true,"doctest":true,"test":true},"profile":{"opt_level":"s","debuginfo":0,"debug_assertions":false,"overflow_checks":false,"test":false},"features":[],"filenames":["/t/libp.rlib","/t/p.wasm"],"executable":null,"fresh":false}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\n",
        );
        let modules = modules_named(messages.as_bytes()).unwrap();
        assert_eq!(
            modules,
            [(
                "path+file:///p#0.1.0".to_owned(),
                PathBuf::from("/t/p.wasm")
            )]
        );
    }
}
