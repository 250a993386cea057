//! Opening a store: lock, format, incarnation, gap marks, and what was open.
//!
//! Invariant: nothing is written before the lock is held and the format is known.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::Inner;
use crate::action::TaskAction;
use crate::backup::NOT_OPENED;
use crate::cache::Cache;
use crate::error::OpenError;
use crate::options::Options;
use crate::queues::Queues;
use crate::reader::Pool;
use crate::record::{Nanos, TaskId};
use crate::schema::{
    ADDED, APPLICATION, DATABASE, FORMAT, PAGE_SIZE, TABLES, meta, prepare, unsigned,
};
use crate::writer::{End, PersonOp, Request, Shared, Writer};

mod pacer;
mod recover;
mod rows;
mod upgrade;

use pacer::Pacer;
use recover::Appenders;

pub(crate) use recover::note_highest;
pub(crate) use rows::{handlers, pauses_of, task_of};

const LOCK: &str = "lock";
const SEGMENTS: &str = "segments";
/// Pages that the writer keeps in memory, in units of -1 KiB.
const CACHE_SIZE: i64 = -65_536;

/// The threads of a store.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    fn start(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let handle = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.push(handle);
        Ok(())
    }

    /// Waits until all have ended.
    pub(crate) fn join(&self) {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in handles.drain(..) {
            if handle.join().is_err() {
                tracing::error!("thread of the store panicked");
            }
        }
    }
}

/// Opens or makes a store and starts its threads.
pub(crate) fn open(dir: &Path, options: Options) -> Result<Inner, OpenError> {
    let now = options.clock.now();
    make_dir(dir)?;
    make_dir(&dir.join(SEGMENTS))?;
    let lock = lock(dir, now)?;
    let database = |operation| move |source| database_error(dir, operation, source);
    let connection = open_database(dir)?;
    let incarnation = begin_incarnation(&connection, now).map_err(database("note the start"))?;
    let segments = recover::segments(&connection, dir, &dir.join(SEGMENTS), options.segment_size)?;
    let tasks = rows::tasks(&connection).map_err(database("read the open tasks"))?;

    let queues = Arc::new(Queues::new(
        Arc::clone(&options.clock),
        options.serial.clone(),
    ));
    queues.publish(rows::pauses(&connection, now).map_err(database("read the pauses"))?);
    let to_revoke = rows::to_revoke(&connection).map_err(database("read what is to be revoked"))?;
    queues.publish(tasks);
    let cache = Arc::new(Cache::new(options.cache_bytes));
    let commits = Arc::default();
    let (news, last_event) = watch::channel(0);
    let (retention, kept) = watch::channel(options.retention.clone());
    let retained = meta(&connection, "retained");
    let (sender, receiver) = mpsc::channel(options.channel.max(1));
    let shared = Shared {
        options: options.clone(),
        incarnation,
        queues: Arc::clone(&queues),
        cache: Arc::clone(&cache),
        commits: Arc::clone(&commits),
        news,
        retention: kept,
    };
    let threads = Threads::default();
    let thread = WriterThread {
        connection,
        shared,
        segments,
        lock,
    };
    let retained = retained.map_err(database("read when it was swept"))?;
    let pacer = Pacer::new(sender.downgrade(), &options, retained);
    start(dir, &threads, thread, (receiver, pacer))?;
    revoke(&sender, to_revoke);
    let inner = Inner {
        incarnation,
        sender: Some(sender),
        waiting: Arc::new(Semaphore::new(options.waiting_bytes / 1024 + 1)),
        queues,
        cache,
        commits,
        last_event,
        retention,
        pool: Pool::new(dir),
        threads,
        options,
    };
    Ok(inner)
}

/// Ends the tasks that ran when the process ended, and were to be revoked.
fn revoke(sender: &mpsc::Sender<Request>, tasks: Vec<TaskId>) {
    if tasks.is_empty() {
        return;
    }
    let (reply, _) = oneshot::channel();
    let op = PersonOp::Act {
        tasks,
        action: TaskAction::Revoke,
        who: String::new(),
        reply,
    };
    let request = Request {
        op: op.into(),
        permit: None,
    };
    // The writer was just started, and there is room. Were there none, the next start does it.
    drop(sender.try_send(request));
}

/// What the writer's thread owns.
struct WriterThread {
    connection: Connection,
    shared: Shared,
    segments: Appenders,
    /// Held until all is closed.
    lock: File,
}

fn start(
    dir: &Path,
    threads: &Threads,
    writer: WriterThread,
    (receiver, mut pacer): (mpsc::Receiver<Request>, Pacer),
) -> Result<(), OpenError> {
    let spawned = |source| io_error("start a thread for", dir, source);
    let (ready, readiness) = std::sync::mpsc::sync_channel(1);
    let queues = Arc::clone(&writer.shared.queues);
    threads
        .start("store-writer", move || {
            write_until_end(writer, receiver, &ready);
        })
        .map_err(spawned)?;
    let prepared = readiness.recv().unwrap_or(Ok(()));
    prepared.map_err(|source| database_error(dir, "prepare the writer", source))?;
    threads
        .start("store-timer", move || {
            queues.run_timer(|| pacer.tick());
        })
        .map_err(spawned)
}

fn write_until_end(
    thread: WriterThread,
    receiver: mpsc::Receiver<Request>,
    ready: &std::sync::mpsc::SyncSender<rusqlite::Result<()>>,
) {
    let WriterThread {
        connection,
        shared,
        segments,
        lock,
    } = thread;
    let end = match Writer::new(&connection, shared, segments.payloads, segments.blobs) {
        Ok(writer) => {
            drop(ready.send(Ok(())));
            writer.run(receiver)
        }
        Err(error) => {
            drop(ready.send(Err(error)));
            End::Dropped
        }
    };
    drop(connection);
    drop(lock);
    if let End::Closed(reply, closed) = end {
        drop(reply.send(closed));
    }
}

pub(crate) fn make_dir(dir: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| io_error("create the directory", dir, source))
}

/// Takes the lock of a store and writes who holds it.
pub(crate) fn lock(dir: &Path, now: Nanos) -> Result<File, OpenError> {
    let path = dir.join(LOCK);
    let failed = |operation| {
        let path = path.clone();
        move |source| io_error(operation, &path, source)
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open the lock file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(dir, &mut file)),
        Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
    }
    let holder = format!("pid {}\nstarted {now}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(failed("write the lock file"))?;
    Ok(file)
}

/// Keeps others from writing to a store while it is read; no lock where nobody can write.
pub(crate) fn lock_shared(dir: &Path) -> Result<Option<File>, OpenError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .or_else(|_read_only| File::open(&path));
    let Ok(mut file) = opened else {
        return Ok(None);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(locked(dir, &mut file)),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path, source)),
    }
}

fn locked(dir: &Path, file: &mut File) -> OpenError {
    let mut holder = String::new();
    if file.read_to_string(&mut holder).is_err() {
        holder.clear();
    }
    let word = |name: &str| {
        let line = holder.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    OpenError::Locked {
        dir: dir.to_owned(),
        pid: word("pid ").parse().unwrap_or(0),
        started: word("started ").parse().unwrap_or(0),
    }
}

pub(crate) fn open_database(dir: &Path) -> Result<Connection, OpenError> {
    let path = dir.join(DATABASE);
    let failed = |source| database_error(dir, "open the database", source);
    let connection = Connection::open(&path).map_err(failed)?;
    check_format(&connection, dir, true)?;
    set_up(&connection).map_err(failed)?;
    let is_empty = application(&connection).map_err(failed)? == 0;
    if is_empty {
        make_tables(&connection, dir)?;
    } else {
        upgrade::upgrade(&connection, dir)?;
    }
    Ok(connection)
}

/// Sets the connection up for writing: one sync per commit, no checkpoint but the writer's own.
fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    prepare(connection)?;
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", CACHE_SIZE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

pub(crate) fn application(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Checks that a database is a store of this program's format; whoever writes may make one of an
/// empty database, and of the format before.
pub(crate) fn check_format(
    connection: &Connection,
    dir: &Path,
    may_upgrade: bool,
) -> Result<(), OpenError> {
    let failed = |source| database_error(dir, "read the format", source);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    let application = application(connection).map_err(failed)?;
    if tables == 0 && application == 0 && may_upgrade {
        return Ok(());
    }
    if application != APPLICATION {
        return Err(OpenError::NotAStore {
            path: dir.join(DATABASE),
            found: format!("a database with application id {application}"),
        });
    }
    let found = meta(connection, "format").map_err(failed)?;
    if found > FORMAT {
        return Err(OpenError::NewerFormat {
            dir: dir.to_owned(),
            found,
            known: FORMAT,
        });
    }
    let oldest = if may_upgrade { FORMAT - 1 } else { FORMAT };
    if found < oldest {
        return Err(OpenError::OlderFormat {
            dir: dir.to_owned(),
            found,
            known: FORMAT,
        });
    }
    Ok(())
}

fn make_tables(connection: &Connection, dir: &Path) -> Result<(), OpenError> {
    let script = format!(
        "BEGIN IMMEDIATE;
         {TABLES}
         INSERT INTO meta(name, value) VALUES
             ('format', {FORMAT}), ('incarnation', 0), ('routes_generation', 0), ('clean', 1),
             ('last_commit', 0), ('payload_bytes', 0), ('retained', 0),
             ('payload_segment', 0), ('blob_segment', 0),
             ('clock_doubted', 0), ('clock_leapt', 0);
         {ADDED}
         PRAGMA application_id = {APPLICATION};
         COMMIT;"
    );
    connection
        .execute_batch(&script)
        .map_err(|source| database_error(dir, "make the tables", source))?;
    sync_dir(dir)?;
    dir.parent().map_or(Ok(()), |parent| {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        sync_dir(parent)
    })
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| io_error("sync the directory", dir, source))
}

/// Bumps the incarnation, and leaves gap marks if the store was not closed.
fn begin_incarnation(connection: &Connection, now: Nanos) -> rusqlite::Result<u64> {
    let transaction = connection.unchecked_transaction()?;
    let incarnation = meta(&transaction, "incarnation")? + 1;
    if meta(&transaction, "clean")? == 0 {
        let marks = transaction.execute(
            "INSERT INTO gaps(source, last_packet, last_commit, next_start)
             SELECT source, last_packet, (SELECT value FROM meta WHERE name = 'last_commit'), ?1
             FROM sources WHERE listening = 1",
            [now],
        )?;
        if marks > 0 {
            tracing::warn!(
                streams = marks,
                "the host did not stop in order; what these streams sent last may be missing, see `gwasp ledger`"
            );
        } else {
            tracing::info!(
                "the host did not stop in order; it was connected to nothing, so no packet is missing"
            );
        }
    }
    transaction.execute("UPDATE sources SET listening = 0", [])?;
    let set = "UPDATE meta SET value = ?2 WHERE name = ?1";
    if meta(&transaction, "restored")? == NOT_OPENED {
        tracing::warn!("the store was restored from a backup; `gwasp unpause --all` lets it go on");
        transaction.execute(set, ("restored", now))?;
    }
    transaction.execute(set, ("incarnation", incarnation))?;
    transaction.execute(set, ("clean", 0))?;
    transaction.commit()?;
    Ok(unsigned(incarnation))
}

pub(crate) fn database_error(
    dir: &Path,
    operation: &'static str,
    source: rusqlite::Error,
) -> OpenError {
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::NotAStore {
            path: dir.join(DATABASE),
            found: "no SQLite database".to_owned(),
        },
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
            dir: dir.to_owned(),
            source,
        },
        _ => OpenError::Database {
            dir: dir.to_owned(),
            operation,
            source,
        },
    }
}

pub(crate) fn io_error(operation: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}
