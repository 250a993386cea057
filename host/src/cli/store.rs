//! `gwasp store`, and the options of all commands that look into a store.

mod check;
mod copies;
mod export;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use gwasp_store::{OpenError, Reader};

use super::{places, table};
use crate::complaint::Said;
use crate::config::Config;
use crate::explain::code;

/// Checks, copies and writes out what is kept.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Compact(copies::CompactArgs),
    Export(export::Args),
    Backup(copies::BackupArgs),
    Restore(copies::RestoreArgs),
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Compact(args) => copies::compact(args),
        Command::Export(args) => export::run(args),
        Command::Backup(args) => copies::backup(args),
        Command::Restore(args) => copies::restore(args),
    }
}

/// Which store to look into.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    /// Configuration (TOML) that names the store.
    #[arg(long, short, value_name = "FILE", env = "GWASP_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the store [default: ./gwasp-state].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// How much of a list to show, and how.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(super) limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    pub(super) json: bool,
}

impl StoreArgs {
    /// The directory of the store.
    pub(super) fn directory(&self) -> anyhow::Result<PathBuf> {
        // One that is named needs no configuration, which may be what somebody mends.
        let config = match self.state {
            Some(_) => Config::default(),
            None => self.config().context(
                "nothing says where the store is; `--state DIR` does, without a configuration",
            )?,
        };
        places::store(self.state.as_deref(), &config)
    }

    /// Whether somebody named it, or its configuration.
    pub(super) const fn is_named(&self) -> bool {
        self.config.is_some() || self.state.is_some()
    }

    /// The configuration that names it.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        places::config(self.config.as_deref())
    }

    /// Opens the store for reading; a host may be running on it.
    pub(super) fn open(&self) -> anyhow::Result<Reader> {
        open(&self.directory()?)
    }
}

/// Opens the store in `directory` for reading; says whether it is missing or cannot be read.
fn open(directory: &Path) -> anyhow::Result<Reader> {
    let place = directory.display();
    match std::fs::read_dir(directory) {
        Ok(_) => Reader::open(directory).with_context(|| {
            format!("no store can be read in {place}; `--state DIR` names another")
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = format!(
                "there is no store in {place}; `gwasp run` makes one, `--state DIR` names another"
            );
            Err(Said::new(code::NO_STORE, text).into())
        }
        Err(error) => {
            let text = format!(
                "the store in {place} cannot be read; be the user who runs the host ({error})"
            );
            Err(Said::new(code::STORE_ACCESS, text).into())
        }
    }
}

/// Why a store does not open, with times as people read them.
pub(super) fn explained(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Locked { dir, pid, started } => {
            let text = format!(
                "the store {} is in use by process {pid} since {}; stop that process or give \
                 this one another directory",
                dir.display(),
                table::moment(started)
            );
            Said::new(code::STORE_IN_USE, text).into()
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::open;

    #[track_caller]
    fn check(directory: &std::path::Path, says: &str) {
        let error = format!("{:#}", open(directory).unwrap_err());
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn a_store_that_is_missing_is_told_from_one_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        check(&dir.path().join("none"), "there is no store");
        check(dir.path(), "no store can be read");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        check(&file, "cannot be read; be the user");
    }
}
