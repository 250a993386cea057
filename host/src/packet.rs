//! Packets: what a listener reads from a stream.
//!
//! Plain values. A packet is never re-serialised: its payload is the exact bytes that were
//! read, and its identity is decided where it was read, by the rules of its transport.

mod digest;

use std::fmt;

use bytes::Bytes;
use gwasp_formats::time::LEAP_SECONDS_KNOWN_UNTIL;
use gwasp_formats::{NoticeType, Role};
use jiff::{SignedDuration, Timestamp};

pub use self::digest::Digest;

/// A packet that was under way for longer is old, by the clock of its transport.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(1);

/// A moment in nanoseconds since the Unix epoch, as records have it.
pub fn unix_nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// The moment that records have as nanoseconds since the Unix epoch.
pub fn from_unix_nanos(nanos: i64) -> Timestamp {
    // Years 1677 to 2262, which a timestamp has room for.
    Timestamp::from_nanosecond(nanos.into()).unwrap_or_default()
}

/// What a person should know of the leap seconds: from two months before the end of the table on,
/// GPS times that come after it may be a second off.
pub fn leap_seconds_note(now: Timestamp) -> Option<String> {
    let end = Timestamp::from_second(LEAP_SECONDS_KNOWN_UNTIL).ok()?;
    (now + NOTICE > end).then(|| {
        format!(
            "the table of leap seconds ends with {}: should the IERS announce one after that, GPS \
             times are a second off until a newer GWASP knows it",
            end.strftime("%Y-%m-%d")
        )
    })
}

/// How long before the end of the table it is told of.
const NOTICE: SignedDuration = SignedDuration::from_hours(60 * 24);

/// What handlers are found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A GCN notice type.
    Notice(NoticeType),
    /// A node of LVAlert, or a topic of a Kafka stream.
    Node(String),
    /// A document that names neither, such as a VOEvent without a `Packet_Type`.
    None,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notice(notice_type) => write!(f, "{notice_type}"),
            Self::Node(node) => f.write_str(node),
            Self::None => Ok(()),
        }
    }
}

/// Something about a packet that a person may want to know; none of these holds it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Flag {
    /// The role is none of VOEvent's four and was taken as an observation.
    UnknownRole,
    /// `Packet_Type` is there and is no number in `0..=65535`.
    BadNoticeType,
    /// `Packet_Type` is there more than once, and the first counts.
    RepeatedNoticeType,
    /// The IVORN does not begin with `ivo://`, or has white space in it.
    OddIvorn,
    /// The IVORN came before, with other bytes.
    SameIdOtherBytes,
    /// The handler asked for an order, and the packet lacks what it is ordered by.
    NoOrderingKey,
    /// It is of a store that was restored from a backup, and came before that.
    Historic,
}

impl Flag {
    /// The name in headers and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownRole => "unknown-role",
            Self::BadNoticeType => "bad-notice-type",
            Self::RepeatedNoticeType => "repeated-notice-type",
            Self::OddIvorn => "odd-ivorn",
            Self::SameIdOtherBytes => "same-id-other-bytes",
            Self::NoOrderingKey => "no-ordering-key",
            Self::Historic => "historic",
        }
    }
}

/// A packet as a listener read it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The stream, e.g. `gcn`; what a configuration calls the listener's source.
    pub source: String,
    /// What handlers are found by.
    pub key: Key,
    /// The name that the sender gave it: IVORN, pubsub item id, topic/partition/offset.
    pub id: String,
    /// What makes two arrivals the same packet: for a VOEvent the digest of its root element's
    /// bytes, else the digest of the transport's own id.
    pub identity: Digest,
    /// VOEvent role, or what the format has instead.
    pub role: Role,
    /// When the listener read its last byte.
    pub received: Timestamp,
    /// The transport's own time, where it has one.
    pub sent: Option<Timestamp>,
    /// MIME type, e.g. `application/xml`.
    pub content_type: &'static str,
    /// The transport's headers.
    pub headers: Vec<(String, String)>,
    /// What a person may want to know.
    pub flags: Vec<Flag>,
    /// The exact bytes.
    pub payload: Bytes,
}

impl Packet {
    /// Whether acting on it may be acting on yesterday's news: it was under way for more than an
    /// hour, or a backup brought it back. How long it waits here makes no packet old, and a
    /// transport that has no clock, such as VTP, is always live.
    pub fn is_old(&self) -> bool {
        let was_late = |sent| self.received.duration_since(sent) > MAX_AGE;
        self.sent.is_some_and(was_late) || self.flags.contains(&Flag::Historic)
    }
}

/// Bytes that a listener read and that are no packet.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The stream.
    pub source: String,
    /// When they were read.
    pub received: Timestamp,
    /// Why they are no packet, in a sentence for a person.
    pub reason: String,
    /// The bytes, or their beginning where there are more than the listener's limit.
    pub payload: Bytes,
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::leap_seconds_note;

    #[test]
    fn the_end_of_the_leap_seconds_is_told_of_two_months_before_and_ever_after() {
        let note = |day: &str| {
            let noon: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
            leap_seconds_note(noon)
        };
        // IERS Bulletin C 70 and the list that it is in expire on 2026-06-28.
        assert_eq!(note("2026-04-01"), None);
        for day in ["2026-05-01", "2026-07-01", "2031-01-01"] {
            let said = note(day).unwrap();
            assert!(said.contains("2026-06-28"), "{said}");
        }
    }
}
