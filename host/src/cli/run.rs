//! `gwasp run`.

use std::io::IsTerminal as _;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::log::Log;
use super::{exit, places};
use crate::broker::BrokerError;
use crate::complaint::{Said, code_of};
use crate::config::{ByteSize, Config, LimitsConfig, LogConfig, LogFormat};
use crate::explain::code;
use crate::host::{
    End, Host, HostError, Places, supervisor, warn_of_leap_seconds, warn_of_profile,
    warn_of_secrets,
};
use crate::rollout::StartError;
use crate::settings::{ConfigSource, Refusal, Settings};
use crate::stop::StopSignal;

/// Runs the host: listeners, broker and workers in one process.
///
/// The first SIGTERM or Ctrl-C ends it in order, the second at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp run                            serves the plugins in ./plugins; listens to nothing
  gwasp run --config gwasp.toml        listens to the streams of gwasp.toml
  gwasp run --log gwasp=debug          tells each task, too
  gwasp run --max-lifetime 1d          ends after a day, for a supervisor to start it again

A host that ends by itself drains as after SIGTERM, exits with 0, and has lived for 10 s at least
([limits] least_life). Each limit is drawn anew within a tenth of what is given.")]
pub(super) struct Args {
    /// Configuration (TOML).
    #[arg(long, short, value_name = "FILE", env = "GWASP_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of plugins [default: ./plugins].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Directory of the store [default: ./gwasp-state].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// What is logged, e.g. `info`, `gwasp=debug`; goes before `[log] filter`, also at a reload.
    #[arg(long, value_name = "FILTER", env = "GWASP_LOG", value_parser = LogConfig::parse_filter)]
    log: Option<String>,
    /// How it is logged; goes before `[log] format`.
    #[arg(long, value_enum)]
    log_format: Option<Format>,
    #[command(flatten)]
    limits: Limits,
}

/// When the host ends by itself; each goes before its key in `[limits]`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits, under a supervisor that starts the host again")]
struct Limits {
    /// Ends after about so many tasks.
    #[arg(long, value_name = "NUMBER")]
    max_tasks: Option<NonZeroU64>,
    /// Ends when it has about so much resident memory after a task, e.g. `2GiB`.
    #[arg(long, value_name = "SIZE")]
    max_memory: Option<ByteSize>,
    /// Ends after about so long, e.g. `1d`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_lifetime: Option<Duration>,
    /// Aborts when no heartbeat went the way of a packet for so long, e.g. `30s`; for a
    /// supervisor without a watchdog of its own.
    #[arg(long, value_name = "TIME", value_parser = LimitsConfig::parse_watchdog)]
    watchdog: Option<Duration>,
}

impl Limits {
    /// The limits of the configuration, but for those that are given.
    fn over(&self, config: &LimitsConfig) -> LimitsConfig {
        LimitsConfig {
            max_tasks: self.max_tasks.or(config.max_tasks),
            max_memory: self.max_memory.or(config.max_memory),
            max_lifetime: self.max_lifetime.or(config.max_lifetime),
            watchdog: self.watchdog.or(config.watchdog),
            least_life: config.least_life,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The layers of the configuration, and what the command line puts over them.
#[derive(Debug)]
struct Layers {
    named: Option<PathBuf>,
    limits: Limits,
    log: Option<String>,
    log_format: Option<Format>,
    /// Once it is started.
    lines: OnceLock<Log>,
}

impl Layers {
    fn new(args: &Args) -> Self {
        Self {
            named: args.config.clone(),
            limits: args.limits.clone(),
            log: args.log.clone(),
            log_format: args.log_format,
            lines: OnceLock::new(),
        }
    }

    /// What all layers say as they are now.
    fn config(&self) -> anyhow::Result<Config> {
        let config = places::config(self.named.as_deref())?;
        let format = self.log_format.map(|format| match format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        });
        Ok(Config {
            limits: self.limits.over(&config.limits),
            log: LogConfig {
                filter: self.log.clone().unwrap_or(config.log.filter),
                format: format.unwrap_or(config.log.format),
            },
            ..config
        })
    }

    /// Starts the log as `config` has it.
    fn start_log(&self, config: &LogConfig) -> anyhow::Result<()> {
        // Nobody starts it twice.
        drop(self.lines.set(Log::start(config)?));
        Ok(())
    }
}

impl ConfigSource for Layers {
    fn read(&self) -> Result<Config, Refusal> {
        self.config().map_err(|error| Refusal {
            code: code_of(error.as_ref()),
            text: format!("{error:#}"),
        })
    }

    fn apply_log(&self, log: &LogConfig) {
        if let Some(lines) = self.lines.get() {
            lines.apply(log);
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let layers = Arc::new(Layers::new(args));
    let config = match layers.config() {
        Ok(config) => config,
        Err(error) => {
            super::complain(&error);
            return Ok(ExitCode::from(exit::CONFIG));
        }
    };
    layers.start_log(&config.log)?;
    let places = places::all(args.plugins.as_deref(), args.state.as_deref(), &config)?;
    warn_of_profile(&config);
    let named = args.plugins.is_some() || config.plugins.directory.is_some();
    if named && let Err(error) = readable(&places.plugins) {
        super::complain(&error);
        return Ok(ExitCode::from(exit::CONFIG));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("gwasp-io")
        .enable_all()
        .build()
        .context("no threads for the host")?;
    match runtime.block_on(serve(&config, &places, layers)) {
        Ok(End::Clean) => Ok(ExitCode::SUCCESS),
        Ok(End::Hasty) => Ok(ExitCode::FAILURE),
        Ok(End::DiskFailed) => Ok(ExitCode::from(exit::DISK)),
        Err(error) => {
            let code = exit_code(&error);
            super::complain(&explained(error));
            Ok(ExitCode::from(code))
        }
    }
}

/// A directory that somebody named and that is not there is a mistake: a host without its plugins
/// would take packets, and no handler would see them, not even when they are sent again.
fn readable(plugins: &Path) -> anyhow::Result<()> {
    std::fs::read_dir(plugins).map(drop).map_err(|error| {
        let plugins = plugins.display();
        let text = format!(
            "the plugin directory {plugins} cannot be read ({error}); make it, or correct its name"
        );
        Said::new(code::PLUGIN_DIRECTORY, text).into()
    })
}

async fn serve(config: &Config, places: &Places, layers: Arc<Layers>) -> Result<End, HostError> {
    let stop = StopSignal::default();
    watch_signals(stop.clone())?;
    let starting = supervisor::starting();
    let host = Host::new(config, places, stop, layers).await?;
    watch_hangup(host.settings())?;
    warn_of_secrets(config);
    warn_of_leap_seconds();
    if config.listeners.is_empty() {
        warn!(
            target: "gwasp::host",
            "listening to nothing; a configuration names streams, e.g. \
             [listeners.gcn] kind = \"vtp\" brokers = [\"127.0.0.1:8099\"]"
        );
    }
    host.run(|| {
        info!(
            target: "gwasp::host",
            version = env!("CARGO_PKG_VERSION"), pid = std::process::id(),
            store = %places.store.display(), plugins = %places.plugins.display(),
            "ready"
        );
        drop(starting);
        supervisor::ready();
    })
    .await
}

/// Signals that come within this time are one: `timeout` and some shells send to the process and
/// to its group.
const TOGETHER: Duration = Duration::from_millis(200);

/// The first SIGTERM or SIGINT drains, the second stops at once.
fn watch_signals(stop: StopSignal) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = terminal_hangup()?;
    tokio::spawn(async move {
        let mut last: Option<Instant> = None;
        for token in [&stop.drain, &stop.now] {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = hangup.next() => {}
                }
                if last.is_none_or(|last| last.elapsed() > TOGETHER) {
                    break;
                }
            }
            last = Some(Instant::now());
            token.cancel();
        }
    });
    Ok(())
}

/// What the end of the terminal sends to a host that was started on one.
struct TerminalHangup(Option<Signal>);

/// A terminal that goes away must not end a host without a drain. Without a terminal, SIGHUP is
/// a person or a service manager who asks for a reload.
fn terminal_hangup() -> std::io::Result<TerminalHangup> {
    let on_terminal = std::io::stdin().is_terminal();
    on_terminal
        .then(|| signal(SignalKind::hangup()))
        .transpose()
        .map(TerminalHangup)
}

impl TerminalHangup {
    async fn next(&mut self) {
        match &mut self.0 {
            Some(hangup) => drop(hangup.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// Each SIGHUP has the host read its configuration and look at its plugins.
fn watch_hangup(settings: Settings) -> std::io::Result<()> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // What came of it is in the log.
            drop(settings.reload("SIGHUP").await);
        }
    });
    Ok(())
}

/// Why the host did not start, with times as people read them.
fn explained(error: HostError) -> anyhow::Error {
    match error {
        HostError::Store { source, .. } => super::store::explained(*source),
        error => error.into(),
    }
}

fn exit_code(error: &HostError) -> u8 {
    match error {
        HostError::Store { source, .. } => match **source {
            gwasp_store::OpenError::Locked { .. } => exit::TRY_LATER,
            _ if source.is_of_disk() => exit::DISK,
            _ => exit::CONFIG,
        },
        HostError::Broker(BrokerError::Failed { .. } | BrokerError::Full { .. })
        | HostError::Rollout(StartError::Broker(
            BrokerError::Failed { .. } | BrokerError::Full { .. },
        )) => exit::DISK,
        HostError::Rollout(StartError::Routes { .. } | StartError::Permission(_))
        | HostError::Listener { .. }
        | HostError::Compiler(_) => exit::CONFIG,
        _ => 1,
    }
}
