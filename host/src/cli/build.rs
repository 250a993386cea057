//! `gwasp build`: builds plugins and puts them into a plugin directory.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::places;
use crate::config::Config;
use crate::effects;
use crate::guest_build;
use crate::guest_build::component::Component;
use crate::guest_build::packages;
use crate::guest_build::toolchain::{Choice, Programs, Remedy, Toolchain};
use crate::plugins::{Compiler, Loader, Plugin, Ticker};
use crate::routes::EntryKind;

/// A toolchain that does not come within this time is not waited for any longer.
const REMEDY_LIMIT: Duration = Duration::from_secs(900);

/// Builds plugins, asks each what it is, and puts it into a plugin directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp build                          builds the plugins in this folder into ./plugins
  gwasp build fermi-log --out /srv/p   builds one for the host of /srv/p, which takes it over")]
pub(super) struct Args {
    /// Folders with plugins in or below them.
    #[arg(value_name = "DIR", default_value = ".")]
    paths: Vec<PathBuf>,

    /// Directory that the built plugins are put into.
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    out: PathBuf,

    #[command(flatten)]
    toolchain: ToolchainArgs,
}

/// What plugins are built with.
#[derive(Debug, clap::Args)]
pub(super) struct ToolchainArgs {
    /// Which Rust toolchain builds plugins.
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        env = "GWASP_GUEST_TOOLCHAIN",
        default_value = "auto"
    )]
    toolchain: Choice,

    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

/// Builds, tries and installs every plugin in and below the given folders.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dirs = packages::folders(&args.paths)?;
    // A toolchain file beside the first plugin decides which toolchain is asked.
    let toolchain = toolchain(
        &args.toolchain,
        dirs.first().map_or(Path::new("."), PathBuf::as_path),
    )?;
    let workspaces = packages::find(toolchain.cargo(), &dirs)?;
    let (loader, _ticker) = loader()?;
    for workspace in workspaces {
        let names: Vec<&str> = workspace
            .guests
            .iter()
            .map(|guest| guest.name.as_str())
            .collect();
        let names = names.join(", ");
        writeln!(
            std::io::stderr(),
            "building {names} with {}",
            toolchain.describe()
        )?;
        for component in guest_build::build(&toolchain, &workspace)? {
            install(&component, &loader, &args.out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What tries a plugin in the way a host does.
fn loader() -> anyhow::Result<(Loader, Ticker)> {
    let places = places::all(None, None, &Config::default())?;
    let ticker = Ticker::start()?;
    let loader = Loader::new(
        Compiler::new(places.program, places.cache)?,
        effects::fits,
        &ticker,
    )?;
    Ok((loader, ticker))
}

/// Installs a component that loads; one that does not leaves the old file alone.
fn install(component: &Component, loader: &Loader, out: &Path) -> anyhow::Result<()> {
    let name = &component.name;
    let staged = component.stage(out)?;
    let plugin = loader
        .load_as(name, staged.file())
        .with_context(|| format!("{name} was built, but no host can load it"))?;
    check(&plugin)?;
    if let Some(warning) = warning(component) {
        writeln!(std::io::stderr(), "{warning}")?;
    }
    let path = staged.install()?;
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "{name}: {} bytes, {}",
        component.bytes.len(),
        path.display()
    )?;
    for entry in &plugin.manifest.entries {
        writeln!(
            stdout,
            "  {} {}, queue {}",
            entry.name,
            runs(&entry.kind),
            entry.options.queue
        )?;
    }
    Ok(())
}

/// Refuses a plugin that was built and has nothing in it.
pub(super) fn check(plugin: &Plugin) -> anyhow::Result<()> {
    ensure!(
        !plugin.manifest.entries.is_empty(),
        "{} has no handler; a crate with handlers that nothing names is left out by the \
         linker: `use that_crate as _;` brings it in",
        plugin.name
    );
    Ok(())
}

/// What is said of a component that panics where it asks for the time.
pub(super) fn warning(component: &Component) -> Option<String> {
    component.asks_std_for_time().then(|| {
        format!(
            "warning: {} holds `Instant::now()` or `SystemTime::now()`, which panic in a \
             plugin; use `now()` of gwasp-sdk (`gwasp explain E0305`)",
            component.name
        )
    })
}

/// What makes an entry run, in words.
fn runs(kind: &EntryKind) -> String {
    match kind {
        EntryKind::Handler(keys) => {
            let notices = keys.notices.iter().map(ToString::to_string);
            let nodes = keys.nodes.iter().map(|node| format!("{node:?}"));
            format!("on {}", notices.chain(nodes).collect::<Vec<_>>().join(" "))
        }
        EntryKind::Task => "when it is called".to_owned(),
        EntryKind::Periodic(table) => table.to_string(),
    }
}

/// Finds a toolchain, or opens a route to one.
pub(super) fn toolchain(args: &ToolchainArgs, dir: &Path) -> anyhow::Result<Toolchain> {
    let programs = Programs {
        cargo: std::env::var_os("CARGO")
            .unwrap_or_else(|| "cargo".into())
            .into(),
        rustc: std::env::var_os("RUSTC")
            .unwrap_or_else(|| "rustc".into())
            .into(),
    };
    for route in args.toolchain.routes() {
        if let Some(toolchain) = route.probe(&programs, dir) {
            return Ok(toolchain);
        }
        let Some(remedy) = route.remedy(rustix::process::geteuid().is_root()) else {
            continue;
        };
        if let Err(error) = apply(&remedy, dir, args.yes) {
            writeln!(std::io::stderr(), "{error:#}")?;
        }
        if let Some(toolchain) = route.probe(&programs, dir) {
            return Ok(toolchain);
        }
    }
    bail!(
        "no Rust toolchain here builds for wasm32-unknown-unknown; run `rustup target add \
         wasm32-unknown-unknown`, or on Debian `apt-get install rustc-web cargo-web \
         rust-web-src rust-web-llvm lld-22`, then build again"
    )
}

/// Runs the commands of `remedy`, after saying what they are.
fn apply(remedy: &Remedy, dir: &Path, yes: bool) -> anyhow::Result<()> {
    let lines: Vec<String> = remedy
        .commands
        .iter()
        .map(|command| command.join(" "))
        .collect();
    let mut stderr = std::io::stderr();
    writeln!(stderr, "building plugins needs a WebAssembly toolchain:")?;
    for line in &lines {
        writeln!(stderr, "  {line}")?;
    }
    ensure!(
        !remedy.asks || yes || agreed()?,
        "not run; run it yourself, then build again"
    );
    for (command, line) in remedy.commands.iter().zip(&lines) {
        let succeeded = complete(command, dir).with_context(|| format!("running `{line}`"))?;
        ensure!(succeeded, "`{line}` did not succeed");
    }
    Ok(())
}

/// Asks on a terminal; without one, and in CI, the answer is yes.
fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() || std::env::var_os("CI").is_some() {
        return Ok(true);
    }
    write!(std::io::stderr(), "run this now? [Y/n] ")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("reading the answer")?;
    Ok(matches!(
        answer.trim().to_lowercase().as_str(),
        "" | "y" | "yes"
    ))
}

/// Runs one command to its end, or ends it when its time is over. Its output goes to standard
/// error, which is where a person looks for progress.
fn complete(command: &[String], dir: &Path) -> anyhow::Result<bool> {
    let Some((program, rest)) = command.split_first() else {
        return Ok(true);
    };
    let mut child = Command::new(program)
        .args(rest)
        .current_dir(dir)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::io::stderr())
        .spawn()?;
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if begin.elapsed() > REMEDY_LIMIT {
            child.kill()?;
            child.wait()?;
            bail!("it did not end within {} s", REMEDY_LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
