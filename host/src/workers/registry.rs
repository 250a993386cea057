//! Which version of each plugin runs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::packet::Digest;
use crate::plugins::Plugin;

/// Runs by plugin and version.
pub type Runs = BTreeMap<(String, Digest), u64>;

/// The plugin versions that new runs use, by plugin name, and how many runs are on which.
#[derive(Debug, Default)]
pub struct Registry {
    plugins: RwLock<HashMap<String, Arc<Plugin>>>,
    runs: Mutex<Runs>,
}

/// A run that is under way; it is counted as long as this value lives.
#[derive(Debug)]
pub struct RunMark<'a> {
    registry: &'a Registry,
    version: (String, Digest),
}

impl Drop for RunMark<'_> {
    fn drop(&mut self) {
        let mut runs = self.registry.lock_runs();
        if let Entry::Occupied(mut entry) = runs.entry(self.version.clone()) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Registry {
    /// The version of `plugin` that new runs use; none while it is not loaded.
    pub fn get(&self, plugin: &str) -> Option<Arc<Plugin>> {
        self.plugins
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(plugin)
            .cloned()
    }

    /// Has new runs of this plugin use `plugin`.
    pub fn set(&self, plugin: Arc<Plugin>) {
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        plugins.insert(plugin.name.clone(), plugin);
    }

    /// Has new runs of `plugin` wait.
    pub fn remove(&self, plugin: &str) {
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        plugins.remove(plugin);
    }

    /// The plugins that new runs use.
    pub fn all(&self) -> Vec<Arc<Plugin>> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        plugins.values().cloned().collect()
    }

    /// The versions that new runs use.
    pub fn digests(&self) -> BTreeSet<Digest> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        plugins.values().map(|plugin| plugin.digest).collect()
    }

    /// Counts a run on a version.
    pub fn begin(&self, plugin: &str, version: Digest) -> RunMark<'_> {
        let version = (plugin.to_owned(), version);
        *self.lock_runs().entry(version.clone()).or_default() += 1;
        RunMark {
            registry: self,
            version,
        }
    }

    /// The runs that are under way.
    pub fn runs(&self) -> Runs {
        self.lock_runs().clone()
    }

    fn lock_runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_counted_on_its_version_until_it_ends() {
        let registry = Registry::default();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let first = registry.begin("p", one);
        let second = registry.begin("p", one);
        let third = registry.begin("p", two);
        let key = |version| ("p".to_owned(), version);
        assert_eq!(registry.runs(), Runs::from([(key(one), 2), (key(two), 1)]));
        drop((first, third));
        assert_eq!(registry.runs(), Runs::from([(key(one), 1)]));
        drop(second);
        assert_eq!(registry.runs(), Runs::new());
    }
}
