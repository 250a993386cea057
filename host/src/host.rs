//! A running host: where the parts are wired, started in order and stopped in reverse.
//!
//! Start: store, plugins, routing table, pools, dispatch, listeners. Stop: listeners first, so
//! that nothing new arrives; then what was read is accepted; then handlers end or are given
//! back; the store last.

mod load;
mod watchdog;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gwasp_store::Retention;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::broker::{Broker, BrokerError, Embedded};
use crate::config::{Config, Grant, ListenerConfig};
use crate::dispatch::Dispatcher;
use crate::effects::{self, KernelThreads, World};
use crate::intake::{self, Intake};
use crate::listeners::vtp::{TlsSetupError, VtpListener};
use crate::plugins::{CompileError, Compiler, EngineError, Loader, PermissionError, Ticker};
use crate::routes::Routes;
use crate::services::{HttpError, HttpServices};
use crate::stop::StopSignal;
use crate::text::chain;
use crate::workers::{Pool, PoolError, Registry, Shared};

/// How long what was read may take to be accepted at the end.
const ACCEPT_DEADLINE: Duration = Duration::from_secs(10);
/// A drain that ends within this time tells nobody what it waits for.
const SOON: Duration = Duration::from_millis(200);
/// How long a cancelled handler may take to notice.
const CANCEL_DEADLINE: Duration = Duration::from_secs(5);

/// Directories and programs that a host uses; the command line decides about them.
#[derive(Clone, Debug)]
pub struct Places {
    /// The store.
    pub store: PathBuf,
    /// Files of plugins.
    pub plugins: PathBuf,
    /// Compiled plugins.
    pub cache: PathBuf,
    /// This program, which compiles plugins as a child.
    pub program: PathBuf,
}

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The store does not open.
    #[error("the store in {} does not open", directory.display())]
    Store {
        /// Where it is.
        directory: PathBuf,
        /// Why.
        source: Box<gwasp_store::OpenError>,
    },
    /// The broker failed.
    #[error("the broker failed")]
    Broker(#[from] BrokerError),
    /// WebAssembly cannot run here.
    #[error("plugins cannot run")]
    Engine(#[from] EngineError),
    /// Others can write to the plugin directory.
    #[error("the plugin directory is refused")]
    Plugins(#[from] PermissionError),
    /// The cache of compiled plugins cannot be used.
    #[error("plugins cannot be compiled")]
    Compiler(#[from] CompileError),
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[from] std::io::Error),
    /// A pool cannot be made.
    #[error("a pool cannot be made")]
    Pool(#[from] PoolError),
    /// What a plugin declared when it was loaded last cannot be read by this host. Starting
    /// without it would take its packets and run nothing on them.
    #[error(
        "the routes of plugin `{plugin}` in the store cannot be read by this host; run a newer gwasp, or load the plugin anew"
    )]
    Routes {
        /// The plugin.
        plugin: String,
        /// What is wrong.
        source: crate::routes::ManifestError,
    },
    /// A service's origin is no URL, or there is no TLS.
    #[error("services cannot be used")]
    Http(#[from] HttpError),
    /// A listener's certificates cannot be used.
    #[error("listener `{name}` cannot start")]
    Listener {
        /// Its name.
        name: String,
        /// Why.
        source: TlsSetupError,
    },
}

/// How a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was finished or given back in time.
    Clean,
    /// It was told to stop at once.
    Hasty,
    /// The disk failed under the store: what is on it is not known until the next start.
    DiskFailed,
}

/// A host whose parts are made and that runs nothing yet.
#[derive(Debug)]
pub struct Host {
    broker: Arc<dyn Broker>,
    pools: Vec<Arc<Pool>>,
    routes: watch::Sender<Arc<Routes>>,
    listeners: Vec<(String, VtpListener)>,
    ticker: Ticker,
    stop: StopSignal,
    workers_stop: CancellationToken,
    drain_deadline: Duration,
}

impl Host {
    /// Opens the store, loads the plugins and makes pools and listeners.
    ///
    /// A plugin that does not load is reported and keeps its routes; everything else that is
    /// missing is an error.
    ///
    /// # Errors
    /// [`HostError`].
    pub async fn new(
        config: &Config,
        places: &Places,
        stop: StopSignal,
    ) -> Result<Self, HostError> {
        let broker: Arc<dyn Broker> = Arc::new(
            Embedded::open_keeping(&places.store, config.queues.serial(), retention(config))
                .map_err(|source| HostError::Store {
                    directory: places.store.clone(),
                    source: Box::new(source),
                })?,
        );
        let ticker = Ticker::start()?;
        let compiler = Compiler::new(places.program.clone(), places.cache.clone())?;
        let loader = Loader::new(compiler, effects::fits, &ticker)?;
        let registry = Arc::new(Registry::default());
        let table = load::load_all(
            &*broker,
            &loader,
            &registry,
            &places.plugins,
            &config.queues,
        )
        .await?;

        tell_missing_grants(config, &table, &registry);
        let queues = queues(config, &table);
        tell_default_pools(config, &queues);
        let workers_stop = CancellationToken::new();
        let routes = Routes::new(table.generation, &table.plugins).with_refused(&table.refused);
        let (routes, newest) = watch::channel(Arc::new(routes));
        let world = World {
            broker: Arc::clone(&broker),
            http: HttpServices::new(&config.services, &config.secrets, Handle::current())?,
            routes: newest,
            queues: queues.clone(),
            kernels: KernelThreads::new(&config.kernels),
            clock: Arc::new(Timestamp::now),
        };
        let shared = Shared {
            world: Arc::new(world),
            grants: Arc::new(grants(config)),
            registry,
            ticker: ticker.clone(),
            stopping: workers_stop.clone(),
            stop: stop.clone(),
        };
        let pools = pools(config, &queues, &shared)?;
        Ok(Self {
            broker,
            pools,
            routes,
            listeners: listeners(config)?,
            ticker,
            stop,
            workers_stop,
            drain_deadline: config.drain.deadline,
        })
    }

    /// Runs until told to stop; `ready` is called once packets can be taken and kept.
    ///
    /// # Errors
    /// [`HostError`] when a thread cannot be started.
    pub async fn run(self, ready: impl FnOnce()) -> Result<End, HostError> {
        let mut slots = Vec::new();
        for pool in &self.pools {
            slots.extend(pool.start()?);
        }
        let (intake, deliveries) = Intake::channel(intake::CAPACITY);
        let dispatcher = Dispatcher::new(
            Arc::clone(&self.broker),
            self.routes.subscribe(),
            self.stop.clone(),
        );
        let dispatch = tokio::spawn(dispatcher.run(deliveries));
        let mut listening = JoinSet::new();
        for (name, listener) in self.listeners {
            debug!(target: "gwasp::host", listener = %name, "listening");
            listening.spawn(listener.run(intake.clone(), self.stop.drain.clone()));
        }
        listening.spawn(watchdog::run(intake, self.stop.drain.clone()));
        ready();

        self.stop.drain.cancelled().await;
        info!(target: "gwasp::host", "stopping: no more packets are taken; a second signal stops at once");
        while listening.join_next().await.is_some() {}
        let dispatched = tokio::time::timeout(ACCEPT_DEADLINE, dispatch).await;
        let dispatched = dispatched.ok().and_then(Result::ok);
        self.workers_stop.cancel();
        let end = drain(slots, self.drain_deadline, &self.stop.now).await;
        self.ticker.close();
        match dispatched {
            Some(dispatched) if dispatched.all_counted => {
                close(&*self.broker, dispatched.packets, &self.stop).await;
            }
            _ => {
                error!(target: "gwasp::host", "packets were read and neither kept nor counted: the next start marks a gap");
            }
        }
        Ok(if self.stop.has_failed() {
            End::DiskFailed
        } else {
            end
        })
    }
}

/// Closes the store, and says what was done and what is left.
async fn close(broker: &dyn Broker, packets: u64, stop: &StopSignal) {
    let tasks_open = broker.open_tasks();
    match broker.close().await {
        Ok(()) => {
            info!(target: "gwasp::host", packets, tasks_open, "stopped");
        }
        Err(error) => {
            stop.heed(&error);
            error!(target: "gwasp::host", error = %chain(&error), "the store did not close cleanly");
        }
    }
}

/// Waits for `deadline`, and says so where it is not cut short soon.
async fn wait_aloud(deadline: Duration) {
    let soon = deadline.min(SOON);
    tokio::time::sleep(soon).await;
    let rest = deadline - soon;
    let until = Timestamp::now() + rest;
    info!(target: "gwasp::host", until = %format_args!("{until:.0}"), "waiting for running handlers; then their tasks are given back");
    tokio::time::sleep(rest).await;
}

/// Waits for the slots to end; after the deadline, or when told, gives back what runs.
async fn drain(slots: Vec<JoinHandle<()>>, deadline: Duration, now: &CancellationToken) -> End {
    let mut joined = tokio::task::spawn_blocking(move || {
        for slot in slots {
            if slot.join().is_err() {
                error!(target: "gwasp::host", "a slot's thread panicked");
            }
        }
    });
    let hasty = tokio::select! {
        _ended = &mut joined => return End::Clean,
        () = wait_aloud(deadline) => false,
        () = now.cancelled() => true,
    };
    let reason = if hasty {
        "a second signal"
    } else {
        "the drain deadline"
    };
    info!(target: "gwasp::host", reason, ?deadline, "giving back the tasks of handlers that still run; they run again at the next start");
    now.cancel();
    if tokio::time::timeout(CANCEL_DEADLINE, joined).await.is_err() {
        warn!(target: "gwasp::host", "some handlers did not stop; their tasks are run again at the next start");
    }
    if hasty { End::Hasty } else { End::Clean }
}

fn retention(config: &Config) -> Retention {
    let config = &config.retention;
    Retention {
        packets: config.packets(),
        packet_bytes: config.packet_bytes().0,
        results: config.results(),
        journals: config.journals(),
        blobs: config.blobs(),
        events: config.events(),
        event_count: config.event_count(),
        ..Retention::default()
    }
}

/// The queues that the configuration names, and those of handlers that it has a pool for. The
/// others belong to plugins that were refused; what waits in them is held.
fn queues(config: &Config, table: &load::Table) -> BTreeSet<String> {
    let of_plugins = table
        .plugins
        .iter()
        .flat_map(|plugin| plugin.manifest.queues())
        .filter(|queue| config.queues.get(queue).is_ok());
    of_plugins
        .chain(config.queues.named())
        .map(str::to_owned)
        .collect()
}

/// Says which queues have a pool that nobody asked for: a misspelt one runs, beside the one that
/// was meant.
fn tell_default_pools(config: &Config, queues: &BTreeSet<String>) {
    let names = queues.iter().map(String::as_str).collect();
    for pool in config.queues.by_default(&names) {
        info!(target: "gwasp::host", queue = pool.queue, is_meant = pool.nearest, "queue is made with the default pool");
    }
}

/// Says what plugins call and may not: it would be refused at the first packet.
fn tell_missing_grants(config: &Config, table: &load::Table, registry: &Registry) {
    for routes in &table.plugins {
        let Some(plugin) = registry.get(&routes.plugin) else {
            continue;
        };
        let lacks = config.lacks(&plugin.name, &plugin.calls).join(", ");
        if !lacks.is_empty() {
            info!(target: "gwasp::host", plugin = %plugin.name, add = %format_args!("[grants.{}] {lacks}", plugin.name), "plugin calls what it has no grant for");
        }
    }
}

/// A pool for each queue.
fn pools(
    config: &Config,
    queues: &BTreeSet<String>,
    shared: &Shared,
) -> Result<Vec<Arc<Pool>>, HostError> {
    let mut pools = Vec::new();
    for queue in queues {
        let queue_config = config.queues.get(queue).unwrap_or_default();
        pools.push(Arc::new(Pool::new(queue, queue_config, shared)?));
    }
    Ok(pools)
}

fn grants(config: &Config) -> HashMap<String, Arc<Grant>> {
    config
        .grants
        .iter()
        .map(|(plugin, grant)| (plugin.clone(), Arc::new(grant.clone())))
        .collect()
}

fn listeners(config: &Config) -> Result<Vec<(String, VtpListener)>, HostError> {
    let mut listeners = Vec::new();
    for (name, listener) in &config.listeners {
        let ListenerConfig::Vtp(vtp) = listener;
        let listener = VtpListener::new(vtp.clone()).map_err(|source| HostError::Listener {
            name: name.clone(),
            source,
        })?;
        listeners.push((name.clone(), listener));
    }
    Ok(listeners)
}
