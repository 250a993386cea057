//! How a host is, at one look.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Control, Pause, Problem};
use crate::broker::{self, DiskLevel, GapMark, Running};
use crate::config::PRODUCTION;
use crate::listeners::state::{Phase, Snapshot};
use crate::packet::{Digest, from_unix_nanos, leap_seconds_note, unix_nanos};
use crate::rollout::{PluginState, PluginView};
use crate::settings::SettingsView;
use crate::text::chain;

/// Keys of the configuration that a remark names.
const MOST_KEYS: usize = 5;

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
    /// Directory that its plugins come from.
    #[schema(value_type = String)]
    pub plugin_directory: PathBuf,
    /// What is left of the disk of the store; none where the system does not say.
    pub disk: Option<DiskStatus>,
    /// The profile of the configuration that is in force, where one is.
    pub profile: Option<String>,
    /// The configuration in force, and what differs on disk.
    pub config: SettingsView,
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
    /// Those of them that are because nobody knows whether their last effect was made.
    pub in_doubt: u64,
    /// Times of today and yesterday (UTC) in which packets may have been read and not kept.
    pub gaps: Vec<Gap>,
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

/// What is left of a disk, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskStatus {
    /// What may still be written.
    pub free: u64,
    /// Below this mark what is kept is kept half as long.
    pub low: u64,
    /// Below this mark no packets are taken.
    pub reserve: u64,
}

impl DiskStatus {
    const fn of(disk: &broker::Disk) -> Self {
        Self {
            free: disk.free,
            low: disk.low,
            reserve: disk.reserve,
        }
    }
}

/// A time in which packets may have been read and not kept, because the host did not stop in
/// order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// The stream.
    pub source: String,
    /// The host was alive then.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// It was again.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

impl Gap {
    fn of(mark: GapMark) -> Self {
        Self {
            source: mark.source,
            from: from_unix_nanos(mark.last_commit),
            to: from_unix_nanos(mark.next_start),
        }
    }
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
    /// Tasks that would, and are paused or of a plugin that cannot run.
    pub paused: u64,
    /// Tasks that would, and wait for another of their key or serial queue to end.
    pub turn: u64,
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
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

impl RunningTask {
    pub(super) fn of(running: Running) -> Self {
        Self {
            task: running.task.to_string(),
            handler: format!("{}.{}", running.plugin, running.handler),
            queue: running.queue,
            attempt: running.attempt,
            since: from_unix_nanos(running.since),
        }
    }
}

impl Control {
    /// How the host is.
    ///
    /// # Errors
    /// When the broker cannot be read.
    pub(super) fn status(&self, plugins: &[PluginView]) -> Result<Status, Problem> {
        let set_aside = self.broker.set_aside()?;
        let in_doubt = self.broker.in_doubt()?;
        let disk = self.broker.disk();
        let gaps = of_two_days(self.broker.gaps()?, Timestamp::now());
        let pauses = self.pauses()?;
        let listeners = self.listeners.borrow().clone();
        let listeners: Vec<Snapshot> = listeners.iter().map(|one| one.snapshot()).collect();
        let config = self.settings.view();
        let profile = self.settings.in_force().config.profile.clone();
        let is_stopping = self.stop.drain.is_cancelled();
        let mut remarks = of_plugins(plugins);
        remarks.extend(of_listeners(&listeners));
        remarks.extend(of_disk(disk.as_ref()));
        remarks.extend(gaps.iter().map(of_gap));
        remarks.extend(pauses.iter().map(of_pause));
        remarks.extend(of_tasks(set_aside, in_doubt));
        remarks.extend(self.unserved());
        remarks.extend(of_host(is_stopping, profile.as_deref()));
        let leap_seconds = leap_seconds_note(Timestamp::now());
        remarks.extend(leap_seconds.map(|text| Remark::new(Verdict::Ok, text)));
        remarks.extend(of_config(&config));
        remarks.sort_by_key(|remark| std::cmp::Reverse(remark.verdict));
        Ok(Status {
            verdict: remarks.first().map_or(Verdict::Ok, |worst| worst.verdict),
            remarks,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            is_stopping,
            store: self.store.clone(),
            plugin_directory: self.plugin_directory.clone(),
            disk: disk.ok().as_ref().map(DiskStatus::of),
            profile,
            config,
            listeners,
            queues: self.queues(),
            plugins: plugins.iter().map(PluginStatus::of).collect(),
            running: self.running(),
            open: count(self.broker.open_tasks()),
            set_aside,
            in_doubt,
            gaps,
            pauses,
        })
    }

    /// What is run now, the longest first.
    pub(super) fn running(&self) -> Vec<RunningTask> {
        let running = self.broker.running().into_iter();
        running.map(RunningTask::of).collect()
    }

    /// Queues in which tasks wait, and that nothing serves.
    fn unserved(&self) -> Vec<Remark> {
        let served = self.pools.slots();
        let is_served = |queue: &String| served.iter().any(|(one, _slots)| one == queue);
        let queues = self.broker.queues().into_iter();
        let remarks = queues.filter(|queue| !is_served(queue)).filter_map(|queue| {
            let depth = self.broker.depth(&queue);
            let tasks = depth.ready + depth.paused + depth.turn + depth.later + depth.parked;
            let text = format!(
                "{tasks} task{} in queue {queue}, which nothing serves: add [queues.{queue}] to the \
                 configuration, then `gwasp reload`",
                if tasks == 1 { " waits" } else { "s wait" }
            );
            (tasks > 0).then(|| Remark::new(Verdict::Critical, text))
        });
        remarks.collect()
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
                paused: count(depth.paused),
                turn: count(depth.turn),
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
        let pinned: u64 = plugin.versions.iter().map(|version| version.pinned).sum();
        let waiting = plugin.open + pinned;
        if plugin.state == PluginState::Gone && waiting > 0 {
            let text = format!(
                "plugin {name} has no file: {waiting} of its tasks wait until the file is back, or \
                 `gwasp task revoke --handler {name}` ends them"
            );
            remarks.push(Remark::new(Verdict::Warning, text));
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

fn of_tasks(set_aside: u64, in_doubt: u64) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if in_doubt > 0 {
        let text = format!(
            "of the tasks that are set aside, {in_doubt} with an effect in doubt: find out at \
             the service whether it was made, then `gwasp task resume ID --done` or `--not-done`"
        );
        remarks.push(Remark::new(Verdict::Warning, text));
    }
    if set_aside > 0 {
        let text = format!(
            "{set_aside} task{} set aside: see `gwasp task list --dead`",
            if set_aside == 1 { " is" } else { "s are" }
        );
        remarks.push(Remark::new(Verdict::Warning, text));
    }
    remarks
}

/// The marks of the disk: below the first somebody has to free some space now.
fn of_disk(disk: Result<&broker::Disk, &broker::BrokerError>) -> Option<Remark> {
    let disk = match disk {
        Ok(disk) => disk,
        Err(error) => {
            let text = format!("the free space of the disk is not known: {}", chain(error));
            return Some(Remark::new(Verdict::Warning, text));
        }
    };
    let mib = |bytes: u64| bytes >> 20;
    let text = match disk.level {
        DiskLevel::Enough => return None,
        DiskLevel::Low => format!(
            "the disk has {} MiB free, less than {} MiB: what is kept is kept half as long, and \
             below {} MiB no packets are taken; free some space",
            mib(disk.free),
            mib(disk.low),
            mib(disk.reserve)
        ),
        DiskLevel::Reserve => format!(
            "the disk has {} MiB free, less than the reserve of {} MiB: no packets are taken, \
             their senders wait; free some space",
            mib(disk.free),
            mib(disk.reserve)
        ),
    };
    Some(Remark::new(Verdict::Critical, text))
}

/// The gaps that ended today or yesterday, by UTC.
fn of_two_days(marks: Vec<GapMark>, now: Timestamp) -> Vec<Gap> {
    let today = broker::day_of(unix_nanos(now));
    let is_recent = |mark: &GapMark| broker::day_of(mark.next_start) >= today - 1;
    let recent = marks.into_iter().filter(is_recent);
    recent.map(Gap::of).collect()
}

fn of_gap(gap: &Gap) -> Remark {
    let Gap { source, from, to } = gap;
    let text = format!(
        "packets of {source} may be missing between {from:.0} and {to:.0}, when the host did not \
         stop in order: compare with what the sender says it sent"
    );
    Remark::new(Verdict::Warning, text)
}

fn of_host(is_stopping: bool, profile: Option<&str>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if let Some(profile) = profile.filter(|profile| *profile != PRODUCTION) {
        let text = format!("this is not production: the profile in force is `{profile}`");
        remarks.push(Remark::new(Verdict::Ok, text));
    }
    if is_stopping {
        let text = "is stopping: it takes no more packets".to_owned();
        remarks.push(Remark::new(Verdict::Warning, text));
    }
    remarks
}

fn of_config(config: &SettingsView) -> Vec<Remark> {
    let SettingsView {
        differs, unusable, ..
    } = config;
    let mut texts = Vec::new();
    if let Some(unusable) = unusable {
        let first = unusable.lines().next().unwrap_or_default();
        texts.push(format!("the configuration on disk cannot be used, and a restart would fail: {first}; see `gwasp check`"));
    }
    if !differs.applied.is_empty() {
        let keys = named(&differs.applied);
        texts.push(format!(
            "the configuration on disk is not applied: {keys}; `gwasp reload`"
        ));
    }
    if !differs.needs_restart.is_empty() {
        let keys = named(&differs.needs_restart);
        texts.push(format!(
            "a change of the configuration needs a restart: {keys}"
        ));
    }
    let texts = texts.into_iter();
    texts
        .map(|text| Remark::new(Verdict::Warning, text))
        .collect()
}

/// The first of some keys.
fn named(keys: &[String]) -> String {
    let more = keys.len().saturating_sub(MOST_KEYS);
    let mut text = keys[..keys.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
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

#[cfg(test)]
mod tests {
    use super::{Gap, Verdict, of_disk, of_two_days};
    use crate::broker::{Disk, DiskLevel, GapMark};

    #[track_caller]
    fn check_disk(level: DiskLevel, verdict: Option<Verdict>) {
        let disk = Disk {
            free: 100 << 20,
            low: 1 << 30,
            reserve: 256 << 20,
            level,
        };
        let remark = of_disk(Ok(&disk));
        assert_eq!(remark.as_ref().map(|remark| remark.verdict), verdict);
        let has_number = |text: &str| text.contains("100 MiB free");
        assert!(remark.is_none_or(|remark| has_number(&remark.text)));
    }

    #[test]
    fn a_disk_below_its_first_mark_is_critical() {
        check_disk(DiskLevel::Enough, None);
        check_disk(DiskLevel::Low, Some(Verdict::Critical));
        check_disk(DiskLevel::Reserve, Some(Verdict::Critical));
    }

    #[test]
    fn a_gap_is_told_on_the_day_of_its_end_and_the_next() {
        let day = 86_400_000_000_000;
        let mark = |next_start| GapMark {
            source: "gcn".to_owned(),
            last_packet: None,
            last_commit: next_start - 1,
            next_start,
        };
        let marks = vec![mark(3 * day + 5), mark(2 * day), mark(2 * day - 1)];
        let now = crate::packet::from_unix_nanos(4 * day - 1);
        let told: Vec<i128> = of_two_days(marks, now)
            .iter()
            .map(|gap: &Gap| gap.to.as_nanosecond())
            .collect();
        assert_eq!(told, [i128::from(3 * day + 5), i128::from(2 * day)]);
    }
}
