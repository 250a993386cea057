//! Keeps what runs in step with the plugin directory, at the start and ever after.
//!
//! It looks at the directory, begins loads in the background, and takes what came of them, one
//! after another. A newer file of a plugin ends the loading of the one before. What is refused
//! changes nothing.

mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::load::{Aim, Found, Known, Load, Loaded, Refusal, Refused, Source};
use super::{Fate, Parts, Reloaded, Reply, StartError, Wish};
use crate::broker::{BrokerError, PluginRecord, RouteChange, read};
use crate::explain::{Code, Coded as _};
use crate::packet::Digest;
use crate::plugins::{Change, DirectoryError, Plugin, Watch, name_of};
use crate::routes::{Manifest, PluginRoutes};
use crate::text::chain;
use crate::workers::PoolError;

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Keeps what runs in step with the plugin directory.
#[derive(Debug)]
pub(crate) struct Follower {
    parts: Arc<Parts>,
    watch: Arc<Mutex<Watch>>,
    directory: PathBuf,
    /// Plugins that have routes or tasks, or had.
    names: BTreeSet<String>,
    disabled: BTreeSet<String>,
    refused: BTreeMap<String, RefusedFile>,
    loading: BTreeMap<String, Loading>,
    loads: JoinSet<Loaded>,
    last_load: u64,
    asked: Vec<Asked>,
    /// The last look found a directory.
    is_readable: bool,
}

/// A load under way.
#[derive(Debug)]
struct Loading {
    number: u64,
    given_up: CancellationToken,
}

/// What a plugin's file has, where that is refused.
#[derive(Debug)]
struct RefusedFile {
    version: Option<Digest>,
    manifest: Option<Manifest>,
    reason: String,
}

/// Somebody who waits until these plugins are loaded or refused.
#[derive(Debug)]
struct Asked {
    waits_for: BTreeSet<String>,
    reloaded: Vec<Reloaded>,
    reply: Reply<Vec<Reloaded>>,
}

/// Whether the broker may take later what it does not take now.
const fn is_passing(error: &BrokerError) -> bool {
    matches!(
        error,
        BrokerError::Full { .. } | BrokerError::Unavailable { .. }
    )
}

impl Follower {
    /// Loads all plugins that are in `directory`, then reads the routing table for the first
    /// time. Where the directory has no version of a plugin that may run, the one that was there
    /// before does.
    pub(crate) async fn start(parts: Parts, directory: &Path) -> Result<Self, StartError> {
        let mut follower = Self {
            parts: Arc::new(parts),
            watch: Arc::new(Mutex::new(Watch::new(directory))),
            directory: directory.to_path_buf(),
            names: BTreeSet::new(),
            disabled: BTreeSet::new(),
            refused: BTreeMap::new(),
            loading: BTreeMap::new(),
            loads: JoinSet::new(),
            last_load: 0,
            asked: Vec::new(),
            is_readable: true,
        };
        follower.recall()?;
        follower.serve_waiting_queues()?;
        for change in follower.first_look().await? {
            let Change::Written(path) = change else {
                continue;
            };
            let plugin = name_of(&path);
            if follower.disabled.contains(&plugin) {
                info!(target: "gwasp::host", plugin, "plugin is disabled: it has no routes, and its tasks wait; `gwasp plugin enable {plugin}` ends that");
                continue;
            }
            let file = Source::File(path);
            follower.begin(&plugin, file, Aim::Newest, true).await?;
        }
        while let Some(loaded) = follower.next_loaded().await {
            if let Err(refused) = &loaded.found
                && let Refusal::Broker(error) = &refused.error
                && !is_passing(error)
            {
                return Err(error.clone().into());
            }
            let (plugin, source) = (loaded.plugin.clone(), loaded.source.clone());
            match follower.finish(loaded).await {
                Ok(_fate) => {}
                Err(error) if is_passing(&error) => {
                    follower.failed(&plugin, &error);
                    follower.try_again(&source);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for routes in follower.publish_strictly().await? {
            follower.tell_not_loaded(&routes.plugin);
        }
        Ok(follower)
    }

    /// Follows the directory and does what people wish, until told to stop.
    pub(crate) async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(loaded) = self.loads.join_next() => match loaded {
                    Ok(loaded) => self.settle(loaded).await,
                    Err(error) => error!(target: "gwasp::host", %error, "loading a plugin ended in a panic: this is a defect of the host"),
                },
                Some(wish) = wishes.recv() => self.grant(wish).await,
                _now = ticks.tick() => self.look().await,
            }
        }
    }

    /// Says so where a plugin that has routes is not loaded. One whose file went while no host ran
    /// keeps them as long as if it went now, and is not run: perhaps somebody removed it for that.
    fn tell_not_loaded(&self, plugin: &str) {
        if self.parts.registry.get(plugin).is_some() {
            return;
        }
        if self.expect(plugin) {
            warn!(target: "gwasp::host", plugin, "not loaded: its file is gone; its tasks wait, and where the plugin directory has others its routes end in a minute unless the file is back");
        } else {
            warn!(target: "gwasp::host", plugin, "not loaded: it keeps its routes, and its tasks wait until a file of it in the plugin directory loads");
        }
    }

    /// Reads what the broker remembers of plugins.
    fn recall(&mut self) -> Result<(), BrokerError> {
        for record in self.parts.broker.plugins()? {
            if record.disabled.is_some() {
                self.disabled.insert(record.plugin.clone());
            }
            self.names.insert(record.plugin);
        }
        Ok(())
    }

    /// Makes pools for queues in which tasks wait, though no handler may name them any more.
    fn serve_waiting_queues(&self) -> Result<(), StartError> {
        for queue in self.parts.broker.queues() {
            match self.parts.pools.serve(&queue) {
                Ok(()) => {}
                Err(PoolError::Queue(error)) => {
                    warn!(target: "gwasp::host", queue, code = error.code().as_str(), error = %chain(&error), "tasks wait in a queue that is not served");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn first_look(&self) -> Result<Vec<Change>, StartError> {
        let directory = self.directory.display();
        match self.seen(true).await {
            Ok(changes) => {
                if changes.is_empty() {
                    warn!(target: "gwasp::host", %directory, "no plugins; `gwasp new NAME` makes one, `gwasp build` puts it here");
                }
                Ok(changes)
            }
            Err(DirectoryError::Permission(error)) => Err(error.into()),
            Err(error @ DirectoryError::Read { .. }) => {
                warn!(target: "gwasp::host", code = error.code().as_str(), error = %chain(&error), "no plugins");
                Ok(Vec::new())
            }
        }
    }

    /// Looks at the directory, which may be far away; `at_once` takes what is there however new.
    async fn seen(&self, at_once: bool) -> Result<Vec<Change>, DirectoryError> {
        let watch = Arc::clone(&self.watch);
        let looking = tokio::task::spawn_blocking(move || {
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if at_once {
                watch.look_now(now)
            } else {
                watch.look(now)
            }
        });
        // It panics only where the runtime ends.
        looking.await.unwrap_or(Ok(Vec::new()))
    }

    async fn look(&mut self) {
        match self.seen(false).await {
            Ok(changes) => {
                self.is_readable = true;
                for change in changes {
                    if let Some(done) = self.change(change, false).await {
                        self.tell(&done);
                    }
                }
            }
            Err(error) => {
                if std::mem::take(&mut self.is_readable) {
                    error!(target: "gwasp::host", code = error.code().as_str(), error = %chain(&error), "the plugin directory cannot be used; what is loaded stays");
                }
            }
        }
    }

    /// Does what a change of the directory asks for, or begins it; tells what is done already.
    /// `anew` looks again at what was refused.
    async fn change(&mut self, change: Change, anew: bool) -> Option<Reloaded> {
        let (plugin, begun) = match change {
            Change::Written(path) => {
                let plugin = name_of(&path);
                if self.disabled.contains(&plugin) {
                    return Some(reloaded(plugin, Fate::Disabled));
                }
                let file = Source::File(path);
                let begun = self.begin(&plugin, file, Aim::Newest, anew).await;
                (plugin, begun.map(|()| None))
            }
            Change::Gone(path) => {
                let plugin = name_of(&path);
                let removed = self.remove(&plugin).await;
                if removed.is_err() {
                    // It is told of again.
                    self.expect(&plugin);
                }
                (plugin, removed.map(Some))
            }
        };
        let fate = begun.unwrap_or_else(|error| Some(self.failed(&plugin, &error)));
        fate.map(|fate| reloaded(plugin, fate))
    }

    /// Takes the routes of a plugin whose file is gone.
    async fn remove(&mut self, plugin: &str) -> Result<Fate, BrokerError> {
        if self.disabled.contains(plugin) {
            return Ok(Fate::Disabled);
        }
        let has_routes = self.record(plugin).await?.current.is_some();
        if has_routes {
            self.parts.change(plugin, RouteChange::Remove).await?;
            self.parts.registry.remove(plugin);
        }
        self.give_up(plugin);
        self.refused.remove(plugin);
        if has_routes {
            warn!(target: "gwasp::host", plugin, "plugin removed: its file is gone; no packet makes a task for it, and tasks that are open wait for its file");
        }
        self.publish().await;
        Ok(Fate::Removed)
    }

    /// Begins to load a version; one of the same plugin that is being loaded is given up.
    async fn begin(
        &mut self,
        plugin: &str,
        source: Source,
        aim: Aim,
        anew: bool,
    ) -> Result<(), BrokerError> {
        let record = self.record(plugin).await?;
        let current = self.parts.registry.get(plugin);
        let refused = self.refused.get(plugin).filter(|_| !anew);
        let kept = record
            .versions
            .iter()
            .find(|version| version.is_kept && record.current == Some(version.digest));
        let known = Known {
            current: current.map(|plugin| plugin.digest),
            passed_over: record.passed_over.map(Digest::from_bytes),
            refused: refused.and_then(|refused| refused.version),
            kept: kept.map(|kept| Digest::from_bytes(kept.digest)),
        };
        self.give_up(plugin);
        self.last_load += 1;
        let loading = Loading {
            number: self.last_load,
            given_up: self.parts.stop.drain.child_token(),
        };
        let load = Load {
            plugin: plugin.to_owned(),
            number: loading.number,
            source,
            aim,
            known,
            given_up: loading.given_up.clone(),
        };
        debug!(target: "gwasp::host", plugin, number = loading.number, "plugin is being loaded");
        self.loading.insert(plugin.to_owned(), loading);
        self.loads.spawn(load.run(Arc::clone(&self.parts)));
        Ok(())
    }

    fn give_up(&mut self, plugin: &str) {
        if let Some(loading) = self.loading.remove(plugin) {
            debug!(target: "gwasp::host", plugin, "what was being loaded is given up");
            loading.given_up.cancel();
        }
    }

    async fn next_loaded(&mut self) -> Option<Loaded> {
        while let Some(loaded) = self.loads.join_next().await {
            if let Ok(loaded) = loaded {
                return Some(loaded);
            }
        }
        None
    }

    /// Takes what came of a load, in a host that runs, and tells who waits for it.
    async fn settle(&mut self, loaded: Loaded) {
        let (plugin, source) = (loaded.plugin.clone(), loaded.source.clone());
        let finished = self.finish(loaded).await;
        let fate = finished.unwrap_or_else(|error| {
            self.try_again(&source);
            Some(self.failed(&plugin, &error))
        });
        self.publish().await;
        if let Some(fate) = fate {
            self.tell(&reloaded(plugin, fate));
        }
    }

    /// Takes what came of a load. Where nothing of the plugin runs then, the version begins to
    /// be loaded that the routing table has. Answers nothing where nobody waits for it.
    async fn finish(&mut self, loaded: Loaded) -> Result<Option<Fate>, BrokerError> {
        let Loaded {
            plugin,
            number,
            source,
            aim,
            found,
        } = loaded;
        if self.loading.get(&plugin).map(|loading| loading.number) != Some(number) {
            return Ok(None);
        }
        self.loading.remove(&plugin);
        let fate = match found {
            Ok(Found::Ready(ready)) => self.take(*ready, aim).await?,
            Ok(Found::Current(version)) => self.confirm(&plugin, version, aim).await?,
            Ok(Found::PassedOver(version)) => {
                self.refused.remove(&plugin);
                Fate::PassedOver { version }
            }
            Ok(Found::StillRefused) => self.fate_of_file(&plugin).unwrap_or(Fate::Refused {
                reason: String::new(),
            }),
            Err(refused) => self.refuse(&plugin, &source, aim, *refused),
        };
        if matches!(aim, Aim::Former) {
            // Who waits asked about the file while the former version was being loaded.
            return Ok(Some(self.fate_of_file(&plugin).unwrap_or(fate)));
        }
        self.fall_back(&plugin).await?;
        Ok(Some(fate))
    }

    /// Why a plugin's file is refused, if it is.
    fn fate_of_file(&self, plugin: &str) -> Option<Fate> {
        let refused = self.refused.get(plugin)?;
        Some(Fate::Refused {
            reason: refused.reason.clone(),
        })
    }

    async fn take(&mut self, ready: Plugin, aim: Aim) -> Result<Fate, BrokerError> {
        let (plugin, version) = (ready.name.clone(), ready.digest);
        self.parts.take(ready, aim).await?;
        if matches!(aim, Aim::Newest) {
            self.refused.remove(&plugin);
        }
        self.names.insert(plugin);
        Ok(Fate::Loaded { version })
    }

    /// The file has what runs: what a person decided about another version is over.
    async fn confirm(
        &mut self,
        plugin: &str,
        version: Digest,
        aim: Aim,
    ) -> Result<Fate, BrokerError> {
        self.refused.remove(plugin);
        let is_decided = self.record(plugin).await?.passed_over.is_some();
        if let Some(current) = self.parts.registry.get(plugin)
            && is_decided
            && matches!(aim, Aim::Newest)
        {
            let change = RouteChange::Put {
                digest: *version.as_bytes(),
                manifest: current.manifest_json.clone(),
            };
            self.parts.change(plugin, change).await?;
        }
        Ok(Fate::Unchanged { version })
    }

    fn refuse(&mut self, plugin: &str, source: &Source, aim: Aim, refused: Refused) -> Fate {
        let Refused {
            version,
            manifest,
            error,
        } = refused;
        let stays = self.parts.registry.get(plugin);
        let stays = stays.map(|plugin| plugin.digest.short().to_string());
        let reason = chain(&error);
        let code = error.code().map(Code::as_str);
        match source {
            Source::File(path) => {
                let version = version.map(|version| version.short().to_string());
                error!(target: "gwasp::host", path = %path.display(), version, stays, code, error = %reason, "plugin refused");
            }
            Source::Kept(version) => {
                let version = version.short();
                error!(target: "gwasp::host", plugin, %version, stays, code, error = %reason, "former version of the plugin refused");
            }
        }
        // What the broker could not keep just now is no fault of the file.
        let is_passing = matches!(&error, Refusal::Broker(error) if is_passing(error));
        if is_passing {
            self.try_again(source);
        }
        let version = version.filter(|_| !is_passing);
        if matches!(aim, Aim::Newest) {
            let file = RefusedFile {
                version,
                manifest,
                reason: reason.clone(),
            };
            self.refused.insert(plugin.to_owned(), file);
        }
        Fate::Refused { reason }
    }

    /// Begins to load the version that the routing table has, where nothing of the plugin runs
    /// and the bytes of that version are kept.
    async fn fall_back(&mut self, plugin: &str) -> Result<(), BrokerError> {
        if self.parts.registry.get(plugin).is_some() {
            return Ok(());
        }
        let record = self.record(plugin).await?;
        let refused = self.refused.get(plugin).and_then(|file| file.version);
        let mut kept = record.versions.iter().filter(|version| version.is_kept);
        if let Some(current) = record.current
            && refused != Some(Digest::from_bytes(current))
            && kept.any(|version| version.digest == current)
        {
            let former = Source::Kept(Digest::from_bytes(current));
            self.begin(plugin, former, Aim::Former, true).await?;
        }
        Ok(())
    }

    /// What the broker remembers of a plugin.
    async fn record(&self, plugin: &str) -> Result<PluginRecord, BrokerError> {
        let records = read(&self.parts.broker, |broker| broker.plugins()).await?;
        let found = records.into_iter().find(|record| record.plugin == plugin);
        Ok(found.unwrap_or_default())
    }

    /// Has a file that is not there count as gone after a while, unless it is there by then;
    /// answers whether it is not there.
    fn expect(&self, plugin: &str) -> bool {
        let path = self.directory.join(format!("{plugin}.wasm"));
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.expect(&path, Instant::now())
    }

    /// Has the file be looked at again after a while.
    fn try_again(&self, source: &Source) {
        if let Source::File(path) = source {
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            watch.tell_again(path, Instant::now());
        }
    }

    fn failed(&self, plugin: &str, error: &BrokerError) -> Fate {
        self.parts.stop.heed(error);
        let reason = chain(error);
        error!(target: "gwasp::host", plugin, error = %reason, "the broker failed; the plugin is as it was");
        Fate::Refused { reason }
    }

    async fn publish_strictly(&self) -> Result<Vec<PluginRoutes>, StartError> {
        let refused = self.refused.iter();
        let refused: Vec<(String, Manifest)> = refused
            .filter_map(|(plugin, file)| Some((plugin.clone(), file.manifest.clone()?)))
            .collect();
        self.parts.publish(&self.names, &refused).await
    }

    async fn publish(&self) {
        if let Err(error) = self.publish_strictly().await {
            error!(target: "gwasp::host", code = error.code().as_str(), error = %chain(&error), "the routing table cannot be read; packets are matched by the one before");
        }
    }

    /// Tells who waits for it what became of a plugin.
    fn tell(&mut self, reloaded: &Reloaded) {
        for asked in std::mem::take(&mut self.asked) {
            self.answer_when_done(asked, Some(reloaded));
        }
    }

    fn answer_when_done(&mut self, mut asked: Asked, reloaded: Option<&Reloaded>) {
        if let Some(reloaded) = reloaded
            && asked.waits_for.remove(&reloaded.plugin)
        {
            asked.reloaded.push(reloaded.clone());
        }
        if asked.waits_for.is_empty() {
            // Who asked may be gone.
            drop(asked.reply.send(Ok(asked.reloaded)));
        } else {
            self.asked.push(asked);
        }
    }
}

const fn reloaded(plugin: String, fate: Fate) -> Reloaded {
    Reloaded { plugin, fate }
}
