//! `LVAlert` and IGWN Alert messages: what GraceDB says of its events and superevents.
//!
//! Every message is a JSON object with `uid` and `alert_type`; what else is there depends on the
//! type and on GraceDB's age, so `data` and `object` stay JSON, and the readers below find in them
//! what handlers ask for. What a message says of labels and of the preferred event is as old as
//! the message: ask GraceDB again before acting on it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Role;

/// One message on a node such as `cbc_gstlal` or `superevent`.
///
/// ```
/// use gwasp_formats::{LvAlert, Role};
///
/// let alert = LvAlert::parse(br#"{"uid": "G211117", "alert_type": "label_added",
///     "data": {"name": "EM_READY"},
///     "object": {"graceid": "G211117", "group": "CBC", "far": 1.9e-8, "labels": ["EM_READY"]}}"#)?;
/// assert_eq!(alert.data["name"], "EM_READY");
/// assert_eq!(alert.far(), Some(1.9e-8));
/// assert_eq!(alert.role(), Role::Observation);
/// assert!(!alert.is_superevent());
/// # Ok::<(), gwasp_formats::LvAlertError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LvAlert {
    /// Id of the event (`G…`, `M…`, `T…`, `E…`) or superevent (`S…`, `MS…`, `TS…`).
    pub uid: String,
    /// What happened: `new`, `label_added`, `label_removed`, `log`, `event_added`, `update`, ….
    pub alert_type: String,
    /// What is new; `null` in messages that have none.
    pub data: Value,
    /// The event or superevent after it; `null` in messages that have none.
    pub object: Value,
    /// The object's labels.
    pub labels: Vec<String>,
}

/// Why bytes are no `LVAlert` message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LvAlertError {
    /// They are not JSON.
    #[error("the alert is not JSON (byte {offset})")]
    Json {
        /// The byte, counted from 0, at which the fault was seen.
        offset: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// They are JSON, but no object.
    #[error("the alert is {found} and not a JSON object")]
    NotAnObject {
        /// What they are.
        found: &'static str,
    },
    /// A field is missing or of the wrong kind.
    #[error("the alert's field `{field}` is {found} and not {wanted}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
}

impl LvAlert {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// When it is not a JSON object with the texts `uid` and `alert_type`.
    pub fn parse(bytes: &[u8]) -> Result<Self, LvAlertError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|source| LvAlertError::Json {
            offset: offset_of(bytes, source.line(), source.column()),
            source,
        })?;
        let Value::Object(mut fields) = value else {
            let found = kind(Some(&value));
            return Err(LvAlertError::NotAnObject { found });
        };
        let (uid, alert_type) = (text(&fields, "uid")?, text(&fields, "alert_type")?);
        let object = fields.remove("object").unwrap_or_default();
        // Older messages have them beside the object.
        let labels = object.get("labels").or_else(|| fields.get("labels"));
        let labels = labels
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(Self {
            uid,
            alert_type,
            labels: labels
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            data: fields.remove("data").unwrap_or_default(),
            object,
        })
    }

    /// Tells a superevent from an event, by its id.
    pub fn is_superevent(&self) -> bool {
        self.uid.contains('S')
    }

    /// Returns the role that the alert has in place of one of its own: what is marked as test or
    /// mock data by id, group, search or category is a test.
    pub fn role(&self) -> Role {
        let is = |field, word: &str| {
            let value = self.object_text(field);
            value.is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        let by_category = is("category", "Test") || is("category", "MDC");
        let by_origin = is("group", "Test") || is("search", "MDC");
        match self.uid.starts_with(['M', 'T']) || by_category || by_origin {
            true => Role::Test,
            false => Role::Observation,
        }
    }

    /// Returns the false alarm rate in Hz; external events have none.
    pub fn far(&self) -> Option<f64> {
        self.object.get("far")?.as_f64()
    }

    /// Returns an event's time, or a superevent's `t_0`, in GPS seconds.
    pub fn gps_time(&self) -> Option<f64> {
        let time = self
            .object
            .get("gpstime")
            .or_else(|| self.object.get("t_0"));
        time?.as_f64()
    }

    /// Returns `CBC`, `Burst`, `Test` or `External`.
    pub fn group(&self) -> Option<&str> {
        self.object_text("group")
    }

    /// Returns the search pipeline, as in `gstlal`.
    pub fn pipeline(&self) -> Option<&str> {
        self.object_text("pipeline")
    }

    /// Returns the search, as in `AllSky`.
    pub fn search(&self) -> Option<&str> {
        self.object_text("search")
    }

    /// Returns the superevent to which an event belongs, or a superevent's own id.
    pub fn superevent_id(&self) -> Option<&str> {
        self.object_text("superevent_id")
            .or_else(|| self.object_text("superevent"))
    }

    /// Tells whether the object had the label when the message was sent.
    pub fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own == label)
    }

    fn object_text(&self, field: &str) -> Option<&str> {
        self.object.get(field)?.as_str()
    }
}

fn text(fields: &Map<String, Value>, field: &'static str) -> Result<String, LvAlertError> {
    match fields.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err(LvAlertError::Field {
            field,
            wanted: "a text",
            found: kind(other),
        }),
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "missing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

/// The byte at a line and column, both counted from 1.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .by_ref()
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

#[cfg(test)]
mod tests;
