//! Moving the log into the database.
//!
//! `SQLite`'s own automatic checkpoint ignores errors; a sync that failed there and is repeated
//! may be believed wrongly. So checkpoints are made here, and a failed one ends the writer.

use rusqlite::Connection;

use super::Writer;
use crate::error::StoreError;

/// Pages in the log beyond which it is moved.
const LOG_PAGES: i64 = 4_000;
/// Groups after which the length of the log is looked at.
const GROUPS: u32 = 8;

/// Runs a checkpoint of a mode; returns the pages in the log.
fn checkpoint(connection: &Connection, mode: &str) -> Result<i64, StoreError> {
    let pragma = format!("PRAGMA wal_checkpoint({mode})");
    let mut statement = connection.prepare_cached(&pragma)?;
    Ok(statement.query_row([], |row| row.get(1))?)
}

impl Writer<'_> {
    /// Moves the log when it is long, and after a full disk, so that its space can be used
    /// again. A disk that is full for this too is no failure: the log stays.
    pub(super) fn checkpoint(&mut self) {
        self.groups += 1;
        let is_time = self.groups >= GROUPS || self.is_full;
        if self.failed.is_some() || !is_time {
            return;
        }
        self.groups = 0;
        let at_least = if self.is_full { 1 } else { LOG_PAGES };
        self.is_full = false;
        let moved = checkpoint(self.connection, "NOOP").and_then(|pages| {
            if pages < at_least {
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
