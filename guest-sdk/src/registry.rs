//! What the attributes register, the manifest made of it, and the way from a name to a function.
//!
//! Registrations come from all modules of a plugin, in no order; the manifest sorts them by name.
//! Whether two of them may share a name is the host's decision, so both are listed.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::packet::Packet;

/// What an attribute says about one function.
#[derive(Debug)]
pub struct Registration {
    /// Which attribute it was.
    pub kind: Kind,
    /// `module_path!()` at the function.
    pub module: &'static str,
    /// The function's own name.
    pub function: &'static str,
    /// `name = "…"` of the attribute.
    pub name: Option<&'static str>,
    /// The packets that a handler asks for.
    pub keys: &'static [Key],
    /// The options as they stand in the attribute.
    pub options: &'static [(&'static str, &'static str)],
    /// Runs the function.
    pub run: fn(Input) -> Result<Output>,
}

inventory::collect!(Registration);

/// A result as JSON; nothing where the function returns `()`.
pub type Output = Option<Vec<u8>>;

/// Which attribute a function carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `#[handler]`
    Handler,
    /// `#[task]`
    Task,
    /// `#[periodic]`
    Periodic,
}

/// What a handler asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// A GCN notice type by its number.
    Notice(u16),
    /// A node or topic; a trailing `*` makes it a prefix.
    Node(&'static str),
}

/// Why a function runs.
#[derive(Debug)]
pub enum Input {
    /// A packet arrived.
    Packet(Box<Packet>),
    /// Called by name, with its arguments as JSON.
    Call(Vec<u8>),
    /// Its schedule was due at this moment.
    Tick(Timestamp),
}

/// Counted up when a host that does not know what is new would misread it.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    sdk: &'static str,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    kind: Kind,
    #[serde(skip_serializing_if = "<[Key]>::is_empty")]
    keys: &'a [Key],
    options: &'a [(&'static str, &'static str)],
}

impl Registration {
    fn full_name(&self) -> String {
        match self.name {
            Some(name) => name.to_owned(),
            None => full_name(self.module, self.function),
        }
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            name: self.full_name(),
            kind: self.kind,
            keys: self.keys,
            options: self.options,
        }
    }

    /// Compares without making a string: this runs at each invocation.
    fn is_named(&self, name: &str) -> bool {
        if let Some(own) = self.name {
            return own == name;
        }
        let Some(before) = name.strip_suffix(self.function) else {
            return false;
        };
        match modules(self.module) {
            "" => before.is_empty(),
            modules => before.strip_suffix("::") == Some(modules),
        }
    }
}

/// The name that a function has unless its attribute gives another.
pub(crate) fn full_name(module: &str, function: &str) -> String {
    match modules(module) {
        "" => function.to_owned(),
        modules => format!("{modules}::{function}"),
    }
}

/// Modules between the crate and the function, empty at the crate's root.
fn modules(module: &str) -> &str {
    module
        .split_once(':')
        .map_or("", |(_, rest)| rest.trim_start_matches(':'))
}

/// Returns the manifest as JSON, entries by name.
pub(crate) fn describe() -> String {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for registration in inventory::iter::<Registration> {
        let entry = registration.entry();
        // The library's sort would be 5 KB of every plugin.
        let place = entries.partition_point(|before| before.name <= entry.name);
        entries.insert(place, entry);
    }
    let manifest = Manifest {
        format: FORMAT,
        sdk: env!("CARGO_PKG_VERSION"),
        entries,
    };
    // Strings and numbers only: nothing in it can fail to serialize.
    serde_json::to_string(&manifest).unwrap_or_default()
}

fn find(name: &str) -> Option<&'static Registration> {
    inventory::iter::<Registration>
        .into_iter()
        .find(|registration| registration.is_named(name))
}

/// Whether a function is registered under `name`.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn has(name: &str) -> bool {
    find(name).is_some()
}

/// Runs the function registered under `name`.
pub(crate) fn run(name: &str, input: Input) -> Result<Output> {
    match find(name) {
        Some(registration) => (registration.run)(input),
        None => Err(Error::permanent(format!(
            "the plugin has no function `{name}`: `gwasp check` shows those it has"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Registration};

    fn registration(module: &'static str, name: Option<&'static str>) -> Registration {
        Registration {
            kind: Kind::Handler,
            module,
            function: "handle_bat",
            name,
            keys: &[],
            options: &[],
            run: |_| Ok(None),
        }
    }

    #[track_caller]
    fn check(module: &'static str, name: Option<&'static str>, expected: &str) {
        let registration = registration(module, name);
        assert_eq!(registration.full_name(), expected);
        assert!(registration.is_named(expected));
        assert!(!registration.is_named(&format!("x{expected}")));
        assert!(!registration.is_named("bat"));
    }

    #[test]
    fn a_function_at_the_root_has_its_own_name() {
        check("burst", None, "handle_bat");
    }

    #[test]
    fn a_function_in_a_module_carries_the_modules_without_the_crate() {
        check("burst::swift::bat", None, "swift::bat::handle_bat");
    }

    #[test]
    fn a_name_in_the_attribute_replaces_both() {
        check("burst::swift", Some("first"), "first");
    }
}
