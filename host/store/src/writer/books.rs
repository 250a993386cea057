//! The ledger's counters, gathered per group.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::sql::Sql;
use crate::ledger::day_of;
use crate::record::{Nanos, Origin};

/// Most accounts remembered; beyond it all are read again.
const MOST_ACCOUNTS: usize = 4_096;

/// A counter's name in the table.
pub(super) type Counter = Cow<'static, str>;

pub(super) const READ: Counter = Cow::Borrowed("read");
pub(super) const REFUSED: Counter = Cow::Borrowed("refused");
pub(super) const DUPLICATE: Counter = Cow::Borrowed("duplicate");
pub(super) const ACCEPTED: Counter = Cow::Borrowed("accepted");
pub(super) const UNCONFIRMED: Counter = Cow::Borrowed("unconfirmed");
pub(super) const MATCHED: Counter = Cow::Borrowed("matched");

pub(super) fn unmatched(reason: &str) -> Counter {
    Cow::Owned(format!("unmatched/{reason}"))
}

pub(super) fn made(origin: Origin) -> Counter {
    Cow::Borrowed(match origin {
        Origin::Packet => "made/packet",
        Origin::Call => "made/call",
        Origin::Spawn => "made/spawn",
        Origin::Beat => "made/beat",
        Origin::Redispatch => "made/redispatch",
    })
}

pub(super) fn succeeded(origin: Origin) -> Counter {
    Cow::Borrowed(match origin {
        Origin::Packet => "succeeded/packet",
        Origin::Call => "succeeded/call",
        Origin::Spawn => "succeeded/spawn",
        Origin::Beat => "succeeded/beat",
        Origin::Redispatch => "succeeded/redispatch",
    })
}

pub(super) fn revoked(origin: Origin) -> Counter {
    Cow::Borrowed(match origin {
        Origin::Packet => "revoked/packet",
        Origin::Call => "revoked/call",
        Origin::Spawn => "revoked/spawn",
        Origin::Beat => "revoked/beat",
        Origin::Redispatch => "revoked/redispatch",
    })
}

pub(super) fn failed(origin: Origin) -> Counter {
    Cow::Borrowed(match origin {
        Origin::Packet => "failed/packet",
        Origin::Call => "failed/call",
        Origin::Spawn => "failed/spawn",
        Origin::Beat => "failed/beat",
        Origin::Redispatch => "failed/redispatch",
    })
}

/// Returns what counts the tasks whose last run made no effect; they are among the others, too.
pub(super) fn shadow(origin: Origin) -> Counter {
    Cow::Borrowed(match origin {
        Origin::Packet => "shadow/packet",
        Origin::Call => "shadow/call",
        Origin::Spawn => "shadow/spawn",
        Origin::Beat => "shadow/beat",
        Origin::Redispatch => "shadow/redispatch",
    })
}

/// Returns what counts rows that retention removed and another counter counts.
pub(super) fn removed(counter: &Counter) -> Counter {
    Cow::Owned(format!("removed/{counter}"))
}

/// Accounts by stream and day, and what the group counts on them.
#[derive(Debug, Default)]
pub(super) struct Books {
    accounts: HashMap<String, HashMap<i64, i64>>,
    known: usize,
    counts: BTreeMap<(i64, Counter), i64>,
}

impl Books {
    /// Returns the account of a stream on the day of a moment; makes it where there is none.
    pub(super) fn account(
        &mut self,
        sql: &mut Sql<'_>,
        source: &str,
        moment: Nanos,
    ) -> rusqlite::Result<i64> {
        let day = day_of(moment);
        let days = self.accounts.get(source);
        if let Some(account) = days.and_then(|days| days.get(&day)) {
            return Ok(*account);
        }
        sql.make_account.execute((source, day))?;
        let account = sql
            .find_account
            .query_row((source, day), |row| row.get(0))?;
        if self.known >= MOST_ACCOUNTS {
            self.accounts.clear();
            self.known = 0;
        }
        self.known += 1;
        let days = self.accounts.entry(source.to_owned()).or_default();
        days.insert(day, account);
        Ok(account)
    }

    pub(super) fn count(&mut self, account: i64, counter: Counter) {
        self.count_many(account, counter, 1);
    }

    pub(super) fn count_many(&mut self, account: i64, counter: Counter, n: i64) {
        *self.counts.entry((account, counter)).or_default() += n;
    }

    /// Writes what was counted.
    pub(super) fn write(&mut self, sql: &mut Sql<'_>) -> rusqlite::Result<()> {
        for ((account, counter), n) in std::mem::take(&mut self.counts) {
            sql.count.execute((account, counter.as_ref(), n))?;
        }
        Ok(())
    }
}
