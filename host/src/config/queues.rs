//! `[queues.NAME]`: each queue has a pool of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::text::{is_meant, nearest};

/// One queue's pool.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// How many handlers run at once, each on a thread of its own.
    pub concurrency: NonZeroU16,
    /// Tasks run strictly one after another.
    pub serial: bool,
    /// Linear memory of one running handler.
    pub memory: ByteSize,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            // Slots that end together are written together: with 32, a task costs two thirds of
            // the CPU time that it costs with 8 (`gwasp bench tasks --slots N`).
            concurrency: NonZeroU16::MIN.saturating_add(31),
            serial: false,
            memory: ByteSize(64 << 20),
        }
    }
}

impl QueueConfig {
    /// Linear memory of one running handler, as far as this machine can address it.
    pub fn memory_bytes(&self) -> usize {
        usize::try_from(self.memory.0).unwrap_or(usize::MAX)
    }

    /// How many handlers run at once.
    pub fn slots(&self) -> usize {
        if self.serial {
            1
        } else {
            usize::from(self.concurrency.get())
        }
    }
}

/// A number of bytes, written `"64MiB"`.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(with = "String")]
pub struct ByteSize(pub u64);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is no [`ByteSize`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no size; write a number with B, KiB, MiB or GiB, e.g. \"64MiB\"")]
pub struct SizeError(String);

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        parse_size(text).ok_or_else(|| SizeError(text.to_owned()))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = units
            .into_iter()
            .find(|(shift, _)| self.0 > 0 && self.0.trailing_zeros() >= *shift);
        let (shift, unit) = whole.unwrap_or((0, "B"));
        serializer.collect_str(&format_args!("{}{unit}", self.0 >> shift))
    }
}

fn parse_size(text: &str) -> Option<ByteSize> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).map(ByteSize)
}

/// The queue of handlers that name none. It needs no table of its own.
const GENERAL: &str = "general";

/// The table of queues, or its absence.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(transparent)]
pub struct Queues(Option<BTreeMap<String, QueueConfig>>);

/// A queue that a handler names and that the configuration does not have.
#[derive(Debug, thiserror::Error)]
#[error("there is no queue `{queue}`{}; add [queues.{queue}] to the configuration", is_meant(.nearest.as_deref()))]
pub struct QueueError {
    queue: String,
    nearest: Option<String>,
}

/// A queue that handlers name and that gets the default pool, because nothing is said of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("queue `{queue}` is made with the default pool{}", is_meant(.nearest.as_deref()))]
pub struct DefaultPool {
    /// Its name.
    pub queue: String,
    /// The queue of the configuration that is one typing error away.
    pub nearest: Option<String>,
}

impl Queues {
    /// The pool of `queue`. `general` always has one; where there is no table, any name has the
    /// default one.
    ///
    /// # Errors
    /// [`QueueError`] with the lines to add.
    pub fn get(&self, queue: &str) -> Result<QueueConfig, QueueError> {
        match &self.0 {
            None => Ok(QueueConfig::default()),
            Some(table) => match table.get(queue) {
                Some(config) => Ok(config.clone()),
                None if queue == GENERAL => Ok(QueueConfig::default()),
                None => Err(QueueError {
                    queue: queue.to_owned(),
                    nearest: nearest(queue, self.named().chain([GENERAL])),
                }),
            },
        }
    }

    /// Of the queues that handlers name, those that get the default pool only because there is
    /// no table: a misspelt one is among them.
    pub fn by_default(&self, of_handlers: &BTreeSet<&str>) -> Vec<DefaultPool> {
        if self.0.is_some() {
            return Vec::new();
        }
        let known = || of_handlers.iter().copied().chain([GENERAL]);
        let unsaid = of_handlers.iter().filter(|queue| **queue != GENERAL);
        unsaid
            .map(|queue| DefaultPool {
                queue: (*queue).to_owned(),
                nearest: nearest(queue, known()),
            })
            .collect()
    }

    /// The queues whose tasks run one after another.
    pub fn serial(&self) -> BTreeSet<String> {
        let table = self.0.iter().flatten();
        table
            .filter(|(_, queue)| queue.serial)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// These, each queue that is in `old` as serial as it is there.
    pub(super) fn with_serial_of(mut self, old: &Self) -> Self {
        for (queue, config) in self.0.iter_mut().flatten() {
            if let Ok(old) = old.get(queue) {
                config.serial = old.serial;
            }
        }
        self
    }

    /// Whether there is no table at all.
    pub(super) const fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// The queues that the configuration names.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(|(queue, _)| queue.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{GENERAL, QueueConfig, Queues};
    use crate::routes::TaskOptions;

    #[track_caller]
    fn check(table: &str, queue: &str, has_pool: bool) {
        let queues = if table.is_empty() {
            Queues::default()
        } else {
            toml::from_str(table).unwrap()
        };
        let pool = queues.get(queue);
        assert_eq!(pool.is_ok(), has_pool, "{table:?} {queue}: {pool:?}");
    }

    #[test]
    fn the_queue_of_handlers_that_name_none_needs_no_table() {
        let table = "[openmp]\nserial = true\n";
        check(table, "general", true);
        check(table, "openmp", true);
        check(table, "opnmp", false);
        check("", "opnmp", true);
    }

    #[test]
    fn a_handler_that_names_no_queue_waits_in_the_general_one() {
        assert_eq!(TaskOptions::default().queue, GENERAL);
    }

    #[test]
    fn a_table_of_the_general_queue_counts() {
        let queues: Queues = toml::from_str("[general]\nserial = true").unwrap();
        assert!(queues.get("general").unwrap().serial);
        assert!(!QueueConfig::default().serial);
    }

    #[test]
    fn a_misspelt_queue_is_told_from_the_one_that_was_meant() {
        let queues: Queues = toml::from_str("[openmp]").unwrap();
        let error = queues.get("opnmp").unwrap_err().to_string();
        assert!(error.contains("`opnmp` (is `openmp` meant?)"), "{error}");
        assert!(error.contains("[queues.opnmp]"), "{error}");
        let said = |queue| {
            let pools = Queues::default().by_default(&[queue].into());
            pools.first().map(ToString::to_string)
        };
        assert_eq!(said("general"), None);
        let genral = said("genral").unwrap();
        assert!(
            genral.contains("default pool (is `general` meant?)"),
            "{genral}"
        );
        assert!(said("openmp").unwrap().ends_with("default pool"));
    }
}
