//! Measures the host beside the floors that it stands on, in one run.
//!
//! Machines differ and are noisy; what counts are ratios between figures of one run. The floor
//! of an invocation is the same component in bare wasmtime, that of a task is the bare store.
//! Floor and host take turns, and a ratio is the median of the turns' ratios.
//!
//! The load that is measured under is made here too; its CPU time is a figure of its own and
//! is in no other. This module knows no bars: which figure is good enough is for the reader.

mod fixture;
mod invocation;
mod latency;
mod tasks;
mod timing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::broker::BrokerError;
use crate::intake::NotKept;
use crate::listeners::vtp::TlsSetupError;
use crate::plugins::{CompileError, Compiler, EngineError, LoadError, Loader, Plugin, Ticker};
use crate::services::HttpError;
use crate::workers::PoolError;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A fresh sandbox and one call, beside bare wasmtime.
    Invocation,
    /// Durable tasks per second and their CPU time, beside the bare store.
    Tasks,
    /// The time from a broker's socket to a handler.
    Latency,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured, e.g. `invocation`.
    pub bench: &'static str,
    /// Which figure of it, e.g. `bare wasmtime, median`.
    pub figure: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit, e.g. `µs`.
    pub unit: &'static str,
}

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The plugin with the handlers that are run.
    pub plugin: PathBuf,
    /// Where stores are made, and removed again.
    pub directory: PathBuf,
    /// Multiplies the number of turns.
    pub scale: u32,
    /// Slots of the pool, and threads of the bare store.
    pub slots: u16,
}

/// Why something cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The plugin does not load.
    #[error(
        "the plugin {} does not load; `gwasp build tests/guests/bench` in GWASP's repository makes it",
        path.display()
    )]
    Plugin {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: LoadError,
    },
    /// Tasks failed, or were not made.
    #[error(
        "of {wanted} tasks of notice type {notice_type}, {succeeded} ended well: another plugin?"
    )]
    Handlers {
        /// The notice type.
        notice_type: u16,
        /// How many tasks ended well.
        succeeded: u64,
        /// How many should have.
        wanted: u64,
    },
    /// Compiled code does not load.
    #[error("its compiled code does not load")]
    Compile(#[from] CompileError),
    /// WebAssembly cannot run here.
    #[error("plugins cannot run")]
    Engine(#[from] EngineError),
    /// wasmtime failed.
    #[error("wasmtime failed")]
    Wasm(#[from] wasmtime::Error),
    /// A call did not end well.
    #[error("a call of the plugin did not end well: {0}")]
    Call(String),
    /// A pool cannot be made.
    #[error("a pool cannot be made")]
    Pool(#[from] PoolError),
    /// A packet was not kept.
    #[error("a packet was not kept")]
    NotKept(#[from] NotKept),
    /// The store failed.
    #[error("the store failed")]
    Broker(#[from] BrokerError),
    /// The store does not open.
    #[error("the store does not open")]
    Open(#[from] gwasp_store::OpenError),
    /// The listener cannot be made.
    #[error("the listener cannot be made")]
    Listener(#[from] TlsSetupError),
    /// There is no TLS.
    #[error("services cannot be made")]
    Http(#[from] HttpError),
    /// A file, socket or thread failed.
    #[error("a file, socket or thread failed")]
    Io(#[from] std::io::Error),
    /// What was sent did not end in time.
    #[error("tasks did not end well within {0:?}")]
    Stuck(Duration),
}

/// What all measurements need.
#[derive(Debug)]
pub struct Bench {
    settings: Settings,
    loader: Arc<Loader>,
    plugin: Arc<Plugin>,
    ticker: Ticker,
    /// Threads as a host has them, for sockets and dispatch.
    runtime: tokio::runtime::Runtime,
    /// The median of a call in bare wasmtime, in microseconds, once it was measured.
    bare_call: Option<f64>,
}

impl Bench {
    /// Loads the plugin.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn new(compiler: Compiler, settings: Settings) -> Result<Self, BenchError> {
        let ticker = Ticker::start()?;
        let loader = Loader::new(compiler, crate::effects::fits, &ticker)?;
        let plugin = loader.load(&settings.plugin);
        let plugin = plugin.map_err(|source| BenchError::Plugin {
            path: settings.plugin.clone(),
            source,
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        Ok(Self {
            settings,
            loader: Arc::new(loader),
            plugin: Arc::new(plugin),
            ticker,
            runtime,
            bare_call: None,
        })
    }

    /// Measures one part.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn run(&mut self, part: Part) -> Result<Vec<Figure>, BenchError> {
        match part {
            Part::Invocation => self.invocation(),
            Part::Tasks => self.tasks(),
            Part::Latency => self.latency(),
        }
    }
}

/// Figures that tell a reader what the others are worth: cores, and how busy they were.
pub fn machine() -> Vec<Figure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = std::fs::read_to_string(Path::new("/proc/loadavg")).unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse().ok());
    let figure = |figure, value, unit| Figure {
        bench: "machine",
        figure,
        value,
        unit,
    };
    let scan = wasmtime::PoolingAllocationConfig::is_pagemap_scan_available();
    vec![
        figure("cores", cores as f64, ""),
        figure("load average, one minute", load.unwrap_or(0.0), ""),
        figure(
            "pagemap scan (1: the kernel has it)",
            f64::from(u8::from(scan)),
            "",
        ),
    ]
}
