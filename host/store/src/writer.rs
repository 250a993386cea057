//! The writer: one thread that turns what waits into one transaction and one sync.
//!
//! A *group* is what waited when the thread came round. Its rows are written, its segment
//! records synced, its transaction committed; only then does the schedule change and are its
//! operations answered. If anything of that fails, the whole group is taken back and each of
//! its operations is answered with the error.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::cache::Cache;
use crate::disk::Watch;
use crate::error::{Cause, StoreError};
use crate::event::Page;
use crate::options::Options;
use crate::queues::{Change, Queues};
use crate::record::{Failure, Nanos, PacketRecord};
use crate::schedule::{HandlerRow, OpenTask};
use crate::schema::{meta, unsigned};
use crate::segments::{Appender, path_of};

mod accept;
mod books;
mod checkpoint;
mod commit;
mod descendants;
mod events;
mod op;
mod park;
mod person;
mod resume;
mod retention;
mod routes;
mod sql;
mod tasks;
mod tick;
mod values;
mod wall;

use books::Books;
use descendants::Descendants;
use op::{Answer, CommitAnswers, Written, settle};
use retention::Retention;
use sql::Sql;
use tasks::Shape;
use wall::Wall;

pub(crate) use accept::PacketColumns;
pub(crate) use op::{Op, PersonOp, Reply, Request, ValueOp};

/// What one transaction does beside writing rows.
struct Group {
    now: Nanos,
    weight: usize,
    answers: Vec<Answer>,
    permits: Vec<OwnedSemaphorePermit>,
    changes: Vec<Change>,
    packets: Vec<Arc<PacketRecord>>,
    args: Vec<(i64, Bytes)>,
    /// Tasks that were taken out of the schedule, to be put back where the group fails.
    seized: Vec<OpenTask>,
    /// When a packet of a source was last kept.
    sources: HashMap<String, Nanos>,
    /// Commits of this group by lease.
    leases: HashMap<u64, commit::Progress>,
    /// Segment files that go when this is on disk.
    unlink: Vec<i64>,
    events: Page,
}

impl Group {
    fn new(now: Nanos) -> Self {
        Self {
            now,
            weight: 0,
            answers: Vec::new(),
            permits: Vec::new(),
            changes: Vec::new(),
            packets: Vec::new(),
            args: Vec::new(),
            seized: Vec::new(),
            sources: HashMap::new(),
            leases: HashMap::new(),
            unlink: Vec::new(),
            events: Page::default(),
        }
    }
}

/// What the writer shares with the handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) incarnation: u64,
    pub(crate) queues: Arc<Queues>,
    pub(crate) cache: Arc<Cache>,
    /// The number of the last event.
    pub(crate) news: watch::Sender<u64>,
    /// How long what is kept now.
    pub(crate) retention: watch::Receiver<crate::options::Retention>,
    /// Group commits since the store was opened.
    pub(crate) commits: Arc<AtomicU64>,
}

/// What the writer knows of the rows, so that it need not read them.
#[derive(Debug, Default)]
struct Known {
    generation: u64,
    next_packet: i64,
    next_task: i64,
    next_event: i64,
    /// The first event that is kept.
    oldest_event: i64,
    /// Bytes of payloads and refused bytes that are kept.
    payload_bytes: i64,
    /// As the rows have it.
    payload_bytes_written: i64,
    handlers: HashMap<Shape, Arc<HandlerRow>>,
    descendants: Descendants,
    /// The newest packet that a backup brought; 0 where none did.
    historic: i64,
    /// When the store was restored from a backup; 0 where it never was.
    restored: i64,
    /// Why tasks that run are to be revoked, by their number.
    revocations: HashMap<i64, Failure>,
}

/// How the writer ended.
pub(crate) enum End {
    /// Every handle is gone.
    Dropped,
    /// It was asked to; the answer is given when everything is closed.
    Closed(Reply<()>, Result<(), StoreError>),
}

/// The writer's state.
pub(crate) struct Writer<'c> {
    connection: &'c Connection,
    sql: Sql<'c>,
    shared: Shared,
    payloads: Appender,
    blobs: Appender,
    books: Books,
    known: Known,
    retention: Retention,
    wall: Wall,
    disk: Watch,
    failed: Option<StoreError>,
    /// The disk was full in the last group.
    is_full: bool,
    /// Groups since the length of the log was looked at.
    groups: u32,
}

impl<'c> Writer<'c> {
    pub(crate) fn new(
        connection: &'c Connection,
        shared: Shared,
        payloads: Appender,
        blobs: Appender,
    ) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(64);
        let (_, passed) = shared.options.clock.look();
        let mut writer = Self {
            wall: Wall::read(connection, passed)?,
            disk: Watch::new(payloads.dir().to_owned(), shared.options.disk),
            connection,
            sql: Sql::new(connection)?,
            shared,
            payloads,
            blobs,
            books: Books::default(),
            known: Known::default(),
            retention: Retention::default(),
            failed: None,
            is_full: false,
            groups: 0,
        };
        writer.know()?;
        writer.ring();
        Ok(writer)
    }

    /// Reads afresh what is known of the rows.
    fn know(&mut self) -> rusqlite::Result<()> {
        let last = |table: &str| -> rusqlite::Result<i64> {
            let query = format!("SELECT coalesce(max(seq), 0) FROM {table}");
            self.connection.query_row(&query, [], |row| row.get(0))
        };
        let payload_bytes = meta(self.connection, "payload_bytes")?;
        let last_event: Option<i64> = self
            .connection
            .query_row(
                "SELECT last FROM events ORDER BY first DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?;
        let oldest_event = self.oldest_event()?;
        self.known = Known {
            next_event: last_event.unwrap_or(0) + 1,
            oldest_event,
            payload_bytes,
            payload_bytes_written: payload_bytes,
            generation: unsigned(meta(self.connection, "routes_generation")?),
            next_packet: last("packets")? + 1,
            next_task: last("tasks")? + 1,
            descendants: Descendants::read(self.connection)?,
            historic: meta(self.connection, "historic_packet")?,
            restored: meta(self.connection, "restored")?,
            revocations: person::revocations(self.connection)?,
            ..Known::default()
        };
        self.books = Books::default();
        Ok(())
    }

    /// Works until the store is closed or every handle is gone.
    pub(crate) fn run(mut self, mut receiver: mpsc::Receiver<Request>) -> End {
        let mut requests = Vec::new();
        loop {
            if !self.receive(&mut receiver, &mut requests) {
                return End::Dropped;
            }
            let busy = !requests.is_empty();
            if let Some(reply) = self.work(&mut requests) {
                receiver.close();
                let closed = self.close();
                return End::Closed(reply, closed);
            }
            self.relieve();
            self.retain(busy);
            self.checkpoint();
        }
    }

    /// Takes what waits; waits for something unless retention has something to do. Returns
    /// whether any handle is left.
    fn receive(&self, receiver: &mut mpsc::Receiver<Request>, requests: &mut Vec<Request>) -> bool {
        let most = self.shared.options.group.max(1);
        if !self.retention.is_under_way() {
            return receiver.blocking_recv_many(requests, most) > 0;
        }
        while requests.len() < most {
            match receiver.try_recv() {
                Ok(request) => requests.push(request),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !requests.is_empty(),
            }
        }
        true
    }

    /// Does what waits, in one or more groups; returns who asked to close.
    fn work(&mut self, requests: &mut Vec<Request>) -> Option<Reply<()>> {
        let mut waiting = requests.drain(..).peekable();
        while waiting.peek().is_some() {
            self.disk.look();
            let mut group = Group::new(self.shared.options.clock.now());
            let mut begun = self.begin();
            let mut closing = None;
            while group.weight < self.shared.options.group.max(1) {
                let Some(Request { op, permit }) = waiting.next() else {
                    break;
                };
                group.permits.extend(permit);
                if let Op::Close { reply } = op {
                    closing = Some(reply);
                    break;
                }
                match &begun {
                    Ok(()) => begun = self.apply(&mut group, op),
                    Err(error) => op.fail(error.clone()),
                }
            }
            // Whoever asked was told.
            drop(self.finish(group, begun));
            if closing.is_some() {
                return closing;
            }
        }
        None
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.sql.begin.execute([])?;
        Ok(())
    }

    /// Writes the rows of one operation. An error is of the whole group.
    fn apply(&mut self, group: &mut Group, op: Op) -> Result<(), StoreError> {
        group.weight += op.weight();
        if let Some(disk) = self.disk.reserve()
            && op.is_new()
        {
            op.fail(StoreError::Full {
                cause: Cause::Reserve {
                    free: disk.free,
                    mark: disk.reserve,
                },
            });
            return Ok(());
        }
        match op {
            Op::Accept {
                generation,
                offers,
                reply,
            } => {
                let written = self.apply_accept(group, generation, offers);
                settle(group, reply, written)
            }
            Op::Refuse {
                refusals,
                lengths,
                reply,
            } => {
                let written = self.apply_refuse(group, &refusals, &lengths);
                settle(group, reply, written)
            }
            Op::Unconfirmed {
                source,
                frames,
                reply,
            } => {
                let written = self.apply_unconfirmed(group, &source, frames);
                settle(group, reply, written)
            }
            Op::Listening {
                source,
                listening,
                reply,
            } => {
                let written = self.apply_listening(&source, listening);
                settle(group, reply, written)
            }
            Op::Submit { submissions, reply } => {
                let written = self.apply_submit(group, submissions);
                settle(group, reply, written)
            }
            Op::Tick { tick, reply } => {
                let written = self.apply_tick(group, tick);
                settle(group, reply, written)
            }
            Op::Commit { commits, reply } => {
                let written = self.apply_commits(group, commits);
                settle(group, reply, written)
            }
            Op::Retain { reply } => {
                self.begin_pass(group.now, reply);
                Ok(())
            }
            Op::Value(op) => self.apply_value(group, op),
            Op::Person(op) => self.apply_person(group, op),
            // Whoever does the work ends it there, and answers when all is closed.
            Op::Close { reply } => settle(group, reply, Ok(Ok(()))),
        }
    }

    /// Commits or takes back a group, and answers.
    fn finish(&mut self, group: Group, written: Result<(), StoreError>) -> Result<(), StoreError> {
        let Group {
            answers,
            changes,
            packets,
            args,
            seized,
            sources,
            now,
            permits,
            unlink,
            events,
            ..
        } = group;
        let committed = written.and_then(|()| self.commit_rows(now, &sources, &events));
        if let Err(error) = &committed {
            self.take_back(error);
            let back = seized.into_iter().map(Change::Made);
            self.shared.queues.publish(back);
        } else {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            self.wall.written();
            self.payloads.named();
            self.blobs.named();
            self.known.payload_bytes_written = self.known.payload_bytes;
            self.unlink(&unlink);
            self.ring();
            for record in packets {
                self.shared.cache.insert_packet(record);
            }
            for (task, args) in args {
                self.shared.cache.insert_args(task, args);
            }
            self.shared.queues.publish(changes);
        }
        drop(permits);
        for answer in answers {
            answer(committed.as_ref().err());
        }
        committed
    }

    /// Removes segment files that no row names any more; one that stays goes at the next start.
    fn unlink(&self, segments: &[i64]) {
        for segment in segments {
            let path = path_of(self.payloads.dir(), *segment);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "segment file not removed");
            }
        }
    }

    fn commit_rows(
        &mut self,
        now: Nanos,
        sources: &HashMap<String, Nanos>,
        events: &Page,
    ) -> Result<(), StoreError> {
        self.write_events(now, events)?;
        self.books.write(&mut self.sql)?;
        self.note_sources(sources)?;
        self.wall.look(self.shared.options.clock.look());
        for row in self.wall.unwritten().into_iter().flatten() {
            self.sql.set_meta.execute(row)?;
        }
        self.sql.set_meta.execute(("last_commit", now))?;
        if self.known.payload_bytes != self.known.payload_bytes_written {
            let bytes = self.known.payload_bytes;
            self.sql.set_meta.execute(("payload_bytes", bytes))?;
        }
        for segments in [&mut self.payloads, &mut self.blobs] {
            if let Some((number, end)) = segments.sync()? {
                self.sql.name_segment.execute((number, end, now))?;
            }
        }
        self.sql.commit.execute([])?;
        Ok(())
    }

    /// Forgets a group. After a failed sync nothing is believed and nothing more is written.
    fn take_back(&mut self, error: &StoreError) {
        if self.failed.is_some() {
            return;
        }
        // After a failed sync the rows may yet appear, and the records that they name are needed.
        if !error.is_fatal() {
            self.payloads.take_back();
            self.blobs.take_back();
        }
        self.is_full = matches!(error, StoreError::Full { .. });
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.fail(StoreError::from(error));
            return;
        }
        if error.is_fatal() {
            self.fail(error.clone());
        } else {
            tracing::warn!(%error, "group of operations taken back");
            if let Err(error) = self.know() {
                self.fail(StoreError::from(error));
            }
        }
    }

    fn fail(&mut self, error: StoreError) {
        let error = match error {
            StoreError::Unavailable { cause } | StoreError::Full { cause } => {
                StoreError::Failed { cause }
            }
            other => other,
        };
        tracing::error!(%error, "store writes nothing more");
        self.shared.queues.refuse(error.clone());
        self.failed = Some(error);
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.connection.execute_batch(
            "BEGIN IMMEDIATE;
             UPDATE sources SET listening = 0;
             UPDATE meta SET value = 1 WHERE name = 'clean';
             COMMIT;",
        )?;
        self.empty_log()
    }
}
