//! Opening a store of the format before this one.
//!
//! The database is copied first: who goes back to the former program puts the copy in its place.
//! What the new format has more is added in one transaction, so that a crash leaves the one
//! format or the other.

use std::path::Path;

use rusqlite::Connection;

use super::{database_error, io_error, sync_dir};
use crate::error::OpenError;
use crate::schema::{ADDED, DATABASE, FORMAT, meta};

/// Brings a database of format `FORMAT - 1` up to date; leaves one of `FORMAT` alone.
pub(super) fn upgrade(connection: &Connection, dir: &Path) -> Result<(), OpenError> {
    let failed = |operation| move |source| database_error(dir, operation, source);
    let found = meta(connection, "format").map_err(failed("read the format"))?;
    if found == FORMAT {
        return Ok(());
    }
    let copy = dir.join(format!("{DATABASE}.format-{found}"));
    copy_to(connection, dir, &copy)?;
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE;
             {ADDED}
             INSERT INTO versions(plugin, digest, since)
                 SELECT plugin, digest, (SELECT value FROM meta WHERE name = 'last_commit')
                 FROM routes;
             UPDATE meta SET value = {FORMAT} WHERE name = 'format';
             COMMIT;"
        ))
        .map_err(failed("bring the format up to date"))?;
    tracing::warn!(
        from = found,
        to = FORMAT,
        copy = %copy.display(),
        "the store was brought up to this program's format; with the copy in the place of \
         store.sqlite, and without its -wal and -shm files, the former program opens it as it was"
    );
    Ok(())
}

/// Copies the database as it stands, log included.
fn copy_to(connection: &Connection, dir: &Path, copy: &Path) -> Result<(), OpenError> {
    let part = copy.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("remove the unfinished copy", &part, error));
        }
        _ => {}
    }
    connection
        .execute("VACUUM INTO ?1", [part.to_string_lossy()])
        .map_err(|source| database_error(dir, "copy the database before its upgrade", source))?;
    let finish = || {
        std::fs::File::open(&part)?.sync_all()?;
        std::fs::rename(&part, copy)
    };
    finish().map_err(|source| io_error("finish the copy", copy, source))?;
    sync_dir(dir)
}
