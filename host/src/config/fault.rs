//! What is wrong with the text of a configuration, and where.

use std::fmt;

/// A message with the line, the column and a caret below what is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    error: Box<toml::de::Error>,
    advice: Option<String>,
}

impl Fault {
    pub(super) fn new(mut error: toml::de::Error, text: &str) -> Self {
        error.set_input(Some(text));
        Self {
            advice: advice(error.message()),
            error: Box::new(error),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error.to_string().trim_end())?;
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
    let (distance, nearest) = names.map(|name| (distance(name), name)).min()?;
    (distance <= unknown.len().div_ceil(3)).then(|| nearest.to_owned())
}
