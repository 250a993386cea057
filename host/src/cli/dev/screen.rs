//! What a person sees of a round, and how it differs from the one before.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::table;
use crate::cli::test::Row;
use crate::dryrun::{Edit, edits};

/// Width of the line between rounds, where the terminal has it.
const RULE: usize = 72;

/// What is shown, round by round.
#[derive(Debug)]
pub(super) struct Screen {
    is_terminal: bool,
    shows_progress: bool,
    has_progress: bool,
    round: u64,
    /// What was said of each run in the last round, by handler and packet.
    last: BTreeMap<String, Vec<String>>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
            shows_progress: std::io::stderr().is_terminal(),
            has_progress: false,
            round: 0,
            last: BTreeMap::new(),
        }
    }

    /// Whether messages may have colours.
    pub(super) const fn has_colours(&self) -> bool {
        self.is_terminal
    }

    /// Begins a round, because of these files.
    pub(super) fn begin(&mut self, dir: &Path, changed: &[PathBuf]) -> std::io::Result<()> {
        self.clear()?;
        self.round += 1;
        let name = |path: &PathBuf| path.strip_prefix(dir).unwrap_or(path).display().to_string();
        let mut names: Vec<String> = changed.iter().take(3).map(name).collect();
        if changed.len() > names.len() {
            names.push(format!("{} more", changed.len() - names.len()));
        }
        let why = if names.is_empty() {
            "start".to_owned()
        } else {
            names.join(", ")
        };
        let text = format!("round {}: {}", self.round, table::clean(&why));
        if !self.is_terminal {
            return line(&text);
        }
        let width = table::edge().min(RULE);
        let rest = width.saturating_sub(text.chars().count() + 4);
        line(&format!("\n── {text} {}", "─".repeat(rest)))
    }

    /// Shows how far it is, on a terminal, until the next line.
    pub(super) fn progress(&mut self, text: &str) -> std::io::Result<()> {
        if !self.shows_progress {
            return Ok(());
        }
        self.has_progress = true;
        let text = table::cut(&table::clean(text), table::edge().saturating_sub(2));
        let mut err = std::io::stderr().lock();
        write!(err, "\r\x1b[K{text}")?;
        err.flush()
    }

    /// Takes the line of progress away.
    pub(super) fn clear(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.has_progress) {
            let mut err = std::io::stderr().lock();
            write!(err, "\r\x1b[K")?;
            err.flush()?;
        }
        Ok(())
    }

    /// Says something in a line.
    pub(super) fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.clear()?;
        line(text)
    }

    /// Shows what the compiler said, as it renders it.
    pub(super) fn compiler(&mut self, messages: &[String]) -> std::io::Result<()> {
        self.clear()?;
        for message in messages {
            line(message)?;
        }
        Ok(())
    }

    /// Shows the runs of a round; what is not as it was in the last is marked.
    pub(super) fn runs(&mut self, rows: &[Row]) -> std::io::Result<()> {
        self.clear()?;
        for row in rows {
            let name = row.name();
            let lines = row.lines().into_iter().map(|line| format!("  {line}"));
            let now: Vec<String> = std::iter::once(row.heading()).chain(lines).collect();
            match self.last.insert(name, now.clone()) {
                Some(then) if then != now => {
                    for edit in edits(&then, &now, |a, b| a == b) {
                        match edit {
                            Edit::Both(text) => line(&format!("  {text}"))?,
                            Edit::Was(text) => line(&format!("- {text}"))?,
                            Edit::Is(text) => line(&format!("+ {text}"))?,
                        }
                    }
                }
                then => {
                    for text in &now {
                        line(&format!("  {text}"))?;
                    }
                    if then.is_some() {
                        line("  as in the last round")?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn line(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A time as a person takes it in: `1.2 s`, `80 ms`, `0.4 ms`.
pub(super) fn took(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms >= 1_000.0 {
        format!("{:.1} s", ms / 1e3)
    } else if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::took;

    #[test]
    fn a_time_has_two_digits_that_say_something() {
        for (micros, text) in [(1_234_000, "1.2 s"), (80_400, "80 ms"), (412, "0.4 ms")] {
            assert_eq!(took(Duration::from_micros(micros)), text);
        }
    }
}
