//! What a dry run answers from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use crate::broker::TaskId;
use crate::packet::Digest;
use crate::routes::{Entry, EntryKind, Roles, Route, Routes, TaskOptions};

/// What a dry run answers from.
#[derive(Debug)]
pub struct DryRun {
    /// The moment at which it began; the time stands still.
    pub began: Timestamp,
    /// The task that it stands for.
    pub task: TaskId,
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

/// An answer of a service in a dry run.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DryAnswer {
    /// Method that it answers, e.g. `POST`; every method where it is left out.
    #[serde(default)]
    pub method: Option<String>,
    /// URL that it answers.
    pub url: String,
    /// Status.
    #[serde(default = "status_ok")]
    pub status: u16,
    /// Body.
    #[serde(default)]
    pub body: String,
}

const fn status_ok() -> u16 {
    200
}

impl DryRun {
    /// Makes a dry run of `task` in which services answer `answers`, each once, and then
    /// neutrally. Tasks of the plugin itself are looked up in `routes`.
    pub fn new(
        began: Timestamp,
        task: TaskId,
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
            routes,
            left: Mutex::new(left),
        }
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first answer for a request that was not given yet.
    pub(in crate::effects) fn http_answer(&self, method: &str, url: &str) -> Option<DryAnswer> {
        let answers = &mut self.left().answers;
        let at = answers.iter().position(|(_, answer)| {
            let fits = answer.method.as_ref().is_none_or(|wanted| wanted == method);
            fits && answer.url == url
        })?;
        Some(answers.remove(at).1)
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
