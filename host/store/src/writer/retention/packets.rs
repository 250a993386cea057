//! Packets, refused bytes, and what else is kept as long.

use std::iter::Peekable;
use std::vec::IntoIter;

use rusqlite::params;

use super::super::books::{Counter, DUPLICATE, MATCHED, REFUSED, UNCONFIRMED, removed, unmatched};
use super::{Fate, LOOK, Pass, Writer};
use crate::error::StoreError;
use crate::reader::packet_row_of;
use crate::record::Nanos;
use crate::schema::unsigned;

/// [`LOOK`], as a length.
const ROWS: usize = LOOK as usize;

/// The older of a packet and a refusal.
enum Oldest {
    /// Its number, and whether it has its payload.
    Packet(i64, bool),
    /// Its number, and how many bytes are kept.
    Refusal(i64, i64),
}

/// Packets and refusals by the time they were received, each kind in the order of its numbers.
/// Ends where more of one kind would have to be read.
struct Merged {
    packets: Peekable<IntoIter<(i64, (Nanos, bool))>>,
    refusals: Peekable<IntoIter<(i64, (Nanos, i64))>>,
    /// All packets after the last were read.
    all_packets: bool,
    all_refusals: bool,
}

impl Merged {
    fn new(packets: Vec<(i64, (Nanos, bool))>, refusals: Vec<(i64, (Nanos, i64))>) -> Self {
        Self {
            all_packets: packets.len() < ROWS,
            all_refusals: refusals.len() < ROWS,
            packets: packets.into_iter().peekable(),
            refusals: refusals.into_iter().peekable(),
        }
    }

    fn next(&mut self) -> Option<Oldest> {
        let is_packet = match (self.packets.peek(), self.refusals.peek()) {
            (Some((_, (packet, _))), Some((_, (refusal, _)))) => packet <= refusal,
            (Some(_), None) if self.all_refusals => true,
            (None, Some(_)) if self.all_packets => false,
            _ => return None,
        };
        if is_packet {
            let (seq, (_, has_payload)) = self.packets.next()?;
            Some(Oldest::Packet(seq, has_payload))
        } else {
            let (seq, (_, bytes)) = self.refusals.next()?;
            Some(Oldest::Refusal(seq, bytes))
        }
    }
}

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
            Ok(Fate::Young)
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
        self.run_once("DELETE FROM dispatches WHERE packet = ?1", [seq])?;
        self.run_once("DELETE FROM packets WHERE seq = ?1", [seq])?;
        self.books.count(account, removed(counter));
        Ok(())
    }

    /// Drops payloads that are old; the rows stay.
    pub(super) fn drop_payloads(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let kept = self.shared.options.retention.packets;
        if kept >= self.packet_rows() {
            return Ok(true);
        }
        let before = pass.before(kept);
        pass.cursor = pass.cursor.max(pass.payloads_to);
        let rows = self.payload_rows(pass.cursor)?;
        pass.walk(rows, |pass, seq, (received, has_payload)| {
            if received >= before {
                return Ok(Fate::Young);
            }
            self.drop_unneeded(pass, seq, has_payload)?;
            if pass.young == 0 {
                pass.payloads_to = seq;
            }
            Ok(Fate::Old)
        })
    }

    /// Drops payloads and refused bytes, the oldest of both first, until there are few enough;
    /// the rows stay.
    pub(super) fn relieve_bytes(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        pass.cursor = pass.cursor.max(pass.payloads_to);
        let packets = self.payload_rows(pass.cursor)?;
        let refusals = self.refusal_rows(pass.refusal)?;
        let is_last = packets.len().max(refusals.len()) < ROWS;
        let mut merged = Merged::new(packets, refusals);
        while self.is_pressed(pass) {
            match merged.next() {
                Some(Oldest::Packet(seq, has_payload)) => {
                    self.drop_unneeded(pass, seq, has_payload)?;
                    pass.cursor = seq;
                    pass.payloads_to = seq;
                }
                Some(Oldest::Refusal(seq, bytes)) => {
                    if bytes > 0 {
                        self.run_once("UPDATE refusals SET payload = x'' WHERE seq = ?1", [seq])?;
                        self.known.payload_bytes -= bytes;
                    }
                    pass.refusal = seq;
                }
                None => return Ok(is_last),
            }
            if pass.is_over() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads packets after `seq`: when each was received and whether it has its payload.
    fn payload_rows(&self, seq: i64) -> rusqlite::Result<Vec<(i64, (Nanos, bool))>> {
        self.rows(
            "SELECT seq, received, payload IS NOT NULL OR segment IS NOT NULL FROM packets
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            (seq, LOOK),
            |row| Ok((row.get(1)?, row.get(2)?)),
        )
    }

    /// Reads refusals after `seq`: when each was received and how many bytes are kept.
    fn refusal_rows(&self, seq: i64) -> rusqlite::Result<Vec<(i64, (Nanos, i64))>> {
        self.rows(
            "SELECT seq, received, length(payload) FROM refusals
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            (seq, LOOK),
            |row| Ok((row.get(1)?, row.get(2)?)),
        )
    }

    fn drop_unneeded(
        &mut self,
        pass: &mut Pass,
        seq: i64,
        has_payload: bool,
    ) -> Result<(), StoreError> {
        if has_payload && !self.is_needed(seq)? {
            self.drop_payload(seq, pass.now)?;
            pass.removed.payloads += 1;
        }
        Ok(())
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
