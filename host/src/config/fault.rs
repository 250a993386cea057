//! What is wrong with the text of a configuration, and where.

use std::fmt;
use std::ops::Range;

/// A place in one of the texts of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the text: a file's, or a variable's after a `$`.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    shown: String,
    width: usize,
}

impl Place {
    /// Where a value is from, for people: file and line, or the variable.
    pub fn origin(&self) -> String {
        if self.name.starts_with('$') {
            self.name.clone()
        } else {
            format!("{}:{}", self.name, self.line)
        }
    }

    /// The place of `span` in `text`.
    pub(super) fn new(name: &str, text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let before = text.get(..start).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = text.get(begin..).unwrap_or_default();
        let shown = rest.lines().next().unwrap_or_default();
        let end = span.end.min(begin + shown.len());
        let marked = text.get(start..text.floor_char_boundary(end));
        Self {
            name: name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: text.get(begin..start).unwrap_or_default().chars().count() + 1,
            shown: shown.to_owned(),
            width: marked.unwrap_or_default().chars().count().max(1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.line, self.column)
    }
}

/// A message with the place, the line and a caret below what is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    message: String,
    place: Option<Place>,
    advice: Option<String>,
}

impl Fault {
    pub(super) fn new(message: &str, place: Option<Place>) -> Self {
        Self {
            message: message.trim_end().to_owned(),
            place,
            advice: advice(message),
        }
    }

    /// Where it is; none for what is nowhere in particular.
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let (edge, indent) = (number.len(), place.column - 1);
            // Tabs are as wide below the line as in it.
            let indent: String = place
                .shown
                .chars()
                .take(indent)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(f, "\n{:edge$}--> {place}\n{:edge$} |", "", "")?;
            write!(f, "\n{number} | {}", place.shown)?;
            write!(f, "\n{:edge$} | {indent}{}", "", "^".repeat(place.width))?;
        }
        match &self.advice {
            Some(advice) => write!(f, "\n{advice}"),
            None => Ok(()),
        }
    }
}

/// What to write instead, where serde's words do not say it.
fn advice(message: &str) -> Option<String> {
    if let Some(nearest) = nearest(message) {
        return Some(format!("is `{nearest}` meant?"));
    }
    let (_, expected) = message.rsplit_once("expected ")?;
    let text = match expected {
        "a duration" => "write it with its unit: \"90s\", \"2m\", \"1h 30m\"",
        "a nonzero u16" => "write a number from 1 to 65535, without quotes",
        "a nonzero u32" => "write a number of bytes from 1 on, without quotes",
        "a boolean" => "write true or false, without quotes",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Of the names that serde expected in the place of an unknown one, the most similar:
/// "unknown field `a`, expected one of `b`, `c`".
fn nearest(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let distance = |name: &str| match name.starts_with(unknown) {
        true => 0,
        false => strsim::damerau_levenshtein(name, unknown),
    };
    let near = names.map(|name| (distance(name), name.len(), name));
    let (distance, _, nearest) = near.min()?;
    (distance <= unknown.len().div_ceil(3)).then(|| nearest.to_owned())
}
