//! What a reload of the configuration applies, and what only a restart does.
//!
//! [`RELOADS`] is the one table of it; `docs/configuration.md` shows it to people.
//! [`Changes::between`] compares two configurations key by key. A reload is all or nothing: with
//! one change that needs a restart the caller leaves all of them out. That a queue with tasks in
//! it must not go is for the caller to see: [`Changes::queues_removed`] says which would go.

use std::collections::{BTreeMap, BTreeSet};

use super::Config;

/// How a change of a key comes into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// `gwasp reload`, or SIGHUP, applies it.
    Applied,
    /// The host has to be started again.
    NeedsRestart,
}

/// Keys, `*` standing for any name, and how a change at or below them comes into force. The
/// first one that fits a key decides about it.
pub const RELOADS: [(&str, Reload, &str); 15] = [
    ("profile", Reload::Applied, "what it changes counts"),
    (
        "listeners",
        Reload::Applied,
        "those that changed connect anew, the others go on",
    ),
    ("grants", Reload::Applied, "for tasks that begin afterwards"),
    (
        "services",
        Reload::Applied,
        "for tasks that begin afterwards",
    ),
    (
        "secrets",
        Reload::Applied,
        "for tasks that begin afterwards; a changed file counts at once",
    ),
    ("drain", Reload::Applied, "for the next stop"),
    (
        "queues.*.concurrency",
        Reload::Applied,
        "slots that run end their task first",
    ),
    (
        "queues.*.serial",
        Reload::NeedsRestart,
        "turns are kept in the store's schedule",
    ),
    (
        "queues.*.memory",
        Reload::NeedsRestart,
        "a pool is laid out in memory when it is made",
    ),
    (
        "mode",
        Reload::NeedsRestart,
        "no run changes its mode on its way",
    ),
    (
        "limits",
        Reload::NeedsRestart,
        "a process draws its own at the start",
    ),
    (
        "kernels",
        Reload::NeedsRestart,
        "their threads are made at the start",
    ),
    (
        "retention",
        Reload::NeedsRestart,
        "the store's writer has it",
    ),
    (
        "store",
        Reload::NeedsRestart,
        "another store is another host",
    ),
    (
        "plugins",
        Reload::NeedsRestart,
        "the plugin directory is watched from the start on",
    ),
];

/// How two configurations differ: keys with their tables in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What a reload applies.
    pub applied: Vec<String>,
    /// What needs a restart.
    pub needs_restart: Vec<String>,
}

impl Changes {
    /// Compares what is in force with what should be.
    pub fn between(old: &Config, new: &Config) -> Self {
        let (old, new) = (leaves(old), leaves(new));
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut changes = Self::default();
        for key in keys {
            if old.get(key) != new.get(key) {
                match reload_of(key) {
                    Reload::Applied => changes.applied.push(key.clone()),
                    Reload::NeedsRestart => changes.needs_restart.push(key.clone()),
                }
            }
        }
        changes
    }

    /// Queues that have a table in `old` and none in `new`; one that has tasks must stay.
    pub fn queues_removed(old: &Config, new: &Config) -> Vec<String> {
        let kept: BTreeSet<&str> = new.queues.named().collect();
        let gone = old.queues.named().filter(|name| !kept.contains(name));
        gone.map(str::to_owned).collect()
    }
}

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
    row.map_or(Reload::NeedsRestart, |(_, reload, _)| *reload)
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
                // A dot in a name must not look like the end of it.
                let key = key.replace('.', "\u{2024}");
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
            &OLD.replace("concurrency", "memory = \"1MiB\"\nconcurrency"),
            &[],
            &["queues.a.memory"],
        );
    }

    #[test]
    fn a_queue_that_goes_is_named() {
        let old = Config::parse(OLD, "old").unwrap();
        let new = Config::parse("[queues.b]", "new").unwrap();
        assert_eq!(Changes::queues_removed(&old, &new), ["a"]);
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
                Reload::Applied => "applied",
                Reload::NeedsRestart => "needs a restart",
            };
            let row = format!("| `{key}` | {how} | {why} |");
            assert!(page.contains(&row), "docs/configuration.md lacks\n{row}");
        }
        assert_eq!(page.matches("\n| `").count(), RELOADS.len());
    }
}
