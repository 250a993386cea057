//! Tables, and the tokenizer of their streams.

use super::{LigolwError, Limits, Measure};
use crate::work::reserve_within;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// `int_2s` to `int_8u`.
    Integer,
    /// `real_4`, `real_8`.
    Real,
    /// `lstring`, `char_s`, `char_v`, `ilwd:char`, `ilwd:char_u`, and `blob` in its text form.
    Text,
}

impl ColumnKind {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        match name {
            "int_2s" | "int_2u" | "int_4s" | "int_4u" | "int_8s" | "int_8u" => Some(Self::Integer),
            "real_4" | "real_8" => Some(Self::Real),
            "lstring" | "char_s" | "char_v" | "ilwd:char" | "ilwd:char_u" | "blob" => {
                Some(Self::Text)
            }
            _ => None,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "number",
            Self::Text => "string",
        }
    }
}

/// A column: its name without prefix, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: ColumnKind,
}

/// One value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing between two delimiters.
    Null,
    /// An integer; unsigned 64-bit ones beyond `i64` are refused.
    Integer(i64),
    /// A number, read from the decimal text without rounding to the column's width.
    Real(f64),
    /// A string without its quotes.
    Text(String),
}

/// A table with its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Name without suffix.
    pub name: String,
    /// Columns, in file order.
    pub columns: Vec<Column>,
    /// Row-major, `columns.len()` cells a row.
    pub(super) cells: Vec<Cell>,
}

/// One row of a table; knows its number for messages.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    table: &'a Table,
    row: usize,
}

impl Table {
    /// The rows, in file order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> + Clone {
        (0..self.cells.len() / self.columns.len().max(1)).map(|row| RowRef { table: self, row })
    }
}

impl<'a> RowRef<'a> {
    /// The row's number, counted from 1.
    pub fn number(&self) -> usize {
        self.row + 1
    }

    /// The cell of a column, if the table has that column.
    pub fn get(&self, column: &str) -> Option<&'a Cell> {
        let k = self
            .table
            .columns
            .iter()
            .position(|known| known.name == column)?;
        self.table
            .cells
            .get(self.row * self.table.columns.len() + k)
    }

    fn cell(&self, column: &'static str) -> Result<&'a Cell, LigolwError> {
        self.get(column).ok_or_else(|| LigolwError::NoColumn {
            table: self.table.name.clone(),
            column,
        })
    }

    fn wrong(&self, column: &'static str, cell: &Cell, kind: &'static str) -> LigolwError {
        let text = match cell {
            Cell::Null => return self.null(column),
            Cell::Integer(value) => value.to_string(),
            Cell::Real(value) => value.to_string(),
            Cell::Text(value) => excerpt(value),
        };
        let (table, row) = (self.table.name.clone(), self.number());
        LigolwError::Cell {
            table,
            row,
            column: column.to_owned(),
            text,
            kind,
        }
    }

    fn null(&self, column: &'static str) -> LigolwError {
        LigolwError::Null {
            table: self.table.name.clone(),
            row: self.number(),
            column,
        }
    }

    /// A number, or `None` for an empty cell.
    ///
    /// # Errors
    /// No such column, or text in it.
    pub fn real(&self, column: &'static str) -> Result<Option<f64>, LigolwError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Real(value) => Ok(Some(*value)),
            Cell::Integer(value) => Ok(Some(*value as f64)),
            cell @ Cell::Text(_) => Err(self.wrong(column, cell, "number")),
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// No such column, or nothing or something else in it.
    pub fn integer(&self, column: &'static str) -> Result<i64, LigolwError> {
        match self.cell(column)? {
            Cell::Integer(value) => Ok(*value),
            cell => Err(self.wrong(column, cell, "integer")),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// No such column, or nothing or something else in it.
    pub fn text(&self, column: &'static str) -> Result<&'a str, LigolwError> {
        match self.cell(column)? {
            Cell::Text(value) => Ok(value),
            cell => Err(self.wrong(column, cell, "string")),
        }
    }

    /// A row id: an integer, or the number at the end of `table:column:number`.
    ///
    /// # Errors
    /// No such column, or nothing or something else in it.
    pub fn id(&self, column: &'static str) -> Result<i64, LigolwError> {
        match self.cell(column)? {
            Cell::Integer(value) => Ok(*value),
            cell @ Cell::Text(text) => {
                parse_id(text).ok_or_else(|| self.wrong(column, cell, "row id"))
            }
            cell => Err(self.wrong(column, cell, "row id")),
        }
    }
}

/// Reads `5` or `sngl_inspiral:event_id:5`.
pub(crate) fn parse_id(text: &str) -> Option<i64> {
    super::without_prefix(text.trim()).parse().ok()
}

fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Cuts a table's stream into cells, fed piece by piece.
#[derive(Debug)]
pub(super) struct TableStream {
    table: Table,
    delimiter: char,
    state: State,
    buffer: String,
    room: Room,
}

/// How much a table may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Rows that its document may still have.
    pub(super) rows: usize,
    /// Cells that its document may still have.
    pub(super) cells: usize,
    /// The document's limits, for the message.
    pub(super) limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a token.
    Begin,
    /// In a token without quotes.
    Bare,
    /// In a string.
    Quoted,
    /// Behind a backslash in a string.
    Escaped,
    /// Behind a string.
    Closed,
}

impl TableStream {
    pub(super) fn new(table: Table, delimiter: char, room: Room) -> Self {
        let (state, buffer) = (State::Begin, String::new());
        Self {
            table,
            delimiter,
            state,
            buffer,
            room,
        }
    }

    pub(super) fn feed(&mut self, text: &str) -> Result<(), LigolwError> {
        text.chars().try_for_each(|c| self.push(c))
    }

    pub(super) fn push(&mut self, c: char) -> Result<(), LigolwError> {
        match self.state {
            State::Quoted if c == '\\' => self.state = State::Escaped,
            State::Quoted if c == '"' => self.state = State::Closed,
            State::Quoted => self.buffer.push(c),
            State::Escaped => {
                self.buffer.push(c);
                self.state = State::Quoted;
            }
            State::Begin | State::Bare | State::Closed if c == self.delimiter => self.end_cell()?,
            State::Begin if c.is_whitespace() => {}
            State::Begin if c == '"' => self.state = State::Quoted,
            State::Begin | State::Bare => {
                self.buffer.push(c);
                self.state = State::Bare;
            }
            State::Closed if c.is_whitespace() => {}
            State::Closed => {
                let (table, row) = (self.table.name.clone(), self.row());
                return Err(LigolwError::AfterString { table, row });
            }
        }
        Ok(())
    }

    /// Ends the stream. A last delimiter is optional, so an empty token at the end is a cell only
    /// if the row wants one.
    pub(super) fn finish(mut self) -> Result<Table, LigolwError> {
        let columns = self.table.columns.len().max(1);
        if matches!(self.state, State::Quoted | State::Escaped) {
            let (table, row) = (self.table.name.clone(), self.row());
            return Err(LigolwError::OpenString { table, row });
        }
        if self.state != State::Begin || !self.table.cells.len().is_multiple_of(columns) {
            self.end_cell()?;
        }
        let cells = self.table.cells.len() % columns;
        if cells != 0 {
            let (table, row) = (self.table.name.clone(), self.row());
            return Err(LigolwError::Ragged {
                table,
                row,
                cells,
                columns,
            });
        }
        Ok(self.table)
    }

    fn row(&self) -> usize {
        self.table.cells.len() / self.table.columns.len().max(1) + 1
    }

    /// How many cells there may be, or what there would be too much of.
    fn room(&self) -> Result<usize, LigolwError> {
        let Room {
            rows,
            cells,
            limits,
        } = self.room;
        let in_rows = rows.saturating_mul(self.table.columns.len());
        let most = in_rows.min(cells);
        if self.table.cells.len() < most {
            return Ok(most);
        }
        let (what, limit) = if most == in_rows {
            (Measure::Rows, limits.rows)
        } else {
            (Measure::Cells, limits.cells)
        };
        Err(LigolwError::Full {
            element: "table",
            name: self.table.name.clone(),
            what,
            limit,
        })
    }

    fn end_cell(&mut self) -> Result<(), LigolwError> {
        let most = self.room()?;
        let column = &self.table.columns[self.table.cells.len() % self.table.columns.len()];
        let quoted = self.state == State::Closed;
        let text = if quoted {
            self.buffer.as_str()
        } else {
            self.buffer.trim_end()
        };
        let cell = match column.kind {
            _ if text.is_empty() && !quoted => Some(Cell::Null),
            ColumnKind::Integer => text.parse().ok().map(Cell::Integer),
            ColumnKind::Real => text.parse().ok().map(Cell::Real),
            ColumnKind::Text => Some(Cell::Text(text.to_owned())),
        };
        let Some(cell) = cell else {
            return Err(LigolwError::Cell {
                table: self.table.name.clone(),
                row: self.row(),
                column: column.name.clone(),
                text: excerpt(text),
                kind: column.kind.noun(),
            });
        };
        reserve_within(&mut self.table.cells, 1, most)?;
        self.table.cells.push(cell);
        self.buffer.clear();
        self.state = State::Begin;
        Ok(())
    }
}
