//! JSON with messages that name the field and the byte.
//!
//! serde's error has a line, a column and no path. The path is found by walking the text up to
//! that place once more, only when there is an error: reading costs nothing extra, and no second
//! deserializer is compiled into the plugin.

use serde::Deserialize;

use crate::error::{Error, Result};

/// Reads `bytes`; `what` is the subject of the message.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| explain(bytes, what, &error))
}

fn explain(bytes: &[u8], what: &str, error: &serde_json::Error) -> Error {
    let byte = offset(bytes, error.line(), error.column());
    let place = match pointer(bytes, byte) {
        path if path.is_empty() => format!("at byte {byte}"),
        path => format!("at {path} (byte {byte})"),
    };
    let problem = if error.is_data() {
        "does not fit"
    } else {
        "is not JSON"
    };
    let text = error.to_string();
    let tail = format!(" at line {} column {}", error.line(), error.column());
    let reason = text.strip_suffix(&tail).unwrap_or(&text);
    Error::parse(format!("{what} {problem} {place}: {reason}"))
}

/// Turns serde's place (lines and columns from 1, columns in bytes) into an offset from 0.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let line_start = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index + 1)
        .nth(line.wrapping_sub(2))
        .unwrap_or(0);
    (line_start + column.saturating_sub(1)).min(bytes.len())
}

/// One open object or array on the way to the place.
enum Level {
    /// Its latest key.
    Object(String),
    /// Its latest index.
    Array(usize),
}

/// Returns the JSON pointer (RFC 6901) of the value that holds the byte at `end`.
fn pointer(bytes: &[u8], end: usize) -> String {
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while at < end {
        match bytes[at] {
            b'{' => levels.push(Level::Object(String::new())),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => drop(levels.pop()),
            b',' => next_element(&mut levels),
            b'"' => at = string(bytes, at, end, &mut levels),
            _ => {}
        }
        at += 1;
    }
    // At its closing bracket an object or array itself is the subject: it lacks something.
    if matches!(bytes.get(end), Some(b'}' | b']')) {
        levels.pop();
    }
    levels.iter().map(segment).collect()
}

fn next_element(levels: &mut [Level]) {
    match levels.last_mut() {
        Some(Level::Array(index)) => *index += 1,
        Some(Level::Object(key)) => key.clear(),
        None => {}
    }
}

/// Passes over the string that opens at `start`; returns the place of its closing quote.
///
/// The first string after `{` or `,` in an object is a key.
fn string(bytes: &[u8], start: usize, end: usize, levels: &mut [Level]) -> usize {
    let mut at = start + 1;
    while at < end && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    if let Some(Level::Object(key)) = levels.last_mut()
        && key.is_empty()
    {
        let text = bytes.get(start + 1..at).unwrap_or_default();
        *key = String::from_utf8_lossy(text).into_owned();
    }
    at
}

fn segment(level: &Level) -> String {
    match level {
        Level::Object(key) if key.is_empty() => String::new(),
        Level::Object(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Level::Array(index) => format!("/{index}"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::read;
    use crate::error::FailureKind;

    #[derive(Debug, Deserialize)]
    struct Alert {
        #[expect(dead_code, reason = "only its absence matters")]
        uid: String,
        #[expect(dead_code, reason = "only its type matters")]
        objects: Vec<Object>,
    }

    #[derive(Debug, Deserialize)]
    struct Object {
        #[expect(dead_code, reason = "only its type matters")]
        far: f64,
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = read::<Alert>(text.as_bytes(), "payload").unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind(), FailureKind::Parse);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_by_its_path() {
        check(
            "{\"uid\": \"G1\",\n \"objects\": [{\"far\": 1.0}, {\"far\": \"low\"}]}",
            "payload does not fit at /objects/1/far (byte 50): \
             invalid type: string \"low\", expected f64",
        );
    }

    #[test]
    fn a_missing_field_is_named_with_the_object_that_lacks_it() {
        check(
            r#"{"uid": "G1", "objects": [{"snr": 9.1}]}"#,
            "payload does not fit at /objects/0 (byte 37): missing field `far`",
        );
    }

    #[test]
    fn a_missing_field_of_the_whole_has_no_path() {
        check(
            r#"{"uid": "G1"}"#,
            "payload does not fit at byte 12: missing field `objects`",
        );
    }

    #[test]
    fn text_that_is_not_json_is_told_from_json_of_another_shape() {
        check("<voe/>", "payload is not JSON at byte 0: expected value");
    }

    #[test]
    fn an_empty_payload_ends_at_byte_0() {
        check(
            "",
            "payload is not JSON at byte 0: EOF while parsing a value",
        );
    }

    #[test]
    fn a_cut_payload_names_where_it_was_cut() {
        let text = r#"{"uid": "G1", "objects": [{"fa"#;
        check(
            text,
            "payload is not JSON at /objects/0 (byte 29): EOF while parsing a string",
        );
    }

    #[test]
    fn quotes_and_brackets_in_strings_do_not_confuse_the_path() {
        check(
            r#"{"uid": "a\"}]{", "objects": 5}"#,
            "payload does not fit at /objects (byte 29): \
             invalid type: integer `5`, expected a sequence",
        );
    }
}
