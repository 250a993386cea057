//! The packet, and what a handler can make of it by naming a type.

use gwasp_formats::{LvAlert, VoEvent};

use crate::clock::Timestamp;
use crate::error::{Error, Result};

pub(crate) mod json;

/// A packet as a listener read it.
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// #[handler("cbc_*")]
/// fn log_size(packet: &Packet) {
///     info!("{} from {}: {} bytes", packet.key, packet.source, packet.payload.len());
/// }
/// # log_size(&gwasp_sdk::testing::packet_from(b"{}"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// The stream, e.g. `gcn`.
    pub source: String,
    /// Notice type (`FERMI_GBM_GND_POS`, `UNKNOWN_159`) or node; empty where it has none.
    pub key: String,
    /// IVORN, pubsub id, or topic, partition and offset.
    pub id: String,
    /// `observation`, `prediction`, `utility` or `test`.
    pub role: String,
    /// What the host noticed about it beyond that, e.g. an IVORN that came with other bytes.
    pub flags: Vec<String>,
    /// SHA-256 of the payload in hexadecimal.
    pub digest: String,
    /// When its sender sent it, where the transport says so.
    pub sent: Option<Timestamp>,
    /// When the host read it.
    pub received: Timestamp,
    /// Such as `text/xml` or `application/json`.
    pub content_type: String,
    /// The transport's headers, as they came.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Returns the first header of this name; case does not matter.
    ///
    /// ```
    /// let mut packet = gwasp_sdk::testing::packet_from(b"");
    /// packet.headers.push(("_id".into(), "2f1e".into()));
    /// assert_eq!(packet.header("_ID"), Some("2f1e"));
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns the payload as text.
    ///
    /// # Errors
    /// A [`Parse`](crate::FailureKind::Parse) error that names the first byte that is not UTF-8.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::testing::packet_from(b"<voe/>").text()?, "<voe/>");
    /// # Ok::<(), gwasp_sdk::Error>(())
    /// ```
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.payload).map_err(|error| {
            let byte = error.valid_up_to();
            Error::parse(format!("payload is not UTF-8 at byte {byte}"))
        })
    }

    /// Reads the payload as JSON, as an argument of type `T` does.
    ///
    /// # Errors
    /// A [`Parse`](crate::FailureKind::Parse) error that names the field and the byte.
    ///
    /// ```
    /// let packet = gwasp_sdk::testing::packet_from(br#"{"candidate": {"far": "low"}}"#);
    /// #[derive(Debug, serde::Deserialize)]
    /// struct Alert { candidate: Candidate }
    /// #[derive(Debug, serde::Deserialize)]
    /// struct Candidate { far: f64 }
    ///
    /// assert_eq!(
    ///     packet.json::<Alert>().unwrap_err().to_string(),
    ///     "payload does not fit at /candidate/far (byte 22): \
    ///      invalid type: string \"low\", expected f64"
    /// );
    /// ```
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        json::read(&self.payload, "payload")
    }
}

/// Made of a packet: the type of a handler's argument.
///
/// Any type with `serde::Deserialize` is one too, read from JSON; a type that implements both is
/// made by this trait.
///
/// ```
/// use gwasp_sdk::{FromPacket, Packet, Result, handler};
///
/// struct Lines(Vec<String>);
///
/// impl FromPacket<'_> for Lines {
///     fn from_packet(packet: &Packet) -> Result<Self> {
///         Ok(Self(packet.text()?.lines().map(str::to_owned).collect()))
///     }
/// }
///
/// #[handler("gcn.circulars")]
/// fn count_lines(lines: Lines) -> Result<usize> {
///     Ok(lines.0.len())
/// }
/// # fn main() {}
/// ```
pub trait FromPacket<'a>: Sized {
    /// Reads the packet.
    ///
    /// # Errors
    /// A [`Parse`](crate::FailureKind::Parse) error that names the place in the payload.
    fn from_packet(packet: &'a Packet) -> Result<Self>;
}

/// Makes a copy; an argument `&Packet` does without.
impl FromPacket<'_> for Packet {
    fn from_packet(packet: &Packet) -> Result<Self> {
        Ok(packet.clone())
    }
}

impl<'a> FromPacket<'a> for &'a Packet {
    fn from_packet(packet: &'a Packet) -> Result<Self> {
        Ok(packet)
    }
}

/// The payload as it is.
impl<'a> FromPacket<'a> for &'a [u8] {
    fn from_packet(packet: &'a Packet) -> Result<Self> {
        Ok(&packet.payload)
    }
}

/// The payload as it is.
impl FromPacket<'_> for Vec<u8> {
    fn from_packet(packet: &Packet) -> Result<Self> {
        Ok(packet.payload.clone())
    }
}

/// The payload as UTF-8.
impl<'a> FromPacket<'a> for &'a str {
    fn from_packet(packet: &'a Packet) -> Result<Self> {
        packet.text()
    }
}

/// The payload as UTF-8.
impl FromPacket<'_> for String {
    fn from_packet(packet: &Packet) -> Result<Self> {
        packet.text().map(str::to_owned)
    }
}

/// The payload as a VOEvent.
impl FromPacket<'_> for VoEvent {
    fn from_packet(packet: &Packet) -> Result<Self> {
        Ok(Self::parse(&packet.payload)?)
    }
}

/// The payload as a message of GraceDB.
impl FromPacket<'_> for LvAlert {
    fn from_packet(packet: &Packet) -> Result<Self> {
        Ok(Self::parse(&packet.payload)?)
    }
}
