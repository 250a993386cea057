//! Compiles plugins in a child process, and keeps what it wrote.
//!
//! A small hostile file can ask for gigabytes and minutes, so the child has limits of its own;
//! it also does what else reads a stranger's file in depth, so that a defect there is its own
//! death and not the host's.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wasmtime::Engine;

use super::cache::{Cache, Compiled, write_new};
use super::engine::AddressSpace;
use super::permissions::PermissionError;
use super::worker::{CPU_SECONDS, REFUSED, memory_limit};
use crate::packet::Digest;
use crate::text::one_line;

/// Wall time that compiling one plugin may take.
const WALL: Duration = Duration::from_secs(180);
/// After this time another file may be compiled beside it.
const LONG: Duration = Duration::from_secs(3);
/// How much of what the child says is passed on, in bytes.
const MAX_SAID: usize = 2_048;

/// Why there is no compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The cache cannot be used.
    #[error("the cache {path} cannot be used; [plugins] cache names another place")]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can write to the cache.
    #[error("there is no safe place for compiled code")]
    Permission(#[from] PermissionError),
    /// The child cannot be started.
    #[error("the compiler {program} cannot be started")]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no plugin that can be compiled.
    #[error("{0}")]
    Refused(String),
    /// The compiler met a limit.
    #[error(
        "the compiler was stopped ({status}{said}): it may take {CPU_SECONDS} s of CPU, {} s in all and \
         {} MiB of memory; make the plugin's largest functions smaller, or build it with \
         `gwasp build`",
        WALL.as_secs(),
        memory >> 20
    )]
    Limit {
        /// How the child ended.
        status: ExitStatus,
        /// Its limit of memory.
        memory: u64,
        /// What it said, after a comma; empty where it said nothing.
        said: String,
    },
    /// Nobody waits for it any more.
    #[error("compiling it was given up")]
    GivenUp,
    /// The compiler failed for a reason of its own.
    #[error("the compiler failed ({status}): {said}")]
    Failed {
        /// How the child ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// The code is there and was changed.
    #[error(
        "{path} is not what was compiled (a failing disk?); start the host again to compile anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The code is there and does not load.
    #[error("the compiled code does not load")]
    Load(#[source] wasmtime::Error),
}

/// Turns files into compiled code, one at a time; one that takes long steps aside, so that one
/// other may be compiled beside it.
#[derive(Debug)]
pub struct Compiler {
    program: PathBuf,
    cache: Cache,
    one_at_a_time: Mutex<()>,
    one_aside: Mutex<()>,
}

/// Leave to compile.
struct Turn<'a> {
    compiler: &'a Compiler,
    held: MutexGuard<'a, ()>,
    is_aside: bool,
}

impl Turn<'_> {
    /// Lets the next one begin, unless one is aside already.
    fn step_aside(&mut self) {
        if !self.is_aside
            && let Ok(aside) = self.compiler.one_aside.try_lock()
        {
            self.held = aside;
            self.is_aside = true;
        }
    }
}

impl Compiler {
    /// Makes a compiler that runs `PROGRAM compile-worker` and keeps code under `cache`.
    ///
    /// # Errors
    /// [`CompileError::Permission`] when the directory cannot be made, or others can write to
    /// it.
    pub fn new(program: PathBuf, cache: PathBuf) -> Result<Self, CompileError> {
        Ok(Self {
            program,
            cache: Cache::open(cache)?,
            one_at_a_time: Mutex::new(()),
            one_aside: Mutex::new(()),
        })
    }

    /// The compiled code of `file`, which has `digest`; an entry of the cache that does not
    /// load is compiled again. Ends early once it is `given_up`. What is in the cache does not
    /// wait for what is being compiled.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(
        &self,
        engine: &Engine,
        digest: Digest,
        file: &[u8],
        given_up: &CancellationToken,
    ) -> Result<Compiled, CompileError> {
        let shelf = self.cache.shelf(engine)?;
        let find = || {
            shelf
                .find(digest)
                .filter(|found| found.load(engine).is_ok())
        };
        if let Some(found) = find() {
            return Ok(found);
        }
        let mut turn = self.turn();
        if given_up.is_cancelled() {
            return Err(CompileError::GivenUp);
        }
        if let Some(found) = find() {
            return Ok(found);
        }
        let workshop = shelf.workshop()?;
        let input = workshop.path().join("plugin");
        let output = workshop.path().join("code");
        write_new(&input, file).map_err(|source| CompileError::Cache {
            path: input.clone(),
            source,
        })?;
        let child = self.spawn(&input, &output)?;
        self.wait(child, file.len(), &mut turn, given_up)?;
        let compiled = shelf.keep(digest, &workshop, &output)?;
        drop(turn);
        Ok(compiled)
    }

    fn turn(&self) -> Turn<'_> {
        let held = self.one_at_a_time.lock();
        Turn {
            compiler: self,
            held: held.unwrap_or_else(PoisonError::into_inner),
            is_aside: false,
        }
    }

    fn spawn(&self, input: &Path, output: &Path) -> Result<Child, CompileError> {
        Command::new(&self.program)
            .arg("compile-worker")
            .args([input, output])
            .args(["--address-space", AddressSpace::of_process().as_str()])
            // More threads and heaps take address space, which the child's limit counts.
            .env("RAYON_NUM_THREADS", "2")
            .env("MALLOC_ARENA_MAX", "2")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| self.unstarted(source))
    }

    /// Waits for the child's end, which comes by itself, by its limits, or once it is given up.
    fn wait(
        &self,
        mut child: Child,
        file_len: usize,
        turn: &mut Turn<'_>,
        given_up: &CancellationToken,
    ) -> Result<(), CompileError> {
        // Read beside, since a child that says much would wait for a reader.
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || stderr.map_or_else(String::new, said));
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|e| self.unstarted(e))? {
                break status;
            }
            let passed = begun.elapsed();
            if passed > LONG {
                turn.step_aside();
            }
            if passed > WALL || given_up.is_cancelled() {
                child.kill().map_err(|e| self.unstarted(e))?;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let said = said.join().unwrap_or_default();
        if given_up.is_cancelled() && !status.success() {
            return Err(CompileError::GivenUp);
        }
        match status.code() {
            Some(0) => Ok(()),
            Some(code) if code == i32::from(REFUSED) => Err(CompileError::Refused(said)),
            Some(_) => Err(CompileError::Failed { status, said }),
            None => Err(CompileError::Limit {
                status,
                memory: memory_limit(u64::try_from(file_len).unwrap_or(u64::MAX)),
                said: if said.is_empty() {
                    said
                } else {
                    format!(", {said}")
                },
            }),
        }
    }

    fn unstarted(&self, source: std::io::Error) -> CompileError {
        CompileError::Start {
            program: self.program.clone(),
            source,
        }
    }
}

/// What the child says, as one line of bounded length; names in it are a stranger's.
fn said(mut stderr: std::process::ChildStderr) -> String {
    let mut text = Vec::new();
    let limit = u64::try_from(MAX_SAID).unwrap_or(u64::MAX);
    let read = stderr
        .by_ref()
        .take(limit)
        .read_to_end(&mut text)
        .and_then(|_| std::io::copy(&mut stderr, &mut std::io::sink()));
    if let Err(error) = read {
        return format!("(its message cannot be read: {error})");
    }
    one_line(&String::from_utf8_lossy(&text), MAX_SAID)
}
