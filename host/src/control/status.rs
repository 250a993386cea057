//! How a host is, at one look.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Control, Pause, Problem};
use crate::broker::Running;
use crate::listeners::state::{Phase, Snapshot};
use crate::packet::Digest;
use crate::rollout::{PluginState, PluginView};

/// How a host is: its streams, queues and what runs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The worst of what `remarks` say.
    pub verdict: Verdict,
    /// What a person should know, the worst first.
    pub remarks: Vec<Remark>,
    /// Version of the host.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    pub started: Timestamp,
    /// Whether it takes nothing more, because it was told to stop.
    pub is_stopping: bool,
    /// Directory of its store.
    #[schema(value_type = String)]
    pub store: PathBuf,
    /// Connections to streams.
    pub listeners: Vec<Snapshot>,
    /// Queues that have a pool.
    pub queues: Vec<QueueStatus>,
    /// Plugins, loaded or not.
    pub plugins: Vec<PluginStatus>,
    /// What is run now, the longest first.
    pub running: Vec<RunningTask>,
    /// Tasks that have not ended.
    pub open: u64,
    /// Tasks that are set aside: `gwasp task list --dead`.
    pub set_aside: u64,
    /// What a person has paused.
    pub pauses: Vec<Pause>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// Somebody should look at it by day.
    Warning,
    /// Somebody should look at it now: packets may be lost, or no handler runs.
    Critical,
}

/// What a person should know.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Remark {
    /// How bad it is.
    pub verdict: Verdict,
    /// What it is, and what to do.
    pub text: String,
}

/// How a plugin is; `gwasp plugin list` has its versions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginStatus {
    /// Its name.
    pub plugin: String,
    /// Whether its tasks are made and run.
    pub state: PluginState,
    /// Whether its handlers run in shadow mode: without any effect.
    pub is_shadow: bool,
    /// The version that new tasks are for.
    #[schema(value_type = Option<String>)]
    pub version: Option<Digest>,
}

impl PluginStatus {
    fn of(plugin: &PluginView) -> Self {
        Self {
            plugin: plugin.plugin.clone(),
            state: plugin.state,
            is_shadow: plugin.is_shadow,
            version: plugin.current,
        }
    }
}

/// How a queue is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueStatus {
    /// Its name.
    pub queue: String,
    /// How many tasks it runs at a time.
    pub slots: u64,
    /// Tasks that are run now.
    pub running: u64,
    /// Tasks that wait for a slot.
    pub ready: u64,
    /// Tasks that are due later, those that sleep too.
    pub later: u64,
    /// Tasks that wait for others that they called.
    pub parked: u64,
}

/// A task that a handler runs for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunningTask {
    /// Its id.
    pub task: String,
    /// Its handler, `plugin.function`.
    pub handler: String,
    /// Its queue.
    pub queue: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

impl RunningTask {
    fn of(running: Running) -> Self {
        Self {
            task: running.task.to_string(),
            handler: format!("{}.{}", running.plugin, running.handler),
            queue: running.queue,
            since: Timestamp::from_nanosecond(running.since.into()).unwrap_or_default(),
        }
    }
}

impl Control {
    /// How the host is.
    ///
    /// # Errors
    /// When the broker cannot be read.
    pub(super) fn status(&self, plugins: &[PluginView]) -> Result<Status, Problem> {
        let set_aside = self
            .broker
            .set_aside()
            .map_err(|error| Problem::failed(&error))?;
        let pauses = self.pauses()?;
        let listeners: Vec<Snapshot> = self.listeners.iter().map(|one| one.snapshot()).collect();
        let is_stopping = self.stop.drain.is_cancelled();
        let mut remarks = of_plugins(plugins);
        remarks.extend(of_listeners(&listeners));
        remarks.extend(pauses.iter().map(of_pause));
        remarks.extend(of_tasks(set_aside, is_stopping));
        remarks.sort_by_key(|remark| std::cmp::Reverse(remark.verdict));
        Ok(Status {
            verdict: remarks.first().map_or(Verdict::Ok, |worst| worst.verdict),
            remarks,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            is_stopping,
            store: self.store.clone(),
            listeners,
            queues: self.queues(),
            plugins: plugins.iter().map(PluginStatus::of).collect(),
            running: self
                .broker
                .running()
                .into_iter()
                .map(RunningTask::of)
                .collect(),
            open: count(self.broker.open_tasks()),
            set_aside,
            pauses,
        })
    }

    fn queues(&self) -> Vec<QueueStatus> {
        let queues = self.pools.slots().into_iter();
        let status = queues.map(|(queue, slots)| {
            let depth = self.broker.depth(&queue);
            QueueStatus {
                queue,
                slots: count(slots),
                running: count(depth.leased),
                ready: count(depth.ready),
                later: count(depth.later),
                parked: count(depth.parked),
            }
        });
        status.collect()
    }
}

impl Remark {
    const fn new(verdict: Verdict, text: String) -> Self {
        Self { verdict, text }
    }
}

fn of_plugins(plugins: &[PluginView]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for plugin in plugins {
        let name = &plugin.plugin;
        if let Some(refused) = &plugin.refused {
            let text = format!("the file of plugin {name} is refused: {}", refused.reason);
            remarks.push(Remark::new(Verdict::Warning, text));
        }
        if plugin.state == PluginState::Disabled {
            let text = format!(
                "plugin {name} is disabled: it gets no packets until `gwasp plugin enable {name}`"
            );
            remarks.push(Remark::new(Verdict::Warning, text));
        }
        if plugin.passed_over.is_some() {
            let text =
                format!("plugin {name} was rolled back: its file has a version that is not run");
            remarks.push(Remark::new(Verdict::Warning, text));
        }
        if plugin.state == PluginState::NotLoaded && plugin.current.is_some() {
            let text = format!(
                "plugin {name} is not loaded: packets make tasks for it, and {} wait",
                plugin.open
            );
            remarks.push(Remark::new(Verdict::Critical, text));
        }
    }
    remarks
}

fn of_pause(pause: &Pause) -> Remark {
    Remark::new(Verdict::Warning, pause.to_string())
}

fn of_listeners(listeners: &[Snapshot]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let down: Vec<&Snapshot> = listeners.iter().filter(|one| !is_up(one)).collect();
    let all_down = !listeners.is_empty() && down.len() == listeners.len();
    for listener in down {
        let verdict = if all_down {
            Verdict::Critical
        } else {
            Verdict::Warning
        };
        remarks.push(Remark::new(verdict, down_text(listener)));
    }
    if listeners.is_empty() {
        let text = "listens to nothing: the configuration names no stream".to_owned();
        remarks.push(Remark::new(Verdict::Warning, text));
    }
    remarks
}

fn of_tasks(set_aside: u64, is_stopping: bool) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if set_aside > 0 {
        let text = format!("{set_aside} set aside: see `gwasp task list --dead`");
        remarks.push(Remark::new(Verdict::Warning, text));
    }
    if is_stopping {
        let text = "is stopping: it takes no more packets".to_owned();
        remarks.push(Remark::new(Verdict::Warning, text));
    }
    remarks
}

const fn is_up(listener: &Snapshot) -> bool {
    matches!(listener.status.phase, Phase::Up { .. })
}

fn down_text(listener: &Snapshot) -> String {
    let name = &listener.name;
    match &listener.status.last_error {
        Some(error) => format!("{name} is not connected: {}", error.message),
        None => format!("{name} is not connected yet"),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
