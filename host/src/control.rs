//! Control of a running host: HTTP/JSON under `/v1`, on a Unix socket beside the store.
//!
//! What a person does to a host is an operation of its broker or of its parts, and this is the
//! way to them: the store has one writer, so every other process asks it. Looking at packets,
//! tasks and the ledger needs no host; [`gwasp_store::Reader`] does that beside it.
//!
//! **Invariant:** only the user that the host runs as, and root, may ask; each action is logged
//! with the caller's process and user, which the kernel tells. This module decides nothing: it
//! turns requests into calls and answers into JSON.

mod actions;
mod body;
mod caller;
mod client;
mod connections;
mod problem;
mod routes;
mod socket;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::Operations;
use crate::listeners::state::ListenerState;
use crate::rollout::Plugins;
use crate::routes::Routes;
use crate::settings::Settings;
use crate::stop::StopSignal;
use crate::workers::Pools;

pub use actions::{
    Held, HeldAnswer, HeldRequest, MadeTask, Matching, Pause, PauseRequest, RedispatchAnswer,
    RedispatchRequest, ResumeRequest, Scope, Settled, TaskAnswer, Tasks, TasksRequest,
    UnpauseRequest,
};
pub use caller::own_name;
pub use client::{Client, ClientError};
pub use problem::Problem;
pub use routes::{RollBack, description};
pub use socket::{Socket, SocketError};
pub use status::{
    DiskStatus, Gap, PluginStatus, QueueStatus, Remark, RunningTask, Status, Verdict,
};

/// How long answers that are under way may take once the host has nothing more to say.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What the control of a host reaches.
#[derive(Debug)]
pub struct Control {
    /// Tasks and packets.
    pub broker: Arc<dyn Operations>,
    /// Which handlers a packet matches now.
    pub routes: watch::Receiver<Arc<Routes>>,
    /// One for each connection to a stream.
    pub listeners: watch::Receiver<Vec<Arc<ListenerState>>>,
    /// Where tasks run.
    pub pools: Arc<Pools>,
    /// What is run.
    pub plugins: Plugins,
    /// The configuration in force.
    pub settings: Settings,
    /// The store's directory.
    pub store: PathBuf,
    /// When the host started.
    pub started: Timestamp,
    /// Whether it is stopping.
    pub stop: StopSignal,
}

impl Control {
    /// Answers until `closing`.
    pub async fn serve(self, socket: Socket, closing: CancellationToken) {
        let (listener, _place) = socket.into_parts();
        let router = routes::router(Arc::new(self));
        let serving = connections::serve(listener, router, closing.clone());
        let late = async {
            closing.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            () = serving => {}
            () = late => {}
        }
    }
}
