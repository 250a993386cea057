//! From the core module that Cargo writes to a component in a plugin directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// What the world `plugin` exports.
const EXPORTS: [&str; 2] = ["describe", "handle"];

/// A plugin, encoded and not yet installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Package name; the file's name without its suffix.
    pub name: String,
    /// The encoded component.
    pub bytes: Vec<u8>,
}

/// Why a module is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It cannot be encoded.
    #[error(
        "the module cannot be encoded as a component; build it with the gwasp-sdk of this host's version"
    )]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was encoded does not parse.
    #[error("the component does not parse")]
    Parse(#[source] wasmparser::BinaryReaderError),
    /// It is a component, but not of the world `plugin`.
    #[error(
        "the component does not export `{export}`; a plugin has `use gwasp_sdk::…` in its lib.rs and at least one handler"
    )]
    NoExport {
        /// The function that is missing.
        export: &'static str,
    },
}

/// Why a component could not be put into its directory.
#[derive(Debug, thiserror::Error)]
#[error("writing {}", path.display())]
pub struct InstallError {
    path: PathBuf,
    source: std::io::Error,
}

impl Component {
    /// Encodes a core module that carries its world, and checks that it has a plugin's exports.
    ///
    /// # Errors
    /// [`EncodeError`] when it is no plugin.
    pub fn encode(name: &str, module: &[u8]) -> Result<Self, EncodeError> {
        let mut encoder = ComponentEncoder::default();
        let bytes = encoder
            .validate(true)
            .module(module)
            .and_then(ComponentEncoder::encode)
            .map_err(|error| EncodeError::Encode(error.into()))?;
        let exports = exports(&bytes).map_err(EncodeError::Parse)?;
        for export in EXPORTS {
            if !exports.iter().any(|name| name == export) {
                return Err(EncodeError::NoExport { export });
            }
        }
        Ok(Self {
            name: name.to_owned(),
            bytes,
        })
    }

    /// Writes `NAME.wasm` into `dir`, which is made if need be: beside it first, then renamed,
    /// so that a watching host sees the old file or the new one.
    ///
    /// # Errors
    /// [`InstallError`] names the file.
    pub fn install(&self, dir: &Path) -> Result<PathBuf, InstallError> {
        let path = dir.join(format!("{}.wasm", self.name));
        let temporary = dir.join(format!(".{}.wasm.{}", self.name, std::process::id()));
        let written = std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::File::create(&temporary))
            .and_then(|mut file| file.write_all(&self.bytes).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&temporary, &path));
        match written {
            Ok(()) => Ok(path),
            Err(source) => {
                // Best effort: the error that matters is the one above.
                drop(std::fs::remove_file(&temporary));
                Err(InstallError { path, source })
            }
        }
    }
}

/// Names that the outermost component exports.
fn exports(component: &[u8]) -> Result<Vec<String>, wasmparser::BinaryReaderError> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            // Nested modules and components end before the outermost one does.
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component that exports functions of `names`, with a nested one that exports more.
    fn component(names: &[&str]) -> Vec<u8> {
        let exports: String = names
            .iter()
            .map(|name| format!("(export \"{name}\" (func $f))"))
            .collect();
        let text = format!(
            "(component
                (component (core module (func (export \"inner\"))) (export \"nested\" (core module 0)))
                (core module $m (func (export \"run\")))
                (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i \"run\")))
                {exports})"
        );
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn only_what_the_outermost_component_exports_counts() {
        assert_eq!(
            exports(&component(&["describe", "handle"])).unwrap(),
            ["describe", "handle"]
        );
    }

    #[test]
    fn a_module_without_a_world_is_refused_by_name() {
        let module = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
        let error = Component::encode("bare", &module).unwrap_err();
        assert!(
            matches!(
                error,
                EncodeError::Encode(_) | EncodeError::NoExport { export: "describe" }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn what_is_installed_replaces_the_old_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = dir.path().join("plugins");
        for bytes in [vec![1], vec![2, 3]] {
            let component = Component {
                name: "fermi-log".to_owned(),
                bytes: bytes.clone(),
            };
            let path = component.install(&plugins).unwrap();
            assert_eq!(path, plugins.join("fermi-log.wasm"));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(std::fs::read_dir(&plugins).unwrap().count(), 1);
    }
}
