//! `[retention]`: how long what is kept. Open tasks, those set aside, and what they need are
//! kept for ever.

use std::num::NonZeroU64;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ByteSize;

const DAY: Duration = Duration::from_hours(24);
/// What goes sooner may be needed by what is running.
const SHORTEST: Duration = Duration::from_hours(1);
/// What one packet may have, and some.
const FEWEST_BYTES: ByteSize = ByteSize(64 << 20);

/// How long what is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(try_from = "Raw")]
#[schemars(with = "Raw")]
pub struct RetentionConfig(Raw);

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    packets: Duration,
    packet_bytes: ByteSize,
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    results: Duration,
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    journals: Duration,
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    blobs: Duration,
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    events: Duration,
    event_count: NonZeroU64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            packets: 30 * DAY,
            packet_bytes: ByteSize(10 << 30),
            results: 7 * DAY,
            journals: 7 * DAY,
            blobs: 7 * DAY,
            events: 7 * DAY,
            event_count: NonZeroU64::MIN.saturating_add(999_999),
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
        let spans = [
            ("packets", raw.packets),
            ("results", raw.results),
            ("journals", raw.journals),
            ("blobs", raw.blobs),
            ("events", raw.events),
        ];
        if let Some((key, _)) = spans.into_iter().find(|(_, span)| *span < SHORTEST) {
            return Err(RetentionError::TooShort { key });
        }
        if raw.packet_bytes < FEWEST_BYTES {
            return Err(RetentionError::TooFew);
        }
        Ok(Self(raw))
    }
}

impl RetentionConfig {
    /// Payloads of packets, and refused bytes. That a packet came is remembered for 30 days at
    /// least.
    pub const fn packets(&self) -> Duration {
        self.0.packets
    }

    /// Most bytes of payloads and refused bytes; beyond it those of the oldest go.
    pub const fn packet_bytes(&self) -> ByteSize {
        self.0.packet_bytes
    }

    /// Results of tasks, after their end.
    pub const fn results(&self) -> Duration {
        self.0.results
    }

    /// Journals and arguments of tasks, after their end.
    pub const fn journals(&self) -> Duration {
        self.0.journals
    }

    /// Blobs, after they were last mentioned by a task.
    pub const fn blobs(&self) -> Duration {
        self.0.blobs
    }

    /// Events.
    pub const fn events(&self) -> Duration {
        self.0.events
    }

    /// Most events.
    pub const fn event_count(&self) -> u64 {
        self.0.event_count.get()
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
        assert_eq!(parsed.packets(), 90 * DAY);
        assert_eq!(parsed.journals(), RetentionConfig::default().journals());
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
        assert_eq!(config.events(), store.events);
        assert_eq!(config.event_count(), store.event_count);
    }

    #[test]
    fn what_is_too_short_or_small_or_unknown_is_refused() {
        check_refused("journals = \"1m\"", "`journals` is too short");
        check_refused("packet_bytes = \"1MiB\"", "`packet_bytes` is too small");
        check_refused("packet_bytes = \"much\"", "is no size");
        check_refused("tasks = \"7d\"", "unknown field `tasks`");
    }
}
