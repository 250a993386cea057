//! Events as they are kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use crate::error::StoreError;
use crate::event::{About, Event, Events, TaskEvent, read_page};
use crate::record::{Nanos, PacketSeq};
use crate::schema::{column, seal_of, unsigned};

/// Names of plugin and handler by row.
type Names = HashMap<i64, (String, String)>;

impl Reader {
    /// Returns at most `max` events from the number `from` on, oldest first, and which numbers
    /// from `from` on are not there: too old, or of another store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where they are damaged; [`StoreError::Unavailable`] where they
    /// cannot be read.
    pub fn events(&self, from: u64, max: usize) -> Result<Events, StoreError> {
        let from = from.max(1);
        let snapshot = self.connection.unchecked_transaction()?;
        let Some((oldest, last)) = bounds(&snapshot)? else {
            return Ok(Events {
                gap: (from > 1).then(|| (1, from - 1)),
                next: 1,
                ..Events::default()
            });
        };
        if from > last + 1 {
            return Ok(Events {
                gap: Some((last + 1, from - 1)),
                next: last + 1,
                ..Events::default()
            });
        }
        let begin = from.max(oldest);
        let mut events = Vec::new();
        let mut names = Names::new();
        let mut statement = snapshot.prepare_cached(
            "SELECT first, at, bytes, seal FROM events
             WHERE first >= (SELECT max(first) FROM events WHERE first <= ?1) ORDER BY first",
        )?;
        let mut rows = statement.query([column(begin)])?;
        while let Some(row) = rows.next()?
            && events.len() < max
        {
            let (first, at): (i64, Nanos) = (row.get(0)?, row.get(1)?);
            let bytes: Vec<u8> = row.get(2)?;
            let sound = row.get::<_, i64>(3)? == seal_of(first, &bytes);
            let page = read_page(&bytes, at).filter(|_| sound);
            let page = page.ok_or_else(|| StoreError::Corrupt {
                place: format!("page of events from {first}"),
            })?;
            for (number, written) in (unsigned(first)..).zip(page) {
                if number < begin || events.len() >= max {
                    continue;
                }
                let about = written.about;
                let named = about.map(|about| named(&snapshot, &mut names, about));
                events.push(Event {
                    number,
                    at,
                    kind: written.kind,
                    packet: written.packet.map(PacketSeq),
                    task: named.transpose()?,
                });
            }
        }
        Ok(Events {
            gap: (begin > from).then(|| (from, begin - 1)),
            next: events.last().map_or(begin, |event| event.number + 1),
            events,
        })
    }

    /// Returns the number of the last event; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub fn last_event(&self) -> Result<u64, StoreError> {
        Ok(bounds(&self.connection)?.map_or(0, |(_, last)| last))
    }
}

/// Returns the first and the last number that are kept.
fn bounds(connection: &Connection) -> Result<Option<(u64, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT min(first) FROM events), last FROM events ORDER BY first DESC LIMIT 1",
    )?;
    let found = statement
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(oldest, last)| (unsigned(oldest), unsigned(last))))
}

fn named(
    connection: &Connection,
    names: &mut Names,
    about: About,
) -> Result<TaskEvent, StoreError> {
    let (plugin, handler) = match names.entry(about.handler) {
        Entry::Occupied(known) => known.get().clone(),
        Entry::Vacant(unknown) => {
            let mut statement =
                connection.prepare_cached("SELECT plugin, handler FROM handlers WHERE row = ?1")?;
            let found = statement
                .query_row([about.handler], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            unknown.insert(found.unwrap_or_default()).clone()
        }
    };
    Ok(TaskEvent {
        id: about.task,
        plugin,
        handler,
        cpu: about.cpu,
        started: about.started,
        is_shadow: about.is_shadow,
    })
}
