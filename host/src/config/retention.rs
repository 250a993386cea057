//! `[retention]`: how long what is kept. Open tasks, those set aside, and what they need are
//! kept for ever.

use std::time::Duration;

use serde::Deserialize;

use super::ByteSize;

const DAY: Duration = Duration::from_hours(24);
/// What goes sooner may be needed by what is running.
const SHORTEST: Duration = Duration::from_hours(1);
/// What one packet may have, and some.
const FEWEST_BYTES: ByteSize = ByteSize(64 << 20);

/// How long what is kept.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "Raw")]
pub struct RetentionConfig {
    packets: Duration,
    packet_bytes: ByteSize,
    results: Duration,
    journals: Duration,
    blobs: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    #[serde(with = "humantime_serde")]
    packets: Duration,
    packet_bytes: ByteSize,
    #[serde(with = "humantime_serde")]
    results: Duration,
    #[serde(with = "humantime_serde")]
    journals: Duration,
    #[serde(with = "humantime_serde")]
    blobs: Duration,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            packets: 30 * DAY,
            packet_bytes: ByteSize(10 << 30),
            results: 7 * DAY,
            journals: 7 * DAY,
            blobs: 7 * DAY,
        }
    }
}

/// Why a `[retention]` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// What is running may need it.
    #[error("`{key}` is too short; keep it for at least \"1h\"")]
    TooShort {
        /// The key.
        key: &'static str,
    },
    /// One packet would not fit.
    #[error("`packet_bytes` is too small; keep at least \"64MiB\"")]
    TooFew,
}

impl TryFrom<Raw> for RetentionConfig {
    type Error = RetentionError;

    fn try_from(raw: Raw) -> Result<Self, RetentionError> {
        let Raw {
            packets,
            packet_bytes,
            results,
            journals,
            blobs,
        } = raw;
        let spans = [
            ("packets", packets),
            ("results", results),
            ("journals", journals),
            ("blobs", blobs),
        ];
        if let Some((key, _)) = spans.into_iter().find(|(_, span)| *span < SHORTEST) {
            return Err(RetentionError::TooShort { key });
        }
        if packet_bytes < FEWEST_BYTES {
            return Err(RetentionError::TooFew);
        }
        Ok(Self {
            packets,
            packet_bytes,
            results,
            journals,
            blobs,
        })
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let Raw {
            packets,
            packet_bytes,
            results,
            journals,
            blobs,
        } = Raw::default();
        Self {
            packets,
            packet_bytes,
            results,
            journals,
            blobs,
        }
    }
}

impl RetentionConfig {
    /// Payloads of packets, and refused bytes. That a packet came is remembered for 30 days at
    /// least.
    pub const fn packets(&self) -> Duration {
        self.packets
    }

    /// Most bytes of payloads and refused bytes; beyond it those of the oldest go.
    pub const fn packet_bytes(&self) -> ByteSize {
        self.packet_bytes
    }

    /// Results of tasks, after their end.
    pub const fn results(&self) -> Duration {
        self.results
    }

    /// Journals and arguments of tasks, after their end.
    pub const fn journals(&self) -> Duration {
        self.journals
    }

    /// Blobs, after they were last mentioned by a task.
    pub const fn blobs(&self) -> Duration {
        self.blobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, says: &str) {
        let error = toml::from_str::<RetentionConfig>(text).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let parsed: RetentionConfig = toml::from_str("packets = \"90d\"").unwrap();
        let expected = RetentionConfig {
            packets: 90 * DAY,
            ..RetentionConfig::default()
        };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn the_defaults_are_the_stores() {
        let config = RetentionConfig::default();
        let store = gwasp_store::Retention::default();
        assert_eq!(config.packets(), store.packets);
        assert_eq!(config.packet_bytes().0, store.packet_bytes);
        assert_eq!(config.results(), store.results);
        assert_eq!(config.journals(), store.journals);
        assert_eq!(config.blobs(), store.blobs);
    }

    #[test]
    fn what_is_too_short_or_small_or_unknown_is_refused() {
        check_refused("journals = \"1m\"", "`journals` is too short");
        check_refused("packet_bytes = \"1MiB\"", "`packet_bytes` is too small");
        check_refused("packet_bytes = \"much\"", "is no size");
        check_refused("tasks = \"7d\"", "unknown field `tasks`");
    }
}
