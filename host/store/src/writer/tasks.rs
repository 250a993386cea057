//! Making tasks.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::books::made;
use super::descendants::digests_in;
use super::{Group, Writer, Written};
use crate::error::StoreError;
use crate::event::EventKind;
use crate::queues::Change;
use crate::reader::packet_row_of;
use crate::record::{NewTask, Submission};
use crate::schedule::{Caller, HandlerRow, OpenTask, Tally};
use crate::schema::{Fixed, Moving, column, handler_seal, origin_code, seal_of};

/// Most handler rows remembered; beyond it all are read again.
const MOST_HANDLERS: usize = 4_096;

/// What makes one row of `handlers`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    plugin: String,
    handler: String,
    queue: String,
    retries: u32,
    backoff_ms: u64,
    max_backoff_ms: u64,
    timeout_ms: u64,
}

/// What stands behind a task.
#[derive(Clone, Debug)]
pub(super) struct Behind {
    /// The packet that it is run on.
    pub(super) packet: Option<i64>,
    /// Where it is counted.
    pub(super) account: i64,
    /// What it descends from; `None` for a task that stands by itself.
    pub(super) root: Option<i64>,
    /// What it makes may have been made before.
    pub(super) is_asked: bool,
    /// Who waits for it.
    pub(super) caller: Option<Arc<Caller>>,
}

impl Writer<'_> {
    pub(super) fn apply_submit(
        &mut self,
        group: &mut Group,
        submissions: Vec<Submission>,
    ) -> Written<Vec<bool>> {
        let mut fresh = Vec::with_capacity(submissions.len());
        let mut behind = Vec::with_capacity(submissions.len());
        for submission in &submissions {
            let packet = submission.packet.map(|seq| seq.0);
            let Some(found) = self.behind(group, packet)? else {
                let what = format!("packet {}", packet.unwrap_or_default());
                return Ok(Err(StoreError::Unknown { what }));
            };
            if let Some(seq) = packet
                && packet_row_of(self.connection, seq)?.is_some_and(|row| row.is_dropped())
            {
                return Ok(Err(StoreError::Dropped { packet: seq }));
            }
            behind.push(found);
        }
        for (submission, behind) in submissions.into_iter().zip(behind) {
            fresh.push(self.make(group, submission.task, &behind)?);
        }
        Ok(Ok(fresh))
    }

    /// Finds where a task is counted that no packet makes: on its packet's account, else on
    /// today's account of no stream. `None` if there is no such packet.
    pub(super) fn behind(
        &mut self,
        group: &Group,
        packet: Option<i64>,
    ) -> rusqlite::Result<Option<Behind>> {
        let account = match packet {
            Some(seq) => self
                .sql
                .packet_account
                .query_row([seq], |row| row.get(0))
                .optional()?,
            None => Some(self.books.account(&mut self.sql, "", group.now)?),
        };
        let root = packet;
        Ok(account.map(|account| Behind {
            packet,
            account,
            root,
            // The store that was backed up may have dispatched it again since.
            is_asked: packet.is_some_and(|seq| seq <= self.known.historic),
            caller: None,
        }))
    }

    /// Makes a task; returns whether it was not known.
    pub(super) fn make(
        &mut self,
        group: &mut Group,
        task: NewTask,
        behind: &Behind,
    ) -> Result<bool, StoreError> {
        let handler = self.handler_row(Shape {
            plugin: task.plugin,
            handler: task.handler,
            queue: task.queue,
            retries: task.policy.retries,
            backoff_ms: task.policy.backoff_ms,
            max_backoff_ms: task.policy.max_backoff_ms,
            timeout_ms: task.policy.timeout_ms,
        })?;
        let fixed = Fixed {
            seq: self.known.next_task,
            id: &task.id,
            handler: handler.row,
            origin: origin_code(task.origin),
            account: behind.account,
            packet: behind.packet,
            parent: task.parent.as_ref().map(|id| id.0.as_slice()),
            root: behind.root.unwrap_or(-self.known.next_task),
            priority: i64::from(task.priority),
            order_key: task.order_key.as_deref(),
            made: group.now,
            deadline: task.policy.deadline,
        };
        if !self.insert_task(&fixed, task.due)? {
            return Ok(false);
        }
        let (seq, root) = (fixed.seq, fixed.root);
        self.known.next_task += 1;
        self.known.descendants.begin(root);
        if behind.is_asked {
            self.sql.note_asked.execute([seq])?;
        }
        if let Some(args) = task.args {
            self.write_args(group, seq, args)?;
        }
        self.books.count(behind.account, made(task.origin));
        let task = OpenTask {
            seq,
            id: task.id,
            handler,
            origin: task.origin,
            priority: task.priority,
            turn: task.order_key.as_deref().map(Arc::from),
            due: task.due,
            made: group.now,
            deadline: task.policy.deadline,
            packet: behind.packet,
            root,
            account: behind.account,
            attempts: 0,
            cpu: 0,
            journal: Tally::default(),
            pinned: None,
            is_asked: behind.is_asked,
            caller: behind.caller.clone(),
        };
        group.tell_of_task(EventKind::Made, &task, None);
        group.changes.push(Change::Made(task));
        Ok(true)
    }

    /// Writes the argument of a task, and that the blobs in it are needed.
    fn write_args(&mut self, group: &mut Group, task: i64, args: Bytes) -> rusqlite::Result<()> {
        let seal = seal_of(task, &args);
        self.sql.insert_args.execute((task, args.as_ref(), seal))?;
        for digest in digests_in(&args) {
            if self.mention(&digest, group.now)? {
                self.sql.note_mention.execute((task, digest))?;
            }
        }
        group.args.push((task, args));
        Ok(())
    }

    fn insert_task(&mut self, fixed: &Fixed<'_>, due: i64) -> rusqlite::Result<bool> {
        let moving = Moving {
            due,
            ..Moving::default()
        };
        let written = self.sql.insert_task.execute(params![
            fixed.seq,
            fixed.id.0,
            fixed.handler,
            fixed.origin,
            fixed.account,
            fixed.packet,
            fixed.parent,
            fixed.root,
            fixed.priority,
            fixed.order_key,
            fixed.made,
            fixed.deadline,
            fixed.seal(),
            due,
            moving.seal(fixed.seq),
        ])?;
        Ok(written > 0)
    }

    fn handler_row(&mut self, shape: Shape) -> rusqlite::Result<Arc<HandlerRow>> {
        if let Some(handler) = self.known.handlers.get(&shape) {
            return Ok(Arc::clone(handler));
        }
        let names = [&*shape.plugin, &*shape.handler, &*shape.queue];
        let numbers = [
            i64::from(shape.retries),
            column(shape.backoff_ms),
            column(shape.max_backoff_ms),
            column(shape.timeout_ms),
        ];
        let [plugin, handler, queue] = names;
        let [retries, backoff, max_backoff, timeout] = numbers;
        let columns = params![
            plugin,
            handler,
            queue,
            retries,
            backoff,
            max_backoff,
            timeout
        ];
        let row = self.sql.find_handler.query_row(columns, |row| row.get(0));
        let row = match row.optional()? {
            Some(row) => row,
            None => self.sql.make_handler.insert(params![
                plugin,
                handler,
                queue,
                retries,
                backoff,
                max_backoff,
                timeout,
                handler_seal(names, numbers),
            ])?,
        };
        let handler = Arc::new(HandlerRow {
            row,
            plugin: shape.plugin.clone(),
            handler: shape.handler.clone(),
            queue: shape.queue.clone(),
            retries: shape.retries,
            backoff_ms: shape.backoff_ms,
            max_backoff_ms: shape.max_backoff_ms,
            timeout_ms: shape.timeout_ms,
        });
        if self.known.handlers.len() >= MOST_HANDLERS {
            self.known.handlers.clear();
        }
        self.known.handlers.insert(shape, Arc::clone(&handler));
        Ok(handler)
    }
}
