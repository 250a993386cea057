//! Asks a component what it is.

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};

use super::engine::{
    CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT, TICK,
};

/// How long `describe` may run.
const DEADLINE_MS: u64 = 1_000;
const MAX_MEMORY: usize = 64 << 20;
const MAX_TABLE: usize = 100_000;
const MAX_MANIFEST: usize = 1 << 20;

/// Why a component does not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// It exports no `describe`, or one of another type.
    #[error("it exports no `describe() -> string`; was it built with gwasp-sdk?")]
    Export(#[source] wasmtime::Error),
    /// It trapped, looped, or asked for too much.
    #[error(
        "its `describe` failed (it may take {DEADLINE_MS} ms, {} MiB of memory and no host \
         function)",
        MAX_MEMORY >> 20
    )]
    Run(#[source] wasmtime::Error),
    /// Its answer is longer than any manifest.
    #[error("its manifest has {len} bytes; the limit is {MAX_MANIFEST}")]
    TooLong {
        /// Length of the answer.
        len: usize,
    },
}

/// Runs `describe`, with every import a trap.
pub(super) fn describe(engine: &Engine, component: &Component) -> Result<String, DescribeError> {
    let manifest = run(engine, component)?;
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
    let mut store = Store::new(engine, limits());
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

/// Sizes are limits of each memory and table, hence the limits of their numbers.
fn limits() -> StoreLimits {
    let number = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
    StoreLimitsBuilder::new()
        .memory_size(MAX_MEMORY)
        .table_elements(MAX_TABLE)
        .memories(number(MEMORIES_PER_COMPONENT))
        .tables(number(TABLES_PER_COMPONENT))
        .instances(number(CORE_INSTANCES_PER_COMPONENT))
        .build()
}
