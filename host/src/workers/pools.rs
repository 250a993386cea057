//! All pools of a host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;
use tracing::info;

use super::pool::{Parked, Pool, PoolError, Shared};
use crate::config::{QueueConfig, Queues};
use crate::packet::Digest;
use crate::plugins::Plugin;

/// A pool per queue that the configuration or a handler names; a plugin that comes later may
/// bring new queues with it. A pool that no handler names any more stays, and idles.
///
/// Another configuration is taken in two steps: [`Pools::prepare`] makes all that is new and
/// changes nothing, [`Pools::change_to`] cannot fail. A queue whose pool is made anew is served
/// slot by slot: a new slot begins when the one whose place it takes has ended its task, so that
/// a queue never runs more at once than either configuration allows.
#[derive(Debug)]
pub struct Pools {
    shared: Shared,
    /// Tells runs which queues are served.
    served: watch::Sender<BTreeSet<String>>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    queues: Queues,
    pools: BTreeMap<String, Serving>,
    /// Slots that end their last task.
    leaving: Vec<(String, JoinHandle<()>)>,
    is_started: bool,
}

impl Open {
    /// Has the pool of a queue lease no more; answers all of its slots that may still run
    /// something, those of former pools among them.
    fn retire(&mut self, queue: &str) -> Vec<JoinHandle<()>> {
        let mut slots = Vec::new();
        if let Some(old) = self.pools.remove(queue) {
            old.pool.retired.cancel();
            slots = old.slots;
        }
        let leaving = self.leaving.extract_if(.., |(of, _slot)| of == queue);
        slots.extend(leaving.map(|(_queue, slot)| slot));
        slots
    }
}

/// A pool and the threads of its slots.
#[derive(Debug)]
struct Serving {
    pool: Arc<Pool>,
    slots: Vec<JoinHandle<()>>,
}

/// What another configuration changes; nothing of it runs yet.
#[derive(Debug)]
pub struct NewPools {
    queues: Queues,
    made: Vec<(Arc<Pool>, Vec<Parked>)>,
    gone: Vec<String>,
}

impl NewPools {
    /// The queues that are served now and would not be any more.
    pub fn gone(&self) -> &[String] {
        &self.gone
    }
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
        let named: Vec<String> = queues.named().map(str::to_owned).collect();
        let open = Open {
            queues,
            ..Open::default()
        };
        let pools = Self {
            shared,
            served,
            open: Mutex::new(open),
        };
        for queue in &named {
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
        let open = self.open();
        for queue in plugin.manifest.queues() {
            open.queues.get(queue)?;
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
        for serving in open.pools.values_mut() {
            serving.slots = serving.pool.start()?;
            serving.pool.tell_started();
        }
        Ok(())
    }

    /// The threads of all slots, to wait for; no pool starts any more.
    pub fn stop(&self) -> Vec<JoinHandle<()>> {
        let mut open = self.open();
        open.is_started = false;
        let leaving = std::mem::take(&mut open.leaving).into_iter();
        let mut slots: Vec<JoinHandle<()>> = leaving.map(|(_queue, slot)| slot).collect();
        for serving in open.pools.values_mut() {
            slots.append(&mut serving.slots);
        }
        slots
    }

    /// Makes the pools that are other than now, or new, with the code of their plugins, and says
    /// which would go. Nothing changes.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn prepare(&self, queues: Queues) -> Result<NewPools, PoolError> {
        let (wanted, gone, is_started) = self.differing(&queues);
        let plugins = self.shared.registry.all();
        let mut made = Vec::new();
        for (queue, config) in wanted {
            let pool = Arc::new(Pool::new(&queue, config, &self.shared)?);
            let names_it = |plugin: &&Arc<Plugin>| plugin.manifest.queues().any(|one| one == queue);
            for plugin in plugins.iter().filter(names_it) {
                pool.load(plugin, plugin.digest)?;
            }
            let parked = if is_started { pool.park()? } else { Vec::new() };
            made.push((pool, parked));
        }
        Ok(NewPools { queues, made, gone })
    }

    /// The pools to be made, those that go, and whether slots run.
    fn differing(&self, queues: &Queues) -> (Vec<(String, QueueConfig)>, Vec<String>, bool) {
        let open = self.open();
        let (mut wanted, mut gone) = (Vec::new(), Vec::new());
        for (queue, serving) in &open.pools {
            match queues.get(queue) {
                Ok(config) if config == serving.pool.config => {}
                Ok(config) => wanted.push((queue.clone(), config)),
                Err(_) => gone.push(queue.clone()),
            }
        }
        let is_new = |queue: &&str| !open.pools.contains_key(*queue);
        for queue in queues.named().filter(is_new) {
            wanted.extend(queues.get(queue).map(|config| (queue.to_owned(), config)));
        }
        (wanted, gone, open.is_started)
    }

    /// Has queues be served as it was prepared.
    pub fn change_to(&self, new: NewPools) {
        let mut open = self.open();
        open.leaving.retain(|(_queue, slot)| !slot.is_finished());
        open.queues = new.queues;
        for queue in new.gone {
            if let Some(old) = open.pools.remove(&queue) {
                old.pool.retired.cancel();
                let slots = old.slots.into_iter();
                open.leaving.extend(slots.map(|slot| (queue.clone(), slot)));
                info!(target: "gwasp::host", queue, "pool stopped: the configuration has no such queue any more");
            }
        }
        for (pool, parked) in new.made {
            let mut former = open.retire(&pool.queue).into_iter();
            let slots = parked.into_iter().map(|slot| slot.begin(former.next()));
            let slots = slots.collect();
            open.leaving
                .extend(former.map(|slot| (pool.queue.clone(), slot)));
            pool.tell_started();
            open.pools
                .insert(pool.queue.clone(), Serving { pool, slots });
        }
        self.served
            .send_replace(open.pools.keys().cloned().collect());
    }

    /// The queues that are served, and how many tasks each runs at a time.
    pub fn slots(&self) -> Vec<(String, usize)> {
        let open = self.open();
        let pools = open.pools.iter();
        pools
            .map(|(queue, serving)| (queue.clone(), serving.pool.slots()))
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
        for serving in self.open().pools.values() {
            serving.pool.forget_all_but(current);
        }
    }

    fn get(&self, queue: &str) -> Result<Arc<Pool>, PoolError> {
        let mut open = self.open();
        if let Some(serving) = open.pools.get(queue) {
            return Ok(Arc::clone(&serving.pool));
        }
        let config = open.queues.get(queue)?;
        tell_default_pool(&open, queue);
        let pool = Arc::new(Pool::new(queue, config, &self.shared)?);
        let slots = if open.is_started {
            pool.tell_started();
            pool.start()?
        } else {
            Vec::new()
        };
        let serving = Serving {
            pool: Arc::clone(&pool),
            slots,
        };
        open.pools.insert(queue.to_owned(), serving);
        self.served
            .send_if_modified(|served| served.insert(queue.to_owned()));
        Ok(pool)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says so where a queue has a pool that nobody asked for: a misspelt one runs, beside the one
/// that was meant.
fn tell_default_pool(open: &Open, queue: &str) {
    let mut names: BTreeSet<&str> = open.pools.keys().map(String::as_str).collect();
    names.insert(queue);
    let pools = open.queues.by_default(&names);
    if let Some(pool) = pools.iter().find(|pool| pool.queue == queue) {
        info!(target: "gwasp::host", queue = pool.queue, is_meant = pool.nearest, "queue is made with the default pool");
    }
}
