//! What a person has stopped for a while.
//!
//! A pause stops leasing and nothing else: packets are kept and tasks are made meanwhile. It is
//! on disk when it is answered, and ends by itself where it has an end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::Nanos;
use crate::schedule::HandlerRow;

/// What is paused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything.
    All,
    /// One queue.
    Queue(String),
    /// One handler, in whatever queue its tasks wait.
    Handler {
        /// Plugin that holds it.
        plugin: String,
        /// Its name.
        handler: String,
    },
}

impl Scope {
    /// Returns whether tasks of this handler and queue are meant.
    pub(crate) fn covers(&self, row: &HandlerRow) -> bool {
        match self {
            Self::All => true,
            Self::Queue(queue) => *queue == row.queue,
            Self::Handler { plugin, handler } => *plugin == row.plugin && *handler == row.handler,
        }
    }

    /// Returns the scope as columns: its code, and the names that it has.
    pub(crate) fn columns(&self) -> (i64, &str, &str) {
        match self {
            Self::All => (0, "", ""),
            Self::Queue(queue) => (1, queue, ""),
            Self::Handler { plugin, handler } => (2, plugin, handler),
        }
    }

    /// Reads what [`Scope::columns`] gave; `None` for a code of a newer program.
    pub(crate) fn of(code: i64, name: String, handler: String) -> Option<Self> {
        match code {
            0 => Some(Self::All),
            1 => Some(Self::Queue(name)),
            2 => Some(Self::Handler {
                plugin: name,
                handler,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Queue(queue) => write!(f, "queue `{queue}`"),
            Self::Handler { plugin, handler } => write!(f, "handler `{plugin}.{handler}`"),
        }
    }
}

/// A pause as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What is paused.
    pub scope: Scope,
    /// Since when.
    pub since: Nanos,
    /// When it ends by itself, by the store's clock; `None` where somebody has to end it.
    pub until: Option<Nanos>,
    /// Who set it, in words for a person.
    pub who: String,
}
