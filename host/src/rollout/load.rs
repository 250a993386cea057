//! Loads one version in the background: reads it, compiles it, asks it what it is, puts its code
//! into the engines of its queues and its bytes into the broker. It changes nothing that runs.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::broker::BrokerError;
use crate::complaint::code_of;
use crate::explain::{Code, code};
use crate::packet::Digest;
use crate::plugins::{LoadError, Plugin, PluginFile};
use crate::routes::Manifest;
use crate::workers::PoolError;

/// Where a version is found.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// In the plugin directory.
    File(PathBuf),
    /// In the broker.
    Kept(Digest),
}

/// What is to become of a version that can run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim {
    /// It is the newest.
    Newest,
    /// A person goes back to it from that of the directory.
    RollBack { instead_of: Digest },
    /// It is what the routing table has, and the directory has nothing better.
    Former,
}

/// What is known of a plugin as its loading begins.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What runs.
    pub(super) current: Option<Digest>,
    /// What a person went back from.
    pub(super) passed_over: Option<Digest>,
    /// What was refused before and need not be looked at again.
    pub(super) refused: Option<Digest>,
    /// The version that the routing table has, where its bytes are kept.
    pub(super) kept: Option<Digest>,
}

/// One version that is to be loaded.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) plugin: String,
    /// Tells it from later ones of the same plugin.
    pub(super) number: u64,
    pub(super) source: Source,
    pub(super) aim: Aim,
    pub(super) known: Known,
    /// Nobody waits for it any more.
    pub(super) given_up: CancellationToken,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) plugin: String,
    pub(super) number: u64,
    pub(super) source: Source,
    pub(super) aim: Aim,
    pub(super) found: Result<Found, Box<Refused>>,
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// It can run.
    Ready(Box<Plugin>),
    /// It is what runs.
    Current(Digest),
    /// It is what a person went back from.
    PassedOver(Digest),
    /// It is what was refused before.
    StillRefused,
}

/// A file that cannot become what runs.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) version: Option<Digest>,
    /// What it declares, where that is not what is wrong.
    pub(super) manifest: Option<Manifest>,
    pub(super) error: Refusal,
}

/// Why a version does not become what runs.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("the broker failed")]
    Broker(#[from] BrokerError),
    #[error("its bytes are not kept any more")]
    NotKept,
    #[error("loading it ended in a panic: this is a defect of the host")]
    Defect,
}

impl Refusal {
    /// Its code.
    pub(super) fn code(&self) -> Option<Code> {
        match self {
            Self::Load(error) => code_of(error),
            Self::Pool(error) => code_of(error),
            Self::Broker(error) => code_of(error),
            Self::NotKept => Some(code::PLUGIN_UNKNOWN),
            Self::Defect => Some(code::RUN_HOST),
        }
    }
}

impl Refused {
    fn because(version: Option<Digest>, error: impl Into<Refusal>) -> Box<Self> {
        Box::new(Self {
            version,
            manifest: None,
            error: error.into(),
        })
    }
}

impl Load {
    /// Loads it.
    pub(super) async fn run(self, parts: Arc<Parts>) -> Loaded {
        let (plugin, number) = (self.plugin.clone(), self.number);
        let (source, aim) = (self.source.clone(), self.aim);
        let found = self.find(parts).await;
        Loaded {
            plugin,
            number,
            source,
            aim,
            found,
        }
    }

    async fn find(self, parts: Arc<Parts>) -> Result<Found, Box<Refused>> {
        let shared = Arc::clone(&parts);
        let kept = self.known.kept;
        let work = tokio::task::spawn_blocking(move || self.prepare(&shared));
        let prepared = work
            .await
            .map_err(|_panic| Refused::because(None, Refusal::Defect))?;
        let (found, bytes) = prepared?;
        if let Found::Ready(plugin) = &found
            && kept != Some(plugin.digest)
        {
            keep(&parts, plugin, bytes).await?;
        }
        Ok(found)
    }

    fn prepare(&self, parts: &Parts) -> Result<(Found, Bytes), Box<Refused>> {
        let file = self
            .read(parts)
            .map_err(|error| Refused::because(None, error))?;
        let digest = file.digest;
        if self.known.current == Some(digest) {
            return Ok((Found::Current(digest), Bytes::new()));
        }
        if matches!(self.source, Source::File(_)) {
            if self.known.passed_over == Some(digest) {
                return Ok((Found::PassedOver(digest), Bytes::new()));
            }
            if self.known.refused == Some(digest) {
                return Ok((Found::StillRefused, Bytes::new()));
            }
        }
        let plugin = parts
            .loader
            .prepare(&file, &self.given_up)
            .map_err(|error| Refused::because(Some(digest), error))?;
        let checked = parts.pools.check(&plugin);
        if let Err(error) = checked.and_then(|()| parts.pools.load(&plugin)) {
            let mut refused = Refused::because(Some(digest), error);
            refused.manifest = Some(plugin.manifest);
            return Err(refused);
        }
        Ok((Found::Ready(Box::new(plugin)), file.bytes))
    }

    fn read(&self, parts: &Parts) -> Result<PluginFile, Refusal> {
        match &self.source {
            Source::File(path) => Ok(PluginFile::placed(&self.plugin, path)?),
            Source::Kept(digest) => {
                let bytes = parts.broker.blob(digest.as_bytes())?;
                let bytes = bytes.ok_or(Refusal::NotKept)?;
                Ok(PluginFile::of_bytes(&self.plugin, bytes))
            }
        }
    }
}

/// Keeps the bytes of a version, for tasks that will stay on it and for going back to it.
async fn keep(parts: &Parts, plugin: &Plugin, bytes: Bytes) -> Result<(), Box<Refused>> {
    let kept = parts.broker.put_blob(bytes).await;
    kept.map(drop)
        .map_err(|error| Refused::because(Some(plugin.digest), error))
}
