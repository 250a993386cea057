//! Plugins: components that hold handlers, from a file to compiled code and a manifest.
//!
//! A version is known by the SHA-256 of the file as it was found. Compiling happens in a child
//! process with limits, since a small hostile file can ask the compiler for gigabytes; what it
//! wrote is kept in a cache that is trusted like the host itself.
//!
//! This room knows neither tasks nor effects: `describe` runs with every import a trap.

mod compiler;
mod component;
mod describe;
mod engine;

use std::path::{Path, PathBuf};

pub use compiler::{CompileError, Compiled, Compiler, compile_worker};
pub use component::{ComponentError, encode};
pub use describe::DescribeError;
pub use engine::{EngineError, Ticker, pooled_engine, probe_engine};

use crate::packet::Digest;
use crate::routes::{Manifest, ManifestError};

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
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// It is no component.
    #[error("it is no plugin")]
    Component(#[from] ComponentError),
    /// The compiler refused it, or was stopped.
    #[error("it cannot be compiled")]
    Compile(#[from] CompileError),
    /// It does not say what it is.
    #[error("it does not describe itself")]
    Describe(#[from] DescribeError),
    /// What it says makes no sense.
    #[error("its manifest is refused")]
    Manifest(#[from] ManifestError),
}

/// Loads plugins from files.
#[derive(Debug)]
pub struct Loader {
    compiler: Compiler,
    probe: wasmtime::Engine,
    ticker: Ticker,
}

impl Loader {
    /// Makes a loader that compiles with `compiler`; `ticker` bounds what `describe` may take.
    ///
    /// # Errors
    /// [`EngineError`] when this machine cannot run WebAssembly at all.
    pub fn new(compiler: Compiler, ticker: &Ticker) -> Result<Self, EngineError> {
        let probe = probe_engine()?;
        ticker.drive(&probe);
        Ok(Self {
            compiler,
            probe,
            ticker: ticker.clone(),
        })
    }

    /// Loads the plugin in `path`: reads, compiles, and asks what it is.
    ///
    /// # Errors
    /// [`LoadError`], whose chain of sources says why.
    pub fn load(&self, path: &Path) -> Result<Plugin, LoadError> {
        let file = std::fs::read(path).map_err(LoadError::Read)?;
        let digest = Digest::of(&file);
        let component = encode(&file)?;
        let compiled = self.compiler.compile(&self.probe, digest, &component)?;
        let running = self.ticker.running();
        let manifest_json = describe::describe(&compiled, &self.probe)?;
        drop(running);
        let manifest = Manifest::read(&manifest_json)?;
        Ok(Plugin {
            name: plugin_name(path),
            digest,
            manifest,
            manifest_json,
            compiled,
        })
    }
}

/// The plugin files in `directory`, sorted by name; hidden files are left out.
///
/// # Errors
/// Why the directory cannot be listed.
pub fn plugin_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "wasm")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn plugin_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.into_owned()
}
