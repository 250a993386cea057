//! From bytes to text: UTF-8, UTF-16 with a byte order mark, declared ISO-8859-1 and US-ASCII.

use std::borrow::Cow;
use std::ops::Range;

use super::{Fault, XmlError, XmlFault, chars};

/// How far the encoding of a document is looked for.
const MAX_DECLARATION: usize = 256;

/// A document's text, and how its places map to the bytes that it came from.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    pub(crate) text: Cow<'a, str>,
    encoding: Encoding,
    /// Bytes of the input before the text: a byte order mark, or what a lenient reader passed over.
    skipped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    Utf16,
}

impl<'a> Decoded<'a> {
    /// Decodes a document that begins at the first byte.
    pub(crate) fn strict(bytes: &'a [u8]) -> Result<Self, XmlError> {
        Self::after(bytes, 0)
    }

    /// Decodes a document that may have text before it; tells how many bytes were passed over.
    ///
    /// Archives hold files with a line of description above the XML.
    pub(crate) fn lenient(bytes: &'a [u8]) -> Result<(Self, usize), XmlError> {
        if bytes
            .trim_ascii_start()
            .first()
            .is_some_and(|first| b"{[".contains(first))
        {
            return Err(outside(0, XmlFault::LooksLikeJson));
        }
        let skipped = match has_byte_order_mark(bytes) {
            true => 0,
            false => begins_markup(bytes),
        };
        Ok((Self::after(bytes, skipped)?, skipped))
    }

    fn after(bytes: &'a [u8], skipped: usize) -> Result<Self, XmlError> {
        let decoded = decode(bytes.get(skipped..).unwrap_or_default(), skipped)?;
        if decoded.text.trim_ascii().is_empty() {
            return Err(outside(decoded.skipped, XmlFault::Empty));
        }
        if decoded.text.starts_with('\u{FEFF}') {
            return Err(outside(decoded.skipped, XmlFault::TextBeforeDocument));
        }
        match chars::forbidden_control(&decoded.text) {
            Some((at, code)) => {
                let fault = Fault::at(at, XmlFault::ControlCharacter(code));
                Err(decoded.locate(fault, String::new()))
            }
            None => Ok(decoded),
        }
    }

    /// Gives a fault its place in the input.
    pub(crate) fn locate(&self, fault: Fault, within: String) -> XmlError {
        XmlError {
            offset: self.source_offset(fault.at),
            within,
            fault: fault.fault,
        }
    }

    /// Turns a range of the text into the range of the input that it came from.
    pub(crate) fn source_range(&self, range: Range<usize>) -> Range<usize> {
        self.source_offset(range.start)..self.source_offset(range.end)
    }

    fn source_offset(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let bytes = match self.encoding {
            Encoding::Utf8 | Encoding::Ascii => before.len(),
            Encoding::Latin1 => before.chars().count(),
            Encoding::Utf16 => before.chars().map(|c| 2 * c.len_utf16()).sum(),
        };
        self.skipped + bytes
    }
}

fn decode(bytes: &[u8], skipped: usize) -> Result<Decoded<'_>, XmlError> {
    let (text, encoding, mark) = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (utf8(rest, skipped + 3)?, Encoding::Utf8, 3),
        [0xFE, 0xFF, rest @ ..] => (
            utf16(rest, skipped + 2, u16::from_be_bytes)?,
            Encoding::Utf16,
            2,
        ),
        [0xFF, 0xFE, rest @ ..] => (
            utf16(rest, skipped + 2, u16::from_le_bytes)?,
            Encoding::Utf16,
            2,
        ),
        _ => {
            let encoding = declared_encoding(bytes, skipped)?;
            let text = match encoding {
                Encoding::Latin1 => latin1(bytes),
                Encoding::Ascii if !bytes.is_ascii() => return Err(not_ascii(bytes, skipped)),
                _ => utf8(bytes, skipped)?,
            };
            (text, encoding, 0)
        }
    };
    Ok(Decoded {
        text,
        encoding,
        skipped: skipped + mark,
    })
}

fn utf8(bytes: &[u8], skipped: usize) -> Result<Cow<'_, str>, XmlError> {
    let encoding = "UTF-8";
    match str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) => {
            let at = skipped + error.valid_up_to();
            Err(outside(at, XmlFault::Undecodable { encoding }))
        }
    }
}

fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match bytes.is_ascii().then(|| str::from_utf8(bytes)) {
        Some(Ok(text)) => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

fn utf16(bytes: &[u8], skipped: usize, unit: fn([u8; 2]) -> u16) -> Result<Cow<'_, str>, XmlError> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let undecodable = |read: &str| {
        let at = skipped + read.chars().map(|c| 2 * c.len_utf16()).sum::<usize>();
        outside(at, XmlFault::Undecodable { encoding: "UTF-16" })
    };
    let mut text = String::with_capacity(bytes.len());
    for character in char::decode_utf16(pairs.iter().copied().map(unit)) {
        match character {
            Ok(character) => text.push(character),
            Err(_unpaired) => return Err(undecodable(&text)),
        }
    }
    match odd {
        [] => Ok(Cow::Owned(text)),
        _ => Err(undecodable(&text)),
    }
}

fn not_ascii(bytes: &[u8], skipped: usize) -> XmlError {
    let at = bytes.iter().position(|byte| !byte.is_ascii());
    let encoding = "US-ASCII";
    outside(
        skipped + at.unwrap_or_default(),
        XmlFault::Undecodable { encoding },
    )
}

/// Reads the encoding from the XML declaration; UTF-8 where none is given.
///
/// A label that the bytes contradict is ignored where it makes no difference: a document in plain
/// ASCII is the same in all of them, and .NET writes `utf-16` into files that are not.
fn declared_encoding(bytes: &[u8], skipped: usize) -> Result<Encoding, XmlError> {
    let Some(label) = encoding_label(bytes) else {
        return Ok(Encoding::Utf8);
    };
    match label.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Ok(Encoding::Utf8),
        "us-ascii" | "ascii" => Ok(Encoding::Ascii),
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin-1" | "latin1" => Ok(Encoding::Latin1),
        _ if bytes.is_ascii() => Ok(Encoding::Ascii),
        _ => Err(outside(
            skipped,
            XmlFault::UnsupportedEncoding(label.to_owned()),
        )),
    }
}

fn encoding_label(bytes: &[u8]) -> Option<&str> {
    let head = bytes.get(..MAX_DECLARATION).unwrap_or(bytes);
    let ascii = head
        .iter()
        .position(|byte| !byte.is_ascii())
        .unwrap_or(head.len());
    let head = str::from_utf8(head.get(..ascii)?).ok()?;
    let (declaration, _) = head.strip_prefix("<?xml")?.split_once("?>")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split(quote).next()
}

fn has_byte_order_mark(bytes: &[u8]) -> bool {
    [&[0xEF, 0xBB, 0xBF][..], &[0xFE, 0xFF], &[0xFF, 0xFE]]
        .iter()
        .any(|mark| bytes.starts_with(mark))
}

/// Finds the first `<` that can begin a declaration, comment or element; 0 where there is none.
fn begins_markup(bytes: &[u8]) -> usize {
    let is_markup = |pair: &[u8]| match pair {
        [b'<', next] => matches!(next, b'?' | b'!') || chars::starts_a_name(*next),
        _ => false,
    };
    bytes.windows(2).position(is_markup).unwrap_or_default()
}

fn outside(offset: usize, fault: XmlFault) -> XmlError {
    XmlError {
        offset,
        within: String::new(),
        fault,
    }
}
