//! A running host: where the parts are wired, started in order and stopped in reverse.
//!
//! Start: store, plugins, routing table, pools, dispatch, listeners. Stop: listeners first, so
//! that nothing new arrives; then what was read is accepted; then handlers end or are given
//! back; the store last.

mod limits;
mod listening;
mod reload;
pub mod supervisor;
mod watchdog;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gwasp_store::Retention;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::beat::Beat;
use crate::broker::{Broker, BrokerError, Embedded, Operations};
use crate::config::{Config, ListenerConfig, PRODUCTION, Rights};
use crate::control::{Control, Socket, SocketError};
use crate::dispatch::Dispatcher;
use crate::effects::{self, KernelThreads, World};
use crate::explain::Coded as _;
use crate::intake::{self, Intake};
use crate::listeners::vtp::TlsSetupError;
use crate::operations::Versions;
use crate::packet::leap_seconds_note;
use crate::plugins::{CompileError, Compiler, EngineError, Loader, Ticker};
use crate::rollout::{Follower, Parts, Plugins, StartError, Wish};
use crate::services::{HttpError, HttpServices};
use crate::settings::{self, ConfigSource, InForce, Settings};
use crate::stop::StopSignal;
use crate::text::chain;
use crate::workers::{PoolError, Pools, Registry, Shared};
use listening::{Listening, Made};
use reload::{Live, Reloader};

pub use reload::ReloadError;

/// How long what was read may take to be accepted at the end.
const ACCEPT_DEADLINE: Duration = Duration::from_secs(10);
/// How long whoever follows the plugin directory may take to end.
const FOLLOWER_DEADLINE: Duration = Duration::from_secs(5);
/// A drain that ends within this time tells nobody what it waits for.
const SOON: Duration = Duration::from_millis(200);
/// How long a cancelled handler may take to notice.
const CANCEL_DEADLINE: Duration = Duration::from_secs(5);
/// What a service manager is told that closing the store may take, on a busy disk.
const CLOSE_TIME: Duration = Duration::from_secs(10);

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
    /// Plugins cannot be put into service.
    #[error(transparent)]
    Rollout(#[from] StartError),
    /// The cache of compiled plugins cannot be used.
    #[error("plugins cannot be compiled")]
    Compiler(#[from] CompileError),
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[from] std::io::Error),
    /// A pool cannot be made.
    #[error("a pool cannot be made")]
    Pool(#[from] PoolError),
    /// A service's origin is no URL, or there is no TLS.
    #[error("services cannot be used")]
    Http(#[from] HttpError),
    /// There is no way to ask it anything.
    #[error("the host cannot be controlled")]
    Control(#[from] SocketError),
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
    follower: Follower,
    plugins: Plugins,
    versions: Versions,
    wishes: mpsc::Receiver<Wish>,
    settings: Settings,
    reloads: mpsc::Receiver<settings::Wish>,
    listeners: Made,
    control: Socket,
    places: Places,
    ticker: Ticker,
    workers_stop: CancellationToken,
    live: Live,
}

impl Host {
    /// Opens the store, loads the plugins and makes pools and listeners. `config` is what
    /// `source` had, and what it has later is taken by a reload.
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
        source: Arc<dyn ConfigSource>,
    ) -> Result<Self, HostError> {
        let born = Instant::now();
        let operations = broker(config, places)?;
        let broker: Arc<dyn Broker> = Arc::clone(&operations) as _;
        let ticker = Ticker::start()?;
        let loader = loader(places, &ticker)?;
        let registry = Arc::new(Registry::default());
        let workers_stop = CancellationToken::new();
        let (routes, newest) = watch::channel(Arc::default());
        let (served, queues) = watch::channel(BTreeSet::new());
        let (rights, given) = watch::channel(Arc::new(Rights::of(config)));
        let http = HttpServices::new(&config.services, &config.secrets, Handle::current())?;
        let (http, services) = watch::channel(Arc::new(http));
        let world = World {
            broker: Arc::clone(&broker),
            http: services,
            routes: newest.clone(),
            queues,
            kernels: KernelThreads::new(&config.kernels),
            clock: Arc::new(Timestamp::now),
        };
        let shared = Shared {
            world: Arc::new(world),
            rights: given.clone(),
            loader: Arc::clone(&loader),
            registry: Arc::clone(&registry),
            ticker: ticker.clone(),
            stopping: workers_stop.clone(),
            stop: stop.clone(),
        };
        let pools = Arc::new(Pools::new(config.queues.clone(), shared, served)?);
        let parts = Parts {
            broker: Arc::clone(&broker),
            loader: Arc::clone(&loader),
            registry,
            pools: Arc::clone(&pools),
            routes,
            stop: stop.clone(),
            rights: given,
        };
        let (plugins, wishes) = Plugins::channel();
        let (in_force, settings, reloads) = in_force(config, &source);
        Ok(Self {
            broker,
            follower: Follower::start(parts, &places.plugins).await?,
            plugins: plugins.clone(),
            versions: Versions::new(loader, &ticker),
            wishes,
            settings,
            reloads,
            listeners: listening::make(config, |_, _| false)?,
            control: Socket::bind(&places.store)?,
            places: places.clone(),
            ticker,
            workers_stop,
            live: Live {
                operations,
                pools,
                rights,
                http,
                routes: newest,
                plugins,
                stop,
                source,
                in_force,
                born,
            },
        })
    }

    /// What a person may ask about plugins, and decide, while this host runs.
    pub fn plugins(&self) -> Plugins {
        self.plugins.clone()
    }

    /// The way to have the configuration read again while this host runs.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// Runs until told to stop; `ready` is called once packets can be taken and kept.
    ///
    /// # Errors
    /// [`HostError`] when a thread cannot be started.
    pub async fn run(self, ready: impl FnOnce()) -> Result<End, HostError> {
        let Live { pools, stop, .. } = &self.live;
        let (pools, stop) = (Arc::clone(pools), stop.clone());
        pools.start()?;
        let (states, connections) = watch::channel(Vec::new());
        let control = Control {
            broker: Arc::clone(&self.live.operations),
            routes: self.live.routes.clone(),
            listeners: connections,
            pools: Arc::clone(&pools),
            plugins: self.plugins,
            versions: self.versions,
            settings: self.settings.clone(),
            store: self.places.store,
            plugin_directory: self.places.plugins,
            started: Timestamp::now(),
            stop: stop.clone(),
        };
        let closing = CancellationToken::new();
        let control = tokio::spawn(control.serve(self.control, closing.clone()));
        let (intake, deliveries) = Intake::channel(intake::CAPACITY);
        let routes = self.live.routes.clone();
        let dispatcher = Dispatcher::new(Arc::clone(&self.broker), routes, stop.clone());
        let dispatch = tokio::spawn(dispatcher.run(deliveries));
        let mut listening = Listening::new(intake.clone(), stop.clone(), states);
        listening.start(self.listeners, &*self.broker).await;
        let own = self.settings.in_force().config.limits.watchdog;
        let watching = tokio::spawn(watchdog::start(intake, own, stop.drain.clone())?);
        let beat = Beat::new(Arc::clone(&self.broker), self.live.routes.clone());
        let beating = tokio::spawn(beat.run(stop.drain.clone()));
        let reloader = Reloader::new(self.live, listening);
        let reloading = tokio::spawn(reloader.run(self.reloads));
        let following = tokio::spawn(self.follower.run(self.wishes, stop.drain.clone()));
        ready();

        supervisor::tell_status(&*self.broker, &stop, &self.settings).await;
        let config = &self.settings.in_force().config;
        supervisor::stopping(longest_stop(config), self.broker.open_tasks());
        info!(target: "gwasp::host", "stopping: no more packets are taken; a second signal stops at once, and may leave external effects that are under way in doubt");
        for ending in [watching, beating, reloading] {
            drop(ending.await);
        }
        if tokio::time::timeout(FOLLOWER_DEADLINE, following)
            .await
            .is_err()
        {
            warn!(target: "gwasp::host", "the plugin directory did not answer");
        }
        let dispatched = tokio::time::timeout(ACCEPT_DEADLINE, dispatch).await;
        let dispatched = dispatched.ok().and_then(Result::ok);
        self.workers_stop.cancel();
        let end = drain(pools.stop(), config.drain.deadline, &stop.now).await;
        self.ticker.close();
        closing.cancel();
        drop(control.await);
        match dispatched {
            Some(dispatched) if dispatched.all_counted => {
                close(&*self.broker, dispatched.packets, &stop).await;
            }
            _ => {
                error!(target: "gwasp::host", "packets were read and neither kept nor counted: the next start marks a gap");
            }
        }
        Ok(if stop.has_failed() {
            End::DiskFailed
        } else {
            end
        })
    }
}

/// What a stop takes when everything takes as long as it may.
fn longest_stop(config: &Config) -> Duration {
    let listeners = config
        .listeners
        .values()
        .map(|ListenerConfig::Vtp(vtp)| vtp.drain);
    let listeners = listeners.max().unwrap_or_default();
    listeners
        + FOLLOWER_DEADLINE
        + ACCEPT_DEADLINE
        + config.drain.deadline
        + CANCEL_DEADLINE
        + CLOSE_TIME
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
            error!(target: "gwasp::host", code = error.code().as_str(), error = %chain(&error), "the store did not close cleanly");
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
    info!(target: "gwasp::host", reason, ?deadline, "giving back the tasks of handlers that still run; they go on at the next start, but one with an external effect under way may be set aside as in doubt: see `gwasp explain E0304`");
    now.cancel();
    if tokio::time::timeout(CANCEL_DEADLINE, joined).await.is_err() {
        warn!(target: "gwasp::host", "some handlers did not stop; their tasks go on at the next start, and an external effect under way may be in doubt");
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

fn loader(places: &Places, ticker: &Ticker) -> Result<Arc<Loader>, HostError> {
    let compiler = Compiler::new(places.program.clone(), places.cache.clone())?;
    Ok(Arc::new(Loader::new(compiler, effects::fits, ticker)?))
}

fn broker(config: &Config, places: &Places) -> Result<Arc<dyn Operations>, HostError> {
    let opened = Embedded::open_keeping(&places.store, config.queues.serial(), retention(config));
    let broker = opened.map_err(|source| HostError::Store {
        directory: places.store.clone(),
        source: Box::new(source),
    })?;
    Ok(Arc::new(broker))
}

/// The configuration that a host starts with, as what is in force, and the way to another one.
fn in_force(
    config: &Config,
    source: &Arc<dyn ConfigSource>,
) -> (
    watch::Sender<Arc<InForce>>,
    Settings,
    mpsc::Receiver<settings::Wish>,
) {
    let (in_force, seen) = watch::channel(Arc::new(InForce {
        config: config.clone(),
        since: Timestamp::now(),
        by: "the start".to_owned(),
    }));
    let (settings, reloads) = Settings::channel(seen, Arc::clone(source));
    (in_force, settings, reloads)
}

/// Says that a host is no production, where it is under such a profile.
pub fn warn_of_profile(config: &Config) {
    if let Some(profile) = config.profile.as_deref().filter(|name| *name != PRODUCTION) {
        warn!(target: "gwasp::host", profile, "THIS IS NOT PRODUCTION: the host runs under profile `{profile}`");
    }
}

/// Says that the table of leap seconds ends soon, or has ended.
pub fn warn_of_leap_seconds() {
    if let Some(note) = leap_seconds_note(Timestamp::now()) {
        warn!(target: "gwasp::host", "{note}");
    }
}

/// Says which secrets of a configuration cannot be put into a request now.
pub fn warn_of_secrets(config: &Config) {
    reload::warn_of_secrets(config);
}

#[cfg(test)]
mod tests;
