//! Moving the log into the database.
//!
//! `SQLite`'s own automatic checkpoint ignores errors; a sync that failed there and is repeated
//! may be believed wrongly. So checkpoints are made here, and a failed one ends the writer.

use rusqlite::Connection;

use super::Writer;
use crate::error::StoreError;

/// Pages in the log beyond which it is moved.
const LOG_PAGES: i64 = 4_000;

/// Runs a checkpoint of a mode; returns the pages in the log.
fn checkpoint(connection: &Connection, mode: &str) -> Result<i64, StoreError> {
    let pragma = format!("PRAGMA wal_checkpoint({mode})");
    let mut statement = connection.prepare_cached(&pragma)?;
    Ok(statement.query_row([], |row| row.get(1))?)
}

impl Writer<'_> {
    /// Moves the log when it is long. A full disk is no failure: the log stays.
    pub(super) fn checkpoint(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let moved = checkpoint(self.connection, "NOOP").and_then(|pages| {
            if pages < LOG_PAGES {
                return Ok(pages);
            }
            checkpoint(self.connection, "PASSIVE")
        });
        if let Err(error) = moved {
            self.judge(error);
        }
    }

    /// Moves all of the log and empties it.
    pub(super) fn empty_log(&mut self) -> Result<(), StoreError> {
        checkpoint(self.connection, "TRUNCATE")?;
        Ok(())
    }

    fn judge(&mut self, error: StoreError) {
        if error.is_fatal() || matches!(error, StoreError::Corrupt { .. }) {
            self.fail(error);
        } else {
            tracing::warn!(%error, "log not moved into the database");
        }
    }
}
