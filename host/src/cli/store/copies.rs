//! `gwasp store backup`, `restore` and `compact`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use gwasp_store::{BackupError, Copied, OpenError};
use jiff::Timestamp;

use super::{StoreArgs, explained};
use crate::cli::{complain, exit, table};
use crate::complaint::Said;
use crate::explain::code;
use crate::packet::unix_nanos;

/// Copies the store to another directory while the host runs.
///
/// The copy is one moment of the store. It is a store itself, and paused: whoever runs a host on
/// it sends nothing until `gwasp unpause --all`. On the same file system large payloads are
/// linked, not copied; copy the directory elsewhere to be safe from the disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp store backup /backup/gwasp-2026-11-24
  gwasp store restore /backup/gwasp-2026-11-24 --state /srv/gwasp/store")]
pub(in crate::cli) struct BackupArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Directory that is made; it must not be there, or be empty.
    #[arg(value_name = "DIR")]
    target: PathBuf,
}

/// Brings a backup back as the store of a host that does not run.
///
/// Every row and payload is checked first. The restored store is paused: `gwasp run` takes
/// packets and runs no task until `gwasp unpause --all`. What its tasks may have sent since the
/// backup is asked for at each service before it is sent again; where nobody can be asked, the
/// task is set aside. Its packets are flagged `historic`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RestoreArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Directory of the backup.
    #[arg(value_name = "BACKUP")]
    from: PathBuf,
}

/// Gives space that the database does not need back to the disk.
///
/// The host must be stopped, and the disk have room for a second copy of the database.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CompactArgs {
    #[command(flatten)]
    store: StoreArgs,
}

fn now() -> (i64, String) {
    let now = unix_nanos(Timestamp::now());
    (now, table::second(now))
}

pub(super) fn backup(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let directory = args.store.directory()?;
    drop(args.store.open()?);
    let (now, at) = now();
    let who = format!("the backup of {at}");
    let copied = gwasp_store::backup(&directory, &args.target, &who, now)?;
    let Copied {
        linked,
        copied,
        database,
    } = copied;
    table::say(&format!(
        "backed up to {}: {} of rows, {copied} files of payloads copied, {linked} linked. It is \
         paused; `gwasp store restore` brings it back",
        args.target.display(),
        size(database),
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let directory = args.store.directory()?;
    let (now, at) = now();
    let who = format!("the restore of {at}");
    let copied = match gwasp_store::restore(&args.from, &directory, &who, now) {
        Ok(copied) => copied,
        Err(BackupError::Exists(path)) => {
            let text = format!(
                "{} holds something: stop the host and move it away, or name another directory \
                 with `--state`",
                path.display()
            );
            return Err(Said::new(code::COPY, text).into());
        }
        Err(BackupError::Unsound(found)) => {
            for damage in found.database.iter().chain(&found.damaged) {
                complain(&anyhow!("damaged: {damage}"));
            }
            return Err(BackupError::Unsound(found).into());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("{} is not restored", args.from.display()));
        }
    };
    table::say(&format!(
        "restored to {}: {} of rows and {} files of payloads, all checked. It is paused: start \
         the host, look at `gwasp task list`, then `gwasp unpause --all`",
        directory.display(),
        size(copied.database),
        copied.copied,
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn compact(args: &CompactArgs) -> anyhow::Result<ExitCode> {
    drop(args.store.open()?);
    match gwasp_store::compact(&args.store.directory()?, now().0) {
        Ok((before, after)) => {
            let mut out = std::io::stdout().lock();
            writeln!(out, "from {} to {}", size(before), size(after))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ OpenError::Locked { .. }) => {
            let error = explained(error).context("stop the host, compact, start the host");
            complain(&error);
            Ok(ExitCode::from(exit::TRY_LATER))
        }
        Err(error) => Err(error.into()),
    }
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{} KiB", bytes / KIB),
        _ => format!("{} MiB", bytes / MIB),
    }
}
