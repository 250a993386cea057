//! The ledger, as the counters have it and as the rows do.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Reader;
use crate::error::StoreError;
use crate::ledger::{Account, Ledger, TaskCounts};
use crate::record::State;
use crate::schema::{OPEN, ORIGINS, origin_of, origin_word, state_of, unsigned};

/// How the names of counters begin that count what retention removed.
const REMOVED: &str = "removed/";

/// Accounts in the making, by the number that rows have them under.
type Accounts = BTreeMap<i64, Account>;

impl Reader {
    /// Returns the ledger from a day on (days since 1970-01-01, UTC), as the counters have it.
    /// What is open is counted from the rows.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub fn ledger(&self, since_day: i64) -> Result<Ledger, StoreError> {
        count(&*self.connection.unchecked_transaction()?, since_day)
    }

    /// Returns the ledger from a day on, counted from the rows alone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub fn recount(&self, since_day: i64) -> Result<Ledger, StoreError> {
        recount(&*self.connection.unchecked_transaction()?, since_day)
    }
}

/// Reads the counters, and counts what is open.
pub(super) fn count(snapshot: &Connection, since_day: i64) -> Result<Ledger, StoreError> {
    let mut accounts = named(snapshot, since_day)?;
    each(
        snapshot,
        "SELECT account, name, n FROM counts",
        |account, row| {
            let name: String = row.get(1)?;
            let n = unsigned(row.get(2)?);
            if let Some(account) = accounts.get_mut(&account) {
                set(account, &name, n);
            }
            Ok(())
        },
    )?;
    each(
        snapshot,
        &format!(
            "SELECT account, origin, count(*) FROM tasks WHERE {OPEN} GROUP BY account, origin"
        ),
        |account, row| {
            let (origin, n) = (row.get(1)?, unsigned(row.get(2)?));
            if let Some(account) = accounts.get_mut(&account)
                && let Some(origin) = origin_of(origin)
            {
                account.tasks.entry(origin).or_default().open = n;
            }
            Ok(())
        },
    )?;
    Ok(finished(accounts))
}

/// Counts the rows.
pub(super) fn recount(snapshot: &Connection, since_day: i64) -> Result<Ledger, StoreError> {
    let mut accounts = named(snapshot, since_day)?;
    recount_arrivals(snapshot, &mut accounts)?;
    recount_tasks(snapshot, &mut accounts)?;
    add_removed(snapshot, &mut accounts)?;
    for account in accounts.values_mut() {
        let listener = &mut account.listener;
        listener.read = listener.refused
            + listener.duplicate
            + listener.accepted
            + listener.waiting
            + listener.unconfirmed;
    }
    Ok(finished(accounts))
}

fn named(connection: &Connection, since_day: i64) -> Result<Accounts, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id, source, day FROM accounts WHERE day >= ?1")?;
    let rows = statement.query_map([since_day], |row| {
        let account = Account {
            source: row.get(1)?,
            day: row.get(2)?,
            ..Account::default()
        };
        Ok((row.get(0)?, account))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Calls `see` with the first column, an account's number, and the row.
fn each(
    connection: &Connection,
    text: &str,
    mut see: impl FnMut(i64, &rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(text)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        see(row.get(0)?, row)?;
    }
    Ok(())
}

/// Where a sum is put.
type Place = fn(&mut Account) -> &mut u64;

fn recount_arrivals(connection: &Connection, accounts: &mut Accounts) -> Result<(), StoreError> {
    let sums: [(&str, Place); 3] = [
        (
            "SELECT account, count(*) FROM refusals GROUP BY account",
            |account| &mut account.listener.refused,
        ),
        (
            "SELECT account, sum(n) FROM repeats GROUP BY account",
            |account| &mut account.listener.duplicate,
        ),
        (
            "SELECT account, sum(n) FROM unconfirmed GROUP BY account",
            |account| &mut account.listener.unconfirmed,
        ),
    ];
    for (text, place) in sums {
        each(connection, text, |account, row| {
            let n = unsigned(row.get(1)?);
            if let Some(account) = accounts.get_mut(&account) {
                *place(account) = n;
            }
            Ok(())
        })?;
    }
    each(
        connection,
        "SELECT account, unmatched, count(*) FROM packets GROUP BY account, unmatched",
        |account, row| {
            let (reason, n): (Option<String>, _) = (row.get(1)?, unsigned(row.get(2)?));
            if let Some(account) = accounts.get_mut(&account) {
                account.listener.accepted += n;
                match reason {
                    Some(reason) => *account.unmatched.entry(reason).or_default() += n,
                    None => account.matched += n,
                }
            }
            Ok(())
        },
    )
}

fn recount_tasks(connection: &Connection, accounts: &mut Accounts) -> Result<(), StoreError> {
    each(
        connection,
        "SELECT account, origin, state, count(*) FROM tasks GROUP BY account, origin, state",
        |account, row| {
            let n = unsigned(row.get(3)?);
            let (origin, state) = (origin_of(row.get(1)?), state_of(row.get(2)?));
            if let (Some(account), Some(origin), Some(state)) =
                (accounts.get_mut(&account), origin, state)
            {
                let counts = account.tasks.entry(origin).or_default();
                counts.made += n;
                *place_of(counts, state) += n;
            }
            Ok(())
        },
    )?;
    each(
        connection,
        "SELECT t.account, t.origin, count(*) FROM shadows s JOIN tasks t ON t.seq = s.task
         GROUP BY t.account, t.origin",
        |account, row| {
            if let Some(account) = accounts.get_mut(&account)
                && let Some(origin) = origin_of(row.get(1)?)
            {
                account.tasks.entry(origin).or_default().shadow = unsigned(row.get(2)?);
            }
            Ok(())
        },
    )
}

fn place_of(counts: &mut TaskCounts, state: State) -> &mut u64 {
    match state {
        State::Pending | State::Retry | State::Parked => &mut counts.open,
        State::Failure | State::Delivered => &mut counts.failed,
        State::Revoked => &mut counts.revoked,
        State::Success => &mut counts.succeeded,
    }
}

/// Adds what retention removed to what the rows say, so that the sums are again those of all
/// that ever came.
fn add_removed(connection: &Connection, accounts: &mut Accounts) -> Result<(), StoreError> {
    each(
        connection,
        "SELECT account, name, n FROM counts WHERE name LIKE 'removed/%'",
        |account, row| {
            let name: String = row.get(1)?;
            let n = unsigned(row.get(2)?);
            let (Some(account), Some(counter)) =
                (accounts.get_mut(&account), name.strip_prefix(REMOVED))
            else {
                return Ok(());
            };
            note_removed(account, counter, n);
            if let Some(place) = place_by_name(account, counter) {
                *place += n;
            }
            if counter == "matched" || counter.starts_with("unmatched/") {
                account.listener.accepted += n;
            } else if let Some((word, origin)) = counter.split_once('/')
                && word != "shadow"
                && let Some(made) = place_by_name(account, &format!("made/{origin}"))
            {
                *made += n;
            }
            Ok(())
        },
    )
}

/// Notes on the account itself what was removed from it.
fn note_removed(account: &mut Account, counter: &str, n: u64) {
    let removed = &mut account.removed;
    let word = counter.split('/').next().unwrap_or_default();
    let place = match word {
        "matched" | "unmatched" => &mut removed.packets,
        "refused" => &mut removed.refusals,
        "succeeded" | "revoked" => &mut removed.tasks,
        // What is counted with the packet that came again, and frames without a row to see.
        _ => return,
    };
    *place += n;
}

/// Sets a counter by its name in the table.
fn set(account: &mut Account, name: &str, n: u64) {
    if let Some(counter) = name.strip_prefix(REMOVED) {
        note_removed(account, counter, n);
    } else if let Some(place) = place_by_name(account, name) {
        *place = n;
    }
}

/// Returns where a counter stands on an account, by its name in the table.
fn place_by_name<'a>(account: &'a mut Account, name: &str) -> Option<&'a mut u64> {
    Some(match name {
        "read" => &mut account.listener.read,
        "refused" => &mut account.listener.refused,
        "duplicate" => &mut account.listener.duplicate,
        "accepted" => &mut account.listener.accepted,
        "unconfirmed" => &mut account.listener.unconfirmed,
        "matched" => &mut account.matched,
        _ => return place_of_part(account, name),
    })
}

/// Returns where a counter stands whose name is a word, a stroke and what it is split by.
fn place_of_part<'a>(account: &'a mut Account, name: &str) -> Option<&'a mut u64> {
    let (word, part) = name.split_once('/')?;
    if word == "unmatched" {
        return Some(account.unmatched.entry(part.to_owned()).or_default());
    }
    let origin = ORIGINS
        .iter()
        .find(|origin| origin_word(**origin) == part)?;
    let counts = account.tasks.entry(*origin).or_default();
    match word {
        "made" => Some(&mut counts.made),
        "succeeded" => Some(&mut counts.succeeded),
        "failed" => Some(&mut counts.failed),
        "revoked" => Some(&mut counts.revoked),
        "shadow" => Some(&mut counts.shadow),
        _ => None,
    }
}

/// Leaves out accounts on which nothing is counted, and sorts by day and stream.
fn finished(accounts: Accounts) -> Ledger {
    let mut accounts: Vec<_> = accounts
        .into_values()
        .filter(|account| {
            let empty = Account {
                source: account.source.clone(),
                day: account.day,
                ..Account::default()
            };
            *account != empty
        })
        .collect();
    accounts.sort_by(|a, b| (a.day, &a.source).cmp(&(b.day, &b.source)));
    Ledger { accounts }
}
