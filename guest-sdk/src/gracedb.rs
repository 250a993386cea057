//! Files of GraceDB's events and superevents, over [`http`].
//!
//! Requests name the secret `gracedb`. An upload carries a key in its log message; the host finds
//! out by it, after a crash, whether the upload happened.

use std::fmt::Write as _;

use gwasp_formats::LvAlert;

use crate::blobs::Blob;
use crate::error::{Error, Result};
use crate::http;
use crate::random;

/// An event (`G298048`) or superevent (`S190425z`) of one GraceDB server.
///
/// ```
/// use gwasp_sdk::gracedb::Event;
///
/// let event = Event::new("https://gracedb.ligo.org", "S190425z");
/// assert_eq!(event.url(), "https://gracedb.ligo.org/api/superevents/S190425z");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    url: String,
}

impl Event {
    /// Names an event by the server, e.g. `https://gracedb.ligo.org`, and its id.
    ///
    /// Ids of superevents have an `S` at the beginning, after a `T` or `M` for tests and mock data.
    ///
    /// ```
    /// let event = gwasp_sdk::gracedb::Event::new("https://gracedb.ligo.org/", "MS181101ab");
    /// assert_eq!(event.url(), "https://gracedb.ligo.org/api/superevents/MS181101ab");
    /// ```
    #[must_use]
    pub fn new(server: &str, id: &str) -> Self {
        let server = server.trim_end_matches('/').trim_end_matches("/api");
        let kind = match is_superevent(id) {
            true => "superevents",
            false => "events",
        };
        Self {
            url: format!("{server}/api/{kind}/{}", encode(id)),
        }
    }

    /// Returns its address in GraceDB's interface for programs.
    ///
    /// ```
    /// let event = gwasp_sdk::gracedb::Event::new("https://gracedb.ligo.org", "G298048");
    /// assert_eq!(event.url(), "https://gracedb.ligo.org/api/events/G298048");
    /// ```
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Logs of events and of superevents have different addresses.
    fn logs(&self) -> String {
        let logs = match self.url.contains("/superevents/") {
            true => "logs",
            false => "log",
        };
        format!("{}/{logs}/", self.url)
    }
}

/// The event that the alert is about, at the server that it comes from: GraceDB writes addresses
/// into most of its messages, of the event or of a part of it.
impl TryFrom<&LvAlert> for Event {
    type Error = Error;

    fn try_from(alert: &LvAlert) -> Result<Self> {
        let links = [&alert.object, &alert.data]
            .into_iter()
            .flat_map(|part| [part.pointer("/links/self"), part.get("self")]);
        let mut servers = links
            .flatten()
            .filter_map(|link| link.as_str()?.split_once("/api/"));
        match servers.next() {
            Some((server, _)) => Ok(Self::new(server, &alert.uid)),
            None => Err(Error::permanent(format!(
                "the alert on {uid} does not say which server it comes from: name it, as in \
                 `gracedb::Event::new(\"https://gracedb.ligo.org\", &alert.uid)`",
                uid = alert.uid
            ))),
        }
    }
}

impl From<&Self> for Event {
    fn from(event: &Self) -> Self {
        event.clone()
    }
}

fn is_superevent(id: &str) -> bool {
    let id = id.strip_prefix(['T', 'M']).unwrap_or(id);
    id.starts_with('S')
}

/// Downloads a file of an event.
///
/// `filename` may carry a version as in `psd.xml.gz,1`; without it is the latest.
///
/// # Errors
/// As a request's; a file that is not there is a permanent failure.
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// #[handler("cbc_gstlal")]
/// fn fetch(alert: &LvAlert) -> Result<Blob> {
///     gracedb::download(alert, "coinc.xml")
/// }
///
/// # use gwasp_sdk::testing;
/// # let alert = testing::argument_from(r#"{"uid": "G298048", "alert_type": "new", "object":
/// #     {"links": {"self": "https://gracedb.example/api/events/G298048/"}}}"#)?;
/// testing::respond("https://gracedb.example/api/events/G298048/files/coinc.xml", 200, "<?xml");
/// assert_eq!(fetch(&alert)?.len(), 5);
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn download<E>(event: E, filename: &str) -> Result<Blob>
where
    E: TryInto<Event>,
    Error: From<E::Error>,
{
    let event: Event = event.try_into()?;
    let url = format!("{}/files/{}", event.url, encode(filename));
    let file = http::get(url).secret("gracedb").send()?;
    Ok(Blob::put(file.bytes())?)
}

/// Uploads a file with a message to the log of an event.
///
/// # Errors
/// As a request's. [`InDoubt`](crate::FailureKind::InDoubt) only where GraceDB cannot be asked.
///
/// ```
/// use gwasp_sdk::{Blob, gracedb, testing};
///
/// let event = gracedb::Event::new("https://gracedb.example", "S190425z");
/// testing::respond("https://gracedb.example/api/superevents/S190425z/logs/", 201, "{}");
/// let map = Blob::put("a sky map")?;
/// gracedb::upload(&event, "bayestar.multiorder.fits", &map, "sky map from the coinc file")?;
/// # let sent = &testing::requests()[0];
/// # assert!(String::from_utf8_lossy(&sent.body).contains("a sky map"));
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn upload<E>(event: E, filename: &str, file: &Blob, message: &str) -> Result<()>
where
    E: TryInto<Event>,
    Error: From<E::Error>,
{
    let event: Event = event.try_into()?;
    let key = random::uuid();
    let form = Form {
        comment: &format!("{message} [gwasp {key}]"),
        filename,
        file: &file.bytes()?,
        boundary: &format!("gwasp-{key}"),
    };
    http::post(event.logs())
        .secret("gracedb")
        .header(
            "Content-Type",
            format!("multipart/form-data; boundary={}", form.boundary),
        )
        .bytes(form.encode())
        .key(key)
        .send()?;
    Ok(())
}

/// A log entry with a file, as `multipart/form-data` (RFC 7578).
struct Form<'a> {
    comment: &'a str,
    filename: &'a str,
    file: &'a [u8],
    /// Random, so that the file cannot hold it.
    boundary: &'a str,
}

impl Form<'_> {
    fn encode(&self) -> Vec<u8> {
        let Self {
            comment, boundary, ..
        } = self;
        let filename = quoted(self.filename);
        let mut form = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"comment\"\r\n\r\n{comment}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"upload\"; \
             filename=\"{filename}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        form.extend(self.file);
        form.extend(format!("\r\n--{boundary}--\r\n").bytes());
        form
    }
}

/// Escapes a file name as browsers do (WHATWG HTML, multipart/form-data encoding algorithm).
fn quoted(filename: &str) -> String {
    filename
        .replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes a segment of a path (RFC 3986, 3.3); the comma before a version stays.
fn encode(segment: &str) -> String {
    let mut encoded = String::new();
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Event, upload};
    use crate::{Blob, Error, FailureKind, testing};

    #[track_caller]
    fn check_url(id: &str, expected: &str) {
        assert_eq!(Event::new("https://g.example", id).url, expected);
    }

    #[test]
    fn superevents_are_told_by_their_ids() {
        check_url("S190425z", "https://g.example/api/superevents/S190425z");
        check_url("TS190425a", "https://g.example/api/superevents/TS190425a");
        check_url("MS190425a", "https://g.example/api/superevents/MS190425a");
        check_url("G298048", "https://g.example/api/events/G298048");
        check_url("M394156", "https://g.example/api/events/M394156");
        check_url("E1/../G2", "https://g.example/api/events/E1%2F..%2FG2");
    }

    #[test]
    fn an_alert_names_the_server_by_its_object() {
        let alert = |object: &str| {
            let text = format!(r#"{{"uid": "G1", "alert_type": "new", "object": {object}}}"#);
            gwasp_formats::LvAlert::parse(text.as_bytes()).unwrap()
        };
        for object in [
            r#"{"links": {"self": "https://g.example/api/events/G1/"}}"#,
            r#"{"self": "https://g.example/api/events/G1/voevent/3"}"#,
        ] {
            let event = Event::try_from(&alert(object)).unwrap();
            assert_eq!(event.url, "https://g.example/api/events/G1");
        }
        let error = Event::try_from(&alert("{}")).unwrap_err();
        assert!(error.to_string().contains("gracedb::Event::new"), "{error}");
        assert_eq!(error.kind(), FailureKind::Permanent);
    }

    #[test]
    fn an_upload_is_a_form_whose_comment_carries_the_key() {
        let event = Event::new("https://g.example", "G1");
        testing::respond("https://g.example/api/events/G1/log/", 201, "");
        let map = Blob::put(b"map").unwrap();
        upload(&event, "a\"b.fits", &map, "sky map").unwrap();

        let sent = testing::requests().remove(0);
        let body = String::from_utf8(sent.body).unwrap();
        let key = body
            .split_once("sky map [gwasp ")
            .and_then(|(_, rest)| rest.split_once(']'))
            .map(|(key, _)| key)
            .unwrap();
        assert_eq!(
            body,
            format!(
                "--gwasp-{key}\r\nContent-Disposition: form-data; name=\"comment\"\r\n\r\n\
                 sky map [gwasp {key}]\r\n\
                 --gwasp-{key}\r\nContent-Disposition: form-data; name=\"upload\"; \
                 filename=\"a%22b.fits\"\r\nContent-Type: application/octet-stream\r\n\r\n\
                 map\r\n--gwasp-{key}--\r\n"
            )
        );
        assert_eq!(sent.secret.as_deref(), Some("gracedb"));
        assert!(!sent.idempotent);
    }

    #[test]
    fn a_file_that_is_not_there_is_a_permanent_failure() {
        let event = Event::new("https://g.example", "G1");
        testing::respond("https://g.example/api/events/G1/files/psd.xml.gz", 404, "");
        let error: Error = super::download(&event, "psd.xml.gz").unwrap_err();
        assert_eq!(error.kind(), FailureKind::Permanent);
    }
}
