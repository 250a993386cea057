//! What plugins may do, as the tables of a whole configuration say it: what workers look up for
//! each run, and what a reload puts into the place of what was before.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Config, Grant, Mode};

/// What plugins may do, and whether it happens.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    mode: Mode,
    grants: HashMap<String, Arc<Grant>>,
}

impl Rights {
    /// The rights that a configuration gives.
    pub fn of(config: &Config) -> Self {
        let grants = config.grants.iter();
        Self {
            mode: config.mode,
            grants: grants
                .map(|(plugin, grant)| (plugin.clone(), Arc::new(grant.clone())))
                .collect(),
        }
    }

    /// What `plugin` may do; nothing without an entry.
    pub fn grant(&self, plugin: &str) -> Arc<Grant> {
        self.grants.get(plugin).cloned().unwrap_or_default()
    }

    /// Whether the handlers of `plugin` run without any effect.
    pub fn is_shadow(&self, plugin: &str) -> bool {
        let grant = self.grants.get(plugin);
        self.mode == Mode::Shadow || grant.is_some_and(|grant| grant.mode == Mode::Shadow)
    }
}
