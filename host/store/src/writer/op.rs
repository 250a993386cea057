//! What the writer is asked for, and how it answers.
//!
//! Every operation is answered once: with its group when that is on disk, else with the error
//! that befell the group.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Group;
use crate::action::{Acted, TaskAction};
use crate::error::StoreError;
use crate::pause::{Pause, Scope};
use crate::record::{
    Accepted, Commit, JournalEntry, Nanos, NewRefusal, Offer, RouteChange, Submission, TaskId,
};
use crate::view::Removed;

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;
/// What a commit is answered with.
pub(super) type CommitAnswers = Vec<Result<(), StoreError>>;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Op {
    Accept {
        generation: u64,
        offers: Vec<Offer>,
        reply: Reply<Vec<Accepted>>,
    },
    Refuse {
        refusals: Vec<NewRefusal>,
        /// Lengths before the cut.
        lengths: Vec<usize>,
        reply: Reply<()>,
    },
    Unconfirmed {
        source: String,
        frames: u64,
        reply: Reply<()>,
    },
    Listening {
        source: String,
        listening: bool,
        reply: Reply<()>,
    },
    Submit {
        submissions: Vec<Submission>,
        reply: Reply<Vec<bool>>,
    },
    Commit {
        commits: Vec<Commit>,
        reply: Reply<CommitAnswers>,
    },
    Value(ValueOp),
    Person(PersonOp),
    Retain {
        /// `None` where nobody waits for it.
        reply: Option<Reply<Removed>>,
    },
    Close {
        reply: Reply<()>,
    },
}

/// An operation on one value, claim, task that was set aside, route or blob.
#[derive(Debug)]
pub(crate) enum ValueOp {
    PutBlob {
        digest: [u8; 32],
        bytes: Bytes,
        reply: Reply<()>,
    },
    Claim {
        plugin: String,
        name: String,
        task: TaskId,
        reply: Reply<bool>,
    },
    Resume {
        task: TaskId,
        /// Since when it is set aside.
        ended: Option<Nanos>,
        keep: u32,
        replace: Option<JournalEntry>,
        what: String,
        who: String,
        reply: Reply<bool>,
    },
    Route {
        plugin: String,
        change: RouteChange,
        reply: Reply<u64>,
    },
}

/// An operation that a person asks for.
#[derive(Debug)]
pub(crate) enum PersonOp {
    Pause {
        pause: Pause,
        reply: Reply<Pause>,
    },
    Unpause {
        scope: Scope,
        reply: Reply<bool>,
    },
    Act {
        tasks: Vec<TaskId>,
        action: TaskAction,
        who: String,
        reply: Reply<Vec<Acted>>,
    },
    /// Counts a dispatch of a packet.
    Dispatch {
        packet: i64,
        reply: Reply<u32>,
    },
}

impl From<PersonOp> for Op {
    fn from(op: PersonOp) -> Self {
        Self::Person(op)
    }
}

impl PersonOp {
    /// Answers with an error.
    fn fail(self, error: StoreError) {
        match self {
            Self::Pause { reply, .. } => send(reply, Err(error)),
            Self::Unpause { reply, .. } => send(reply, Err(error)),
            Self::Act { reply, .. } => send(reply, Err(error)),
            Self::Dispatch { reply, .. } => send(reply, Err(error)),
        }
    }
}

impl From<ValueOp> for Op {
    fn from(op: ValueOp) -> Self {
        Self::Value(op)
    }
}

impl ValueOp {
    /// Answers with an error.
    fn fail(self, error: StoreError) {
        match self {
            Self::PutBlob { reply, .. } => send(reply, Err(error)),
            Self::Claim { reply, .. } | Self::Resume { reply, .. } => send(reply, Err(error)),
            Self::Route { reply, .. } => send(reply, Err(error)),
        }
    }
}

impl Op {
    /// Returns whether it brings something new, which a full disk has no space for. What tasks
    /// need to end, and what a person asks for, is not.
    pub(super) fn is_new(&self) -> bool {
        matches!(
            self,
            Self::Accept { .. } | Self::Refuse { .. } | Self::Submit { .. }
        )
    }

    /// Returns how much of a group it is.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Accept { offers, .. } => {
                let tasks: usize = offers.iter().map(|offer| offer.tasks.len()).sum();
                offers.len() + tasks
            }
            Self::Refuse { refusals, .. } => refusals.len(),
            Self::Submit { submissions, .. } => submissions.len(),
            Self::Person(PersonOp::Act { tasks, .. }) => tasks.len(),
            Self::Person(_) => 1,
            Self::Commit { commits, .. } => commits
                .iter()
                .map(|commit| 1 + commit.spawns.len() + commit.journal.len())
                .sum(),
            Self::Unconfirmed { .. }
            | Self::Listening { .. }
            | Self::Value(_)
            | Self::Retain { .. }
            | Self::Close { .. } => 1,
        }
    }

    /// Answers with an error.
    pub(super) fn fail(self, error: StoreError) {
        match self {
            Self::Accept { reply, .. } => send(reply, Err(error)),
            Self::Refuse { reply, .. }
            | Self::Unconfirmed { reply, .. }
            | Self::Listening { reply, .. }
            | Self::Close { reply } => send(reply, Err(error)),
            Self::Submit { reply, .. } => send(reply, Err(error)),
            Self::Commit { reply, .. } => send(reply, Err(error)),
            Self::Value(op) => op.fail(error),
            Self::Person(op) => op.fail(error),
            Self::Retain { reply } => {
                if let Some(reply) = reply {
                    send(reply, Err(error));
                }
            }
        }
    }
}

/// An operation on its way to the writer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) op: Op,
    /// Given back when the operation is done.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Sends an answer; whoever asked may have gone.
fn send<T>(reply: Reply<T>, answer: Result<T, StoreError>) {
    drop(reply.send(answer));
}

/// An answer that waits for the transaction.
pub(super) type Answer = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// Answers with `value` unless the group failed.
fn answer<T: Send + 'static>(reply: Reply<T>, value: Result<T, StoreError>) -> Answer {
    Box::new(move |failed| send(reply, failed.map_or(value, |error| Err(error.clone()))))
}

/// What writing an operation's rows came to: its answer, or an error of the whole group.
pub(super) type Written<T> = Result<Result<T, StoreError>, StoreError>;

/// Keeps an answer until the transaction is on disk; answers at once where the group failed.
pub(super) fn settle<T: Send + 'static>(
    group: &mut Group,
    reply: Reply<T>,
    written: Written<T>,
) -> Result<(), StoreError> {
    match written {
        Ok(value) => {
            group.answers.push(answer(reply, value));
            Ok(())
        }
        Err(error) => {
            send(reply, Err(error.clone()));
            Err(error)
        }
    }
}
