//! Applies another configuration to a host that runs.
//!
//! A reload reads, checks and makes everything that is new before it changes anything; what is
//! done then cannot fail. The order: rights and services, then pools, then listeners, so that no
//! packet is taken for which a handler has not what its configuration gives it. The plugin
//! directory is looked at last: a file that was refused for want of a queue may load now.

use std::sync::Arc;

use jiff::Timestamp;
use rand::RngExt as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::limits::Limits;
use super::listening::{self, Listening, Made};
use super::{HostError, retention, supervisor, warn_of_profile};
use crate::broker::{Operations, TaskFilter, TaskSelection, read};
use crate::complaint::code_of;
use crate::config::reload::Changes;
use crate::config::{Config, LimitsConfig, Rights};
use crate::explain::Code;
use crate::rollout::{Fate, Plugins, PluginsError, Reloaded};
use crate::routes::Routes;
use crate::services::{HttpServices, check_secret};
use crate::settings::{ConfigSource, InForce, Refusal, ReloadAnswer, SettingsError, Wish};
use crate::stop::StopSignal;
use crate::text::{chain, joined, one_line};
use crate::workers::{NewPools, Pools};

/// The longest line of what is wrong with a configuration, bytes.
const MAX_LINE: usize = 4_096;
/// Keys that one line names.
const MOST_KEYS: usize = 20;

/// Why a configuration that can be read cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A queue would go that has tasks.
    #[error(
        "[queues.{queue}] cannot be taken out: {tasks} tasks are open in it or set aside; wait until \
         they have ended, or end them (`gwasp task revoke --queue {queue}`)"
    )]
    QueueHasTasks {
        /// The queue.
        queue: String,
        /// How many.
        tasks: usize,
    },
    /// A queue would go in which tasks of a handler wait.
    #[error(
        "[queues.{queue}] cannot be taken out: handler {handler} waits in it; take its plugin out \
         first (`gwasp plugin disable PLUGIN`)"
    )]
    QueueIsNamed {
        /// The queue.
        queue: String,
        /// The handler.
        handler: String,
    },
    /// A part cannot be made.
    #[error(transparent)]
    Part(#[from] HostError),
}

/// The parts of a host that another configuration reaches.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) operations: Arc<dyn Operations>,
    pub(super) pools: Arc<Pools>,
    pub(super) rights: watch::Sender<Arc<Rights>>,
    pub(super) http: watch::Sender<Arc<HttpServices>>,
    pub(super) routes: watch::Receiver<Arc<Routes>>,
    pub(super) plugins: Plugins,
    pub(super) stop: StopSignal,
    pub(super) source: Arc<dyn ConfigSource>,
    pub(super) in_force: watch::Sender<Arc<InForce>>,
    pub(super) born: Instant,
}

/// Applies configurations, one after another.
#[derive(Debug)]
pub(super) struct Reloader {
    live: Live,
    listening: Listening,
    limits: Option<AbortOnDropHandle<()>>,
    /// Reloads that were asked for.
    number: u64,
}

/// What is new, made and not in use.
struct Prepared {
    config: Config,
    changes: Changes,
    listeners: Made,
    http: Option<HttpServices>,
    pools: NewPools,
}

impl Reloader {
    /// Over listeners that run, with limits of the process that count.
    pub(super) fn new(live: Live, listening: Listening) -> Self {
        let limits = live.watch_limits(&live.in_force.borrow().config.limits);
        Self {
            live,
            listening,
            limits,
            number: 0,
        }
    }

    /// Does what people wish until the host drains, and waits for the listeners to end.
    pub(super) async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        let drain = self.live.stop.drain.clone();
        while let Some(Some(wish)) = drain.run_until_cancelled(wishes.recv()).await {
            supervisor::reloading();
            let answer = self.reload(&wish.by).await;
            supervisor::ready();
            // Who asked may be gone.
            drop(wish.reply.send(answer));
        }
        drop(self.limits);
        self.listening.ended().await;
    }

    async fn reload(&mut self, by: &str) -> Result<ReloadAnswer, SettingsError> {
        self.number += 1;
        let reload = self.number;
        let prepared = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(refusal) => {
                let code = refusal.code.map(Code::as_str);
                let error = one_line(&joined(&refusal.text), MAX_LINE);
                error!(target: "gwasp::host", reload, by, code, %error, "configuration refused: nothing changed");
                return Err(refusal.into());
            }
        };
        let config = self.apply(prepared, by).await;
        let looking = self.live.plugins.reload();
        let looked = self.live.stop.drain.run_until_cancelled(looking).await;
        let plugins = looked.unwrap_or(Err(PluginsError::Stopping));
        tell((reload, by), &config, &plugins);
        let plugins = plugins?;
        Ok(ReloadAnswer { config, plugins })
    }

    /// Reads and makes what is new; changes nothing.
    async fn prepare(&self) -> Result<Prepared, Refusal> {
        let source = Arc::clone(&self.live.source);
        let read = tokio::task::spawn_blocking(move || source.read());
        let wanted = read.await.unwrap_or_else(|error| {
            Err(Refusal {
                code: None,
                text: format!("the configuration cannot be read: {error}"),
            })
        })?;
        let made = self.make(wanted).await;
        made.map_err(|error| Refusal {
            code: code_of(&error),
            text: chain(&error),
        })
    }

    async fn make(&self, wanted: Config) -> Result<Prepared, ReloadError> {
        let in_force = Arc::clone(&self.live.in_force.borrow());
        let changes = Changes::between(&in_force.config, &wanted);
        let config = in_force.config.reloaded(wanted);
        let listeners = listening::make(&config, |name, table| self.listening.runs(name, table))?;
        let is_of_services =
            |key: &String| key.starts_with("services") || key.starts_with("secrets");
        let http = changes
            .applied
            .iter()
            .any(is_of_services)
            .then(|| HttpServices::new(&config.services, &config.secrets, Handle::current()));
        let http = http.transpose().map_err(HostError::from)?;
        let (pools, queues) = (Arc::clone(&self.live.pools), config.queues.clone());
        let prepared = tokio::task::spawn_blocking(move || pools.prepare(queues)).await;
        let pools = prepared
            .map_err(|error| HostError::Thread(error.into()))?
            .map_err(HostError::from)?;
        for queue in pools.gone() {
            self.live.check_unused(queue).await?;
        }
        Ok(Prepared {
            config,
            changes,
            listeners,
            http,
            pools,
        })
    }

    /// Puts what is new into the place of what was. Nothing here can fail.
    async fn apply(&mut self, prepared: Prepared, by: &str) -> Changes {
        let Prepared {
            config,
            changes,
            listeners,
            http,
            pools,
        } = prepared;
        let live = &self.live;
        let touches = |table: &str| changes.applied.iter().any(|key| key.starts_with(table));
        live.rights.send_replace(Arc::new(Rights::of(&config)));
        if let Some(http) = http {
            live.http.send_replace(Arc::new(http));
        }
        live.operations.serve_serially(config.queues.serial());
        live.pools.change_to(pools);
        live.operations.keep(retention(&config));
        if touches("log") {
            live.source.apply_log(&config.log);
        }
        if touches("profile") {
            warn_of_profile(&config);
        }
        if touches("secrets") {
            warn_of_secrets(&config);
        }
        if touches("limits") {
            self.limits = live.watch_limits(&config.limits);
        }
        let broker = &*live.operations;
        self.listening.keep(&config, broker).await;
        self.listening.start(listeners, broker).await;
        live.in_force.send_replace(Arc::new(InForce {
            config,
            since: Timestamp::now(),
            by: by.to_owned(),
        }));
        changes
    }
}

impl Live {
    /// Ends the host at the limits of a configuration, as long as the answer is kept.
    fn watch_limits(&self, config: &LimitsConfig) -> Option<AbortOnDropHandle<()>> {
        let limits = Limits::draw(config, || rand::rng().random())?;
        let watching = tokio::spawn(limits.watch(self.stop.clone(), self.born));
        Some(AbortOnDropHandle::new(watching))
    }

    /// A queue that goes takes its slots with it: what waits in it would wait for ever.
    /// Those that are set aside count: somebody may resume them.
    async fn check_unused(&self, queue: &str) -> Result<(), ReloadError> {
        let depth = self.operations.depth(queue);
        let open = depth.ready + depth.paused + depth.turn + depth.later;
        let open = open + depth.leased + depth.parked;
        let filter = TaskFilter {
            queue: Some(queue.to_owned()),
            ..TaskFilter::default()
        };
        let of_queue = move |broker: &(dyn Operations + 'static)| {
            broker.selected(TaskSelection::Matching(filter))
        };
        let living = read(&self.operations, of_queue).await;
        let tasks = living.map_err(HostError::from)?.len().max(open);
        if tasks > 0 {
            return Err(ReloadError::QueueHasTasks {
                queue: queue.to_owned(),
                tasks,
            });
        }
        match self.routes.borrow().in_queue(queue) {
            None => Ok(()),
            Some(handler) => Err(ReloadError::QueueIsNamed {
                queue: queue.to_owned(),
                handler: handler.to_owned(),
            }),
        }
    }
}

/// Says which secrets cannot be put into a request now.
pub(super) fn warn_of_secrets(config: &Config) {
    for (name, secret) in &config.secrets {
        if let Err(error) = check_secret(secret) {
            let code = code_of(&error).map(Code::as_str);
            warn!(
                target: "gwasp::host", secret = %name, code, error = %chain(&error),
                "secret cannot be used; requests with it fail until its file is put right"
            );
        }
    }
}

fn tell(
    (reload, by): (u64, &str),
    changes: &Changes,
    plugins: &Result<Vec<Reloaded>, PluginsError>,
) {
    let applied = keys(&changes.applied);
    let needs_restart = keys(&changes.needs_restart);
    match plugins {
        Ok(plugins) => {
            let is_refused = |one: &&Reloaded| matches!(one.fate, Fate::Refused { .. });
            let refused = plugins.iter().filter(is_refused).count();
            let looked_at = plugins.len();
            info!(target: "gwasp::host", reload, by, applied, needs_restart, looked_at, refused, "reloaded");
        }
        Err(error) => {
            let code = code_of(error).map(Code::as_str);
            warn!(target: "gwasp::host", reload, by, applied, needs_restart, code, error = %chain(error), "reloaded; the plugins are as they were");
        }
    }
}

/// Keys in one line; none where there is none.
fn keys(keys: &[String]) -> Option<String> {
    let named = keys.iter().take(MOST_KEYS).cloned().collect::<Vec<_>>();
    let more = keys.len().saturating_sub(MOST_KEYS);
    match (named.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(named.join(" ")),
        (false, more) => Some(format!("{} and {more} more", named.join(" "))),
    }
}
