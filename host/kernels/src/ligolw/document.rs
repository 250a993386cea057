//! The element structure of a document.

use super::array::{ArrayStream, Dim, Encoding};
use super::table::{Column, ColumnKind, Room, Table, TableStream};
use super::{LigolwError, Limits, Measure, Series, without_prefix, without_suffix};
use crate::gps::GpsTime;
use crate::work::{Work, reserve_within};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::io::Read;

/// The tables and series of one document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Tables, in file order.
    pub tables: Vec<Table>,
    /// Elements with an array, in file order.
    pub series: Vec<Series>,
}

impl Document {
    /// Reads a document, gzipped or not.
    ///
    /// # Errors
    /// [`LigolwError`] names table, column and row, or the byte, of what is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, LigolwError> {
        Self::parse_watched(bytes, limits, &Work::default())
    }

    /// As [`Self::parse`], until the token of `work` is cancelled. How much memory it may take,
    /// `limits` say alone: see [`Limits::within`].
    ///
    /// # Errors
    /// [`LigolwError`].
    pub fn parse_watched(
        bytes: &[u8],
        limits: &Limits,
        work: &Work<'_>,
    ) -> Result<Self, LigolwError> {
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Self::parse_xml(&gunzip(bytes, limits.bytes, work)?, limits, work);
        }
        Self::parse_xml(bytes, limits, work)
    }

    /// The first table of a name.
    pub fn table(&self, name: &'static str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The first table of a name.
    ///
    /// # Errors
    /// [`LigolwError::NoTable`].
    pub fn require(&self, name: &'static str) -> Result<&Table, LigolwError> {
        self.table(name).ok_or(LigolwError::NoTable(name))
    }

    fn parse_xml(bytes: &[u8], limits: &Limits, work: &Work<'_>) -> Result<Self, LigolwError> {
        if bytes.len() > limits.bytes {
            return Err(LigolwError::TooLarge {
                what: Measure::Bytes,
                limit: limits.bytes,
            });
        }
        let mut reader = Reader::from_str(std::str::from_utf8(bytes)?);
        let mut builder = Builder::new(*limits, work);
        loop {
            work.check_cancel()?;
            let event = reader.read_event();
            builder.offset = reader.buffer_position();
            match event {
                Ok(Event::Eof) => return builder.finish(),
                Ok(event) => builder.take(&event)?,
                Err(source) => {
                    let offset = reader.error_position();
                    return Err(LigolwError::Xml {
                        offset,
                        source: Box::new(source),
                    });
                }
            }
        }
    }
}

/// Bytes that are read between two looks at the token: far less than a millisecond's work.
const PIECE: usize = 1 << 15;

fn gunzip(bytes: &[u8], limit: usize, work: &Work<'_>) -> Result<Vec<u8>, LigolwError> {
    let mut plain = Vec::new();
    let mut piece = vec![0; PIECE];
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes);
    loop {
        work.check_cancel()?;
        let read = match decoder.read(&mut piece).map_err(LigolwError::Gzip)? {
            0 => return Ok(plain),
            n => &piece[..n],
        };
        if read.len() > limit - plain.len() {
            return Err(LigolwError::TooLarge {
                what: Measure::Bytes,
                limit,
            });
        }
        reserve_within(&mut plain, read.len(), limit)?;
        plain.extend_from_slice(read);
    }
}

/// An element that is open and of interest.
#[derive(Debug)]
enum Open {
    /// `LIGO_LW`; becomes a series if an array turns up in it.
    Group {
        series: Series,
        has_array: bool,
    },
    Table(Table),
    TableStream(TableStream),
    Array {
        name: String,
        kind: String,
        dims: Vec<Dim>,
    },
    ArrayStream(ArrayStream),
    Dim(Dim, String),
    Param(String, String),
    Time(String),
    /// Anything else.
    Other,
}

#[derive(Debug)]
struct Builder<'a> {
    limits: Limits,
    work: &'a Work<'a>,
    open: Vec<Open>,
    document: Document,
    rows: usize,
    cells: usize,
    numbers: usize,
    elements: usize,
    offset: u64,
}

impl<'a> Builder<'a> {
    fn new(limits: Limits, work: &'a Work<'a>) -> Self {
        Self {
            limits,
            work,
            open: Vec::new(),
            document: Document::default(),
            rows: 0,
            cells: 0,
            numbers: 0,
            elements: 0,
            offset: 0,
        }
    }

    fn finish(self) -> Result<Document, LigolwError> {
        if self.open.is_empty() {
            return Ok(self.document);
        }
        let problem = "the document ends within elements";
        Err(LigolwError::Element {
            element: "LIGO_LW".into(),
            offset: self.offset,
            problem,
        })
    }

    fn take(&mut self, event: &Event<'_>) -> Result<(), LigolwError> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::Empty(tag) => {
                self.start(tag)?;
                self.end()
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(text),
            Event::CData(text) => self.text(text),
            Event::GeneralRef(reference) => {
                let known = match reference.as_ref() {
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "amp" => Some('&'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => reference.resolve_char_ref().ok().flatten(),
                };
                let problem = "unknown entity";
                let c = known.ok_or_else(|| self.wrong(reference, problem))?;
                self.text(c.encode_utf8(&mut [0; 4]))
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Eof => {
                Ok(())
            }
        }
    }

    fn wrong(&self, element: &str, problem: &'static str) -> LigolwError {
        let element = element.chars().take(60).collect();
        LigolwError::Element {
            element,
            offset: self.offset,
            problem,
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), LigolwError> {
        self.elements += 1;
        for (count, what, limit) in [
            (self.open.len() + 1, Measure::Depth, self.limits.depth),
            (self.elements, Measure::Elements, self.limits.elements),
        ] {
            if count > limit {
                return Err(LigolwError::TooLarge { what, limit });
            }
        }
        let name = tag.name().into_inner();
        let opened = match (name, self.open.last_mut()) {
            ("LIGO_LW", _) => {
                let name = self.attribute(tag, "Name")?.unwrap_or_default();
                Open::Group {
                    series: Series {
                        name,
                        ..Series::default()
                    },
                    has_array: false,
                }
            }
            ("Table", _) => {
                let name = self.required(tag, "Name")?;
                let name = without_suffix(&name, ":table").to_owned();
                Open::Table(Table {
                    name,
                    ..Table::default()
                })
            }
            ("Column", Some(Open::Table(_))) => {
                let column = self.column(tag)?;
                self.add_column(column)?;
                Open::Other
            }
            ("Stream", Some(Open::Table(table))) => {
                let table = std::mem::take(table);
                self.table_stream(tag, table)?
            }
            ("Array", Some(Open::Group { .. })) => {
                let name = self.required(tag, "Name")?;
                let name = without_suffix(&name, ":array").to_owned();
                let kind = self.attribute(tag, "Type")?.unwrap_or_default();
                Open::Array {
                    name,
                    kind,
                    dims: Vec::new(),
                }
            }
            ("Dim", Some(Open::Array { .. })) => Open::Dim(self.dim(tag)?, String::new()),
            ("Stream", Some(Open::Array { .. })) => self.array_stream(tag)?,
            ("Param", Some(Open::Group { .. })) => {
                let name = self.required(tag, "Name")?;
                Open::Param(without_suffix(&name, ":param").to_owned(), String::new())
            }
            ("Time", Some(Open::Group { .. })) => Open::Time(String::new()),
            _ => Open::Other,
        };
        self.open.push(opened);
        Ok(())
    }

    fn end(&mut self) -> Result<(), LigolwError> {
        match self.open.pop() {
            Some(Open::Group {
                series,
                has_array: true,
            }) => self.document.series.push(series),
            // A table whose stream was read has left an empty one in its place.
            Some(Open::Table(table)) if !table.name.is_empty() => self.document.tables.push(table),
            Some(Open::TableStream(stream)) => {
                let table = stream.finish()?;
                self.rows += table.rows().len();
                self.cells += table.cells.len();
                self.document.tables.push(table);
            }
            Some(Open::Dim(mut dim, text)) => {
                let len = text.trim().parse().ok();
                dim.len = len.ok_or_else(|| self.wrong("Dim", "its text is no length"))?;
                if let Some(Open::Array { dims, .. }) = self.open.last_mut() {
                    dims.push(dim);
                }
            }
            Some(Open::ArrayStream(stream)) => self.close_array(stream)?,
            Some(Open::Param(name, text)) => {
                if let Some(Open::Group { series, .. }) = self.open.last_mut() {
                    series.params.push((name, text.trim().to_owned()));
                }
            }
            Some(Open::Time(text)) => {
                let time = GpsTime::parse(&text);
                if let Some(Open::Group { series, .. }) = self.open.last_mut() {
                    series.epoch = series.epoch.or(time);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), LigolwError> {
        let mut rest = text;
        while !rest.is_empty() {
            self.work.check_cancel()?;
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE));
            self.piece(piece)?;
            rest = behind;
        }
        Ok(())
    }

    fn piece(&mut self, text: &str) -> Result<(), LigolwError> {
        match self.open.last_mut() {
            Some(Open::TableStream(stream)) => stream.feed(text)?,
            Some(Open::ArrayStream(stream)) => stream.feed(text)?,
            Some(Open::Dim(_, buffer) | Open::Param(_, buffer) | Open::Time(buffer)) => {
                buffer.push_str(text);
            }
            _ => {}
        }
        Ok(())
    }

    fn close_array(&mut self, stream: ArrayStream) -> Result<(), LigolwError> {
        let array = stream.finish()?;
        // The stream is inside its Array, which is inside its group.
        let group = self
            .open
            .len()
            .checked_sub(2)
            .and_then(|k| self.open.get_mut(k));
        if let Some(Open::Group { series, has_array }) = group {
            if *has_array {
                return Err(self.wrong("Array", "a second array in one element"));
            }
            (series.array, *has_array) = (array, true);
        }
        Ok(())
    }

    fn column(&self, tag: &BytesStart<'_>) -> Result<Column, LigolwError> {
        let name = without_prefix(&self.required(tag, "Name")?).to_owned();
        let kind = self.attribute(tag, "Type")?.unwrap_or_default();
        let kind =
            ColumnKind::by_name(&kind).ok_or_else(|| self.wrong("Column", "unknown Type"))?;
        Ok(Column { name, kind })
    }

    fn add_column(&mut self, column: Column) -> Result<(), LigolwError> {
        if let Some(Open::Table(table)) = self.open.last_mut() {
            if table.columns.len() >= self.limits.columns {
                let limit = self.limits.columns;
                return Err(LigolwError::TooLarge {
                    what: Measure::Columns,
                    limit,
                });
            }
            table.columns.push(column);
        }
        Ok(())
    }

    fn table_stream(&self, tag: &BytesStart<'_>, table: Table) -> Result<Open, LigolwError> {
        if table.columns.is_empty() {
            return Err(self.wrong("Stream", "a table without columns"));
        }
        let delimiter = self.delimiter(tag, ',')?;
        let room = Room {
            rows: self.limits.rows.saturating_sub(self.rows),
            cells: self.limits.cells.saturating_sub(self.cells),
            limits: self.limits,
        };
        Ok(Open::TableStream(TableStream::new(table, delimiter, room)))
    }

    fn array_stream(&mut self, tag: &BytesStart<'_>) -> Result<Open, LigolwError> {
        let encoding = self.attribute(tag, "Encoding")?.unwrap_or_default();
        let delimiter = self.delimiter(tag, ' ')?;
        let Some(Open::Array { name, kind, dims }) = self.open.last_mut() else {
            return Ok(Open::Other);
        };
        let (name, dims) = (name.clone(), std::mem::take(dims));
        let Some(encoding) = Encoding::new(&encoding, kind) else {
            return Err(self.wrong("Stream", "unknown Encoding or array Type"));
        };
        let count = dims
            .iter()
            .map(|dim| dim.len)
            .fold(1, usize::saturating_mul);
        self.numbers = self.numbers.saturating_add(count);
        let limit = self.limits.numbers;
        if self.numbers > limit {
            return Err(LigolwError::Full {
                element: "array",
                name,
                what: Measure::Numbers,
                limit,
            });
        }
        Ok(Open::ArrayStream(ArrayStream::new(
            &name, dims, encoding, delimiter,
        )?))
    }

    fn delimiter(&self, tag: &BytesStart<'_>, default: char) -> Result<char, LigolwError> {
        let Some(text) = self.attribute(tag, "Delimiter")? else {
            return Ok(default);
        };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (None, _) => Ok(default),
            (Some(c), None) if c != '"' && c != '\\' => Ok(c),
            _ => Err(self.wrong("Stream", "its Delimiter is not one character")),
        }
    }

    fn dim(&self, tag: &BytesStart<'_>) -> Result<Dim, LigolwError> {
        let scale = match self.attribute(tag, "Scale")? {
            None => None,
            Some(text) => {
                let scale = text.trim().parse().ok();
                Some(scale.ok_or_else(|| self.wrong("Dim", "its Scale is no number"))?)
            }
        };
        let name = self.attribute(tag, "Name")?.unwrap_or_default();
        Ok(Dim {
            name,
            len: 0,
            scale,
        })
    }

    fn required(&self, tag: &BytesStart<'_>, name: &str) -> Result<String, LigolwError> {
        let value = self.attribute(tag, name)?;
        value.ok_or_else(|| self.wrong(tag.name().into_inner(), "no Name attribute"))
    }

    fn attribute(&self, tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, LigolwError> {
        let malformed = || self.wrong(tag.name().into_inner(), "malformed attributes");
        let Ok(attribute) = tag.try_get_attribute(name) else {
            return Err(malformed());
        };
        let Some(attribute) = attribute else {
            return Ok(None);
        };
        match attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0) {
            Ok(value) => Ok(Some(value.into_owned())),
            Err(_) => Err(malformed()),
        }
    }
}
