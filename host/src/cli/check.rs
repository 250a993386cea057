//! `gwasp check`.

mod connect;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use gwasp_store::{Reader, State, TaskFilter};

use super::{exit, places, table};
use crate::config::{Config, ListenerConfig, Rights};
use crate::effects;
use crate::host::Places;
use crate::listeners::vtp::VtpListener;
use crate::plugins::{Compiler, DirectoryError, Loader, Plugin, Ticker, plugin_files};
use crate::routes::{EntryKind, Schedule};
use crate::services::check_secret;
use crate::text::{is_meant, nearest};

/// Most open tasks of a plugin that are counted.
const COUNTED: u32 = 10_000;

/// Reads the configuration, its files and the store, loads the plugins as `gwasp run` would, and
/// starts nothing. What plugins call without a grant is noted, with the lines to add.
///
/// Exit code 78 where the host would not start, 1 where something in it would not work.
#[derive(Debug, clap::Args)]
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
    /// Try every connection, too: each broker of a listener, and each service.
    #[arg(long)]
    connect: bool,
}

/// What was found to be wrong, by how bad it is.
#[derive(Debug, Default)]
struct Findings {
    would_not_start: bool,
    would_not_work: bool,
}

impl Findings {
    fn would_not_start(&mut self, error: &anyhow::Error) {
        super::complain(error);
        self.would_not_start = true;
    }

    fn would_not_work(&mut self, error: &anyhow::Error) {
        super::complain(error);
        self.would_not_work = true;
    }

    fn exit_code(&self) -> ExitCode {
        if self.would_not_start {
            ExitCode::from(exit::CONFIG)
        } else if self.would_not_work {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match places::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            super::complain(&error);
            return Ok(ExitCode::from(exit::CONFIG));
        }
    };
    let places = places::all(args.plugins.as_deref(), args.state.as_deref(), &config)?;
    let mut findings = Findings::default();
    listeners(&config, &mut findings)?;
    secrets(&config, &mut findings)?;
    let plugins = plugins(&places, &mut findings)?;
    queues(&config, &plugins, &mut findings)?;
    grants(&config, &plugins, &places.plugins)?;
    store(&places, &plugins, &mut findings)?;
    if args.connect {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        runtime.block_on(connect::run(&config, &mut findings))?;
    }
    Ok(findings.exit_code())
}

fn listeners(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, listener) in &config.listeners {
        let ListenerConfig::Vtp(vtp) = listener;
        let brokers: Vec<String> = vtp.brokers.iter().map(ToString::to_string).collect();
        writeln!(out, "listener  {name}: {}", brokers.join(", "))?;
        if let Err(error) = VtpListener::new(vtp.clone()) {
            let error = anyhow::Error::new(error);
            findings.would_not_start(&error.context(format!("listener `{name}` cannot start")));
        }
    }
    if config.listeners.is_empty() {
        writeln!(out, "listener  none: the host would listen to nothing")?;
    }
    Ok(())
}

fn secrets(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, secret) in &config.secrets {
        match check_secret(secret) {
            Ok(()) => writeln!(out, "secret    {name}: for {}", secret.services.join(", "))?,
            Err(error) => {
                let error = anyhow::Error::new(error);
                findings.would_not_work(&error.context(format!("secret `{name}`")));
            }
        }
    }
    Ok(())
}

/// Loads the plugins, and shows what they ask for.
fn plugins(places: &Places, findings: &mut Findings) -> anyhow::Result<Vec<Plugin>> {
    let ticker = Ticker::start()?;
    let compiler = Compiler::new(places.program.clone(), places.cache.clone())?;
    let loader = Loader::new(compiler, effects::fits, &ticker)?;
    let mut out = std::io::stdout().lock();
    let directory = places.plugins.display();
    let files = match plugin_files(&places.plugins) {
        Ok(files) => files,
        Err(error @ DirectoryError::Read { .. }) => {
            findings.would_not_work(&error.into());
            return Ok(Vec::new());
        }
        Err(error @ DirectoryError::Permission(_)) => {
            findings.would_not_start(&error.into());
            return Ok(Vec::new());
        }
    };
    if files.is_empty() {
        writeln!(
            out,
            "plugin    none in {directory}; `gwasp new NAME` makes one, `gwasp build` puts it there"
        )?;
    }
    let mut plugins = Vec::new();
    for path in files {
        match loader.load(&path) {
            Ok(plugin) => {
                let digest = plugin.digest.to_string();
                let name = table::clean(&plugin.name);
                writeln!(out, "plugin    {name} {}", &digest[..12])?;
                for entry in &plugin.manifest.entries {
                    let line = format!("  {:<24} {}", entry.name, describe(&entry.kind));
                    writeln!(out, "{}", table::clean(&line))?;
                }
                plugins.push(plugin);
            }
            Err(error) => {
                let error = anyhow::Error::new(error);
                findings.would_not_work(&error.context(format!("{} is refused", path.display())));
            }
        }
    }
    Ok(plugins)
}

/// Names each queue that is not configured once, however many handlers name it.
fn queues(config: &Config, plugins: &[Plugin], findings: &mut Findings) -> anyhow::Result<()> {
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for plugin in plugins {
        for queue in plugin.manifest.queues() {
            named.entry(queue).or_default().insert(&plugin.name);
        }
    }
    for (queue, plugins) in &named {
        if let Err(error) = config.queues.get(queue) {
            let plugins: Vec<String> = plugins.iter().map(|name| format!("`{name}`")).collect();
            let refused = format!("{} would be refused", plugins.join(", "));
            findings.would_not_work(&anyhow::Error::new(error).context(refused));
        }
    }
    let mut out = std::io::stdout().lock();
    for pool in config.queues.by_default(&named.keys().copied().collect()) {
        writeln!(out, "note      {}", table::clean(&pool.to_string()))?;
    }
    Ok(())
}

/// Grants of nobody, and plugins that call what they have no grant for.
fn grants(config: &Config, plugins: &[Plugin], directory: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let names = || plugins.iter().map(|plugin| plugin.name.as_str());
    let there = |name: &str| names().any(|known| known == name);
    for plugin in config.grants.keys().filter(|name| !there(name)) {
        let directory = directory.display();
        let meant = is_meant(nearest(plugin, names()).as_deref());
        writeln!(
            out,
            "note      [grants.{plugin}]: no such plugin loads from {directory}{meant}"
        )?;
    }
    let rights = Rights::of(config);
    for plugin in plugins {
        let lacks = rights.grant(&plugin.name).lacks(&plugin.calls);
        if !lacks.is_empty() {
            let (name, lines) = (&plugin.name, lacks.join("\n    "));
            writeln!(
                out,
                "note      plugin `{name}` calls what it has no grant for; to allow it, have in \
                 the configuration:\n\n    [grants.{name}]\n    {lines}\n"
            )?;
        }
    }
    Ok(())
}

/// Looks for plugins that the store has routes of and that would not be loaded.
fn store(places: &Places, plugins: &[Plugin], findings: &mut Findings) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let directory = places.store.display();
    if matches!(places.store.try_exists(), Ok(false)) {
        writeln!(out, "store     none yet in {directory}")?;
        return Ok(());
    }
    let reader = match Reader::open(&places.store) {
        Ok(reader) => reader,
        Err(error) => {
            findings.would_not_start(&error.into());
            return Ok(());
        }
    };
    writeln!(out, "store     {directory}")?;
    let (_, routes) = reader.routes()?;
    for route in routes {
        let name = &route.plugin;
        if plugins.iter().any(|plugin| plugin.name == *name) {
            continue;
        }
        let open = match open_tasks(&reader, name)? {
            COUNTED => format!("{COUNTED} or more"),
            open => open.to_string(),
        };
        findings.would_not_work(&anyhow!(
            "plugin `{name}` is in the store and does not load: {open} open tasks of it wait, and \
             packets go on making more; put its file back into {}",
            places.plugins.display()
        ));
    }
    Ok(())
}

fn open_tasks(reader: &Reader, plugin: &str) -> anyhow::Result<u32> {
    let mut open = 0_u32;
    for state in [State::Pending, State::Retry, State::Parked] {
        let filter = TaskFilter {
            state: Some(state),
            plugin: Some(plugin.to_owned()),
            limit: Some(COUNTED - open),
            ..TaskFilter::default()
        };
        let tasks = u32::try_from(reader.tasks(&filter)?.len()).unwrap_or(COUNTED);
        open = COUNTED.min(open + tasks);
    }
    Ok(open)
}

fn describe(kind: &EntryKind) -> String {
    match kind {
        EntryKind::Handler(keys) => {
            let notices = keys.notices.iter().map(ToString::to_string);
            let nodes = keys.nodes.iter().map(|node| format!("{node:?}"));
            notices.chain(nodes).collect::<Vec<_>>().join(", ")
        }
        EntryKind::Task => "task".to_owned(),
        EntryKind::Periodic(Schedule::Cron(cron)) => {
            format!("periodic \"{cron}\" (declared; this version runs no schedules)")
        }
        EntryKind::Periodic(Schedule::Every(every)) => {
            format!("periodic every {every:?} (declared; this version runs no schedules)")
        }
    }
}
