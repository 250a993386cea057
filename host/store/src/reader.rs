//! Read views of a store, from this process or another.
//!
//! A reader sees what was committed when a call began. It needs no lock and never blocks the
//! writer. It checks the seals of what it reads.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use crate::error::{OpenError, StoreError};
use crate::open::{check_format, database_error, pauses_of};
use crate::pause::Pause;
use crate::record::{Nanos, RouteRecord};
use crate::schema::{DATABASE, kv_seal, meta, prepare, route_seal, tick_seal, unsigned};
use crate::segments::{self, Place};
use crate::tick::TickRecord;
use crate::view::{GapMark, KvEntry, RefusalView};

mod books;
mod events;
mod packets;
mod plugins;
mod tasks;
mod verify;

pub(crate) use packets::packet_row_of;

/// Rows of a listing where no limit is given.
const ROWS: u32 = 100;
/// Readers that a store keeps open for its own use.
const MOST_KEPT: usize = 4;

/// A connection that only reads.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    segments: PathBuf,
    /// It was opened after a file was found missing.
    is_newest: bool,
}

impl Reader {
    /// Opens the store in `dir` for reading, whether or not a process writes to it.
    ///
    /// # Errors
    /// [`OpenError::NotAStore`] where there is none; [`OpenError::NewerFormat`] for one that
    /// this program cannot read.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(DATABASE);
        if !path.exists() {
            return Err(OpenError::NotAStore {
                path: dir.to_owned(),
                found: "no store.sqlite in it".to_owned(),
            });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |source| database_error(dir, "open the database", source);
        let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        check_format(&connection, dir, false)?;
        Ok(Self {
            connection,
            segments: dir.join("segments"),
            is_newest: false,
        })
    }

    /// Returns the routing table and its generation.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub fn routes(&self) -> Result<(u64, Vec<RouteRecord>), StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let generation = unsigned(meta(&snapshot, "routes_generation")?);
        let mut statement = snapshot.prepare_cached(
            "SELECT plugin, generation, digest, manifest, seal FROM routes ORDER BY plugin",
        )?;
        let rows = statement.query_map([], route_row)?;
        let routes: Result<_, StoreError> = rows.map(|row| row?).collect();
        Ok((generation, routes?))
    }

    /// Returns a plugin's value and its version.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is damaged; [`StoreError::Unavailable`] where it cannot
    /// be read.
    pub fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<(Bytes, u64)>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT plugin, key, version, value, seal FROM kv WHERE plugin = ?1 AND key = ?2",
        )?;
        let row = statement.query_row([plugin, key], kv_row).optional()?;
        let entry = row.transpose()?;
        Ok(entry.map(|entry| (entry.value, entry.version)))
    }

    /// Lists values, by plugin and key: of one plugin or all, with keys that begin with
    /// `prefix`.
    ///
    /// # Errors
    /// As [`Reader::kv_get`].
    pub fn kv(
        &self,
        plugin: Option<&str>,
        prefix: &str,
        limit: Option<u32>,
    ) -> Result<Vec<KvEntry>, StoreError> {
        let mut query = Query::new("SELECT plugin, key, version, value, seal FROM kv");
        if let Some(plugin) = plugin {
            query.and("plugin = ?", plugin.to_owned());
        }
        if !prefix.is_empty() {
            query.and("substr(key, 1, length(?)) = ", prefix.to_owned());
            query.bind_again(prefix.to_owned());
        }
        query.finish("plugin, key", limit);
        query.run(&self.connection, kv_row)
    }

    /// Returns the bytes under a digest.
    ///
    /// # Errors
    /// As [`Reader::kv_get`].
    pub fn blob(&self, digest: &[u8; 32]) -> Result<Option<Bytes>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT row, segment, offset, length, bytes FROM blobs WHERE digest = ?1",
        )?;
        let stored = statement
            .query_row([digest], |row| {
                Ok(Stored {
                    table: "blob",
                    row: row.get(0)?,
                    segment: row.get(1)?,
                    offset: row.get(2)?,
                    length: row.get(3)?,
                    inline: row.get(4)?,
                })
            })
            .optional()?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let segment = stored.segment;
        match (stored.read(&self.segments, digest), segment) {
            (Err(StoreError::Corrupt { .. }), Some(segment))
                if self.is_from_before(segment, |now| Ok(now.blob(digest)?.is_none()))? =>
            {
                Ok(None)
            }
            (read, _) => read.map(Some),
        }
    }

    /// Gives up what it has beside its connection.
    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Writes all rows to a new database, as they are in one moment.
    pub(crate) fn copy_rows_to(&self, path: &Path) -> rusqlite::Result<()> {
        self.connection
            .execute("VACUUM INTO ?1", [path.to_string_lossy()])
            .map(drop)
    }

    /// Returns whether a segment file is missing because this reader still sees rows from
    /// before it was removed: a new one is asked whether what was in it `has_gone`.
    fn is_from_before(
        &self,
        segment: i64,
        has_gone: impl FnOnce(&Self) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        if self.is_newest || segments::path_of(&self.segments, segment).exists() {
            return Ok(false);
        }
        let dir = self.segments.parent().unwrap_or(&self.segments);
        let mut now = Self::open(dir).map_err(unavailable)?;
        now.is_newest = true;
        has_gone(&now)
    }

    /// Lists refused bytes, newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be read.
    pub fn refusals(
        &self,
        source: Option<&str>,
        since: Option<Nanos>,
        limit: Option<u32>,
    ) -> Result<Vec<RefusalView>, StoreError> {
        let mut query = Query::new(
            "SELECT r.seq, a.source, r.received, r.reason, r.length, r.payload
             FROM refusals r JOIN accounts a ON a.id = r.account",
        );
        if let Some(source) = source {
            query.and("a.source = ?", source.to_owned());
        }
        if let Some(since) = since {
            query.and("r.received >= ?", since);
        }
        query.finish("r.seq DESC", limit);
        query.run(&self.connection, |row| {
            Ok(Ok(RefusalView {
                seq: row.get(0)?,
                source: row.get(1)?,
                received: row.get(2)?,
                reason: row.get(3)?,
                length: unsigned(row.get(4)?),
                payload: bytes(row, 5)?,
            }))
        })
    }

    /// Lists what is paused at a moment.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a row is damaged: everything is paused then.
    /// [`StoreError::Unavailable`] where they cannot be read.
    pub fn pauses(&self, now: Nanos) -> Result<Vec<Pause>, StoreError> {
        let rows = pauses_of(&self.connection)?.into_iter();
        let rows = rows.map(|row| {
            row.ok_or_else(|| StoreError::Corrupt {
                place: "row of a pause".to_owned(),
            })
        });
        let mut pauses = rows.collect::<Result<Vec<_>, _>>()?;
        pauses.retain(|pause| pause.until.is_none_or(|until| until > now));
        Ok(pauses)
    }

    /// Lists how far schedules have come; one whose row is damaged is as one that is new.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be read.
    pub fn ticks(&self) -> Result<Vec<TickRecord>, StoreError> {
        let mut query = Query::new("SELECT schedule, through, seal FROM ticks");
        query.finish("schedule", None);
        let rows = query.run(&self.connection, |row| {
            let (schedule, through) = (row.get::<_, String>(0)?, row.get(1)?);
            let whole = tick_seal(&schedule, through) == row.get::<_, i64>(2)?;
            Ok(Ok(whole.then_some(TickRecord { schedule, through })))
        })?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Lists gap marks, newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be read.
    pub fn gaps(&self, limit: Option<u32>) -> Result<Vec<GapMark>, StoreError> {
        let mut query = Query::new("SELECT source, last_packet, last_commit, next_start FROM gaps");
        query.finish("seq DESC", limit);
        query.run(&self.connection, |row| {
            Ok(Ok(GapMark {
                source: row.get(0)?,
                last_packet: row.get(1)?,
                last_commit: row.get(2)?,
                next_start: row.get(3)?,
            }))
        })
    }
}

fn route_row(row: &Row<'_>) -> rusqlite::Result<Result<RouteRecord, StoreError>> {
    let generation: i64 = row.get(1)?;
    let route = RouteRecord {
        plugin: row.get(0)?,
        generation: unsigned(generation),
        digest: row.get(2)?,
        manifest: row.get(3)?,
    };
    let seal = route_seal(&route.plugin, generation, &route.digest, &route.manifest);
    if row.get::<_, i64>(4)? != seal {
        let place = format!("route of plugin {}", route.plugin);
        return Ok(Err(StoreError::Corrupt { place }));
    }
    Ok(Ok(route))
}

fn kv_row(row: &Row<'_>) -> rusqlite::Result<Result<KvEntry, StoreError>> {
    let version: i64 = row.get(2)?;
    let entry = KvEntry {
        plugin: row.get(0)?,
        key: row.get(1)?,
        value: bytes(row, 3)?,
        version: unsigned(version),
    };
    if row.get::<_, i64>(4)? != kv_seal(&entry.plugin, &entry.key, version, &entry.value) {
        let KvEntry { plugin, key, .. } = entry;
        let place = format!("value {key} of plugin {plugin}");
        return Ok(Err(StoreError::Corrupt { place }));
    }
    Ok(Ok(entry))
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(column).map(Bytes::from)
}

/// Bytes that are in a row or in a segment file.
struct Stored {
    table: &'static str,
    row: i64,
    segment: Option<i64>,
    offset: Option<i64>,
    length: i64,
    inline: Option<Vec<u8>>,
}

impl Stored {
    /// Reads the bytes and checks them.
    fn read(self, folder: &Path, digest: &[u8; 32]) -> Result<Bytes, StoreError> {
        if let (Some(segment), Some(offset)) = (self.segment, self.offset) {
            let place = Place {
                segment,
                offset,
                length: self.length,
            };
            return segments::read(folder, place, digest);
        }
        let sound = self
            .inline
            .filter(|bytes| segments::digest_of(bytes) == *digest);
        sound.map(Bytes::from).ok_or_else(|| StoreError::Corrupt {
            place: format!("payload of {} {}", self.table, self.row),
        })
    }
}

/// A listing in the making.
struct Query {
    text: String,
    values: Vec<Value>,
    has_condition: bool,
}

impl Query {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
            has_condition: false,
        }
    }

    /// Adds a condition; `?` in it stands for the value.
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.also(condition);
        self.values.push(value.into());
    }

    /// Adds a condition without a value.
    fn also(&mut self, condition: &str) {
        let word = if self.has_condition { "AND" } else { "WHERE" };
        self.has_condition = true;
        self.text.push_str(&format!(" {word} {condition}"));
    }

    /// Compares the last condition with one more value.
    fn bind_again(&mut self, value: impl Into<Value>) {
        self.text.push('?');
        self.values.push(value.into());
    }

    fn finish(&mut self, order: &str, limit: Option<u32>) {
        let limit = limit.unwrap_or(ROWS);
        self.text
            .push_str(&format!(" ORDER BY {order} LIMIT {limit}"));
    }

    fn run<T>(
        self,
        connection: &Connection,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<Result<T, StoreError>>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = connection.prepare_cached(&self.text)?;
        let rows = statement.query_map(rusqlite::params_from_iter(self.values), read)?;
        rows.map(|row| row?).collect()
    }
}

/// Readers that a store keeps open for its own use.
#[derive(Debug)]
pub(crate) struct Pool {
    dir: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

impl Pool {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            idle: Mutex::default(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lends a reader.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.dir).map_err(unavailable)?,
        };
        let worked = work(&reader);
        let mut idle = self.idle();
        if idle.len() < MOST_KEPT {
            idle.push(reader);
        }
        worked
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: OpenError) -> StoreError {
    match error {
        OpenError::Database { source, .. } | OpenError::Damaged { source, .. } => source.into(),
        other => StoreError::Corrupt {
            place: other.to_string(),
        },
    }
}
