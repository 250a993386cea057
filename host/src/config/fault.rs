//! What is wrong with the text of a configuration, and where.
//!
//! The line is shown, for a person or a log. What may be a secret in it is not: values below
//! `secrets`, where somebody may have written one in place of a reference, and what stands before
//! the host of a URL.

use std::fmt;
use std::ops::Range;

/// The table whose values are not shown.
const SECRETS: &str = "secrets";

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
    /// Its values are not for everybody.
    is_of_secrets: bool,
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
        let is_of_secrets = is_of_secrets(name, before.get(..begin).unwrap_or_default(), shown);
        let hidden = match shown.split_once('=') {
            _ if !is_of_secrets || shown.starts_with('[') => without_user(shown),
            Some((key, _)) => format!("{key}= …"),
            None => "…".to_owned(),
        };
        let column = text.get(begin..start).unwrap_or_default().chars().count() + 1;
        let room = hidden.chars().count().saturating_sub(column - 1).max(1);
        Self {
            name: name.to_owned(),
            line: before.matches('\n').count() + 1,
            column,
            shown: hidden,
            width: marked.unwrap_or_default().chars().count().clamp(1, room),
            is_of_secrets,
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
        let hides = place.as_ref().is_some_and(|place| place.is_of_secrets);
        let shown = without_user(message.trim_end());
        Self {
            message: if hides { without_text(&shown) } else { shown },
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

/// Whether a line, with the text before it, is about secrets.
fn is_of_secrets(name: &str, before: &str, line: &str) -> bool {
    let names_them = |path: &str, gap: &str| {
        let mut parts = path.split(gap);
        parts.any(|part| {
            part.trim_matches(['[', ']', ' '])
                .eq_ignore_ascii_case(SECRETS)
        })
    };
    if let Some(variable) = name.strip_prefix('$') {
        return names_them(variable, "__");
    }
    let is_header = |line: &&str| line.starts_with('[') && line.ends_with(']');
    let header = before.lines().map(str::trim).rfind(is_header);
    let key = line.split('=').next().unwrap_or_default();
    names_them(header.unwrap_or_default(), ".") || names_them(key, ".")
}

/// `text` without what stands before an `@` in the place of a host: it may be a password.
fn without_user(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(['/', '"', '\'', '`', ' ']).unwrap_or(part.len());
        let (host, rest) = part.split_at(end);
        shown.push_str("://");
        match host.rsplit_once('@') {
            Some((_, host)) => shown.extend(["…@", host]),
            None => shown.push_str(host),
        }
        shown.push_str(rest);
    }
    shown
}

/// A message of serde without the text that it quotes.
fn without_text(message: &str) -> String {
    let quoted = message.split_once(" \"").and_then(|(before, rest)| {
        let (_, after) = rest.rsplit_once("\", expected ")?;
        Some(format!("{before}, expected {after}"))
    });
    quoted.unwrap_or_else(|| message.to_owned())
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
