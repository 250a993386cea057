//! Runs a plugin against packets without a host: no effect is made, and what was asked for is
//! shown.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::broker::{Input, PacketRecord, PacketSeq, TaskId};
use crate::config::{Grant, KernelsConfig, QueueConfig};
use crate::dispatch::new_packet;
use crate::effects::bindings::PluginPre;
use crate::effects::{
    self, Asked, Context, Driver, DryAnswer, DryRun, Journal, KernelThreads, Limits, Run, Seam,
};
use crate::packet::Packet;
use crate::plugins::{AddressSpace, CompileError, EngineError, Plugin, Ticker, probe_engine};
use crate::routes::{PluginRoutes, Routes, Unmatched};
use crate::task::packet_task_id;
use crate::workers::{Ended, Invocation, guest_input};

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

/// How one handler did on one packet.
#[derive(Debug)]
pub(crate) struct DryOutcome {
    /// `PLUGIN.HANDLER`.
    pub(crate) handler: String,
    /// How it ended.
    pub(crate) ended: Ended,
    /// Effects that it asked for.
    pub(crate) asked: Vec<Asked>,
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

    /// Runs each handler that `packet` matches; `answers` are what services answer.
    ///
    /// # Errors
    /// Why no handler matches.
    pub(crate) async fn run(
        &self,
        packet: &Packet,
        answers: &[DryAnswer],
    ) -> Result<Vec<DryOutcome>, Unmatched> {
        let record = Arc::new(PacketRecord {
            seq: PacketSeq(0),
            packet: new_packet(packet),
        });
        let mut outcomes = Vec::new();
        for route in self.routes.matching(packet)? {
            let handler = route.name();
            let task = packet_task_id(&packet.identity, &handler, 0);
            let dry = self.dry_run(task, answers);
            let seam = self.seam(&route.entry.name, Arc::clone(&dry));
            let never = CancellationToken::new();
            let invocation = Invocation {
                handler: &route.entry.name,
                input: guest_input(&Input::Packet(Arc::clone(&record))),
                timeout: route.entry.options.timeout,
                deadline: None,
                memory: QueueConfig::default().memory_bytes(),
                cancelled: &never,
            };
            let invoked = invocation.run(&self.pre, seam, &self.ticker).await;
            outcomes.push(DryOutcome {
                handler,
                ended: invoked.ended.explained_by(invoked.leg.panic),
                asked: invoked.leg.asked,
                unused: dry.unused(),
                lines: invoked.leg.lines,
                lines_dropped: invoked.leg.log_lines_dropped,
                cpu: invoked.cpu,
                memory: invoked.memory,
            });
        }
        Ok(outcomes)
    }

    fn dry_run(&self, task: TaskId, answers: &[DryAnswer]) -> Arc<DryRun> {
        let (routes, kernels) = (Arc::clone(&self.routes), self.kernels.clone());
        let answers = answers.to_vec();
        Arc::new(DryRun::new(
            Timestamp::now(),
            task,
            kernels,
            routes,
            answers,
        ))
    }

    fn seam(&self, handler: &str, dry: Arc<DryRun>) -> Seam {
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
        Seam::new(
            context,
            Driver::Dry(dry),
            Limits::default(),
            Journal::default(),
        )
    }
}
