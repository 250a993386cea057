//! Which texts a configuration is made of, and where they are: the system's files, the user's, the
//! one that was named, then the environment.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::places::env_path;
use crate::complaint::Said;
use crate::config::{Layer, Layered, VARIABLES};
use crate::explain::code;

/// Largest file; a configuration has some kilobytes.
const MAX_FILE: u64 = 1 << 20;
/// Most files in one `conf.d`.
const MAX_FILES: usize = 256;

/// Reads all layers, with the file `named` above those that are always looked for.
pub(super) fn layered(named: Option<&Path>) -> anyhow::Result<Layered> {
    let mut layers = Vec::new();
    for path in files(named)? {
        let is_named = named == Some(&path);
        match read(&path) {
            Ok(text) => layers.push(Layer::file(&path.display().to_string(), &text)),
            Err(error) if !is_named && is_missing(&error) => {}
            Err(error) => {
                let path = path.display();
                let text = format!("the configuration {path} cannot be read: {error:#}");
                return Err(Said::new(code::CONFIG_FILE, text).into());
            }
        }
    }
    layers.extend(variables(std::env::vars_os())?);
    let mut layered = Layered::read(&layers)?;
    for secret in layered.config.secrets.values_mut() {
        secret.locate(|name| std::env::var_os(name)?.into_string().ok());
    }
    Ok(layered)
}

/// The files that are looked at, the one that wins last.
pub(super) fn files(named: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    // systemd may set several, parted by colons; the first is the unit's main one.
    let system = env_path("CONFIGURATION_DIRECTORY")
        .and_then(|paths| Some(PathBuf::from(paths.to_str()?.split(':').next()?)))
        .unwrap_or_else(|| PathBuf::from("/etc/gwasp"));
    let user = env_path("XDG_CONFIG_HOME")
        .or_else(|| env_path("HOME").map(|home| home.join(".config")))
        .map(|config| config.join("gwasp"));
    let mut files = Vec::new();
    for directory in [Some(system), user].into_iter().flatten() {
        files.push(directory.join("config.toml"));
        files.extend(parts(&directory.join("conf.d"))?);
    }
    files.extend(named.map(Path::to_path_buf));
    Ok(files)
}

/// The `*.toml` files of a directory, by name; none where there is no directory.
fn parts(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => {
            let directory = directory.display();
            return Err(error).with_context(|| format!("{directory} cannot be read"));
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'));
        if !is_hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    let directory = directory.display();
    ensure!(
        files.len() <= MAX_FILES,
        "{directory} has more than {MAX_FILES} files; a configuration needs a few"
    );
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let length = std::fs::metadata(path)?.len();
    ensure!(
        length <= MAX_FILE,
        "it has {length} bytes; a configuration has at most {MAX_FILE}"
    );
    Ok(std::fs::read_to_string(path)?)
}

fn is_missing(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref().map(std::io::Error::kind);
    // Somebody else's home is as good as none: `sudo -u gwasp` keeps $HOME.
    matches!(
        kind,
        Some(ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
    )
}

/// The environment variables that are layers, by name.
fn variables(all: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Vec<Layer>> {
    let mut named = Vec::new();
    for (name, value) in all {
        let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLES)) else {
            continue;
        };
        let Some(value) = value.to_str() else {
            bail!("the environment variable {name} is not UTF-8");
        };
        named.push((name.to_owned(), value.to_owned()));
    }
    named.sort();
    let layers = named.iter();
    Ok(layers
        .map(|(name, value)| Layer::variable(name, value))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_by_name_and_hidden_ones_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20-b.toml", "10-a.toml", ".swp.toml", "README"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let parts = parts(dir.path()).unwrap();
        assert_eq!(
            parts,
            ["10-a.toml", "20-b.toml"].map(|name| dir.path().join(name))
        );
        assert!(super::parts(&dir.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn only_variables_with_the_prefix_are_layers() {
        let all = ["GWASP__DRAIN__DEADLINE", "GWASP_LOG", "HOME"];
        let all = all.map(|name| (OsString::from(name), OsString::from("3s")));
        let layers = variables(all.into_iter()).unwrap();
        assert_eq!(layers.len(), 1);
        let config = Layered::read(&layers).unwrap().config;
        assert_eq!(config.drain.deadline, std::time::Duration::from_secs(3));
    }

    #[test]
    fn a_file_that_is_too_large_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gwasp.toml");
        std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("at most"));
        assert!(is_missing(&read(&dir.path().join("none")).unwrap_err()));
    }
}
