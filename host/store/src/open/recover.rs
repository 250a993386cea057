//! What a former process left in segment files.
//!
//! A segment's tail that no row names was never promised and is cut. A file that is damaged
//! before that end is not written to any more; its damaged part is copied aside for a person. A
//! file that retention emptied, and had no time to remove, is removed: its number is not above
//! the highest that was ever named. No number is given twice, so that nothing set aside is
//! overwritten.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{io_error, make_dir};
use crate::error::OpenError;
use crate::schema::{meta, unsigned};
use crate::segments::{Appender, HEADER, Kind, STEP, first_damage, number_of, path_of};

const QUARANTINE: &str = "quarantine";

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
