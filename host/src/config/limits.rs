//! `[limits]`: when the host ends by itself, for a supervisor to start it again.
//!
//! A process that is renewed now and then cannot be worn out by what grows slowly. The host
//! drains, and its exit code is 0: none of these ends is a failure.

use std::num::NonZeroU64;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::ByteSize;

/// When the host ends by itself. All of it is off without an entry, but for `least_life`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// After about so many tasks; each host draws its own number within a tenth of it.
    pub max_tasks: Option<NonZeroU64>,
    /// When it has about so much resident memory after a task; drawn likewise.
    pub max_memory: Option<ByteSize>,
    /// After about so long; drawn likewise.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub max_lifetime: Option<Duration>,
    /// Not before it has lived so long, whatever is reached: supervisors take a process that
    /// ends soon after its start for one that does not start (supervisord's `startsecs`).
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub least_life: Duration,
    /// Aborts when no heartbeat went the way of a packet for so long. This is for supervisors
    /// that have no watchdog of their own; systemd's `WatchdogSec=` needs no entry here.
    #[serde(
        deserialize_with = "watchdog",
        serialize_with = "humantime_serde::serialize"
    )]
    #[schemars(with = "Option<String>")]
    pub watchdog: Option<Duration>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_tasks: None,
            max_memory: None,
            max_lifetime: None,
            least_life: Duration::from_secs(10),
            watchdog: None,
        }
    }
}

impl LimitsConfig {
    /// Reads the time of a watchdog, such as `30s`.
    ///
    /// # Errors
    /// With what to write instead. A busy disk may take a second for one commit.
    pub fn parse_watchdog(text: &str) -> Result<Duration, String> {
        let time = humantime::parse_duration(text)
            .map_err(|error| format!("`{text}` is no time ({error}); write e.g. 30s"))?;
        if time < Duration::from_secs(1) {
            return Err(format!("`{text}` is too short; write 1s or more, e.g. 30s"));
        }
        Ok(time)
    }
}

fn watchdog<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    LimitsConfig::parse_watchdog(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ByteSize, LimitsConfig};

    #[test]
    fn a_host_does_not_end_by_itself_unless_it_is_told_to() {
        let limits: LimitsConfig = toml::from_str("").unwrap();
        assert_eq!(limits, LimitsConfig::default());
        assert_eq!(limits.max_tasks, None);
        assert_eq!(limits.watchdog, None);
    }

    #[test]
    fn limits_are_read_with_their_units() {
        let text =
            "max_tasks = 100\nmax_memory = \"2GiB\"\nmax_lifetime = \"1d\"\nwatchdog = \"30s\"";
        let limits: LimitsConfig = toml::from_str(text).unwrap();
        assert_eq!(limits.max_memory, Some(ByteSize(2 << 30)));
        assert_eq!(limits.max_lifetime, Some(Duration::from_hours(24)));
        assert_eq!(limits.watchdog, Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_watchdog_that_would_end_a_healthy_host_is_refused() {
        let error = toml::from_str::<LimitsConfig>("watchdog = \"50ms\"").unwrap_err();
        assert!(error.to_string().contains("write 1s or more"), "{error}");
    }
}
