//! Reading `LIGO_LW` XML: tables, and frequency and time series.
//!
//! The format of LIGO-T990023 as the compact-binary pipelines write it: `Table` elements with
//! delimited streams, and `LIGO_LW` elements that hold one `Array` with its `Param`s. gzip is
//! recognized by its first two bytes.
//!
//! Everything is bounded by [`Limits`]; no input makes the reader panic or take more memory than
//! the limits allow. What a table or series means is not known here.

mod array;
mod document;
mod table;

pub use array::{Array, Dim};
pub use document::Document;
pub(crate) use table::parse_id;
pub use table::{Cell, Column, ColumnKind, RowRef, Table};

use std::fmt;

use crate::gps::GpsTime;
use crate::work::{Cancelled, OutOfMemory};

/// How much a document may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of XML, after decompression.
    pub bytes: usize,
    /// Rows of all tables together.
    pub rows: usize,
    /// Columns of one table.
    pub columns: usize,
    /// Cells of all tables together.
    pub cells: usize,
    /// Numbers of all arrays together.
    pub numbers: usize,
    /// Elements.
    pub elements: usize,
    /// Elements within elements.
    pub depth: usize,
}

impl Limits {
    /// The limits of a document that takes at most `memory` bytes while it is read, and no more
    /// than by default: half of it for text, a quarter for numbers, and the rest for cells and
    /// elements.
    pub fn within(memory: usize) -> Self {
        /// Bytes of memory for one of text: unpacked, and a buffer that grows into its copy.
        const BYTE: usize = 4;
        /// For a number: while it is moved to its component.
        const NUMBER: usize = 2 * size_of::<f64>();
        /// For a cell: while the table grows, and for the allocation of a string.
        const CELL: usize = 2 * size_of::<Cell>() + 32;
        /// For an element: what is kept of a table, the largest, while their list grows.
        const ELEMENT: usize = 256;
        let far_above = Self::default();
        Self {
            bytes: far_above.bytes.min(memory / 2 / BYTE),
            cells: far_above.cells.min(memory / 8 / CELL),
            numbers: far_above.numbers.min(memory / 4 / NUMBER),
            elements: far_above.elements.min(memory / 8 / ELEMENT),
            ..far_above
        }
    }
}

impl Default for Limits {
    /// Far above any candidate: 128 MiB, 10⁵ rows, 512 columns, 2²² cells, 2²³ numbers, 2¹⁸
    /// elements, depth 32.
    fn default() -> Self {
        Self {
            bytes: 128 << 20,
            rows: 100_000,
            columns: 512,
            cells: 1 << 22,
            numbers: 1 << 23,
            elements: 1 << 18,
            depth: 32,
        }
    }
}

/// What a document can have too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::rows`].
    Rows,
    /// [`Limits::columns`].
    Columns,
    /// [`Limits::cells`].
    Cells,
    /// [`Limits::numbers`].
    Numbers,
    /// [`Limits::elements`].
    Elements,
    /// [`Limits::depth`].
    Depth,
}

impl Measure {
    /// Whether a document beyond `limit` might be read with more memory: [`Limits::within`] made
    /// the limit smaller than it is by default.
    fn is_of_memory(self, limit: usize) -> bool {
        let far_above = Limits::default();
        match self {
            Self::Bytes => limit < far_above.bytes,
            Self::Cells => limit < far_above.cells,
            Self::Numbers => limit < far_above.numbers,
            Self::Elements => limit < far_above.elements,
            Self::Rows | Self::Columns | Self::Depth => false,
        }
    }

    fn verdict(self, limit: usize) -> &'static str {
        if self.is_of_memory(limit) {
            "its memory has no room for more; raise the memory limit"
        } else {
            "it is no candidate's file"
        }
    }
}

impl fmt::Display for Measure {
    /// Says what is counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Rows => "table rows",
            Self::Columns => "columns",
            Self::Cells => "table cells",
            Self::Numbers => "numbers in arrays",
            Self::Elements => "elements",
            Self::Depth => "nested elements",
        })
    }
}

/// One `LIGO_LW` element with an array, such as a spectrum or an SNR series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The element's name, such as `REAL8FrequencySeries`.
    pub name: String,
    /// The first `Time`.
    pub epoch: Option<GpsTime>,
    /// Names (without suffix and prefix) and texts of the `Param`s.
    pub params: Vec<(String, String)>,
    /// The array.
    pub array: Array,
}

impl Series {
    /// The text of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, text)| text.as_str())
    }
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LigolwError {
    /// A limit was reached.
    #[error("document has more than {limit} {what}: {}", what.verdict(*limit))]
    TooLarge {
        /// What there is too much of.
        what: Measure,
        /// The limit.
        limit: usize,
    },
    /// A limit on what all tables, or all arrays, hold was reached.
    #[error("{element} {name} takes the document beyond {limit} {what}: {}", what.verdict(*limit))]
    Full {
        /// `table` or `array`.
        element: &'static str,
        /// Its name, without suffix.
        name: String,
        /// What there is too much of.
        what: Measure,
        /// The limit.
        limit: usize,
    },
    /// It was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The system has less memory than the limits allow.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The gzip stream is broken.
    #[error("cannot decompress the document")]
    Gzip(#[source] std::io::Error),
    /// The XML is not well formed.
    #[error("malformed XML at byte {offset}")]
    Xml {
        /// Where.
        offset: u64,
        /// What.
        #[source]
        source: Box<quick_xml::Error>,
    },
    /// The bytes are not text.
    #[error("document is not UTF-8")]
    Encoding(#[from] std::str::Utf8Error),
    /// An element lacks an attribute, or stands where it cannot.
    #[error("element <{element}> at byte {offset}: {problem}")]
    Element {
        /// Tag.
        element: String,
        /// Where.
        offset: u64,
        /// What.
        problem: &'static str,
    },
    /// A cell does not have its column's type.
    #[error("table {table}, row {row}, column {column}: {text:?} is no {kind}")]
    Cell {
        /// Table, without suffix.
        table: String,
        /// Row, counted from 1.
        row: usize,
        /// Column, without prefix.
        column: String,
        /// What stands there.
        text: String,
        /// What should.
        kind: &'static str,
    },
    /// A table's cells do not fill its last row.
    #[error("table {table}, row {row}: the row ends after {cells} of {columns} columns")]
    Ragged {
        /// Table, without suffix.
        table: String,
        /// Row, counted from 1.
        row: usize,
        /// Cells of this row.
        cells: usize,
        /// Columns of the table.
        columns: usize,
    },
    /// A string is not closed.
    #[error("table {table}, row {row}: unclosed string")]
    OpenString {
        /// Table, without suffix.
        table: String,
        /// Row, counted from 1.
        row: usize,
    },
    /// Characters behind a closed string.
    #[error("table {table}, row {row}: text after a closed string")]
    AfterString {
        /// Table, without suffix.
        table: String,
        /// Row, counted from 1.
        row: usize,
    },
    /// An array's stream does not hold what its dimensions say.
    #[error("array {array}: {problem}")]
    Array {
        /// Name, without suffix.
        array: String,
        /// What.
        problem: String,
    },
    /// A table is missing.
    #[error("the document has no table {0}")]
    NoTable(&'static str),
    /// A column is missing.
    #[error("table {table} has no column {column}")]
    NoColumn {
        /// Table.
        table: String,
        /// Column.
        column: &'static str,
    },
    /// A cell that must hold something is empty.
    #[error("table {table}, row {row}, column {column} is empty")]
    Null {
        /// Table.
        table: String,
        /// Row, counted from 1.
        row: usize,
        /// Column.
        column: &'static str,
    },
}

impl LigolwError {
    /// Whether more memory might do.
    pub fn is_of_memory(&self) -> bool {
        match self {
            Self::TooLarge { what, limit } | Self::Full { what, limit, .. } => {
                what.is_of_memory(*limit)
            }
            Self::OutOfMemory(_) => true,
            _ => false,
        }
    }
}

/// `process:process_id` is `process_id`: prefixes of column names carry nothing.
pub(crate) fn without_prefix(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// `snr:array` is `snr`, `sngl_inspiral:table` is `sngl_inspiral`, and `group:snr:array` too.
pub(crate) fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    without_prefix(name.strip_suffix(suffix).unwrap_or(name))
}

#[cfg(test)]
mod tests;
