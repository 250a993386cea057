//! Compiles components in a child process, and keeps what it wrote.
//!
//! **Trust:** compiled code is mapped and run as it is; whoever can write to the cache can run
//! code in the host. So the directory is the host's own (0700), a file is named by the digests
//! of the plugin and of the engine's settings, is never overwritten, and is mapped only when it
//! matches the checksum beside it.

use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engine::probe_engine;
use crate::packet::Digest;

/// CPU time that compiling one plugin may take.
const CPU_SECONDS: u64 = 60;
/// Wall time that it may take.
const WALL: Duration = Duration::from_secs(180);
/// Address space for an ordinary plugin, and for one above [`LARGE`].
const MEMORY: u64 = 1 << 30;
const MEMORY_LARGE: u64 = 4 << 30;
const LARGE: u64 = 8 << 20;

/// Why there is no compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The cache cannot be used.
    #[error("the cache {path} cannot be used")]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The child cannot be started.
    #[error("the compiler {program} cannot be started")]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The compiler does not accept it.
    #[error("the compiler refused it: {0}")]
    Refused(String),
    /// The compiler met a limit.
    #[error(
        "the compiler was stopped ({status}): it may take {CPU_SECONDS} s of CPU and {} MiB of memory",
        memory >> 20
    )]
    Limit {
        /// How the child ended.
        status: ExitStatus,
        /// Its limit of memory.
        memory: u64,
    },
    /// The code is there and does not load.
    #[error("the compiled code does not load")]
    Load(#[source] wasmtime::Error),
}

/// Compiled code in the cache.
#[derive(Clone, Debug)]
pub struct Compiled {
    path: PathBuf,
}

impl Compiled {
    /// Maps the code into `engine`.
    ///
    /// # Errors
    /// [`CompileError::Load`] when it was made for another engine.
    #[expect(
        unsafe_code,
        reason = "the cache is a trust boundary: see the module's comment"
    )]
    pub fn load(&self, engine: &Engine) -> Result<Component, CompileError> {
        // SAFETY: the file was written by our own compiler process into a directory that only
        // we can write to, and its checksum was compared when this value was made.
        unsafe { Component::deserialize_file(engine, &self.path) }.map_err(CompileError::Load)
    }
}

impl Compiled {
    /// The compiled code of another version, where the cache still has it.
    pub fn version(&self, digest: Digest) -> Option<Self> {
        let path = self.path.with_file_name(format!("{digest}.cwasm"));
        is_intact(&path).then_some(Self { path })
    }
}

/// Turns components into compiled code, one at a time.
#[derive(Debug)]
pub struct Compiler {
    program: PathBuf,
    cache: PathBuf,
    one_at_a_time: Mutex<()>,
}

impl Compiler {
    /// Makes a compiler that runs `PROGRAM compile-worker IN OUT` and keeps code under `cache`.
    ///
    /// # Errors
    /// [`CompileError::Cache`] when the directory cannot be made.
    pub fn new(program: PathBuf, cache: PathBuf) -> Result<Self, CompileError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&cache)
            .map_err(|source| CompileError::Cache {
                path: cache.clone(),
                source,
            })?;
        Ok(Self {
            program,
            cache,
            one_at_a_time: Mutex::new(()),
        })
    }

    /// The compiled code of `component`, which came from the file with `digest`.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(
        &self,
        engine: &Engine,
        digest: Digest,
        component: &[u8],
    ) -> Result<Compiled, CompileError> {
        let turn = self.one_at_a_time.lock();
        let directory = self.cache.join(engine_key(engine));
        let path = directory.join(format!("{digest}.cwasm"));
        let at = |source| CompileError::Cache {
            path: path.clone(),
            source,
        };
        if !is_intact(&path) {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(at)?;
            self.run_child(&directory, &path, component)?;
        }
        drop(turn);
        Ok(Compiled { path })
    }

    fn run_child(&self, dir: &Path, path: &Path, component: &[u8]) -> Result<(), CompileError> {
        let at = |source| CompileError::Cache {
            path: path.to_path_buf(),
            source,
        };
        let input = dir.join(format!("{}.component", std::process::id()));
        let output = dir.join(format!("{}.compiled", std::process::id()));
        write_new(&input, component).map_err(at)?;
        let result = self
            .spawn(&input, &output)
            .and_then(|child| self.wait(child, component.len()));
        let removed = std::fs::remove_file(&input);
        result?;
        removed.map_err(at)?;
        let code = std::fs::read(&output).map_err(at)?;
        write_new(&sidecar(path), Digest::of(&code).to_string().as_bytes()).map_err(at)?;
        std::fs::rename(&output, path).map_err(at)
    }

    fn spawn(&self, input: &Path, output: &Path) -> Result<Child, CompileError> {
        Command::new(&self.program)
            .arg("compile-worker")
            .args([input, output])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| CompileError::Start {
                program: self.program.clone(),
                source,
            })
    }

    fn wait(&self, mut child: Child, component_len: usize) -> Result<(), CompileError> {
        let start = |source| CompileError::Start {
            program: self.program.clone(),
            source,
        };
        let deadline = Instant::now() + WALL;
        while child.try_wait().map_err(start)?.is_none() {
            if Instant::now() > deadline {
                child.kill().map_err(start)?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output().map_err(start)?;
        if output.status.success() {
            return Ok(());
        }
        if output.status.code() == Some(i32::from(REFUSED)) {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(CompileError::Refused(text));
        }
        let memory = memory_limit(u64::try_from(component_len).unwrap_or(u64::MAX));
        Err(CompileError::Limit {
            status: output.status,
            memory,
        })
    }
}

/// Exit code of a compile worker that understood the component to be wrong.
const REFUSED: u8 = 65;

/// What the child process does: compiles `input` into `output` under limits of its own.
///
/// # Errors
/// A text for the parent, and the exit code that goes with it.
pub fn compile_worker(input: &Path, output: &Path) -> Result<(), (u8, String)> {
    let failed = |error: &dyn std::fmt::Display| (1, error.to_string());
    let component = std::fs::read(input).map_err(|error| failed(&error))?;
    let memory = memory_limit(u64::try_from(component.len()).unwrap_or(u64::MAX));
    limit(Resource::As, memory).map_err(|error| failed(&error))?;
    limit(Resource::Cpu, CPU_SECONDS).map_err(|error| failed(&error))?;
    let engine = probe_engine().map_err(|error| failed(&error))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| (REFUSED, format!("{error:#}")))?;
    write_new(output, &code).map_err(|error| failed(&error))
}

fn limit(resource: Resource, value: u64) -> rustix::io::Result<()> {
    setrlimit(
        resource,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )
}

fn memory_limit(component_len: u64) -> u64 {
    if component_len > LARGE {
        MEMORY_LARGE
    } else {
        MEMORY
    }
}

/// Names the engine's settings and this host's version.
fn engine_key(engine: &Engine) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}

fn sidecar(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".sha256");
    PathBuf::from(name)
}

/// Whether the code at `path` is what its checksum says.
fn is_intact(path: &Path) -> bool {
    let Ok(expected) = std::fs::read_to_string(sidecar(path)) else {
        return false;
    };
    std::fs::read(path).is_ok_and(|code| Digest::of(&code).to_string() == expected)
}

/// Writes a file that only we can read, in place of an older one of that name.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
