//! The tables, and how values become columns.
//!
//! Rows that decide what is run carry *seals*, 64-bit sums over their columns and their number:
//! a flipped bit in the file is found when the row is read. Codes of enums are frozen.

use rusqlite::Connection;

use crate::record::{Origin, State};

mod seal;

pub(crate) use seal::{
    Fixed, Moving, Seal, handler_seal, kv_seal, pause_seal, route_seal, seal_of, tick_seal,
};

/// What `PRAGMA application_id` says of our files: "GWAS".
pub(crate) const APPLICATION: i64 = 0x4757_4153;
/// The format that this program writes. It opens the one before, and adds what that lacks.
pub(crate) const FORMAT: i64 = 2;
/// Name of the database in the store's directory.
pub(crate) const DATABASE: &str = "store.sqlite";
/// Bytes per page of the database.
pub(crate) const PAGE_SIZE: i64 = 4096;

/// The tables of format 1. Times are nanoseconds since the epoch; `account` is a stream on a
/// day; `origin` and `state` are the codes of this module. `packets.dropped` is when a payload
/// went that the row outlives. `tasks.root` is the number of the packet that a task descends
/// from, or less than 0 the number of the task. `mentions` are the blobs that open tasks and
/// those set aside need.
pub(crate) const TABLES: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts(
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, day INTEGER NOT NULL, UNIQUE(source, day));
CREATE TABLE counts(
    account INTEGER NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY(account, name)) WITHOUT ROWID;
CREATE TABLE sources(
    source TEXT PRIMARY KEY, listening INTEGER NOT NULL, last_packet INTEGER) WITHOUT ROWID;
CREATE TABLE gaps(
    seq INTEGER PRIMARY KEY, source TEXT NOT NULL, last_packet INTEGER,
    last_commit INTEGER NOT NULL, next_start INTEGER NOT NULL);
CREATE TABLE packets(
    seq INTEGER PRIMARY KEY, account INTEGER NOT NULL,
    source TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
    identity BLOB NOT NULL, digest BLOB NOT NULL, role TEXT NOT NULL,
    received INTEGER NOT NULL, sent INTEGER, content_type TEXT NOT NULL,
    headers BLOB, flags BLOB, unmatched TEXT, same_as INTEGER,
    segment INTEGER, offset INTEGER, length INTEGER NOT NULL, dropped INTEGER,
    seal INTEGER NOT NULL, payload BLOB);
CREATE UNIQUE INDEX packets_identity ON packets(identity, key);
CREATE INDEX packets_id ON packets(id);
CREATE INDEX packets_same_as ON packets(same_as) WHERE same_as IS NOT NULL;
CREATE INDEX packets_segment ON packets(segment) WHERE segment IS NOT NULL;
CREATE TABLE repeats(
    packet INTEGER NOT NULL, account INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY(packet, account)) WITHOUT ROWID;
CREATE TABLE refusals(
    seq INTEGER PRIMARY KEY, account INTEGER NOT NULL, received INTEGER NOT NULL,
    reason TEXT NOT NULL, length INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE unconfirmed(
    seq INTEGER PRIMARY KEY, account INTEGER NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE handlers(
    row INTEGER PRIMARY KEY, plugin TEXT NOT NULL, handler TEXT NOT NULL, queue TEXT NOT NULL,
    retries INTEGER NOT NULL, backoff_ms INTEGER NOT NULL, max_backoff_ms INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL, seal INTEGER NOT NULL,
    UNIQUE(plugin, handler, queue, retries, backoff_ms, max_backoff_ms, timeout_ms));
CREATE TABLE tasks(
    seq INTEGER PRIMARY KEY, id BLOB NOT NULL, state INTEGER NOT NULL,
    handler INTEGER NOT NULL, origin INTEGER NOT NULL, account INTEGER NOT NULL,
    packet INTEGER, parent BLOB, root INTEGER NOT NULL, priority INTEGER NOT NULL, order_key TEXT,
    made INTEGER NOT NULL, deadline INTEGER, seal INTEGER NOT NULL,
    due INTEGER NOT NULL, attempts INTEGER NOT NULL, started INTEGER, ended INTEGER,
    cpu INTEGER NOT NULL, version BLOB,
    journal INTEGER NOT NULL, journal_bytes INTEGER NOT NULL, moving_seal INTEGER NOT NULL);
CREATE UNIQUE INDEX tasks_id ON tasks(id);
CREATE INDEX tasks_not_succeeded ON tasks(state) WHERE state < 5;
CREATE TABLE args(task INTEGER PRIMARY KEY, bytes BLOB NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE results(task INTEGER PRIMARY KEY, bytes BLOB NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE failures(
    task INTEGER NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
    message TEXT NOT NULL, detail TEXT, PRIMARY KEY(task, attempt)) WITHOUT ROWID;
CREATE TABLE journal(
    task INTEGER NOT NULL, seq INTEGER NOT NULL, bytes BLOB NOT NULL, seal INTEGER NOT NULL,
    PRIMARY KEY(task, seq)) WITHOUT ROWID;
CREATE TABLE kv(
    plugin TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL,
    seal INTEGER NOT NULL, PRIMARY KEY(plugin, key)) WITHOUT ROWID;
CREATE TABLE claims(
    plugin TEXT NOT NULL, name TEXT NOT NULL, task BLOB NOT NULL, made INTEGER NOT NULL,
    PRIMARY KEY(plugin, name)) WITHOUT ROWID;
CREATE INDEX claims_made ON claims(made);
CREATE TABLE routes(
    plugin TEXT PRIMARY KEY, generation INTEGER NOT NULL, digest BLOB NOT NULL,
    manifest TEXT NOT NULL, seal INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blobs(
    row INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, mentioned INTEGER NOT NULL,
    segment INTEGER, offset INTEGER, length INTEGER NOT NULL, bytes BLOB);
CREATE INDEX blobs_mentioned ON blobs(mentioned);
CREATE INDEX blobs_segment ON blobs(segment) WHERE segment IS NOT NULL;
CREATE TABLE mentions(
    task INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY(task, digest)) WITHOUT ROWID;
CREATE TABLE events(
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at INTEGER NOT NULL,
    bytes BLOB NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE segments(number INTEGER PRIMARY KEY, end INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE VIEW task_list AS
    SELECT t.seq, lower(hex(t.id)) AS id, h.plugin, h.handler, h.queue,
        CASE t.state WHEN 0 THEN 'PENDING' WHEN 1 THEN 'RETRY' WHEN 2 THEN 'PARKED'
            WHEN 3 THEN 'FAILURE' WHEN 4 THEN 'REVOKED' ELSE 'SUCCESS' END AS state,
        t.attempts, t.packet, datetime(t.made / 1000000000, 'unixepoch') AS made
    FROM tasks t JOIN handlers h ON h.row = t.handler;
";

/// What format 2 has beside the tables of format 1. `plugins` has those that are disabled, since
/// when, and those whose newest version is passed over; `versions` what was ever routed to, and
/// when last; `pauses` what is paused; `dispatches` which dispatch of a packet by a person was the
/// last; `revocations` tasks that run and are to be revoked; `asked` tasks whose external effects
/// may have been made before, by a store that this one was restored from; `waits` which task waits
/// for the end of which, by their numbers; `keeps` how many entries of its journal a called
/// task replays that did not end well and is called again;
/// `past_failures` why
/// attempts failed that a resumption, a restart or a later word about the same attempt put out of
/// `failures`; `decisions` what a person did to a task; `shadows` tasks whose last run made no
/// effect; `ticks` up to which tick schedules are done.
pub(crate) const ADDED: &str = "
CREATE INDEX tasks_pinned ON tasks(version) WHERE state < 5 AND state < 4 AND journal > 0;
CREATE TABLE plugins(
    plugin TEXT PRIMARY KEY, disabled INTEGER, passed_over BLOB) WITHOUT ROWID;
CREATE TABLE versions(
    row INTEGER PRIMARY KEY, plugin TEXT NOT NULL, digest BLOB NOT NULL, since INTEGER NOT NULL,
    UNIQUE(plugin, digest));
CREATE TABLE pauses(
    kind INTEGER NOT NULL, name TEXT NOT NULL, handler TEXT NOT NULL,
    since INTEGER NOT NULL, until INTEGER, who TEXT NOT NULL, seal INTEGER NOT NULL,
    PRIMARY KEY(kind, name, handler)) WITHOUT ROWID;
CREATE TABLE dispatches(packet INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE revocations(
    task INTEGER PRIMARY KEY, kind TEXT NOT NULL, message TEXT NOT NULL);
CREATE TABLE asked(task INTEGER PRIMARY KEY);
CREATE TABLE waits(
    caller INTEGER NOT NULL, called INTEGER NOT NULL, PRIMARY KEY(caller, called)) WITHOUT ROWID;
CREATE UNIQUE INDEX waits_called ON waits(called);
CREATE TABLE keeps(task INTEGER PRIMARY KEY, entries INTEGER NOT NULL);
DROP VIEW task_list;
CREATE VIEW task_list AS
    SELECT t.seq, lower(hex(t.id)) AS id, h.plugin, h.handler, h.queue,
        CASE t.state WHEN 0 THEN 'PENDING' WHEN 1 THEN 'RETRY' WHEN 2 THEN 'PARKED'
            WHEN 3 THEN 'FAILURE' WHEN 4 THEN 'REVOKED' WHEN 6 THEN 'DELIVERED' ELSE 'SUCCESS'
            END AS state,
        t.attempts, t.packet, datetime(t.made / 1000000000, 'unixepoch') AS made
    FROM tasks t JOIN handlers h ON h.row = t.handler;
CREATE TABLE past_failures(
    row INTEGER PRIMARY KEY, task INTEGER NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL,
    kind TEXT NOT NULL, message TEXT NOT NULL, detail TEXT);
CREATE INDEX past_failures_task ON past_failures(task);
CREATE TABLE decisions(
    row INTEGER PRIMARY KEY, task INTEGER NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL,
    who TEXT NOT NULL);
CREATE INDEX decisions_task ON decisions(task);
CREATE TABLE shadows(task INTEGER PRIMARY KEY);
CREATE TABLE ticks(
    schedule TEXT PRIMARY KEY, through INTEGER NOT NULL, seal INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta(name, value) VALUES('historic_packet', 0), ('restored', 0);
";

/// Condition of the tasks that have not succeeded. The index `tasks_not_succeeded` has this
/// condition, and the database uses a partial index only where a query has its condition word for
/// word: so the other conditions begin with it.
pub(crate) const NOT_SUCCEEDED: &str = "state < 5";
/// Condition of the tasks that are open.
pub(crate) const OPEN: &str = "state < 5 AND state < 3";
/// Condition of the tasks that live: they are open or set aside.
pub(crate) const LIVING: &str = "state < 5 AND state < 4";

/// Condition of the tasks that stay on one version of their plugin. It is that of the index
/// `tasks_pinned`.
pub(crate) const PINNED: &str = "state < 5 AND state < 4 AND journal > 0";

pub(crate) fn state_code(state: State) -> i64 {
    match state {
        State::Pending => 0,
        State::Retry => 1,
        State::Parked => 2,
        State::Failure => 3,
        State::Revoked => 4,
        State::Success => 5,
        State::Delivered => 6,
    }
}

pub(crate) fn state_of(code: i64) -> Option<State> {
    Some(match code {
        0 => State::Pending,
        1 => State::Retry,
        2 => State::Parked,
        3 => State::Failure,
        4 => State::Revoked,
        5 => State::Success,
        6 => State::Delivered,
        _ => return None,
    })
}

/// All origins, in the order of their codes.
pub(crate) const ORIGINS: [Origin; 5] = [
    Origin::Packet,
    Origin::Call,
    Origin::Spawn,
    Origin::Beat,
    Origin::Redispatch,
];

pub(crate) fn origin_code(origin: Origin) -> i64 {
    match origin {
        Origin::Packet => 0,
        Origin::Call => 1,
        Origin::Spawn => 2,
        Origin::Beat => 3,
        Origin::Redispatch => 4,
    }
}

pub(crate) fn origin_of(code: i64) -> Option<Origin> {
    usize::try_from(code)
        .ok()
        .and_then(|code| ORIGINS.get(code).copied())
}

pub(crate) fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Packet => "packet",
        Origin::Call => "call",
        Origin::Spawn => "spawn",
        Origin::Beat => "beat",
        Origin::Redispatch => "redispatch",
    }
}

/// Turns an unsigned number into a column; what does not fit becomes the largest.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Turns a length into a column.
pub(crate) fn length_column(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Turns a column into an unsigned number; a negative one becomes 0.
pub(crate) fn unsigned(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// Turns a column into an unsigned number of 32 bits.
pub(crate) fn unsigned32(column: i64) -> u32 {
    u32::try_from(column.max(0)).unwrap_or(u32::MAX)
}

/// Writes texts one after another, each behind its length; nothing for none.
pub(crate) fn join_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    for text in texts {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        joined.extend_from_slice(&length.to_le_bytes());
        joined.extend_from_slice(text.as_bytes());
    }
    (!joined.is_empty()).then_some(joined)
}

/// Reads what [`join_texts`] wrote; `None` where it is damaged.
pub(crate) fn split_texts(joined: Option<&[u8]>) -> Option<Vec<String>> {
    let mut rest = joined.unwrap_or_default();
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, tail) = tail.split_at_checked(length)?;
        texts.push(String::from_utf8(text.to_vec()).ok()?);
        rest = tail;
    }
    Some(texts)
}

/// Sets what a connection needs to be told each time.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", "OFF")
}

/// Reads a number of `meta`.
pub(crate) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
        row.get(0)
    })
}

#[cfg(test)]
mod tests;
