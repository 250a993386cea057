//! Workers: each queue has a pool of its own, and each slot of a pool a thread of its own.
//!
//! A slot leases a task, runs its handler in a fresh sandbox and commits what became of it,
//! before it leases the next: after a crash at most as many tasks are run again as there are
//! slots. Pools share no thread, no engine and no instance, so that a queue cannot starve
//! another; a looping guest costs its neighbours what a looping native thread would.

mod invoke;
mod outcome;
mod pool;
mod pools;
mod registry;
mod slot;

pub use invoke::{Invocation, Invoked, guest_input};
pub use outcome::{Ended, FailureKind};
pub use pool::{Pool, PoolError, Shared};
pub use pools::{NewPools, Pools};
pub use registry::{Registry, RunMark, Runs};
