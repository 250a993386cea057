//! Packets as they are kept.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Query, Reader, Stored};
use crate::error::StoreError;
use crate::record::{Nanos, NewPacket, PacketRecord, PacketSeq};
use crate::schema::{join_texts, meta, split_texts, unsigned};
use crate::segments::Place;
use crate::view::{ArchiveFilter, PacketFilter, PacketView};
use crate::writer::PacketColumns;

const COLUMNS: &str = "SELECT seq, account, source, key, id, identity, digest, role, received,
    sent, content_type, headers, flags, unmatched, same_as, segment, offset, length, dropped, seal,
    (SELECT coalesce(sum(n), 0) FROM repeats WHERE packet = seq),
    payload IS NOT NULL,
    (SELECT holder.dropped FROM packets holder WHERE holder.seq = packets.same_as)
    FROM packets";

/// Flag of a packet that a backup held.
const HISTORIC: &str = "historic";

/// A row whose seal holds.
pub(crate) struct PacketRow {
    pub(crate) seq: i64,
    pub(crate) account: i64,
    /// The packet, its payload still empty.
    pub(crate) packet: NewPacket,
    pub(crate) unmatched: Option<String>,
    same_as: Option<i64>,
    place: Option<Place>,
    pub(crate) length: i64,
    dropped: Option<Nanos>,
    repeats: i64,
    /// The payload is in the row itself.
    is_inline: bool,
    /// When the payload was dropped of the packet that held it for this one.
    dropped_there: Option<Nanos>,
}

impl Reader {
    /// Lists packets, newest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a row is damaged; [`StoreError::Unavailable`] where they
    /// cannot be read.
    pub fn packets(&self, filter: &PacketFilter) -> Result<Vec<PacketView>, StoreError> {
        let mut query = Query::new(COLUMNS);
        if let Some(id) = &filter.id {
            query.and("id = ?", id.clone());
        }
        if let Some(source) = &filter.source {
            query.and("source = ?", source.clone());
        }
        if let Some(key) = &filter.key {
            query.and("key = ?", key.clone());
        }
        if let Some(since) = filter.since {
            query.and("received >= ?", since);
        }
        query.finish("seq DESC", filter.limit);
        let rows = query.run(&self.connection, packet_row)?;
        Ok(rows.into_iter().map(PacketRow::view).collect())
    }

    /// Lists packets from the number `from` on, oldest first.
    ///
    /// # Errors
    /// As [`Reader::packets`].
    pub fn packets_from(
        &self,
        PacketSeq(from): PacketSeq,
        limit: u32,
    ) -> Result<Vec<PacketView>, StoreError> {
        let mut query = Query::new(COLUMNS);
        query.and("seq >= ?", from);
        query.finish("seq", Some(limit));
        let rows = query.run(&self.connection, packet_row)?;
        Ok(rows.into_iter().map(PacketRow::view).collect())
    }

    /// Returns the number of the newest packet; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub fn last_packet(&self) -> Result<i64, StoreError> {
        let query = "SELECT coalesce(max(seq), 0) FROM packets";
        Ok(self.connection.query_row(query, [], |row| row.get(0))?)
    }

    /// Lists numbers of packets, newest first: those below `before`, at most `max`. No row is
    /// checked, so that a damaged one hides no other.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be read.
    pub fn archive(
        &self,
        filter: &ArchiveFilter,
        before: Option<PacketSeq>,
        max: u32,
    ) -> Result<Vec<PacketSeq>, StoreError> {
        let mut query = Query::new("SELECT seq FROM packets");
        if let Some(PacketSeq(before)) = before {
            query.and("seq < ?", before);
        }
        if let Some(source) = &filter.source {
            query.and("source = ?", source.clone());
        }
        if let Some(key) = &filter.key {
            query.and("key GLOB ?", key.clone());
        }
        if let Some(since) = filter.since {
            query.and("received >= ?", since);
        }
        if let Some(until) = filter.until {
            query.and("received < ?", until);
        }
        if let Some(unmatched) = &filter.unmatched {
            query.and("unmatched = ?", unmatched.clone());
        }
        query.finish("seq DESC", Some(max));
        query.run(&self.connection, |row| Ok(Ok(PacketSeq(row.get(0)?))))
    }

    /// Returns a packet with its payload.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where row or payload is damaged; [`StoreError::Unavailable`]
    /// where it cannot be read.
    pub fn packet(&self, seq: PacketSeq) -> Result<Option<PacketRecord>, StoreError> {
        self.record(seq.0)
    }

    /// Returns a packet without its payload.
    ///
    /// # Errors
    /// As [`Reader::packet`].
    pub fn packet_view(&self, seq: PacketSeq) -> Result<Option<PacketView>, StoreError> {
        Ok(self.packet_row(seq.0)?.map(PacketRow::view))
    }

    pub(crate) fn record(&self, seq: i64) -> Result<Option<PacketRecord>, StoreError> {
        let Some(mut row) = self.packet_row(seq)? else {
            return Ok(None);
        };
        row.packet.payload = self.payload(&row)?;
        if seq <= meta(&self.connection, "historic_packet")? {
            row.packet.flags.push(HISTORIC.to_owned());
        }
        Ok(Some(PacketRecord {
            seq: PacketSeq(seq),
            packet: row.packet,
        }))
    }

    fn packet_row(&self, seq: i64) -> Result<Option<PacketRow>, StoreError> {
        packet_row_of(&self.connection, seq)
    }

    /// Reads the payload of a packet, from the packet that holds it.
    pub(super) fn payload(&self, row: &PacketRow) -> Result<Bytes, StoreError> {
        if row.is_dropped() {
            return Err(StoreError::Dropped { packet: row.seq });
        }
        let holder = match row.same_as {
            Some(holder) if !row.holds_payload() => holder,
            _ => row.seq,
        };
        let stored = self.stored(holder)?;
        let stored = stored.ok_or_else(|| StoreError::Corrupt {
            place: format!("payload of packet {}", row.seq),
        })?;
        let segment = stored.segment;
        let read = stored.read(&self.segments, &row.packet.digest);
        match (read, segment) {
            (Err(StoreError::Corrupt { .. }), Some(segment))
                if self.is_from_before(segment, |now| {
                    let row = now.packet_row(row.seq)?;
                    Ok(row.is_none_or(|row| row.is_dropped()))
                })? =>
            {
                Err(StoreError::Dropped { packet: row.seq })
            }
            (read, _) => read,
        }
    }

    fn stored(&self, seq: i64) -> Result<Option<Stored>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT segment, offset, length, payload FROM packets WHERE seq = ?1",
        )?;
        let stored = statement.query_row([seq], |row| {
            Ok(Stored {
                table: "packet",
                row: seq,
                segment: row.get(0)?,
                offset: row.get(1)?,
                length: row.get(2)?,
                inline: row.get(3)?,
            })
        });
        Ok(stored.optional()?)
    }

    /// Calls `see` with every packet, oldest first.
    pub(super) fn each_packet(
        &self,
        mut see: impl FnMut(Result<PacketRow, StoreError>),
    ) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare(&format!("{COLUMNS} ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            see(packet_row(row).unwrap_or_else(|error| Err(error.into())));
        }
        Ok(())
    }
}

impl PacketRow {
    /// Returns whether the payload is kept in or through this row itself.
    pub(crate) fn holds_payload(&self) -> bool {
        self.is_inline || self.place.is_some()
    }

    /// Returns whether the payload is no longer kept.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped().is_some()
    }

    /// Returns when the payload was dropped.
    fn dropped(&self) -> Option<Nanos> {
        let there = self.dropped_there.filter(|_| !self.holds_payload());
        self.dropped.or(there)
    }

    /// Returns the seal of the row once its payload was dropped.
    pub(crate) fn seal_without_payload(&self, dropped: Nanos) -> i64 {
        let packet = &self.packet;
        let pairs = packet.headers.iter();
        let columns = PacketColumns {
            seq: self.seq,
            account: self.account,
            packet,
            headers: join_texts(pairs.flat_map(|(name, value)| [name.as_str(), value])),
            flags: join_texts(packet.flags.iter().map(String::as_str)),
            unmatched: self.unmatched.as_deref(),
            same_as: self.same_as,
            place: None,
            length: self.length,
            dropped: Some(dropped),
        };
        columns.seal()
    }

    fn view(self) -> PacketView {
        let dropped = self.dropped();
        let packet = self.packet;
        PacketView {
            seq: PacketSeq(self.seq),
            source: packet.source,
            key: packet.key,
            id: packet.id,
            identity: packet.identity,
            digest: packet.digest,
            role: packet.role,
            received: packet.received,
            sent: packet.sent,
            content_type: packet.content_type,
            flags: packet.flags,
            unmatched: self.unmatched,
            same_as: self.same_as.map(PacketSeq),
            length: unsigned(self.length),
            dropped,
            repeats: unsigned(self.repeats),
        }
    }
}

/// Reads a packet's row.
pub(crate) fn packet_row_of(
    connection: &Connection,
    seq: i64,
) -> Result<Option<PacketRow>, StoreError> {
    let text = format!("{COLUMNS} WHERE seq = ?1");
    let mut statement = connection.prepare_cached(&text)?;
    let row = statement.query_row([seq], packet_row).optional()?;
    row.transpose()
}

fn packet_row(row: &Row<'_>) -> rusqlite::Result<Result<PacketRow, StoreError>> {
    let seq: i64 = row.get(0)?;
    let corrupt = || StoreError::Corrupt {
        place: format!("row of packet {seq}"),
    };
    let (headers, flags): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(11)?, row.get(12)?);
    let (Some(pairs), Some(words)) = (
        split_texts(headers.as_deref()),
        split_texts(flags.as_deref()),
    ) else {
        return Ok(Err(corrupt()));
    };
    let length: i64 = row.get(17)?;
    let place = |segment, offset| Place {
        segment,
        offset,
        length,
    };
    let found = PacketRow {
        seq,
        account: row.get(1)?,
        packet: NewPacket {
            source: row.get(2)?,
            key: row.get(3)?,
            id: row.get(4)?,
            identity: row.get(5)?,
            digest: row.get(6)?,
            role: row.get(7)?,
            received: row.get(8)?,
            sent: row.get(9)?,
            content_type: row.get(10)?,
            headers: paired(pairs),
            flags: words,
            payload: Bytes::new(),
        },
        unmatched: row.get(13)?,
        same_as: row.get(14)?,
        place: Option::zip(row.get(15)?, row.get(16)?)
            .map(|(segment, offset)| place(segment, offset)),
        length,
        dropped: row.get(18)?,
        repeats: row.get(20)?,
        is_inline: row.get(21)?,
        dropped_there: row.get(22)?,
    };
    let columns = PacketColumns {
        seq,
        account: found.account,
        packet: &found.packet,
        headers,
        flags,
        unmatched: found.unmatched.as_deref(),
        same_as: found.same_as,
        place: found.place,
        length,
        dropped: found.dropped,
    };
    if row.get::<_, i64>(19)? != columns.seal() {
        return Ok(Err(corrupt()));
    }
    Ok(Ok(found))
}

fn paired(texts: Vec<String>) -> Vec<(String, String)> {
    let mut pairs = Vec::with_capacity(texts.len() / 2);
    let mut texts = texts.into_iter();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        pairs.push((name, value));
    }
    pairs
}
