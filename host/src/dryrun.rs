//! Runs a plugin against packets without a host: no effect is made, and what was asked for is
//! shown, and held beside what was.

mod compare;
mod edits;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::broker::{Input, JournalEntry, PacketRecord, PacketSeq, Revocation, TaskId};
use crate::config::{Grant, KernelsConfig, QueueConfig};
use crate::dispatch::new_packet;
use crate::effects::bindings::PluginPre;
use crate::effects::{
    self, Asked, BlobSource, Context, Differs, Driver, DryAnswer, DryRun, Journal, KernelThreads,
    Limits, Run, Seam,
};
use crate::packet::{Digest, Packet};
use crate::plugins::{AddressSpace, CompileError, EngineError, Plugin, Ticker, probe_engine};
use crate::routes::{PluginRoutes, Route, Routes, Unmatched};
use crate::task::packet_task_id;
use crate::workers::{Ended, Invocation, guest_input};

pub(crate) use self::compare::{Outcome, Verdict, Was};
pub(crate) use self::edits::{Edit, edits};

/// Why a plugin cannot be run dry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DryRunError {
    /// WebAssembly cannot run here.
    #[error("plugins cannot run")]
    Engine(#[from] EngineError),
    /// Its code does not load.
    #[error("its code does not load")]
    Load(#[from] CompileError),
    /// It imports what this host does not offer.
    #[error("it does not fit this host; build it again with the host's SDK")]
    Link(#[source] wasmtime::Error),
}

/// A plugin that can be run dry.
pub(crate) struct DryPlugin {
    name: String,
    routes: Arc<Routes>,
    pre: PluginPre<Run>,
    ticker: Ticker,
    kernels: KernelThreads,
}

impl std::fmt::Debug for DryPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DryPlugin")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a dry run is given beside its packet.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// The time, which stands still.
    pub(crate) began: Timestamp,
    /// What services answer.
    pub(crate) answers: &'a [DryAnswer],
    /// The journal of an earlier run; its answers come first.
    pub(crate) noted: Option<&'a Journal>,
    /// Where blobs come from that an earlier run kept.
    pub(crate) blobs: Option<&'a BlobSource>,
    /// Ends it early.
    pub(crate) cancelled: &'a CancellationToken,
}

impl std::fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given")
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}

/// The task that a dry run stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stands<'a> {
    /// Its id.
    pub(crate) task: TaskId,
    /// What it is run on.
    pub(crate) input: &'a Input,
    /// Its handler.
    pub(crate) route: &'a Route,
}

/// What a run asks first, entry by entry.
#[derive(Debug)]
pub(crate) enum Replay {
    /// What it likes.
    Nothing,
    /// What this journal holds, then what it likes.
    First(Journal),
    /// What this journal holds; it ends where it asks for more.
    Only(Journal),
}

/// How one handler did on one packet.
#[derive(Debug)]
pub(crate) struct DryOutcome {
    /// `PLUGIN.HANDLER`.
    pub(crate) handler: String,
    /// How it ended.
    pub(crate) ended: Ended,
    /// Effects that it asked for.
    pub(crate) asked: Vec<Asked>,
    /// What it asked for beyond the journal that it replayed, as journals have it.
    pub(crate) journal: Vec<JournalEntry>,
    /// How many effects it passed, replayed ones included.
    pub(crate) position: u32,
    /// Where it asked for another effect than the journal that it replayed holds.
    pub(crate) differs: Option<Differs>,
    /// Places of the answers that it did not ask for.
    pub(crate) unused: Vec<usize>,
    /// Lines that it logged.
    pub(crate) lines: Vec<String>,
    /// Lines beyond its budget.
    pub(crate) lines_dropped: u32,
    /// CPU time.
    pub(crate) cpu: Duration,
    /// Most linear memory, in bytes.
    pub(crate) memory: usize,
}

impl DryPlugin {
    /// Loads `plugin` into an engine of its own.
    ///
    /// # Errors
    /// [`DryRunError`].
    pub(crate) fn new(plugin: &Plugin, ticker: &Ticker) -> Result<Self, DryRunError> {
        let engine: Engine = probe_engine(AddressSpace::of_process())?;
        ticker.drive(&engine);
        let mut linker = Linker::new(&engine);
        effects::link(&mut linker).map_err(DryRunError::Link)?;
        let component = plugin.compiled.load(&engine)?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(PluginPre::new)
            .map_err(DryRunError::Link)?;
        let routes = PluginRoutes {
            plugin: plugin.name.clone(),
            generation: 1,
            digest: plugin.digest,
            manifest: plugin.manifest.clone(),
        };
        Ok(Self {
            name: plugin.name.clone(),
            routes: Arc::new(Routes::new(1, &[routes])),
            pre,
            ticker: ticker.clone(),
            kernels: KernelThreads::new(&KernelsConfig::default()),
        })
    }

    /// The plugin's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The handlers that `packet` matches.
    ///
    /// # Errors
    /// Why no handler matches.
    pub(crate) fn matching(&self, packet: &Packet) -> Result<Vec<Arc<Route>>, Unmatched> {
        self.routes.matching(packet)
    }

    /// Runs each handler that `packet` matches; `answers` are what services answer;
    /// `cancelled` ends it early.
    ///
    /// # Errors
    /// Why no handler matches.
    pub(crate) async fn run(
        &self,
        packet: &Packet,
        answers: &[DryAnswer],
        cancelled: &CancellationToken,
    ) -> Result<Vec<DryOutcome>, Unmatched> {
        let record = Arc::new(PacketRecord {
            seq: PacketSeq(0),
            packet: new_packet(packet),
        });
        let mut outcomes = Vec::new();
        for route in self.matching(packet)? {
            let given = Given {
                began: packet.received,
                answers,
                noted: None,
                blobs: None,
                cancelled,
            };
            outcomes.push(self.run_handler(&record, &route, given).await);
        }
        Ok(outcomes)
    }

    /// The entry of the plugin with this name.
    ///
    /// # Errors
    /// That there is none, and which there are.
    pub(crate) fn entry(&self, name: &str) -> Result<Arc<Route>, String> {
        self.routes.task(&self.name, name)
    }

    /// Runs the handler of `route` on `record`.
    pub(crate) async fn run_handler(
        &self,
        record: &Arc<PacketRecord>,
        route: &Route,
        given: Given<'_>,
    ) -> DryOutcome {
        let identity = Digest::from_bytes(record.packet.identity);
        let stands = Stands {
            task: packet_task_id(&identity, &route.name(), 0),
            input: &Input::Packet(Arc::clone(record)),
            route,
        };
        self.run_task(stands, Replay::Nothing, given).await
    }

    /// Runs the handler of a task.
    pub(crate) async fn run_task(
        &self,
        stands: Stands<'_>,
        replay: Replay,
        given: Given<'_>,
    ) -> DryOutcome {
        let Stands { task, input, route } = stands;
        let (journal, is_only) = match replay {
            Replay::Nothing => (Journal::default(), false),
            Replay::First(journal) => (journal, false),
            Replay::Only(journal) => (journal, true),
        };
        let dry = self.dry_run(task, is_only, &given);
        let seam = self.seam(&route.entry.name, Arc::clone(&dry), journal);
        let invocation = Invocation {
            handler: &route.entry.name,
            input: guest_input(input),
            timeout: route.entry.options.timeout,
            deadline: None,
            memory: QueueConfig::default().memory_bytes(),
            cancelled: given.cancelled,
            revocation: Revocation::default(),
        };
        let invoked = invocation.run(&self.pre, seam, &self.ticker).await;
        let leg = invoked.leg;
        DryOutcome {
            handler: route.name(),
            ended: invoked.ended.explained_by(leg.panic),
            asked: leg.asked,
            journal: leg.journal,
            position: leg.position,
            differs: leg.differs,
            unused: dry.unused(),
            lines: leg.lines,
            lines_dropped: leg.log_lines_dropped,
            cpu: invoked.cpu,
            memory: invoked.memory,
        }
    }

    fn dry_run(&self, task: TaskId, is_only: bool, given: &Given<'_>) -> Arc<DryRun> {
        let (routes, kernels) = (Arc::clone(&self.routes), self.kernels.clone());
        let answers = given.answers.to_vec();
        let mut dry = DryRun::new(given.began, task, kernels, routes, answers);
        if let Some(journal) = given.noted {
            dry = dry.with_noted(journal);
        }
        if let Some(blobs) = given.blobs {
            dry = dry.with_blobs(Arc::clone(blobs));
        }
        if is_only {
            dry = dry.ending_with_journal();
        }
        Arc::new(dry)
    }

    fn seam(&self, handler: &str, dry: Arc<DryRun>, journal: Journal) -> Seam {
        // A dry run makes no effect, so that everything may be asked for.
        let everything = Grant {
            kv: true,
            blobs: true,
            kernels: true,
            tasks: vec!["*.*".to_owned()],
            ..Grant::default()
        };
        let context = Context {
            plugin: self.name.clone(),
            handler: handler.to_owned(),
            grant: Arc::new(everything),
        };
        Seam::new(context, Driver::Dry(dry), Limits::default(), journal)
    }
}
