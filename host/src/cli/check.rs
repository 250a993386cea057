//! `gwasp check`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::{exit, places};
use crate::plugins::{Compiler, Loader, Ticker, plugin_files};
use crate::routes::{EntryKind, Schedule};

/// Reads the configuration and loads the plugins as `gwasp run` would, and starts nothing.
///
/// Exit code 78 where the configuration cannot be used, 1 where a plugin cannot.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration (TOML).
    #[arg(long, short, value_name = "FILE", env = "GWASP_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of plugins [default: ./plugins].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match places::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            super::complain(&error);
            return Ok(ExitCode::from(exit::CONFIG));
        }
    };
    let places = places::all(args.plugins.as_deref(), None, &config)?;
    let ticker = Ticker::start()?;
    let loader = Loader::new(Compiler::new(places.program, places.cache)?, &ticker)?;
    let mut out = std::io::stdout().lock();
    for name in config.listeners.keys() {
        writeln!(out, "listener  {name}")?;
    }
    let mut failed = false;
    let mut granted: BTreeSet<&str> = config.grants.keys().map(String::as_str).collect();
    let files = plugin_files(&places.plugins).with_context(|| {
        format!(
            "the plugin directory {} cannot be read",
            places.plugins.display()
        )
    })?;
    for path in files {
        match loader.load(&path) {
            Ok(plugin) => {
                granted.remove(plugin.name.as_str());
                writeln!(
                    out,
                    "plugin    {} {}",
                    plugin.name,
                    &plugin.digest.to_string()[..12]
                )?;
                for entry in &plugin.manifest.entries {
                    writeln!(out, "  {:<24} {}", entry.name, describe(&entry.kind))?;
                    if let Err(error) = config.queues.get(&entry.options.queue) {
                        super::complain(&anyhow::Error::new(error));
                        failed = true;
                    }
                }
            }
            Err(error) => {
                let error = anyhow::Error::new(error);
                super::complain(&error.context(format!("{} is refused", path.display())));
                failed = true;
            }
        }
    }
    for plugin in granted {
        let directory = places.plugins.display();
        writeln!(
            out,
            "grant     {plugin}: there is no such plugin in {directory}"
        )?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn describe(kind: &EntryKind) -> String {
    match kind {
        EntryKind::Handler(keys) => {
            let notices = keys.notices.iter().map(ToString::to_string);
            let nodes = keys.nodes.iter().map(|node| format!("\"{node}\""));
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
