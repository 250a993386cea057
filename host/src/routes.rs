//! The routing table: what each plugin declares, and which handlers a packet matches.
//!
//! Built from the manifests in the store, not from what happens to be loaded: a plugin that
//! fails to load keeps its routes, and its tasks wait. Matching is a pure function.

mod manifest;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gwasp_formats::notice_type::NoticeType;

pub use manifest::{
    Entry, EntryKind, Keys, Manifest, ManifestError, OrderBy, Roles, Schedule, TaskOptions,
};

use crate::packet::{Digest, Key, Packet};
use crate::text::{is_meant, nearest};

/// No `PLUGIN.NAME` is longer, in bytes.
const LONGEST_NAME: usize = 300;

/// A handler and how its tasks are made.
#[derive(Clone, Debug)]
pub struct Route {
    /// Plugin that holds it.
    pub plugin: String,
    /// What it declares.
    pub entry: Entry,
}

impl Route {
    /// `PLUGIN.HANDLER`, as people write it.
    pub fn name(&self) -> String {
        format!("{}.{}", self.plugin, self.entry.name)
    }
}

/// One plugin's place in the routing table.
#[derive(Clone, Debug)]
pub struct PluginRoutes {
    /// Plugin name.
    pub plugin: String,
    /// Bumped at each change of this plugin.
    pub generation: u64,
    /// Digest of the component.
    pub digest: Digest,
    /// What the plugin declares.
    pub manifest: Manifest,
}

/// Why a packet makes no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// No handler asks for its key.
    NoHandler,
    /// Handlers ask for its key, but for none of them is this role meant.
    HeldBack,
    /// Handlers ask for its key and role, but none of them for old packets.
    TooOld,
    /// Only handlers of plugins that were refused at the start ask for it.
    PluginRefused,
}

impl Unmatched {
    /// The name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoHandler => "no-handler",
            Self::HeldBack => "held-back",
            Self::TooOld => "too-old",
            Self::PluginRefused => "plugin-refused",
        }
    }

    /// The reason with this name in the ledger.
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::NoHandler,
            Self::HeldBack,
            Self::TooOld,
            Self::PluginRefused,
        ];
        all.into_iter().find(|reason| reason.as_str() == name)
    }

    /// What it means, and what to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NoHandler => "no handler asks for its notice type or node",
            Self::HeldBack => {
                "handlers ask for it, and not for its role; `accept(test)` in a handler adds tests, \
                 then `gwasp packet redispatch --held role --since 1d` makes up for those kept"
            }
            Self::TooOld => {
                "handlers ask for it, and not for old packets; `--to PLUGIN.HANDLER` dispatches it \
                 all the same, `accept(old)` in a handler adds them, and then `gwasp packet \
                 redispatch --held age --since 1d` makes up for those kept"
            }
            Self::PluginRefused => {
                "only plugins that were refused at the start ask for it; `gwasp check` says why"
            }
        }
    }
}

/// The routing table of one moment.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    generation: u64,
    served: Handlers,
    refused: Handlers,
    names: BTreeMap<String, Arc<Route>>,
}

/// Handlers by what they ask for.
#[derive(Clone, Debug, Default)]
struct Handlers {
    notices: HashMap<NoticeType, Vec<Arc<Route>>>,
    nodes: HashMap<String, Vec<Arc<Route>>>,
    prefixes: Vec<(String, Arc<Route>)>,
}

impl Routes {
    /// Builds the table of `generation` from what the plugins declare.
    pub fn new(generation: u64, plugins: &[PluginRoutes]) -> Self {
        let mut routes = Self {
            generation,
            ..Self::default()
        };
        for plugin in plugins {
            for entry in &plugin.manifest.entries {
                let route = routes.served.add(&plugin.plugin, entry);
                routes.names.insert(route.name(), route);
            }
        }
        routes
    }

    /// Adds plugins that were refused, by name: nothing is routed to them, and a packet that
    /// only they ask for says so.
    #[must_use]
    pub fn with_refused(mut self, refused: &[(String, Manifest)]) -> Self {
        for (plugin, manifest) in refused {
            for entry in &manifest.entries {
                self.refused.add(plugin, entry);
            }
        }
        self
    }

    /// The table's number; it grows with each change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The routes for `packet`, in the order in which plugins and their handlers are named.
    ///
    /// # Errors
    /// Why there is none.
    pub fn matching(&self, packet: &Packet) -> Result<Vec<Arc<Route>>, Unmatched> {
        let mut routes = self.served.by_key(&packet.key);
        let is_asked_for = !routes.is_empty();
        let at_any_age = |route: &Arc<Route>| route.entry.roles.accept_at_any_age(packet);
        let is_old = routes.iter().any(at_any_age);
        routes.retain(|route| route.entry.roles.accept(packet));
        if routes.is_empty() {
            let mut refused = self.refused.by_key(&packet.key).into_iter();
            return Err(if refused.any(|route| route.entry.roles.accept(packet)) {
                Unmatched::PluginRefused
            } else if is_old {
                Unmatched::TooOld
            } else if is_asked_for {
                Unmatched::HeldBack
            } else {
                Unmatched::NoHandler
            });
        }
        routes.sort_by(|a, b| (&a.plugin, &a.entry.name).cmp(&(&b.plugin, &b.entry.name)));
        routes.dedup_by(|a, b| Arc::ptr_eq(a, b));
        Ok(routes)
    }

    /// The names of all entries, `PLUGIN.NAME`, in order.
    pub fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// The first entry whose tasks wait in `queue`, `PLUGIN.NAME`.
    pub fn in_queue(&self, queue: &str) -> Option<&str> {
        let mut routes = self.names.iter();
        let found = routes.find(|(_, route)| route.entry.options.queue == queue);
        found.map(|(name, _)| name.as_str())
    }

    /// The entry `name` of `plugin`.
    ///
    /// # Errors
    /// A text that names the one that may be meant.
    pub fn task(&self, plugin: &str, name: &str) -> Result<Arc<Route>, String> {
        let wanted = format!("{plugin}.{name}");
        if let Some(route) = self.names.get(&wanted) {
            return Ok(Arc::clone(route));
        }
        // Comparing takes time and memory with the product of the lengths, and a plugin chooses
        // this one.
        if wanted.len() > LONGEST_NAME {
            return Err(format!(
                "there is no task with a name of {} bytes",
                wanted.len()
            ));
        }
        let nearest = nearest(&wanted, self.names.keys().map(String::as_str));
        let meant = is_meant(nearest.as_deref());
        Err(format!("there is no task `{wanted}`{meant}"))
    }
}

impl Handlers {
    fn by_key(&self, key: &Key) -> Vec<Arc<Route>> {
        match key {
            Key::Notice(notice_type) => self.notices.get(notice_type).cloned().unwrap_or_default(),
            Key::Node(node) => {
                let exact = self.nodes.get(node).into_iter().flatten();
                let prefixed = self
                    .prefixes
                    .iter()
                    .filter(|(prefix, _)| node.starts_with(prefix))
                    .map(|(_, route)| route);
                exact.chain(prefixed).cloned().collect()
            }
            Key::None => Vec::new(),
        }
    }

    fn add(&mut self, plugin: &str, entry: &Entry) -> Arc<Route> {
        let route = Arc::new(Route {
            plugin: plugin.to_owned(),
            entry: entry.clone(),
        });
        if let EntryKind::Handler(keys) = &entry.kind {
            for notice in &keys.notices {
                let routes = self.notices.entry(*notice).or_default();
                routes.push(Arc::clone(&route));
            }
            for node in &keys.nodes {
                match node.strip_suffix('*') {
                    Some(prefix) => self.prefixes.push((prefix.to_owned(), Arc::clone(&route))),
                    None => {
                        let routes = self.nodes.entry(node.clone()).or_default();
                        routes.push(Arc::clone(&route));
                    }
                }
            }
        }
        route
    }
}

#[cfg(test)]
mod tests;
