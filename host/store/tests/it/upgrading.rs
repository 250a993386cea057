//! A store of the former format.

use gwasp_store::{OpenError, Reader, Scope, Store};
use rusqlite::Connection;

use crate::common::{QUEUE, Rig, offer, success, wait};

/// The tables of format 1, as the program of that format made them.
const FORMAT_1: &str = "
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

/// What was in a store, in a database of format 1 in its place.
fn downgrade(rig: &Rig) {
    let path = rig.path().join("store.sqlite");
    let newer = rig.path().join("newer.sqlite");
    std::fs::rename(&path, &newer).unwrap();
    for log in ["store.sqlite-wal", "store.sqlite-shm"] {
        drop(std::fs::remove_file(rig.path().join(log)));
    }
    let database = Connection::open(&path).unwrap();
    database.execute_batch(FORMAT_1).unwrap();
    database
        .execute("ATTACH ?1 AS newer", [newer.to_str().unwrap()])
        .unwrap();
    let mut tables = database
        .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
        .unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for table in tables.map(Result::unwrap).collect::<Vec<_>>() {
        let copy = format!("INSERT INTO main.{table} SELECT * FROM newer.{table}");
        database.execute(&copy, []).unwrap();
    }
    database
        .execute_batch(
            "DELETE FROM main.meta WHERE name IN ('historic_packet', 'restored');
             UPDATE main.meta SET value = 1 WHERE name = 'format';
             PRAGMA main.application_id = 1196900691;
             DETACH newer;",
        )
        .unwrap();
    std::fs::remove_file(newer).unwrap();
}

/// A closed store of format 1 with one task that ended and one that is open.
fn old() -> Rig {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.commit(success(&rig.lease()));
    rig.close();
    downgrade(&rig);
    rig
}

#[test]
fn a_store_of_the_former_format_goes_on_and_a_copy_of_it_stays() {
    let mut rig = old();
    rig.open();
    assert_eq!(rig.store().depth(QUEUE).ready, 1);
    rig.check_sound();
    wait(rig.store().pause(Scope::All, None, "test")).unwrap();
    assert!(rig.try_lease().is_none());

    let copy = Connection::open(rig.path().join("store.sqlite.format-1")).unwrap();
    let (format, tasks): (i64, i64) = copy
        .query_row(
            "SELECT (SELECT value FROM meta WHERE name = 'format'), (SELECT count(*) FROM tasks)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((format, tasks), (1, 2));
    rig.crash();
    assert!(rig.try_lease().is_none(), "it is opened once");
}

#[test]
fn a_reader_does_not_bring_a_store_up_to_date() {
    let rig = old();
    let refused = Reader::open(&rig.path()).unwrap_err();
    assert!(matches!(refused, OpenError::OlderFormat { found: 1, .. }));
    assert!(refused.to_string().contains("gwasp run"), "{refused}");
    assert!(!rig.path().join("store.sqlite.format-1").exists());
}

#[test]
fn a_store_that_is_older_than_the_former_format_is_refused() {
    let rig = old();
    let database = Connection::open(rig.path().join("store.sqlite")).unwrap();
    database
        .execute("UPDATE meta SET value = 0 WHERE name = 'format'", [])
        .unwrap();
    drop(database);
    let refused = Store::open(&rig.path(), rig.options.clone()).unwrap_err();
    assert!(matches!(refused, OpenError::OlderFormat { found: 0, .. }));
}
