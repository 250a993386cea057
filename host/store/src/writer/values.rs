//! Plugin values, claims and blobs.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::{Group, ValueOp, Writer, Written, settle};
use crate::error::StoreError;
use crate::record::{KvWrite, Nanos, TaskId};
use crate::schema::{kv_seal, length_column};

/// How long a claim holds at least: until retention removes it, which knows whether the clock
/// is to be believed.
pub(super) const CLAIM: Duration = Duration::from_hours(30 * 24);

impl Writer<'_> {
    /// Writes the rows of an operation on values, routes or blobs.
    pub(super) fn apply_value(&mut self, group: &mut Group, op: ValueOp) -> Result<(), StoreError> {
        match op {
            ValueOp::PutBlob {
                digest,
                bytes,
                reply,
            } => {
                let written = self.apply_blob(group, &digest, &bytes);
                settle(group, reply, written)
            }
            ValueOp::Claim {
                plugin,
                name,
                task,
                reply,
            } => {
                let written = self.apply_claim(group, &plugin, &name, task);
                settle(group, reply, written)
            }
            ValueOp::Resume {
                task,
                ended,
                keep,
                replace,
                what,
                who,
                reply,
            } => {
                let by = (what.as_str(), who.as_str());
                let written = self.apply_resume(group, (task, ended), (keep, replace), by);
                settle(group, reply, written)
            }
            ValueOp::Route {
                plugin,
                change,
                reply,
            } => {
                let written = self.apply_route(group, &plugin, &change);
                settle(group, reply, written)
            }
        }
    }

    /// Writes a commit's values.
    pub(super) fn write_values(
        &mut self,
        plugin: &str,
        writes: &[KvWrite],
    ) -> rusqlite::Result<()> {
        for write in writes {
            self.write_value(plugin, write)?;
        }
        Ok(())
    }

    fn write_value(&mut self, plugin: &str, write: &KvWrite) -> rusqlite::Result<()> {
        match write {
            KvWrite::Set { key, value } => {
                let version = self.value(plugin, key)?.map_or(0, |(version, _)| version);
                self.set_value(plugin, key, version + 1, value)
            }
            KvWrite::Delete { key } => {
                self.sql.delete_kv.execute((plugin, key))?;
                Ok(())
            }
            KvWrite::Add { key, delta } => {
                let (version, value) = self.value(plugin, key)?.unwrap_or_default();
                let sum = decimal(&value).saturating_add(*delta);
                self.set_value(plugin, key, version + 1, sum.to_string().as_bytes())
            }
        }
    }

    fn value(&mut self, plugin: &str, key: &str) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
        self.sql
            .get_kv
            .query_row((plugin, key), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    fn set_value(
        &mut self,
        plugin: &str,
        key: &str,
        version: i64,
        value: &[u8],
    ) -> rusqlite::Result<()> {
        let seal = kv_seal(plugin, key, version, value);
        self.sql
            .set_kv
            .execute((plugin, key, version, value, seal))?;
        Ok(())
    }

    fn apply_claim(
        &mut self,
        group: &Group,
        plugin: &str,
        name: &str,
        task: TaskId,
    ) -> Written<bool> {
        let holder: Option<[u8; 16]> = self
            .sql
            .find_claim
            .query_row((plugin, name), |row| row.get(0))
            .optional()?;
        if holder.is_none() {
            self.sql
                .set_claim
                .execute((plugin, name, task.0, group.now))?;
        }
        let is_first = holder.is_none_or(|holder| holder == task.0);
        Ok(Ok(is_first))
    }

    fn apply_blob(&mut self, group: &Group, digest: &[u8; 32], bytes: &Bytes) -> Written<()> {
        if !self.mention(digest, group.now)? {
            let is_large = bytes.len() > self.shared.options.segment_threshold;
            let place = if is_large {
                Some(self.blobs.append(digest, bytes)?)
            } else {
                None
            };
            self.sql.insert_blob.execute(params![
                digest,
                group.now,
                place.map(|place| place.segment),
                place.map(|place| place.offset),
                length_column(bytes.len()),
                (!is_large).then_some(bytes.as_ref()),
            ])?;
        }
        Ok(Ok(()))
    }

    /// Notes that a blob was mentioned; returns whether there is one.
    pub(super) fn mention(&mut self, digest: &[u8; 32], now: Nanos) -> rusqlite::Result<bool> {
        let found = self.sql.mention_blob.execute((digest, now))?;
        Ok(found > 0)
    }
}

/// Reads a decimal integer; anything else is 0.
fn decimal(value: &[u8]) -> i64 {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
