//! Who may write where: a directory of plugins, and the cache of compiled ones.

use std::fs::{DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Others may write where only the host's own people should.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// Plugins that lie there run with the rights that the configuration gives to their names.
    #[error(
        "others can write to {path}, and a plugin there has the grants and secrets of its name; \
         run `chmod go-w {path}`"
    )]
    Plugins {
        /// The directory, or a file in it.
        path: PathBuf,
    },
    /// What lies there runs in the host, without a sandbox.
    #[error(
        "others can write to the cache {path}, and compiled code there runs as it is; run \
         `chmod 700 {path}`, empty it, and see that it belongs to the user who runs gwasp"
    )]
    Cache {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made, or looked at.
    #[error("{path} cannot be used")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Checks that only its owner, or the owner's private group, can write to a directory of
/// plugins or a file in it.
pub(super) fn check_plugins(path: &Path) -> Result<(), PermissionError> {
    let metadata = std::fs::metadata(path).map_err(|source| PermissionError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    if others_can_write(&metadata) {
        return Err(PermissionError::Plugins {
            path: path.to_path_buf(),
        });
    }
    Ok(())
}

/// Makes a directory that only we can enter, or checks that only we can write to the one that
/// is there.
pub(super) fn own_directory(path: &Path) -> Result<(), PermissionError> {
    let at = |source| PermissionError::Io {
        path: path.to_path_buf(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(at)?;
    let metadata = std::fs::metadata(path).map_err(at)?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_ours || others_can_write(&metadata) {
        return Err(PermissionError::Cache {
            path: path.to_path_buf(),
        });
    }
    Ok(())
}

/// A group with the number of its user is the user's own on systems whose umask lets groups
/// write.
fn others_can_write(metadata: &Metadata) -> bool {
    let group_is_private = metadata.gid() == metadata.uid();
    let others = if group_is_private { 0o002 } else { 0o022 };
    metadata.mode() & others != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[track_caller]
    fn check_mode(mode: u32, is_safe: bool) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let plugins = check_plugins(dir.path());
        assert_eq!(plugins.is_ok(), is_safe, "{mode:o}: {plugins:?}");
        let cache = own_directory(dir.path());
        assert_eq!(cache.is_ok(), is_safe, "{mode:o}: {cache:?}");
    }

    #[test]
    fn a_directory_that_anybody_can_write_to_is_refused() {
        check_mode(0o777, false);
        check_mode(0o1777, false);
        check_mode(0o755, true);
        check_mode(0o700, true);
    }

    #[test]
    fn a_new_cache_can_be_entered_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("a/b");
        own_directory(&cache).unwrap();
        assert_eq!(std::fs::metadata(&cache).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_refusal_says_what_to_run() {
        let text = PermissionError::Plugins {
            path: PathBuf::from("plugins"),
        }
        .to_string();
        assert!(text.contains("`chmod go-w plugins`"), "{text}");
    }
}
