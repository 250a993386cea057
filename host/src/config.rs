//! Configuration: TOML in layers, parsed into types that hold no invalid value.
//!
//! Reading files and the environment is the command line's business; this module parses texts. A
//! message of [`ConfigError`] carries the text's name, line, column and a caret.

mod fault;
mod grants;
mod kernels;
mod layers;
mod limits;
mod listeners;
mod log;
mod mode;
mod names;
mod queues;
pub mod reload;
mod retention;
mod rights;
mod secrets;
mod services;
mod vtp;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use layers::Layers;

pub use fault::{Fault, Place};
pub use grants::Grant;
pub use kernels::KernelsConfig;
pub use layers::{Layer, VARIABLES};
pub use limits::LimitsConfig;
pub use listeners::ListenerConfig;
pub use log::{LogConfig, LogFormat};
pub use mode::Mode;
pub use queues::{ByteSize, DefaultPool, QueueConfig, QueueError, Queues, SizeError};
pub use retention::{RetentionConfig, RetentionError};
pub use rights::Rights;
pub use secrets::{Hidden, SecretConfig, SecretSource, SecretSourceError};
pub use services::{KeyPath, Lookup, Origin, ResolveConfig, ServiceConfig, ServiceError};
pub use vtp::{BrokerAddress, NoAddress, TlsConfig, VtpConfig};

/// The profile that goes without saying.
pub const PRODUCTION: &str = "production";

/// Everything that a host is told.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which of the profiles is in force: its tables lie over those of all files.
    pub profile: Option<String>,
    /// Tables of each profile, by its name. What is in force is merged into the others.
    #[serde(skip_serializing)]
    #[schemars(with = "BTreeMap<String, serde_json::Map<String, serde_json::Value>>")]
    pub profiles: BTreeMap<String, serde::de::IgnoredAny>,
    /// Whether what handlers ask for happens; `shadow` holds for every plugin.
    pub mode: Mode,
    /// Where the store is.
    pub store: StoreConfig,
    /// Where plugins are.
    pub plugins: PluginsConfig,
    /// Streams to listen to, by name.
    #[serde(deserialize_with = "listeners::read_apart")]
    pub listeners: BTreeMap<String, ListenerConfig>,
    /// Queues and their pools. Without this table each queue that a handler names exists with
    /// the default pool.
    #[serde(skip_serializing_if = "Queues::is_absent")]
    pub queues: Queues,
    /// What plugins may do, by plugin name; nothing without an entry.
    pub grants: BTreeMap<String, Grant>,
    /// Services that plugins may be allowed to send requests to.
    pub services: BTreeMap<String, ServiceConfig>,
    /// Secrets that plugins may be allowed to use.
    pub secrets: BTreeMap<String, SecretConfig>,
    /// How much of the machine heavy computations may have.
    pub kernels: KernelsConfig,
    /// How long what is kept.
    pub retention: RetentionConfig,
    /// How the host stops.
    pub drain: DrainConfig,
    /// When the host ends by itself.
    pub limits: LimitsConfig,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// `[store]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Directory of packets, tasks and ledger; `$STATE_DIRECTORY/store` or `./gwasp-state`
    /// where it is left out.
    pub directory: Option<PathBuf>,
}

/// `[plugins]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginsConfig {
    /// Directory whose `*.wasm` files are the plugins; `$STATE_DIRECTORY/plugins` or
    /// `./plugins` where it is left out.
    pub directory: Option<PathBuf>,
    /// Directory of compiled plugins; `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/gwasp` or
    /// `~/.cache/gwasp` where it is left out. What is in it is trusted like the host itself.
    pub cache: Option<PathBuf>,
}

/// `[drain]`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// How long running handlers may go on after the first SIGTERM, e.g. `"25s"`; then they are
    /// given back.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub deadline: Duration,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(25),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It does not parse.
    #[error("the configuration cannot be used: {0}")]
    Toml(Fault),
    /// A table names something that is not there.
    #[error("the configuration cannot be used: {0}")]
    Unknown(Fault),
}

impl Config {
    /// Parses the text of the file at `path`, which is for messages alone.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, path: &str) -> Result<Self, ConfigError> {
        Ok(Layered::read(&[Layer::file(path, text)])?.config)
    }
}

/// A configuration, and which layer said what.
#[derive(Debug)]
pub struct Layered {
    /// What is in force.
    pub config: Config,
    origins: BTreeMap<Vec<String>, Place>,
}

impl Layered {
    /// Lays texts over one another, a later over an earlier one.
    ///
    /// Profiles that are not in force are read as well: a mistake in one is found today, not when
    /// it is needed.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(layers: &[Layer]) -> Result<Self, ConfigError> {
        let layers = Layers::read(layers).map_err(ConfigError::Toml)?;
        let profile = layers.profile().map_err(ConfigError::Toml)?;
        let read = Self::of(&layers, profile.as_deref())?;
        for other in layers.profile_names() {
            if profile.as_deref() != Some(other) {
                Self::of(&layers, Some(other))?;
            }
        }
        Ok(read)
    }

    fn of(layers: &Layers<'_>, profile: Option<&str>) -> Result<Self, ConfigError> {
        let table = layers.merged(profile);
        let mut origins = BTreeMap::new();
        note_origins(&table, &mut Vec::new(), &mut |path, span| {
            origins.extend(layers.place(&span).map(|place| (path.to_vec(), place)));
        });
        let mut config = read(table)
            .map_err(|error| ConfigError::Toml(layers.fault(error.message(), error.span())))?;
        config.profile = profile.map(str::to_owned);
        match names::unknown(&config) {
            None => Ok(Self { config, origins }),
            Some(unknown) => {
                let place = origins.get(unknown.path.as_slice()).cloned();
                Err(ConfigError::Unknown(Fault::new(
                    &unknown.to_string(),
                    place,
                )))
            }
        }
    }

    /// Every value in force, defaults included, by its path.
    ///
    /// # Errors
    /// When one of them has no place in TOML: a number beyond 64 bits with a sign.
    pub fn values(&self) -> Result<Vec<Value<'_>>, toml::ser::Error> {
        let mut values = Vec::new();
        self.gather(
            toml::Table::try_from(&self.config)?,
            &mut Vec::new(),
            &mut values,
        );
        Ok(values)
    }

    fn gather<'a>(
        &'a self,
        table: toml::Table,
        path: &mut Vec<String>,
        values: &mut Vec<Value<'a>>,
    ) {
        for (key, value) in table {
            path.push(key);
            match value {
                toml::Value::Table(table) if !table.is_empty() => self.gather(table, path, values),
                // An empty table of tables says nothing.
                toml::Value::Table(_) if path.len() == 1 => {}
                value => values.push(Value {
                    path: path.clone(),
                    value,
                    origin: self.origin(path),
                }),
            }
            path.pop();
        }
    }

    /// Where the value at these keys was set; none for a default.
    pub fn origin(&self, path: &[String]) -> Option<&Place> {
        self.origins.get(path)
    }
}

/// One value of a configuration.
#[derive(Debug)]
pub struct Value<'a> {
    /// The keys to it.
    pub path: Vec<String>,
    /// It.
    pub value: toml::Value,
    /// Where it was set; none for a default.
    pub origin: Option<&'a Place>,
}

/// Visits each value that is no table.
fn note_origins(
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    visit: &mut impl FnMut(&[String], std::ops::Range<usize>),
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(table) => note_origins(table, path, visit),
            _ => visit(path, value.span()),
        }
        path.pop();
    }
}

/// Reads the tables. Those of listeners are read apart: what they may hold depends on a key in
/// them, and serde's own way to that loses the places of errors.
fn read(mut table: DeTable<'_>) -> Result<Config, toml::de::Error> {
    let listeners = table.remove("listeners");
    let all = Spanned::new(0..0, DeValue::Table(table));
    let mut config = Config::deserialize(toml::de::ValueDeserializer::from(all))?;
    if let Some(listeners) = listeners {
        config.listeners = listeners::read(listeners)?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
