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
    let stopped = offset(bytes, error.line(), error.column());
    let walk = Walk::up_to(bytes, stopped);
    let (problem, byte) = match error.is_data() {
        true => ("does not fit", walk.token),
        false => ("is not JSON", stopped),
    };
    let place = match walk.pointer() {
        path if path.is_empty() => format!("at byte {byte}"),
        path => format!("at {path} (byte {byte})"),
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

/// The way through a text to the place where serde stopped.
struct Walk<'a> {
    bytes: &'a [u8],
    end: usize,
    levels: Vec<Level>,
    /// Where the latest value, key or bracket begins.
    token: usize,
}

impl<'a> Walk<'a> {
    fn up_to(bytes: &'a [u8], end: usize) -> Self {
        let mut walk = Self {
            bytes,
            end,
            levels: Vec::new(),
            token: end,
        };
        let mut at = 0;
        while at < end {
            at = walk.step(at) + 1;
        }
        // At its closing bracket an object or array itself is the subject: it lacks something.
        if matches!(bytes.get(end), Some(b'}' | b']')) {
            walk.levels.pop();
            walk.token = end;
        }
        walk
    }

    /// Passes over the token at `at`; returns its last byte.
    fn step(&mut self, at: usize) -> usize {
        match self.bytes[at] {
            b'{' => self.levels.push(Level::Object(String::new())),
            b'[' => self.levels.push(Level::Array(0)),
            b'}' | b']' => drop(self.levels.pop()),
            b',' => self.next_element(),
            b'"' => return self.string(at),
            b':' | b' ' | b'\t' | b'\r' | b'\n' => self.token = self.end,
            _ => {
                self.token = self.token.min(at);
                return at;
            }
        }
        self.token = self.end;
        at
    }

    fn next_element(&mut self) {
        match self.levels.last_mut() {
            Some(Level::Array(index)) => *index += 1,
            Some(Level::Object(key)) => key.clear(),
            None => {}
        }
    }

    /// Passes over a string; the first one after `{` or `,` in an object is a key.
    fn string(&mut self, start: usize) -> usize {
        let mut at = start + 1;
        while at < self.end && self.bytes[at] != b'"' {
            at += if self.bytes[at] == b'\\' { 2 } else { 1 };
        }
        let is_whole = at < self.end;
        if let Some(Level::Object(key)) = self.levels.last_mut()
            && key.is_empty()
            && is_whole
        {
            *key = String::from_utf8_lossy(&self.bytes[start + 1..at]).into_owned();
        }
        self.token = if is_whole { self.end } else { start };
        at
    }

    /// Returns the place as a JSON pointer (RFC 6901).
    fn pointer(&self) -> String {
        self.levels.iter().map(segment).collect()
    }
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
            "payload does not fit at /objects/1/far (byte 49): \
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
    fn a_number_of_the_wrong_type_is_named_by_its_first_digit() {
        check(
            r#"{"uid": 12345, "objects": []}"#,
            "payload does not fit at /uid (byte 8): \
             invalid type: integer `12345`, expected a string",
        );
    }

    #[test]
    fn no_damage_to_a_payload_breaks_the_search_for_its_place() {
        let text = br#"{"uid": "a\"b", "objects": [{"far": 1.5}, {"far": -2e3}]}"#;
        for cut in 0..text.len() {
            assert!(read::<Alert>(&text[..cut], "payload").is_err());
            for byte in *b"{}[]\",:\\ \n0\xff" {
                let mut damaged = text.to_vec();
                damaged[cut] = byte;
                drop(read::<Alert>(&damaged, "payload"));
            }
        }
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
