//! Removing what is older than it is kept.
//!
//! A *pass* goes through the stages of [`STAGES`] in order, in *slices* between group commits: a
//! slice is a transaction of its own that ends after [`SLICE`] and one sync, so that is what an
//! operation may wait for it. What is removed is counted on its account in the same
//! transaction. A pass that a crash cuts short is begun afresh.
//!
//! Rows are looked at in the order in which they were made. A stage ends where [`LOOK`] rows in
//! a row are young, so that a few wrong times stop nothing.
//!
//! A segment file is removed once no row names a record in it. What is needed for ever (the
//! packets of tasks set aside) holds its file, [`Options::segment_size`] and one payload at
//! most: copying it forward would have intake wait for the reading and writing of payloads.
//!
//! [`Options::segment_size`]: crate::Options::segment_size

use std::time::{Duration, Instant};

use rusqlite::{Params, Row};

use super::{Group, Reply, Writer};
use crate::disk::{self, DiskLevel};
use crate::error::StoreError;
use crate::options::Retention as Kept;
use crate::record::Nanos;
use crate::schema::unsigned;
use crate::view::Removed;

mod blobs;
mod packets;
mod tasks;

/// How long one slice takes, without its sync.
const SLICE: Duration = Duration::from_millis(2);
/// From the end of a slice to the next while operations come.
const PAUSE: Duration = Duration::from_millis(20);
/// From one pass to the next while there are too many bytes.
const PRESSED: Duration = Duration::from_secs(5);
/// From one pass to the next while the disk is low.
const LOW: Duration = Duration::from_mins(1);
/// Rows that are read at once, and young rows in a row at which a stage ends.
const LOOK: u32 = 64;
/// For how long identities are remembered, however short the payloads are kept: as long as a
/// stream may send a packet again.
const IDENTITY: Duration = Duration::from_hours(30 * 24);
/// How often blobs are swept.
const SWEEP: Nanos = 24 * 3600 * 1_000_000_000;

/// What a pass is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Results,
    Journals,
    Arguments,
    Tasks,
    Refusals,
    Unconfirmed,
    Packets,
    Payloads,
    Pressed,
    Gaps,
    Claims,
    Events,
    Versions,
    Mentions,
    Blobs,
    Segments,
}

/// All stages in their order: a row goes before what it needs, mentions are renewed before
/// blobs go.
const STAGES: [Stage; 16] = [
    Stage::Results,
    Stage::Journals,
    Stage::Arguments,
    Stage::Tasks,
    Stage::Refusals,
    Stage::Unconfirmed,
    Stage::Packets,
    Stage::Payloads,
    Stage::Pressed,
    Stage::Gaps,
    Stage::Claims,
    Stage::Events,
    Stage::Versions,
    Stage::Mentions,
    Stage::Blobs,
    Stage::Segments,
];

/// What becomes of a row that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is old, removed or needed.
    Old,
    /// It is kept because it is young.
    Young,
}

/// A pass under way.
#[derive(Debug)]
struct Pass {
    /// When it began, by the store's clock.
    now: Nanos,
    sweeps_blobs: bool,
    /// What is old goes; else only what is too much.
    is_by_age: bool,
    /// When the clock leapt ahead, by itself.
    leapt: Nanos,
    /// There are more bytes than may be kept.
    is_pressed: bool,
    /// Index in [`STAGES`].
    stage: usize,
    /// The last row that was looked at in this stage.
    cursor: i64,
    /// As `cursor`, where rows have a digest too.
    digest: [u8; 32],
    /// As `cursor`, of refusals, where packets are looked at beside them.
    refusal: i64,
    young: u32,
    /// Where payloads are looked at from; believed once the slice is on disk.
    payloads_to: i64,
    until: Instant,
    removed: Removed,
    replies: Vec<Reply<Removed>>,
}

impl Pass {
    /// Returns the moment before which what is kept for so long is old; nothing is that was
    /// kept before a leap of the clock, until so long after it.
    fn before(&self, kept: Duration) -> Nanos {
        let kept = Nanos::try_from(kept.as_nanos()).unwrap_or(Nanos::MAX);
        if self.now.saturating_sub(self.leapt) < kept {
            return Nanos::MIN;
        }
        self.now.saturating_sub(kept)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Lets `judge` look at rows until the slice is over; returns whether the stage is done.
    fn walk<T>(
        &mut self,
        rows: Vec<(i64, T)>,
        mut judge: impl FnMut(&mut Self, i64, T) -> Result<Fate, StoreError>,
    ) -> Result<bool, StoreError> {
        let is_done = rows.is_empty();
        for (key, row) in rows {
            self.cursor = key;
            match judge(self, key, row)? {
                Fate::Old => self.young = 0,
                Fate::Young => self.young += 1,
            }
            if self.young >= LOOK {
                return Ok(true);
            }
            // At least one row is done, however long it took to find it.
            if self.is_over() {
                return Ok(false);
            }
        }
        Ok(is_done)
    }

    fn next_stage(&mut self) {
        self.stage += 1;
        self.cursor = 0;
        self.digest = [0; 32];
        self.young = 0;
    }
}

/// What the writer knows of passes.
#[derive(Debug, Default)]
pub(super) struct Retention {
    pass: Option<Box<Pass>>,
    /// When the last slice ended.
    last_slice: Option<Instant>,
    /// When blobs were last swept.
    last_sweep: Option<Nanos>,
    /// The last packet whose payload was looked at; those before it were dropped or are needed.
    payloads_to: i64,
}

impl Retention {
    /// Returns whether a pass is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.pass.is_some()
    }
}

impl Writer<'_> {
    /// Begins a pass; `reply` is answered at its end. One that is asked for sweeps blobs too, and
    /// whoever asks vouches for the clock. One that is not does without age while the clock is
    /// doubted.
    pub(super) fn begin_pass(&mut self, now: Nanos, reply: Option<Reply<Removed>>) {
        self.wall.look(self.shared.options.clock.look());
        let is_asked_for = reply.is_some();
        let is_by_age = is_asked_for || self.wall.is_believed();
        let is_pressed = self.has_too_many_bytes();
        if !is_by_age && !is_pressed {
            return;
        }
        let last = self.retention.last_sweep;
        let is_time = last.is_none_or(|last| now.abs_diff(last) >= SWEEP.unsigned_abs());
        let sweeps_blobs = is_by_age && (is_time || is_asked_for);
        if sweeps_blobs {
            self.retention.last_sweep = Some(now);
            self.retention.payloads_to = 0;
        }
        let former = self.retention.pass.take();
        let (removed, mut replies, swept) = former.map_or_else(Default::default, |pass| {
            (pass.removed, pass.replies, pass.sweeps_blobs)
        });
        replies.extend(reply);
        self.retention.pass = Some(Box::new(Pass {
            now,
            sweeps_blobs: sweeps_blobs || swept,
            is_by_age,
            leapt: if is_asked_for { 0 } else { self.wall.leapt() },
            is_pressed,
            stage: 0,
            cursor: 0,
            digest: [0; 32],
            refusal: 0,
            young: 0,
            payloads_to: self.retention.payloads_to,
            until: Instant::now(),
            removed,
            replies,
        }));
    }

    /// Begins a pass if there are more bytes than may be kept, or the disk is low.
    pub(super) fn relieve(&mut self) {
        let last = self.retention.last_slice;
        let wait = if self.has_too_many_bytes() {
            PRESSED
        } else if self.disk.level() > DiskLevel::Enough {
            LOW
        } else {
            return;
        };
        let is_time = last.is_none_or(|last| last.elapsed() >= wait);
        if self.shared.options.removes
            && is_time
            && !self.retention.is_under_way()
            && self.failed.is_none()
        {
            self.begin_pass(self.shared.options.clock.now(), None);
        }
    }

    fn has_too_many_bytes(&self) -> bool {
        let limit = self.kept().packet_bytes;
        unsigned(self.known.payload_bytes) > limit
    }

    /// Does a slice of the pass that is under way; while `busy`, only after a pause.
    pub(super) fn retain(&mut self, busy: bool) {
        let last = self.retention.last_slice;
        if busy && last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        let Some(mut pass) = self.retention.pass.take() else {
            return;
        };
        let mut group = Group::new(self.shared.options.clock.now());
        pass.until = Instant::now() + SLICE;
        let before = self.connection.total_changes();
        let sliced = self
            .begin()
            .and_then(|()| self.slice(&mut group, &mut pass));
        let is_done = pass.stage >= STAGES.len();
        let written = if sliced.is_ok() && !is_done && self.connection.total_changes() == before {
            // Nothing to sync.
            self.sql
                .commit
                .execute([])
                .map(drop)
                .map_err(StoreError::from)
        } else {
            self.finish(group, sliced)
        };
        self.retention.last_slice = Some(Instant::now());
        if written.is_ok() {
            self.retention.payloads_to = pass.payloads_to;
        }
        match written {
            Ok(()) if is_done => self.end_pass(*pass),
            Ok(()) => self.retention.pass = Some(pass),
            Err(error) => {
                tracing::warn!(%error, "pass of retention broken off; it is tried again later");
                for reply in pass.replies {
                    drop(reply.send(Err(error.clone())));
                }
            }
        }
    }

    fn end_pass(&self, pass: Pass) {
        let removed = pass.removed;
        if removed != Removed::default() {
            tracing::info!(
                packets = removed.packets,
                payloads = removed.payloads,
                tasks = removed.tasks,
                results = removed.results,
                journals = removed.journals,
                refusals = removed.refusals,
                blobs = removed.blobs,
                segments = removed.segments,
                "what was kept long enough removed"
            );
        }
        for reply in pass.replies {
            drop(reply.send(Ok(removed)));
        }
    }

    fn slice(&mut self, group: &mut Group, pass: &mut Pass) -> Result<(), StoreError> {
        while let Some(stage) = STAGES.get(pass.stage) {
            if self.stage(group, pass, *stage)? {
                pass.next_stage();
            }
            if pass.is_over() {
                return Ok(());
            }
        }
        if pass.is_by_age {
            self.sql.set_meta.execute(("retained", pass.now))?;
        }
        Ok(())
    }

    /// Does some of a stage; returns whether it is done.
    fn stage(
        &mut self,
        group: &mut Group,
        pass: &mut Pass,
        stage: Stage,
    ) -> Result<bool, StoreError> {
        let needs_no_clock = matches!(stage, Stage::Pressed | Stage::Segments);
        if !pass.is_by_age && !needs_no_clock {
            return Ok(true);
        }
        match stage {
            Stage::Results => self.remove_results(pass),
            Stage::Journals => self.remove_journals(pass),
            Stage::Arguments => self.remove_arguments(pass),
            Stage::Tasks => self.remove_tasks(pass),
            Stage::Refusals => self.remove_refusals(pass),
            Stage::Unconfirmed => self.remove_unconfirmed(pass),
            Stage::Packets => self.remove_packets(pass),
            Stage::Payloads => self.drop_payloads(pass),
            Stage::Pressed => self.relieve_bytes(pass),
            Stage::Gaps => self.remove_gaps(pass),
            Stage::Claims => self.remove_claims(pass),
            Stage::Events => self.remove_events(pass),
            Stage::Versions | Stage::Mentions | Stage::Blobs if !pass.sweeps_blobs => Ok(true),
            Stage::Versions => self.renew_versions(pass),
            Stage::Mentions => self.renew_mentions(pass),
            Stage::Blobs => self.remove_blobs(pass),
            Stage::Segments => self.remove_segments(group, pass),
        }
    }

    /// Returns how long rows of packets are kept.
    fn packet_rows(&self) -> Duration {
        self.kept().packets.max(IDENTITY)
    }

    /// Returns how long what is kept, as the disk has it.
    fn kept(&self) -> Kept {
        disk::kept(&self.shared.retention.borrow(), self.disk.level())
    }

    /// Runs a statement of retention.
    fn run_once(&self, text: &str, params: impl Params) -> rusqlite::Result<u64> {
        let changed = self.connection.prepare_cached(text)?.execute(params)?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    /// Reads rows whose first column is their number.
    fn rows<T>(
        &self,
        text: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<(i64, T)>> {
        let mut statement = self.connection.prepare_cached(text)?;
        let rows = statement.query_map(params, |row| Ok((row.get(0)?, read(row)?)))?;
        rows.collect()
    }
}
