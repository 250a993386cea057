//! The child process that compiles one file.

use std::path::Path;

use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};

use super::cache::write_new;
use super::component::encode;
use super::engine::{AddressSpace, probe_engine};
use crate::text::chain;

/// CPU time that compiling one plugin may take.
pub(super) const CPU_SECONDS: u64 = 60;
/// Address space for an ordinary plugin, and for one above [`LARGE`].
const MEMORY: u64 = 1 << 30;
const MEMORY_LARGE: u64 = 4 << 30;
const LARGE: u64 = 8 << 20;

/// Exit code of a child that understood the file to be wrong.
pub(super) const REFUSED: u8 = 65;
const FAILED: u8 = 1;

/// Compiles the file `input` into `output` under limits of its own, for engines of a process
/// with `space`.
///
/// # Errors
/// The exit code that goes with it, and a text for the parent.
pub fn compile_worker(
    input: &Path,
    output: &Path,
    space: AddressSpace,
) -> Result<(), (u8, String)> {
    restrict(input).map_err(|error| (FAILED, error.to_string()))?;
    let file = std::fs::read(input).map_err(|error| (FAILED, error.to_string()))?;
    let component = encode(&file).map_err(|error| (REFUSED, chain(&error)))?;
    let engine = probe_engine(space).map_err(|error| (FAILED, chain(&error)))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| (REFUSED, format!("the compiler refused it: {error:#}")))?;
    write_new(output, &code).map_err(|error| (FAILED, error.to_string()))
}

/// Bounds this process, before it looks at a byte of the file.
fn restrict(input: &Path) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    nice(10)?;
    limit(Resource::As, memory_limit(std::fs::metadata(input)?.len()))?;
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::Core, 0)?;
    Ok(())
}

/// Sets a limit, or keeps a lower one that was set before.
fn limit(resource: Resource, value: u64) -> rustix::io::Result<()> {
    let before = rustix::process::getrlimit(resource);
    let value = before.maximum.map_or(value, |maximum| maximum.min(value));
    setrlimit(
        resource,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )
}

/// Address space that compiling a file of this length may take, in bytes.
pub(super) fn memory_limit(file_len: u64) -> u64 {
    if file_len > LARGE {
        MEMORY_LARGE
    } else {
        MEMORY
    }
}
