//! What a dry run answers from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use minicbor::bytes::ByteVec;

use crate::broker::TaskId;
use crate::effects::kernels::KernelThreads;
use crate::packet::Digest;
use crate::routes::{Entry, EntryKind, Roles, Route, Routes, TaskOptions};

/// What a dry run answers from.
#[derive(Debug)]
pub struct DryRun {
    /// The moment at which it began; the time stands still.
    pub began: Timestamp,
    /// The task that it stands for.
    pub task: TaskId,
    /// Where heavy computations run.
    pub(in crate::effects) kernels: KernelThreads,
    routes: Arc<Routes>,
    left: Mutex<Left>,
}

/// What changes during the run.
#[derive(Debug)]
struct Left {
    /// With their places in the list that was given.
    answers: Vec<(usize, DryAnswer)>,
    blobs: HashMap<Digest, Bytes>,
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
            blobs: HashMap::new(),
        };
        Self {
            began,
            task,
            kernels,
            routes,
            left: Mutex::new(left),
        }
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

    /// Keeps a blob for this run alone.
    pub(in crate::effects) fn put_blob(&self, digest: Digest, bytes: Bytes) {
        self.left().blobs.insert(digest, bytes);
    }

    /// A blob that this run kept.
    pub(in crate::effects) fn blob(&self, digest: &Digest) -> Option<Bytes> {
        self.left().blobs.get(digest).cloned()
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
