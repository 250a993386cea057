//! What a dry run answers from: a journal that an earlier run left, then answers that were
//! written down, then neutral ones.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use minicbor::bytes::ByteVec;

use super::World;
use crate::broker::TaskId;
use crate::effects::function::Function;
use crate::effects::journal::{self, Journal, Phase};
use crate::effects::kernels::KernelThreads;
use crate::effects::noted::CallAnswer;
use crate::packet::Digest;
use crate::routes::{Entry, EntryKind, Roles, Route, Routes, TaskOptions};
use crate::services::HttpServices;

/// How the answer of a function begins that may be refused, and was: `[1, refusal]` in CBOR.
const REFUSED: [u8; 2] = [0x82, 0x01];

/// Where the bytes of blobs come from that an earlier run kept.
pub type BlobSource = Arc<dyn Fn(&Digest) -> Option<Bytes> + Send + Sync>;

/// What a dry run answers from.
pub struct DryRun {
    /// The moment at which it began; the time stands still but where the run sleeps.
    pub began: Timestamp,
    /// The task that it stands for.
    pub task: TaskId,
    /// Where heavy computations run.
    pub(in crate::effects) kernels: KernelThreads,
    routes: Arc<Routes>,
    /// The services that a live task is kept from.
    services: Option<Arc<HttpServices>>,
    blobs: Option<BlobSource>,
    /// The run ends where it asks for more than its journal holds.
    ends_with_journal: bool,
    left: Mutex<Left>,
}

impl std::fmt::Debug for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DryRun")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// What changes during the run.
#[derive(Debug)]
struct Left {
    /// With their places in the list that was given.
    answers: Vec<(usize, DryAnswer)>,
    /// What an earlier run was answered, by function and digest of the request, in order.
    noted: HashMap<(String, [u8; 32]), VecDeque<Vec<u8>>>,
    blobs: HashMap<Digest, Bytes>,
    /// The last moment until which it slept.
    slept: Timestamp,
}

/// An answer that was written down for a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryAnswer {
    /// A service's.
    Http {
        /// Method that it answers, e.g. `POST`; every method where it is left out.
        method: Option<String>,
        /// URL that it answers.
        url: String,
        /// Status.
        status: u16,
        /// Body.
        body: Vec<u8>,
    },
    /// A heavy computation's.
    Kernel {
        /// Its name, e.g. `bayestar.localize`.
        name: String,
        /// What it makes.
        made: Vec<u8>,
    },
    /// A called task's.
    Task {
        /// Its name, as the handler calls it.
        name: String,
        /// Its result, as JSON.
        result: Vec<u8>,
    },
}

impl std::fmt::Display for DryAnswer {
    /// Says what it answers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http { method, url, .. } => {
                let method = method.as_deref().unwrap_or("any method");
                write!(f, "to {method} {url}")
            }
            Self::Kernel { name, .. } => write!(f, "of kernel {name}"),
            Self::Task { name, .. } => write!(f, "of task {name}"),
        }
    }
}

impl DryRun {
    /// Makes a dry run of `task` in which services answer `answers`, each once, and then
    /// neutrally. Tasks of the plugin itself are looked up in `routes`.
    pub fn new(
        began: Timestamp,
        task: TaskId,
        kernels: KernelThreads,
        routes: Arc<Routes>,
        answers: Vec<DryAnswer>,
    ) -> Self {
        let left = Left {
            answers: answers.into_iter().enumerate().collect(),
            noted: HashMap::new(),
            blobs: HashMap::new(),
            slept: began,
        };
        Self {
            began,
            task,
            kernels,
            routes,
            services: None,
            blobs: None,
            ends_with_journal: false,
            left: Mutex::new(left),
        }
    }

    /// Opens blobs that an earlier run kept.
    #[must_use]
    pub fn with_blobs(mut self, blobs: BlobSource) -> Self {
        self.blobs = Some(blobs);
        self
    }

    /// Ends the run where it asks for more than its journal holds.
    #[must_use]
    pub fn ending_with_journal(mut self) -> Self {
        self.ends_with_journal = true;
        self
    }

    /// Whether the run ends where it asks for more than its journal holds.
    pub(in crate::effects) const fn ends_with_journal(&self) -> bool {
        self.ends_with_journal
    }

    /// Makes a dry run of a live task in shadow mode: it answers neutrally, to what the plugin
    /// has a grant for.
    pub fn shadow(world: &Arc<World>, task: TaskId) -> Self {
        let (kernels, routes) = (world.kernels.clone(), world.routes.borrow().clone());
        Self {
            services: Some(Arc::clone(&world.http.borrow())),
            ..Self::new((world.clock)(), task, kernels, routes, Vec::new())
        }
    }

    /// The services that a live task in shadow mode is kept from; none of a run that is no live
    /// task's.
    pub(in crate::effects) fn services(&self) -> Option<&HttpServices> {
        self.services.as_deref()
    }

    /// Answers what `journal` notes before anything else: the same request of the same function
    /// gets the answers that it got, each once and in order, wherever in the run it stands.
    #[must_use]
    pub fn with_noted(self, journal: &Journal) -> Self {
        let mut left = self.left();
        for entry in journal.entries() {
            let is_answered = entry.phase == Phase::Answered
                || (entry.phase == Phase::NotDone && Function::parks(&entry.function));
            if let (true, Some(answer)) = (is_answered, &entry.answer)
                && (!is_of_blobs(entry) || answer.starts_with(&REFUSED))
            {
                let request = (entry.function.clone(), *entry.request);
                let answers = left.noted.entry(request).or_default();
                answers.push_back(answer.to_vec());
            }
        }
        drop(left);
        self
    }

    /// The first noted answer to a request that was not given yet, as CBOR.
    pub(in crate::effects) fn noted(&self, function: &str, request: [u8; 32]) -> Option<Vec<u8>> {
        let mut left = self.left();
        if left.noted.is_empty() {
            return None;
        }
        let answers = left.noted.get_mut(&(function.to_owned(), request))?;
        answers.pop_front()
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first answer for a request that was not given yet.
    pub(in crate::effects) fn http_answer(
        &self,
        method: &str,
        url: &str,
    ) -> Option<(u16, Vec<u8>)> {
        self.take(|answer| match answer {
            DryAnswer::Http {
                method: wanted,
                url: of,
                status,
                body,
            } if of == url && wanted.as_ref().is_none_or(|wanted| wanted == method) => {
                Some((*status, body.clone()))
            }
            DryAnswer::Http { .. } | DryAnswer::Kernel { .. } | DryAnswer::Task { .. } => None,
        })
    }

    /// The first answer for a heavy computation that was not given yet.
    pub(in crate::effects) fn kernel_answer(&self, kernel: &str) -> Option<Vec<u8>> {
        self.take(|answer| match answer {
            DryAnswer::Kernel { name, made } if name == kernel => Some(made.clone()),
            DryAnswer::Http { .. } | DryAnswer::Kernel { .. } | DryAnswer::Task { .. } => None,
        })
    }

    /// The first result of a called task that was not given yet.
    pub(in crate::effects) fn task_answer(&self, task: &str) -> Option<ByteVec> {
        self.take(|answer| match answer {
            DryAnswer::Task { name, result } if name == task => Some(result.clone().into()),
            DryAnswer::Http { .. } | DryAnswer::Kernel { .. } | DryAnswer::Task { .. } => None,
        })
    }

    /// Gives the first answer that fits, once.
    fn take<T>(&self, fits: impl Fn(&DryAnswer) -> Option<T>) -> Option<T> {
        let answers = &mut self.left().answers;
        let (at, answer) = answers
            .iter()
            .enumerate()
            .find_map(|(at, (_, answer))| Some((at, fits(answer)?)))?;
        answers.remove(at);
        Some(answer)
    }

    /// Places of the answers that nobody asked for.
    pub fn unused(&self) -> Vec<usize> {
        self.left()
            .answers
            .iter()
            .map(|(place, _)| *place)
            .collect()
    }

    /// The time.
    pub(in crate::effects) fn now(&self) -> Timestamp {
        self.left().slept
    }

    /// Lets the clock go on to a moment, in nanoseconds since the Unix epoch, if that is later.
    pub(in crate::effects) fn sleep_until(&self, moment: i64) {
        let moment = Timestamp::from_nanosecond(moment.into()).unwrap_or(Timestamp::MAX);
        let mut left = self.left();
        left.slept = left.slept.max(moment);
    }

    /// Keeps a blob for this run alone.
    pub(in crate::effects) fn put_blob(&self, digest: Digest, bytes: Bytes) {
        self.left().blobs.insert(digest, bytes);
    }

    /// A blob that this run kept, or an earlier one.
    pub(in crate::effects) fn blob(&self, digest: &Digest) -> Option<Bytes> {
        let own = self.left().blobs.get(digest).cloned();
        own.or_else(|| self.blobs.as_ref()?(digest))
    }

    /// The task `name` of the plugin that runs; a task of any other is taken to be there.
    pub(in crate::effects) fn task_named(
        &self,
        own: &str,
        plugin: &str,
        name: &str,
    ) -> Result<Arc<Route>, String> {
        if plugin == own {
            self.routes.task(plugin, name)
        } else {
            Ok(Arc::new(assumed(plugin, name)))
        }
    }
}

/// Whether what was answered is a blob, whose bytes are not in the journal: this run makes its
/// own.
fn is_of_blobs(entry: &journal::Entry) -> bool {
    let function = entry.function.as_str();
    function.starts_with("gwasp:blobs/")
        || function.starts_with("gwasp:kernels/")
        || CallAnswer::are_of_blobs(
            function,
            entry.answer.as_deref().map_or(&[], |answer| answer),
        )
}

fn assumed(plugin: &str, name: &str) -> Route {
    Route {
        plugin: plugin.to_owned(),
        entry: Entry {
            name: name.to_owned(),
            kind: EntryKind::Task,
            options: TaskOptions::default(),
            roles: Roles::default(),
            order_by: None,
        },
    }
}
