//! `gwasp systemd install`: writes the units of `examples/systemd` for this program.
//!
//! It writes files and runs nothing: what is to be done with systemd is printed.

mod unit;

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};

use super::places;

/// Runs the host under systemd: writes the units.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Writes the units, and says what to do with them.
    Install(Install),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp systemd install                 for you alone, in ~/.config/systemd/user
  gwasp systemd install --dry-run       shows the units
  sudo gwasp systemd install --system   for this machine, in /etc/systemd/system")]
struct Install {
    /// For the user who runs this; needs no root. The default.
    #[arg(long, conflicts_with = "system")]
    user: bool,
    /// For this machine.
    #[arg(long)]
    system: bool,
    /// Configuration that the service reads [default: ~/.config/gwasp/gwasp.toml or
    /// /etc/gwasp/gwasp.toml].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Shows the files and writes none.
    #[arg(long)]
    dry_run: bool,
    /// Writes over units that are there and differ.
    #[arg(long)]
    force: bool,
}

/// Where a kind of units lies, and what is in it.
struct Kind {
    directory: PathBuf,
    /// The configuration that the unit names.
    config: PathBuf,
    /// How the manager of these units is called.
    systemctl: &'static str,
    service: &'static str,
    target: &'static str,
    /// The program and the configuration in `service`.
    named: [&'static str; 2],
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Action::Install(install) = &args.action;
    let kind = if install.system {
        Kind::system()
    } else {
        Kind::user()?
    };
    let program = std::env::current_exe().context("the path of this program is not known")?;
    if install.system && is_hidden(&program) {
        bail!(
            "{} cannot be run by a service of the machine, which sees nobody's home; \
             `install gwasp /usr/local/bin/gwasp`, then `/usr/local/bin/gwasp systemd install --system`",
            program.display()
        );
    }
    let config = match &install.config {
        Some(config) => std::path::absolute(config)
            .with_context(|| format!("`{}` is no path", config.display()))?,
        None => kind.config.clone(),
    };
    let words = [unit::word(&program)?, unit::word(&config)?];
    let mut service = kind.service.to_owned();
    for (named, word) in kind.named.iter().zip(&words) {
        service = service.replace(named, word);
    }
    let files = [
        ("gwasp.service", service.as_str()),
        ("gwasp.target", kind.target),
    ];
    if install.dry_run {
        for (name, text) in files {
            print(&format!(
                "# {}\n{text}\n",
                kind.directory.join(name).display()
            ))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for (name, text) in files {
        write(&kind.directory.join(name), text, install.force)?;
    }
    print(&next(&kind, &config, install))?;
    Ok(ExitCode::SUCCESS)
}

impl Kind {
    fn user() -> anyhow::Result<Self> {
        let home = places::config_home()?;
        Ok(Self {
            directory: home.join("systemd/user"),
            config: home.join("gwasp/gwasp.toml"),
            systemctl: "systemctl --user",
            service: include_str!("../../../examples/systemd/gwasp.service"),
            target: include_str!("../../../examples/systemd/gwasp.target"),
            named: ["%h/.local/bin/gwasp", "%h/.config/gwasp/gwasp.toml"],
        })
    }

    fn system() -> Self {
        Self {
            directory: PathBuf::from("/etc/systemd/system"),
            config: PathBuf::from("/etc/gwasp/gwasp.toml"),
            systemctl: "sudo systemctl",
            service: include_str!("../../../examples/systemd/system/gwasp.service"),
            target: include_str!("../../../examples/systemd/system/gwasp.target"),
            named: ["/usr/local/bin/gwasp", "/etc/gwasp/gwasp.toml"],
        }
    }
}

/// Whether `ProtectHome=yes` or `PrivateTmp=yes` hides a program.
fn is_hidden(program: &Path) -> bool {
    ["/home", "/root", "/run/user", "/tmp", "/var/tmp"]
        .iter()
        .any(|hidden| program.starts_with(hidden))
}

/// Writes a unit. One that is there and differs may hold somebody's work.
fn write(file: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let at = || format!("{} cannot be written", file.display());
    match std::fs::read_to_string(file) {
        Ok(present) => ensure!(
            present == text || force,
            "{} is there and differs; `--force` writes over it, `--dry-run` shows what would be \
             written. Changes of your own are safe in a drop-in (`systemctl edit`)",
            file.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(at),
    }
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).with_context(at)?;
    }
    std::fs::write(file, text).with_context(at)
}

fn print(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}

/// What is left to be done, as lines to copy.
fn next(kind: &Kind, config: &Path, install: &Install) -> String {
    let (directory, systemctl) = (kind.directory.display(), kind.systemctl);
    let shown = config.display();
    let write = (!config.exists()).then(|| format!("write {shown}, then"));
    let linger =
        (!install.system).then(|| "loginctl enable-linger    # stays when you log out".to_owned());
    let steps = [
        write,
        Some(format!("gwasp check --config {shown}")),
        Some(format!("{systemctl} daemon-reload")),
        linger,
        Some(format!("{systemctl} enable --now gwasp.target")),
        Some(format!("{systemctl} status gwasp.service")),
    ];
    let steps: String = steps
        .iter()
        .flatten()
        .map(|step| format!("  {step}\n"))
        .collect();
    format!("gwasp.service and gwasp.target are in {directory}. What is left to do:\n{steps}")
}
