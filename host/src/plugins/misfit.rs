//! Whether a component is made for this host.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// Checks that a component's imports are offered and its exports are those that are called,
/// type by type; whoever offers them knows.
pub type Fits = fn(&Engine, &Component) -> wasmtime::Result<()>;

/// The package of the boundary, and its version; functions are added within a minor version.
const PACKAGE: &str = "gwasp:plugin";
const VERSION: &str = "0.1";
/// What a plugin may import of it.
const INTERFACES: [&str; 11] = [
    "types", "log", "progress", "clock", "random", "kv", "blobs", "http", "kernels", "gcn", "tasks",
];
/// How many unknown imports are named.
const NAMED: usize = 10;

/// Why a component cannot run in this host.
#[derive(Debug, thiserror::Error)]
pub enum MisfitError {
    /// It was made for another version of the boundary.
    #[error(
        "it was built for version {found} of {PACKAGE}, and this host offers {VERSION}; build it \
         again with the gwasp-sdk of this host, or take a host of its age"
    )]
    Version {
        /// The version that it imports or exports.
        found: String,
    },
    /// It imports what this host does not have.
    #[error(
        "this host does not offer {names}; a plugin reaches the world through gwasp-sdk alone, \
         and is built for wasm32-unknown-unknown (`gwasp build` does)"
    )]
    Imports {
        /// What it imports, in quotes.
        names: String,
    },
    /// A function is missing or of another type.
    #[error(
        "a function is missing or has other types; build it again with the gwasp-sdk of this host"
    )]
    Types(#[source] wasmtime::Error),
}

/// Says what is wrong with `component` in a host whose types `fits` checks.
pub(super) fn check(engine: &Engine, component: &Component, fits: Fits) -> Result<(), MisfitError> {
    let component_type = component.component_type();
    let imports: Vec<&str> = component_type
        .imports(engine)
        .map(|(name, _)| name)
        .collect();
    check_imports(&imports)?;
    fits(engine, component).map_err(MisfitError::Types)
}

/// The interfaces that `component` calls functions of. Methods are left out: a handle is had from
/// a function.
pub(super) fn called(engine: &Engine, component: &Component) -> Vec<&'static str> {
    let component_type = component.component_type();
    let mut called = Vec::new();
    for (import, of) in component_type.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = of.ty else {
            continue;
        };
        let calls = instance.exports(engine).any(|(name, of)| {
            matches!(of.ty, ComponentItem::ComponentFunc(_)) && !name.starts_with('[')
        });
        let name = interface(import).map(|(name, _)| name);
        let known = INTERFACES.iter().find(|known| Some(**known) == name);
        called.extend(known.filter(|_| calls));
    }
    called
}

fn check_imports(imports: &[&str]) -> Result<(), MisfitError> {
    let mut unknown = Vec::new();
    for import in imports {
        match interface(import) {
            Some((_, version)) if !is_compatible(version) => {
                return Err(MisfitError::Version {
                    found: version.to_owned(),
                });
            }
            Some((name, _)) if INTERFACES.contains(&name) => {}
            _ => unknown.push(format!("`{}`", import.escape_debug())),
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let more = unknown.len().saturating_sub(NAMED);
    unknown.truncate(NAMED);
    let mut names = unknown.join(", ");
    if more > 0 {
        names.push_str(&format!(" and {more} more"));
    }
    Err(MisfitError::Imports { names })
}

/// Name and version of an interface of our package.
fn interface(import: &str) -> Option<(&str, &str)> {
    let (package, rest) = import.split_once('/')?;
    let (name, version) = rest.split_once('@')?;
    (package == PACKAGE).then_some((name, version))
}

fn is_compatible(version: &str) -> bool {
    version
        .strip_prefix(VERSION)
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interfaces_are_those_of_the_world_in_wit() {
        let wit = include_str!("../../../guest-sdk/wit/dev/gwasp.wit");
        let package = format!("package {PACKAGE}@{VERSION}.");
        assert!(wit.contains(&package), "{package}");
        let (_, world) = wit.split_once("world plugin {").unwrap();
        let mut imported: Vec<&str> = world
            .lines()
            .filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'))
            .collect();
        imported.push("types");
        imported.sort_unstable();
        let mut interfaces = INTERFACES.to_vec();
        interfaces.sort_unstable();
        assert_eq!(imported, interfaces);
    }

    #[track_caller]
    fn check_refused(imports: &[&str], says: &str) {
        let error = check_imports(imports).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn imports_of_the_world_are_offered() {
        check_imports(&["gwasp:plugin/types@0.1.0", "gwasp:plugin/kv@0.1.7"]).unwrap();
    }

    #[test]
    fn imports_of_others_are_named_all_together() {
        check_refused(
            &[
                "wasi:filesystem/preopens@0.2.6",
                "gwasp:plugin/log@0.1.0",
                "gwasp:plugin/shell@0.1.0",
                "env",
            ],
            "this host does not offer `wasi:filesystem/preopens@0.2.6`, \
             `gwasp:plugin/shell@0.1.0`, `env`;",
        );
    }

    #[test]
    fn a_long_list_of_imports_is_cut() {
        let names: Vec<String> = (0..5_000).map(|n| format!("a:b/c{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        check_refused(&names, "`a:b/c9` and 4990 more;");
    }

    #[test]
    fn another_version_is_named_beside_the_hosts_own() {
        check_refused(
            &["gwasp:plugin/log@0.2.0"],
            "version 0.2.0 of gwasp:plugin, and this host offers 0.1",
        );
        check_refused(&["gwasp:plugin/log@0.10.0"], "version 0.10.0");
    }
}
