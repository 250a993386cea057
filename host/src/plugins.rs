//! Plugins: components that hold handlers, from a file to compiled code and a manifest.
//!
//! A version is known by the SHA-256 of the file as it was found. Compiling happens in a child
//! process with limits, since a small hostile file can ask the compiler for gigabytes; what it
//! wrote is kept in a cache that is trusted like the host itself.
//!
//! This room knows neither tasks nor effects: `describe` runs with every import a trap, and
//! whether a plugin fits the host is asked of a function that the host passes in.

mod cache;
mod compiler;
mod component;
mod describe;
mod engine;
mod misfit;
mod permissions;
mod watch;
mod worker;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

pub use cache::Compiled;
pub use compiler::{CompileError, Compiler};
pub use component::{ComponentError, encode};
pub use describe::DescribeError;
pub use engine::{AddressSpace, EngineError, Ticker, probe_engine, queue_engine};
pub use misfit::{Fits, MisfitError, WIT_VERSION};
pub use permissions::PermissionError;
pub use watch::{Change, Watch};
pub use worker::compile_worker;

use crate::packet::Digest;
use crate::routes::{Manifest, ManifestError};

/// Longest name of a plugin, in bytes.
const MAX_NAME: usize = 64;

/// One version of a plugin, ready to be loaded into the engines of its queues.
#[derive(Debug)]
pub struct Plugin {
    /// Its name: the file's name without `.wasm`.
    pub name: String,
    /// Digest of the file.
    pub digest: Digest,
    /// What it declares.
    pub manifest: Manifest,
    /// What it declares, as it said it.
    pub manifest_json: String,
    /// Interfaces of the boundary that it calls functions of, e.g. `kv`.
    pub calls: Vec<&'static str>,
    /// Its compiled code.
    pub compiled: Compiled,
}

impl Plugin {
    /// The compiled code of this version, or of a former one that the cache still has.
    pub fn version(&self, digest: Digest) -> Option<Compiled> {
        if digest == self.digest {
            return Some(self.compiled.clone());
        }
        self.compiled.version(digest)
    }
}

/// Why a file is no plugin that this host can run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Others can write to it.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// Its name cannot stand in a configuration or in front of a handler's name.
    #[error(
        "a plugin cannot be named {0:?}; rename the file: letters, digits, `-` and `_`, at most \
         {MAX_NAME} of them"
    )]
    Name(String),
    /// It is no WebAssembly.
    #[error("it is no plugin")]
    Component(#[from] ComponentError),
    /// The compiler refused it, or was stopped.
    #[error("it cannot be compiled")]
    Compile(#[from] CompileError),
    /// It asks for what this host does not offer.
    #[error("it is not made for this host")]
    Misfit(#[from] MisfitError),
    /// It does not say what it is.
    #[error("it does not describe itself")]
    Describe(#[from] DescribeError),
    /// What it says makes no sense.
    #[error("its manifest is refused")]
    Manifest(#[from] ManifestError),
}

/// The bytes of a plugin, read once: whatever happens to the file, they are one version.
#[derive(Clone, Debug)]
pub struct PluginFile {
    /// The plugin's name.
    pub name: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// The bytes as they were found.
    pub bytes: Bytes,
}

impl PluginFile {
    /// Reads the file in `path` for a plugin with this name.
    ///
    /// # Errors
    /// [`LoadError::Name`], and [`LoadError::Component`] where there is nothing to read.
    pub fn read(name: &str, path: &Path) -> Result<Self, LoadError> {
        if !is_name(name) {
            return Err(LoadError::Name(name.to_owned()));
        }
        Ok(Self::of_bytes(name, component::read(path)?.into()))
    }

    /// Reads a file of a plugin directory, which has the grants and secrets of its name: only its
    /// owner may write to it.
    ///
    /// # Errors
    /// As [`PluginFile::read`], and [`LoadError::Permission`].
    pub fn placed(name: &str, path: &Path) -> Result<Self, LoadError> {
        if path.is_file() {
            permissions::check_plugins(path)?;
        }
        Self::read(name, path)
    }

    /// Takes bytes that were found before.
    pub fn of_bytes(name: &str, bytes: Bytes) -> Self {
        Self {
            name: name.to_owned(),
            digest: Digest::of(&bytes),
            bytes,
        }
    }
}

/// Loads plugins from files.
#[derive(Debug)]
pub struct Loader {
    compiler: Compiler,
    fits: Fits,
    probe: wasmtime::Engine,
    ticker: Ticker,
}

impl Loader {
    /// Makes a loader that compiles with `compiler` and takes what `fits`; `ticker` bounds what
    /// `describe` may take.
    ///
    /// # Errors
    /// [`EngineError`] when this machine cannot run WebAssembly at all.
    pub fn new(compiler: Compiler, fits: Fits, ticker: &Ticker) -> Result<Self, EngineError> {
        let probe = probe_engine(AddressSpace::of_process())?;
        ticker.drive(&probe);
        Ok(Self {
            compiler,
            fits,
            probe,
            ticker: ticker.clone(),
        })
    }

    /// Loads the plugin in `path`, a file of a plugin directory: reads, compiles, and asks what it
    /// is. Its name is the file's.
    ///
    /// # Errors
    /// [`LoadError`], whose chain of sources says why.
    pub fn load(&self, path: &Path) -> Result<Plugin, LoadError> {
        let file = PluginFile::placed(&name_of(path), path)?;
        self.prepare(&file, &CancellationToken::new())
    }

    /// Loads the plugin in `path`, wherever that is, under a name.
    ///
    /// # Errors
    /// [`LoadError`], whose chain of sources says why.
    pub fn load_as(&self, name: &str, path: &Path) -> Result<Plugin, LoadError> {
        let file = PluginFile::read(name, path)?;
        self.prepare(&file, &CancellationToken::new())
    }

    /// Compiles a file that was read, and asks it what it is. Ends early once it is `given_up`.
    ///
    /// # Errors
    /// [`LoadError`], whose chain of sources says why.
    pub fn prepare(
        &self,
        file: &PluginFile,
        given_up: &CancellationToken,
    ) -> Result<Plugin, LoadError> {
        component::check_complete(&file.bytes)?;
        let compiled = self.compile(file.digest, &file.bytes, given_up)?;
        let component = compiled.load(&self.probe)?;
        misfit::check(&self.probe, &component, self.fits)?;
        let running = self.ticker.running();
        let manifest_json = describe::describe(&self.probe, &component)?;
        drop(running);
        let manifest = Manifest::read(&manifest_json)?;
        Ok(Plugin {
            name: file.name.clone(),
            digest: file.digest,
            manifest,
            manifest_json,
            calls: misfit::called(&self.probe, &component),
            compiled,
        })
    }

    /// The compiled code of `bytes`, which have `digest`, from the cache or anew.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(
        &self,
        digest: Digest,
        bytes: &[u8],
        given_up: &CancellationToken,
    ) -> Result<Compiled, CompileError> {
        self.compiler.compile(&self.probe, digest, bytes, given_up)
    }
}

/// A plugin's name: that of its file without `.wasm`.
pub fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_letter)
}

/// Why a directory of plugins is not used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be listed.
    #[error(
        "the plugin directory {path} cannot be read; `gwasp build` makes ./plugins, `--plugins DIR` names another"
    )]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can write to it.
    #[error("the plugin directory is refused")]
    Permission(#[from] PermissionError),
}

/// The plugin files in `directory`, sorted by name; hidden files are left out. Whether others can
/// write to a file is asked where it is read: that is no fault of its neighbours.
///
/// # Errors
/// [`DirectoryError`].
pub fn plugin_files(directory: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let at = |source| DirectoryError::Read {
        path: directory.to_path_buf(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'));
        let is_wasm = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        if is_wasm && !hidden {
            files.push(path);
        }
    }
    permissions::check_plugins(directory)?;
    files.sort();
    Ok(files)
}
