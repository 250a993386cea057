//! Columns of text on stdout, or one JSON object a line.

use std::io::{IsTerminal as _, Write};

use serde::Serialize;

use super::places;
use crate::text::{drives, one_line};

/// Writes `rows` under `head`, each column as wide as its widest cell. On a terminal a line ends
/// at its edge.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(head: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write(&mut out, head, rows, edge())
}

/// A cell may hold a stranger's text: what would drive the terminal is written as its code.
fn write(
    out: &mut impl Write,
    head: &[&str],
    rows: &[Vec<String>],
    edge: usize,
) -> std::io::Result<()> {
    let head = head.iter().map(|cell| clean(cell)).collect();
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let mut widths = vec![0; rows.first().map_or(0, Vec::len)];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", cut(cells.join("  ").trim_end(), edge))?;
    }
    Ok(())
}

/// `text` in one line, whole, without what drives a terminal.
pub(super) fn clean(text: &str) -> String {
    one_line(text, usize::MAX)
}

/// `line` with at most so many characters.
fn cut(line: &str, edge: usize) -> String {
    match line.char_indices().nth(edge.saturating_sub(1)) {
        Some((last, _)) if line.chars().nth(edge).is_some() => format!("{}…", &line[..last]),
        _ => line.to_owned(),
    }
}

/// Characters in a line of the terminal; no limit where stdout is something else.
fn edge() -> usize {
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
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .map(|moment| format!("{moment:.3}"))
        .unwrap_or_default()
}

/// The same to the second, for narrow tables.
pub(super) fn second(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .map(|moment| format!("{moment:.0}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{cut, json, second, write};

    #[test]
    fn a_line_ends_at_the_edge() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcde", 4), "abc…");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("abc", usize::MAX), "abc");
    }

    #[test]
    fn a_cell_neither_drives_a_terminal_nor_forges_a_row() {
        let mut out = Vec::new();
        let ivorn = "ivo://a#\u{9b}2J\n9 forged\r";
        let rows = [vec!["1".to_owned(), ivorn.to_owned()]];
        write(&mut out, &["NUMBER", "ID"], &rows, usize::MAX).unwrap();
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
