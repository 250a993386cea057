//! What a reload of the configuration applies, and what only a restart does.
//!
//! [`RELOADS`] is the one table of it; `docs/configuration.md` shows it to people.
//! [`Changes::between`] compares two configurations key by key, and [`Config::reloaded`] is what
//! is in force after a reload: the new one, with the old values of what needs a restart. What
//! needs a restart keeps nothing else back: a person who has both to do would otherwise find the
//! urgent one left out.
//!
//! A queue is compared by the pool that it has, whether a table or a default says so.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Config, LimitsConfig, QueueConfig, Queues};

/// How a change of a key comes into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// `gwasp reload`, or SIGHUP, applies it.
    Applied,
    /// The host has to be started again.
    NeedsRestart,
}

use Reload::{Applied, NeedsRestart};

/// Keys, `*` standing for any name, and how a change at or below them comes into force. The
/// first one that fits a key decides about it.
pub const RELOADS: [(&str, Reload, &str); 16] = [
    ("profile", Applied, "what it changes counts"),
    (
        "listeners",
        Applied,
        "those that changed connect anew, the others go on",
    ),
    ("grants", Applied, "for tasks that begin afterwards"),
    ("services", Applied, "for tasks that begin afterwards"),
    (
        "secrets",
        Applied,
        "for tasks that begin afterwards; a changed file counts at once",
    ),
    ("mode", Applied, "for tasks that begin afterwards"),
    ("log", Applied, "from the next line on"),
    ("retention", Applied, "for what is removed next"),
    ("drain", Applied, "for the next stop"),
    (
        "limits.watchdog",
        NeedsRestart,
        "its thread is made at the start",
    ),
    ("limits", Applied, "drawn anew"),
    (
        "queues.*.serial",
        NeedsRestart,
        "turns are kept in the store's schedule; a new queue has it at once",
    ),
    (
        "queues",
        Applied,
        "a new pool takes over slot by slot; what runs ends its task first",
    ),
    (
        "kernels",
        NeedsRestart,
        "their threads are made at the start",
    ),
    ("store", NeedsRestart, "another store is another host"),
    (
        "plugins",
        NeedsRestart,
        "the plugin directory is watched from the start on",
    ),
];

/// How two configurations differ: keys with their tables in front.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Changes {
    /// What a reload applies.
    pub applied: Vec<String>,
    /// What needs a restart.
    pub needs_restart: Vec<String>,
}

impl Changes {
    /// Compares what is in force with what should be.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Self::default();
        for key in differing(&leaves(old), &leaves(new)) {
            // A table of queues is more than its leaves.
            if !key.starts_with(QUEUES) {
                let reload = reload_of(&key);
                changes.note(key, reload);
            }
        }
        changes.compare_queues(&old.queues, &new.queues);
        changes
    }

    /// Whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.needs_restart.is_empty()
    }

    fn compare_queues(&mut self, old: &Queues, new: &Queues) {
        let named: BTreeSet<&str> = old.named().chain(new.named()).collect();
        for queue in named {
            let name = format!("{QUEUES}{}", plain(queue));
            match (old.get(queue), new.get(queue)) {
                (Ok(old), Ok(new)) => self.compare_pools(&name, &old, &new),
                (Err(_), Err(_)) => {}
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => self.note(name, Applied),
            }
        }
    }

    fn compare_pools(&mut self, name: &str, old: &QueueConfig, new: &QueueConfig) {
        let keys = [
            ("concurrency", old.concurrency != new.concurrency),
            ("memory", old.memory != new.memory),
            ("serial", old.serial != new.serial),
        ];
        for (key, differs) in keys {
            let key = format!("{name}.{key}");
            if differs {
                let reload = reload_of(&key);
                self.note(key, reload);
            }
        }
    }

    fn note(&mut self, key: String, reload: Reload) {
        match reload {
            Applied => self.applied.push(key),
            NeedsRestart => self.needs_restart.push(key),
        }
    }
}

impl Config {
    /// What is in force once `new` was applied to a host that runs with this one.
    #[must_use]
    pub fn reloaded(&self, new: Self) -> Self {
        Self {
            store: self.store.clone(),
            plugins: self.plugins.clone(),
            kernels: self.kernels.clone(),
            limits: LimitsConfig {
                watchdog: self.limits.watchdog,
                ..new.limits
            },
            queues: new.queues.with_serial_of(&self.queues),
            ..new
        }
    }
}

const QUEUES: &str = "queues.";

/// How a change of `key` comes into force; of a key that the table does not have, by a restart.
fn reload_of(key: &str) -> Reload {
    let fits = |pattern: &str| {
        let mut parts = key.split('.');
        pattern.split('.').all(|wanted| {
            parts
                .next()
                .is_some_and(|part| wanted == "*" || wanted == part)
        })
    };
    let row = RELOADS.iter().find(|(pattern, ..)| fits(pattern));
    row.map_or(NeedsRestart, |(_, reload, _)| *reload)
}

fn differing(
    old: &BTreeMap<String, serde_json::Value>,
    new: &BTreeMap<String, serde_json::Value>,
) -> Vec<String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .cloned()
        .collect()
}

/// A name in which no dot looks like the end of it.
fn plain(name: &str) -> String {
    name.replace('.', "\u{2024}")
}

/// Each value that is no table, by the path to it.
pub(super) fn leaves(config: &Config) -> BTreeMap<String, serde_json::Value> {
    let mut leaves = BTreeMap::new();
    // A configuration has nothing in it that JSON has not.
    if let Ok(value) = serde_json::to_value(config) {
        gather(String::new(), value, &mut leaves);
    }
    leaves
}

fn gather(
    path: String,
    value: serde_json::Value,
    leaves: &mut BTreeMap<String, serde_json::Value>,
) {
    match value {
        serde_json::Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let key = plain(&key);
                let below = if path.is_empty() {
                    key
                } else {
                    format!("{path}.{key}")
                };
                gather(below, value, leaves);
            }
        }
        serde_json::Value::Null => {}
        serde_json::Value::Object(_) if path.is_empty() => {}
        value => {
            leaves.insert(path, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "[queues.a]\nconcurrency = 2\n[grants.p]\nkv = true\n";

    #[track_caller]
    fn check(new: &str, applied: &[&str], needs_restart: &[&str]) {
        let old = Config::parse(OLD, "old").unwrap();
        let new = Config::parse(new, "new").unwrap();
        let changes = Changes::between(&old, &new);
        assert_eq!(changes.applied, applied);
        assert_eq!(changes.needs_restart, needs_restart);
    }

    #[test]
    fn only_what_differs_is_a_change() {
        check(OLD, &[], &[]);
        check(&OLD.replace("= 2", "= 3"), &["queues.a.concurrency"], &[]);
        check(&format!("{OLD}[drain]\ndeadline = \"25s\""), &[], &[]);
        check(
            &format!("{OLD}[drain]\ndeadline = \"30s\"\n[store]\ndirectory = \"x\""),
            &["drain.deadline"],
            &["store.directory"],
        );
        check(
            &OLD.replace("concurrency", "serial = true\nconcurrency"),
            &[],
            &["queues.a.serial"],
        );
    }

    #[test]
    fn a_queue_is_its_pool_whoever_says_so() {
        let other = OLD.replace("queues.a", "queues.b");
        check(&other, &["queues.a", "queues.b"], &[]);
        check(&format!("{OLD}[queues.general]"), &[], &[]);
        let serial = "[queues.b]\nserial = true";
        check(&format!("{OLD}{serial}"), &["queues.b"], &[]);
        check(
            &format!("{OLD}[queues.general]\nserial = true"),
            &[],
            &["queues.general.serial"],
        );
    }

    #[test]
    fn after_a_reload_there_is_nothing_left_to_apply_and_what_needs_a_restart_still_does() {
        let text = include_str!("../../../examples/gwasp.toml");
        let all = Config::parse(text, "examples/gwasp.toml").unwrap();
        let none = Config::parse(OLD, "old").unwrap();
        for (old, new) in [(&none, &all), (&all, &none)] {
            let wanted = Changes::between(old, new);
            let in_force = old.reloaded(new.clone());
            let kept = Changes::between(old, &in_force);
            assert_eq!(kept.needs_restart, [""; 0], "kept as it was");
            assert_eq!(kept.applied, wanted.applied);
            let left = Changes::between(&in_force, new);
            assert_eq!(left.applied, [""; 0], "all that can be is applied");
            assert_eq!(left.needs_restart, wanted.needs_restart);
        }
    }

    #[test]
    fn every_key_of_the_example_has_a_row() {
        let example = include_str!("../../../examples/gwasp.toml");
        let config = Config::parse(example, "examples/gwasp.toml").unwrap();
        let fits = |key: &str, pattern: &str| {
            let wanted: Vec<&str> = pattern.split('.').collect();
            let parts: Vec<&str> = key.split('.').take(wanted.len()).collect();
            wanted.len() == parts.len()
                && wanted
                    .iter()
                    .zip(parts)
                    .all(|(wanted, part)| *wanted == "*" || *wanted == part)
        };
        for key in leaves(&config).keys() {
            assert!(
                RELOADS.iter().any(|(pattern, ..)| fits(key, pattern)),
                "{key}"
            );
        }
    }

    #[test]
    fn people_are_told_what_the_table_says() {
        let page = include_str!("../../../docs/configuration.md");
        for (key, reload, why) in RELOADS {
            let how = match reload {
                Applied => "applied",
                NeedsRestart => "needs a restart",
            };
            let row = format!("| `{key}` | {how} | {why} |");
            assert!(page.contains(&row), "docs/configuration.md lacks\n{row}");
        }
        assert_eq!(page.matches("\n| `").count(), RELOADS.len());
    }
}
