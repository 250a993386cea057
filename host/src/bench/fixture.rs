//! Stores to measure in, and the host's parts between intake and store.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gwasp_formats::{NoticeType, Role};
use gwasp_store::{Depth, Store};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Bench, BenchError};
use crate::broker::{Broker, Embedded};
use crate::config::{KernelsConfig, QueueConfig};
use crate::dispatch::{Dispatched, Dispatcher};
use crate::effects::{Clock, KernelThreads, World};
use crate::intake::{self, Intake};
use crate::packet::{Digest, Key, Packet};
use crate::routes::{PluginRoutes, Routes};
use crate::services::HttpServices;
use crate::stop::StopSignal;
use crate::workers::{Pool, Registry, Shared};

/// The queue of handlers that name none.
pub(super) const QUEUE: &str = "general";
/// Who waits longer than this waits for nothing.
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// Between two looks at a queue.
const LOOK: Duration = Duration::from_millis(1);

/// A new store with the bench plugin's routes.
pub(super) struct Fixture {
    pub(super) broker: Arc<Embedded>,
    pub(super) routes: Arc<Routes>,
    // Removed after the broker is gone.
    _directory: TempDir,
}

impl Fixture {
    pub(super) fn new(bench: &Bench, below: &Path) -> Result<Self, BenchError> {
        let directory = tempfile::Builder::new()
            .prefix("gwasp-bench-")
            .tempdir_in(below)?;
        let broker = Arc::new(Embedded::open(directory.path(), BTreeSet::new())?);
        let plugin = &bench.plugin;
        let digest = *plugin.digest.as_bytes();
        let put = broker.put_route(&plugin.name, digest, &plugin.manifest_json);
        let generation = bench.runtime.block_on(put)?;
        let routes = PluginRoutes {
            plugin: plugin.name.clone(),
            generation,
            digest: plugin.digest,
            manifest: plugin.manifest.clone(),
        };
        Ok(Self {
            broker,
            routes: Arc::new(Routes::new(generation, &[routes])),
            _directory: directory,
        })
    }

    pub(super) fn store(&self) -> &Store {
        self.broker.store()
    }

    /// Tasks that may be leased now.
    pub(super) fn ready(&self) -> usize {
        self.store().depth(QUEUE).ready
    }

    /// Waits until no task is open.
    ///
    /// # Errors
    /// [`BenchError::Stuck`].
    pub(super) fn wait_until_idle(&self) -> Result<(), BenchError> {
        let end = Instant::now() + LONGEST;
        while self.store().depth(QUEUE) != Depth::default() {
            if Instant::now() > end {
                return Err(BenchError::Stuck(LONGEST));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// How many tasks ended well.
    pub(super) fn succeeded(&self) -> Result<u64, BenchError> {
        let ledger = self.store().reader()?.ledger(0)?;
        let tasks = ledger
            .accounts
            .iter()
            .flat_map(|account| account.tasks.values());
        Ok(tasks.map(|tasks| tasks.succeeded).sum())
    }
}

/// What a host has between its intake and its store.
pub(super) struct Parts {
    pub(super) intake: Intake,
    dispatch: tokio::task::JoinHandle<Dispatched>,
    slots: Vec<JoinHandle<()>>,
    stopping: CancellationToken,
}

impl Parts {
    /// Starts dispatch and a pool; handlers and the host read `clock`.
    pub(super) fn start(
        bench: &Bench,
        fixture: &Fixture,
        clock: Clock,
        slots: u16,
    ) -> Result<Self, BenchError> {
        let (_, routes) = watch::channel(Arc::clone(&fixture.routes));
        let broker: Arc<dyn Broker> = fixture.broker.clone();
        let (stop, stopping) = (StopSignal::default(), CancellationToken::new());
        let registry = Registry::default();
        registry.set(Arc::clone(&bench.plugin));
        let runtime = bench.runtime.handle().clone();
        let http = HttpServices::new(&BTreeMap::new(), &BTreeMap::new(), runtime)?;
        let world = World {
            broker: Arc::clone(&broker),
            http: watch::channel(Arc::new(http)).1,
            routes: routes.clone(),
            queues: watch::channel(BTreeSet::from([QUEUE.to_owned()])).1,
            kernels: KernelThreads::new(&KernelsConfig::default()),
            clock,
        };
        let shared = Shared {
            world: Arc::new(world),
            rights: watch::channel(Arc::default()).1,
            loader: Arc::clone(&bench.loader),
            registry: Arc::new(registry),
            ticker: bench.ticker.clone(),
            stopping: stopping.clone(),
            stop: stop.clone(),
        };
        let pool = Arc::new(Pool::new(QUEUE, queue(slots), &shared)?);
        let (intake, deliveries) = Intake::channel(intake::CAPACITY);
        let dispatcher = Dispatcher::new(broker, routes, stop);
        Ok(Self {
            intake,
            dispatch: bench.runtime.spawn(dispatcher.run(deliveries)),
            slots: pool.start()?,
            stopping,
        })
    }

    /// Ends dispatch and the slots.
    pub(super) fn stop(self, bench: &Bench) {
        drop(self.intake);
        drop(bench.runtime.block_on(self.dispatch));
        self.stopping.cancel();
        join(self.slots);
    }
}

/// A queue with so many slots.
pub(super) fn queue(slots: u16) -> QueueConfig {
    QueueConfig {
        concurrency: NonZeroU16::new(slots).unwrap_or(NonZeroU16::MIN),
        ..QueueConfig::default()
    }
}

/// Waits for threads; what a panic left undone is missed by who counts.
pub(super) fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        drop(thread.join());
    }
}

/// A packet that differs from all others by its number.
pub(super) fn packet(notice_type: u16, number: u64, payload: Bytes) -> Packet {
    Packet {
        source: "bench".to_owned(),
        key: Key::Notice(NoticeType(notice_type)),
        id: format!("ivo://gwasp.bench/{notice_type}#{number}"),
        identity: Digest::of(format!("{notice_type} {number}").as_bytes()),
        role: Role::Observation,
        received: Timestamp::now(),
        sent: None,
        content_type: "application/xml",
        headers: Vec::new(),
        flags: Vec::new(),
        payload,
    }
}
