//! FITS: header cards and one binary table, written and read.
//!
//! FITS Standard 4.0 (Pence et al. 2010, A&A 524 A42; 2018 revision). Only what a sky map needs:
//! no images, no variable-length columns, no scaling. Long strings use the CONTINUE convention
//! (§4.2.1.2 of the standard).

mod read;

pub use read::{Cards, ColumnReader, FitsError, TableReader, Value, decompressed};

/// Bytes of a FITS block.
const BLOCK: usize = 2_880;
/// Bytes of a header card.
const CARD: usize = 80;
/// Characters of text that one card holds.
const TEXT: usize = 68;

/// A column of a binary table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// TTYPE.
    pub name: &'a str,
    /// TFORM, such as `K` (64-bit integer) or `D` (double).
    pub format: &'a str,
    /// TUNIT.
    pub unit: Option<&'a str>,
}

/// A header under construction. Characters outside printable ASCII become `?`.
#[derive(Clone, Debug, Default)]
pub struct Header {
    cards: Vec<u8>,
}

impl Header {
    /// Adds a logical value.
    pub fn logical(&mut self, keyword: &str, value: bool, comment: &str) {
        self.fixed(keyword, if value { "T" } else { "F" }, comment);
    }

    /// Adds an integer.
    pub fn integer(&mut self, keyword: &str, value: i64, comment: &str) {
        self.fixed(keyword, &value.to_string(), comment);
    }

    /// Adds a number with the digits that tell it from its neighbours. FITS has no infinities:
    /// what is not finite is left out.
    pub fn real(&mut self, keyword: &str, value: f64, comment: &str) {
        if value.is_finite() {
            self.fixed(keyword, &real_text(value), comment);
        }
    }

    /// Adds a string, over several cards where one is too short.
    pub fn text(&mut self, keyword: &str, value: &str, comment: &str) {
        let escaped = printable(value).replace('\'', "''");
        if escaped.len() <= TEXT {
            let quoted = format!("'{escaped:<8}'");
            self.card(&with_comment(
                &format!("{keyword:<8}= {quoted:<20}"),
                comment,
            ));
            return;
        }
        let mut keyword = format!("{keyword:<8}= ");
        let mut rest = escaped.as_str();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(break_before(rest, TEXT - 1));
            let more = if after.is_empty() { "" } else { "&" };
            self.card(&format!("{keyword}'{part}{more}'"));
            "CONTINUE  ".clone_into(&mut keyword);
            rest = after;
        }
        if !comment.is_empty() {
            let comment = printable(comment);
            self.card(&with_comment("CONTINUE  ''", &comment));
        }
    }

    /// Adds a line of history, wrapped between words at 72 characters.
    pub fn history(&mut self, line: &str) {
        let line = printable(line);
        let mut rest = line.as_str();
        loop {
            let end = if rest.len() <= 72 {
                rest.len()
            } else {
                wrap_at(rest)
            };
            let (part, after) = rest.split_at(end);
            self.card(&format!("HISTORY {part}"));
            rest = after.trim_start();
            if rest.is_empty() {
                break;
            }
        }
    }

    fn fixed(&mut self, keyword: &str, value: &str, comment: &str) {
        self.card(&with_comment(
            &format!("{keyword:<8}= {value:>20}"),
            comment,
        ));
    }

    fn card(&mut self, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(CARD)];
        self.cards.extend_from_slice(bytes);
        self.cards
            .resize(self.cards.len().next_multiple_of(CARD), b' ');
    }

    /// Closes the header and pads it to whole blocks.
    fn finish(mut self) -> Vec<u8> {
        self.card("END");
        self.cards
            .resize(self.cards.len().next_multiple_of(BLOCK), b' ');
        self.cards
    }
}

/// Zeros that a file needs behind `bytes` bytes of rows.
pub const fn padding(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK as u64) - bytes
}

/// An empty primary unit, and the header of the table.
fn head(table: Header) -> Vec<u8> {
    let mut primary = Header::default();
    primary.logical("SIMPLE", true, "conforms to FITS standard");
    primary.integer("BITPIX", 8, "array data type");
    primary.integer("NAXIS", 0, "number of array dimensions");
    primary.logical("EXTEND", true, "");
    let mut head = primary.finish();
    head.extend(table.finish());
    head
}

/// A binary table extension behind an empty primary unit.
#[derive(Debug)]
pub struct TableWriter {
    header: Header,
    rows: Vec<u8>,
}

impl TableWriter {
    /// Begins a table of `n_rows` rows of `row_bytes` bytes.
    pub fn new(columns: &[Column<'_>], n_rows: usize, row_bytes: usize) -> Self {
        let mut header = Header::default();
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        header.text("XTENSION", "BINTABLE", "binary table extension");
        header.integer("BITPIX", 8, "array data type");
        header.integer("NAXIS", 2, "number of array dimensions");
        header.integer("NAXIS1", whole(row_bytes), "length of dimension 1");
        header.integer("NAXIS2", whole(n_rows), "length of dimension 2");
        header.integer("PCOUNT", 0, "number of group parameters");
        header.integer("GCOUNT", 1, "number of groups");
        header.integer("TFIELDS", whole(columns.len()), "number of table fields");
        for (k, column) in (1..).zip(columns) {
            header.text(&format!("TTYPE{k}"), column.name, "");
            header.text(&format!("TFORM{k}"), column.format, "");
            if let Some(unit) = column.unit {
                header.text(&format!("TUNIT{k}"), unit, "");
            }
        }
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// The table's header, for further cards.
    pub fn header(&mut self) -> &mut Header {
        &mut self.header
    }

    /// Appends the big-endian bytes of a cell.
    pub fn put(&mut self, cell: &[u8]) {
        self.rows.extend_from_slice(cell);
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let Self { header, rows } = self;
        let mut file = head(header);
        file.extend(rows);
        file.resize(file.len().next_multiple_of(BLOCK), 0);
        file
    }

    /// The file up to its first row, for a caller that writes rows one after another. Behind the
    /// last one the file must be filled with zeros: see [`padding`].
    pub fn finish_head(self) -> Vec<u8> {
        head(self.header)
    }
}

/// Puts a comment behind a value; the comment is what is cut when the card is full.
fn with_comment(card: &str, comment: &str) -> String {
    if comment.is_empty() {
        card.trim_end().to_owned()
    } else {
        format!("{card} / {}", printable(comment))
    }
}

/// Shortest decimal text of a finite number, in the form that FITS allows.
fn real_text(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&magnitude) {
        format!("{value:?}")
    } else {
        let text = format!("{value:E}");
        if text.contains('.') {
            text
        } else {
            text.replace('E', ".0E")
        }
    }
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
        .collect()
}

/// Where to wrap a line of more than 72 characters: at the last space, if there is one.
fn wrap_at(line: &str) -> usize {
    match line[..73].rfind(' ') {
        Some(space) if space > 0 => space,
        _ => 72,
    }
}

/// Where to break a string so that no pair of quotes is torn apart.
fn break_before(text: &str, at: usize) -> usize {
    if text.len() <= at {
        return text.len();
    }
    let quotes = text[..at].bytes().rev().take_while(|&b| b == b'\'').count();
    at - quotes % 2
}

#[cfg(test)]
mod tests;
