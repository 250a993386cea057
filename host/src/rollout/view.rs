//! Plugins as a person sees them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::{PluginRecord, VersionRecord, VersionTasks};
use crate::packet::{Digest, from_unix_nanos};
use crate::workers::Runs;

/// Whether new tasks are made for a plugin, and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// Tasks are made and run.
    Active,
    /// It has routes and is not loaded: tasks are made, and wait.
    NotLoaded,
    /// A person took its routes away; tasks that are open wait.
    Disabled,
    /// It has no routes, since it has no file; tasks that are open wait.
    Gone,
}

impl PluginState {
    /// Its name, in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NotLoaded => "not-loaded",
            Self::Disabled => "disabled",
            Self::Gone => "gone",
        }
    }
}

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    /// Its name.
    pub plugin: String,
    /// Whether its tasks are made and run.
    pub state: PluginState,
    /// Whether its handlers run in shadow mode: without any effect.
    pub is_shadow: bool,
    /// Since when it is disabled.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled: Option<Timestamp>,
    /// The version that new tasks are for.
    #[schema(value_type = Option<String>)]
    pub current: Option<Digest>,
    /// The version that its file has and that a person went back from.
    #[schema(value_type = Option<String>)]
    pub passed_over: Option<Digest>,
    /// What its file has, where that is refused.
    pub refused: Option<RefusedView>,
    /// Its file is being loaded.
    pub is_loading: bool,
    /// Tasks that wait, or run, and stay on no version: they run on what is current then.
    pub open: u64,
    /// Its versions, the newest first.
    pub versions: Vec<VersionView>,
}

/// A file that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedView {
    /// Its version, where it could be read.
    #[schema(value_type = Option<String>)]
    pub version: Option<Digest>,
    /// Why, in one line.
    pub reason: String,
}

/// One version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// Digest of the file.
    #[schema(value_type = String)]
    pub version: Digest,
    /// When it was last found as new in the plugin directory; none for one that never was while
    /// its bytes were kept.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Whether its bytes are kept: it can be gone back to, and tasks can go on with it after the
    /// cache was emptied.
    pub is_kept: bool,
    /// Runs that are under way.
    pub running: u64,
    /// Tasks that wait or run and stay on it, because it wrote their journal.
    pub pinned: u64,
    /// Tasks that are set aside and would go on with it.
    pub set_aside: u64,
}

/// Puts together what the broker and the workers know of one plugin.
pub(super) fn versions(
    record: &PluginRecord,
    tasks: &[VersionTasks],
    runs: &Runs,
) -> Vec<VersionView> {
    let mut extra: BTreeMap<Digest, VersionRecord> = BTreeMap::new();
    let of_runs = runs
        .keys()
        .filter(|(plugin, _)| *plugin == record.plugin)
        .map(|(_, version)| *version);
    let of_tasks = of_plugin(record, tasks).filter_map(|tasks| tasks.pinned);
    let of_tasks = of_tasks.map(Digest::from_bytes);
    let current = record.current.map(Digest::from_bytes);
    for version in of_runs.chain(of_tasks).chain(current) {
        let digest = *version.as_bytes();
        if !record.versions.iter().any(|known| known.digest == digest) {
            let is_kept = false;
            let unknown = VersionRecord {
                digest,
                since: i64::MIN,
                is_kept,
            };
            extra.insert(version, unknown);
        }
    }
    let all = record.versions.iter().chain(extra.values());
    all.map(|version| version_view(record, version, tasks, runs))
        .collect()
}

/// Tasks of a plugin that stay on no version.
pub(super) fn unpinned(record: &PluginRecord, tasks: &[VersionTasks]) -> u64 {
    of_plugin(record, tasks)
        .filter(|tasks| tasks.pinned.is_none())
        .map(|tasks| tasks.open)
        .sum()
}

fn of_plugin<'a>(
    record: &'a PluginRecord,
    tasks: &'a [VersionTasks],
) -> impl Iterator<Item = &'a VersionTasks> {
    tasks.iter().filter(|tasks| tasks.plugin == record.plugin)
}

fn version_view(
    record: &PluginRecord,
    version: &VersionRecord,
    tasks: &[VersionTasks],
    runs: &Runs,
) -> VersionView {
    let digest = Digest::from_bytes(version.digest);
    let pinned = of_plugin(record, tasks).find(|tasks| tasks.pinned == Some(version.digest));
    let running = runs.get(&(record.plugin.clone(), digest));
    VersionView {
        version: digest,
        since: (version.since != i64::MIN).then(|| from_unix_nanos(version.since)),
        is_kept: version.is_kept,
        running: running.copied().unwrap_or(0),
        pinned: pinned.map_or(0, |tasks| tasks.open),
        set_aside: pinned.map_or(0, |tasks| tasks.set_aside),
    }
}
