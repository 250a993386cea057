//! The ledger: every packet and task in exactly one counted place.
//!
//! Listeners and broker count apart, per stream and UTC day. The counters are written in the
//! transaction of what they count; what retention removes is counted in the transaction that
//! removes it. [`Verification`] recounts the rows, adds what was removed, and compares.

use std::collections::BTreeMap;
use std::fmt;

use crate::record::{Nanos, Origin};

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// Returns the UTC day of a moment, days since 1970-01-01.
pub fn day_of(moment: Nanos) -> i64 {
    moment.div_euclid(NANOS_PER_DAY)
}

/// What the listeners of one stream counted on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerCounts {
    /// Packets, refused bytes and lost frames.
    pub read: u64,
    /// Bytes that were no packet.
    pub refused: u64,
    /// Packets that were known.
    pub duplicate: u64,
    /// Packets that were kept.
    pub accepted: u64,
    /// Acknowledged and not yet handed over; never any here, where both are one commit.
    pub waiting: u64,
    /// Frames of lost connections.
    pub unconfirmed: u64,
}

/// What the broker counted of tasks of one origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Tasks that were made.
    pub made: u64,
    /// Tasks that ended well.
    pub succeeded: u64,
    /// Tasks that are set aside.
    pub failed: u64,
    /// Tasks that were ended by a decision.
    pub revoked: u64,
    /// Tasks that have not ended; counted from the rows.
    pub open: u64,
    /// Those of all these whose last run was in shadow mode.
    pub shadow: u64,
}

/// What is counted here and has no row any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedRows {
    /// Packets.
    pub packets: u64,
    /// Refused bytes.
    pub refusals: u64,
    /// Tasks that succeeded or were revoked.
    pub tasks: u64,
}

/// One stream on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The stream; empty for tasks that no packet stands behind.
    pub source: String,
    /// The UTC day of the packet, days since 1970-01-01.
    pub day: i64,
    /// What the listeners counted.
    pub listener: ListenerCounts,
    /// Packets with a task.
    pub matched: u64,
    /// Packets without one, by reason.
    pub unmatched: BTreeMap<String, u64>,
    /// Tasks by origin.
    pub tasks: BTreeMap<Origin, TaskCounts>,
    /// What of all this retention removed.
    pub removed: RemovedRows,
}

/// All accounts, by day and stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The accounts.
    pub accounts: Vec<Account>,
}

/// Two sides of one rule that are not equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// The stream.
    pub source: String,
    /// The UTC day, days since 1970-01-01.
    pub day: i64,
    /// The rule.
    pub rule: &'static str,
    /// Its left side.
    pub left: u64,
    /// Its right side.
    pub right: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            day,
            rule,
            left,
            right,
        } = self;
        write!(
            f,
            "{source} on day {day}: {rule} does not hold: {left} and {right}"
        )
    }
}

impl Ledger {
    /// Checks that every packet and task is in exactly one place.
    ///
    /// # Errors
    /// Each rule that does not hold.
    pub fn balances(&self) -> Result<(), Vec<Imbalance>> {
        let found: Vec<_> = self.accounts.iter().flat_map(Account::imbalances).collect();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

impl Account {
    fn imbalances(&self) -> Vec<Imbalance> {
        let listener = self.listener;
        let mut sides = vec![
            (
                "read = refused + duplicate + accepted + waiting + unconfirmed",
                listener.read,
                listener.refused
                    + listener.duplicate
                    + listener.accepted
                    + listener.waiting
                    + listener.unconfirmed,
            ),
            (
                "accepted = matched + unmatched",
                listener.accepted,
                self.matched + self.unmatched.values().sum::<u64>(),
            ),
        ];
        for counts in self.tasks.values() {
            let placed = counts.succeeded + counts.failed + counts.revoked + counts.open;
            sides.push((
                "made = succeeded + failed + revoked + open",
                counts.made,
                placed,
            ));
        }
        sides
            .into_iter()
            .filter(|(_, left, right)| left != right)
            .map(|(rule, left, right)| Imbalance {
                source: self.source.clone(),
                day: self.day,
                rule,
                left,
                right,
            })
            .collect()
    }
}

/// An account whose counters and rows differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// As the counters have it.
    pub counted: Option<Account>,
    /// As the rows have it.
    pub recounted: Option<Account>,
}

/// What a look at every row found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Rules that do not hold.
    pub imbalances: Vec<Imbalance>,
    /// Accounts whose counters and rows differ.
    pub differences: Vec<Difference>,
    /// What the database says of itself.
    pub database: Vec<String>,
    /// Rows and payloads that are not what was written.
    pub damaged: Vec<String>,
}

impl Verification {
    /// Returns whether nothing was found.
    pub fn is_sound(&self) -> bool {
        *self == Self::default()
    }
}
