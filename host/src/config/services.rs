//! `[services.NAME]` and `[secrets.NAME]`: what plugins may be allowed to talk to.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// A service that plugins may send requests to, where their grant names it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Scheme, host and port, e.g. `https://gracedb.ligo.org`; a path limits it further.
    pub origin: String,
    /// The service does a request once per `Idempotency-Key`, however often it is sent.
    #[serde(default)]
    pub honours_key: bool,
    /// How to ask the service whether a request with some key was done.
    pub resolve: Option<ResolveConfig>,
    /// How long one request may take, e.g. `"30s"`.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
}

const fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

/// `resolve = { get = "/by-key/{key}", present = 200, absent = 404 }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveConfig {
    /// Path to GET, with `{key}` for the idempotency key.
    pub get: String,
    /// Status that says that the request was done; the response is taken for its answer.
    #[serde(default = "status_present")]
    pub present: u16,
    /// Status that says that it was not.
    #[serde(default = "status_absent")]
    pub absent: u16,
}

const fn status_present() -> u16 {
    200
}

const fn status_absent() -> u16 {
    404
}

/// A secret that the host puts into requests; plugins know its name alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretConfig {
    /// File that holds it, readable by its owner alone.
    pub file: PathBuf,
    /// Services that it may be sent to.
    pub services: Vec<String>,
    /// Header that it is put into.
    #[serde(default = "default_header")]
    pub header: String,
    /// Value of that header, with `{}` for the secret.
    #[serde(default = "default_value")]
    pub value: String,
}

fn default_header() -> String {
    "Authorization".to_owned()
}

fn default_value() -> String {
    "Bearer {}".to_owned()
}
