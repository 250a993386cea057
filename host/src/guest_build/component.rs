//! From what was built to a file in a plugin directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A plugin as a component that is on no disk yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// Package name; the file's name without its suffix.
    pub(crate) name: String,
    /// The encoded component.
    pub(crate) bytes: Vec<u8>,
}

/// A component beside its place, under a name that hosts pass over.
///
/// It is gone with the value unless it is installed.
#[derive(Debug)]
pub(crate) struct Staged {
    temporary: PathBuf,
    path: PathBuf,
}

/// Why a component could not be put into its directory.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written", path.display())]
pub(crate) struct InstallError {
    path: PathBuf,
    source: std::io::Error,
}

/// With what std's clocks panic on `wasm32-unknown-unknown`.
const NO_CLOCK: &[u8] = b"time not implemented on this platform";

impl Component {
    /// Whether it holds std's clocks, which panic when they are asked.
    pub(crate) fn asks_std_for_time(&self) -> bool {
        let mut parts = self.bytes.windows(NO_CLOCK.len());
        parts.any(|part| part == NO_CLOCK)
    }

    /// Writes the component into `dir`, which is made if need be, as a hidden file.
    ///
    /// # Errors
    /// [`InstallError`] names the file that is to be.
    pub(crate) fn stage(&self, dir: &Path) -> Result<Staged, InstallError> {
        let staged = Staged {
            temporary: dir.join(format!(".{}.{}.wasm", self.name, std::process::id())),
            path: dir.join(format!("{}.wasm", self.name)),
        };
        let written = std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::File::create(&staged.temporary))
            .and_then(|mut file| file.write_all(&self.bytes).and_then(|()| file.sync_all()));
        match written {
            Ok(()) => Ok(staged),
            Err(source) => Err(InstallError {
                path: staged.path.clone(),
                source,
            }),
        }
    }
}

impl Staged {
    /// Where it is until then.
    pub(crate) fn file(&self) -> &Path {
        &self.temporary
    }

    /// Renames it into its place, so that a watching host sees the old file or the new one;
    /// answers the place.
    ///
    /// # Errors
    /// [`InstallError`] names the place.
    pub(crate) fn install(self) -> Result<PathBuf, InstallError> {
        let path = self.path.clone();
        match std::fs::rename(&self.temporary, &path) {
            Ok(()) => Ok(path),
            Err(source) => Err(InstallError { path, source }),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After `install` there is nothing; otherwise the error that matters is another.
        drop(std::fs::remove_file(&self.temporary));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(bytes: &[u8]) -> Component {
        Component {
            name: "fermi-log".to_owned(),
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn what_is_installed_replaces_the_old_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = dir.path().join("plugins");
        for bytes in [[1].as_slice(), &[2, 3]] {
            let path = component(bytes).stage(&plugins).unwrap().install().unwrap();
            assert_eq!(path, plugins.join("fermi-log.wasm"));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(std::fs::read_dir(&plugins).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_installed_leaves_the_old_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = component(&[1])
            .stage(dir.path())
            .unwrap()
            .install()
            .unwrap();
        drop(component(&[2]).stage(dir.path()).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), [1]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_plugin_that_asks_std_for_the_time_is_found() {
        let component = |bytes: &[u8]| Component {
            name: "p".to_owned(),
            bytes: bytes.to_vec(),
        };
        let panics = component(b"\0asm time not implemented on this platform\0");
        assert!(panics.asks_std_for_time());
        assert!(!component(b"\0asm").asks_std_for_time());
    }
}
