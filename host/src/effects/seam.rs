//! The seam: how an effect of each class is made, noted and replayed.

mod external;
mod hold;
mod saving;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::Refused;
use super::bindings::gwasp::plugin::log::Level;
use super::budget::{Budget, Limits};
use super::driver::Driver;
use super::function::{Class, Function};
use super::journal::{Entry, Found, Journal, JournalError, Phase};
use super::kernels::KernelFault;
use super::kv::OwnValue;
use crate::broker::{BrokerError, JournalEntry, KvWrite, NewTask, Wait};
use crate::config::Grant;
use crate::packet::Digest;

pub(super) use external::{External, Made, Settled};
pub use hold::{Hold, Passed};
use saving::Noting;
pub use waiting::Parking;
pub(super) use waiting::Recalled;

/// Tasks that one run may make.
const MAX_SPAWNS: usize = 2_000;

/// Why the seam ended a run; the worker finds it at the root of the trap.
#[derive(Debug, thiserror::Error)]
pub enum SeamError {
    /// The run asked for more than it may.
    #[error("the handler asked for more than {limit} {what}")]
    Limit {
        /// What there was too much of.
        what: &'static str,
        /// How much there may be.
        limit: u32,
    },
    /// The journal cannot go on.
    #[error("the journal cannot go on")]
    Journal(#[from] JournalError),
    /// An answer in the journal is none of this function's.
    #[error("a noted answer cannot be read: it was written by a newer host, or is damaged")]
    Encoding(#[from] minicbor::decode::Error),
    /// The broker did not keep the journal, or gave no answer.
    #[error("the broker gave no answer")]
    Broker(#[from] BrokerError),
    /// An external effect is in doubt, and nobody can be asked just now.
    #[error("an external effect is in doubt and will be settled by another attempt: {reason}")]
    Unsettled {
        /// Why.
        reason: String,
    },
    /// What an earlier part of the run made is gone.
    #[error(
        "the run cannot be taken up again: the blob {digest} that an earlier part of it made is \
         not kept any more"
    )]
    BlobGone {
        /// SHA-256 in hexadecimal.
        digest: String,
    },
    /// A heavy computation had no thread, or panicked.
    #[error("a heavy computation failed in the host")]
    Kernel(#[from] KernelFault),
    /// The run waits, and holds nothing meanwhile.
    #[error("the run waits")]
    Parked(Wait),
    /// The worker had the run end at its next call of the host, or after a request that was under
    /// way.
    #[error("the run was ended")]
    Ended,
}

/// Names and rights of a run.
#[derive(Clone, Debug)]
pub struct Context {
    /// Plugin that runs.
    pub plugin: String,
    /// Handler that runs.
    pub handler: String,
    /// What the plugin may do.
    pub grant: Arc<Grant>,
}

/// An effect of the outside world that a dry run was asked for and did not make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Name of the host function.
    pub function: &'static str,
    /// What was asked, for a person.
    pub what: String,
}

/// Where a run asked for another effect than its journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// The place in the run, from 0.
    pub seq: u32,
    /// What the journal holds, for a person.
    pub noted: String,
    /// What the run asked for, for a person.
    pub asked: String,
}

/// The gate of one run.
pub struct Seam {
    context: Context,
    driver: Driver,
    budget: Budget,
    journal: Journal,
    committed: Committed,
    values: BTreeMap<String, OwnValue>,
    panic: Option<String>,
    lines: Vec<String>,
    asked: Vec<Asked>,
    differs: Option<Differs>,
    noting: Option<Noting>,
    /// The intent at the present position was written, and its request has not left.
    is_unsent: bool,
    /// What the run begins to wait for.
    parking: Option<Parking>,
    hold: Hold,
}

/// Effects that take place with the outcome.
#[derive(Debug, Default)]
pub struct Committed {
    /// Writes to the plugin's values, in order.
    pub kv: Vec<KvWrite>,
    /// Tasks to make.
    pub spawns: Vec<NewTask>,
    /// Blobs that the run mentions.
    pub blobs: Vec<[u8; 32]>,
}

impl std::fmt::Debug for Seam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seam")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Seam {
    /// Opens a gate for a run that replays `journal` first.
    pub fn new(context: Context, driver: Driver, limits: Limits, journal: Journal) -> Self {
        Self {
            context,
            driver,
            budget: Budget::new(limits),
            journal,
            committed: Committed::default(),
            values: BTreeMap::new(),
            panic: None,
            lines: Vec::new(),
            asked: Vec::new(),
            differs: None,
            noting: None,
            is_unsent: false,
            parking: None,
            hold: Hold::default(),
        }
    }

    /// What the worker ends the run by.
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn driver(&self) -> Driver {
        self.driver.clone()
    }

    /// The position in the run of the effect that is asked for next.
    pub(super) fn place(&self) -> u32 {
        self.journal.position()
    }

    /// Has a write to the plugin's values wait for the outcome.
    pub(super) fn write_value(&mut self, write: KvWrite) -> Result<(), SeamError> {
        let len = match &write {
            KvWrite::Set { key, value } => key.len() + value.len(),
            KvWrite::Delete { key } | KvWrite::Add { key, .. } => key.len(),
        };
        self.budget.take_committed(len)?;
        self.committed.kv.push(write);
        Ok(())
    }

    /// Has a new task wait for the outcome.
    pub(super) fn spawn(&mut self, task: NewTask) -> Result<(), SeamError> {
        if self.committed.spawns.len() >= MAX_SPAWNS {
            return Err(SeamError::Limit {
                what: "new tasks",
                limit: u32::try_from(MAX_SPAWNS).unwrap_or(u32::MAX),
            });
        }
        let len = task.args.as_ref().map_or(0, bytes::Bytes::len);
        self.budget.take_committed(len)?;
        self.committed.spawns.push(task);
        Ok(())
    }

    /// Counts a new blob of `len` bytes.
    pub(super) fn take_blob(&mut self, len: usize) -> Result<(), SeamError> {
        self.budget.take_blob(len)
    }

    /// Counts a heavy computation.
    pub(super) fn take_kernel(&mut self) -> Result<(), SeamError> {
        self.budget.take_kernel()
    }

    /// Has a blob live on.
    pub(super) fn mention(&mut self, digest: &Digest) {
        self.committed.blobs.push(*digest.as_bytes());
    }

    /// What the run itself wrote to its plugin's values.
    pub(super) fn values(&mut self) -> &mut BTreeMap<String, OwnValue> {
        &mut self.values
    }

    /// Makes a local effect: counts it.
    pub(super) fn local(&mut self, function: &Function) -> Result<(), SeamError> {
        debug_assert_eq!(function.class, Class::Local);
        self.admit(function)
    }

    /// Counts a call; none gets through of a run that is to end.
    fn admit(&mut self, function: &Function) -> Result<(), SeamError> {
        if self.hold.is_ending() {
            return Err(SeamError::Ended);
        }
        self.budget.take(function)
    }

    /// What the journal knows of the effect that is asked for; an error where it holds another, or
    /// where the run is to go no further than it.
    fn find(&mut self, function: &Function, request: &[u8]) -> Result<Found, SeamError> {
        let found = self.journal.find(function, request);
        if let Err(JournalError::Differs { seq, noted, asked }) = &found {
            self.differs = Some(Differs {
                seq: *seq,
                noted: noted.clone(),
                asked: asked.clone(),
            });
        }
        let found = found?;
        if self.driver.ends_with_journal() && !matches!(found, Found::Answer(_)) {
            if self.journal.is_replaying() {
                // The effect is the one that the journal has, without an answer.
                self.journal.advance();
            }
            return Err(SeamError::Ended);
        }
        Ok(found)
    }

    /// Makes an answered effect: gives the noted answer, or asks `live` and notes what it says.
    pub(super) async fn answered<A: Encode<()> + for<'b> Decode<'b, ()>>(
        &mut self,
        function: &Function,
        request: &impl Encode<()>,
        live: impl Future<Output = Result<A, SeamError>>,
    ) -> Result<A, SeamError> {
        debug_assert_eq!(function.class, Class::Answered);
        self.admit(function)?;
        let request = encode(request);
        if let Found::Answer(answer) = self.find(function, &request)? {
            self.journal.advance();
            return decode(&answer);
        }
        let entry = self.entry(function, &request);
        let given = self.driver.noted(function.name, *entry.request);
        let answer = match given {
            Some(given) => decode(&given)?,
            None => live.await?,
        };
        let noted = encode(&answer);
        self.journal
            .append(entry.answered(noted, Phase::Answered))?;
        Ok(answer)
    }

    /// Notes a committed effect that `decided` allows or refuses; the caller then buffers what
    /// is allowed. `what` tells a person.
    pub(super) fn note_committed<A: Encode<()> + for<'b> Decode<'b, ()>>(
        &mut self,
        function: &'static Function,
        request: &impl Encode<()>,
        decided: Result<A, Refused>,
        what: impl FnOnce() -> String,
    ) -> Result<Result<A, Refused>, SeamError> {
        debug_assert_eq!(function.class, Class::Committed);
        self.admit(function)?;
        let request = encode(request);
        if let Found::Answer(answer) = self.find(function, &request)? {
            self.journal.advance();
            return decode(&answer);
        }
        let entry = self.entry(function, &request);
        let decided = match self.driver.noted(function.name, *entry.request) {
            Some(given) => decode(&given)?,
            None => decided,
        };
        if decided.is_ok() {
            self.note_asked(function, what);
        }
        let noted = encode(&decided);
        self.journal
            .append(entry.answered(noted, Phase::Answered))?;
        Ok(decided)
    }

    /// Notes what a dry run was asked for.
    pub(super) fn note_asked(
        &mut self,
        function: &'static Function,
        what: impl FnOnce() -> String,
    ) {
        if matches!(self.driver, Driver::Dry(_)) {
            self.asked.push(Asked {
                function: function.name,
                what: what(),
            });
        }
    }

    /// Keeps the message of a panic, for the failure.
    pub(super) fn note_panic(&mut self, message: String) {
        self.panic = Some(message);
    }

    /// Whether a line of `len` bytes is within the budget.
    pub(super) fn take_log_line(&mut self, len: usize) -> bool {
        self.budget.take_log_line(len)
    }

    /// Passes a line on to the host's log; a replayed one was passed on before.
    pub(super) fn keep_log_line(&mut self, level: Level, line: &str) {
        let (task, shadow) = match &self.driver {
            Driver::Dry(dry) if dry.services().is_none() => {
                self.lines.push(line.to_owned());
                return;
            }
            _ if self.journal.is_replaying() => return,
            Driver::Live(live) => (live.task, None),
            Driver::Dry(dry) => (dry.task, Some(true)),
        };
        let (plugin, handler) = (&self.context.plugin, &self.context.handler);
        match level {
            Level::Trace => {
                tracing::trace!(target: "gwasp::plugin", %plugin, %handler, %task, shadow, "{line}");
            }
            Level::Debug => {
                tracing::debug!(target: "gwasp::plugin", %plugin, %handler, %task, shadow, "{line}");
            }
            Level::Info => {
                tracing::info!(target: "gwasp::plugin", %plugin, %handler, %task, shadow, "{line}");
            }
            Level::Warn => {
                tracing::warn!(target: "gwasp::plugin", %plugin, %handler, %task, shadow, "{line}");
            }
            Level::Error => {
                tracing::error!(target: "gwasp::plugin", %plugin, %handler, %task, shadow, "{line}");
            }
        }
    }

    /// What the worker takes at the end of a leg.
    pub async fn finish(mut self) -> Leg {
        let noted = self.settle_noting().await;
        if self.is_unsent {
            self.journal.withdraw();
        }
        if self.is_shadow() {
            // Nothing that it asked for takes place, and another attempt asks for all of it anew.
            self.committed = Committed::default();
            self.journal.mark_dry();
        }
        Leg {
            is_shadow: self.is_shadow(),
            is_fenced: matches!(noted, Err(BrokerError::Fenced { .. })),
            position: self.journal.position(),
            keep_for_retry: if self.is_shadow() {
                0
            } else {
                self.journal.keep_for_retry()
            },
            journal: self.journal.take_unsaved(),
            committed: self.committed,
            parking: self.parking,
            panic: self.panic,
            lines: self.lines,
            asked: self.asked,
            differs: self.differs,
            log_lines_dropped: self.budget.log_lines_dropped(),
        }
    }

    /// Whether it is the run of a live task that makes no effect.
    fn is_shadow(&self) -> bool {
        matches!(&self.driver, Driver::Dry(dry) if dry.services().is_some())
    }

    fn entry(&self, function: &Function, request: &[u8]) -> Entry {
        Entry {
            dry: self.driver.is_dry().then_some(true),
            ..Entry::new(
                self.journal.position(),
                function,
                request,
                self.driver.nanos(),
            )
        }
    }
}

/// What a run left at its end.
#[derive(Debug)]
pub struct Leg {
    /// It was the run of a live task that made no effect.
    pub is_shadow: bool,
    /// The lease was lost while an entry was on its way to the disk.
    pub is_fenced: bool,
    /// Entries that are not on disk yet.
    pub journal: Vec<JournalEntry>,
    /// How many effects of its journal the run passed, new ones included.
    pub position: u32,
    /// How many entries a retry replays.
    pub keep_for_retry: u32,
    /// What takes effect with a good outcome.
    pub committed: Committed,
    /// What the run waits for, where it does.
    pub parking: Option<Parking>,
    /// The message of a panic.
    pub panic: Option<String>,
    /// Lines of log, in a dry run.
    pub lines: Vec<String>,
    /// Effects that a dry run was asked for.
    pub asked: Vec<Asked>,
    /// Where it asked for another effect than its journal holds.
    pub differs: Option<Differs>,
    /// Lines beyond the budget.
    pub log_lines_dropped: u32,
}

/// As journals have it.
pub(super) fn encode(value: &impl Encode<()>) -> Vec<u8> {
    // Writing to a Vec cannot fail.
    minicbor::to_vec(value).unwrap_or_default()
}

fn decode<A: for<'b> Decode<'b, ()>>(answer: &[u8]) -> Result<A, SeamError> {
    Ok(minicbor::decode(answer)?)
}

#[cfg(test)]
mod tests;
