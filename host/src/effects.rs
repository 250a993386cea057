//! The one gate between a plugin and the world.
//!
//! Every host function passes [`Seam`], which counts it, checks the plugin's grant and keeps
//! the run's journal. A guest sees an answer only through the seam, and the answer is in the
//! journal: a run is a function of its input and its journal, and so it can be run again.
//!
//! One file per imported WIT interface; each function's class is in [`TABLE`]. The seam
//! makes no change to a task itself: what it buffers is committed by the worker, in one
//! transaction with the outcome.

mod blobs;
mod budget;
mod calls;
mod clock;
mod driver;
mod function;
mod gcn;
mod http;
mod journal;
mod kernels;
mod kv;
mod log;
mod memory;
mod noted;
mod progress;
mod random;
mod resume;
mod seam;
mod tasks;

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};

use crate::explain::ALLOW_IT;

pub use budget::{Budget, Limits};
pub use driver::{BlobSource, Clock, Driver, DryAnswer, DryRun, LiveRun, World};
pub use function::{Class, Function, TABLE};
pub use journal::{Entry, Journal, JournalError, Phase};
pub use kernels::{KernelFault, KernelThreads};
pub use memory::{MemoryLimits, OutOfMemory};
use noted::Refused;
pub use resume::{Decision, ResumeError, Resumption, resumption};
pub use seam::{Asked, Committed, Context, Differs, Hold, Leg, Parking, Passed, Seam, SeamError};

#[expect(missing_docs, reason = "written by the macro from WIT")]
pub mod bindings {
    //! The WIT world, as Rust.
    wasmtime::component::bindgen!({
        path: "../guest-sdk/wit/dev",
        world: "plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "gwasp:plugin/blobs.blob": super::blobs::Handle },
    });
}

/// What one invocation's sandbox holds: its limits, and its gate to the world.
#[derive(Debug)]
pub struct Run {
    /// The gate.
    pub seam: Seam,
    /// Limits of memory and tables.
    pub limits: MemoryLimits,
    table: ResourceTable,
    /// Bytes of the blobs that the guest holds.
    held: usize,
}

impl Run {
    /// Makes the state of a fresh sandbox whose linear memory may grow to `memory` bytes.
    pub fn new(seam: Seam, memory: usize) -> Self {
        let limits = MemoryLimits::new(memory);
        Self {
            seam,
            limits,
            table: ResourceTable::new(),
            held: 0,
        }
    }

    /// The handles that the guest holds.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

/// Offers the host functions to components.
///
/// # Errors
/// When two functions share a name, which is a defect of this host.
pub fn link(linker: &mut Linker<Run>) -> wasmtime::Result<()> {
    use bindings::gwasp::plugin;
    plugin::types::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::log::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::progress::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::clock::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::random::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::kv::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::blobs::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::http::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::kernels::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::gcn::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    plugin::tasks::add_to_linker::<_, HasSelf<_>>(linker, |run| run)?;
    Ok(())
}

/// Checks that `component` imports what is offered and exports what is called.
///
/// # Errors
/// The first import or export that does not fit.
pub fn fits(engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    let mut linker = Linker::new(engine);
    link(&mut linker)?;
    let pre = linker.instantiate_pre(component)?;
    bindings::PluginPre::new(pre).map(drop)
}

impl bindings::gwasp::plugin::types::Host for Run {}

/// What a plugin is told that asks for what it may not have. `line` is the whole entry that its
/// grant needs.
fn denied(plugin: &str, what: &str, line: &str) -> String {
    format!("plugin `{plugin}` may not {what}; {ALLOW_IT}\n\n    [grants.{plugin}]\n    {line}\n")
}

/// An entry of a grant with one more name: `services = ["a", "b"]`.
fn list_with(key: &str, granted: &[String], more: &str) -> String {
    let names: Vec<String> = granted
        .iter()
        .map(String::as_str)
        .chain([more])
        .map(|name| format!("{name:?}"))
        .collect();
    format!("{key} = [{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::denied;
    use crate::explain::{Code, code};

    #[test]
    fn a_handler_that_passes_a_refusal_on_fails_with_its_code() {
        let message = format!("cannot go on: {}", denied("p", "keep values", "kv = true"));
        assert_eq!(Code::of_failure("error", &message), Some(code::GRANT));
    }
}
