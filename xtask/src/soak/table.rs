//! The table that a soak leaves in docs/measurements.md.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::lanes::Lane;
use crate::marks;

/// What is known of a lane.
const HEAD: [&str; 3] = ["row", "lane", "date"];

/// What a lane says; a name that it does not use is an empty cell.
const COLUMNS: [&str; 8] = [
    "what", "seed", "faults", "packets", "tasks", "lost", "doubled", "worst",
];

/// The cells of a row.
pub(super) type Row = Vec<String>;

/// Adds a row to the results.
pub(super) fn note(results: &Path, row: &Value) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(results)?;
    writeln!(file, "{row}").with_context(|| format!("writing {}", results.display()))
}

/// Adds a row that says that the lane failed.
pub(super) fn note_failure(results: &Path, seed: u64) -> Result<()> {
    note(results, &json!({ "seed": seed, "worst": "**failed**" }))
}

/// Reads the rows that a lane left.
pub(super) fn rows(results: &Path, lane: &Lane) -> Result<Vec<Row>> {
    let date = marks::today()?;
    let head = [lane.row, lane.name, &date].map(str::to_owned);
    let text = std::fs::read_to_string(results).unwrap_or_default();
    let read = |line: &str| {
        let mut said: Value = serde_json::from_str(line).context("reading a lane's result")?;
        if said["what"].is_null() {
            said["what"] = lane.about.into();
        }
        let cells = COLUMNS.iter().map(|&column| cell(&said[column]));
        Ok(head.iter().cloned().chain(cells).collect())
    };
    text.lines().map(read).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('|', "/"),
        other => other.to_string(),
    }
}

/// Writes rows between the two marks of docs/measurements.md; those of lanes that did not run
/// stay.
pub(super) fn write(rows: Vec<Row>) -> Result<()> {
    marks::change("soak", |known| page(&merged(known, rows)))
}

/// The rows of a page and newer ones, which take the place of those of the same lane.
fn merged(page: &str, newer: Vec<Row>) -> Vec<Row> {
    let is_newer = |row: &Row| newer.iter().any(|newer| newer[1] == row[1]);
    let mut rows: Vec<Row> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(str::to_owned).collect())
        .filter(|row: &Row| row.len() == HEAD.len() + COLUMNS.len() && row[0] != HEAD[0])
        .filter(|row| !is_newer(row))
        .collect();
    rows.extend(newer);
    rows.sort_by_key(|row| row[0].parse().unwrap_or(u32::MAX));
    rows
}

/// Rows as a page of Markdown.
pub(super) fn page(rows: &[Row]) -> String {
    let columns = [&HEAD[..], &COLUMNS[..]].concat();
    let mut page = format!(
        "{}\n\n| {} |\n|",
        marks::this_machine(),
        columns.join(" | ")
    );
    page.push_str(&"---|".repeat(columns.len()));
    page.push('\n');
    for row in rows {
        page.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: &str, lane: &str, worst: &str) -> Row {
        let mut cells = vec![number.to_owned(), lane.to_owned()];
        cells.resize(HEAD.len() + COLUMNS.len() - 1, String::new());
        cells.push(worst.to_owned());
        cells
    }

    #[test]
    fn a_lane_takes_the_place_of_its_earlier_rows_and_leaves_the_others() {
        let known = page(&[
            row("3", "kill", "1 s"),
            row("12", "hostile", "2 s"),
            row("12", "hostile", "3 s"),
        ]);
        let rows = merged(
            &known,
            vec![row("12", "hostile", "4 s"), row("4", "calls", "")],
        );
        let expected = [
            row("3", "kill", "1 s"),
            row("4", "calls", ""),
            row("12", "hostile", "4 s"),
        ];
        assert_eq!(rows, expected);
    }
}
