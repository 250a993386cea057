//! The host's log, on stderr: what passes, how it is written, and repeats in one line.

mod repeats;

use std::fmt;
use std::io::IsTerminal as _;

use anyhow::anyhow;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogConfig, LogFormat};
use repeats::Repeats;

type Folding = tracing_subscriber::layer::Layered<Repeats, Registry>;
type Lines = Box<dyn Layer<Folding> + Send + Sync>;
type Written = tracing_subscriber::layer::Layered<reload::Layer<Lines, Folding>, Folding>;

/// The log of this process, once it is started.
#[derive(Clone)]
pub(super) struct Log {
    filter: Handle<EnvFilter, Written>,
    lines: Handle<Lines, Folding>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// Starts the log; a process has one.
    pub(super) fn start(config: &LogConfig) -> anyhow::Result<Self> {
        let (lines, lines_handle) = reload::Layer::new(lines(config.format));
        let (filter, filter_handle) = reload::Layer::new(filter(config));
        tracing_subscriber::registry()
            .with(Repeats::start()?)
            .with(lines)
            .with(filter)
            .try_init()
            .map_err(|error| anyhow!("the log cannot be started: {error}"))?;
        Ok(Self {
            filter: filter_handle,
            lines: lines_handle,
        })
    }

    /// Logs so from the next line on.
    pub(super) fn apply(&self, config: &LogConfig) {
        // Both fail only where the log is gone.
        drop(self.lines.reload(lines(config.format)));
        drop(self.filter.reload(filter(config)));
    }
}

/// What passes. Lines about folded ones do always: what they stand for has passed.
fn filter(config: &LogConfig) -> EnvFilter {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    if filter.max_level_hint() == Some(LevelFilter::OFF) {
        return filter;
    }
    match repeats::ALWAYS.parse() {
        Ok(always) => filter.add_directive(always),
        Err(_) => filter,
    }
}

fn lines(format: LogFormat) -> Lines {
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(is_coloured)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}
