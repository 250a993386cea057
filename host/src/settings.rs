//! The configuration that is in force in a running host, and how another one takes its place.
//!
//! [`Settings`] asks; the host's wiring does it, one reload after another. A configuration that
//! cannot be used changes nothing. What is in force is one value, [`InForce`], which is replaced
//! as a whole after each part has taken what is new; parts that look something up again and again
//! have a table of their own (rights, services), which is replaced before. A run keeps what it
//! began with.
//!
//! Where a configuration comes from, only a [`ConfigSource`] knows: files and environment are the
//! command line's.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::ToSchema;

use crate::config::reload::Changes;
use crate::config::{Config, LogConfig};
use crate::explain::Code;
use crate::rollout::{PluginsError, Reloaded};

/// Reloads that may wait.
const WISHES: usize = 16;

/// Where a host's configuration comes from, and what of it is the process's own.
pub trait ConfigSource: fmt::Debug + Send + Sync {
    /// Reads all layers as they are now.
    ///
    /// # Errors
    /// [`Refusal`].
    fn read(&self) -> Result<Config, Refusal>;

    /// Has the process log so from now on.
    fn apply_log(&self, log: &LogConfig);
}

/// A configuration that nobody changes.
#[derive(Clone, Debug)]
pub struct Unchanging(pub Config);

impl ConfigSource for Unchanging {
    fn read(&self) -> Result<Config, Refusal> {
        Ok(self.0.clone())
    }

    fn apply_log(&self, _log: &LogConfig) {}
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What `gwasp explain` knows it by.
    pub code: Option<Code>,
    /// What is wrong; of a text, with its line and a caret.
    pub text: String,
}

/// Why a reload was not done.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration cannot be used; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The configuration was applied, and the plugin directory cannot be used.
    #[error("the configuration is applied; the plugins are as they were")]
    Plugins(#[from] PluginsError),
    /// There is no host any more to do it.
    #[error("the host is stopping")]
    Stopping,
}

/// What a reload did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReloadAnswer {
    /// Keys of the configuration that differed.
    pub config: Changes,
    /// Plugins whose files were looked at.
    pub plugins: Vec<Reloaded>,
}

/// A configuration, and since when it counts.
#[derive(Clone, Debug)]
pub struct InForce {
    /// It, but for what needs a restart.
    pub config: Config,
    /// Since when.
    pub since: Timestamp,
    /// Who had it read.
    pub by: String,
}

/// The configuration in force beside the one that would be read now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SettingsView {
    /// When the configuration in force was applied.
    #[schema(value_type = String, format = DateTime)]
    pub applied: Timestamp,
    /// Who had it read: the start, a signal, or a caller.
    pub by: String,
    /// What differs from it on disk.
    pub differs: Changes,
    /// Why what is on disk cannot be used, with its code, where it cannot.
    pub unusable: Option<String>,
}

/// A reload that somebody asks for.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Who.
    pub(crate) by: String,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<Result<ReloadAnswer, SettingsError>>,
}

/// Asks a running host to read its configuration again. Clones ask the same host.
#[derive(Clone, Debug)]
pub struct Settings {
    wishes: mpsc::Sender<Wish>,
    in_force: watch::Receiver<Arc<InForce>>,
    source: Arc<dyn ConfigSource>,
}

impl Settings {
    pub(crate) fn channel(
        in_force: watch::Receiver<Arc<InForce>>,
        source: Arc<dyn ConfigSource>,
    ) -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, granted) = mpsc::channel(WISHES);
        let settings = Self {
            wishes,
            in_force,
            source,
        };
        (settings, granted)
    }

    /// Has all layers be read, checked and applied, then the plugin directory be looked at, and
    /// waits for both. `by` is for the log.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub async fn reload(&self, by: &str) -> Result<ReloadAnswer, SettingsError> {
        let (reply, answer) = oneshot::channel();
        let wish = Wish {
            by: by.to_owned(),
            reply,
        };
        let sent = self.wishes.send(wish).await;
        sent.map_err(|_closed| SettingsError::Stopping)?;
        answer.await.unwrap_or(Err(SettingsError::Stopping))
    }

    /// What is in force.
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Compares what is in force with what is on disk now; reads files.
    pub fn view(&self) -> SettingsView {
        let in_force = self.in_force();
        let (differs, unusable) = match self.source.read() {
            Ok(config) => (Changes::between(&in_force.config, &config), None),
            Err(refusal) => (Changes::default(), Some(refusal.to_string())),
        };
        SettingsView {
            applied: in_force.since,
            by: in_force.by.clone(),
            differs,
            unusable,
        }
    }
}
