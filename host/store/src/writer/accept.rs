//! Keeping packets: identities, payloads, tasks and counts.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;

use super::books::{ACCEPTED, DUPLICATE, MATCHED, READ, REFUSED, UNCONFIRMED, unmatched};
use super::tasks::Behind;
use super::{Group, Writer, Written};
use crate::error::StoreError;
use crate::event::EventKind;
use crate::record::{Accepted, Nanos, NewPacket, NewRefusal, Offer, PacketRecord, PacketSeq};
use crate::schema::{Seal, column, join_texts, length_column};
use crate::segments::Place;

/// Flag of a packet whose id came before with other bytes.
const OTHER_BYTES: &str = "same-id-other-bytes";
/// Why a packet makes no task, where the caller does not say.
const NO_HANDLER: &str = "no-handler";

/// A packet of the same identity that was kept before.
struct Twin {
    seq: i64,
    key: String,
    digest: [u8; 32],
    has_payload: bool,
}

/// The columns of a packet that are computed.
pub(crate) struct PacketColumns<'a> {
    pub(crate) seq: i64,
    pub(crate) account: i64,
    pub(crate) packet: &'a NewPacket,
    pub(crate) headers: Option<Vec<u8>>,
    pub(crate) flags: Option<Vec<u8>>,
    pub(crate) unmatched: Option<&'a str>,
    pub(crate) same_as: Option<i64>,
    pub(crate) place: Option<Place>,
    pub(crate) length: i64,
    /// When the payload was dropped that stood here.
    pub(crate) dropped: Option<Nanos>,
}

impl PacketColumns<'_> {
    pub(crate) fn seal(&self) -> i64 {
        let packet = self.packet;
        Seal::new(self.seq)
            .number(self.account)
            .bytes(packet.source.as_bytes())
            .bytes(packet.key.as_bytes())
            .bytes(packet.id.as_bytes())
            .bytes(&packet.identity)
            .bytes(&packet.digest)
            .bytes(packet.role.as_bytes())
            .number(packet.received)
            .maybe(packet.sent)
            .bytes(packet.content_type.as_bytes())
            .maybe_bytes(self.headers.as_deref())
            .maybe_bytes(self.flags.as_deref())
            .maybe_bytes(self.unmatched.map(str::as_bytes))
            .maybe(self.same_as)
            .maybe(self.place.map(|place| place.segment))
            .maybe(self.place.map(|place| place.offset))
            .number(self.length)
            .maybe(self.dropped)
            .column()
    }
}

impl Writer<'_> {
    pub(super) fn apply_accept(
        &mut self,
        group: &mut Group,
        generation: u64,
        offers: Vec<Offer>,
    ) -> Written<Vec<Accepted>> {
        let current = self.known.generation;
        if generation != current {
            let conflict = StoreError::Conflict {
                given: generation,
                current,
            };
            return Ok(Err(conflict));
        }
        let mut accepted = Vec::with_capacity(offers.len());
        for offer in offers {
            accepted.push(self.take(group, offer)?);
        }
        Ok(Ok(accepted))
    }

    fn take(&mut self, group: &mut Group, offer: Offer) -> Result<Accepted, StoreError> {
        let packet = &offer.packet;
        let account = self
            .books
            .account(&mut self.sql, &packet.source, packet.received)?;
        self.books.count(account, READ);
        self.note_packet(group, packet);
        let twins = self.twins(&packet.identity)?;
        if let Some(known) = twins.iter().find(|twin| twin.key == packet.key) {
            self.sql.repeat.execute((known.seq, account))?;
            self.books.count(account, DUPLICATE);
            group.tell(EventKind::Duplicate, Some(known.seq));
            return Ok(Accepted::Duplicate(PacketSeq(known.seq)));
        }
        self.books.count(account, ACCEPTED);
        self.keep(group, offer, account, &twins)
    }

    fn note_packet(&mut self, group: &mut Group, packet: &NewPacket) {
        match group.sources.get_mut(&packet.source) {
            Some(last) => *last = packet.received.max(*last),
            None => {
                let source = packet.source.clone();
                group.sources.insert(source, packet.received);
            }
        }
    }

    fn twins(&mut self, identity: &[u8; 32]) -> rusqlite::Result<Vec<Twin>> {
        let rows = self.sql.find_identity.query_map([identity], |row| {
            Ok(Twin {
                seq: row.get(0)?,
                key: row.get(1)?,
                digest: row.get(2)?,
                has_payload: row.get(3)?,
            })
        })?;
        rows.collect()
    }

    fn keep(
        &mut self,
        group: &mut Group,
        offer: Offer,
        account: i64,
        twins: &[Twin],
    ) -> Result<Accepted, StoreError> {
        let Offer {
            mut packet,
            tasks,
            unmatched: reason,
        } = offer;
        self.flag(&mut packet)?;
        let reason = tasks
            .is_empty()
            .then(|| reason.unwrap_or_else(|| NO_HANDLER.to_owned()));
        let seq = self.insert_packet(&packet, account, reason.as_deref(), twins)?;
        group.tell(EventKind::Accepted, Some(seq));
        let counter = reason.as_deref().map_or(MATCHED, unmatched);
        self.books.count(account, counter);
        let behind = Behind {
            packet: Some(seq),
            account,
            root: Some(seq),
            is_asked: self.may_have_been_before(&packet),
            caller: None,
        };
        let mut fresh = false;
        for task in tasks {
            fresh |= self.make(group, task, &behind)?;
        }
        let seq = PacketSeq(seq);
        if fresh {
            group.packets.push(Arc::new(PacketRecord { seq, packet }));
        }
        Ok(Accepted::New(seq))
    }

    /// Whether a packet was sent before the store was restored: what was restored may have made
    /// its tasks, and forgotten them.
    fn may_have_been_before(&self, packet: &NewPacket) -> bool {
        let sent = packet.sent.unwrap_or(packet.received);
        sent <= self.known.restored
    }

    fn flag(&mut self, packet: &mut NewPacket) -> rusqlite::Result<()> {
        if packet.id.is_empty() {
            return Ok(());
        }
        let other: bool = self.sql.find_other_bytes.query_row(
            (packet.id.as_str(), packet.identity, packet.digest),
            |row| row.get(0),
        )?;
        if other && !packet.flags.iter().any(|flag| flag == OTHER_BYTES) {
            tracing::warn!(id = ?packet.id, source = %packet.source, "id came again with other bytes");
            packet.flags.push(OTHER_BYTES.to_owned());
        }
        Ok(())
    }

    fn insert_packet(
        &mut self,
        packet: &NewPacket,
        account: i64,
        unmatched: Option<&str>,
        twins: &[Twin],
    ) -> Result<i64, StoreError> {
        let holder = twins
            .iter()
            .find(|twin| twin.has_payload && twin.digest == packet.digest);
        let same_as = holder.or(twins.first()).map(|twin| twin.seq);
        let is_large = packet.payload.len() > self.shared.options.segment_threshold;
        let place = if holder.is_none() && is_large {
            Some(self.payloads.append(&packet.digest, &packet.payload)?)
        } else {
            None
        };
        let inline = (holder.is_none() && !is_large).then_some(packet.payload.as_ref());
        let pairs = packet.headers.iter();
        let columns = PacketColumns {
            seq: self.known.next_packet,
            account,
            packet,
            headers: join_texts(pairs.flat_map(|(name, value)| [name.as_str(), value])),
            flags: join_texts(packet.flags.iter().map(String::as_str)),
            unmatched,
            same_as,
            place,
            length: length_column(packet.payload.len()),
            dropped: None,
        };
        self.write_packet(&columns, inline)?;
        if holder.is_none() {
            self.known.payload_bytes += columns.length;
        }
        self.known.next_packet += 1;
        Ok(columns.seq)
    }

    fn write_packet(
        &mut self,
        columns: &PacketColumns<'_>,
        inline: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        let packet = columns.packet;
        self.sql.insert_packet.execute(params![
            columns.seq,
            columns.account,
            packet.source,
            packet.key,
            packet.id,
            packet.identity,
            packet.digest,
            packet.role,
            packet.received,
            packet.sent,
            packet.content_type,
            columns.headers,
            columns.flags,
            columns.unmatched,
            columns.same_as,
            columns.place.map(|place| place.segment),
            columns.place.map(|place| place.offset),
            columns.length,
            columns.seal(),
            inline,
        ])?;
        Ok(())
    }

    pub(super) fn apply_refuse(
        &mut self,
        group: &mut Group,
        refusals: &[NewRefusal],
        lengths: &[usize],
    ) -> Written<()> {
        for (refusal, length) in refusals.iter().zip(lengths) {
            let NewRefusal {
                source,
                received,
                reason,
                payload,
            } = refusal;
            let account = self.books.account(&mut self.sql, source, *received)?;
            self.sql.insert_refusal.execute((
                account,
                received,
                reason,
                length_column(*length),
                payload.as_ref(),
            ))?;
            self.known.payload_bytes += length_column(payload.len());
            self.books.count(account, READ);
            self.books.count(account, REFUSED);
            group.tell(EventKind::Refused, None);
            group.sources.entry(source.clone()).or_insert(*received);
        }
        Ok(Ok(()))
    }

    pub(super) fn apply_unconfirmed(
        &mut self,
        group: &mut Group,
        source: &str,
        frames: u64,
    ) -> Written<()> {
        let account = self.books.account(&mut self.sql, source, group.now)?;
        let frames = column(frames);
        self.sql
            .insert_unconfirmed
            .execute((account, group.now, frames))?;
        self.books.count_many(account, READ, frames);
        self.books.count_many(account, UNCONFIRMED, frames);
        Ok(Ok(()))
    }

    pub(super) fn apply_listening(&mut self, source: &str, listening: bool) -> Written<()> {
        if listening {
            self.sql.note_source.execute((source, None::<Nanos>))?;
        } else {
            self.sql.end_source.execute([source])?;
        }
        Ok(Ok(()))
    }

    /// Notes when a packet of each source was last kept.
    pub(super) fn note_sources(
        &mut self,
        sources: &HashMap<String, Nanos>,
    ) -> rusqlite::Result<()> {
        let mut sources: Vec<_> = sources.iter().collect();
        sources.sort_unstable();
        for (source, last) in sources {
            self.sql.note_source.execute((source, last))?;
        }
        Ok(())
    }
}
