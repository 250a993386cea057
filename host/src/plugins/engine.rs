//! Engines: one per queue, with its own pool of instances.
//!
//! All engines share what decides about compiled code, so that a plugin is compiled once. The
//! settings that matter were measured: with the pooling allocator, pagemap scan and resident
//! memory a fresh sandbox costs a few microseconds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, EngineWeak, PoolingAllocationConfig};

use crate::config::QueueConfig;

/// Distance of two epochs: how late a deadline may strike.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Slots beyond a queue's concurrency, for instances that are being taken down.
const SPARE_SLOTS: u32 = 2;
/// A component of Rust has one core module and a few adapters; one of Python some dozens.
const CORE_INSTANCES_PER_COMPONENT: u32 = 40;
const TABLES_PER_COMPONENT: u32 = 20;
const MEMORIES_PER_COMPONENT: u32 = 4;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("WebAssembly cannot run here; `ulimit -v` or a container may limit the address space")]
pub struct EngineError(#[source] wasmtime::Error);

/// What decides about compiled code; the same in every engine.
fn base_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(512 << 10);
    config
}

/// Makes the engine that `describe` runs in: no pool, since it is rarely used.
///
/// # Errors
/// [`EngineError`].
pub fn probe_engine() -> Result<Engine, EngineError> {
    Engine::new(&base_config()).map_err(EngineError)
}

/// Makes the engine of one queue.
///
/// # Errors
/// [`EngineError`] when its pool does not fit into the address space.
pub fn pooled_engine(queue: &QueueConfig) -> Result<Engine, EngineError> {
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
    let mut config = base_config();
    config.allocation_strategy(pool);
    Engine::new(&config).map_err(EngineError)
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
