//! Reading the first binary table of a FITS file.
//!
//! Nothing is copied but the cards; cells are decoded when they are asked for. No input makes
//! the reader panic: sizes are checked against the bytes that are there. Scaled columns (TSCAL,
//! TZERO) and variable-length arrays are refused, not misread.

use super::{BLOCK, CARD};
use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;

/// The value of a header card.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `T` or `F`.
    Logical(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A string, without the blanks that pad it; long strings are put together.
    Text(String),
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitsError {
    /// Not FITS at all.
    #[error("not a FITS file: it does not begin with SIMPLE = T")]
    NotFits,
    /// The file is larger than allowed, after decompression.
    #[error("more than {0} bytes: it is no sky map that this program reads")]
    TooLarge(usize),
    /// The gzip stream is broken.
    #[error("cannot decompress the file: {0}")]
    Gzip(String),
    /// The file ends early.
    #[error("the file ends within its {0}: copy it again")]
    Truncated(&'static str),
    /// A header goes on and on.
    #[error("a header has more than {0} cards: it is no sky map's; copy the file again")]
    Header(usize),
    /// There is no binary table.
    #[error("the file has no binary table")]
    NoTable,
    /// A card that must be there is not, or has no usable value.
    #[error("header keyword {0} is missing or has no usable value")]
    Keyword(String),
    /// A column is missing.
    #[error("the table has no column {0}")]
    NoColumn(String),
    /// A column has a form that is not read.
    #[error("column {column} has TFORM {form:?}, which is not read")]
    Form {
        /// TTYPE.
        column: String,
        /// TFORM.
        form: String,
    },
}

/// The file itself, or what its gzip stream holds; at most `limit` bytes.
///
/// # Errors
/// [`FitsError::TooLarge`], [`FitsError::Gzip`].
pub fn decompressed(file: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, FitsError> {
    if file.get(..2) != Some(&[0x1f, 0x8b]) {
        return if file.len() > limit {
            Err(FitsError::TooLarge(limit))
        } else {
            Ok(Cow::Borrowed(file))
        };
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(file)
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| FitsError::Gzip(error.to_string()))?;
    if bytes.len() > limit {
        return Err(FitsError::TooLarge(limit));
    }
    Ok(Cow::Owned(bytes))
}

/// Cards of a header at most, HISTORY among them: a hundred times what a sky map has.
const MAX_CARDS: usize = 10_000;

/// Axes and columns at most (FITS 4.0, §4.4.1.1 and §7.3.1).
const MOST_NUMBERED: usize = 999;

/// The cards of one header, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cards {
    values: Vec<(String, Value)>,
    /// Where in `values` a keyword stands first.
    places: HashMap<String, usize>,
    history: Vec<String>,
}

impl Cards {
    /// Keywords and values, in the order of the file; commentary is not among them.
    pub fn values(&self) -> &[(String, Value)] {
        &self.values
    }

    /// The texts of the HISTORY cards.
    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// The value of a keyword.
    pub fn get(&self, keyword: &str) -> Option<&Value> {
        let place = self.places.get(keyword)?;
        self.values.get(*place).map(|(_, value)| value)
    }

    /// A string.
    pub fn text(&self, keyword: &str) -> Option<&str> {
        match self.get(keyword)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, keyword: &str) -> Option<i64> {
        match self.get(keyword)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A number, whole or not.
    pub fn real(&self, keyword: &str) -> Option<f64> {
        match self.get(keyword)? {
            Value::Integer(number) => Some(*number as f64),
            Value::Real(number) => Some(*number),
            _ => None,
        }
    }

    fn size(&self, keyword: &str) -> Result<usize, FitsError> {
        let number = self.integer(keyword).and_then(|n| usize::try_from(n).ok());
        number.ok_or_else(|| FitsError::Keyword(keyword.to_owned()))
    }

    /// How many axes or columns there are.
    fn numbered(&self, keyword: &str) -> Result<usize, FitsError> {
        let number = self.size(keyword)?;
        if number > MOST_NUMBERED {
            return Err(FitsError::Keyword(keyword.to_owned()));
        }
        Ok(number)
    }

    /// Reads the cards up to END; returns them and where the data begin.
    fn read(file: &[u8], start: usize) -> Result<(Self, usize), FitsError> {
        let mut cards = Self::default();
        let bytes = file.get(start..).unwrap_or_default();
        for (k, card) in bytes.chunks_exact(CARD).enumerate() {
            let card = String::from_utf8_lossy(card);
            let keyword = card.get(..8).unwrap_or(&card).trim_end();
            if keyword == "END" {
                let end = start + (k + 1) * CARD;
                return Ok((cards, end.next_multiple_of(BLOCK)));
            }
            if k >= MAX_CARDS {
                return Err(FitsError::Header(MAX_CARDS));
            }
            cards.add(keyword, card.get(8..).unwrap_or_default());
        }
        Err(FitsError::Truncated("header"))
    }

    fn add(&mut self, keyword: &str, rest: &str) {
        if keyword == "HISTORY" {
            self.history.push(rest.trim_end().to_owned());
        } else if keyword == "CONTINUE" {
            let (Some((more, _)), Some((_, Value::Text(text)))) =
                (quoted(rest), self.values.last_mut())
            else {
                return;
            };
            if text.ends_with('&') {
                text.pop();
                text.push_str(&more);
            }
        } else if let Some(field) = rest.strip_prefix("= ")
            && let Some(value) = parse_value(field)
        {
            let place = self.values.len();
            self.places.entry(keyword.to_owned()).or_insert(place);
            self.values.push((keyword.to_owned(), value));
        }
    }

    /// Bytes of the data behind this header, padding included.
    fn data_bytes(&self) -> Result<usize, FitsError> {
        let width = self.integer("BITPIX").map_or(0, i64::unsigned_abs) / 8;
        let axes = self.numbered("NAXIS")?;
        let mut elements = usize::from(axes > 0);
        for axis in 1..=axes {
            elements = elements.saturating_mul(self.size(&format!("NAXIS{axis}"))?);
        }
        let extra = self.size("PCOUNT").unwrap_or(0);
        let groups = self.size("GCOUNT").unwrap_or(1);
        let bytes = elements.saturating_add(extra).saturating_mul(groups);
        let bytes = bytes.saturating_mul(usize::try_from(width).unwrap_or(0));
        bytes
            .checked_next_multiple_of(BLOCK)
            .ok_or(FitsError::Truncated("data"))
    }
}

/// A quoted string and what follows it; `''` stands for a quote.
fn quoted(field: &str) -> Option<(String, &str)> {
    let mut rest = field.trim_start().strip_prefix('\'')?;
    let mut text = String::new();
    loop {
        let end = rest.find('\'')?;
        text.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        if !rest.starts_with('\'') {
            break;
        }
        text.push('\'');
        rest = &rest[1..];
    }
    Some((text.trim_end().to_owned(), rest))
}

fn parse_value(field: &str) -> Option<Value> {
    if let Some((text, _)) = quoted(field) {
        return Some(Value::Text(text));
    }
    match field.split('/').next().unwrap_or_default().trim() {
        "T" => Some(Value::Logical(true)),
        "F" => Some(Value::Logical(false)),
        number => match number.parse() {
            Ok(whole) => Some(Value::Integer(whole)),
            // FORTRAN writes D for the exponent of a double.
            Err(_) => number.replace('D', "E").parse().ok().map(Value::Real),
        },
    }
}

/// The first binary table of a file.
#[derive(Clone, Debug)]
pub struct TableReader<'a> {
    cards: Cards,
    rows: &'a [u8],
    row_bytes: usize,
    columns: Vec<(String, Form, usize)>,
}

/// TFORM: repeat count and type letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    repeat: usize,
    letter: char,
}

impl Form {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (repeat, letters) = text.split_at(digits);
        let repeat = if repeat.is_empty() {
            1
        } else {
            repeat.parse().ok()?
        };
        let letter = letters.chars().next()?;
        Some(Self { repeat, letter })
    }

    fn bytes(self) -> Option<usize> {
        let width = match self.letter {
            'L' | 'B' | 'A' => 1,
            'I' => 2,
            'J' | 'E' => 4,
            'K' | 'D' | 'C' | 'P' => 8,
            'M' | 'Q' => 16,
            'X' => return Some(self.repeat.div_ceil(8)),
            _ => return None,
        };
        self.repeat.checked_mul(width)
    }
}

impl<'a> TableReader<'a> {
    /// Finds the first binary table of `file`, which is not compressed: see [`decompressed`].
    ///
    /// # Errors
    /// [`FitsError`].
    pub fn new(file: &'a [u8]) -> Result<Self, FitsError> {
        if !file.starts_with(b"SIMPLE  =") {
            return Err(FitsError::NotFits);
        }
        let mut start = 0;
        while start < file.len() {
            let (cards, data) = Cards::read(file, start)?;
            if cards.text("XTENSION") == Some("BINTABLE") {
                return Self::at(file, cards, data);
            }
            start = data.saturating_add(cards.data_bytes()?);
        }
        Err(FitsError::NoTable)
    }

    fn at(file: &'a [u8], cards: Cards, data: usize) -> Result<Self, FitsError> {
        let (row_bytes, n_rows) = (cards.size("NAXIS1")?, cards.size("NAXIS2")?);
        let end = row_bytes
            .checked_mul(n_rows)
            .and_then(|bytes| bytes.checked_add(data));
        let rows = end.and_then(|end| file.get(data..end));
        let rows = rows.ok_or(FitsError::Truncated("table"))?;
        let mut columns = Vec::new();
        let mut offset = 0_usize;
        for k in 1..=cards.numbered("TFIELDS")? {
            let name = cards.text(&format!("TTYPE{k}")).unwrap_or_default();
            let key = format!("TFORM{k}");
            let text = cards.text(&key).ok_or(FitsError::Keyword(key))?;
            let wrong = || FitsError::Form {
                column: name.to_owned(),
                form: text.to_owned(),
            };
            let form = Form::parse(text).ok_or_else(wrong)?;
            let bytes = form.bytes().ok_or_else(wrong)?;
            columns.push((name.to_owned(), form, offset));
            offset = offset.checked_add(bytes).ok_or_else(wrong)?;
        }
        if offset > row_bytes {
            return Err(FitsError::Keyword("NAXIS1".to_owned()));
        }
        Ok(Self {
            cards,
            rows,
            row_bytes,
            columns,
        })
    }

    /// The table's header.
    pub fn cards(&self) -> &Cards {
        &self.cards
    }

    /// The table's header, without the table.
    pub fn into_cards(self) -> Cards {
        self.cards
    }

    /// Names of the columns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, ..)| name.as_str())
    }

    /// A column of numbers, by name without regard to case.
    ///
    /// # Errors
    /// [`FitsError::NoColumn`], [`FitsError::Form`].
    pub fn column(&self, name: &str) -> Result<ColumnReader<'a>, FitsError> {
        let found = (1..)
            .zip(&self.columns)
            .find(|(_, (known, ..))| known.eq_ignore_ascii_case(name));
        let missing = || FitsError::NoColumn(name.to_owned());
        let (k, &(_, form, offset)) = found.ok_or_else(missing)?;
        let scaled = ["TSCAL", "TZERO"]
            .iter()
            .any(|key| self.cards.get(&format!("{key}{k}")).is_some());
        if scaled || form.repeat == 0 || !"IJKED".contains(form.letter) {
            return Err(FitsError::Form {
                column: name.to_owned(),
                form: format!("{}{}", form.repeat, form.letter),
            });
        }
        Ok(ColumnReader {
            rows: self.rows,
            row_bytes: self.row_bytes.max(1),
            form,
            offset,
        })
    }
}

/// The numbers of one column, row after row; a row may hold several.
#[derive(Clone, Copy, Debug)]
pub struct ColumnReader<'a> {
    rows: &'a [u8],
    row_bytes: usize,
    form: Form,
    offset: usize,
}

impl ColumnReader<'_> {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.rows.len() / self.row_bytes * self.form.repeat
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number at `k` as a double; NaN behind the end.
    pub fn real(&self, k: usize) -> f64 {
        match self.form.letter {
            'E' => self
                .cell(k)
                .map_or(f64::NAN, |b| f32::from_be_bytes(b).into()),
            'D' => self.cell(k).map_or(f64::NAN, f64::from_be_bytes),
            _ => self.integer(k).map_or(f64::NAN, |whole| whole as f64),
        }
    }

    /// The whole number at `k`; `None` behind the end and for columns of other types.
    pub fn integer(&self, k: usize) -> Option<i64> {
        match self.form.letter {
            'I' => self.cell(k).map(|b| i16::from_be_bytes(b).into()),
            'J' => self.cell(k).map(|b| i32::from_be_bytes(b).into()),
            'K' => self.cell(k).map(i64::from_be_bytes),
            _ => None,
        }
    }

    fn cell<const N: usize>(&self, k: usize) -> Option<[u8; N]> {
        let (row, within) = (k / self.form.repeat, k % self.form.repeat);
        let start = row * self.row_bytes + self.offset + within * N;
        self.rows.get(start..start + N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests;
