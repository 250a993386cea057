//! Secrets: read from files when they are needed, never logged, never given to a guest.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::config::SecretConfig;

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret's file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("the secret's file {path} can be read by others; run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}

/// The header and value that carry the secret. Read anew each time, so that a file that was
/// changed is used at once.
pub(super) fn header(config: &SecretConfig) -> Result<(String, String), SecretError> {
    let at = |source| SecretError::Read {
        path: config.file.clone(),
        source,
    };
    let mode = std::fs::metadata(&config.file).map_err(at)?.mode();
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: config.file.clone(),
        });
    }
    let secret = std::fs::read_to_string(&config.file).map_err(at)?;
    Ok((
        config.header.clone(),
        config.value.replacen("{}", secret.trim_end(), 1),
    ))
}
