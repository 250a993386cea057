//! Columns of text on stdout, or one JSON object a line.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use super::places;

/// Writes `rows` under `head`, each column as wide as its widest cell. On a terminal a line ends
/// at its edge.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(head: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let edge = edge();
    let mut out = std::io::stdout().lock();
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", cut(cells.join("  ").trim_end(), edge))?;
    }
    Ok(())
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
        serde_json::to_writer(&mut out, row)?;
        writeln!(out)?;
    }
    Ok(())
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
    use super::{cut, second};

    #[test]
    fn a_line_ends_at_the_edge() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcde", 4), "abc…");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("abc", usize::MAX), "abc");
    }

    #[test]
    fn a_second_has_no_fraction() {
        assert_eq!(second(1_999_999_999), "1970-01-01T00:00:01Z");
    }
}
