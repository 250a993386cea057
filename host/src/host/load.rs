//! Loads the plugins of a directory and brings the routing table up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, info, warn};

use super::HostError;
use crate::broker::{Broker, RouteRecord};
use crate::config::{QueueError, Queues};
use crate::packet::Digest;
use crate::plugins::{DirectoryError, Loader, Plugin, plugin_files};
use crate::routes::{EntryKind, Manifest, PluginRoutes};
use crate::text::chain;
use crate::workers::Registry;

/// The routing table as it stands after loading.
pub(super) struct Table {
    pub(super) generation: u64,
    pub(super) plugins: Vec<PluginRoutes>,
    /// Plugins that were refused although they say what they ask for.
    pub(super) refused: Vec<(String, Manifest)>,
}

/// Loads each plugin in `directory`; a version that the table does not have yet is put into it.
pub(super) async fn load_all(
    broker: &dyn Broker,
    loader: &Loader,
    registry: &Registry,
    directory: &Path,
    queues: &Queues,
) -> Result<Table, HostError> {
    let (_, known) = broker.routes()?;
    let known: BTreeMap<_, _> = known
        .into_iter()
        .map(|record| (record.plugin.clone(), record))
        .collect();
    let mut refused = Vec::new();
    for path in files(directory)? {
        match loader.load(&path) {
            Ok(plugin) if let Some(error) = unknown_queue(&plugin, queues) => {
                error!(target: "gwasp::host", path = %path.display(), error = %chain(&error), "plugin refused");
                refused.push((plugin.name, plugin.manifest));
            }
            Ok(plugin) => {
                announce(&plugin);
                let is_new = known
                    .get(&plugin.name)
                    .is_none_or(|record| record.digest != *plugin.digest.as_bytes());
                if is_new {
                    let digest = *plugin.digest.as_bytes();
                    broker
                        .put_route(&plugin.name, digest, &plugin.manifest_json)
                        .await?;
                }
                registry.set(Arc::new(plugin));
            }
            Err(error) => {
                error!(target: "gwasp::host", path = %path.display(), error = %chain(&error), "plugin refused");
            }
        }
    }
    table(broker, registry, refused)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, HostError> {
    match plugin_files(directory) {
        Ok(files) => {
            if files.is_empty() {
                warn!(target: "gwasp::host", directory = %directory.display(), "no plugins; `gwasp new NAME` makes one, `gwasp build` puts it here");
            }
            Ok(files)
        }
        Err(DirectoryError::Permission(error)) => Err(error.into()),
        Err(error @ DirectoryError::Read { .. }) => {
            warn!(target: "gwasp::host", error = %chain(&error), "no plugins");
            Ok(Vec::new())
        }
    }
}

fn announce(plugin: &Plugin) {
    let digest = plugin.digest.to_string();
    let entries = plugin.manifest.entries.len();
    info!(target: "gwasp::host", plugin = %plugin.name, digest = &digest[..12], entries, "plugin loaded");
    let periodic = plugin
        .manifest
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Periodic(_)));
    for entry in periodic {
        warn!(target: "gwasp::host", plugin = %plugin.name, entry = %entry.name, "schedules are declared, and not run by this version");
    }
}

/// A plugin whose handler names a queue that is not there is refused. Routes that the store has
/// of it stay, as those of a plugin that does not load; without any, nothing is accepted for it,
/// and packets that only it asks for are unmatched for that reason.
fn unknown_queue(plugin: &Plugin, queues: &Queues) -> Option<QueueError> {
    plugin
        .manifest
        .queues()
        .find_map(|queue| queues.get(queue).err())
}

/// Tasks of plugins that are not loaded are held: they wait, and cost nothing.
fn table(
    broker: &dyn Broker,
    registry: &Registry,
    refused: Vec<(String, Manifest)>,
) -> Result<Table, HostError> {
    let (generation, records) = broker.routes()?;
    let mut plugins = Vec::new();
    let mut absent = BTreeSet::new();
    for record in records {
        if registry.get(&record.plugin).is_none() {
            warn!(target: "gwasp::host", plugin = %record.plugin, "not loaded: it keeps its routes, and its tasks wait until a file of it in the plugin directory loads");
            absent.insert(record.plugin.clone());
        }
        let routes = plugin_routes(&record).map_err(|source| HostError::Routes {
            plugin: record.plugin.clone(),
            source,
        })?;
        plugins.push(routes);
    }
    broker.hold_plugins(absent);
    Ok(Table {
        generation,
        plugins,
        refused,
    })
}

fn plugin_routes(record: &RouteRecord) -> Result<PluginRoutes, crate::routes::ManifestError> {
    Ok(PluginRoutes {
        plugin: record.plugin.clone(),
        generation: record.generation,
        digest: Digest::from_bytes(record.digest),
        manifest: Manifest::read(&record.manifest)?,
    })
}
