//! Questions in SQL, over views that outlive the tables: what people may rely on.
//!
//! The connection only reads, beside whoever writes. A query that takes too long is ended, so
//! that it does not keep the log from being emptied.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use crate::error::OpenError;
use crate::reader::Reader;

/// Steps of the database's machine between two looks at the time.
const STEPS: i32 = 10_000;

/// The views, in the temporary schema of one connection. Times are texts in UTC, so that they
/// compare with `'2026-11-24'` as they should. docs/sql.md tells of each column.
const VIEWS: &str = "
CREATE TEMP VIEW packets AS
    SELECT p.seq AS number, p.source, p.key, p.id, p.role,
        gwasp_time(p.received) AS received, gwasp_time(p.sent) AS sent,
        p.content_type, p.length AS bytes, p.unmatched, p.same_as,
        (SELECT coalesce(sum(n), 0) FROM main.repeats r WHERE r.packet = p.seq) AS repeats,
        gwasp_time(p.dropped) AS dropped, lower(hex(p.digest)) AS sha256
    FROM main.packets p;
CREATE TEMP VIEW tasks AS
    SELECT gwasp_id(t.id) AS id, h.plugin || '.' || h.handler AS handler, h.queue,
        CASE t.state WHEN 0 THEN 'PENDING' WHEN 1 THEN 'RETRY' WHEN 2 THEN 'PARKED'
            WHEN 3 THEN 'FAILURE' WHEN 4 THEN 'REVOKED' WHEN 6 THEN 'DELIVERED' ELSE 'SUCCESS'
            END AS state,
        CASE t.origin WHEN 0 THEN 'packet' WHEN 1 THEN 'call' WHEN 2 THEN 'spawn'
            WHEN 3 THEN 'beat' ELSE 'redispatch' END AS origin,
        t.packet, gwasp_id(t.parent) AS parent, t.priority, t.order_key, t.attempts,
        gwasp_time(t.made) AS made, gwasp_time(t.due) AS due, gwasp_time(t.started) AS started,
        gwasp_time(t.ended) AS ended, gwasp_time(t.deadline) AS deadline,
        (t.ended - t.made) / 1e9 AS seconds, t.cpu / 1000 AS cpu_us,
        lower(hex(t.version)) AS version, f.kind, f.message AS error,
        EXISTS(SELECT 1 FROM main.shadows s WHERE s.task = t.seq) AS shadow
    FROM main.tasks t JOIN main.handlers h ON h.row = t.handler
    LEFT JOIN main.failures f ON f.task = t.seq AND f.attempt = t.attempts;
CREATE TEMP VIEW effects AS
    SELECT gwasp_id(t.id) AS task, h.plugin || '.' || h.handler AS handler, j.seq AS place,
        gwasp_effect(j.bytes, 'function') AS function, gwasp_effect(j.bytes, 'state') AS state,
        gwasp_time(gwasp_effect(j.bytes, 'asked')) AS asked,
        gwasp_effect(j.bytes, 'request') AS request, gwasp_effect(j.bytes, 'key') AS key
    FROM main.journal j JOIN main.tasks t ON t.seq = j.task
    JOIN main.handlers h ON h.row = t.handler;
CREATE TEMP VIEW ledger AS
    SELECT a.source, date(a.day * 86400, 'unixepoch') AS day, c.name AS counter, c.n
    FROM main.counts c JOIN main.accounts a ON a.id = c.account;
";

/// What a journal's entry says of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectColumns {
    /// Name of the host function.
    pub function: String,
    /// How far it has come.
    pub state: &'static str,
    /// When it was asked for, nanoseconds since the Unix epoch.
    pub asked: i64,
    /// What was asked for.
    pub request: String,
    /// Idempotency key of an external effect.
    pub key: Option<String>,
}

/// Reads a journal's entry, whose encoding the store does not know; `None` for one that cannot
/// be read.
pub type ReadEffect = fn(&[u8]) -> Option<EffectColumns>;

/// One value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// An integer.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text; bytes that are none are shown in hexadecimal.
    Text(String),
}

/// What a query gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// There were more rows than were asked for.
    pub is_cut: bool,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is no question.
    #[error(
        "only queries are answered, one at a time; the views are packets, tasks, effects and ledger"
    )]
    NoQuery,
    /// It took too long.
    #[error("ended after {0:?}; ask for less, or give more time with `--time`")]
    TooLong(Duration),
    /// The database refused it.
    #[error("the query has no answer; docs/sql.md lists the columns")]
    Database(#[from] rusqlite::Error),
}

/// Answers a query over the store in `dir`, within `time`, with at most `rows` rows.
///
/// # Errors
/// [`SqlError`].
pub fn select(
    dir: &Path,
    query: &str,
    (time, rows): (Duration, usize),
    read: ReadEffect,
) -> Result<Answer, SqlError> {
    let mut connection = Reader::open(dir)?.into_connection();
    define(&connection, read)?;
    connection.execute_batch(VIEWS)?;
    connection.pragma_update(None, "query_only", true)?;
    let end = Instant::now() + time;
    connection.progress_handler(STEPS, Some(move || Instant::now() > end))?;
    answer(&connection, query, rows).map_err(|error| match error {
        SqlError::Database(cause)
            if cause.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            SqlError::TooLong(time)
        }
        error => error,
    })
}

fn answer(connection: &Connection, query: &str, most: usize) -> Result<Answer, SqlError> {
    let mut statement = connection.prepare(query).map_err(|error| match error {
        rusqlite::Error::MultipleStatement => SqlError::NoQuery,
        error => error.into(),
    })?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(SqlError::NoQuery);
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut answer = Answer {
        columns,
        ..Answer::default()
    };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if answer.rows.len() == most {
            answer.is_cut = true;
            return Ok(answer);
        }
        let cells = (0..answer.columns.len()).map(|column| row.get_ref(column).map(cell));
        answer.rows.push(cells.collect::<Result<_, _>>()?);
    }
    Ok(answer)
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Text(hexadecimal(bytes)),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Defines what the views call.
fn define(connection: &Connection, read: ReadEffect) -> rusqlite::Result<()> {
    let pure = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("gwasp_time", 1, pure, |call| {
        Ok(call.get::<Option<i64>>(0)?.map(time))
    })?;
    connection.create_scalar_function("gwasp_id", 1, pure, |call| {
        let id: Option<[u8; 16]> = call.get(0)?;
        Ok(id.map(|id| crate::record::TaskId(id).to_string()))
    })?;
    connection.create_scalar_function("gwasp_effect", 2, pure, move |call| {
        let bytes: Vec<u8> = call.get(0)?;
        let column: String = call.get(1)?;
        let Some(effect) = read(&bytes) else {
            return Ok(rusqlite::types::Value::Null);
        };
        Ok(match column.as_str() {
            "function" => effect.function.into(),
            "state" => effect.state.to_owned().into(),
            "asked" => effect.asked.into(),
            "request" => effect.request.into(),
            _ => effect.key.into(),
        })
    })
}

/// A moment in UTC, RFC 3339, milliseconds (Hinnant, "chrono-compatible low-level date
/// algorithms": `civil_from_days`).
fn time(nanos: i64) -> String {
    const DAY: i64 = 86_400_000;
    let millis = nanos.div_euclid(1_000_000);
    let (days, rest) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_those_of_the_calendar() {
        // As `date -u -d @… +%FT%TZ` has them.
        let second = 1_000_000_000;
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400 * second), "2000-02-29T00:00:00.000Z");
        assert_eq!(
            time(1_767_225_599 * second + 999_999_999),
            "2025-12-31T23:59:59.999Z"
        );
        assert_eq!(time(-second), "1969-12-31T23:59:59.000Z");
    }
}
