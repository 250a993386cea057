//! `gwasp dev`: edit, save, see.
//!
//! One round after another: a change of the source gives up what is under way, builds, loads
//! what was built and runs it dry. Nothing waits for ever, and Ctrl-C ends whatever runs.

mod packets;
mod screen;
mod sources;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::packets::{Packets, Runs};
use self::screen::{Screen, took};
use self::sources::Sources;
use super::build::{self, ToolchainArgs};
use super::control::HostArgs;
use super::test::{self, Row};
use super::{complain, plugin};
use crate::control::Status;
use crate::dryrun::DryPlugin;
use crate::guest_build::attempt::{Attempt, Ended};
use crate::guest_build::component::Component;
use crate::guest_build::packages::{self, Workspace};
use crate::guest_build::toolchain::Toolchain;
use crate::packet::Digest;
use crate::plugins::{Loader, PluginFile, Ticker};
use crate::rollout::Reloaded;

/// How often the source is looked at.
const LOOK: Duration = Duration::from_millis(40);
/// Looking takes at most this part of a processor.
const SHARE: u32 = 20;

/// Watches a plugin's source: builds it when a file is saved, and runs it on a packet.
///
/// Shows the compiler's errors, or the outcome of each handler without any effect: its log, what
/// it asked for, and what differs from the last round. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp dev                                     the notices in ./tests
  gwasp dev my-plugin --packet notice.xml       one notice, which may be edited too
  gwasp dev my-plugin --state gwasp-state       the last packet of a host that it asks for
  gwasp dev my-plugin --reload                  the host that runs here takes each build over")]
pub(super) struct Args {
    /// Folder of the plugin.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Notices to run it on [default: the last packet in the store that it asks for; where there
    /// is no store, DIR/tests/*.xml].
    #[arg(long = "packet", value_name = "FILE", num_args = 1..)]
    packets: Vec<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
    /// What services answer, as `gwasp test` takes it.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Puts each build into the plugin directory of the host that runs on the store.
    #[arg(long)]
    reload: bool,
    #[command(flatten)]
    toolchain: ToolchainArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let dir = packages::folders(std::slice::from_ref(&args.dir))?.remove(0);
    let toolchain = build::toolchain(&args.toolchain, &dir)?;
    let workspace = one_plugin(&toolchain, &dir)?;
    let host = host_directory(&args).await?;
    let packets = packets_of(&args, &dir)?;
    let mut roots = vec![dir.clone()];
    if let Packets::Files(files) = &packets {
        roots.extend(files.iter().cloned());
    }
    roots.extend(args.answers.iter().cloned());
    let ticker = Ticker::start().context("no thread for time limits")?;
    let mut dev = Dev {
        sources: Sources::new(roots, workspace.target_dir.clone()),
        tools: Arc::new(Tools {
            loader: test::loader(&ticker)?,
            ticker,
        }),
        screen: Screen::new(),
        state: State::Idle,
        installed: None,
        began: Timestamp::now(),
        args,
        dir,
        toolchain,
        workspace,
        packets,
        host,
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = dev.rounds() => ended?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    dev.give_up();
    dev.screen.clear()?;
    Ok(ExitCode::SUCCESS)
}

/// The plugin in `dir`, which is one.
fn one_plugin(toolchain: &Toolchain, dir: &Path) -> anyhow::Result<Workspace> {
    let mut found = packages::find(toolchain.cargo(), &[dir.to_owned()])?;
    let workspace = found.pop().context("there is no plugin")?;
    if let [_one] = workspace.guests.as_slice() {
        return Ok(workspace);
    }
    let names: Vec<&str> = workspace.guests.iter().map(|guest| &*guest.name).collect();
    bail!(
        "{} has several plugins: {}; name the folder of one",
        dir.display(),
        names.join(", ")
    )
}

/// Where the host has its plugins that is to take builds over; none where none is.
async fn host_directory(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    if !args.reload {
        return Ok(None);
    }
    let status: Status = args.host.get("/v1/status").await?;
    Ok(Some(status.plugin_directory))
}

fn packets_of(args: &Args, dir: &Path) -> anyhow::Result<Packets> {
    if !args.packets.is_empty() {
        for file in &args.packets {
            std::fs::metadata(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
        }
        return Ok(Packets::Files(args.packets.clone()));
    }
    let store = args.host.store();
    if store.is_named() {
        drop(store.open()?);
        return Ok(Packets::Store(store.directory()?));
    }
    let directory = store.directory()?;
    if directory.is_dir() {
        return Ok(Packets::Store(directory));
    }
    let tests = dir.join("tests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&tests)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    files.sort();
    Ok(if files.is_empty() {
        Packets::None
    } else {
        Packets::Files(files)
    })
}

/// What loads and runs what was built.
#[derive(Debug)]
struct Tools {
    loader: Loader,
    ticker: Ticker,
}

/// What is under way.
#[derive(Debug)]
enum State {
    Idle,
    Building(Box<Attempt>, Instant),
    Running(Running),
}

#[derive(Debug)]
struct Running {
    component: Component,
    built: Duration,
    stop: CancellationToken,
    ran: JoinHandle<anyhow::Result<Ran>>,
}

/// What came of what was built.
#[derive(Debug)]
struct Ran {
    version: Digest,
    loaded: Duration,
    took: Duration,
    rows: Vec<Row>,
}

struct Dev {
    args: Args,
    dir: PathBuf,
    toolchain: Toolchain,
    workspace: Workspace,
    packets: Packets,
    /// Plugin directory of the host that takes builds over.
    host: Option<PathBuf>,
    sources: Sources,
    tools: Arc<Tools>,
    screen: Screen,
    state: State,
    /// The version that the host was given.
    installed: Option<Digest>,
    began: Timestamp,
}

impl Dev {
    /// Goes on until something fails that no edit mends.
    async fn rounds(&mut self) -> anyhow::Result<()> {
        self.build(&[])?;
        loop {
            let looked = Instant::now();
            if let Some(changed) = self.sources.changed(looked) {
                self.give_up();
                self.build(&changed)?;
            }
            let pause = LOOK.max(looked.elapsed() * SHARE);
            self.step(pause).await?;
        }
    }

    /// Ends what is under way.
    fn give_up(&mut self) {
        // A build ends with its value.
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Idle) {
            running.stop.cancel();
        }
    }

    fn build(&mut self, changed: &[PathBuf]) -> anyhow::Result<()> {
        self.screen.begin(&self.dir, changed)?;
        let colours = self.screen.has_colours();
        let attempt = Attempt::start(&self.toolchain, &self.workspace, colours)?;
        self.state = State::Building(Box::new(attempt), Instant::now());
        Ok(())
    }

    /// Goes on with what is under way, for `pause` at most.
    async fn step(&mut self, pause: Duration) -> anyhow::Result<()> {
        match &mut self.state {
            State::Idle => tokio::time::sleep(pause).await,
            State::Building(attempt, since) => match attempt.ended() {
                Ok(None) => {
                    let doing = attempt.progress().unwrap_or_default();
                    let text = format!("build {}  {doing}", took(since.elapsed()));
                    self.screen.progress(&text)?;
                    tokio::time::sleep(pause).await;
                }
                ended => {
                    let built = since.elapsed();
                    self.state = State::Idle;
                    self.built(ended, built)?;
                }
            },
            State::Running(running) => {
                if let Ok(ran) = tokio::time::timeout(pause, &mut running.ran).await {
                    let ran = ran.unwrap_or_else(|_panic| {
                        Err(anyhow!("running it ended in a panic: this is a defect"))
                    });
                    self.ran(ran).await?;
                }
            }
        }
        Ok(())
    }

    /// Shows how a build ended, and runs what came of it.
    fn built(
        &mut self,
        ended: Result<Option<Ended>, crate::guest_build::BuildError>,
        took_so_long: Duration,
    ) -> anyhow::Result<()> {
        let built = match ended {
            Ok(Some(Ended::Built {
                mut components,
                warnings,
            })) => {
                self.screen.compiler(&warnings)?;
                components.pop()
            }
            Ok(Some(Ended::Refused(reasons))) => {
                self.screen.compiler(&reasons)?;
                let text = format!(
                    "build {}: it does not compile; waiting for the next save",
                    took(took_so_long)
                );
                self.screen.say(&text)?;
                None
            }
            Ok(None) => None,
            Err(error) => {
                self.screen.clear()?;
                complain(&error.into());
                self.screen.say("waiting for the next save")?;
                None
            }
        };
        let Some(component) = built else {
            return Ok(());
        };
        if let Some(warning) = build::warning(&component) {
            self.screen.say(&warning)?;
        }
        self.start(component, took_so_long);
        Ok(())
    }

    /// Loads what was built and runs it, on a thread of its own.
    fn start(&mut self, component: Component, built: Duration) {
        let stop = CancellationToken::new();
        let runs = Runs {
            packets: self.packets.clone(),
            answers: self.args.answers.clone(),
            began: self.began,
        };
        let (tools, given_up) = (Arc::clone(&self.tools), stop.clone());
        let bytes = component.bytes.clone();
        let file = PluginFile::of_bytes(&component.name, bytes.into());
        let ran = tokio::task::spawn_blocking(move || tools.run(&file, &runs, &given_up));
        self.state = State::Running(Running {
            component,
            built,
            stop,
            ran,
        });
    }

    /// Shows what came of it, and has the host take it over.
    async fn ran(&mut self, ran: anyhow::Result<Ran>) -> anyhow::Result<()> {
        let State::Running(running) = std::mem::replace(&mut self.state, State::Idle) else {
            return Ok(());
        };
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => {
                self.screen.clear()?;
                complain(&error);
                return Ok(self.screen.say("waiting for the next save")?);
            }
        };
        let times = format!(
            "build {}, compile {}, run {}",
            took(running.built),
            took(ran.loaded),
            took(ran.took)
        );
        self.screen.say(&times)?;
        if matches!(self.packets, Packets::None) {
            self.screen.say(
                "  nothing to run it on: `--packet FILE` names a notice, `--state DIR` a host's \
                 store",
            )?;
        }
        self.screen.runs(&ran.rows)?;
        if let Some(directory) = self.host.clone()
            && self.installed != Some(ran.version)
        {
            let told = self.reload(&running.component, &directory).await;
            match told {
                Ok(told) => self.screen.say(&told)?,
                Err(error) => {
                    self.screen.clear()?;
                    complain(&error);
                }
            }
            self.installed = Some(ran.version);
        }
        Ok(())
    }

    /// Gives what was built to the host, and waits until it runs it or refuses it.
    async fn reload(&self, component: &Component, directory: &Path) -> anyhow::Result<String> {
        component.stage(directory)?.install()?;
        let fates: Vec<Reloaded> = self.args.host.post("/v1/plugins/reload", &()).await?;
        let own = fates.iter().find(|one| one.plugin == component.name);
        Ok(own.map_or_else(
            || format!("host: it has {} as it was", component.name),
            |fate| format!("host: {}", plugin::said(fate)),
        ))
    }
}

impl Tools {
    fn run(&self, file: &PluginFile, runs: &Runs, stop: &CancellationToken) -> anyhow::Result<Ran> {
        let began = Instant::now();
        let name = &file.name;
        let plugin = self
            .loader
            .prepare(file, stop)
            .with_context(|| format!("{name} was built, but no host can load it"))?;
        build::check(&plugin)?;
        let plugin = DryPlugin::new(&plugin, &self.ticker)?;
        let loaded = began.elapsed();
        let began = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let rows = runtime.block_on(runs.run(&plugin, stop))?;
        Ok(Ran {
            version: file.digest,
            loaded,
            took: began.elapsed(),
            rows,
        })
    }
}
