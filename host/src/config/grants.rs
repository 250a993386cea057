//! `[grants.PLUGIN]`: what a plugin may do. A plugin without an entry may log, tell how far it is,
//! ask for the time and for randomness, and make tasks of its own; nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;

/// What one plugin may do.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Whether what it asks for happens.
    pub mode: Mode,
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
    /// The entries that a plugin may still need which imports functions of these `interfaces` of
    /// the boundary. Which services and tasks it names nobody knows before it runs.
    pub fn lacks(&self, interfaces: &[&str]) -> Vec<&'static str> {
        let entries = [
            ("kv", self.kv, "kv = true"),
            ("blobs", self.blobs, "blobs = true"),
            ("kernels", self.kernels, "kernels = true"),
            ("http", !self.services.is_empty(), "services = [\"NAME\"]"),
            (
                "http",
                !self.services.is_empty() || !self.secrets.is_empty(),
                "secrets = [\"NAME\"]  # those that its requests name, if any",
            ),
        ];
        let lacking = entries
            .iter()
            .filter(|(interface, granted, _)| !granted && interfaces.contains(interface));
        lacking.map(|(_, _, entry)| *entry).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::Grant;

    #[test]
    fn a_grant_lacks_what_the_plugin_imports_and_it_does_not_allow() {
        let mut grant = Grant::default();
        let imports = ["types", "log", "blobs", "http", "kernels", "tasks"];
        assert_eq!(
            grant.lacks(&imports),
            [
                "blobs = true",
                "kernels = true",
                "services = [\"NAME\"]",
                "secrets = [\"NAME\"]  # those that its requests name, if any"
            ]
        );
        grant.blobs = true;
        grant.services.push("gracedb".to_owned());
        assert_eq!(grant.lacks(&imports), ["kernels = true"]);
        grant.kernels = true;
        assert!(grant.lacks(&imports).is_empty());
    }
}
