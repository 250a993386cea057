//! Who answers: the world, or nobody.
//!
//! The *live* driver asks the clock, the broker and services. The *dry* driver makes no
//! committed or external effect; it answers from a journal that it was given, then from an
//! answers file, else with the neutral answers that the WIT names.

mod dry;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub use dry::{BlobSource, DryAnswer, DryRun};

use super::kernels::KernelThreads;
use super::noted::Moment;
use crate::broker::{Broker, TaskId, Token};
use crate::packet::{Digest, unix_nanos};
use crate::routes::Routes;
use crate::services::HttpServices;

/// Where the time comes from, so that tests and simulations can hold it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Answers a run's effects.
#[derive(Clone, Debug)]
pub enum Driver {
    /// The world does.
    Live(Arc<LiveRun>),
    /// Answers that were written down do, else neutral ones.
    Dry(Arc<DryRun>),
}

/// What all live runs have in common.
pub struct World {
    /// Keeps journals, values and blobs.
    pub broker: Arc<dyn Broker>,
    /// Services that plugins may talk to.
    pub http: tokio::sync::watch::Receiver<Arc<HttpServices>>,
    /// The newest routing table.
    pub routes: tokio::sync::watch::Receiver<Arc<Routes>>,
    /// Queues that are served.
    pub queues: tokio::sync::watch::Receiver<BTreeSet<String>>,
    /// Where heavy computations run.
    pub kernels: KernelThreads,
    /// The time.
    pub clock: Clock,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// What a live run needs of the world.
#[derive(Debug)]
pub struct LiveRun {
    /// The world.
    pub world: Arc<World>,
    /// The services as they were when it began.
    pub http: Arc<HttpServices>,
    /// The task that runs.
    pub task: TaskId,
    /// Proof of its lease.
    pub token: Token,
    /// The plugin version that runs.
    pub version: Digest,
    /// Its external effects may have been made before: each is settled before it is made.
    pub is_asked: bool,
}

impl Driver {
    /// The task that runs, or that a dry run stands for.
    pub(super) fn task(&self) -> TaskId {
        match self {
            Self::Live(live) => live.task,
            Self::Dry(dry) => dry.task,
        }
    }

    /// Whether external effects may have been made before the run.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self, Self::Live(live) if live.is_asked)
    }

    /// The time, as a journal has it.
    pub(super) fn now(&self) -> Moment {
        let now = self.timestamp();
        Moment {
            seconds: u64::try_from(now.as_second()).unwrap_or(0),
            nanoseconds: u32::try_from(now.subsec_nanosecond()).unwrap_or(0),
        }
    }

    /// The time.
    pub(super) fn timestamp(&self) -> Timestamp {
        match self {
            Self::Live(live) => (live.world.clock)(),
            Self::Dry(dry) => dry.now(),
        }
    }

    /// The time in nanoseconds since the Unix epoch.
    pub(super) fn nanos(&self) -> i64 {
        unix_nanos(self.timestamp())
    }

    /// Whether no effect is made.
    pub(super) const fn is_dry(&self) -> bool {
        matches!(self, Self::Dry(_))
    }

    /// Whether the run ends where it asks for more than its journal holds.
    pub(super) fn ends_with_journal(&self) -> bool {
        matches!(self, Self::Dry(dry) if dry.ends_with_journal())
    }

    /// What a dry run was given as the answer to this request, as CBOR.
    pub(super) fn noted(&self, function: &str, request: [u8; 32]) -> Option<Vec<u8>> {
        match self {
            Self::Live(_) => None,
            Self::Dry(dry) => dry.noted(function, request),
        }
    }

    /// Random bytes; in a dry run the same for the same task and place in the run.
    pub(super) fn random(&self, len: u32, place: u32) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        match self {
            Self::Live(_) => rand::rng().fill_bytes(&mut bytes),
            Self::Dry(dry) => {
                let mut seed = dry.task.0.to_vec();
                seed.extend(place.to_be_bytes());
                StdRng::from_seed(*Digest::of(&seed).as_bytes()).fill_bytes(&mut bytes);
            }
        }
        bytes
    }
}
