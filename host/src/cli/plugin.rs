//! `gwasp plugin`: the plugins of a running host.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;

use super::control::HostArgs;
use super::table::{self, Column};
use crate::control::RollBack;
use crate::packet::Digest;
use crate::rollout::{Fate, PluginView, Reloaded, VersionView};

/// Looks at the plugins of a running host, and decides about them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp plugin list
  gwasp plugin rollback fermi-log        back to the version before, until the file changes
  gwasp plugin disable fermi-log         it gets no packets until it is enabled")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists plugins, and how many tasks are on each version.
    List(ListArgs),
    /// Shows one plugin with its versions.
    Show(ShowArgs),
    /// Looks at the plugin directory now, and waits until each file is loaded or refused.
    Reload(ReloadArgs),
    /// Takes a plugin that was disabled again.
    Enable(NameArgs),
    /// Ends a plugin's routes until it is enabled; tasks that are open wait.
    Disable(NameArgs),
    /// Goes back to a former version, until the plugin's file is another than now.
    Rollback(RollBackArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    host: HostArgs,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    host: HostArgs,
    /// The plugin.
    plugin: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ReloadArgs {
    #[command(flatten)]
    host: HostArgs,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct NameArgs {
    #[command(flatten)]
    host: HostArgs,
    /// The plugin.
    plugin: String,
}

#[derive(Debug, clap::Args)]
struct RollBackArgs {
    #[command(flatten)]
    host: HostArgs,
    /// The plugin.
    plugin: String,
    /// The version, or its beginning [default: the one before the current one].
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list(&args).await,
        Command::Show(args) => show(&args).await,
        Command::Reload(args) => reload(args).await,
        Command::Enable(args) => decide(&args, "enable").await,
        Command::Disable(args) => decide(&args, "disable").await,
        Command::Rollback(args) => roll_back(&args).await,
    }
}

const COLUMNS: [Column; 6] = [
    Column::stays("PLUGIN"),
    Column::stays("STATE"),
    Column::stays("VERSION"),
    Column::stays("RUNNING"),
    Column::stays("WAITING"),
    Column::out("SINCE", 1),
];

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let plugins: Vec<PluginView> = args.host.get("/v1/plugins").await?;
    if args.json {
        table::print_json(&plugins)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = plugins.iter().flat_map(rows).collect();
    table::print(&COLUMNS, &rows)?;
    for plugin in &plugins {
        if let Some(refused) = &plugin.refused {
            table::say(&format!(
                "{}: its file is refused: {}",
                plugin.plugin, refused.reason
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A row for the plugin, and one for each other version that has tasks.
fn rows(plugin: &PluginView) -> Vec<Vec<String>> {
    let is_current = |version: &VersionView| Some(version.version) == plugin.current;
    let current = plugin.versions.iter().find(|one| is_current(one));
    let mut rows = vec![vec![
        plugin.plugin.clone(),
        super::status::state(plugin.state, plugin.is_shadow),
        plugin
            .current
            .map_or_else(|| "-".to_owned(), |version| version.short().to_string()),
        current.map_or(0, |version| version.running).to_string(),
        (plugin.open + current.map_or(0, |version| version.pinned)).to_string(),
        since(current),
    ]];
    let former = plugin.versions.iter().filter(|one| !is_current(one));
    let busy = former.filter(|one| one.running + one.pinned > 0);
    rows.extend(busy.map(|version| {
        vec![
            String::new(),
            "former".to_owned(),
            version.version.short().to_string(),
            version.running.to_string(),
            version.pinned.to_string(),
            since(Some(version)),
        ]
    }));
    rows
}

fn since(version: Option<&VersionView>) -> String {
    version
        .and_then(|version| version.since)
        .map_or_else(|| "-".to_owned(), |since| format!("{since:.0}"))
}

const VERSIONS: [Column; 7] = [
    Column::stays("VERSION"),
    Column::stays("STATE"),
    Column::stays("RUNNING"),
    Column::stays("STAY ON IT"),
    Column::stays("SET ASIDE"),
    Column::out("KEPT", 2),
    Column::out("SINCE", 1),
];

async fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let plugins: Vec<PluginView> = args.host.get("/v1/plugins").await?;
    let Some(plugin) = plugins.iter().find(|one| one.plugin == args.plugin) else {
        let names: Vec<&str> = plugins.iter().map(|one| one.plugin.as_str()).collect();
        bail!(
            "there is no plugin `{}`; there are {}",
            args.plugin,
            names.join(", ")
        );
    };
    if args.json {
        table::print_json(&[plugin])?;
        return Ok(ExitCode::SUCCESS);
    }
    let state = super::status::state(plugin.state, plugin.is_shadow);
    table::say(&format!("{} is {state}", plugin.plugin))?;
    if let Some(refused) = &plugin.refused {
        table::say(&format!("its file is refused: {}", refused.reason))?;
    }
    if let Some(version) = plugin.passed_over {
        table::say(&format!(
            "its file has version {}, which was gone back from",
            version.short()
        ))?;
    }
    let rows: Vec<Vec<String>> = plugin
        .versions
        .iter()
        .map(|version| {
            vec![
                version.version.short().to_string(),
                standing(plugin, version).to_owned(),
                version.running.to_string(),
                version.pinned.to_string(),
                version.set_aside.to_string(),
                if version.is_kept { "yes" } else { "no" }.to_owned(),
                since(Some(version)),
            ]
        })
        .collect();
    table::print(&VERSIONS, &rows)?;
    Ok(ExitCode::SUCCESS)
}

/// How a version of a plugin stands.
fn standing(plugin: &PluginView, version: &VersionView) -> &'static str {
    let is = |other: Option<Digest>| other == Some(version.version);
    if is(plugin.current) {
        "active"
    } else if is(plugin.passed_over) {
        "gone back from"
    } else {
        "former"
    }
}

async fn reload(args: ReloadArgs) -> anyhow::Result<ExitCode> {
    let fates: Vec<Reloaded> = args.host.post("/v1/plugins/reload", &()).await?;
    if args.json {
        table::print_json(&fates)?;
        return Ok(code(&fates));
    }
    tell(&fates)
}

async fn decide(args: &NameArgs, verb: &str) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/plugins/{}/{verb}", args.plugin);
    tell(&args.host.post::<Vec<Reloaded>>(&path, &()).await?)
}

async fn roll_back(args: &RollBackArgs) -> anyhow::Result<ExitCode> {
    let to = match &args.to {
        Some(beginning) => Some(version(&args.host, &args.plugin, beginning).await?),
        None => None,
    };
    let path = format!("/v1/plugins/{}/rollback", args.plugin);
    tell(
        &args
            .host
            .post::<Vec<Reloaded>>(&path, &RollBack { to })
            .await?,
    )
}

/// The one version of `plugin` that begins so.
async fn version(host: &HostArgs, plugin: &str, beginning: &str) -> anyhow::Result<Digest> {
    let plugins: Vec<PluginView> = host.get("/v1/plugins").await?;
    let versions = plugins
        .iter()
        .filter(|one| one.plugin == plugin)
        .flat_map(|one| &one.versions)
        .map(|one| one.version);
    let found: Vec<Digest> = versions
        .filter(|version| version.to_string().starts_with(beginning))
        .collect();
    match *found {
        [version] => Ok(version),
        [] => bail!(
            "plugin `{plugin}` has no version {beginning}; `gwasp plugin show {plugin}` lists them"
        ),
        _ => bail!("{beginning} is the beginning of several versions of plugin `{plugin}`"),
    }
}

pub(super) fn tell(fates: &[Reloaded]) -> anyhow::Result<ExitCode> {
    if fates.is_empty() {
        table::say("nothing changed in the plugin directory")?;
    }
    for Reloaded { plugin, fate } in fates {
        table::say(&match fate {
            Fate::Loaded { version } => format!("{plugin}: version {} is loaded", version.short()),
            Fate::Unchanged { version } => format!("{plugin}: as before, {}", version.short()),
            Fate::PassedOver { version } => format!(
                "{plugin}: its file has version {}, which was gone back from",
                version.short()
            ),
            Fate::Refused { reason } => {
                format!("{plugin}: refused, what was loaded stays: {reason}")
            }
            Fate::Disabled => format!("{plugin}: disabled; `gwasp plugin enable {plugin}`"),
            Fate::Removed => format!("{plugin}: its file is gone, and so are its routes"),
        })?;
    }
    Ok(code(fates))
}

/// Whether what was asked for came true.
pub(super) fn code(fates: &[Reloaded]) -> ExitCode {
    let is_refused = |one: &Reloaded| matches!(one.fate, Fate::Refused { .. });
    if fates.iter().any(is_refused) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
