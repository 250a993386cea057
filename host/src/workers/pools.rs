//! All pools of a host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;
use tracing::info;

use super::pool::{Pool, PoolError, Shared};
use crate::config::Queues;
use crate::packet::Digest;
use crate::plugins::Plugin;

/// A pool per queue that the configuration or a handler names; a plugin that comes later may
/// bring new queues with it. A pool that no handler names any more stays, and idles.
#[derive(Debug)]
pub struct Pools {
    shared: Shared,
    queues: Queues,
    /// Tells runs which queues are served.
    served: watch::Sender<BTreeSet<String>>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    pools: BTreeMap<String, Arc<Pool>>,
    slots: Vec<JoinHandle<()>>,
    is_started: bool,
}

impl Pools {
    /// Makes the pools that the configuration names; they run nothing before [`Pools::start`].
    ///
    /// # Errors
    /// [`PoolError::Engine`].
    pub fn new(
        queues: Queues,
        shared: Shared,
        served: watch::Sender<BTreeSet<String>>,
    ) -> Result<Self, PoolError> {
        let pools = Self {
            shared,
            queues,
            served,
            open: Mutex::default(),
        };
        for queue in pools.queues.named() {
            pools.get(queue)?;
        }
        Ok(pools)
    }

    /// Makes the pool of `queue` where it is missing.
    ///
    /// # Errors
    /// [`PoolError::Queue`] where the configuration has none, [`PoolError::Engine`] and
    /// [`PoolError::Thread`].
    pub fn serve(&self, queue: &str) -> Result<(), PoolError> {
        self.get(queue).map(drop)
    }

    /// Checks that the configuration has each queue that `plugin` names.
    ///
    /// # Errors
    /// [`PoolError::Queue`].
    pub fn check(&self, plugin: &Plugin) -> Result<(), PoolError> {
        for queue in plugin.manifest.queues() {
            self.queues.get(queue)?;
        }
        Ok(())
    }

    /// Starts the slots of all pools, and of those that come later.
    ///
    /// # Errors
    /// [`PoolError::Thread`].
    pub fn start(&self) -> Result<(), PoolError> {
        let mut open = self.open();
        open.is_started = true;
        let pools: Vec<_> = open.pools.values().cloned().collect();
        for pool in pools {
            open.slots.extend(pool.start()?);
        }
        Ok(())
    }

    /// The threads of all slots, to wait for; no pool starts any more.
    pub fn stop(&self) -> Vec<JoinHandle<()>> {
        let mut open = self.open();
        open.is_started = false;
        std::mem::take(&mut open.slots)
    }

    /// The queues that are served, and how many tasks each runs at a time.
    pub fn slots(&self) -> Vec<(String, usize)> {
        let open = self.open();
        let pools = open.pools.iter();
        pools
            .map(|(queue, pool)| (queue.clone(), pool.slots()))
            .collect()
    }

    /// Loads a plugin's code into the engines of the queues that its handlers name, and makes
    /// the pools that are missing. Takes as long as reading the code from disk does.
    ///
    /// # Errors
    /// [`PoolError`]; what was loaded before the error stays and harms nobody.
    pub fn load(&self, plugin: &Plugin) -> Result<(), PoolError> {
        for queue in plugin.manifest.queues() {
            self.get(queue)?.load(plugin, plugin.digest)?;
        }
        Ok(())
    }

    /// Forgets the code of all versions but `current`; runs that are under way keep theirs to
    /// their end, and a run that needs a former version loads it again.
    pub fn forget_all_but(&self, current: &BTreeSet<Digest>) {
        for pool in self.open().pools.values() {
            pool.forget_all_but(current);
        }
    }

    fn get(&self, queue: &str) -> Result<Arc<Pool>, PoolError> {
        let mut open = self.open();
        if let Some(pool) = open.pools.get(queue) {
            return Ok(Arc::clone(pool));
        }
        let config = self.queues.get(queue)?;
        self.tell_default_pool(&open, queue);
        let pool = Arc::new(Pool::new(queue, config, &self.shared)?);
        if open.is_started {
            open.slots.extend(pool.start()?);
        }
        open.pools.insert(queue.to_owned(), Arc::clone(&pool));
        self.served
            .send_if_modified(|served| served.insert(queue.to_owned()));
        Ok(pool)
    }

    /// Says so where a queue has a pool that nobody asked for: a misspelt one runs, beside the
    /// one that was meant.
    fn tell_default_pool(&self, open: &Open, queue: &str) {
        let mut names: BTreeSet<&str> = open.pools.keys().map(String::as_str).collect();
        names.insert(queue);
        let pools = self.queues.by_default(&names);
        if let Some(pool) = pools.iter().find(|pool| pool.queue == queue) {
            info!(target: "gwasp::host", queue = pool.queue, is_meant = pool.nearest, "queue is made with the default pool");
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
