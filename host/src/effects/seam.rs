//! The seam: how an effect of each class is made, noted and replayed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bindings::gwasp::plugin::log::Level;
use super::budget::{Budget, Limits};
use super::driver::{Driver, LiveRun};
use super::function::{Class, Function};
use super::journal::{Entry, Found, Journal, JournalError, Phase};
use crate::broker::{Answer, BrokerError, Commit, JournalEntry, KvWrite, NewTask, Step, TaskId};
use crate::config::Grant;

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
    /// What was noted cannot be written or read as CBOR.
    #[error("an effect's request or answer cannot be noted")]
    Encoding(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The broker did not keep the journal, or gave no answer.
    #[error("the broker gave no answer")]
    Broker(#[from] BrokerError),
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

/// An effect that a dry run was asked for and did not make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Name of the host function.
    pub function: &'static str,
    /// What was asked, for a person.
    pub what: String,
}

/// How an external effect came out.
#[derive(Debug)]
pub(super) enum Made<A> {
    /// It is done, and this is the answer.
    Done(A),
    /// It is not done: a retry asks again.
    NotDone(A),
    /// Whether it is done is not known.
    InDoubt(String),
}

/// An external effect, as its interface makes it.
pub(super) trait External {
    /// What the guest sees.
    type Answer: Serialize + DeserializeOwned;

    /// Makes it under `key`, once.
    fn make(&self, key: &str) -> impl Future<Output = Made<Self::Answer>> + Send;

    /// Finds out whether the effect under `key` is done, and makes it where it is not and where
    /// making it again is safe. `reason` says why that is not known.
    fn settle(&self, key: &str, reason: String) -> impl Future<Output = Made<Self::Answer>> + Send;

    /// What the guest sees where nobody knows.
    fn in_doubt(&self, reason: String) -> Self::Answer;

    /// When a request that is made now is neither sent nor awaited any more.
    fn longest(&self) -> Duration;
}

/// The gate of one run.
pub struct Seam {
    context: Context,
    driver: Driver,
    budget: Budget,
    journal: Journal,
    committed: Committed,
    values: BTreeMap<String, Option<Bytes>>,
    panic: Option<String>,
    lines: Vec<String>,
    asked: Vec<Asked>,
    unawaited: Option<Answer<'static, Vec<Result<(), BrokerError>>>>,
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
            unawaited: None,
        }
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

    /// The run's own effects that wait for its outcome.
    pub(super) fn committed(&mut self) -> &mut Committed {
        &mut self.committed
    }

    /// What the run itself wrote to its plugin's values; `None` inside where it deleted.
    pub(super) fn values(&mut self) -> &mut BTreeMap<String, Option<Bytes>> {
        &mut self.values
    }

    /// Makes a local effect: counts it.
    pub(super) fn local(&mut self, function: &Function) -> Result<(), SeamError> {
        debug_assert_eq!(function.class, Class::Local);
        self.budget.take(function)
    }

    /// Makes an answered effect: gives the noted answer, or asks `live` and notes what it says.
    pub(super) async fn answered<A: Serialize + DeserializeOwned>(
        &mut self,
        function: &Function,
        request: &impl Serialize,
        live: impl Future<Output = Result<A, SeamError>>,
    ) -> Result<A, SeamError> {
        debug_assert_eq!(function.class, Class::Answered);
        self.budget.take(function)?;
        let request = encode(request)?;
        if let Found::Answer(answer) = self.journal.find(function, &request)? {
            self.journal.advance();
            return decode(&answer);
        }
        let entry = self.entry(function, &request);
        let answer = live.await?;
        self.journal
            .write(entry.answered(encode(&answer)?, Phase::Answered))?;
        self.journal.advance();
        Ok(answer)
    }

    /// Notes a committed effect, which the caller then buffers. `what` tells a person.
    pub(super) fn note_committed(
        &mut self,
        function: &'static Function,
        request: &impl Serialize,
        what: impl FnOnce() -> String,
    ) -> Result<(), SeamError> {
        debug_assert_eq!(function.class, Class::Committed);
        self.budget.take(function)?;
        if matches!(self.driver, Driver::Dry(_)) {
            self.asked.push(Asked {
                function: function.name,
                what: what(),
            });
        }
        let request = encode(request)?;
        if !matches!(self.journal.find(function, &request)?, Found::Answer(_)) {
            let entry = self.entry(function, &request);
            self.journal
                .write(entry.answered(encode(&())?, Phase::Answered))?;
        }
        self.journal.advance();
        Ok(())
    }

    /// Makes an external effect: the intent is on disk before `effect` is made, and an intent
    /// that an earlier leg left is settled.
    pub(super) async fn external<E: External>(
        &mut self,
        function: &'static Function,
        request: &impl Serialize,
        key: Option<String>,
        effect: &E,
    ) -> Result<E::Answer, SeamError> {
        debug_assert_eq!(function.class, Class::External);
        self.budget.take(function)?;
        let request = encode(request)?;
        let (entry, made) = match self.journal.find(function, &request)? {
            Found::Answer(answer) => {
                self.journal.advance();
                return decode(&answer);
            }
            Found::Intent(entry) => {
                until_silent(&self.driver, &entry).await;
                let key = entry.key.clone().unwrap_or_default();
                let reason = "the host stopped before the answer was noted".to_owned();
                (entry, effect.settle(&key, reason).await)
            }
            Found::New => {
                let entry = self
                    .intend(function, &request, key, effect.longest())
                    .await?;
                let key = entry.key.clone().unwrap_or_default();
                let made = match effect.make(&key).await {
                    Made::InDoubt(reason) => effect.settle(&key, reason).await,
                    made => made,
                };
                (entry, made)
            }
        };
        let (answer, phase) = match made {
            Made::Done(answer) => (answer, Phase::Answered),
            Made::NotDone(answer) => (answer, Phase::NotDone),
            Made::InDoubt(reason) => (effect.in_doubt(reason), Phase::Answered),
        };
        self.journal
            .write(entry.answered(encode(&answer)?, phase))?;
        self.journal.advance();
        self.save_unawaited();
        Ok(answer)
    }

    /// Notes an effect that a dry run was asked for.
    pub(super) fn note_asked(&mut self, function: &'static Function, what: String) {
        self.asked.push(Asked {
            function: function.name,
            what,
        });
    }

    /// Writes an intent, with all that was noted before it, and waits until it is on disk.
    async fn intend(
        &mut self,
        function: &Function,
        request: &[u8],
        key: Option<String>,
        longest: Duration,
    ) -> Result<Entry, SeamError> {
        let mut entry = self.entry(function, request);
        let place = self.journal.position();
        entry.key = Some(key.unwrap_or_else(|| effect_key(self.driver.task(), place)));
        let longest = i64::try_from(longest.as_nanos()).unwrap_or(i64::MAX);
        entry.until = Some(self.driver.nanos().saturating_add(longest));
        if let Driver::Live(live) = &self.driver {
            entry.incarnation = Some(live.token.incarnation);
        }
        self.journal.write(entry.clone())?;
        self.save().await?;
        Ok(entry)
    }

    /// Writes what is not on disk yet, and waits for it.
    async fn save(&mut self) -> Result<(), SeamError> {
        self.settle_unawaited().await?;
        if let Some(commit) = self.note() {
            check(commit.await)?;
        }
        Ok(())
    }

    /// Hands what is not on disk yet to the next group commit, and does not wait for it.
    fn save_unawaited(&mut self) {
        if self.unawaited.is_some() {
            return; // what is unsaved goes with the next commit
        }
        if let Some(mut commit) = self.note()
            && commit.as_mut().now_or_never().is_none()
        {
            self.unawaited = Some(commit);
        }
    }

    async fn settle_unawaited(&mut self) -> Result<(), SeamError> {
        match self.unawaited.take() {
            Some(commit) => check(commit.await),
            None => Ok(()),
        }
    }

    /// A commit of the unsaved entries; none in a dry run, or where all is saved.
    fn note(&mut self) -> Option<Answer<'static, Vec<Result<(), BrokerError>>>> {
        let Driver::Live(live) = &self.driver else {
            return None;
        };
        let journal = self.journal.take_unsaved();
        if journal.is_empty() {
            return None;
        }
        let commit = note_of(live, journal, self.committed.blobs.clone());
        let broker = Arc::clone(&live.world.broker);
        Some(Box::pin(async move { broker.commit(vec![commit]).await }))
    }

    /// Keeps the message of a panic, for the failure.
    pub(super) fn note_panic(&mut self, message: String) {
        self.panic = Some(message);
    }

    /// Counts `len` bytes that are handed over to be kept.
    pub(super) fn take_bytes(&mut self, len: usize) -> Result<(), SeamError> {
        self.budget.take_bytes(len)
    }

    /// Whether a line of `len` bytes is within the budget.
    pub(super) fn take_log_line(&mut self, len: usize) -> bool {
        self.budget.take_log_line(len)
    }

    /// Passes a line on to the host's log; a replayed one was passed on before.
    pub(super) fn keep_log_line(&mut self, level: Level, line: &str) {
        if self.journal.is_replaying() {
            return;
        }
        if matches!(self.driver, Driver::Dry(_)) {
            self.lines.push(line.to_owned());
            return;
        }
        let (plugin, handler) = (&self.context.plugin, &self.context.handler);
        match level {
            Level::Trace => tracing::trace!(target: "gwasp::plugin", %plugin, %handler, "{line}"),
            Level::Debug => tracing::debug!(target: "gwasp::plugin", %plugin, %handler, "{line}"),
            Level::Info => tracing::info!(target: "gwasp::plugin", %plugin, %handler, "{line}"),
            Level::Warn => tracing::warn!(target: "gwasp::plugin", %plugin, %handler, "{line}"),
            Level::Error => tracing::error!(target: "gwasp::plugin", %plugin, %handler, "{line}"),
        }
    }

    /// What the worker takes at the end of a leg.
    pub async fn finish(mut self) -> Leg {
        let lost = self.settle_unawaited().await.err();
        Leg {
            lost,
            keep_for_retry: self.journal.keep_for_retry(),
            journal: self.journal.take_unsaved(),
            committed: self.committed,
            panic: self.panic,
            lines: self.lines,
            asked: self.asked,
            log_lines_dropped: self.budget.log_lines_dropped(),
        }
    }

    fn entry(&self, function: &Function, request: &[u8]) -> Entry {
        Entry::new(
            self.journal.position(),
            function,
            request,
            self.driver.nanos(),
        )
    }
}

/// What a run left at its end.
#[derive(Debug)]
pub struct Leg {
    /// Why an entry that was not awaited did not reach the disk.
    pub lost: Option<SeamError>,
    /// Entries that are not on disk yet.
    pub journal: Vec<JournalEntry>,
    /// How many entries a retry replays.
    pub keep_for_retry: u32,
    /// What takes effect with a good outcome.
    pub committed: Committed,
    /// The message of a panic.
    pub panic: Option<String>,
    /// Lines of log, in a dry run.
    pub lines: Vec<String>,
    /// Effects that a dry run was asked for.
    pub asked: Vec<Asked>,
    /// Lines beyond the budget.
    pub log_lines_dropped: u32,
}

/// Waits until the request of an intent that another process may still be making is neither
/// sent nor awaited any more. A process of a former incarnation is dead.
async fn until_silent(driver: &Driver, entry: &Entry) {
    let Driver::Live(live) = driver else {
        return;
    };
    if entry
        .incarnation
        .is_some_and(|incarnation| incarnation < live.token.incarnation)
    {
        return;
    }
    let left = entry.until.unwrap_or(0).saturating_sub(driver.nanos());
    tokio::time::sleep(Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
}

/// The idempotency key of a task's effect: the same on every attempt.
fn effect_key(task: TaskId, place: u32) -> String {
    format!("{task}-{place}")
}

fn note_of(live: &LiveRun, journal: Vec<JournalEntry>, blobs: Vec<[u8; 32]>) -> Commit {
    Commit {
        task: live.task,
        token: live.token,
        version: *live.version.as_bytes(),
        cpu: 0,
        journal,
        kv: Vec::new(),
        spawns: Vec::new(),
        blobs,
        step: Step::Note,
    }
}

fn check(answers: Vec<Result<(), BrokerError>>) -> Result<(), SeamError> {
    answers
        .into_iter()
        .collect::<Result<(), _>>()
        .map_err(SeamError::Broker)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, SeamError> {
    minicbor_serde::to_vec(value).map_err(|error| SeamError::Encoding(Box::new(error)))
}

fn decode<A: DeserializeOwned>(answer: &[u8]) -> Result<A, SeamError> {
    minicbor_serde::from_slice(answer).map_err(|error| SeamError::Encoding(Box::new(error)))
}
