//! What a person does to tasks and packets, where more than the broker has to be known: what a
//! journal means, and which handlers ask for a packet.
//!
//! The control socket calls these; answers are plain values for it to pass on.

mod moving;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::moving::{Versions, Wanted, resume_on};
use crate::broker::{
    Acted, BrokerError, JournalEntry, Operations, Origin, PacketRecord, PacketSeq, PluginRecord,
    State, Submission, TaskAction, TaskId, TaskSelection, TaskView, read,
};
use crate::dispatch::{archived, tasks_of};
use crate::effects::{Decision, ResumeError, Resumption, resumption};
use crate::packet::{Digest, Flag, Packet, unix_nanos};
use crate::routes::{Route, Routes, Unmatched};
use crate::task::packet_task_id;

/// Why nothing was done to a task that is not as it was looked at.
const CHANGED: &str = "it changed just now; look at it again";
/// The number of a packet's dispatch when it came.
const ARRIVAL: u32 = 0;
/// Most packets that were held back and are dispatched in one call.
const MOST_HELD: usize = 10_000;

/// What came of resuming one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resumed {
    /// It waits in its queue; so many entries of its journal are replayed.
    Waits {
        /// How many.
        replayed: u32,
        /// The version that it stays on, where another one of its plugin is current.
        stays: Option<Digest>,
    },
    /// It waits in its queue, on another version than before; so many entries of its journal are
    /// replayed.
    Moved {
        /// How many.
        replayed: u32,
        /// The version.
        version: Digest,
    },
    /// It is in this state, in which there is nothing to resume.
    Not(State),
    /// There is no such task: it expired, or never was.
    Unknown,
    /// It cannot go on so; the text says what to do.
    Refused(String),
}

/// Puts tasks that are set aside back into their queues: each goes on where it failed. `decision`
/// is about the effect of each that is in doubt; `who` decides, in words for a person.
///
/// # Errors
/// When the broker does not answer. Tasks before that one are resumed.
pub async fn resume(
    broker: &Arc<dyn Operations>,
    tasks: TaskSelection,
    decision: Option<&Decision>,
    who: &str,
) -> Result<Vec<(TaskId, Resumed)>, BrokerError> {
    let mut resumed = Vec::new();
    for task in read(broker, |broker| broker.selected(tasks)).await? {
        resumed.push((task, resume_one(broker, task, decision, who).await?));
    }
    Ok(resumed)
}

async fn resume_one(
    broker: &Arc<dyn Operations>,
    task: TaskId,
    decision: Option<&Decision>,
    who: &str,
) -> Result<Resumed, BrokerError> {
    let found = read(broker, move |broker| {
        let detail = broker.task(task)?;
        detail
            .map(|detail| Ok((detail, broker.journal(task)?)))
            .transpose()
    });
    let Some((detail, journal)) = found.await? else {
        return Ok(Resumed::Unknown);
    };
    let view = detail.task;
    if !matches!(view.state, State::Failure | State::Delivered) {
        return Ok(Resumed::Not(view.state));
    }
    let plan = match plan(&view, &journal, decision) {
        Ok(plan) => plan,
        Err(error) => return Ok(Resumed::Refused(error.to_string())),
    };
    let replayed = plan.keep;
    let what = resumed(&view, decision);
    let as_looked_at = (task, view.ended);
    let is_resumed = broker
        .resume(as_looked_at, (plan.keep, plan.replace), None, (what, who))
        .await?;
    Ok(if is_resumed {
        let stays = former(broker, &view, replayed).await?;
        Resumed::Waits { replayed, stays }
    } else {
        Resumed::Refused(CHANGED.to_owned())
    })
}

/// The version that a task stays on which replays so many entries, where another one is current.
async fn former(
    broker: &Arc<dyn Operations>,
    task: &TaskView,
    replayed: u32,
) -> Result<Option<Digest>, BrokerError> {
    let plugins = read(broker, |broker| broker.plugins()).await?;
    let record = plugins.iter().find(|one| one.plugin == task.plugin);
    let current = record.and_then(|record| record.current);
    let former = task.version.filter(|_| replayed > 0 && current.is_some());
    Ok(former
        .filter(|version| Some(*version) != current)
        .map(Digest::from_bytes))
}

/// Whether a task was set aside because of an effect in doubt.
fn is_in_doubt(task: &TaskView) -> bool {
    let failure = task.failure.as_ref();
    failure.is_some_and(|failure| failure.kind == "in-doubt")
}

/// How a task that is set aside goes on with its journal.
fn plan(
    task: &TaskView,
    journal: &[JournalEntry],
    decision: Option<&Decision>,
) -> Result<Resumption, ResumeError> {
    resumption(journal, is_in_doubt(task), decision.cloned())
}

/// What the person did who took a task up, in words.
fn resumed(task: &TaskView, decision: Option<&Decision>) -> &'static str {
    match decision.filter(|_| is_in_doubt(task)) {
        Some(Decision::Done(_)) => "resumed; the effect in doubt was done",
        Some(Decision::NotDone) => "resumed; the effect in doubt was not done",
        None => "resumed",
    }
}

/// Does something to tasks and answers for each; at most [`MOST_TASKS`](crate::broker::MOST_TASKS)
/// of those that match.
///
/// # Errors
/// When the broker does not answer: nothing was done then.
pub async fn act(
    broker: &Arc<dyn Operations>,
    tasks: TaskSelection,
    action: TaskAction,
    who: &str,
) -> Result<Vec<(TaskId, Acted)>, BrokerError> {
    let tasks = read(broker, |broker| broker.selected(tasks)).await?;
    let acted = broker.act(tasks.clone(), action, who).await?;
    Ok(tasks.into_iter().zip(acted).collect())
}

/// Why a packet is not dispatched again.
#[derive(Debug, thiserror::Error)]
pub enum RedispatchError {
    /// There is none.
    #[error(
        "there is no packet {0}: it expired, or never was; `gwasp packet list` shows those kept"
    )]
    Unknown(i64),
    /// A handler was named that no plugin has.
    #[error("{0}")]
    Handler(String),
    /// No handler asks for it.
    #[error("no task was made: {0}")]
    Unmatched(&'static str),
    /// The broker did not answer, or does not have the payload any more.
    #[error("the packet cannot be dispatched")]
    Broker(#[from] BrokerError),
}

/// What a dispatch of a packet by a person made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redispatched {
    /// The packet.
    pub packet: PacketSeq,
    /// The number of the dispatch, from 1; the packet's arrival is 0.
    pub dispatch: u32,
    /// The tasks that were made, with `PLUGIN.HANDLER` of each.
    pub tasks: Vec<(TaskId, String)>,
}

/// Makes new tasks of an archived packet: for the handlers that it matches now, or for those
/// named `PLUGIN.HANDLER` in `handlers`, whether or not it matches them.
///
/// # Errors
/// [`RedispatchError`]; nothing was made then.
pub async fn redispatch(
    broker: &Arc<dyn Operations>,
    routes: &Routes,
    packet: PacketSeq,
    handlers: Option<&[String]>,
) -> Result<Redispatched, RedispatchError> {
    let named = named_by(broker, routes, handlers).await?;
    let kept = kept(broker, packet).await?;
    let chosen = chosen(routes, &kept, named.as_deref())?;
    let dispatch = broker.next_dispatch(packet).await?;
    let tasks = make(broker, (packet, &kept), &chosen, dispatch).await?;
    Ok(Redispatched {
        packet,
        dispatch,
        tasks,
    })
}

/// What became of packets that had been held back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldDispatched {
    /// How many there are.
    pub packets: usize,
    /// There are more, older ones.
    pub is_cut: bool,
    /// The tasks that were made, with `PLUGIN.HANDLER` of each.
    pub tasks: Vec<(TaskId, String)>,
    /// How many no handler takes now either.
    pub unmatched: usize,
    /// How many cannot be read any more.
    pub unreadable: usize,
}

/// Makes the tasks that packets would have made which were held back for `reason` and received
/// since then, of the newest 10,000: for the handlers that they match now, or for those
/// named. They are tasks of the packets' arrival: those that were made before, by doing this
/// twice, are not made again.
///
/// # Errors
/// [`RedispatchError`]. The tasks of older packets were made then, and doing it again goes on.
pub async fn redispatch_held(
    broker: &Arc<dyn Operations>,
    routes: &Routes,
    (reason, since): (Unmatched, i64),
    handlers: Option<&[String]>,
) -> Result<HeldDispatched, RedispatchError> {
    let named = named_by(broker, routes, handlers).await?;
    let held = move |broker: &(dyn Operations + 'static)| {
        broker.unmatched(reason.as_str(), since, MOST_HELD + 1)
    };
    let mut packets = read(broker, held).await?;
    let is_cut = packets.len() > MOST_HELD;
    packets.truncate(MOST_HELD);
    let mut done = HeldDispatched {
        packets: packets.len(),
        is_cut,
        ..HeldDispatched::default()
    };
    // In the order in which they came.
    for packet in packets.into_iter().rev() {
        match make_up(broker, routes, packet, named.as_deref()).await {
            Ok(tasks) => done.tasks.extend(tasks),
            Err(RedispatchError::Unmatched(_)) => done.unmatched += 1,
            Err(
                RedispatchError::Unknown(_)
                | RedispatchError::Broker(BrokerError::Dropped { .. } | BrokerError::Corrupt { .. }),
            ) => done.unreadable += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

async fn make_up(
    broker: &Arc<dyn Operations>,
    routes: &Routes,
    packet: PacketSeq,
    named: Option<&[Arc<Route>]>,
) -> Result<Vec<(TaskId, String)>, RedispatchError> {
    let kept = kept(broker, packet).await?;
    let chosen = chosen(routes, &kept, named)?;
    Ok(make(broker, (packet, &kept), &chosen, ARRIVAL).await?)
}

/// A packet as it is by now: one that a backup brought back is historic.
async fn kept(broker: &Arc<dyn Operations>, packet: PacketSeq) -> Result<Packet, RedispatchError> {
    let record = read(broker, move |broker| broker.packet(packet)).await?;
    let PacketRecord { packet: record, .. } = record.ok_or(RedispatchError::Unknown(packet.0))?;
    let mut kept = archived(&record);
    let historic = Flag::Historic.as_str();
    if record.flags.iter().any(|flag| flag == historic) {
        kept.flags.push(Flag::Historic);
    }
    Ok(kept)
}

/// The routes with the names that somebody gave, where somebody did.
async fn named_by(
    broker: &Arc<dyn Operations>,
    routes: &Routes,
    names: Option<&[String]>,
) -> Result<Option<Vec<Arc<Route>>>, RedispatchError> {
    let Some(names) = names else {
        return Ok(None);
    };
    let plugins = read(broker, |broker| broker.plugins()).await?;
    named(&plugins, routes, names).map(Some)
}

/// The handlers that were named, else those that take the packet.
fn chosen(
    routes: &Routes,
    packet: &Packet,
    named: Option<&[Arc<Route>]>,
) -> Result<Vec<Arc<Route>>, RedispatchError> {
    match named {
        Some(named) => Ok(named.to_vec()),
        None => routes
            .matching(packet)
            .map_err(|reason| RedispatchError::Unmatched(reason.advice())),
    }
}

/// Makes a packet's tasks of one dispatch; answers those that are new.
async fn make(
    broker: &Arc<dyn Operations>,
    (seq, packet): (PacketSeq, &Packet),
    routes: &[Arc<Route>],
    dispatch: u32,
) -> Result<Vec<(TaskId, String)>, BrokerError> {
    let mut tasks = tasks_of(packet, routes, unix_nanos(Timestamp::now()));
    for (task, route) in tasks.iter_mut().zip(routes) {
        task.id = packet_task_id(&packet.identity, &route.name(), dispatch);
        task.origin = Origin::Redispatch;
    }
    let names: Vec<(TaskId, String)> = tasks
        .iter()
        .map(|task| (task.id, format!("{}.{}", task.plugin, task.handler)))
        .collect();
    let submissions = tasks.into_iter().map(|task| Submission {
        task,
        packet: Some(seq),
    });
    let made = broker.submit(submissions.collect()).await?;
    let both = names.into_iter().zip(made);
    Ok(both
        .filter_map(|(name, is_new)| is_new.then_some(name))
        .collect())
}

/// The routes with these names.
fn named(
    plugins: &[PluginRecord],
    routes: &Routes,
    names: &[String],
) -> Result<Vec<Arc<Route>>, RedispatchError> {
    let of = |name: &String| {
        let (plugin, handler) = name.split_once('.').ok_or_else(|| {
            RedispatchError::Handler(format!("`{name}` is no handler; write PLUGIN.HANDLER"))
        })?;
        let known = routes.task(plugin, handler);
        known.map_err(|nearest| why_none(plugins, plugin, nearest))
    };
    names.iter().map(of).collect()
}

/// Why a plugin has no such route: a disabled one has none at all, and no other is meant.
fn why_none(plugins: &[PluginRecord], plugin: &str, nearest: String) -> RedispatchError {
    let is_disabled = |one: &PluginRecord| one.plugin == plugin && one.disabled.is_some();
    RedispatchError::Handler(if plugins.iter().any(is_disabled) {
        format!("plugin `{plugin}` is disabled; `gwasp plugin enable {plugin}` ends that")
    } else {
        nearest
    })
}

#[cfg(test)]
mod tests;
