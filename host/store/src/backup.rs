//! Copies of a store: taken while its host runs, and brought back.
//!
//! A backup is a store that does nothing by itself, whoever opens it: everything in it is paused,
//! its packets are historic, and tasks that are open may have made their external effects since,
//! so that each is settled before it is made.
//!
//! The rows are one snapshot, which the writer is not stopped for. Segment files are linked, or
//! copied where they cannot be; those that may still be written to are copied in any case. A file
//! that is linked is never changed, only removed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::OpenError;
use crate::ledger::Verification;
use crate::open::{check_format, lock, lock_shared, make_dir, open_database, sync_dir};
use crate::pause::{Pause, Scope};
use crate::reader::Reader;
use crate::record::Nanos;
use crate::schema::{DATABASE, LIVING, pause_seal, prepare};
use crate::segments::{Kind, number_of, path_of};

const SEGMENTS: &str = "segments";
/// What `restored` says of a store that was not opened since.
pub(crate) const NOT_OPENED: Nanos = Nanos::MAX;

/// Why there is no copy. Nothing is left of one that was begun.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something where the copy would be.
    #[error("{} is not empty; name a directory that is not there yet", .0.display())]
    Exists(PathBuf),
    /// There is something where the copy is made before it takes its place.
    #[error(
        "{} is there: a copy that is being made, or was not finished, or something else; remove \
         it where it is of no use, or name another directory",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// What would be restored is the store of a host that runs.
    #[error(
        "process {pid} writes to {}; `gwasp store backup` copies a store that is in use, and that \
         copy can be restored",
        dir.display()
    )]
    InUse {
        /// The store.
        dir: PathBuf,
        /// Who writes; 0 where that could not be read.
        pid: u32,
    },
    /// The system refused.
    #[error("cannot {operation} {}; check free space and permissions", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The database refused.
    #[error("cannot {operation}; check free space and permissions")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// A file that rows name is not there.
    #[error("segment file {0} is missing; `gwasp store check` says what was in it")]
    Missing(i64),
    /// What would be restored is damaged.
    #[error(
        "the backup is damaged; take an older one, `gwasp store check --state` names the damage"
    )]
    Unsound(Box<Verification>),
}

/// What a copy holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Segment files that were linked: they take no space while the store has them too.
    pub linked: u64,
    /// Segment files that were copied.
    pub copied: u64,
    /// Bytes of the database.
    pub database: u64,
}

/// Copies the store in `dir` to `target`, which a host may be running on; `who` takes it.
///
/// # Errors
/// [`BackupError`].
pub fn backup(dir: &Path, target: &Path, who: &str, now: Nanos) -> Result<Copied, BackupError> {
    let part = begin(target)?;
    let made = (|| {
        let mut copied = Copied::default();
        let source = dir.join(SEGMENTS);
        let last = copy_closed(&source, &part.join(SEGMENTS), &mut copied)?;
        let reader = Reader::open(dir)?;
        let database = part.join(DATABASE);
        reader
            .copy_rows_to(&database)
            .map_err(database_error("copy the rows"))?;
        copy_named(&source, &part, &last, &mut copied)?;
        mark(&database, who, now)?;
        copied.database = finish(&part, target)?;
        Ok(copied)
    })();
    made.inspect_err(|_| forget(&part))
}

/// Copies a backup, or a copy of a store that was stopped, to `dir`, and checks every row and
/// payload. The store is paused until a person ends that.
///
/// # Errors
/// [`BackupError`]; [`BackupError::InUse`] where a host runs on `from`, and
/// [`BackupError::Unsound`] where something is damaged.
pub fn restore(from: &Path, dir: &Path, who: &str, now: Nanos) -> Result<Copied, BackupError> {
    // Refused before anything is copied, where it is no store, or one that changes.
    drop(Reader::open(from)?);
    let _lock = lock_source(from)?;
    let part = begin(dir)?;
    let made = (|| {
        let mut copied = Copied::default();
        for name in [DATABASE, "store.sqlite-wal"] {
            let source = from.join(name);
            if source.exists() {
                copy(&source, &part.join(name))?;
            }
        }
        for file in segment_files(&from.join(SEGMENTS))? {
            copy(&file, &part.join(SEGMENTS).join(name_of(&file)))?;
            copied.copied += 1;
        }
        mark(&part.join(DATABASE), who, now)?;
        let reader = Reader::open(&part)?;
        let found = reader.verify(true).map_err(|error| BackupError::Io {
            operation: "check",
            path: part.clone(),
            source: io::Error::other(error),
        })?;
        drop(reader);
        if !found.is_sound() {
            return Err(BackupError::Unsound(Box::new(found)));
        }
        copied.database = finish(&part, dir)?;
        Ok(copied)
    })();
    made.inspect_err(|_| forget(&part))
}

/// Rewrites the database of a store that no process writes to, so that it takes no more space
/// than its rows; returns its bytes before and after.
///
/// # Errors
/// [`OpenError::Locked`] while a host runs on it; [`OpenError::Database`] without free space for
/// a second copy.
pub fn compact(dir: &Path, now: Nanos) -> Result<(u64, u64), OpenError> {
    let _lock = lock(dir, now)?;
    let size = || fs::metadata(dir.join(DATABASE)).map_or(0, |file| file.len());
    let before = size();
    let connection = open_database(dir)?;
    connection
        .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
        .map_err(|source| OpenError::Database {
            dir: dir.to_owned(),
            operation: "rewrite the database",
            source,
        })?;
    Ok((before, size()))
}

/// Makes the directory beside `target` in which a copy is made.
fn begin(target: &Path) -> Result<PathBuf, BackupError> {
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !is_free {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = target.with_file_name(name);
    let beside = part.parent().filter(|path| !path.as_os_str().is_empty());
    if let Some(beside) = beside {
        make_dir(beside)?;
    }
    // Of several that make the same copy at once, one makes this.
    let made = fs::DirBuilder::new().mode(0o700).create(&part);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Unfinished(part.clone()),
        _ => io_error("make", &part)(error),
    })?;
    make_dir(&part.join(SEGMENTS))?;
    Ok(part)
}

/// Keeps hosts from writing to what is copied. A medium that cannot be written to needs no lock.
fn lock_source(dir: &Path) -> Result<Option<File>, BackupError> {
    match lock_shared(dir) {
        Err(OpenError::Locked { dir, pid, .. }) => Err(BackupError::InUse { dir, pid }),
        locked => Ok(locked?),
    }
}

fn forget(part: &Path) {
    if let Err(error) = fs::remove_dir_all(part) {
        tracing::warn!(path = %part.display(), %error, "unfinished copy not removed");
    }
}

/// Links the files that are not written to any more; returns the others.
fn copy_closed(
    source: &Path,
    target: &Path,
    copied: &mut Copied,
) -> Result<BTreeSet<i64>, BackupError> {
    let files = segment_files(source)?;
    let numbers: BTreeSet<i64> = files.iter().filter_map(|file| number_of(file)).collect();
    let last = |kind| numbers.iter().rfind(|number| Kind::of(**number) == kind);
    let last: BTreeSet<i64> = [Kind::Payloads, Kind::Blobs]
        .into_iter()
        .filter_map(|kind| last(kind).copied())
        .collect();
    for file in files {
        if number_of(&file).is_some_and(|number| !last.contains(&number)) {
            link(&file, &target.join(name_of(&file)), copied)?;
        }
    }
    Ok(last)
}

/// Copies the files that the copied rows name and that are not there yet.
fn copy_named(
    source: &Path,
    part: &Path,
    last: &BTreeSet<i64>,
    copied: &mut Copied,
) -> Result<(), BackupError> {
    let failed = || database_error("read the copied rows");
    let rows = Connection::open(part.join(DATABASE)).map_err(failed())?;
    let mut statement = rows
        .prepare("SELECT number FROM segments")
        .map_err(failed())?;
    let numbers = statement
        .query_map([], |row| row.get(0))
        .map_err(failed())?;
    let numbers: Vec<i64> = numbers.collect::<Result<_, _>>().map_err(failed())?;
    for number in numbers {
        let target = path_of(&part.join(SEGMENTS), number);
        if target.exists() {
            continue;
        }
        let file = path_of(source, number);
        if !file.exists() {
            return Err(BackupError::Missing(number));
        }
        // One that is newer than the first look may be written to as well.
        debug_assert!(last.is_empty() || last.iter().any(|known| number >= *known));
        copy(&file, &target)?;
        copied.copied += 1;
    }
    Ok(())
}

/// Makes a copy of rows do nothing by itself.
fn mark(database: &Path, who: &str, now: Nanos) -> Result<(), BackupError> {
    let failed = || database_error("mark the copy as one");
    let connection = Connection::open(database).map_err(failed())?;
    prepare(&connection).map_err(failed())?;
    check_format(&connection, database.parent().unwrap_or(database), false)?;
    let pause = Pause {
        scope: Scope::All,
        since: now,
        until: None,
        who: who.to_owned(),
    };
    let work = || {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute(
            "INSERT OR REPLACE INTO pauses(kind, name, handler, since, until, who, seal)
             VALUES(0, '', '', ?1, NULL, ?2, ?3)",
            (now, &pause.who, pause_seal(&pause)),
        )?;
        transaction.execute_batch(&format!(
            "INSERT OR IGNORE INTO asked(task) SELECT seq FROM tasks WHERE {LIVING};
             UPDATE meta SET value = (SELECT coalesce(max(seq), 0) FROM packets)
                 WHERE name = 'historic_packet';
             UPDATE meta SET value = {NOT_OPENED} WHERE name = 'restored';"
        ))?;
        transaction.commit()?;
        // What a log holds goes into the file, so that the copy is one file.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    work().map_err(failed())
}

/// Has a copy that is whole take its place; returns the bytes of its database.
fn finish(part: &Path, target: &Path) -> Result<u64, BackupError> {
    for log in ["store.sqlite-wal", "store.sqlite-shm"] {
        let path = part.join(log);
        if path.exists() {
            fs::remove_file(&path).map_err(io_error("remove the empty log", &path))?;
        }
    }
    let database = part.join(DATABASE);
    let length = File::open(&database)
        .and_then(|file| {
            file.sync_all()?;
            file.metadata()
        })
        .map_err(io_error("sync", &database))?
        .len();
    sync_dir(&part.join(SEGMENTS))?;
    sync_dir(part)?;
    fs::rename(part, target).map_err(io_error("finish the copy in", target))?;
    let beside = target.parent().filter(|path| !path.as_os_str().is_empty());
    sync_dir(beside.unwrap_or_else(|| Path::new(".")))?;
    Ok(length)
}

fn segment_files(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let failed = || io_error("list", folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if number_of(&path).is_some() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn name_of(file: &Path) -> &Path {
    Path::new(file.file_name().unwrap_or_default())
}

/// Links a file, or copies it to another file system. One that retention removed meanwhile is
/// named by no row any more.
fn link(file: &Path, target: &Path, copied: &mut Copied) -> Result<(), BackupError> {
    match fs::hard_link(file, target) {
        Ok(()) => copied.linked += 1,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) => {
            copy(file, target)?;
            copied.copied += 1;
        }
    }
    Ok(())
}

fn copy(file: &Path, target: &Path) -> Result<(), BackupError> {
    let work = || {
        fs::copy(file, target)?;
        File::open(target)?.sync_all()
    };
    work().map_err(io_error("copy to", target))
}

fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io {
        operation,
        path,
        source,
    }
}

fn database_error(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> BackupError {
    move |source| BackupError::Database { operation, source }
}
