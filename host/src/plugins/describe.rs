//! Asks a component what it is.

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};

use super::compiler::{CompileError, Compiled};
use super::engine::TICK;

/// How long `describe` may run.
const DEADLINE_MS: u64 = 1_000;
const MAX_MEMORY: usize = 64 << 20;
const MAX_MANIFEST: usize = 1 << 20;

/// Why a component does not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// Its code cannot be loaded.
    #[error("its compiled code cannot be loaded")]
    Load(#[source] CompileError),
    /// It exports no `describe`, or one of another type.
    #[error("it exports no `describe() -> string`; was it built with gwasp-sdk?")]
    Export(#[source] wasmtime::Error),
    /// It trapped, looped, or asked for too much.
    #[error("its `describe` failed (it may take {DEADLINE_MS} ms and no host function)")]
    Run(#[source] wasmtime::Error),
    /// Its answer is longer than any manifest.
    #[error("its manifest has {len} bytes; the limit is {MAX_MANIFEST}")]
    TooLong {
        /// Length of the answer.
        len: usize,
    },
}

/// Runs `describe`, with every import a trap.
pub(super) fn describe(compiled: &Compiled, engine: &Engine) -> Result<String, DescribeError> {
    let component = compiled.load(engine).map_err(DescribeError::Load)?;
    let manifest = run(engine, &component)?;
    if manifest.len() > MAX_MANIFEST {
        return Err(DescribeError::TooLong {
            len: manifest.len(),
        });
    }
    Ok(manifest)
}

fn run(engine: &Engine, component: &Component) -> Result<String, DescribeError> {
    let mut linker: Linker<StoreLimits> = Linker::new(engine);
    linker
        .define_unknown_imports_as_traps(component)
        .map_err(DescribeError::Run)?;
    let limits = StoreLimitsBuilder::new()
        .memory_size(MAX_MEMORY)
        .table_elements(100_000)
        .build();
    let mut store = Store::new(engine, limits);
    store.limiter(|limits| limits);
    store.set_hostcall_fuel(MAX_MANIFEST * 2);
    let tick_ms = u64::try_from(TICK.as_millis()).unwrap_or(1);
    store.set_epoch_deadline(DEADLINE_MS / tick_ms);
    let instance = linker
        .instantiate(&mut store, component)
        .map_err(DescribeError::Run)?;
    let describe = instance
        .get_typed_func::<(), (String,)>(&mut store, "describe")
        .map_err(DescribeError::Export)?;
    let (manifest,) = describe.call(&mut store, ()).map_err(DescribeError::Run)?;
    Ok(manifest)
}
