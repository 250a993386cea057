//! The parts of a host that a new version reaches, and the order in which it does.
//!
//! First its code is in the engines of its queues, then it is in the routing table on disk, then
//! new runs use it, then new packets make tasks for it. So no packet makes a task for a handler
//! that nothing can run. Runs that are under way end on the version that they began with.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};

use super::StartError;
use super::load::Aim;
use crate::broker::{Broker, BrokerError, RouteChange, RouteRecord, read};
use crate::config::Rights;
use crate::packet::Digest;
use crate::plugins::{Loader, Plugin};
use crate::routes::{EntryKind, Manifest, PluginRoutes, Routes};
use crate::stop::StopSignal;
use crate::workers::{Pools, Registry};

/// The parts that a new version reaches.
pub(crate) struct Parts {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) loader: Arc<Loader>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) pools: Arc<Pools>,
    pub(crate) routes: watch::Sender<Arc<Routes>>,
    pub(crate) stop: StopSignal,
    pub(crate) rights: watch::Receiver<Arc<Rights>>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Parts {
    /// Has new runs use `plugin`; its code is in the engines. [`Parts::publish`] comes after.
    pub(super) async fn take(&self, plugin: Plugin, aim: Aim) -> Result<(), BrokerError> {
        if !self.is_in_table(&plugin, aim).await? {
            let digest = *plugin.digest.as_bytes();
            let manifest = plugin.manifest_json.clone();
            let change = match aim {
                Aim::Newest | Aim::Former => RouteChange::Put { digest, manifest },
                Aim::RollBack { instead_of } => RouteChange::RollBack {
                    digest,
                    manifest,
                    instead_of: *instead_of.as_bytes(),
                },
            };
            self.change(&plugin.name, change).await?;
        }
        let former = self.registry.get(&plugin.name);
        announce(&plugin, former.as_deref(), aim);
        self.tell_missing_grants(&plugin);
        self.registry.set(Arc::new(plugin));
        Ok(())
    }

    /// Changes the routing table on disk.
    pub(super) async fn change(
        &self,
        plugin: &str,
        change: RouteChange,
    ) -> Result<(), BrokerError> {
        let changed = self.broker.change_route(plugin, change).await;
        changed.inspect_err(|error| self.stop.heed(error)).map(drop)
    }

    /// Says what a plugin calls and may not: it would be refused at the first packet.
    fn tell_missing_grants(&self, plugin: &Plugin) {
        let grant = self.rights.borrow().grant(&plugin.name);
        let lacks = grant.lacks(&plugin.calls).join(", ");
        if !lacks.is_empty() {
            info!(target: "gwasp::host", plugin = %plugin.name, add = %format_args!("[grants.{}] {lacks}", plugin.name), "plugin calls what it has no grant for");
        }
    }

    /// Whether the routing table has this version, with nothing else to be said of it.
    async fn is_in_table(&self, plugin: &Plugin, aim: Aim) -> Result<bool, BrokerError> {
        let digest = *plugin.digest.as_bytes();
        let plugins = read(&self.broker, |broker| broker.plugins()).await?;
        let found = plugins.iter().find(|found| found.plugin == plugin.name);
        Ok(found.is_some_and(|found| {
            let is_current = found.current == Some(digest);
            let is_known = found.versions.iter().any(|known| known.digest == digest);
            match aim {
                Aim::Newest => is_current && is_known && found.passed_over.is_none(),
                Aim::Former => is_current,
                Aim::RollBack { .. } => false,
            }
        }))
    }

    /// Has dispatch match by the table as it is on disk, and frees code that new runs do not
    /// use. Tasks of those of `names` that are not loaded are held: they wait, and cost nothing.
    pub(super) async fn publish(
        &self,
        names: &BTreeSet<String>,
        refused: &[(String, Manifest)],
    ) -> Result<Vec<PluginRoutes>, StartError> {
        let (generation, records) = read(&self.broker, |broker| broker.routes()).await?;
        let plugins: Vec<PluginRoutes> = records
            .iter()
            .map(plugin_routes)
            .collect::<Result<_, _>>()?;
        let in_table = plugins.iter().map(|plugin| &plugin.plugin);
        let is_absent = |name: &&String| self.registry.get(name).is_none();
        let absent = names.iter().chain(in_table).filter(is_absent);
        self.broker.hold_plugins(absent.cloned().collect());
        let routes = Routes::new(generation, &plugins).with_refused(refused);
        self.routes.send_replace(Arc::new(routes));
        self.pools.forget_all_but(&self.registry.digests());
        Ok(plugins)
    }
}

fn plugin_routes(record: &RouteRecord) -> Result<PluginRoutes, StartError> {
    let manifest = Manifest::read(&record.manifest).map_err(|source| StartError::Routes {
        plugin: record.plugin.clone(),
        source,
    })?;
    Ok(PluginRoutes {
        plugin: record.plugin.clone(),
        generation: record.generation,
        digest: Digest::from_bytes(record.digest),
        manifest,
    })
}

fn announce(plugin: &Plugin, former: Option<&Plugin>, aim: Aim) {
    let digest = plugin.digest.short();
    let entries = plugin.manifest.entries.len();
    match (former, aim) {
        (None, Aim::Former) => {
            warn!(target: "gwasp::host", plugin = %plugin.name, %digest, entries, "plugin loaded as it was before: the directory has nothing that may run");
        }
        (None, _) => {
            info!(target: "gwasp::host", plugin = %plugin.name, %digest, entries, "plugin loaded");
        }
        (Some(former), aim) => {
            let (added, removed) = difference(&former.manifest, &plugin.manifest);
            let former = former.digest.short();
            let by_a_person = matches!(aim, Aim::RollBack { .. });
            info!(target: "gwasp::host", plugin = %plugin.name, %digest, %former, entries, added, removed, by_a_person, "plugin replaced");
        }
    }
    let periodic = plugin
        .manifest
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Periodic(_)));
    for entry in periodic {
        warn!(target: "gwasp::host", plugin = %plugin.name, entry = %entry.name, "schedules are declared, and not run by this version");
    }
}

/// Names of what only `after` declares, and of what only `before` did.
fn difference(before: &Manifest, after: &Manifest) -> (String, String) {
    let only_in = |one: &Manifest, other: &Manifest| {
        let others: BTreeSet<&str> = other.entries.iter().map(|entry| &*entry.name).collect();
        let names = one.entries.iter().map(|entry| &*entry.name);
        let names: Vec<&str> = names.filter(|name| !others.contains(name)).collect();
        names.join(" ")
    };
    (only_in(after, before), only_in(before, after))
}
