//! What the commands that ask a running host have in common.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::StoreArgs;
use crate::control::{Client, ClientError};

/// How long an action may take: loading plugins waits for compilers.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Which host to ask: the one that runs on a store.
#[derive(Debug, clap::Args)]
pub(super) struct HostArgs {
    #[command(flatten)]
    store: StoreArgs,
}

impl HostArgs {
    /// The store that it runs on.
    pub(super) const fn store(&self) -> &StoreArgs {
        &self.store
    }

    /// The host, or that there is none.
    pub(super) fn client(&self) -> anyhow::Result<Result<Client, PathBuf>> {
        let directory = self.store.directory()?;
        match Client::new(&directory) {
            Ok(client) => Ok(Ok(client)),
            Err(ClientError::NoHost { directory }) => Ok(Err(directory)),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for what is under `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        Ok(self.running()?.get(path).await?)
    }

    /// Has the host do what `path` names.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        Ok(self.running()?.post(path, body, PATIENCE).await?)
    }

    fn running(&self) -> anyhow::Result<Client> {
        let none = |directory: PathBuf| {
            anyhow!(
                "no host runs on the store in {}; `gwasp run` starts one, `--state DIR` names \
                 another store",
                directory.display()
            )
        };
        self.client()?.map_err(none)
    }
}
