//! Packets, refused bytes, and what else is kept as long.

use rusqlite::params;

use super::super::books::{Counter, DUPLICATE, MATCHED, REFUSED, UNCONFIRMED, removed, unmatched};
use super::{Fate, LOOK, Pass, Writer};
use crate::error::StoreError;
use crate::reader::packet_row_of;
use crate::record::Nanos;
use crate::schema::unsigned;

impl Writer<'_> {
    pub(super) fn remove_refusals(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.shared.options.retention.packets);
        let rows = self.rows(
            "SELECT seq, account, received, length(payload) FROM refusals
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            (pass.cursor, LOOK),
            |row| Ok((row.get(1)?, row.get::<_, Nanos>(2)?, row.get::<_, i64>(3)?)),
        )?;
        pass.walk(rows, |pass, seq, (account, received, bytes)| {
            if received < before {
                self.run_once("DELETE FROM refusals WHERE seq = ?1", [seq])?;
                self.known.payload_bytes -= bytes;
                self.books.count(account, removed(&REFUSED));
                pass.removed.refusals += 1;
                return Ok(Fate::Old);
            }
            if !self.is_pressed(pass) {
                return Ok(Fate::Young);
            }
            if bytes > 0 {
                self.run_once("UPDATE refusals SET payload = x'' WHERE seq = ?1", [seq])?;
                self.known.payload_bytes -= bytes;
            }
            Ok(Fate::Old)
        })
    }

    pub(super) fn remove_unconfirmed(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.packet_rows());
        let rows = self.rows(
            "SELECT seq, account, at, n FROM unconfirmed WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            (pass.cursor, LOOK),
            |row| Ok((row.get(1)?, row.get::<_, Nanos>(2)?, row.get(3)?)),
        )?;
        pass.walk(rows, |_, seq, (account, at, frames)| {
            if at >= before {
                return Ok(Fate::Young);
            }
            self.run_once("DELETE FROM unconfirmed WHERE seq = ?1", [seq])?;
            self.books
                .count_many(account, removed(&UNCONFIRMED), frames);
            Ok(Fate::Old)
        })
    }

    /// Removes packets from which no living task descends, and whose payload no other shares.
    pub(super) fn remove_packets(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.packet_rows());
        let rows = self.rows(
            "SELECT seq, account, received, unmatched,
                 CASE WHEN payload IS NULL AND segment IS NULL THEN 0 ELSE length END
             FROM packets WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            (pass.cursor, LOOK),
            |row| {
                let reason: Option<String> = row.get(3)?;
                Ok((row.get(1)?, row.get::<_, Nanos>(2)?, reason, row.get(4)?))
            },
        )?;
        pass.walk(rows, |pass, seq, (account, received, reason, bytes)| {
            if received >= before {
                return Ok(Fate::Young);
            }
            // The last number is never given again.
            let is_last = seq + 1 >= self.known.next_packet;
            if !is_last && !self.is_needed(seq)? && !self.has_twin(seq)? {
                let counter = reason.as_deref().map_or(MATCHED, unmatched);
                self.remove_packet(seq, account, &counter)?;
                let bytes: i64 = bytes;
                self.known.payload_bytes -= bytes;
                pass.removed.packets += 1;
            }
            Ok(Fate::Old)
        })
    }

    fn remove_packet(&mut self, seq: i64, account: i64, counter: &Counter) -> rusqlite::Result<()> {
        let repeats = self.rows(
            "SELECT account, n FROM repeats WHERE packet = ?1",
            [seq],
            |row| row.get(1),
        )?;
        for (account, times) in repeats {
            self.books.count_many(account, removed(&DUPLICATE), times);
        }
        self.run_once("DELETE FROM repeats WHERE packet = ?1", [seq])?;
        self.run_once("DELETE FROM packets WHERE seq = ?1", [seq])?;
        self.books.count(account, removed(counter));
        Ok(())
    }

    /// Drops payloads that are old or too many; the rows stay.
    pub(super) fn drop_payloads(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.shared.options.retention.packets);
        let is_by_age = self.shared.options.retention.packets < self.packet_rows();
        if !is_by_age && !self.is_pressed(pass) {
            return Ok(true);
        }
        pass.cursor = pass.cursor.max(pass.payloads_to);
        let rows = self.rows(
            "SELECT seq, received, payload IS NOT NULL OR segment IS NOT NULL FROM packets
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            (pass.cursor, LOOK),
            |row| Ok((row.get::<_, Nanos>(1)?, row.get::<_, bool>(2)?)),
        )?;
        let is_done = pass.walk(rows, |pass, seq, (received, has_payload)| {
            if received >= before && !self.is_pressed(pass) {
                return Ok(Fate::Young);
            }
            if has_payload && !self.is_needed(seq)? {
                self.drop_payload(seq, pass.now)?;
                pass.removed.payloads += 1;
            }
            if pass.young == 0 {
                pass.payloads_to = seq;
            }
            Ok(Fate::Old)
        })?;
        Ok(is_done)
    }

    fn drop_payload(&mut self, seq: i64, now: Nanos) -> Result<(), StoreError> {
        match packet_row_of(self.connection, seq) {
            Ok(Some(row)) => {
                self.run_once(
                    "UPDATE packets SET segment = NULL, offset = NULL, payload = NULL,
                         dropped = ?2, seal = ?3 WHERE seq = ?1",
                    params![seq, now, row.seal_without_payload(now)],
                )?;
                self.known.payload_bytes -= row.length;
                Ok(())
            }
            // A damaged row is left as it is, for a person.
            Ok(None) | Err(StoreError::Corrupt { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove_gaps(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let before = pass.before(self.packet_rows());
        let removed = self.run_once(
            "DELETE FROM gaps WHERE seq IN (
                 SELECT seq FROM gaps WHERE next_start < ?1 LIMIT ?2)",
            (before, LOOK),
        )?;
        Ok(removed == 0)
    }

    /// Returns whether bytes have to go; where there were too many, some more go.
    fn is_pressed(&self, pass: &Pass) -> bool {
        let limit = self.shared.options.retention.packet_bytes;
        pass.is_pressed && unsigned(self.known.payload_bytes) > limit - limit / 16
    }

    /// Returns whether a task lives that descends from a packet, or from one that shares its
    /// payload.
    fn is_needed(&self, packet: i64) -> rusqlite::Result<bool> {
        let descendants = &self.known.descendants;
        if descendants.are_alive(packet) {
            return Ok(true);
        }
        let twins = "SELECT seq FROM packets WHERE same_as = ?1";
        let twins = self.rows(twins, [packet], |_| Ok(()))?;
        Ok(twins.iter().any(|(twin, ())| descendants.are_alive(*twin)))
    }

    fn has_twin(&self, packet: i64) -> rusqlite::Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT EXISTS(SELECT 1 FROM packets WHERE same_as = ?1)")?;
        statement.query_row([packet], |row| row.get(0))
    }
}
