//! The table of a VOEvent listener in the configuration.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which VOEvent brokers to listen to, and how patiently.
///
/// ```toml
/// brokers = ["voevent.example.org:8099", "127.0.0.1:8099"]
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VtpConfig {
    /// `host:port` of each broker. Each is held at the same time; what comes from several is
    /// taken once.
    #[serde(deserialize_with = "at_least_one")]
    pub brokers: Vec<BrokerAddress>,
    /// What the packets' `source` is.
    #[serde(default = "defaults::source")]
    pub source: String,
    /// Who we say we are in receipts, an `ivo://` identifier.
    #[serde(default = "defaults::ivoid")]
    pub ivoid: String,
    /// `XPath` expressions for brokers that filter (Comet): an event is sent when one of them
    /// holds. Brokers that do not filter send everything.
    #[serde(default)]
    pub filters: Vec<String>,
    /// The largest packet that is taken, in bytes. A frame that claims more ends the
    /// connection.
    #[serde(default = "defaults::max_packet")]
    pub max_packet: NonZeroU32,
    /// Connect again after this long without a frame; brokers send one at least every 90 s.
    #[serde(default = "defaults::silence", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub silence: Duration,
    /// How long one frame may take from its first byte to its last.
    #[serde(default = "defaults::frame_deadline", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub frame_deadline: Duration,
    /// How long the broker may leave our receipts unread.
    #[serde(default = "defaults::write_deadline", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub write_deadline: Duration,
    /// How long to wait for each address of a broker, the TLS handshake included.
    #[serde(default = "defaults::connect_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// How long an ending connection waits for what is under way to be kept.
    #[serde(default = "defaults::drain", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub drain: Duration,
    /// TLS, for brokers that offer it; plain TCP without this table.
    pub tls: Option<TlsConfig>,
}

/// TLS to the brokers.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificates to trust; the system's without it.
    pub ca_file: Option<PathBuf>,
    /// The name that the broker's certificate bears, where it is not the host's.
    pub server_name: Option<String>,
}

mod defaults {
    use std::num::NonZeroU32;
    use std::time::Duration;

    pub(super) fn source() -> String {
        "gcn".to_owned()
    }

    pub(super) fn ivoid() -> String {
        "ivo://gwasp.listener/anonymous".to_owned()
    }

    pub(super) const fn max_packet() -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add((1 << 20) - 1)
    }

    pub(super) const fn silence() -> Duration {
        Duration::from_secs(150)
    }

    pub(super) const fn frame_deadline() -> Duration {
        Duration::from_secs(30)
    }

    pub(super) const fn write_deadline() -> Duration {
        Duration::from_secs(30)
    }

    pub(super) const fn connect_timeout() -> Duration {
        Duration::from_secs(10)
    }

    pub(super) const fn drain() -> Duration {
        Duration::from_secs(10)
    }
}

impl VtpConfig {
    /// A table with these brokers and every default.
    pub fn with_brokers(brokers: Vec<BrokerAddress>) -> Self {
        Self {
            brokers,
            source: defaults::source(),
            ivoid: defaults::ivoid(),
            filters: Vec::new(),
            max_packet: defaults::max_packet(),
            silence: defaults::silence(),
            frame_deadline: defaults::frame_deadline(),
            write_deadline: defaults::write_deadline(),
            connect_timeout: defaults::connect_timeout(),
            drain: defaults::drain(),
            tls: None,
        }
    }
}

/// `host:port` of a VTP peer; an IPv6 address stands in brackets.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq, Hash)]
#[schemars(with = "String")]
pub struct BrokerAddress {
    host: String,
    port: u16,
}

impl BrokerAddress {
    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl From<std::net::SocketAddr> for BrokerAddress {
    fn from(address: std::net::SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

/// A text that is no `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host:port; write it like `127.0.0.1:8099`, `[::1]:8099` or `host.org:8099`")]
pub struct NoAddress(String);

impl FromStr for BrokerAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        parse(text).ok_or_else(|| NoAddress(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<BrokerAddress> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(v6) => v6,
        None if host.contains(':') => return None,
        None => host,
    };
    let plausible = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
    plausible.then(|| BrokerAddress {
        host: host.to_owned(),
        port,
    })
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl<'de> Deserialize<'de> for BrokerAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for BrokerAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<BrokerAddress>, D::Error> {
    let brokers = Vec::deserialize(from)?;
    if brokers.is_empty() {
        let advice = "no brokers; name one, like `brokers = [\"127.0.0.1:8099\"]`";
        return Err(serde::de::Error::custom(advice));
    }
    Ok(brokers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_address(text: &str, expected: Option<(&str, u16)>) {
        let address = text.parse::<BrokerAddress>();
        assert_eq!(
            address.as_ref().ok().map(|a| (a.host(), a.port())),
            expected,
            "{text:?}"
        );
    }

    #[track_caller]
    fn check_refused(table: &str, word: &str) {
        let error = toml::from_str::<VtpConfig>(table).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }

    #[test]
    fn an_address_is_host_and_port() {
        check_address("127.0.0.1:8099", Some(("127.0.0.1", 8099)));
        check_address(
            "voevent.example.org:8099",
            Some(("voevent.example.org", 8099)),
        );
        check_address("[::1]:8099", Some(("::1", 8099)));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "host",
            "host:",
            ":8099",
            "host:0",
            "host:70000",
            "::1:8099",
            "http://a:1",
        ] {
            check_address(text, None);
        }
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        for text in ["127.0.0.1:8099", "[::1]:8099", "a.org:1"] {
            assert_eq!(text.parse::<BrokerAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_table_needs_brokers_and_nothing_else() {
        let config: VtpConfig = toml::from_str("brokers = ['127.0.0.1:8099']").unwrap();
        assert_eq!(config.max_packet.get(), 1024 * 1024);
        assert_eq!(config.silence, Duration::from_secs(150));
        assert_eq!(config.frame_deadline, Duration::from_secs(30));
        assert_eq!(config.source, "gcn");
        assert!(config.tls.is_none());
    }

    #[test]
    fn durations_are_written_with_units() {
        let table = "brokers = ['a:1']\nsilence = '2m'\n[tls]\nca_file = '/c.pem'\n";
        let config: VtpConfig = toml::from_str(table).unwrap();
        assert_eq!(config.silence, Duration::from_secs(120));
        assert_eq!(config.tls.unwrap().ca_file, Some(PathBuf::from("/c.pem")));
    }

    #[test]
    fn a_mistake_in_the_table_is_named() {
        check_refused("brokers = []", "127.0.0.1:8099");
        check_refused("brokers = ['localhost']", "no host:port");
        check_refused("brokers = ['a:1']\nsilense = '2m'", "silense");
        check_refused("brokers = ['a:1']\nmax_packet = 0", "nonzero");
    }
}
