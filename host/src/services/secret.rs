//! Secrets: read when they are needed, never logged, never given to a guest.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

use crate::config::{SecretConfig, SecretSource};

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
    /// The environment does not have it.
    #[error(
        "the environment variable {0}, which should hold the secret, was not set when gwasp was started"
    )]
    NoVariable(String),
    /// The service manager gave no credentials.
    #[error(
        "there is no credential `{0}`: $CREDENTIALS_DIRECTORY is not set; have \
         `LoadCredential={0}:PATH` in the unit, or say `file = \"PATH\"` instead"
    )]
    NoCredentials(String),
    /// It holds what no header can.
    #[error("the secret in {place} holds {found}; a secret is one line of printable characters")]
    Form {
        /// Where it is.
        place: String,
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

/// The header and value that carry the secret. Files are read anew each time, so that one that was
/// changed is used at once.
pub(super) fn header(config: &SecretConfig) -> Result<(String, String), SecretError> {
    let (secret, place) = read(&config.source)?;
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
    match wrong {
        Some(found) => Err(SecretError::Form { place, found }),
        None => Ok((
            config.header.clone(),
            config.value.replacen("{}", secret, 1),
        )),
    }
}

/// The secret, and where it was.
fn read(source: &SecretSource) -> Result<(String, String), SecretError> {
    match source {
        SecretSource::File(path) => {
            let at = |source| SecretError::Read {
                path: path.clone(),
                source,
            };
            if std::fs::metadata(path).map_err(at)?.mode() & strangers(path) != 0 {
                return Err(SecretError::Exposed { path: path.clone() });
            }
            read_file(path)
        }
        SecretSource::Variable { name, held } => match held {
            Some(held) => Ok((held.expose().to_owned(), format!("${name}"))),
            None => Err(SecretError::NoVariable(name.clone())),
        },
        // The service manager guards the directory; by an access list, a file in it may bear a
        // mode that seems to let others in.
        SecretSource::Credential { name, directory } => match directory {
            Some(directory) => read_file(&directory.join(name)),
            None => Err(SecretError::NoCredentials(name.clone())),
        },
    }
}

fn read_file(path: &Path) -> Result<(String, String), SecretError> {
    let text = std::fs::read_to_string(path).map_err(|source| SecretError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    Ok((text, path.display().to_string()))
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
            source: SecretSource::File(file),
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

    fn check_source(source: SecretSource, says: &str) {
        let config = SecretConfig {
            source,
            services: Vec::new(),
            header: "Authorization".to_owned(),
            value: "Bearer {}".to_owned(),
        };
        let said = check_secret(&config).map_err(|error| error.to_string());
        match said {
            Ok(()) => assert_eq!(says, ""),
            Err(said) => assert!(!says.is_empty() && said.contains(says), "{said}"),
        }
    }

    #[test]
    fn a_secret_that_the_environment_lacks_is_named() {
        let name = "TOKEN".to_owned();
        check_source(SecretSource::Variable { name, held: None }, "TOKEN");
        let credential = |directory| SecretSource::Credential {
            name: "token".to_owned(),
            directory,
        };
        check_source(credential(None), "LoadCredential=token:PATH");
        let dir = tempfile::tempdir().unwrap();
        check_source(credential(Some(dir.path().to_owned())), "cannot be read");
        std::fs::write(dir.path().join("token"), "swordfish").unwrap();
        check_source(credential(Some(dir.path().to_owned())), "");
    }
}
