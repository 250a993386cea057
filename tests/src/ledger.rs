//! The host's books, as `gwasp ledger --json` prints them.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Sums over the sources and days of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Packets and other frames that listeners read.
    pub read: u64,
    /// What was read and is no packet.
    pub refused: u64,
    /// What was known already.
    pub duplicate: u64,
    /// New packets.
    pub accepted: u64,
    /// Journalled and acknowledged, not yet handed over.
    pub waiting: u64,
    /// Perhaps read, and not acknowledged, when a connection was lost.
    pub unconfirmed: u64,
    /// New packets for which there was a handler.
    pub matched: u64,
    /// New packets for which there was none.
    pub unmatched: u64,
    /// Their tasks.
    pub tasks: Tasks,
}

/// Where tasks are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// All of them.
    pub made: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Set aside.
    pub failed: u64,
    /// Ended by a decision.
    pub revoked: u64,
    /// Not yet ended.
    pub open: u64,
}

impl Ledger {
    /// Sums the accounts in `lines`, a JSON object each; other objects are passed over.
    ///
    /// # Errors
    /// When it is not what `gwasp ledger --json` prints.
    pub fn parse(lines: &str) -> Result<Self> {
        let mut sum = Self::default();
        for line in lines.lines() {
            let row: Value =
                serde_json::from_str(line).with_context(|| format!("no JSON: {line:?}"))?;
            if row.get("tasks").is_some() {
                sum.add(&row)?;
            }
        }
        Ok(sum)
    }

    fn add(&mut self, row: &Value) -> Result<()> {
        self.read += count(row, "read")?;
        self.refused += count(row, "refused")?;
        self.duplicate += count(row, "duplicate")?;
        self.accepted += count(row, "accepted")?;
        self.waiting += count(row, "waiting")?;
        self.unconfirmed += count(row, "unconfirmed")?;
        self.matched += count(row, "matched")?;
        let reasons = row["unmatched"]
            .as_object()
            .context("no reasons for `unmatched`")?;
        self.unmatched += reasons.values().filter_map(Value::as_u64).sum::<u64>();
        let tasks = &row["tasks"];
        self.tasks.made += count(tasks, "made")?;
        self.tasks.succeeded += count(tasks, "succeeded")?;
        self.tasks.failed += count(tasks, "failed")?;
        self.tasks.revoked += count(tasks, "revoked")?;
        self.tasks.open += count(tasks, "open")?;
        Ok(())
    }

    /// Whether the sums agree with each other, counted here and not by the host.
    pub fn balances(&self) -> bool {
        let tasks = self.tasks;
        let arrived = self.refused + self.duplicate + self.accepted;
        self.read == arrived + self.waiting + self.unconfirmed
            && self.accepted == self.matched + self.unmatched
            && tasks.made == tasks.succeeded + tasks.failed + tasks.revoked + tasks.open
    }
}

fn count(row: &Value, column: &str) -> Result<u64> {
    row[column]
        .as_u64()
        .with_context(|| format!("no count `{column}` in {row}"))
}
