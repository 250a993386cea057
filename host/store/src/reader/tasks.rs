//! Tasks as they stand, with their journals and ends.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row};

use super::{Query, Reader, bytes};
use crate::error::StoreError;
use crate::record::{Failure, JournalEntry, PacketSeq, State, TaskId};
use crate::schema::{
    Fixed, LIVING, Moving, NOT_SUCCEEDED, handler_seal, origin_of, seal_of, state_code, state_of,
    unsigned, unsigned32,
};
use crate::view::{Decided, FailedAttempt, TaskDetail, TaskEnd, TaskFilter, TaskFound, TaskView};

const COLUMNS: &str = "SELECT t.seq, t.id, t.handler, t.origin, t.account, t.packet, t.parent,
    t.root, t.priority, t.order_key, t.made, t.deadline, t.seal, t.state, t.due, t.attempts, t.started,
    t.ended, t.cpu, t.version, t.journal, t.journal_bytes, t.moving_seal,
    h.plugin, h.handler, h.queue, h.retries, h.backoff_ms, h.max_backoff_ms, h.timeout_ms, h.seal,
    f.kind, f.message, f.detail, EXISTS(SELECT 1 FROM shadows s WHERE s.task = t.seq),
    EXISTS(SELECT 1 FROM waits w WHERE w.caller = t.seq)
    FROM tasks t JOIN handlers h ON h.row = t.handler
    LEFT JOIN failures f ON f.task = t.seq AND f.attempt = t.attempts";
const IDS: &str = "SELECT t.id FROM tasks t JOIN handlers h ON h.row = t.handler
    LEFT JOIN failures f ON f.task = t.seq AND f.attempt = t.attempts";
/// How many ids are named where a prefix is not unique.
const SEVERAL: usize = 8;
/// How many of the tasks that one waits for are named.
const MOST_WAITS: u32 = 100;

impl Reader {
    /// Lists tasks, newest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a row is damaged; [`StoreError::Unavailable`] where they
    /// cannot be read.
    pub fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskView>, StoreError> {
        filtered(COLUMNS, filter).run(&self.connection, |row| {
            Ok(task_row(row)?.map(|(_, task)| task))
        })
    }

    /// Lists tasks after the number `after`, each with its own, in the order in which they were
    /// made.
    ///
    /// # Errors
    /// As [`Reader::tasks`].
    pub fn tasks_after(&self, after: i64, limit: u32) -> Result<Vec<(i64, TaskView)>, StoreError> {
        let mut query = Query::new(COLUMNS);
        query.and("t.seq > ?", after);
        query.finish("t.seq", Some(limit));
        query.run(&self.connection, task_row)
    }

    /// Lists the ids of tasks, newest first.
    ///
    /// # Errors
    /// As [`Reader::tasks`].
    pub fn task_ids(&self, filter: &TaskFilter) -> Result<Vec<TaskId>, StoreError> {
        filtered(IDS, filter).run(&self.connection, |row| Ok(Ok(TaskId(row.get(0)?))))
    }

    /// Counts the tasks in FAILURE: they are set aside until a person decides.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be counted.
    pub fn set_aside(&self) -> Result<u64, StoreError> {
        let count: i64 = self.connection.query_row(
            &format!("SELECT count(*) FROM tasks t WHERE t.state = ?1 AND {NOT_SUCCEEDED}"),
            [state_code(State::Failure)],
            |row| row.get(0),
        )?;
        Ok(unsigned(count))
    }

    /// Counts the tasks that are set aside because nobody knows whether their last external effect
    /// was made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be counted.
    pub fn in_doubt(&self) -> Result<u64, StoreError> {
        let count: i64 = self.connection.query_row(
            &format!(
                "SELECT count(*) FROM tasks t
                 JOIN failures f ON f.task = t.seq AND f.attempt = t.attempts
                 WHERE t.state = ?1 AND {NOT_SUCCEEDED} AND f.kind = 'in-doubt'"
            ),
            [state_code(State::Failure)],
            |row| row.get(0),
        )?;
        Ok(unsigned(count))
    }

    /// Finds a task by its id or the beginning of it, in UUID text form; dashes and case do not
    /// matter.
    ///
    /// # Errors
    /// As [`Reader::tasks`].
    pub fn task(&self, prefix: &str) -> Result<TaskFound, StoreError> {
        let Some((low, high)) = id_range(prefix) else {
            return Ok(TaskFound::None);
        };
        let mut statement = self.connection.prepare_cached(
            "SELECT id FROM tasks WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 8",
        )?;
        let ids = statement.query_map([low, high], |row| row.get(0).map(TaskId))?;
        let ids: Vec<TaskId> = ids.take(SEVERAL).collect::<Result<_, _>>()?;
        match ids.as_slice() {
            [] => Ok(TaskFound::None),
            [id] => {
                let detail = self.task_by_id(*id)?;
                Ok(detail.map_or(TaskFound::None, |detail| TaskFound::One(Box::new(detail))))
            }
            _ => Ok(TaskFound::Several(ids)),
        }
    }

    /// Returns a task with all that is kept about it.
    ///
    /// # Errors
    /// As [`Reader::tasks`].
    pub fn task_by_id(&self, id: TaskId) -> Result<Option<TaskDetail>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let found = {
            let text = format!("{COLUMNS} WHERE t.id = ?1");
            let mut statement = snapshot.prepare_cached(&text)?;
            statement.query_row([id.0], task_row).optional()?
        };
        let Some((seq, task)) = found.transpose()? else {
            return Ok(None);
        };
        Ok(Some(TaskDetail {
            task,
            failed: self.failed_attempts("failures", "attempt", seq)?,
            past: self.failed_attempts("past_failures", "row", seq)?,
            decisions: self.decisions(seq)?,
            args: self.args(seq)?,
            result: self.sealed("results", seq)?,
            waits_for: self.waits_for(seq)?,
        }))
    }

    fn waits_for(&self, caller: i64) -> Result<Vec<TaskId>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT t.id FROM waits w JOIN tasks t ON t.seq = w.called
             WHERE w.caller = ?1 ORDER BY w.called LIMIT ?2",
        )?;
        let rows = statement.query_map((caller, MOST_WAITS), |row| row.get(0).map(TaskId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Tells how far tasks are, in the order in which they are named; `None` for one that is not
    /// known.
    ///
    /// # Errors
    /// As [`Reader::tasks`].
    pub fn ends(&self, tasks: &[TaskId]) -> Result<Vec<Option<TaskEnd>>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let mut statement = snapshot.prepare_cached(
            "SELECT t.seq, t.state, f.kind, f.message, f.detail, t.due, t.attempts, t.started,
                 t.ended, t.cpu, t.version, t.journal, t.journal_bytes, t.moving_seal
             FROM tasks t LEFT JOIN failures f ON f.task = t.seq AND f.attempt = t.attempts
             WHERE t.id = ?1",
        )?;
        let mut ends = Vec::with_capacity(tasks.len());
        for id in tasks {
            let mut rows = statement.query([id.0])?;
            let end = rows.next()?.map(|row| self.end_of(row)).transpose()?;
            ends.push(end);
        }
        Ok(ends)
    }

    fn end_of(&self, row: &Row<'_>) -> Result<TaskEnd, StoreError> {
        let seq = row.get(0)?;
        let moving = Moving {
            state: row.get(1)?,
            due: row.get(5)?,
            attempts: row.get(6)?,
            started: row.get(7)?,
            ended: row.get(8)?,
            cpu: row.get(9)?,
            version: row.get(10)?,
            journal: row.get(11)?,
            journal_bytes: row.get(12)?,
        };
        if moving.seal(seq) != row.get::<_, i64>(13)? {
            return Err(corrupt(seq));
        }
        Ok(match state_of(moving.state).ok_or_else(|| corrupt(seq))? {
            State::Pending | State::Retry | State::Parked => TaskEnd::Open,
            State::Success => TaskEnd::Succeeded(self.sealed("results", seq)?),
            state @ (State::Failure | State::Delivered | State::Revoked) => {
                let kind: Option<String> = row.get(2)?;
                let message: Option<String> = row.get(3)?;
                let reason = Failure {
                    kind: kind.unwrap_or_else(|| "unknown".to_owned()),
                    message: message.unwrap_or_default(),
                    detail: row.get(4)?,
                };
                if state == State::Revoked {
                    TaskEnd::Revoked(reason)
                } else {
                    TaskEnd::Failed(reason)
                }
            }
        })
    }

    /// Returns the result of a task that ended well with one.
    ///
    /// # Errors
    /// As [`Reader::tasks`].
    pub fn result(&self, id: TaskId) -> Result<Option<Bytes>, StoreError> {
        let seq = self.task_seq(id)?;
        seq.map_or(Ok(None), |seq| self.sealed("results", seq))
    }

    /// Returns the journal of a task, oldest entry first.
    ///
    /// # Errors
    /// As [`Reader::tasks`].
    pub fn journal(&self, id: TaskId) -> Result<Vec<JournalEntry>, StoreError> {
        let seq = self.task_seq(id)?;
        seq.map_or(Ok(Vec::new()), |seq| self.journal_of(seq))
    }

    fn task_seq(&self, id: TaskId) -> Result<Option<i64>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq FROM tasks WHERE id = ?1")?;
        Ok(statement.query_row([id.0], |row| row.get(0)).optional()?)
    }

    pub(crate) fn journal_of(&self, task: i64) -> Result<Vec<JournalEntry>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, bytes, seal FROM journal WHERE task = ?1 ORDER BY seq")?;
        let rows = statement.query_map([task], |row| {
            let entry = JournalEntry {
                seq: unsigned32(row.get(0)?),
                bytes: bytes(row, 1)?,
            };
            let sound = row.get::<_, i64>(2)? == seal_of(i64::from(entry.seq), &entry.bytes);
            Ok(sound.then_some(entry))
        })?;
        rows.map(|row| {
            row?.ok_or_else(|| StoreError::Corrupt {
                place: format!("journal of task number {task}"),
            })
        })
        .collect()
    }

    /// Returns the argument of a task.
    pub(crate) fn args(&self, task: i64) -> Result<Option<Bytes>, StoreError> {
        self.sealed("args", task)
    }

    fn sealed(&self, table: &str, task: i64) -> Result<Option<Bytes>, StoreError> {
        let text = format!("SELECT bytes, seal FROM {table} WHERE task = ?1");
        let mut statement = self.connection.prepare_cached(&text)?;
        let found = statement
            .query_row([task], |row| Ok((bytes(row, 0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        match found {
            Some((bytes, seal)) if seal != seal_of(task, &bytes) => Err(StoreError::Corrupt {
                place: format!("{table} of task number {task}"),
            }),
            found => Ok(found.map(|(bytes, _)| bytes)),
        }
    }

    fn decisions(&self, task: i64) -> Result<Vec<Decided>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT at, what, who FROM decisions WHERE task = ?1 ORDER BY row")?;
        let rows = statement.query_map([task], |row| {
            Ok(Decided {
                at: row.get(0)?,
                what: row.get(1)?,
                who: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn failed_attempts(
        &self,
        table: &str,
        order: &str,
        task: i64,
    ) -> Result<Vec<FailedAttempt>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT attempt, at, kind, message, detail FROM {table} WHERE task = ?1
             ORDER BY {order}",
        ))?;
        let rows = statement.query_map([task], |row| {
            Ok(FailedAttempt {
                attempt: unsigned32(row.get(0)?),
                at: row.get(1)?,
                failure: Failure {
                    kind: row.get(2)?,
                    message: row.get(3)?,
                    detail: row.get(4)?,
                },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Calls `see` with every task, oldest first.
    pub(super) fn each_task(
        &self,
        mut see: impl FnMut(Result<(i64, TaskView), StoreError>),
    ) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare(&format!("{COLUMNS} ORDER BY t.seq"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            see(task_row(row).unwrap_or_else(|error| Err(error.into())));
        }
        Ok(())
    }
}

/// Begins a listing of tasks.
fn filtered(columns: &str, filter: &TaskFilter) -> Query {
    let mut query = Query::new(columns);
    if let Some(state) = filter.state {
        query.and("t.state = ?", state_code(state));
        if !matches!(state, State::Success | State::Delivered) {
            query.also(NOT_SUCCEEDED);
        }
    }
    if filter.lives {
        query.also(LIVING);
    }
    if let Some(plugin) = &filter.plugin {
        query.and("h.plugin = ?", plugin.clone());
    }
    if let Some(handler) = &filter.handler {
        query.and("h.handler = ?", handler.clone());
    }
    if let Some(queue) = &filter.queue {
        query.and("h.queue = ?", queue.clone());
    }
    if let Some(PacketSeq(packet)) = filter.packet {
        query.and("t.root = ?", packet);
    }
    if let Some(since) = filter.since {
        query.and("t.made >= ?", since);
    }
    if let Some(error) = &filter.error {
        query.and("instr(f.message, ?) > 0", error.clone());
    }
    query.finish("t.seq DESC", filter.limit);
    query
}

fn task_row(row: &Row<'_>) -> rusqlite::Result<Result<(i64, TaskView), StoreError>> {
    let id = TaskId(row.get(1)?);
    let parent: Option<[u8; 16]> = row.get(6)?;
    let order_key: Option<String> = row.get(9)?;
    let fixed = Fixed {
        seq: row.get(0)?,
        id: &id,
        handler: row.get(2)?,
        origin: row.get(3)?,
        account: row.get(4)?,
        packet: row.get(5)?,
        parent: parent.as_ref().map(<[u8; 16]>::as_slice),
        root: row.get(7)?,
        priority: row.get(8)?,
        order_key: order_key.as_deref(),
        made: row.get(10)?,
        deadline: row.get(11)?,
    };
    let seq = fixed.seq;
    let sound = row.get::<_, i64>(12)? == fixed.seal() && is_handler_sound(row)?;
    let moving = Moving::read(row, seq, 13)?;
    let (Some(origin), Some(moving), true) = (origin_of(fixed.origin), moving, sound) else {
        return Ok(Err(corrupt(seq)));
    };
    let Some(state) = state_of(moving.state) else {
        return Ok(Err(corrupt(seq)));
    };
    let (packet, priority) = (fixed.packet, fixed.priority);
    let (made, deadline) = (fixed.made, fixed.deadline);
    let task = TaskView {
        id,
        plugin: row.get(23)?,
        handler: row.get(24)?,
        queue: row.get(25)?,
        origin,
        parent: parent.map(TaskId),
        packet: packet.map(PacketSeq),
        priority: u8::try_from(priority).unwrap_or(u8::MAX),
        order_key,
        state,
        attempts: unsigned32(moving.attempts),
        due: moving.due,
        waits_for_others: row.get(35)?,
        made,
        deadline,
        started: moving.started,
        ended: moving.ended,
        cpu: unsigned(moving.cpu),
        version: moving.version,
        journal: unsigned(moving.journal),
        failure: failure(row)?,
        is_shadow: row.get(34)?,
    };
    Ok(Ok((seq, task)))
}

fn corrupt(seq: i64) -> StoreError {
    StoreError::Corrupt {
        place: format!("row of task number {seq}"),
    }
}

fn is_handler_sound(row: &Row<'_>) -> rusqlite::Result<bool> {
    let names: [String; 3] = [row.get(23)?, row.get(24)?, row.get(25)?];
    let numbers = [row.get(26)?, row.get(27)?, row.get(28)?, row.get(29)?];
    let [plugin, handler, queue] = &names;
    Ok(row.get::<_, i64>(30)? == handler_seal([plugin, handler, queue], numbers))
}

fn failure(row: &Row<'_>) -> rusqlite::Result<Option<Failure>> {
    let kind: Option<String> = row.get(31)?;
    let Some(kind) = kind else {
        return Ok(None);
    };
    Ok(Some(Failure {
        kind,
        message: row.get(32)?,
        detail: row.get(33)?,
    }))
}

/// Returns the first and the last id that begin with these hexadecimal digits.
fn id_range(prefix: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits = prefix.chars().filter(|digit| *digit != '-');
    let digits: Vec<u8> = digits
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect::<Option<_>>()?;
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    let digit = |position: usize, absent: u8| digits.get(position).copied().unwrap_or(absent);
    let filled = |absent| {
        std::array::from_fn(|byte| digit(2 * byte, absent) << 4 | digit(2 * byte + 1, absent))
    };
    Some((filled(0x0), filled(0xf)))
}
