//! GCN notice types: numbers on the wire, names in code and configuration.
//!
//! The set is open. Producers take new numbers without asking, so any number is a valid type, can
//! be routed, and prints as `UNKNOWN_<n>` until the table has a name for it.
//!
//! Facts from NASA's GCN documents and the names that its clients use. This module does not know
//! notices themselves, nor roles: a mock event carries the number of a real one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod table;

pub use table::notices;
use table::{Row, TABLE};

use crate::nearest::nearest;

/// The number in a GCN notice's `Packet_Type`, known to the table or not.
///
/// In text (JSON, TOML, `Display`, `FromStr`) a type is its name; `FromStr` takes the plain number
/// and `UNKNOWN_<n>` too, so that a mission without a name in the table can be written down.
///
/// ```
/// use gwasp_formats::{NoticeType, notices};
///
/// assert_eq!(notices::FERMI_GBM_GND_POS.to_string(), "FERMI_GBM_GND_POS");
/// assert_eq!(NoticeType(60000).to_string(), "UNKNOWN_60000");
/// assert_eq!("112".parse(), Ok(notices::FERMI_GBM_GND_POS));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeType(pub u16);

impl NoticeType {
    /// Returns the number on the wire.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Returns the table's name, or `None` for a number that it does not hold.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// Returns the other names of this type, as GCN's documents and older clients have them.
    pub fn aliases(self) -> &'static [&'static str] {
        self.row().map_or(&[], |row| row.aliases)
    }

    /// Finds a type by its name or any other name of it, in the case as written.
    ///
    /// ```
    /// use gwasp_formats::{NoticeType, notices};
    ///
    /// let by_document = NoticeType::from_name("SWIFT_XRT_NACK_POSITION");
    /// assert_eq!(by_document, Some(notices::SWIFT_XRT_CENTROID));
    /// assert_eq!(NoticeType::from_name("fermi_gbm_gnd_pos"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.names().any(|known| known == name))
            .map(|row| Self(row.number))
    }

    /// Returns every type of the table, by ascending number.
    pub fn known() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|row| Self(row.number))
    }

    /// Returns up to three names that resemble `name`, the likeliest first; none if none does.
    ///
    /// For messages that say "did you mean". Letter case is ignored, and a name that lacks a
    /// leading or trailing word is found: `GBM_GND_POS` leads to `FERMI_GBM_GND_POS`.
    pub fn nearest(name: &str) -> Vec<&'static str> {
        nearest(name, TABLE.iter().flat_map(Row::names))
    }

    /// Returns a type whose name begins so, where there is one.
    pub fn beginning_with(prefix: &str) -> Option<&'static str> {
        let mut names = TABLE.iter().flat_map(Row::names);
        names.find(|name| name.starts_with(prefix))
    }

    /// Tells whether this is a sign of life of the transport and not a notice: never for handlers.
    pub const fn is_keepalive(self) -> bool {
        matches!(self.0, 3 | 4 | 142 | 143)
    }

    /// Tells whether one of this type's names has the word `TEST`, as in `FERMI_GBM_POS_TEST`.
    ///
    /// Real types carry tests too, marked by the notice's role alone.
    pub fn is_test_by_name(self) -> bool {
        let has_the_word = |name: &str| name.split('_').any(|word| word == "TEST");
        self.row().is_some_and(|row| row.names().any(has_the_word))
    }

    /// Returns what to handle instead of a type that no live feed carries any more.
    pub const fn retired(self) -> Option<&'static str> {
        match self.0 {
            150..=154 | 163 | 164 => Some(
                "LIGO/Virgo/KAGRA have sent no VOEvent since 2026-07-08: \
                 handle the JSON topic `igwn.gwalert` instead",
            ),
            _ => None,
        }
    }

    fn row(self) -> Option<&'static Row> {
        let found = TABLE.binary_search_by_key(&self.0, |row| row.number);
        found.ok().and_then(|index| TABLE.get(index))
    }
}

impl Row {
    fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

impl fmt::Display for NoticeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("{UNKNOWN}{}", self.0)),
        }
    }
}

impl FromStr for NoticeType {
    type Err = UnknownNoticeType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(UNKNOWN).unwrap_or(text);
        let number = parse_number(digits).map(Self);
        number
            .or_else(|| Self::from_name(text))
            .ok_or_else(|| UnknownNoticeType(text.to_owned()))
    }
}

impl Serialize for NoticeType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NoticeType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is neither a notice type's name nor a number from 0 to 65535.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownNoticeType(String);

impl fmt::Display for UnknownNoticeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        write!(f, "no notice type is called `{name}`: ")?;
        match NoticeType::nearest(name).as_slice() {
            [] => f.write_str("write its name or its number (0 to 65535)"),
            names => write!(f, "did you mean `{}`?", names.join("` or `")),
        }
    }
}

impl std::error::Error for UnknownNoticeType {}

const UNKNOWN: &str = "UNKNOWN_";

/// Reads a decimal integer without sign, exponent or fraction, as `Packet_Type` must be.
pub(crate) fn parse_number(text: &str) -> Option<u16> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
