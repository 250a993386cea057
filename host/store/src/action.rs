//! What a person does to tasks, and what came of it.

use serde::{Deserialize, Serialize};

use crate::record::{Failure, Nanos, State};

/// What is done to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskAction {
    /// Has a task that is set aside, or waits for another attempt, begin anew: its journal is
    /// dropped, and what it did is done again.
    Restart,
    /// Ends a task that is set aside.
    Drop,
    /// Ends a task that waits or is set aside; asks the worker of one that runs to end it.
    Revoke,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acted {
    /// It was done, and this is the task's state now.
    Done(State),
    /// The task runs: its worker was asked, and ends it unless it succeeds before.
    Asked,
    /// The task runs, which is no time for this.
    Runs,
    /// Nothing was done: this is no action for a task in this state.
    Not(State),
    /// There is no such task: it expired, or never was.
    Unknown,
    /// The task's row is damaged.
    Damaged,
}

/// A journal as somebody looked at it: whoever decides about a task decides about this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The version that wrote it.
    pub version: Option<[u8; 32]>,
    /// How many entries it has.
    pub journal: u64,
    /// When the attempt began that wrote the last of them.
    pub started: Option<Nanos>,
}

/// The word for why a person ended a task.
pub(crate) fn reason(kind: &str, verb: &str, who: &str, before: Option<Failure>) -> Failure {
    let by = if who.is_empty() {
        String::new()
    } else {
        format!(" by {who}")
    };
    let Some(before) = before else {
        return Failure {
            kind: kind.to_owned(),
            message: format!("{verb}{by}"),
            detail: None,
        };
    };
    Failure {
        kind: kind.to_owned(),
        message: format!(
            "{verb}{by}; it had failed: {}: {}",
            before.kind, before.message
        ),
        detail: before.detail,
    }
}
