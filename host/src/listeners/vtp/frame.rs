//! The wire of the VOEvent Transport Protocol: a length, then one XML document.
//!
//! ```text
//! +------------------------------+----------------------------+
//! | length N, uint32, big-endian | N bytes of one XML document |
//! +------------------------------+----------------------------+
//! ```
//!
//! (IVOA Recommendation *VOEvent Transport Protocol* 2.0, §3.)
//!
//! **Invariant:** a claimed length reserves nothing. The decoder's buffer is never more than
//! [`AHEAD`] bytes larger than what arrived, whatever a prefix says.
//!
//! Pure: this module knows no socket, no clock and no XML.

use std::fmt;

use bytes::Bytes;

/// How far the decoder's buffer reaches past the bytes that arrived.
pub const AHEAD: usize = 64 * 1024;

/// Bytes of the length before each document.
const PREFIX: usize = 4;

/// A buffer that has grown past this is given back once it is empty.
const KEEP: usize = 4 * AHEAD;

/// Cuts a byte stream into documents.
///
/// Bytes may arrive split at any place: let a socket read into [`Decoder::space`], then call
/// [`Decoder::next_frame`] until it gives `None`.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where in `buffer` the current frame begins.
    start: usize,
    max: u32,
    empty: u64,
}

impl Decoder {
    /// Makes a decoder that takes documents of up to `max` bytes.
    pub const fn new(max: u32) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            max,
            empty: 0,
        }
    }

    /// The buffer to append arriving bytes to; it has room for at least one and at most
    /// [`AHEAD`] bytes.
    pub fn space(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve_exact(AHEAD);
        }
        &mut self.buffer
    }

    /// Takes the next whole document, or `None` when more bytes are needed. Frames of length
    /// zero are counted and passed over.
    ///
    /// # Errors
    /// [`TooLong`] when a prefix claims more than the limit. The stream cannot be followed any
    /// further, and every later call gives the same error.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let pending = self.pending();
            let Some((prefix, rest)) = pending.split_first_chunk::<PREFIX>() else {
                return Ok(None);
            };
            let claimed = u32::from_be_bytes(*prefix);
            if claimed > self.max {
                return Err(TooLong::new(claimed, self.max, pending));
            }
            // A length that does not fit an address cannot have arrived.
            let len = usize::try_from(claimed).unwrap_or(usize::MAX);
            let Some(document) = rest.get(..len) else {
                return Ok(None);
            };
            let document = Bytes::copy_from_slice(document);
            self.start += PREFIX + len;
            if len > 0 {
                return Ok(Some(document));
            }
            self.empty += 1;
        }
    }

    /// Says whether a frame has begun and not ended.
    pub fn is_inside_frame(&self) -> bool {
        !self.pending().is_empty()
    }

    /// Bytes of the unfinished frame, its prefix included.
    pub fn unfinished(&self) -> usize {
        self.pending().len()
    }

    /// Frames of length zero so far.
    pub const fn empty_frames(&self) -> u64 {
        self.empty
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

/// Appends `document` as one frame.
///
/// # Errors
/// [`Unframeable`] when it is longer than 32 bits can say.
pub fn encode(document: &[u8], out: &mut Vec<u8>) -> Result<(), Unframeable> {
    let Ok(len) = u32::try_from(document.len()) else {
        return Err(Unframeable {
            len: document.len(),
        });
    };
    out.reserve(PREFIX + document.len());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(document);
    Ok(())
}

/// A document that no frame can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a document of {len} bytes does not fit a frame: the length has 32 bits")]
pub struct Unframeable {
    /// Its length in bytes.
    pub len: usize,
}

/// A prefix that claims more than the limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a frame claims {claimed} bytes, the limit is {max}; the stream goes on with `{head}`, {guess}"
)]
pub struct TooLong {
    /// The length it claims.
    pub claimed: u32,
    /// The limit.
    pub max: u32,
    /// What arrived from the prefix on, up to 16 bytes.
    pub head: Head,
    /// What the peer may be.
    pub guess: Guess,
}

impl TooLong {
    fn new(claimed: u32, max: u32, pending: &[u8]) -> Self {
        let head = Head(pending.iter().copied().take(16).collect());
        let guess = Guess::of(&head.0, max);
        Self {
            claimed,
            max,
            head,
            guess,
        }
    }
}

/// No stream in use has packets above this; a longer claim is noise.
const LARGEST_CLAIM: u32 = 64 << 20;

impl TooLong {
    /// Whether this may be a packet above the limit, rather than another protocol.
    pub fn is_plausible(&self) -> bool {
        self.guess == Guess::Unknown && self.claimed <= LARGEST_CLAIM
    }
}

/// The first bytes of a stream that is no VTP; shown as text with escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head(Vec<u8>);

impl Head {
    /// The bytes; at most 16.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// What a stream that claims an impossible length may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// A web server or a web client.
    Http,
    /// A TLS handshake or alert.
    Tls,
    /// A VTP peer that writes its lengths the other way round.
    LittleEndian,
    /// XML without a length before it.
    BareXml,
    /// Another protocol that speaks text.
    Text,
    /// A packet above the limit, or anything else.
    Unknown,
}

impl Guess {
    fn of(head: &[u8], max: u32) -> Self {
        const HTTP: [&[u8]; 8] = [
            b"HTTP", b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"PRI ",
        ];
        // Content types 20..=23, then the major version 3 (RFC 8446 §5.1).
        let tls = matches!(head, [20..=23, 3, 0..=4, ..]);
        let little_endian = head.first_chunk().map(|prefix| u32::from_le_bytes(*prefix));
        if HTTP.iter().any(|word| head.starts_with(word)) {
            Self::Http
        } else if tls {
            Self::Tls
        } else if head.starts_with(b"<") {
            Self::BareXml
        } else if head
            .iter()
            .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
        {
            Self::Text
        } else if little_endian.is_some_and(|len| (1..=max).contains(&len)) {
            Self::LittleEndian
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "which looks like HTTP: give the port of a VOEvent broker",
            Self::Tls => "which looks like TLS: give the listener a `tls` table, or a plain port",
            Self::LittleEndian => "which looks like a little-endian length: the peer breaks VTP",
            Self::BareXml => "which looks like XML without a length: the peer breaks VTP",
            Self::Text => "which looks like another protocol: check host and port",
            Self::Unknown => {
                "which looks like nothing known: check host and port, or raise `max_packet`"
            }
        })
    }
}

#[cfg(test)]
mod tests;
