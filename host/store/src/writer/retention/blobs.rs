//! Claims, events, blobs and segment files.
//!
//! There are no counts of references: a sweep mentions again what tasks need that are open or
//! set aside, and then removes what was not mentioned for long.

use super::super::values::CLAIM;
use super::{Fate, Group, LOOK, Pass, Writer};
use crate::error::StoreError;
use crate::open::note_highest;
use crate::schema::{LIVING, PINNED};

/// Versions of a plugin, the newest first, whose bytes are kept however old they are: what is
/// current, and what a person may go back to.
const VERSIONS: i64 = 3;

impl Writer<'_> {
    pub(super) fn remove_claims(&self, pass: &mut Pass) -> Result<bool, StoreError> {
        let removed = self.run_once(
            "DELETE FROM claims WHERE (plugin, name) IN (
                 SELECT plugin, name FROM claims WHERE made < ?1 LIMIT ?2)",
            (pass.before(CLAIM), LOOK),
        )?;
        Ok(removed == 0)
    }

    /// Removes pages of events, but never the last, so that no number is given twice.
    pub(super) fn remove_events(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let removed = self.run_once(
            "DELETE FROM events WHERE at < ?1 AND last + 1 < ?2
                 AND first IN (SELECT first FROM events ORDER BY first LIMIT 8)",
            (pass.before(self.kept().events), self.known.next_event),
        )?;
        self.known.oldest_event = self.oldest_event()?;
        Ok(removed == 0)
    }

    /// Mentions the blobs again that tasks need, and forgets what others needed.
    pub(super) fn renew_mentions(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let rows = self.rows(
            &format!(
                "SELECT m.task, m.digest, coalesce({LIVING}, 0) FROM mentions m
                 LEFT JOIN tasks t ON t.seq = m.task
                 WHERE (m.task, m.digest) > (?1, ?2) ORDER BY m.task, m.digest LIMIT ?3"
            ),
            (pass.cursor, pass.digest, LOOK),
            |row| Ok((row.get::<_, [u8; 32]>(1)?, row.get::<_, bool>(2)?)),
        )?;
        pass.walk(rows, |pass, task, (digest, is_needed)| {
            pass.digest = digest;
            if is_needed {
                self.mention(&digest, pass.now)?;
            } else {
                let forget = "DELETE FROM mentions WHERE task = ?1 AND digest = ?2";
                self.run_once(forget, (task, digest))?;
            }
            Ok(Fate::Old)
        })
    }

    /// Mentions the bytes again of the versions that are current, that a person may go back to,
    /// and that tasks stay on, and forgets versions whose bytes went.
    pub(super) fn renew_versions(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let rows = self.rows(
            &format!(
                "SELECT v.row, v.digest,
                     EXISTS(SELECT 1 FROM routes r WHERE r.plugin = v.plugin AND r.digest = v.digest)
                     OR EXISTS(SELECT 1 FROM tasks WHERE version = v.digest AND {PINNED})
                     OR (EXISTS(SELECT 1 FROM routes r WHERE r.plugin = v.plugin)
                             OR EXISTS(SELECT 1 FROM plugins p WHERE p.plugin = v.plugin))
                         AND (SELECT count(*) FROM versions w
                             WHERE w.plugin = v.plugin AND w.since > v.since) < ?3
                 FROM versions v WHERE v.row > ?1 ORDER BY v.row LIMIT ?2"
            ),
            (pass.cursor, LOOK, VERSIONS),
            |row| Ok((row.get::<_, [u8; 32]>(1)?, row.get::<_, bool>(2)?)),
        )?;
        pass.walk(rows, |pass, row, (digest, is_needed)| {
            if is_needed {
                self.mention(&digest, pass.now)?;
            } else {
                self.run_once(
                    "DELETE FROM versions WHERE row = ?1
                         AND NOT EXISTS(SELECT 1 FROM blobs b WHERE b.digest = ?2)",
                    (row, digest),
                )?;
            }
            Ok(Fate::Old)
        })
    }

    pub(super) fn remove_blobs(&self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.kept().blobs);
        let rows = self.rows(
            "SELECT row FROM blobs WHERE mentioned < ?1 LIMIT ?2",
            (before, LOOK),
            |_| Ok(()),
        )?;
        pass.walk(rows, |pass, row, ()| {
            self.run_once("DELETE FROM blobs WHERE row = ?1", [row])?;
            pass.removed.blobs += 1;
            Ok(Fate::Old)
        })
    }

    /// Takes segment files out of the table that no row names; the files go when that is on
    /// disk.
    pub(super) fn remove_segments(
        &self,
        group: &mut Group,
        pass: &mut Pass,
    ) -> Result<bool, StoreError> {
        let rows = self.rows(
            "SELECT number FROM segments WHERE number > ?1 AND number NOT IN (?2, ?3)
                 AND NOT EXISTS(SELECT 1 FROM packets WHERE segment = number)
                 AND NOT EXISTS(SELECT 1 FROM blobs WHERE segment = number)
             ORDER BY number LIMIT 1",
            (pass.cursor, self.payloads.number(), self.blobs.number()),
            |_| Ok(()),
        )?;
        pass.walk(rows, |pass, number, ()| {
            self.run_once("DELETE FROM segments WHERE number = ?1", [number])?;
            note_highest(self.connection, number)?;
            group.unlink.push(number);
            pass.removed.segments += 1;
            Ok(Fate::Old)
        })
    }
}
