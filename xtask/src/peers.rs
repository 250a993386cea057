//! Other people's programs that the tests talk to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::build::root;
use crate::step;

/// Makes the Python environment of the tests, unless it is there with the same versions.
///
/// `GWASP_PEERS_VENV` names one to be taken as it is.
pub(crate) fn python(target: &Path) -> Result<PathBuf> {
    if let Some(venv) = std::env::var_os("GWASP_PEERS_VENV") {
        return Ok(venv.into());
    }
    let venv = target.join("peers");
    let requirements = root()?.join("tests/peers/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .with_context(|| format!("reading {}", requirements.display()))?;
    // Written last: a venv with a stamp is whole.
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(venv);
    }
    if venv.exists() {
        std::fs::remove_dir_all(&venv).with_context(|| format!("removing {}", venv.display()))?;
    }
    step::run(
        "making a Python environment for the peers",
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
    )?;
    step::run(
        "installing the peers",
        Command::new(venv.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(&requirements),
    )?;
    std::fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(venv)
}
