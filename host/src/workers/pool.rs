//! The pool of one queue.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::registry::Registry;
use super::slot;
use crate::broker::{Broker, BrokerError};
use crate::config::{Grant, QueueConfig, QueueError, Rights};
use crate::effects::bindings::PluginPre;
use crate::effects::{self, Run, World};
use crate::packet::{Digest, unix_nanos};
use crate::plugins::{CompileError, Compiled, EngineError, Loader, Plugin, Ticker, queue_engine};
use crate::stop::StopSignal;

/// Why a pool cannot run a plugin, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The configuration has no such queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// There is no engine for it.
    #[error("queue `{queue}` has no engine")]
    Engine {
        /// The queue.
        queue: String,
        /// Why.
        source: EngineError,
    },
    /// There is no thread for a slot.
    #[error("queue `{queue}` has no thread for a slot")]
    Thread {
        /// The queue.
        queue: String,
        /// Why.
        source: std::io::Error,
    },
    /// The plugin's code does not load.
    #[error("plugin `{plugin}` does not load")]
    Load {
        /// The plugin.
        plugin: String,
        /// Why.
        source: CompileError,
    },
    /// The bytes of a version that is not in the cache cannot be read.
    #[error("the bytes of a version of plugin `{plugin}` cannot be read")]
    Bytes {
        /// The plugin.
        plugin: String,
        /// Why.
        source: BrokerError,
    },
    /// A task that began on a former version cannot go on.
    #[error(
        "the task began on version {wanted} of plugin `{plugin}`, which is gone; {loaded} is loaded, \
         and a run never mixes two versions"
    )]
    Gone {
        /// The plugin.
        plugin: String,
        /// The version that the task's journal was written by.
        wanted: Digest,
        /// The version that new tasks use.
        loaded: Digest,
    },
    /// The plugin imports what this host does not offer.
    #[error("plugin `{plugin}` does not fit this host; build it again with the host's SDK")]
    Link {
        /// The plugin.
        plugin: String,
        /// What it imports.
        source: wasmtime::Error,
    },
}

/// What the slots of a queue share.
pub struct Pool {
    pub(super) queue: String,
    pub(super) config: QueueConfig,
    pub(super) shared: Shared,
    engine: Engine,
    linker: Linker<Run>,
    loaded: RwLock<HashMap<Digest, PluginPre<Run>>>,
    /// Held while code is loaded, so that slots that need the same wait for one of them.
    loading: Mutex<()>,
    /// Another pool serves the queue, or none does: no slot leases any more.
    pub(super) retired: CancellationToken,
}

/// The thread of a slot that leases nothing yet. It ends where this is dropped.
#[derive(Debug)]
pub(super) struct Parked {
    thread: JoinHandle<()>,
    gate: mpsc::Sender<Option<JoinHandle<()>>>,
}

impl Parked {
    /// Lets the slot lease, once the slot whose place it takes has ended.
    pub(super) fn begin(self, after: Option<JoinHandle<()>>) -> JoinHandle<()> {
        // The thread waits for it.
        drop(self.gate.send(after));
        self.thread
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// What pools have in common.
#[derive(Clone)]
pub struct Shared {
    /// Where tasks come from, and what effects reach.
    pub world: Arc<World>,
    /// What plugins may do, and whether it happens; a run keeps what it began with.
    pub rights: watch::Receiver<Arc<Rights>>,
    /// Compiles what is not in the cache any more.
    pub loader: Arc<Loader>,
    /// What tasks run.
    pub registry: Arc<Registry>,
    /// What bounds their time.
    pub ticker: Ticker,
    /// No new task is leased.
    pub stopping: CancellationToken,
    /// Running handlers are given back when it says `now`.
    pub stop: StopSignal,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Pool {
    /// Makes the pool of `queue`; it runs nothing before [`Pool::start`].
    ///
    /// # Errors
    /// [`PoolError::Engine`].
    pub fn new(queue: &str, config: QueueConfig, shared: &Shared) -> Result<Self, PoolError> {
        let at = |source| PoolError::Engine {
            queue: queue.to_owned(),
            source,
        };
        let engine = queue_engine(&config).map_err(at)?;
        shared.ticker.drive(&engine);
        let mut linker = Linker::new(&engine);
        effects::link(&mut linker).map_err(|source| PoolError::Link {
            plugin: String::new(),
            source,
        })?;
        Ok(Self {
            queue: queue.to_owned(),
            config,
            shared: shared.clone(),
            engine,
            linker,
            loaded: RwLock::default(),
            loading: Mutex::default(),
            retired: CancellationToken::new(),
        })
    }

    /// How many tasks it runs at a time.
    pub(super) fn slots(&self) -> usize {
        self.config.slots()
    }

    /// Where tasks come from.
    pub(super) fn broker(&self) -> &dyn Broker {
        &*self.shared.world.broker
    }

    /// What `plugin` may do.
    pub(super) fn grant(&self, plugin: &str) -> Arc<Grant> {
        self.shared.rights.borrow().grant(plugin)
    }

    /// Whether the handlers of `plugin` run without any effect.
    pub(super) fn is_shadow(&self, plugin: &str) -> bool {
        self.shared.rights.borrow().is_shadow(plugin)
    }

    /// The time in nanoseconds since the Unix epoch.
    pub(super) fn now(&self) -> i64 {
        unix_nanos((self.shared.world.clock)())
    }

    /// Loads the version `digest` of `plugin` into this pool's engine, once.
    ///
    /// # Errors
    /// [`PoolError::Load`], [`PoolError::Link`], and [`PoolError::Gone`] for a former version
    /// that the cache does not have any more.
    pub(super) fn load(
        &self,
        plugin: &Plugin,
        digest: Digest,
    ) -> Result<PluginPre<Run>, PoolError> {
        if let Some(pre) = self.loaded(digest) {
            return Ok(pre);
        }
        let _turn = self.loading.lock();
        if let Some(pre) = self.loaded(digest) {
            return Ok(pre);
        }
        let link = |source| PoolError::Link {
            plugin: plugin.name.clone(),
            source,
        };
        let component = self.component(plugin, digest)?;
        let pre = self.linker.instantiate_pre(&component).map_err(link)?;
        let pre = PluginPre::new(pre).map_err(link)?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(digest, pre.clone());
        Ok(pre)
    }

    /// The code of a version: from the cache, or compiled from the bytes that the broker keeps
    /// as long as a task is on it.
    fn component(&self, plugin: &Plugin, digest: Digest) -> Result<Component, PoolError> {
        let load = |compiled: &Compiled| compiled.load(&self.engine);
        let cached = plugin.version(digest);
        if let Some(Ok(component)) = cached.as_ref().map(load) {
            return Ok(component);
        }
        let plugin_name = || plugin.name.clone();
        let bytes = self.broker().blob(digest.as_bytes());
        let bytes = bytes.map_err(|source| PoolError::Bytes {
            plugin: plugin_name(),
            source,
        })?;
        let loaded = match bytes {
            Some(bytes) => self
                .shared
                .loader
                .compile(digest, &bytes, &self.shared.stop.now)
                .and_then(|compiled| load(&compiled)),
            None => match cached {
                Some(compiled) => load(&compiled),
                None => {
                    return Err(PoolError::Gone {
                        plugin: plugin_name(),
                        wanted: digest,
                        loaded: plugin.digest,
                    });
                }
            },
        };
        loaded.map_err(|source| PoolError::Load {
            plugin: plugin_name(),
            source,
        })
    }

    /// Drops the code of all versions but `current`; a run that needs another loads it again.
    pub(super) fn forget_all_but(&self, current: &BTreeSet<Digest>) {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|digest, _| current.contains(digest));
    }

    fn loaded(&self, digest: Digest) -> Option<PluginPre<Run>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.get(&digest).cloned()
    }

    /// Starts a thread per slot. They end after `stopping` is cancelled.
    ///
    /// # Errors
    /// [`PoolError::Thread`].
    pub fn start(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>, PoolError> {
        let parked = self.park()?.into_iter();
        Ok(parked.map(|slot| slot.begin(None)).collect())
    }

    /// Makes a thread per slot; none leases before [`Parked::begin`].
    ///
    /// # Errors
    /// [`PoolError::Thread`].
    pub(super) fn park(self: &Arc<Self>) -> Result<Vec<Parked>, PoolError> {
        let slots = 0..self.config.slots();
        slots.map(|number| self.park_one(number)).collect()
    }

    fn park_one(self: &Arc<Self>, number: usize) -> Result<Parked, PoolError> {
        let (pool, number_of_worker) =
            (Arc::clone(self), u32::try_from(number).unwrap_or(u32::MAX));
        let (gate, opened) = mpsc::channel::<Option<JoinHandle<()>>>();
        let thread = std::thread::Builder::new()
            .name(format!("{}/{number}", self.queue))
            .spawn(move || {
                let Ok(after) = opened.recv() else {
                    return;
                };
                // One that panicked has ended, too.
                drop(after.map(JoinHandle::join));
                slot::run(&pool, number_of_worker);
            })
            .map_err(|source| PoolError::Thread {
                queue: self.queue.clone(),
                source,
            })?;
        Ok(Parked { thread, gate })
    }

    /// Says that it runs tasks.
    pub(super) fn tell_started(&self) {
        let (concurrency, serial) = (self.config.slots(), self.config.serial);
        info!(target: "gwasp::host", queue = %self.queue, concurrency, serial, "pool started");
    }
}
