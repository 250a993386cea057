//! What a person does to tasks and packets, where more than the broker has to be known: what a
//! journal means, and which handlers ask for a packet.
//!
//! The control socket calls these; answers are plain values for it to pass on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::{
    BrokerError, Operations, Origin, PacketRecord, PacketSeq, State, Submission, TaskId,
    TaskSelection,
};
use crate::dispatch::{archived, tasks_of};
use crate::effects::{Decision, resumption};
use crate::packet::unix_nanos;
use crate::routes::Routes;
use crate::task::packet_task_id;

/// What came of resuming one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resumed {
    /// It waits in its queue; so many entries of its journal are replayed.
    Waits {
        /// How many.
        replayed: u32,
    },
    /// It is in this state, in which there is nothing to resume.
    Not(State),
    /// There is no such task: it expired, or never was.
    Unknown,
    /// It cannot go on so; the text says what to do.
    Refused(String),
}

/// Puts tasks that are set aside back into their queues: each goes on where it failed. `decision`
/// is about the effect of each that is in doubt.
///
/// # Errors
/// When the broker does not answer. Tasks before that one are resumed.
pub async fn resume(
    broker: &dyn Operations,
    tasks: TaskSelection,
    decision: Option<&Decision>,
) -> Result<Vec<(TaskId, Resumed)>, BrokerError> {
    let mut resumed = Vec::new();
    for task in broker.selected(tasks)? {
        resumed.push((task, resume_one(broker, task, decision).await?));
    }
    Ok(resumed)
}

async fn resume_one(
    broker: &dyn Operations,
    task: TaskId,
    decision: Option<&Decision>,
) -> Result<Resumed, BrokerError> {
    let Some(detail) = broker.task(task)? else {
        return Ok(Resumed::Unknown);
    };
    let view = detail.task;
    if !matches!(view.state, State::Failure | State::Delivered) {
        return Ok(Resumed::Not(view.state));
    }
    let is_in_doubt = view
        .failure
        .is_some_and(|failure| failure.kind == "in-doubt");
    let journal = broker.journal(task)?;
    let plan = match resumption(&journal, is_in_doubt, decision.cloned()) {
        Ok(plan) => plan,
        Err(error) => return Ok(Resumed::Refused(error.to_string())),
    };
    let replayed = plan.keep;
    let is_resumed = broker
        .resume((task, view.ended), plan.keep, plan.replace)
        .await?;
    Ok(if is_resumed {
        Resumed::Waits { replayed }
    } else {
        Resumed::Refused(
            "somebody else resumed, restarted or dropped it just now; look at it again".to_owned(),
        )
    })
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
    broker: &dyn Operations,
    routes: &Routes,
    packet: PacketSeq,
    handlers: Option<&[String]>,
) -> Result<Redispatched, RedispatchError> {
    let record = broker.packet(packet)?;
    let PacketRecord { packet: kept, .. } = record.ok_or(RedispatchError::Unknown(packet.0))?;
    let read = archived(&kept);
    let chosen = match handlers {
        Some(names) => named(routes, names)?,
        None => routes
            .matching(&read)
            .map_err(|reason| RedispatchError::Unmatched(reason.advice()))?,
    };
    let dispatch = broker.next_dispatch(packet).await?;
    let mut tasks = tasks_of(&read, &chosen, unix_nanos(Timestamp::now()));
    for (task, route) in tasks.iter_mut().zip(&chosen) {
        task.id = packet_task_id(&read.identity, &route.name(), dispatch);
        task.origin = Origin::Redispatch;
    }
    let made = tasks
        .iter()
        .map(|task| (task.id, format!("{}.{}", task.plugin, task.handler)))
        .collect();
    let submissions = tasks.into_iter().map(|task| Submission {
        task,
        packet: Some(packet),
    });
    broker.submit(submissions.collect()).await?;
    Ok(Redispatched {
        packet,
        dispatch,
        tasks: made,
    })
}

/// The routes with these names.
fn named(
    routes: &Routes,
    names: &[String],
) -> Result<Vec<std::sync::Arc<crate::routes::Route>>, RedispatchError> {
    let of = |name: &String| {
        let (plugin, handler) = name.split_once('.').ok_or_else(|| {
            RedispatchError::Handler(format!("`{name}` is no handler; write PLUGIN.HANDLER"))
        })?;
        routes
            .task(plugin, handler)
            .map_err(RedispatchError::Handler)
    };
    names.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
