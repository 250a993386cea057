//! Other people's programs that the tests talk to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::build::root;
use crate::step;

/// A Python environment of other people's programs.
struct Environment {
    /// What it is for, in a sentence about making it.
    purpose: &'static str,
    /// The variable that names one to be taken as it is.
    variable: &'static str,
    /// Its directory within the target directory.
    directory: &'static str,
    /// Its requirements, within `tests/peers`.
    requirements: &'static str,
}

/// Makes the Python environment of the tests, unless it is there with the same versions.
///
/// `GWASP_PEERS_VENV` names one to be taken as it is.
pub(crate) fn python(target: &Path) -> Result<PathBuf> {
    let peers = Environment {
        purpose: "the peers",
        variable: "GWASP_PEERS_VENV",
        directory: "peers",
        requirements: "requirements.txt",
    };
    peers.made(target)
}

/// As [`python`], for ligo.skymap and the libraries that read sky maps: half a gigabyte.
///
/// `GWASP_SKYMAP_VENV` names one to be taken as it is.
pub(crate) fn skymap(target: &Path) -> Result<PathBuf> {
    let skymap = Environment {
        purpose: "ligo.skymap",
        variable: "GWASP_SKYMAP_VENV",
        directory: "skymap-peers",
        requirements: "skymap-requirements.txt",
    };
    skymap.made(target)
}

impl Environment {
    fn made(&self, target: &Path) -> Result<PathBuf> {
        if let Some(venv) = std::env::var_os(self.variable) {
            return Ok(venv.into());
        }
        let requirements = root()?.join("tests/peers").join(self.requirements);
        install(self.purpose, &target.join(self.directory), &requirements)
    }
}

fn install(purpose: &str, venv: &Path, requirements: &Path) -> Result<PathBuf> {
    let wanted = std::fs::read_to_string(requirements)
        .with_context(|| format!("reading {}", requirements.display()))?;
    // Written last: a venv with a stamp is whole.
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(venv.to_owned());
    }
    if venv.exists() {
        std::fs::remove_dir_all(venv).with_context(|| format!("removing {}", venv.display()))?;
    }
    step::run(
        &format!("making a Python environment for {purpose}"),
        Command::new("python3").args(["-m", "venv"]).arg(venv),
    )?;
    step::run(
        &format!("installing {purpose}"),
        Command::new(venv.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(requirements),
    )?;
    std::fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(venv.to_owned())
}
