//! What only a running host knows of tasks: which of them a handler runs for just now.

use std::collections::HashMap;

use anyhow::{Context as _, anyhow};

use crate::cli::complain;
use crate::cli::store::StoreArgs;
use crate::control::{Client, ClientError, RunningTask};

/// What runs on a store.
#[derive(Debug, Default)]
pub(in crate::cli) struct Live {
    /// Whether a host runs on it.
    pub(super) has_host: bool,
    pub(super) running: HashMap<String, RunningTask>,
}

impl Live {
    /// Asks the host that runs on the store, where one does. One that does not answer is told of
    /// on stderr: what is on disk is true without it.
    pub(in crate::cli) async fn ask(store: &StoreArgs) -> anyhow::Result<Self> {
        let client = match Client::new(&store.directory()?) {
            Ok(client) => client,
            Err(ClientError::NoHost { .. }) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let answer: Result<Vec<RunningTask>, ClientError> = client.get("/v1/tasks/running").await;
        let running = match answer {
            Ok(running) => running,
            Err(ClientError::NoHost { .. }) => return Ok(Self::default()),
            Err(error) => {
                let why = Err::<(), _>(error).context("what runs just now is not known");
                complain(&why.err().unwrap_or_else(|| anyhow!("it is not known")));
                Vec::new()
            }
        };
        let by_id = |task: RunningTask| (task.task.clone(), task);
        Ok(Self {
            has_host: true,
            running: running.into_iter().map(by_id).collect(),
        })
    }

    /// The run of a task, where a handler runs for it.
    pub(in crate::cli) fn of(&self, task: &str) -> Option<&RunningTask> {
        self.running.get(task)
    }
}
