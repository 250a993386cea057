//! Engines: one per queue, with its own pool of instances.
//!
//! All engines share what decides about compiled code, so that a plugin is compiled once. The
//! settings that matter were measured: with the pooling allocator, pagemap scan and resident
//! memory a fresh sandbox costs a few microseconds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing::warn;
use wasmtime::{Config, Enabled, Engine, EngineWeak, PoolingAllocationConfig};

use crate::config::QueueConfig;

/// Distance of two epochs: how late a deadline may strike.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Slots beyond a queue's concurrency, for instances that are being taken down.
const SPARE_SLOTS: u32 = 2;
/// A component of Rust has one core module and a few adapters; one of Python some dozens.
pub(super) const CORE_INSTANCES_PER_COMPONENT: u32 = 40;
pub(super) const TABLES_PER_COMPONENT: u32 = 20;
pub(super) const MEMORIES_PER_COMPONENT: u32 = 4;

/// Linear memories of 4 GiB each that are reserved to find out whether there is room; 1 TiB.
const TRIAL_MEMORIES: u32 = 256;
/// What is reserved for a linear memory where room is short; beyond it, it moves as it grows.
const SHORT_RESERVATION: u64 = 4 << 20;
const SHORT_GUARD: u64 = 64 << 10;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error(
    "WebAssembly cannot run here; does `ulimit -v` or a container limit the address space to less \
     than a few hundred MiB?"
)]
pub struct EngineError(#[source] wasmtime::Error);

/// How much address space this process may take. Compiled code differs with it, so it is
/// decided once, before anything is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSpace {
    /// As much as a 64-bit process usually may: memories are reserved at their full 4 GiB, and
    /// code needs no check of bounds.
    Ample,
    /// Little: memories are made as they are needed, and code checks its bounds.
    Short,
}

impl AddressSpace {
    /// What this process may take; the first call finds out.
    pub fn of_process() -> Self {
        static DECIDED: OnceLock<AddressSpace> = OnceLock::new();
        *DECIDED.get_or_init(|| {
            let mut pool = PoolingAllocationConfig::default();
            pool.total_memories(TRIAL_MEMORIES).total_stacks(1);
            let mut config = base_config(Self::Ample);
            config.allocation_strategy(pool);
            match Engine::new(&config) {
                Ok(_) => Self::Ample,
                Err(error) => {
                    warn!(
                        target: "gwasp::host",
                        error = %error.root_cause(),
                        "address space is short (`ulimit -v`, or a container): handlers run, \
                         and start more slowly"
                    );
                    Self::Short
                }
            }
        })
    }

    /// Its name on a command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ample => "ample",
            Self::Short => "short",
        }
    }
}

/// What decides about compiled code; the same in every engine of a process.
fn base_config(space: AddressSpace) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(512 << 10);
    if space == AddressSpace::Short {
        config
            .memory_reservation(SHORT_RESERVATION)
            .memory_reservation_for_growth(SHORT_RESERVATION)
            .memory_guard_size(SHORT_GUARD);
    }
    config
}

/// Makes an engine without a pool, for what runs rarely.
///
/// # Errors
/// [`EngineError`].
pub fn probe_engine(space: AddressSpace) -> Result<Engine, EngineError> {
    Engine::new(&base_config(space)).map_err(EngineError)
}

/// Makes the engine of one queue: with a pool, or without where the pool finds no room.
///
/// # Errors
/// [`EngineError`].
pub fn queue_engine(queue: &QueueConfig) -> Result<Engine, EngineError> {
    let space = AddressSpace::of_process();
    if space == AddressSpace::Short {
        return probe_engine(space);
    }
    let mut config = base_config(space);
    config.allocation_strategy(pool(queue));
    match Engine::new(&config) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            warn!(
                target: "gwasp::host",
                slots = queue.slots(), error = %error.root_cause(),
                "no address space for a pool of so many slots: handlers of this queue run, and \
                 start more slowly; a smaller `concurrency` helps"
            );
            probe_engine(space)
        }
    }
}

fn pool(queue: &QueueConfig) -> PoolingAllocationConfig {
    let slots = u32::try_from(queue.slots())
        .unwrap_or(u32::MAX)
        .saturating_add(SPARE_SLOTS);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(slots.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(slots.saturating_mul(TABLES_PER_COMPONENT))
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memory_size(usize::try_from(queue.memory.0).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Advances the epochs of all engines while anything runs, and sleeps otherwise.
#[derive(Clone, Debug)]
pub struct Ticker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    parked: Mutex<Parked>,
    wake: Condvar,
}

#[derive(Default)]
struct Parked {
    engines: Vec<EngineWeak>,
    is_parked: bool,
    is_closed: bool,
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked")
            .field("engines", &self.engines.len())
            .finish_non_exhaustive()
    }
}

/// Held while guest code runs.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    /// Starts the ticker's thread.
    ///
    /// # Errors
    /// Why there is no thread for it.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ticking = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("epoch-ticker".to_owned())
            .spawn(move || tick(&ticking))?;
        Ok(Self { shared })
    }

    /// Advances the epochs of `engine` from now on, until it is dropped.
    pub fn drive(&self, engine: &Engine) {
        self.shared.lock().engines.push(engine.weak());
    }

    /// Keeps the ticker awake until the answer is dropped.
    pub fn running(&self) -> Running {
        let shared = Arc::clone(&self.shared);
        if shared.running.fetch_add(1, Ordering::SeqCst) == 0 && shared.lock().is_parked {
            shared.wake.notify_one();
        }
        Running { shared }
    }

    /// Ends the ticker's thread.
    pub fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tick(shared: &Shared) {
    loop {
        let mut parked = shared.lock();
        while shared.running.load(Ordering::SeqCst) == 0 && !parked.is_closed {
            parked.is_parked = true;
            parked = shared
                .wake
                .wait(parked)
                .unwrap_or_else(PoisonError::into_inner);
        }
        parked.is_parked = false;
        if parked.is_closed {
            return;
        }
        parked.engines.retain(|engine| match engine.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                true
            }
            None => false,
        });
        drop(parked);
        std::thread::sleep(TICK);
    }
}
