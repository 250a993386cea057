//! How far schedules have come.
//!
//! A schedule's ticks are done with in one commit with the tasks that they make, and only by who
//! knows how far it had come: of two that would go on from the same tick, one does.

use crate::record::{Nanos, NewTask};

/// The next step of a schedule.
#[derive(Clone, Debug)]
pub struct Tick {
    /// Its name.
    pub schedule: String,
    /// The tick up to which the caller believes it done; none for a schedule that is new.
    pub last: Option<Nanos>,
    /// The tick up to which it is done from now on.
    pub through: Nanos,
    /// The tasks of the ticks between them that are run; a known id makes nothing.
    pub tasks: Vec<NewTask>,
}

/// How far a schedule has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickRecord {
    /// Its name.
    pub schedule: String,
    /// The tick up to which it is done.
    pub through: Nanos,
}
