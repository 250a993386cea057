//! A look at every row: do counters, rows and bytes agree?

use std::collections::BTreeMap;

use super::Reader;
use super::books::{count, recount};
use crate::error::StoreError;
use crate::ledger::{Account, Difference, Ledger, Verification};
use crate::schema::{LIVING, OPEN, meta};

/// Most findings of one kind that are named.
const MOST_FINDINGS: usize = 100;

impl Reader {
    /// Recounts rows, compares them with the counters, and checks the database and the seals.
    /// With `payloads` every payload and blob is read too.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the store cannot be read at all.
    pub fn verify(&self, payloads: bool) -> Result<Verification, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let counted = count(&snapshot, i64::MIN)?;
        let recounted = recount(&snapshot, i64::MIN)?;
        let mut imbalances = counted.balances().err().unwrap_or_default();
        imbalances.extend(recounted.balances().err().unwrap_or_default());
        Ok(Verification {
            imbalances,
            differences: differences(counted, recounted),
            database: self.integrity()?,
            damaged: self.damaged(payloads)?,
        })
    }

    fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut found: Vec<String> = rows.collect::<Result<_, _>>()?;
        found.retain(|line| line != "ok");
        Ok(found)
    }

    fn damaged(&self, payloads: bool) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let mut note = |checked: Result<(), StoreError>| {
            if let Err(error) = checked
                && found.len() < MOST_FINDINGS
            {
                found.push(error.to_string());
            }
        };
        self.each_packet(|row| {
            note(row.and_then(|row| {
                if !payloads {
                    return Ok(());
                }
                match self.payload(&row) {
                    Ok(_) | Err(StoreError::Dropped { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }));
        })?;
        self.each_task(|task| {
            note(task.and_then(|(seq, task)| {
                self.args(seq)?;
                self.result(task.id)?;
                self.journal_of(seq)?;
                Ok(())
            }));
        })?;
        note(self.kv(None, "", Some(u32::MAX)).map(|_| ()));
        note(self.check_payload_bytes());
        note(self.check_needed());
        if payloads {
            for digest in self.blob_digests()? {
                note(self.blob(&digest).map(|_| ()));
            }
        }
        Ok(found)
    }

    /// Compares the bytes that retention believes to be kept with those that are.
    fn check_payload_bytes(&self) -> Result<(), StoreError> {
        let counted = meta(&self.connection, "payload_bytes")?;
        let kept: i64 = self.connection.query_row(
            "SELECT (SELECT coalesce(sum(length), 0) FROM packets
                     WHERE payload IS NOT NULL OR segment IS NOT NULL)
                 + (SELECT coalesce(sum(length(payload)), 0) FROM refusals)",
            [],
            |row| row.get(0),
        )?;
        sound(kept == counted, || {
            format!("the count of payload bytes ({counted}, the rows hold {kept})")
        })
    }

    /// Looks for tasks that need a packet which is gone or wait for what has ended, and for records
    /// whose file is gone.
    fn check_needed(&self) -> Result<(), StoreError> {
        let tasks: i64 = self.connection.query_row(
            &format!(
                "SELECT count(*) FROM tasks WHERE {LIVING}
                     AND packet IS NOT NULL AND packet NOT IN (SELECT seq FROM packets)"
            ),
            [],
            |row| row.get(0),
        )?;
        sound(tasks == 0, || format!("the packet of {tasks} tasks"))?;
        let waits: i64 = self.connection.query_row(
            &format!(
                "SELECT count(*) FROM waits
                 WHERE called NOT IN (SELECT seq FROM tasks WHERE {OPEN})"
            ),
            [],
            |row| row.get(0),
        )?;
        sound(waits == 0, || format!("{waits} waits for tasks that ended"))?;
        let records: i64 = self.connection.query_row(
            "SELECT (SELECT count(*) FROM packets
                     WHERE segment IS NOT NULL AND segment NOT IN (SELECT number FROM segments))
                 + (SELECT count(*) FROM blobs
                     WHERE segment IS NOT NULL AND segment NOT IN (SELECT number FROM segments))",
            [],
            |row| row.get(0),
        )?;
        sound(records == 0, || format!("the file of {records} records"))
    }

    fn blob_digests(&self) -> Result<Vec<[u8; 32]>, StoreError> {
        let mut statement = self.connection.prepare("SELECT digest FROM blobs")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn sound(holds: bool, place: impl FnOnce() -> String) -> Result<(), StoreError> {
    if holds {
        return Ok(());
    }
    Err(StoreError::Corrupt { place: place() })
}

fn differences(counted: Ledger, recounted: Ledger) -> Vec<Difference> {
    let mut pairs: BTreeMap<(i64, String), (Option<Account>, Option<Account>)> = BTreeMap::new();
    for account in counted.accounts {
        let key = (account.day, account.source.clone());
        pairs.entry(key).or_default().0 = Some(account);
    }
    for account in recounted.accounts {
        let key = (account.day, account.source.clone());
        pairs.entry(key).or_default().1 = Some(account);
    }
    pairs
        .into_values()
        .filter(|(counted, recounted)| counted != recounted)
        .map(|(counted, recounted)| Difference { counted, recounted })
        .collect()
}
