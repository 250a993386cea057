//! The rows of which the schedule is made: open tasks, their handlers, and pauses.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::pause::{Pause, Scope};
use crate::queues::Change;
use crate::record::{Nanos, Origin, State, TaskId};
use crate::schedule::{Caller, HandlerRow, OpenTask, Tally};
use crate::schema::{
    Fixed, Moving, OPEN, handler_seal, origin_of, pause_seal, state_code, unsigned, unsigned32,
};

/// The columns that [`task`] reads.
const COLUMNS: &str = "SELECT seq, id, handler, origin, account, packet, parent, root, priority,
    order_key, made, deadline, seal, state, due, attempts, started, ended, cpu, version, journal,
    journal_bytes, moving_seal, EXISTS(SELECT 1 FROM asked WHERE asked.task = tasks.seq)
    FROM tasks";

/// Rows of `handlers` by their number.
pub(crate) type Handlers = HashMap<i64, Arc<HandlerRow>>;

/// Reads the open tasks that may run. One whose row is damaged is left where it is; one that is to
/// be revoked is revoked, and no worker gets it before.
pub(super) fn tasks(connection: &Connection) -> rusqlite::Result<Vec<Change>> {
    let handlers = handlers(connection)?;
    let mut callers = Callers::read(connection)?;
    let text = format!(
        "{COLUMNS} WHERE {OPEN} AND seq NOT IN (SELECT task FROM revocations) ORDER BY seq"
    );
    let mut statement = connection.prepare(&text)?;
    let mut rows = statement.query([])?;
    let mut tasks = Vec::new();
    while let Some(row) = rows.next()? {
        match task(row, &handlers)? {
            Some((moving, mut task)) => {
                let is_parked = moving.state == state_code(State::Parked);
                let waits = is_parked && callers.waits(&task);
                if task.origin == Origin::Call {
                    let caller: Option<[u8; 16]> = row.get("parent")?;
                    task.caller = caller.and_then(|caller| callers.of(TaskId(caller)));
                }
                if waits {
                    callers.add(&task);
                }
                tasks.push(Change::Recovered {
                    // One that sleeps has no turn; one that waits for others has.
                    has_begun: moving.started.is_some() && (waits || !is_parked),
                    is_parked: waits,
                    task,
                });
            }
            None => {
                let seq: i64 = row.get(0)?;
                tracing::error!(seq, "row of an open task is damaged; it is not run");
            }
        }
    }
    Ok(tasks)
}

/// Who waits for whom; a caller is older than what it called.
struct Callers {
    /// Tasks that wait for others.
    waiting: HashSet<i64>,
    known: HashMap<TaskId, Arc<Caller>>,
}

impl Callers {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT DISTINCT caller FROM waits")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(Self {
            waiting: rows.collect::<Result<_, _>>()?,
            known: HashMap::new(),
        })
    }

    fn waits(&self, task: &OpenTask) -> bool {
        self.waiting.contains(&task.seq)
    }

    fn add(&mut self, task: &OpenTask) {
        let caller = Caller::new(task.id, task.caller.clone());
        self.known.insert(task.id, caller);
    }

    fn of(&self, task: TaskId) -> Option<Arc<Caller>> {
        self.known.get(&task).cloned()
    }
}

/// Reads what is paused. Where a row is damaged nothing is leased until somebody looks: it may be
/// what a person stopped.
pub(super) fn pauses(connection: &Connection, now: Nanos) -> rusqlite::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for pause in pauses_of(connection)? {
        match pause {
            Some(Pause { scope, until, .. }) if until.is_none_or(|until| until > now) => {
                tracing::warn!(%scope, "paused; `gwasp unpause` ends it");
                changes.push(Change::Paused { scope, until });
            }
            Some(_) => {}
            None => {
                tracing::error!(
                    "row of a pause is damaged; everything is paused until `gwasp unpause --all`"
                );
                changes.push(Change::Paused {
                    scope: Scope::All,
                    until: None,
                });
            }
        }
    }
    Ok(changes)
}

/// Reads the rows of `pauses`; `None` for one that is damaged.
pub(crate) fn pauses_of(connection: &Connection) -> rusqlite::Result<Vec<Option<Pause>>> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, name, handler, since, until, who, seal FROM pauses
         ORDER BY kind, name, handler",
    )?;
    let rows = statement.query_map([], |row| {
        let seal: i64 = row.get(6)?;
        let pause = Scope::of(row.get(0)?, row.get(1)?, row.get(2)?).map(|scope| {
            Ok::<_, rusqlite::Error>(Pause {
                scope,
                since: row.get(3)?,
                until: row.get(4)?,
                who: row.get(5)?,
            })
        });
        let pause = pause.transpose()?;
        Ok(pause.filter(|pause| pause_seal(pause) == seal))
    })?;
    rows.collect()
}

/// Reads a task as it would be if it were open, and what changes in its life. `None` where there
/// is none under this id; an inner one where its row is damaged.
pub(crate) fn task_of(
    connection: &Connection,
    id: TaskId,
    handlers: &Handlers,
) -> rusqlite::Result<Option<Option<(Moving, OpenTask)>>> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
    statement
        .query_row([id.0], |row| task(row, handlers))
        .optional()
}

/// Reads the tasks that ran and were to be revoked when the process ended.
pub(super) fn to_revoke(connection: &Connection) -> rusqlite::Result<Vec<TaskId>> {
    let mut statement = connection
        .prepare("SELECT tasks.id FROM revocations JOIN tasks ON tasks.seq = revocations.task")?;
    let rows = statement.query_map([], |row| row.get(0).map(TaskId))?;
    rows.collect()
}

/// Reads the rows of `handlers` that are whole.
pub(crate) fn handlers(connection: &Connection) -> rusqlite::Result<Handlers> {
    let mut statement = connection.prepare(
        "SELECT row, plugin, handler, queue, retries, backoff_ms, max_backoff_ms, timeout_ms, seal
         FROM handlers",
    )?;
    let rows = statement.query_map([], |row| {
        let numbers: [i64; 4] = [row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
        let [retries, backoff_ms, max_backoff_ms, timeout_ms] = numbers;
        let handler = HandlerRow {
            row: row.get(0)?,
            plugin: row.get(1)?,
            handler: row.get(2)?,
            queue: row.get(3)?,
            retries: unsigned32(retries),
            backoff_ms: unsigned(backoff_ms),
            max_backoff_ms: unsigned(max_backoff_ms),
            timeout_ms: unsigned(timeout_ms),
        };
        let names = [&*handler.plugin, &*handler.handler, &*handler.queue];
        let seal = handler_seal(names, numbers);
        Ok((seal == row.get::<_, i64>(8)?).then(|| Arc::new(handler)))
    })?;
    rows.filter_map(|row| {
        row.map(|row| row.map(|handler| (handler.row, handler)))
            .transpose()
    })
    .collect()
}

fn task(row: &Row<'_>, handlers: &Handlers) -> rusqlite::Result<Option<(Moving, OpenTask)>> {
    let id = TaskId(row.get(1)?);
    let parent: Option<Vec<u8>> = row.get(6)?;
    let order_key: Option<String> = row.get(9)?;
    let fixed = Fixed {
        seq: row.get(0)?,
        id: &id,
        handler: row.get(2)?,
        origin: row.get(3)?,
        account: row.get(4)?,
        packet: row.get(5)?,
        parent: parent.as_deref(),
        root: row.get(7)?,
        priority: row.get(8)?,
        order_key: order_key.as_deref(),
        made: row.get(10)?,
        deadline: row.get(11)?,
    };
    let seal: i64 = row.get(12)?;
    let (Some(handler), Some(origin)) = (handlers.get(&fixed.handler), origin_of(fixed.origin))
    else {
        return Ok(None);
    };
    let moving = Moving::read(row, fixed.seq, 13)?;
    let Some(moving) = moving.filter(|_| seal == fixed.seal()) else {
        return Ok(None);
    };
    let journal = Tally {
        entries: length_of(moving.journal),
        bytes: length_of(moving.journal_bytes),
    };
    let task = OpenTask {
        seq: fixed.seq,
        id,
        handler: Arc::clone(handler),
        origin,
        priority: u8::try_from(fixed.priority).unwrap_or(u8::MAX),
        turn: fixed.order_key.map(Arc::from),
        due: moving.due,
        made: fixed.made,
        deadline: fixed.deadline,
        packet: fixed.packet,
        root: fixed.root,
        account: fixed.account,
        attempts: unsigned32(moving.attempts),
        cpu: unsigned(moving.cpu),
        journal,
        pinned: moving.version.filter(|_| journal.entries > 0).map(Box::new),
        is_asked: row.get(23)?,
        caller: None,
    };
    Ok(Some((moving, task)))
}

fn length_of(column: i64) -> usize {
    usize::try_from(column).unwrap_or(0)
}
