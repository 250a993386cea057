//! Configuration: one TOML file, parsed into types that hold no invalid value.
//!
//! Reading the file and the environment is the command line's business; this module parses
//! text. A message of [`ConfigError`] carries line, column and a caret.

mod fault;
mod grants;
mod kernels;
mod listeners;
mod names;
mod queues;
mod retention;
mod services;
mod vtp;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::de::DeTable;

pub use fault::Fault;
pub use grants::Grant;
pub use kernels::KernelsConfig;
pub use listeners::ListenerConfig;
pub use names::{is_meant, nearest};
pub use queues::{ByteSize, DefaultPool, QueueConfig, QueueError, Queues};
pub use retention::{RetentionConfig, RetentionError};
pub use services::{
    KeyPath, Lookup, Origin, ResolveConfig, SecretConfig, ServiceConfig, ServiceError,
};
pub use vtp::{BrokerAddress, NoAddress, TlsConfig, VtpConfig};

/// Everything that a host is told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the store is.
    pub store: StoreConfig,
    /// Where plugins are.
    pub plugins: PluginsConfig,
    /// Streams to listen to, by name.
    #[serde(deserialize_with = "listeners::read_apart")]
    pub listeners: BTreeMap<String, ListenerConfig>,
    /// Queues and their pools. Without this table each queue that a handler names exists with
    /// the default pool.
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
}

/// `[store]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Directory of packets, tasks and ledger; `$STATE_DIRECTORY/store` or `./gwasp-state`
    /// where it is left out.
    pub directory: Option<PathBuf>,
}

/// `[plugins]`.
#[derive(Clone, Debug, Default, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// How long running handlers may go on after the first SIGTERM, e.g. `"25s"`; then they are
    /// given back.
    #[serde(with = "humantime_serde")]
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
    #[error("{path} cannot be used: {fault}")]
    Toml {
        /// The file.
        path: String,
        /// What is wrong, and where.
        fault: Fault,
    },
    /// A table names something that is not there.
    #[error("{path} cannot be used: {place} names `{name}`; add [{table}.{name}]{hint}")]
    Unknown {
        /// The file.
        path: String,
        /// Where the name is.
        place: String,
        /// The table that it should be in.
        table: &'static str,
        /// The name.
        name: String,
        /// What else may be meant.
        hint: String,
    },
}

impl Config {
    /// The entries that the grant of `plugin` may still need: see [`Grant::lacks`].
    pub fn lacks(&self, plugin: &str, interfaces: &[&str]) -> Vec<&'static str> {
        match self.grants.get(plugin) {
            Some(grant) => grant.lacks(interfaces),
            None => Grant::default().lacks(interfaces),
        }
    }

    /// Parses the text of the file at `path`, which is for messages alone.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, path: &str) -> Result<Self, ConfigError> {
        let config = read(text).map_err(|error| ConfigError::Toml {
            path: path.to_owned(),
            fault: Fault::new(error, text),
        })?;
        match names::unknown(&config) {
            None => Ok(config),
            Some(unknown) => Err(ConfigError::Unknown {
                path: path.to_owned(),
                place: unknown.place,
                table: unknown.table,
                name: unknown.name,
                hint: unknown.hint,
            }),
        }
    }
}

/// Reads the tables. Those of listeners are read apart: what they may hold depends on a key in
/// them, and serde's own way to that loses the places of errors.
fn read(text: &str) -> Result<Config, toml::de::Error> {
    let mut table = DeTable::parse(text)?;
    let listeners = table.get_mut().remove("listeners");
    let mut config = Config::deserialize(toml::de::Deserializer::from(table))?;
    if let Some(listeners) = listeners {
        config.listeners = listeners::read(listeners)?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
