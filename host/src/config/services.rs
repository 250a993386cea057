//! `[services.NAME]`: what plugins may be allowed to talk to.

use std::time::Duration;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service that plugins may send requests to, where their grant names it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Scheme, host and port, e.g. `https://gracedb.ligo.org`; a path limits it further.
    pub origin: Origin,
    /// The service does a request once per `Idempotency-Key`, however often it is sent.
    #[serde(default)]
    pub honours_key: bool,
    /// How to ask the service whether a request with some key was done.
    pub resolve: Option<ResolveConfig>,
    /// How long one request may take, e.g. `"30s"`.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

const fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

/// What the URLs of a service begin with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Origin(Url);

/// Why a text is no origin or no path to ask at.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ServiceError {
    /// The text is no URL.
    #[error("`{0}` is no URL; give scheme and host, as in \"https://gracedb.ligo.org\"")]
    NoUrl(String),
    /// The URL has parts that an origin cannot have.
    #[error(
        "`{0}` is no origin; give http or https, host, port and perhaps a path, and nothing else"
    )]
    NoOrigin(String),
    /// The path has no place for the key.
    #[error("`{0}` is no path with the key in it; give one as in \"/by-key/{{key}}\"")]
    NoPath(String),
    /// A list says nothing without the key in it.
    #[error("`get = \"{{url}}\"` needs `contains_key = true`: the key is looked for in the body")]
    NoKey,
    /// Only a list is searched for the key.
    #[error("`contains_key` needs `get = \"{{url}}\"`; `{0}` has the key in it already")]
    NoList(String),
    /// One status for both.
    #[error("`present` and `absent` are both {0}; give each a status of its own")]
    SameStatus(u16),
}

impl Origin {
    /// As a URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Whether `url` lies below it.
    pub fn covers(&self, url: &Url) -> bool {
        let below = url.path().strip_prefix(self.0.path().trim_end_matches('/'));
        let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_below && url.origin() == self.0.origin()
    }

    /// The address of `path`, which begins at the host.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0.origin().ascii_serialization())
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0.into()
    }
}

impl TryFrom<String> for Origin {
    type Error = ServiceError;

    fn try_from(text: String) -> Result<Self, ServiceError> {
        let Ok(url) = Url::parse(&text) else {
            return Err(ServiceError::NoUrl(text));
        };
        let is_origin = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if is_origin {
            Ok(Self(url))
        } else {
            Err(ServiceError::NoOrigin(text))
        }
    }
}

/// `resolve = { get = "/by-key/{key}", present = 200, absent = 404, after = "10s" }`, or for a
/// service that lists what was sent to an address at that address:
/// `resolve = { get = "{url}", contains_key = true }`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "RawResolve", into = "RawResolve")]
#[schemars(with = "RawResolve")]
pub struct ResolveConfig {
    /// What to GET.
    pub get: Lookup,
    /// Status that says that the request was done; the response is taken for its answer.
    pub present: u16,
    /// Status that says that it was not.
    pub absent: u16,
    /// How long after a request left the service may still be busy with it: what is absent
    /// earlier is asked for again.
    pub after: Duration,
}

/// What to GET to learn of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A path with the key in it.
    Path(KeyPath),
    /// The address that the request went to; it was done if the body has the key in it.
    List,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct RawResolve {
    get: String,
    #[serde(default)]
    contains_key: bool,
    #[serde(default = "status_present")]
    present: u16,
    #[serde(default = "status_absent")]
    absent: u16,
    #[serde(default = "default_after", with = "humantime_serde")]
    #[schemars(with = "String")]
    after: Duration,
}

impl From<ResolveConfig> for RawResolve {
    fn from(resolve: ResolveConfig) -> Self {
        let contains_key = resolve.get == Lookup::List;
        Self {
            get: match resolve.get {
                Lookup::Path(KeyPath(path)) => path,
                Lookup::List => "{url}".to_owned(),
            },
            contains_key,
            present: resolve.present,
            absent: resolve.absent,
            after: resolve.after,
        }
    }
}

impl TryFrom<RawResolve> for ResolveConfig {
    type Error = ServiceError;

    fn try_from(raw: RawResolve) -> Result<Self, ServiceError> {
        let get = match (raw.get.as_str(), raw.contains_key) {
            ("{url}", true) => Lookup::List,
            ("{url}", false) => return Err(ServiceError::NoKey),
            _ if raw.contains_key => return Err(ServiceError::NoList(raw.get)),
            _ => Lookup::Path(KeyPath::try_from(raw.get)?),
        };
        if raw.present == raw.absent {
            return Err(ServiceError::SameStatus(raw.present));
        }
        Ok(Self {
            get,
            present: raw.present,
            absent: raw.absent,
            after: raw.after,
        })
    }
}

const fn status_present() -> u16 {
    200
}

const fn status_absent() -> u16 {
    404
}

const fn default_after() -> Duration {
    Duration::from_secs(10)
}

/// A path, from the host on, with `{key}` for an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPath(String);

impl KeyPath {
    /// The path for `key`, which becomes one segment whatever it holds (RFC 3986 §2.3).
    pub fn with_key(&self, key: &str) -> String {
        let mut escaped = String::new();
        for byte in key.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                    escaped.push(char::from(byte));
                }
                _ => escaped.push_str(&format!("%{byte:02X}")),
            }
        }
        self.0.replace("{key}", &escaped)
    }
}

impl TryFrom<String> for KeyPath {
    type Error = ServiceError;

    fn try_from(text: String) -> Result<Self, ServiceError> {
        let is_path = text.starts_with('/') && !text.starts_with("//");
        if is_path && text.contains("{key}") {
            Ok(Self(text))
        } else {
            Err(ServiceError::NoPath(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyPath, Origin, ResolveConfig};

    #[track_caller]
    fn check_origin(text: &str, is_origin: bool) {
        assert_eq!(
            Origin::try_from(text.to_owned()).is_ok(),
            is_origin,
            "{text}"
        );
    }

    #[test]
    fn an_origin_is_scheme_host_port_and_perhaps_a_path() {
        check_origin("https://gracedb.ligo.org", true);
        check_origin("http://127.0.0.1:8080/api/", true);
        check_origin("gracedb.ligo.org", false);
        check_origin("ftp://gracedb.ligo.org", false);
        check_origin("https://user@gracedb.ligo.org", false);
        check_origin("https://gracedb.ligo.org/?a=b", false);
    }

    #[test]
    fn a_key_stays_one_segment_of_the_path() {
        let path = KeyPath::try_from("/by-key/{key}".to_owned()).unwrap();
        assert_eq!(path.with_key("5a-0"), "/by-key/5a-0");
        assert_eq!(path.with_key("../x?y#z"), "/by-key/%2E%2E%2Fx%3Fy%23z");
    }

    #[test]
    fn a_path_to_ask_at_begins_at_the_host_and_holds_the_key() {
        for text in ["by-key/{key}", "//evil.example/{key}", "/by-key", "{key}"] {
            assert!(KeyPath::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[track_caller]
    fn check_resolve(text: &str, says: Option<&str>) {
        let read = toml::from_str::<ResolveConfig>(text);
        match (read, says) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
            (read, _) => panic!("{text}: {read:?}"),
        }
    }

    #[test]
    fn a_service_is_asked_at_a_path_with_the_key_or_where_it_lists() {
        check_resolve("get = \"/by-key/{key}\"", None);
        check_resolve("get = \"{url}\"\ncontains_key = true", None);
        check_resolve("get = \"{url}\"", Some("contains_key"));
        check_resolve("get = \"/x/{key}\"\ncontains_key = true", Some("{url}"));
        check_resolve("get = \"/x/{key}\"\npresent = 404", Some("404"));
        check_resolve("get = \"/x/{key}\"\nafterr = \"1s\"", Some("afterr"));
    }
}
