//! Columns of text on stdout, or one JSON object a line.

use std::io::{IsTerminal as _, Write};

use serde::Serialize;

use super::places;
use crate::packet::from_unix_nanos;
use crate::text::{drives, one_line};

/// Lines of a cell that stands under its row; the rest is what `show` is for.
const MOST_LINES: usize = 10;
/// How the end of a line is marked in a message, which is kept as one line.
const LINE: &str = "\\n";
/// What stands under a row, or goes on a line, is indented by so much.
const INDENT: &str = "    ";

/// A column, and what becomes of it where the rows are wider than the terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    head: &'static str,
    yields: Option<(u8, Way)>,
}

/// How a column makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Its cells stand under their rows.
    Below,
    /// It is left out.
    Out,
}

impl Column {
    /// A column that is always there: an id that the next command needs, a state.
    pub(super) const fn stays(head: &'static str) -> Self {
        Self { head, yields: None }
    }

    /// A column whose cells go under their rows; the lowest `turn` makes room first.
    pub(super) const fn below(head: &'static str, turn: u8) -> Self {
        Self {
            head,
            yields: Some((turn, Way::Below)),
        }
    }

    fn goes_below(&self) -> bool {
        matches!(self.yields, Some((_, Way::Below)))
    }

    /// A column that can be missed; the lowest `turn` makes room first.
    pub(super) const fn out(head: &'static str, turn: u8) -> Self {
        Self {
            head,
            yields: Some((turn, Way::Out)),
        }
    }
}

/// Writes `rows` under the heads of `columns`, each column as wide as its widest cell. On a
/// terminal that is too narrow columns make room; a line that is still too long ends at the edge.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(columns: &[Column], rows: &[Vec<String>]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write(&mut out, columns, rows, edge())
}

/// Writes rows under heads that nobody knew before, as wide as they are: a person asked for them.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print_any(heads: &[String], rows: &[Vec<String>]) -> std::io::Result<()> {
    let heads: Vec<String> = heads.iter().map(|head| clean(head)).collect();
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let widths = widths(&rows);
    let mut out = std::io::stdout().lock();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, &width)| format!("{cell:<width$}  "))
            .collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes a sentence, which a terminal's edge breaks between words.
///
/// # Errors
/// When stdout is closed.
pub(super) fn say(sentence: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (index, line) in wrapped(&clean(sentence), edge()).iter().enumerate() {
        let indent = if index == 0 { "" } else { INDENT };
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
}

/// Writes what is under a name, which a terminal's edge breaks between words.
///
/// # Errors
/// When `out` is closed.
pub(super) fn field(out: &mut impl Write, name: &str, text: &str) -> std::io::Result<()> {
    const MARGIN: usize = 10;
    let width = edge().saturating_sub(MARGIN);
    for (index, line) in lines(&clean(text), width).iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        writeln!(out, "{name:<MARGIN$}{line}")?;
    }
    Ok(())
}

/// Whether a table of `rows` is no wider than the terminal.
pub(super) fn fits(columns: &[Column], rows: &[Vec<String>]) -> bool {
    width(widths(&cleaned(columns, rows))) <= edge()
}

/// A cell may hold a stranger's text: what would drive the terminal is written as its code.
fn write(
    out: &mut impl Write,
    columns: &[Column],
    rows: &[Vec<String>],
    edge: usize,
) -> std::io::Result<()> {
    let rows = cleaned(columns, rows);
    let rows = if edge == usize::MAX {
        flat(columns, rows)
    } else {
        rows
    };
    let widths = widths(&rows);
    let ways = make_room(columns, &rows, &widths, edge);
    for row in &rows {
        let (mut line, mut under) = (String::new(), String::new());
        for ((cell, &width), way) in row.iter().zip(&widths).zip(&ways) {
            match way {
                None => line.push_str(&format!("{cell:<width$}  ")),
                Some(Way::Below) if !cell.is_empty() => under.push_str(&format!("{cell}  ")),
                Some(Way::Below | Way::Out) => {}
            }
        }
        writeln!(out, "{}", cut(line.trim_end(), edge))?;
        write_under(out, under.trim_end(), edge)?;
    }
    Ok(())
}

fn write_under(out: &mut impl Write, text: &str, edge: usize) -> std::io::Result<()> {
    // A message is kept as one line, in which its lines are marked; here they may stand.
    let lines = text.split(LINE).flat_map(|line| wrapped(line, edge));
    let lines: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
    for (index, line) in lines.iter().take(MOST_LINES).enumerate() {
        let more = index + 1 == MOST_LINES && lines.len() > MOST_LINES;
        writeln!(out, "{INDENT}{line}{}", if more { "…" } else { "" })?;
    }
    Ok(())
}

/// The heads, and the rows under them.
fn cleaned(columns: &[Column], rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let head = columns
        .iter()
        .map(|column| column.head.to_owned())
        .collect();
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect());
    std::iter::once(head).chain(rows).collect()
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths = vec![0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// How long a line of cells is that are so wide.
fn width(cells: impl IntoIterator<Item = usize>) -> usize {
    let width: usize = cells.into_iter().map(|width| width + 2).sum();
    width.saturating_sub(2)
}

/// The rows with each message in one line, for who reads them with `grep`.
fn flat(columns: &[Column], mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for row in &mut rows {
        for (cell, column) in row.iter_mut().zip(columns) {
            if column.goes_below() && cell.contains(LINE) {
                let words = cell.split(LINE).flat_map(str::split_whitespace);
                *cell = words.collect::<Vec<_>>().join(" ");
            }
        }
    }
    rows
}

/// How each column makes room; `None` for those that stay in their line.
fn make_room(
    columns: &[Column],
    rows: &[Vec<String>],
    widths: &[usize],
    edge: usize,
) -> Vec<Option<Way>> {
    // A message of several lines stands under its row, however wide the terminal.
    let has_lines = |index: usize| rows.iter().any(|row| row[index].contains(LINE));
    let stands_below = |index: usize, column: &Column| column.goes_below() && has_lines(index);
    let columns_in_turn = columns.iter().enumerate();
    let is_empty = |index: usize| rows.iter().skip(1).all(|row| row[index].is_empty());
    let mut ways: Vec<Option<Way>> = columns_in_turn
        .map(|(index, column)| {
            // Who would read its head looks for what is under it.
            let is_out = column.goes_below() && is_empty(index);
            let below = stands_below(index, column).then_some(Way::Below);
            if is_out { Some(Way::Out) } else { below }
        })
        .collect();
    let mut turns: Vec<(u8, Way, usize)> = columns
        .iter()
        .enumerate()
        .filter_map(|(index, column)| column.yields.map(|(turn, way)| (turn, way, index)))
        .collect();
    turns.sort_by_key(|(turn, ..)| *turn);
    for (_, way, index) in turns {
        let staying = widths.iter().zip(&ways).filter(|(_, way)| way.is_none());
        if width(staying.map(|(width, _)| *width)) <= edge {
            break;
        }
        ways[index].get_or_insert(way);
    }
    ways
}

/// `text` in lines that, with [`INDENT`], end at the edge. A word that is longer stays whole: an
/// IVORN is copied as it stands.
fn wrapped(text: &str, edge: usize) -> Vec<String> {
    lines(text, edge.saturating_sub(INDENT.len() + 1))
}

/// `text` in lines of at most so many characters, but for words that are longer.
pub(super) fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// `text` in one line, whole, without what drives a terminal.
pub(super) fn clean(text: &str) -> String {
    one_line(text, usize::MAX)
}

/// `line` with at most so many characters.
pub(super) fn cut(line: &str, edge: usize) -> String {
    match line.char_indices().nth(edge.saturating_sub(1)) {
        Some((last, _)) if line.chars().nth(edge).is_some() => format!("{}…", &line[..last]),
        _ => line.to_owned(),
    }
}

/// Characters in a line of the terminal; no limit where stdout is something else.
pub(super) fn edge() -> usize {
    let out = std::io::stdout();
    if let Some(columns) = places::columns() {
        return columns;
    }
    let size = out
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(&out));
    match size {
        Some(Ok(size)) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => usize::MAX,
    }
}

/// Writes `rows` as JSON, one object a line.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print_json<T: Serialize>(rows: &[T]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for row in rows {
        writeln!(out, "{}", json(row)?)?;
    }
    Ok(())
}

/// `row` as JSON in one line; characters that drive a terminal are escaped, which changes
/// nothing of what a program reads.
///
/// # Errors
/// When `row` has no JSON form.
pub(super) fn json<T: Serialize>(row: &T) -> serde_json::Result<String> {
    let text = serde_json::to_string(row)?;
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        // Those below U+0020 are escaped already; the others stand in strings only.
        if drives(character) {
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    Ok(line)
}

/// A moment as people and machines read it: UTC, RFC 3339, milliseconds.
pub(super) fn moment(nanos: i64) -> String {
    format!("{:.3}", from_unix_nanos(nanos))
}

/// The same to the second, for narrow tables.
pub(super) fn second(nanos: i64) -> String {
    format!("{:.0}", from_unix_nanos(nanos))
}

/// A UTC day, from days since 1970-01-01.
pub(super) fn day(days: i64) -> String {
    moment(days.saturating_mul(86_400_000_000_000))
        .chars()
        .take(10)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Column, cut, json, second, write};

    #[test]
    fn a_line_ends_at_the_edge() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcde", 4), "abc…");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("abc", usize::MAX), "abc");
    }

    const TASKS: [Column; 4] = [
        Column::stays("ID"),
        Column::stays("STATE"),
        Column::out("TRIES", 2),
        Column::below("ERROR", 1),
    ];

    #[track_caller]
    fn check_tasks(edge: usize, lines: &[&str]) {
        let failed = ["a0a2c5b4", "FAILURE", "1", "may not keep values"];
        let done = ["00350b36", "SUCCESS", "1", ""];
        let rows = [failed, done].map(|row| row.map(str::to_owned).to_vec());
        let mut out = Vec::new();
        write(&mut out, &TASKS, &rows, edge).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn columns_make_room_in_their_turn_and_no_cell_that_matters_is_lost() {
        check_tasks(
            45,
            &[
                "ID        STATE    TRIES  ERROR",
                "a0a2c5b4  FAILURE  1      may not keep values",
                "00350b36  SUCCESS  1",
            ],
        );
        check_tasks(
            44,
            &[
                "ID        STATE    TRIES",
                "    ERROR",
                "a0a2c5b4  FAILURE  1",
                "    may not keep values",
                "00350b36  SUCCESS  1",
            ],
        );
        check_tasks(
            20,
            &[
                "ID        STATE",
                "    ERROR",
                "a0a2c5b4  FAILURE",
                "    may not keep",
                "    values",
                "00350b36  SUCCESS",
            ],
        );
    }

    #[test]
    fn the_lines_of_a_message_stand_under_its_row_and_in_one_line_for_a_program() {
        let row = [
            "a0a2",
            "FAILURE",
            "1",
            "add\\n\\n    [grants.p]\\n    kv = true",
        ];
        let rows = [row.map(str::to_owned).to_vec()];
        let told = |edge| {
            let mut out = Vec::new();
            write(&mut out, &TASKS, &rows, edge).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(
            told(200).ends_with("1\n    add\n        [grants.p]\n        kv = true\n"),
            "{}",
            told(200)
        );
        assert!(told(usize::MAX).ends_with("1      add [grants.p] kv = true\n"));
    }

    #[test]
    fn a_cell_neither_drives_a_terminal_nor_forges_a_row() {
        let mut out = Vec::new();
        let ivorn = "ivo://a#\u{9b}2J\n9 forged\r";
        let rows = [vec!["1".to_owned(), ivorn.to_owned()]];
        write(
            &mut out,
            &["NUMBER", "ID"].map(Column::stays),
            &rows,
            usize::MAX,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "NUMBER  ID\n1       ivo://a#\\u{9b}2J\\n9 forged\n");
    }

    #[test]
    fn json_drives_no_terminal_and_reads_back_as_it_was() {
        let ivorn = "ivo://a#\u{9b}2J\n\u{7f}\u{202e}é";
        let line = json(&ivorn).unwrap();
        assert!(!line.contains(super::drives), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), ivorn);
    }

    #[test]
    fn a_second_has_no_fraction() {
        assert_eq!(second(1_999_999_999), "1970-01-01T00:00:01Z");
    }
}
