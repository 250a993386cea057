//! `[secrets.NAME]`: secrets by reference. A configuration never holds a secret itself.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A secret that the host puts into requests; plugins know its name alone.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "RawSecret", into = "RawSecret")]
#[schemars(with = "RawSecret")]
pub struct SecretConfig {
    /// Where it is.
    pub source: SecretSource,
    /// Services that it may be sent to.
    pub services: Vec<String>,
    /// Header that it is put into.
    pub header: String,
    /// Value of that header, with `{}` for the secret.
    pub value: String,
}

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// In a file, readable by its owner alone.
    File(PathBuf),
    /// In an environment variable, whose value at the start of the host counts.
    Variable {
        /// Its name.
        name: String,
        /// Its value; none before [`SecretConfig::locate`], or where it is not set.
        held: Option<Hidden>,
    },
    /// In a credential of the service manager (systemd's `LoadCredential=`).
    Credential {
        /// Its name.
        name: String,
        /// `$CREDENTIALS_DIRECTORY`; none before [`SecretConfig::locate`], or where it is not set.
        directory: Option<PathBuf>,
    },
}

/// A text that is not shown.
#[derive(Clone)]
pub struct Hidden(String);

impl Hidden {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl SecretConfig {
    /// Looks up what the environment has of it.
    pub fn locate(&mut self, environment: impl Fn(&str) -> Option<String>) {
        match &mut self.source {
            SecretSource::File(_) => {}
            SecretSource::Variable { name, held } => *held = environment(name).map(Hidden),
            SecretSource::Credential { directory, .. } => {
                *directory = environment("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            }
        }
    }
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct RawSecret {
    /// File that holds it, readable by its owner alone.
    file: Option<PathBuf>,
    /// Environment variable that holds it.
    env: Option<String>,
    /// Credential that holds it (systemd's `LoadCredential=`).
    credential: Option<String>,
    /// Services that it may be sent to.
    services: Vec<String>,
    /// Header that it is put into.
    #[serde(default = "default_header", deserialize_with = "header_name")]
    header: String,
    /// Value of that header, with `{}` for the secret.
    #[serde(default = "default_value", deserialize_with = "value_with_place")]
    value: String,
}

/// Why a secret is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretSourceError {
    /// None, or several.
    #[error(
        "say where the secret is with one of `file = \"PATH\"`, `env = \"VARIABLE\"` and \
         `credential = \"NAME\"`"
    )]
    NotOne,
    /// It would lead out of the directory of credentials.
    #[error("this is no name of a credential; it is the first part of LoadCredential=NAME:PATH")]
    NoCredential,
}

impl TryFrom<RawSecret> for SecretConfig {
    type Error = SecretSourceError;

    fn try_from(raw: RawSecret) -> Result<Self, SecretSourceError> {
        let source = match (raw.file, raw.env, raw.credential) {
            (Some(file), None, None) => SecretSource::File(file),
            (None, Some(name), None) => SecretSource::Variable { name, held: None },
            (None, None, Some(name)) => {
                if name.contains('/') || name.starts_with('.') || name.is_empty() {
                    return Err(SecretSourceError::NoCredential);
                }
                SecretSource::Credential {
                    name,
                    directory: None,
                }
            }
            _ => return Err(SecretSourceError::NotOne),
        };
        Ok(Self {
            source,
            services: raw.services,
            header: raw.header,
            value: raw.value,
        })
    }
}

impl From<SecretConfig> for RawSecret {
    fn from(secret: SecretConfig) -> Self {
        let (file, env, credential) = match secret.source {
            SecretSource::File(file) => (Some(file), None, None),
            SecretSource::Variable { name, .. } => (None, Some(name), None),
            SecretSource::Credential { name, .. } => (None, None, Some(name)),
        };
        Self {
            file,
            env,
            credential,
            services: secret.services,
            header: secret.header,
            value: secret.value,
        }
    }
}

fn header_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    if reqwest::header::HeaderName::try_from(&name).is_ok() {
        return Ok(name);
    }
    // What is here in its place may be a secret.
    Err(D::Error::custom(
        "this is no name of a header; give one like \"X-Api-Key\"",
    ))
}

fn value_with_place<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let value = String::deserialize(from)?;
    if value.matches("{}").count() == 1 {
        return Ok(value);
    }
    Err(D::Error::custom(
        "the value needs one `{}`, the place of the secret; give one like \"Bearer {}\"",
    ))
}

fn default_header() -> String {
    "Authorization".to_owned()
}

fn default_value() -> String {
    "Bearer {}".to_owned()
}

#[cfg(test)]
mod tests {
    use super::SecretConfig;

    #[track_caller]
    fn check_secret(line: &str, says: &str) {
        let text = format!("file = \"t\"\nservices = []\n{line}");
        match toml::from_str::<SecretConfig>(&text) {
            Ok(_) => assert_eq!(says, "", "{line}"),
            Err(error) => assert!(
                !says.is_empty() && error.to_string().contains(says),
                "{error}"
            ),
        }
    }

    #[test]
    fn a_secret_has_one_place_in_a_header_that_can_be() {
        check_secret("value = \"token {}\"", "");
        check_secret("value = \"Bearer\"", "`{}`");
        check_secret("value = \"{}{}\"", "one `{}`");
        check_secret("header = \"X-Api-Key\"", "");
        check_secret("header = \"X Api\"", "no name of a header");
    }
    #[track_caller]
    fn check_source(lines: &str, says: &str) {
        let read = toml::from_str::<SecretConfig>(&format!("{lines}\nservices = []"));
        match read {
            Ok(_) => assert_eq!(says, "", "{lines}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!says.is_empty() && error.contains(says), "{error}");
            }
        }
    }

    #[test]
    fn a_secret_is_in_one_place() {
        check_source("file = \"t\"", "");
        check_source("env = \"TOKEN\"", "");
        check_source("credential = \"gracedb\"", "");
        check_source("", "with one of");
        check_source("file = \"t\"\nenv = \"TOKEN\"", "with one of");
        check_source("credential = \"../t\"", "no name of a credential");
    }

    #[test]
    fn a_value_from_the_environment_is_not_shown() {
        let mut secret: SecretConfig = toml::from_str("env = \"TOKEN\"\nservices = []").unwrap();
        secret.locate(|name| (name == "TOKEN").then(|| "swordfish".to_owned()));
        let shown = format!("{secret:?} {}", toml::to_string(&secret).unwrap());
        assert!(
            shown.contains("(hidden)") && !shown.contains("swordfish"),
            "{shown}"
        );
    }
}
