//! The cache of compiled code.
//!
//! **Trust:** compiled code is mapped and run as it is; whoever can write to the cache can run
//! code in the host, and a flipped byte can crash it. So the directory is the host's own (0700),
//! code is a file named by its own checksum, is never overwritten, and is compared with its name
//! each time before it is mapped. What a plugin was compiled to stands in a small file named by
//! the plugin's digest; renaming makes both, so that two hosts can share a cache.

use std::hash::{Hash, Hasher};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compiler::CompileError;
use super::permissions::{PermissionError, own_directory};
use crate::packet::Digest;

/// How the directories begin in which something is being compiled.
const WORKSHOP: &str = ".compiling-";
/// After this time whoever compiled there is gone.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// Compiled code in the cache.
#[derive(Clone, Debug)]
pub struct Compiled {
    path: PathBuf,
    checksum: Digest,
}

impl Compiled {
    /// Maps the code into `engine`.
    ///
    /// # Errors
    /// [`CompileError::Damaged`] when it is not what was compiled, [`CompileError::Load`] when
    /// it was made for another engine.
    #[expect(
        unsafe_code,
        reason = "the cache is a trust boundary: see the module's comment"
    )]
    pub fn load(&self, engine: &Engine) -> Result<Component, CompileError> {
        let code = std::fs::read(&self.path).map_err(|source| self.unusable(source))?;
        if Digest::of(&code) != self.checksum {
            return Err(CompileError::Damaged {
                path: self.path.clone(),
            });
        }
        drop(code);
        // SAFETY: the file was written by our own compiler process into a directory that only
        // we can write to, and it is what it was then.
        unsafe { Component::deserialize_file(engine, &self.path) }.map_err(CompileError::Load)
    }

    /// The compiled code of another version, where the cache still has it.
    pub fn version(&self, digest: Digest) -> Option<Self> {
        let directory = self.path.parent()?.to_path_buf();
        Shelf { directory }.find(digest)
    }

    fn unusable(&self, source: std::io::Error) -> CompileError {
        CompileError::Cache {
            path: self.path.clone(),
            source,
        }
    }
}

/// The directory in which compiled code is kept.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the cache in `root`, which is made where it is missing.
    pub(super) fn open(root: PathBuf) -> Result<Self, PermissionError> {
        own_directory(&root)?;
        Ok(Self { root })
    }

    /// The place of code for engines like `engine`.
    pub(super) fn shelf(&self, engine: &Engine) -> Result<Shelf, PermissionError> {
        let directory = self.root.join(engine_key(engine));
        own_directory(&directory)?;
        Ok(Shelf { directory })
    }
}

/// Code for one kind of engine.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// What the plugin with `digest` was compiled to, unread.
    pub(super) fn find(&self, digest: Digest) -> Option<Compiled> {
        let file = std::fs::File::open(self.directory.join(digest.to_string())).ok()?;
        let mut checksum = String::new();
        file.take(65).read_to_string(&mut checksum).ok()?;
        let checksum = Digest::parse(&checksum)?;
        Some(self.compiled(checksum))
    }

    /// A directory to compile in; it is gone with the value.
    pub(super) fn workshop(&self) -> Result<TempDir, CompileError> {
        self.sweep();
        tempfile::Builder::new()
            .prefix(WORKSHOP)
            .tempdir_in(&self.directory)
            .map_err(self.unusable())
    }

    /// Takes the code that lies in `workshop` as what the plugin with `digest` was compiled to.
    pub(super) fn keep(
        &self,
        digest: Digest,
        workshop: &TempDir,
        code: &Path,
    ) -> Result<Compiled, CompileError> {
        let checksum = Digest::of(&std::fs::read(code).map_err(self.unusable())?);
        let compiled = self.compiled(checksum);
        let note = workshop.path().join("note");
        write_new(&note, checksum.to_string().as_bytes())
            .and_then(|()| std::fs::rename(code, &compiled.path))
            .and_then(|()| std::fs::rename(&note, self.directory.join(digest.to_string())))
            .map_err(self.unusable())?;
        Ok(compiled)
    }

    fn compiled(&self, checksum: Digest) -> Compiled {
        Compiled {
            path: self.directory.join(format!("{checksum}.cwasm")),
            checksum,
        }
    }

    /// Removes what compilers left that were killed.
    fn sweep(&self) {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            let is_workshop = entry.file_name().to_string_lossy().starts_with(WORKSHOP);
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            if is_workshop && age.is_some_and(|age| age > ABANDONED) {
                // What cannot be removed is in nobody's way.
                drop(std::fs::remove_dir_all(entry.path()));
            }
        }
    }

    fn unusable(&self) -> impl Fn(std::io::Error) -> CompileError {
        |source| CompileError::Cache {
            path: self.directory.clone(),
            source,
        }
    }
}

/// Names the engine's settings and this host's version.
fn engine_key(engine: &Engine) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}

/// Writes a new file that only we can read, and waits until it is on disk.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
