//! What a former process left: open tasks and segment files.
//!
//! A segment's tail that no row names was never promised and is cut. A file that is damaged
//! before that end is not written to any more; its damaged part is copied aside for a person. A
//! file that retention emptied, and had no time to remove, is removed: its number is not above
//! the highest that was ever named. No number is given twice, so that nothing set aside is
//! overwritten.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{io_error, make_dir};
use crate::error::OpenError;
use crate::queues::Change;
use crate::record::{Nanos, State, TaskId};
use crate::schedule::{HandlerRow, OpenTask, Tally};
use crate::schema::{
    Fixed, Moving, OPEN, handler_seal, meta, origin_of, state_code, unsigned, unsigned32,
};
use crate::segments::{Appender, HEADER, Kind, STEP, first_damage, number_of, path_of};

const QUARANTINE: &str = "quarantine";

/// The columns that [`task`] reads.
const COLUMNS: &str = "SELECT seq, id, handler, origin, account, packet, parent, root, priority,
    order_key, made, deadline, seal, state, due, attempts, started, ended, cpu, version, journal,
    journal_bytes, moving_seal FROM tasks";

/// Reads the open tasks. One whose row is damaged is left where it is and not run.
pub(super) fn tasks(connection: &Connection) -> rusqlite::Result<Vec<Change>> {
    let handlers = handlers(connection)?;
    let text = format!("{COLUMNS} WHERE {OPEN} ORDER BY seq");
    let mut statement = connection.prepare(&text)?;
    let mut rows = statement.query([])?;
    let mut tasks = Vec::new();
    while let Some(row) = rows.next()? {
        match task(row, &handlers)? {
            Some(task) => {
                let has_begun = row.get::<_, Option<Nanos>>("started")?.is_some();
                tasks.push(Change::Recovered { task, has_begun });
            }
            None => {
                let seq: i64 = row.get(0)?;
                tracing::error!(seq, "row of an open task is damaged; it is not run");
            }
        }
    }
    Ok(tasks)
}

/// Reads a task that was set aside, as it would be if it were open; `None` where there is none
/// under this id, or its row is damaged.
pub(crate) fn set_aside(connection: &Connection, id: TaskId) -> rusqlite::Result<Option<OpenTask>> {
    let handlers = handlers(connection)?;
    let text = format!("{COLUMNS} WHERE id = ?1 AND state = ?2");
    let failed = state_code(State::Failure);
    let found = connection.query_row(&text, (id.0, failed), |row| task(row, &handlers));
    Ok(found.optional()?.flatten())
}

/// Reads the rows of `handlers` that are whole.
fn handlers(connection: &Connection) -> rusqlite::Result<HashMap<i64, Arc<HandlerRow>>> {
    let mut statement = connection.prepare(
        "SELECT row, plugin, handler, queue, retries, backoff_ms, max_backoff_ms, timeout_ms, seal
         FROM handlers",
    )?;
    let rows = statement.query_map([], |row| {
        let numbers: [i64; 4] = [row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
        let [retries, backoff_ms, max_backoff_ms, timeout_ms] = numbers;
        let handler = HandlerRow {
            row: row.get(0)?,
            plugin: row.get(1)?,
            handler: row.get(2)?,
            queue: row.get(3)?,
            retries: unsigned32(retries),
            backoff_ms: unsigned(backoff_ms),
            max_backoff_ms: unsigned(max_backoff_ms),
            timeout_ms: unsigned(timeout_ms),
        };
        let names = [&*handler.plugin, &*handler.handler, &*handler.queue];
        let seal = handler_seal(names, numbers);
        Ok((seal == row.get::<_, i64>(8)?).then(|| Arc::new(handler)))
    })?;
    rows.filter_map(|row| {
        row.map(|row| row.map(|handler| (handler.row, handler)))
            .transpose()
    })
    .collect()
}

fn task(
    row: &Row<'_>,
    handlers: &HashMap<i64, Arc<HandlerRow>>,
) -> rusqlite::Result<Option<OpenTask>> {
    let id = TaskId(row.get(1)?);
    let parent: Option<Vec<u8>> = row.get(6)?;
    let order_key: Option<String> = row.get(9)?;
    let fixed = Fixed {
        seq: row.get(0)?,
        id: &id,
        handler: row.get(2)?,
        origin: row.get(3)?,
        account: row.get(4)?,
        packet: row.get(5)?,
        parent: parent.as_deref(),
        root: row.get(7)?,
        priority: row.get(8)?,
        order_key: order_key.as_deref(),
        made: row.get(10)?,
        deadline: row.get(11)?,
    };
    let seal: i64 = row.get(12)?;
    let (Some(handler), Some(origin)) = (handlers.get(&fixed.handler), origin_of(fixed.origin))
    else {
        return Ok(None);
    };
    let moving = Moving::read(row, fixed.seq, 13)?;
    let Some(moving) = moving.filter(|_| seal == fixed.seal()) else {
        return Ok(None);
    };
    let journal = Tally {
        entries: length_of(moving.journal),
        bytes: length_of(moving.journal_bytes),
    };
    Ok(Some(OpenTask {
        seq: fixed.seq,
        id,
        handler: Arc::clone(handler),
        origin,
        priority: u8::try_from(fixed.priority).unwrap_or(u8::MAX),
        turn: fixed.order_key.map(Arc::from),
        due: moving.due,
        made: fixed.made,
        deadline: fixed.deadline,
        packet: fixed.packet,
        root: fixed.root,
        account: fixed.account,
        attempts: unsigned32(moving.attempts),
        cpu: unsigned(moving.cpu),
        journal,
        pinned: moving.version.filter(|_| journal.entries > 0).map(Box::new),
    }))
}

fn length_of(column: i64) -> usize {
    usize::try_from(column).unwrap_or(0)
}

/// Where the writer goes on in the segment files.
#[derive(Debug)]
pub(super) struct Appenders {
    pub(super) payloads: Appender,
    pub(super) blobs: Appender,
}

/// Cuts what was never promised, removes what retention left, and returns where to go on.
pub(super) fn segments(
    connection: &Connection,
    dir: &Path,
    folder: &Path,
    limit: u64,
) -> Result<Appenders, OpenError> {
    let database = |source| super::database_error(dir, "read the segments", source);
    let named = named_segments(connection).map_err(database)?;
    let failed = |source| io_error("recover the segment files in", folder, source);
    let quarantine = dir.join(QUARANTINE);
    let unnamed = unnamed_files(folder, &named).map_err(failed)?;
    let mut highest = highest(connection, &named).map_err(database)?;
    for (number, path) in unnamed {
        let of_kind = highest.of(Kind::of(number));
        if number > *of_kind {
            note_highest(connection, number).map_err(database)?;
            set_file_aside(&quarantine, &path)?;
            *of_kind = number;
        } else if !is_needed(connection, number).map_err(database)? {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    for (number, end) in &named {
        let length = fs::metadata(path_of(folder, *number)).map_or(0, |file| file.len());
        if length < unsigned(*end) {
            tracing::error!(
                number,
                length,
                end,
                "segment file is shorter than its records"
            );
        }
    }
    let mut go_on = |kind: Kind| {
        let highest = *highest.of(kind);
        let (number, end) = match last_of(kind, &named) {
            Some((number, end))
                if number == highest
                    && is_whole(&quarantine, &path_of(folder, number), unsigned(end))? =>
            {
                (number, end)
            }
            _ if highest > 0 => (highest + STEP, 0),
            _ => (kind.first(), 0),
        };
        Ok(Appender::new(folder.to_owned(), limit, number, end))
    };
    Ok(Appenders {
        payloads: go_on(Kind::Payloads)?,
        blobs: go_on(Kind::Blobs)?,
    })
}

/// The highest number that a file ever had, of each kind; 0 where there was none.
struct Highest {
    payloads: i64,
    blobs: i64,
}

impl Highest {
    fn of(&mut self, kind: Kind) -> &mut i64 {
        match kind {
            Kind::Payloads => &mut self.payloads,
            Kind::Blobs => &mut self.blobs,
        }
    }
}

/// Reads the highest numbers that were ever named.
fn highest(connection: &Connection, named: &[(i64, i64)]) -> rusqlite::Result<Highest> {
    let of = |kind: Kind| -> rusqlite::Result<i64> {
        let noted = meta(connection, kind.highest())?;
        Ok(last_of(kind, named).map_or(noted, |(last, _)| last.max(noted)))
    };
    Ok(Highest {
        payloads: of(Kind::Payloads)?,
        blobs: of(Kind::Blobs)?,
    })
}

/// Notes the number of a file that is set aside, or that retention removes.
pub(crate) fn note_highest(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    let name = Kind::of(number).highest();
    connection
        .prepare_cached("UPDATE meta SET value = max(value, ?2) WHERE name = ?1")?
        .execute((name, number))?;
    Ok(())
}

/// Returns the last file of a kind and its end.
fn last_of(kind: Kind, named: &[(i64, i64)]) -> Option<(i64, i64)> {
    let mut of_kind = named.iter().filter(|(number, _)| Kind::of(*number) == kind);
    of_kind.next_back().copied()
}

/// Returns whether a row names a record in a file.
fn is_needed(connection: &Connection, segment: i64) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS(SELECT 1 FROM packets WHERE segment = ?1)
             OR EXISTS(SELECT 1 FROM blobs WHERE segment = ?1)",
        [segment],
        |row| row.get(0),
    )
}

fn named_segments(connection: &Connection) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = connection.prepare("SELECT number, end FROM segments ORDER BY number")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Lists files that no row of `segments` names, by number.
fn unnamed_files(folder: &Path, named: &[(i64, i64)]) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_named = |found: i64| named.iter().any(|(number, _)| *number == found);
        if let Some(number) = number_of(&path).filter(|number| !is_named(*number)) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Moves a file aside that no row names; one without a record is removed.
fn set_file_aside(quarantine: &Path, path: &Path) -> Result<(), OpenError> {
    let failed = |source| io_error("set aside", path, source);
    if fs::metadata(path).map_err(failed)?.len() <= HEADER {
        return fs::remove_file(path).map_err(failed);
    }
    make_dir(quarantine)?;
    let name = path.file_name().unwrap_or_default();
    tracing::warn!(path = %path.display(), "segment file that no row names set aside");
    fs::rename(path, quarantine.join(name)).map_err(failed)
}

/// Returns whether the last file is whole up to its named end, and cuts it there. The damaged
/// part of one that is not is copied aside.
fn is_whole(quarantine: &Path, path: &Path, end: u64) -> Result<bool, OpenError> {
    let failed = |source| io_error("recover", path, source);
    let damage = match first_damage(path, end) {
        Ok(damage) => damage,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::error!(path = %path.display(), "segment file is missing");
            return Ok(false);
        }
        Err(error) => return Err(failed(error)),
    };
    if let Some(offset) = damage {
        tracing::error!(path = %path.display(), offset, "segment file is damaged; its end set aside");
        copy_aside(quarantine, path, offset)?;
        return Ok(false);
    }
    let file = File::options().write(true).open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > end {
        tracing::warn!(path = %path.display(), end, "unfinished end of a segment file cut");
        file.set_len(end)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
    }
    Ok(true)
}

fn copy_aside(quarantine: &Path, path: &Path, offset: u64) -> Result<(), OpenError> {
    make_dir(quarantine)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let aside = quarantine.join(format!("{name}-{offset}.damaged"));
    let copy = || {
        let mut source = File::open(path)?;
        source.seek(SeekFrom::Start(offset))?;
        io::copy(&mut source.take(u64::MAX), &mut File::create(&aside)?)
    };
    copy()
        .map(|_| ())
        .map_err(|source| io_error("set aside", path, source))
}
