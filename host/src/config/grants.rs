//! `[grants.PLUGIN]`: what a plugin may do. A plugin without an entry may log, tell how far it is,
//! ask for the time and for randomness, and make tasks of its own; nothing else.

use serde::Deserialize;

/// What one plugin may do.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Keep values of its own between runs.
    pub kv: bool,
    /// Keep blobs, and read those whose digest it knows.
    pub blobs: bool,
    /// Have the host make heavy computations, such as sky localization.
    pub kernels: bool,
    /// Services that it may send requests to, by the names of `[services.NAME]`.
    pub services: Vec<String>,
    /// Secrets that it may have put into its requests, by the names of `[secrets.NAME]`.
    pub secrets: Vec<String>,
    /// Tasks of other plugins that it may make: `annotate.plot`, `annotate.*` for all of one,
    /// or `*.*` for all of all.
    pub tasks: Vec<String>,
}

impl Grant {
    /// Whether it allows to make the task `PLUGIN.NAME` of another plugin.
    pub fn allows_task(&self, plugin: &str, name: &str) -> bool {
        self.tasks
            .iter()
            .any(|granted| match granted.split_once('.') {
                Some((granted_plugin, granted_name)) => {
                    let covers = |granted: &str, asked: &str| granted == "*" || granted == asked;
                    covers(granted_plugin, plugin) && covers(granted_name, name)
                }
                None => false,
            })
    }
}
