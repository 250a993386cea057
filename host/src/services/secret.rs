//! Secrets: read from files when they are needed, never logged, never given to a guest.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

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
    /// The file holds what no header can.
    #[error("the secret's file {path} holds {found}; a secret is one line of printable characters")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never the secret itself.
        found: &'static str,
    },
}

/// Checks that a secret could be put into a request now.
///
/// # Errors
/// [`SecretError`].
pub fn check_secret(config: &SecretConfig) -> Result<(), SecretError> {
    header(config).map(drop)
}

/// The header and value that carry the secret. Read anew each time, so that a file that was
/// changed is used at once.
pub(super) fn header(config: &SecretConfig) -> Result<(String, String), SecretError> {
    let at = |source| SecretError::Read {
        path: config.file.clone(),
        source,
    };
    let mode = std::fs::metadata(&config.file).map_err(at)?.mode();
    if mode & strangers(&config.file) != 0 {
        return Err(SecretError::Exposed {
            path: config.file.clone(),
        });
    }
    let secret = std::fs::read_to_string(&config.file).map_err(at)?;
    let secret = secret.trim_end();
    let wrong = if secret.is_empty() {
        Some("nothing")
    } else if secret.lines().nth(1).is_some() {
        Some("several lines")
    } else if HeaderValue::from_str(secret).is_err() {
        Some("characters that no header can have")
    } else {
        None
    };
    if let Some(found) = wrong {
        return Err(SecretError::Form {
            path: config.file.clone(),
            found,
        });
    }
    Ok((
        config.header.clone(),
        config.value.replacen("{}", secret, 1),
    ))
}

/// The bits of a mode that let others read a file.
///
/// systemd keeps the credentials of a service (`LoadCredential=`) where that service alone looks,
/// and gives them to it by an access control list. The mask of such a list stands in the place of
/// the group (`acl(5)`); no group has access.
fn strangers(file: &Path) -> u32 {
    if file.starts_with("/run/credentials") {
        0o037
    } else {
        0o077
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], mode: u32, says: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let config = SecretConfig {
            file,
            services: Vec::new(),
            header: "Authorization".to_owned(),
            value: "Bearer {}".to_owned(),
        };
        match check_secret(&config) {
            Ok(()) => assert_eq!(says, ""),
            Err(error) => {
                let text = error.to_string();
                assert!(!says.is_empty() && text.contains(says), "{text}");
                assert!(!text.contains("sword"), "{text}");
            }
        }
    }

    #[test]
    fn a_credential_of_systemd_may_show_the_mask_of_its_access_list() {
        let credential = Path::new("/run/credentials/gwasp.service/scitoken");
        assert_eq!(0o440 & strangers(credential), 0);
        assert_ne!(0o444 & strangers(credential), 0);
        assert_ne!(0o440 & strangers(Path::new("/etc/gwasp/scitoken")), 0);
    }

    #[test]
    fn a_secret_is_one_line_that_only_its_owner_reads() {
        check(b"swordfish\n", 0o600, "");
        check(b"swordfish\n", 0o640, "chmod 600");
        check(b"", 0o600, "holds nothing");
        check(b"sword\nfish\n", 0o600, "several lines");
        check(b"sword\x07", 0o600, "no header can have");
        check(&[0xff], 0o600, "cannot be read");
    }
}
