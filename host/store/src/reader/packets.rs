//! Packets as they are kept.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row};

use super::{Query, Reader, Stored};
use crate::error::StoreError;
use crate::record::{NewPacket, PacketRecord, PacketSeq};
use crate::schema::{split_texts, unsigned};
use crate::segments::Place;
use crate::view::{PacketFilter, PacketView};
use crate::writer::PacketColumns;

const COLUMNS: &str = "SELECT seq, account, source, key, id, identity, digest, role, received,
    sent, content_type, headers, flags, unmatched, same_as, segment, offset, length, seal,
    (SELECT coalesce(sum(n), 0) FROM repeats WHERE packet = seq)
    FROM packets";

/// A row whose seal holds.
pub(super) struct PacketRow {
    pub(super) seq: i64,
    /// The packet, its payload still empty.
    pub(super) packet: NewPacket,
    unmatched: Option<String>,
    pub(super) same_as: Option<i64>,
    pub(super) place: Option<Place>,
    length: i64,
    repeats: i64,
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
        Ok(Some(PacketRecord {
            seq: PacketSeq(seq),
            packet: row.packet,
        }))
    }

    fn packet_row(&self, seq: i64) -> Result<Option<PacketRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE seq = ?1");
        let mut statement = self.connection.prepare_cached(&text)?;
        statement
            .query_row([seq], packet_row)
            .optional()?
            .transpose()
    }

    /// Reads the payload of a packet, from the packet that holds it.
    pub(super) fn payload(&self, row: &PacketRow) -> Result<Bytes, StoreError> {
        let stored = self.stored(row.seq)?;
        let is_here = stored
            .as_ref()
            .is_some_and(|stored| stored.inline.is_some() || stored.segment.is_some());
        let stored = match row.same_as {
            Some(holder) if !is_here => self.stored(holder)?,
            _ => stored,
        };
        let stored = stored.ok_or_else(|| StoreError::Corrupt {
            place: format!("payload of packet {}", row.seq),
        })?;
        stored.read(&self.segments, &row.packet.digest)
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
    fn view(self) -> PacketView {
        let packet = self.packet;
        PacketView {
            seq: PacketSeq(self.seq),
            source: packet.source,
            key: packet.key,
            id: packet.id,
            digest: packet.digest,
            role: packet.role,
            received: packet.received,
            sent: packet.sent,
            content_type: packet.content_type,
            flags: packet.flags,
            unmatched: self.unmatched,
            same_as: self.same_as.map(PacketSeq),
            length: unsigned(self.length),
            repeats: unsigned(self.repeats),
        }
    }
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
        repeats: row.get(19)?,
    };
    let columns = PacketColumns {
        seq,
        account: row.get(1)?,
        packet: &found.packet,
        headers,
        flags,
        unmatched: found.unmatched.as_deref(),
        same_as: found.same_as,
        place: found.place,
        length,
    };
    if row.get::<_, i64>(18)? != columns.seal() {
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
