//! Plugins in service: what keeps a running host in step with its plugin directory, and what a
//! person may ask and decide.
//!
//! [`Plugins`] asks; a `Follower` does, one thing after another, so that a decision and a change
//! of the directory never cross. What a person decides is in the broker and outlives the host.

mod follow;
mod load;
mod parts;
mod view;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use crate::broker::BrokerError;
use crate::packet::Digest;
use crate::plugins::{DirectoryError, PermissionError};
use crate::routes::ManifestError;
use crate::text::is_meant;
use crate::workers::PoolError;

pub(crate) use follow::Follower;
pub(crate) use parts::Parts;
pub use view::{PluginState, PluginView, RefusedView, VersionView};

/// Wishes that may wait.
const WISHES: usize = 16;

/// Why plugins cannot be put into service when a host starts.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The broker failed.
    #[error("the broker failed")]
    Broker(#[from] BrokerError),
    /// Others can write to the plugin directory.
    #[error("the plugin directory is refused")]
    Permission(#[from] PermissionError),
    /// A pool cannot be made.
    #[error("a pool cannot be made")]
    Pool(#[from] PoolError),
    /// What a plugin declared when it was loaded last cannot be read by this host. Starting
    /// without it would take its packets and run nothing on them.
    #[error(
        "the routes of plugin `{plugin}` in the store cannot be read by this host; run a newer gwasp, or load the plugin anew"
    )]
    Routes {
        /// The plugin.
        plugin: String,
        /// What is wrong.
        source: ManifestError,
    },
}

/// Why the host did not do what a person asked for.
#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    /// There is no host any more to do it.
    #[error("the host is stopping")]
    Stopping,
    /// The plugin directory cannot be used.
    #[error("what is loaded stays")]
    Directory(#[from] DirectoryError),
    /// Nobody knows this plugin.
    #[error("there is no plugin `{plugin}`{}; `gwasp plugin list` has those there are", is_meant(.nearest.as_deref()))]
    Unknown {
        /// What was asked for.
        plugin: String,
        /// The one that may be meant.
        nearest: Option<String>,
    },
    /// It has no version that new tasks are for.
    #[error(
        "plugin `{0}` has no routes; `gwasp plugin enable {0}` gives them back to one that is \
         disabled, and putting its file into the plugin directory to one that is gone"
    )]
    NoRoutes(String),
    /// There is nothing to go back to.
    #[error("no version of plugin `{0}` before the current one is kept")]
    NoFormer(String),
    /// The version is not known, or its bytes are gone.
    #[error(
        "version {version} of plugin `{plugin}` is not kept; `gwasp plugin show {plugin}` lists those that are"
    )]
    NotKept {
        /// The plugin.
        plugin: String,
        /// What was asked for.
        version: Digest,
    },
    /// The broker failed.
    #[error("the broker failed")]
    Broker(#[from] BrokerError),
}

/// What became of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// The plugin.
    pub plugin: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What becomes of a plugin whose file was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// New runs use this version.
    Loaded {
        /// The version.
        #[schema(value_type = String)]
        version: Digest,
    },
    /// The bytes are those that new runs use already.
    Unchanged {
        /// The version.
        #[schema(value_type = String)]
        version: Digest,
    },
    /// The file has the version that a person went back from.
    PassedOver {
        /// The version.
        #[schema(value_type = String)]
        version: Digest,
    },
    /// The file is refused, and what was loaded before stays.
    Refused {
        /// Why, in one line.
        reason: String,
    },
    /// It is disabled; its file is not looked at.
    Disabled,
    /// Its file is gone, and so are its routes.
    Removed,
}

type Answer<T> = Result<T, PluginsError>;
type Reply<T> = oneshot::Sender<Answer<T>>;

/// What a person asks for.
#[derive(Debug)]
pub(crate) enum Wish {
    Look(Reply<Vec<Reloaded>>),
    List(Reply<Vec<PluginView>>),
    Disable(String, Reply<Vec<Reloaded>>),
    Enable(String, Reply<Vec<Reloaded>>),
    RollBack(String, Option<Digest>, Reply<Vec<Reloaded>>),
}

/// Asks a running host about its plugins, and tells it what to do with them. Clones ask the
/// same host.
#[derive(Clone, Debug)]
pub struct Plugins(mpsc::Sender<Wish>);

impl Plugins {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, granted) = mpsc::channel(WISHES);
        (Self(wishes), granted)
    }

    /// Lists the plugins with their versions, and how many tasks and runs are on each.
    ///
    /// # Errors
    /// [`PluginsError::Broker`] and [`PluginsError::Stopping`].
    pub async fn list(&self) -> Answer<Vec<PluginView>> {
        self.ask(Wish::List).await
    }

    /// Looks at the plugin directory now, takes all that is in it as it is, however new, and
    /// waits until each file is loaded or refused. Files that are gone are gone at once.
    ///
    /// # Errors
    /// [`PluginsError::Directory`] and [`PluginsError::Stopping`].
    pub async fn reload(&self) -> Answer<Vec<Reloaded>> {
        self.ask(Wish::Look).await
    }

    /// Ends the routes of a plugin, whatever the directory has, until it is enabled, over
    /// restarts too. Runs end; tasks that are open wait.
    ///
    /// # Errors
    /// [`PluginsError::Unknown`], [`PluginsError::Broker`] and [`PluginsError::Stopping`].
    pub async fn disable(&self, plugin: &str) -> Answer<Vec<Reloaded>> {
        self.ask(|reply| Wish::Disable(plugin.to_owned(), reply))
            .await
    }

    /// Takes a plugin as the directory has it, and waits until it is loaded or refused.
    ///
    /// # Errors
    /// [`PluginsError::Unknown`], [`PluginsError::Broker`] and [`PluginsError::Stopping`].
    pub async fn enable(&self, plugin: &str) -> Answer<Vec<Reloaded>> {
        self.ask(|reply| Wish::Enable(plugin.to_owned(), reply))
            .await
    }

    /// Goes back to version `to`, else to the one before the current one, over restarts too,
    /// until the directory has another file than now. Tasks that stay on a version stay there.
    ///
    /// # Errors
    /// [`PluginsError`].
    pub async fn roll_back(&self, plugin: &str, to: Option<Digest>) -> Answer<Vec<Reloaded>> {
        self.ask(|reply| Wish::RollBack(plugin.to_owned(), to, reply))
            .await
    }

    async fn ask<T>(&self, wish: impl FnOnce(Reply<T>) -> Wish) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(wish(reply)).await;
        sent.map_err(|_closed| PluginsError::Stopping)?;
        answer.await.unwrap_or(Err(PluginsError::Stopping))
    }
}
