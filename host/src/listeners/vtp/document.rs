//! What a frame holds: a packet, a transport message, or bytes that are neither.
//!
//! **Invariant:** every frame is exactly one of the three; nothing is passed over here.

use bytes::Bytes;
use gwasp_formats::{Oddity, Scan, TransportHead, VoEventHead, scan};
use jiff::Timestamp;

use crate::packet::{Digest, Flag, Key, Packet, Refusal};

/// What a frame holds.
#[derive(Debug)]
pub(super) enum Document {
    /// An event that can be acknowledged.
    Event(Packet),
    /// A message of the transport.
    Transport(TransportHead),
    /// Bytes that nothing can be answered to.
    Refused(Refusal),
}

/// Tells what the frame `payload` holds, which `source` sent and which was whole at `received`.
pub(super) fn read(source: &str, payload: Bytes, received: Timestamp) -> Document {
    let reason = match scan(&payload, &[]) {
        Ok(Scan::VoEvent(head)) => match packet(source, head, &payload, received) {
            Ok(packet) => return Document::Event(packet),
            Err(reason) => reason.to_owned(),
        },
        Ok(Scan::Transport(head)) => return Document::Transport(head),
        Ok(Scan::Other { root }) => {
            format!("the document is `{root}`, neither VOEvent nor Transport")
        }
        Err(error) => format!("the document cannot be read: {error}"),
    };
    Document::Refused(Refusal {
        source: source.to_owned(),
        received,
        reason,
        payload,
    })
}

fn packet(
    source: &str,
    head: VoEventHead,
    payload: &Bytes,
    received: Timestamp,
) -> Result<Packet, &'static str> {
    let Some(ivorn) = head.ivorn else {
        return Err("the VOEvent has no ivorn, so it cannot be acknowledged");
    };
    let element = payload.get(head.element).unwrap_or(payload);
    let mut flags: Vec<Flag> = head.oddities.iter().filter_map(flag).collect();
    if !ivorn.starts_with("ivo://") || ivorn.contains(char::is_whitespace) {
        flags.push(Flag::OddIvorn);
    }
    Ok(Packet {
        source: source.to_owned(),
        key: head.notice_type.map_or(Key::None, Key::Notice),
        id: ivorn,
        identity: Digest::of(element),
        role: head.role,
        received,
        sent: None,
        content_type: "application/xml",
        headers: Vec::new(),
        flags,
        payload: payload.clone(),
    })
}

const fn flag(oddity: &Oddity) -> Option<Flag> {
    match oddity {
        Oddity::UnknownRole(_) => Some(Flag::UnknownRole),
        Oddity::BadPacketType(_) => Some(Flag::BadNoticeType),
        Oddity::RepeatedPacketType => Some(Flag::RepeatedNoticeType),
        _ => None,
    }
}
