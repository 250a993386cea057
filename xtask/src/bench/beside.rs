//! The host beside Comet and pygcn: the same notices to a handler each.
//!
//! A broker plays the notices as fast as they are taken. Comet starts a command for each, as
//! its users do; pygcn calls a function; ours runs the plugin `fermi-log`, with everything on
//! disk before the receipt. The time goes from the first notice that is sent to the last that a
//! handler is through with.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gwasp_tests::gwasp::{self, ANY_PORT, Gwasp};
use gwasp_tests::process::Process;
use gwasp_tests::sample;

use super::figures::{Figure, median};
use super::process::cpu_seconds;
use crate::build::root;

const BENCH: &str = "beside Comet and pygcn";
const TURNS: u32 = 3;
const NOTICES: usize = 2000;
const LIMIT: Duration = Duration::from_secs(300);
/// Between two looks at what is handled.
const LOOK: Duration = Duration::from_millis(5);

/// A function that does what `fermi-log` does; a line says that it is through.
const PYGCN: &str = r#"
import sys, gcn

def handler(payload, root):
    position = root.find('.//Position2D')
    ra, dec = (float(position.find('.//' + c).text) for c in ('C1', 'C2'))
    print('handled: Fermi GBM at ra %.2f, dec %.2f' % (ra, dec), flush=True)

gcn.listen(host=sys.argv[1], port=int(sys.argv[2]), handler=handler)
"#;

/// Programs that take notices.
#[derive(Clone, Copy)]
enum Subscriber {
    Ours,
    Comet,
    Pygcn,
}

impl Subscriber {
    const ALL: [Self; 3] = [Self::Ours, Self::Comet, Self::Pygcn];

    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Comet => "Comet",
            Self::Pygcn => "pygcn",
        }
    }
}

/// A subscriber that runs, and how to see what it is through with.
struct Running {
    process: Process,
    handled: usize,
    /// A line in it for each notice; without it the process writes lines.
    file: Option<PathBuf>,
}

/// What one subscriber did in one turn.
struct Took {
    rate: f64,
    cpu_ms: f64,
}

/// Plays the notices to each subscriber, in turns.
pub(super) fn figures(
    gwasp: &Gwasp,
    venv: &Path,
    directory: &Path,
    scale: u32,
) -> Result<Vec<Figure>> {
    let stage = Stage {
        gwasp,
        venv,
        directory,
    };
    let notices = directory.join("notices");
    self::notices(&notices, NOTICES)?;
    let mut turns = Subscriber::ALL.map(|subscriber| (subscriber, Vec::new()));
    for _ in 0..TURNS * scale {
        for (subscriber, took) in &mut turns {
            took.push(stage.turn(*subscriber, &notices)?);
        }
    }
    let mut figures = Vec::new();
    for (subscriber, turns) in &turns {
        let name = subscriber.name();
        let rate = turns.iter().map(|took| took.rate).collect();
        let cpu = turns.iter().map(|took| took.cpu_ms).collect();
        figures.push(figure(
            format!("{name}, notices handled"),
            median(rate),
            "/s",
        ));
        figures.push(figure(format!("{name}, CPU per notice"), median(cpu), "ms"));
    }
    Ok(figures)
}

fn figure(figure: String, value: f64, unit: &'static str) -> Figure {
    Figure {
        bench: BENCH,
        figure,
        value,
        unit,
    }
}

/// Fermi's notices over and over until there are `count`, each under an IVORN of its own.
pub(super) fn notices(dir: &Path, count: usize) -> Result<()> {
    fresh(dir)?;
    let mut originals = sample::notices(&root()?.join("examples/notices"))?;
    originals.retain(|notice| notice.handlers.contains(&"log_position"));
    ensure!(
        !originals.is_empty(),
        "no example notice has the handler log_position"
    );
    for copy in 0..count / originals.len() {
        sample::copies(&originals, dir, &format!("{copy:05}"))?;
    }
    Ok(())
}

/// Where it is played.
struct Stage<'a> {
    gwasp: &'a Gwasp,
    venv: &'a Path,
    directory: &'a Path,
}

impl Stage<'_> {
    fn turn(&self, subscriber: Subscriber, notices: &Path) -> Result<Took> {
        let mut replay = self
            .gwasp
            .replay(notices, ANY_PORT, &["--interval", "0s"])?;
        let mut running = self.start(subscriber, replay.address)?;
        let sent = |line: &gwasp_tests::process::Line| line.field("event") == "sent";
        replay.process.wait_for("a notice", LIMIT, sent)?;
        let id = running.process.id();
        let (cpu, began) = (cpu_seconds(id)?, Instant::now());
        while running.handled()? < NOTICES {
            ensure!(
                began.elapsed() < LIMIT,
                "{} handled {} of {NOTICES} notices; {}",
                subscriber.name(),
                running.handled,
                running.process.last_lines()
            );
        }
        let (wall, cpu) = (began.elapsed(), cpu_seconds(id)? - cpu);
        running.process.kill()?;
        replay.process.kill()?;
        Ok(Took {
            rate: NOTICES as f64 / wall.as_secs_f64(),
            cpu_ms: cpu * 1e3 / NOTICES as f64,
        })
    }

    fn start(&self, subscriber: Subscriber, broker: SocketAddr) -> Result<Running> {
        let dir = self.directory.join(subscriber.name());
        fresh(&dir)?;
        let (command, file) = match subscriber {
            Subscriber::Ours => (self.ours(&dir, broker)?, None),
            Subscriber::Comet => {
                let handled = dir.join("handled");
                (self.comet(&dir, broker, &handled)?, Some(handled))
            }
            Subscriber::Pygcn => (self.pygcn(broker), None),
        };
        Ok(Running {
            process: Process::spawn(subscriber.name(), command)?,
            handled: 0,
            file,
        })
    }

    fn ours(&self, dir: &Path, broker: SocketAddr) -> Result<Command> {
        let config = dir.join("gwasp.toml");
        gwasp::write_config(&config, broker, self.gwasp.plugins(), &dir.join("state"))?;
        let mut command = self.gwasp.command();
        command.arg("run").arg("--config").arg(config);
        Ok(command)
    }

    fn comet(&self, dir: &Path, broker: SocketAddr, handled: &Path) -> Result<Command> {
        let script = dir.join("handler");
        let text = format!("#!/bin/sh\nexec wc -c >> '{}'\n", handled.display());
        std::fs::write(&script, text)?;
        std::fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        std::fs::write(handled, "")?;
        let mut command = Command::new(self.venv.join("bin/twistd"));
        command
            .args(["--nodaemon", "--pidfile=", "comet"])
            .arg("--local-ivo=ivo://gwasp.bench/comet")
            .arg("--eventdb=.")
            .arg(format!("--remote={broker}"))
            .arg(format!("--cmd={}", script.display()))
            .current_dir(dir);
        Ok(command)
    }

    fn pygcn(&self, broker: SocketAddr) -> Command {
        let mut command = Command::new(self.venv.join("bin/python"));
        command
            .args(["-c", PYGCN])
            .arg(broker.ip().to_string())
            .arg(broker.port().to_string());
        command
    }
}

impl Running {
    /// How many notices were handled, after a short wait for more.
    fn handled(&mut self) -> Result<usize> {
        if let Some(file) = &self.file {
            std::thread::sleep(LOOK);
            let text = std::fs::read_to_string(file).context("reading what Comet handled")?;
            self.handled = text.lines().count();
        } else if let Some(line) = self.process.next_line(LOOK)
            && line.text.contains("Fermi GBM at ra")
        {
            self.handled += 1;
        }
        Ok(self.handled)
    }
}

/// An empty directory in the place of what an earlier run left.
pub(super) fn fresh(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))
}
