//! What a person asks of a broker, through the control socket of the host that runs.
//!
//! Each operation is durable before it answers. The parts of a host know [`Broker`] and nothing
//! of this.

use std::collections::BTreeSet;

use gwasp_store::Retention;
use serde::{Deserialize, Serialize};

use super::{
    Acted, Answer, Broker, BrokerError, Disk, GapMark, JournalEntry, PacketRecord, PacketSeq,
    Pause, Scope, Submission, TaskAction, TaskDetail, TaskFilter, TaskId, TaskView,
};

/// Most tasks that one call acts on.
pub const MOST_TASKS: u32 = 1_000;

/// Which tasks are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskSelection {
    /// These.
    Ids(Vec<TaskId>),
    /// The newest [`MOST_TASKS`] of those that match.
    Matching(TaskFilter),
}

/// A broker that a person controls.
pub trait Operations: Broker {
    /// Keeps what is kept so long from now on.
    fn keep(&self, retention: Retention);

    /// Has the tasks of `queues` run one after another, each to its end. Those that wait in one
    /// that was none of these are not in a line.
    fn serve_serially(&self, queues: BTreeSet<String>);

    /// Leases nothing of `scope` from now on, until the moment `until` (nanoseconds since the
    /// Unix epoch) where there is one; intake and accept go on. It takes the place of an earlier
    /// pause of the same scope.
    fn pause<'a>(
        &'a self,
        scope: Scope,
        until: Option<i64>,
        who: &'a str,
    ) -> Answer<'a, Result<Pause, BrokerError>>;

    /// Ends the pause of exactly this scope; answers whether there was one. Others go on.
    fn unpause(&self, scope: Scope) -> Answer<'_, Result<bool, BrokerError>>;

    /// What is paused now.
    ///
    /// # Errors
    /// When it cannot be read.
    fn pauses(&self) -> Result<Vec<Pause>, BrokerError>;

    /// Does something to tasks, which change together, and answers for each in order. `who`
    /// stands in what the tasks say of it later.
    fn act<'a>(
        &'a self,
        tasks: Vec<TaskId>,
        action: TaskAction,
        who: &'a str,
    ) -> Answer<'a, Result<Vec<Acted>, BrokerError>>;

    /// Puts a task that is set aside back into its queue, with the first `keep` entries of its
    /// journal, one of them replaced; `by` is what the person did and who, kept with the task. Answers false where it is not set aside any more, or was
    /// again since `ended`. [`crate::operations::resume`] finds out what to keep.
    fn resume<'a>(
        &'a self,
        task: (TaskId, Option<i64>),
        keep: u32,
        replace: Option<JournalEntry>,
        by: (&'a str, &'a str),
    ) -> Answer<'a, Result<bool, BrokerError>>;

    /// What is left of the disk: below the first mark the host is CRITICAL, below the second it
    /// takes no packets.
    ///
    /// # Errors
    /// When the system does not say.
    fn disk(&self) -> Result<Disk, BrokerError>;

    /// How many tasks are set aside because nobody knows whether their last external effect was
    /// made.
    ///
    /// # Errors
    /// When they cannot be counted.
    fn in_doubt(&self) -> Result<u64, BrokerError>;

    /// Times in which frames may have been read and not kept, newest first; at most 100.
    ///
    /// # Errors
    /// When they cannot be read.
    fn gaps(&self) -> Result<Vec<GapMark>, BrokerError>;

    /// Lists tasks, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskView>, BrokerError>;

    /// The ids of the tasks that are meant; of those that were named, as they were named.
    ///
    /// # Errors
    /// When they cannot be read.
    fn selected(&self, tasks: TaskSelection) -> Result<Vec<TaskId>, BrokerError>;

    /// A task with all that is kept about it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn task(&self, task: TaskId) -> Result<Option<TaskDetail>, BrokerError>;

    /// The journal of a task, oldest entry first.
    ///
    /// # Errors
    /// When it cannot be read.
    fn journal(&self, task: TaskId) -> Result<Vec<JournalEntry>, BrokerError>;

    /// A packet with its payload.
    ///
    /// # Errors
    /// When it cannot be read, or its payload is not kept any more.
    fn packet(&self, packet: PacketSeq) -> Result<Option<PacketRecord>, BrokerError>;

    /// The newest packets, at most `most` and the newest first, that were received since a moment
    /// (nanoseconds since the Unix epoch) and made no task for this reason.
    ///
    /// # Errors
    /// When they cannot be read.
    fn unmatched(
        &self,
        reason: &str,
        since: i64,
        most: usize,
    ) -> Result<Vec<PacketSeq>, BrokerError>;

    /// Counts a dispatch of a packet by a person; answers its number, from 1.
    fn next_dispatch(&self, packet: PacketSeq) -> Answer<'_, Result<u32, BrokerError>>;

    /// Makes tasks that no packet's arrival makes; answers for each whether it was made.
    fn submit(&self, submissions: Vec<Submission>) -> Answer<'_, Result<Vec<bool>, BrokerError>>;
}
