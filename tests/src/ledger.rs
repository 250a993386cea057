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
    /// Sums the rows of `json`.
    ///
    /// # Errors
    /// When it is not what `gwasp ledger --json` prints.
    pub fn parse(json: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(json).context("reading the ledger's JSON")?;
        let rows = json["rows"]
            .as_array()
            .or(json.as_array())
            .context("a ledger without rows")?;
        let mut sum = Self::default();
        for row in rows {
            sum.read += count(row, "read")?;
            sum.refused += count(row, "refused")?;
            sum.duplicate += count(row, "duplicate")?;
            sum.accepted += count(row, "accepted")?;
            sum.matched += count(row, "matched")?;
            sum.unmatched += count(row, "unmatched")?;
            sum.tasks.made += count(&row["tasks"], "made")?;
            sum.tasks.succeeded += count(&row["tasks"], "succeeded")?;
            sum.tasks.failed += count(&row["tasks"], "failed")?;
            sum.tasks.revoked += count(&row["tasks"], "revoked")?;
            sum.tasks.open += count(&row["tasks"], "open")?;
        }
        Ok(sum)
    }

    /// Whether the sums agree with each other, counted here and not by the host.
    pub fn balances(&self) -> bool {
        let tasks = self.tasks;
        self.read == self.refused + self.duplicate + self.accepted
            && self.accepted == self.matched + self.unmatched
            && tasks.made == tasks.succeeded + tasks.failed + tasks.revoked + tasks.open
    }
}

fn count(row: &Value, column: &str) -> Result<u64> {
    row[column]
        .as_u64()
        .with_context(|| format!("no count `{column}` in {row}"))
}
