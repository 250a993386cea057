//! Requests to services that the host's configuration allows for this plugin.
//!
//! The host makes the request, puts the secret in, and notes the answer. A request that changes
//! something is on the host's disk before it leaves: after a crash it is not made twice, and where
//! nobody can know whether it happened the error is [`HttpError::InDoubt`].
//!
//! ```
//! use gwasp_sdk::{Result, http, testing};
//!
//! fn tell(observatory: &str, event: &str) -> Result<()> {
//!     http::post(format!("https://{observatory}/triggers"))
//!         .json(&[("event", event)])?
//!         .secret("observatory")
//!         .send()?;
//!     Ok(())
//! }
//!
//! testing::respond("https://obs.example/triggers", 201, "");
//! tell("obs.example", "S190425z")?;
//! assert_eq!(testing::requests()[0].secret.as_deref(), Some("observatory"));
//! # Ok::<(), gwasp_sdk::Error>(())
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::blobs::Blob;
use crate::boundary;
use crate::error::Result;
use crate::packet::json;

mod error;

pub use error::HttpError;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the headers.
    Head,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Returns the word in capitals.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::http::Method::Get.as_str(), "GET");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Begins a GET request.
///
/// ```
/// use gwasp_sdk::{http, testing};
///
/// testing::respond("https://gracedb.example/api/events/G1/files/", 200, r#"{"psd.xml.gz": ""}"#);
/// let files = http::get("https://gracedb.example/api/events/G1/files/").send()?;
/// assert!(files.text()?.contains("psd"));
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn get(url: impl Into<String>) -> Request<'static> {
    Request::new(Method::Get, url)
}

/// Begins a HEAD request.
///
/// ```
/// # gwasp_sdk::testing::respond("https://gracedb.example/api/", 200, "");
/// assert_eq!(gwasp_sdk::http::head("https://gracedb.example/api/").send()?.status(), 200);
/// # Ok::<(), gwasp_sdk::http::HttpError>(())
/// ```
pub fn head(url: impl Into<String>) -> Request<'static> {
    Request::new(Method::Head, url)
}

/// Begins a POST request.
///
/// ```
/// # gwasp_sdk::testing::respond("https://obs.example/triggers", 201, "");
/// let made = gwasp_sdk::http::post("https://obs.example/triggers").bytes("S190425z").send()?;
/// assert_eq!(made.status(), 201);
/// # Ok::<(), gwasp_sdk::http::HttpError>(())
/// ```
pub fn post(url: impl Into<String>) -> Request<'static> {
    Request::new(Method::Post, url)
}

/// Begins a PUT request.
///
/// ```
/// # gwasp_sdk::testing::respond("https://obs.example/target", 200, "");
/// gwasp_sdk::http::put("https://obs.example/target").bytes("M31").idempotent().send()?;
/// # Ok::<(), gwasp_sdk::http::HttpError>(())
/// ```
pub fn put(url: impl Into<String>) -> Request<'static> {
    Request::new(Method::Put, url)
}

/// Begins a PATCH request.
///
/// ```
/// # gwasp_sdk::testing::respond("https://obs.example/target", 200, "");
/// gwasp_sdk::http::patch("https://obs.example/target").json(&["M31"])?.send()?;
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn patch(url: impl Into<String>) -> Request<'static> {
    Request::new(Method::Patch, url)
}

/// Begins a DELETE request.
///
/// ```
/// # gwasp_sdk::testing::respond("https://obs.example/target", 204, "");
/// gwasp_sdk::http::delete("https://obs.example/target").idempotent().send()?;
/// # Ok::<(), gwasp_sdk::http::HttpError>(())
/// ```
pub fn delete(url: impl Into<String>) -> Request<'static> {
    Request::new(Method::Delete, url)
}

/// A request that is being put together.
///
/// ```
/// # gwasp_sdk::testing::respond("https://obs.example/", 200, "");
/// gwasp_sdk::http::get("https://obs.example/").header("Accept", "text/plain").send()?;
/// # Ok::<(), gwasp_sdk::http::HttpError>(())
/// ```
#[derive(Debug)]
#[must_use = "a request leaves with `send()`"]
pub struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) secret: Option<String>,
    pub(crate) idempotent: bool,
    pub(crate) key: Option<String>,
    pub(crate) body: Body<'a>,
    any_status: bool,
}

/// What a request carries.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    None,
    Bytes(Vec<u8>),
    Blob(&'a Blob),
}

impl<'a> Request<'a> {
    fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            secret: None,
            idempotent: false,
            key: None,
            body: Body::None,
            any_status: false,
        }
    }

    /// Adds a header.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, "");
    /// gwasp_sdk::http::get("https://obs.example/").header("Accept", "text/plain").send()?;
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Carries a value as JSON.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/triggers", 201, "");
    /// gwasp_sdk::http::post("https://obs.example/triggers").json(&("S190425z", 3))?.send()?;
    /// # Ok::<(), gwasp_sdk::Error>(())
    /// ```
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let json = serde_json::to_vec(value)?;
        Ok(self.header("Content-Type", "application/json").bytes(json))
    }

    /// Carries bytes.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/triggers", 201, "");
    /// gwasp_sdk::http::post("https://obs.example/triggers").bytes("S190425z").send()?;
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    pub fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(bytes.into());
        self
    }

    /// Carries a blob, which does not pass through the plugin.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/map", 200, "");
    /// let map = gwasp_sdk::Blob::put("a sky map")?;
    /// gwasp_sdk::http::put("https://obs.example/map").blob(&map).send()?;
    /// # Ok::<(), gwasp_sdk::Error>(())
    /// ```
    pub fn blob<'b>(self, blob: &'b Blob) -> Request<'b>
    where
        'a: 'b,
    {
        Request {
            body: Body::Blob(blob),
            ..self
        }
    }

    /// Names a secret that the host puts into the request; the plugin never sees it.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, "");
    /// gwasp_sdk::http::get("https://obs.example/").secret("observatory").send()?;
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    pub fn secret(mut self, name: impl Into<String>) -> Self {
        self.secret = Some(name.into());
        self
    }

    /// Promises that the service does the same once or twice: after a crash the request is made
    /// again instead of being in doubt.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/target", 200, "");
    /// gwasp_sdk::http::put("https://obs.example/target").bytes("M31").idempotent().send()?;
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Takes a status of 400 and more as an answer, not as an error.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://gracedb.example/api/events/G1", 404, "");
    /// let event = gwasp_sdk::http::get("https://gracedb.example/api/events/G1").any_status();
    /// assert_eq!(event.send()?.status(), 404);
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    pub fn any_status(mut self) -> Self {
        self.any_status = true;
        self
    }

    /// Uses a key that the request carries elsewhere too, so that the service can be asked for it.
    pub(crate) fn key(mut self, key: String) -> Self {
        self.key = Some(key);
        self
    }

    /// Makes the request and waits for the answer.
    ///
    /// # Errors
    /// See [`HttpError`]; with `?` in a handler it becomes an [`Error`](crate::Error) of the right
    /// kind: a status 4xx, other than 408, 409, 425 and 429, is not tried again.
    ///
    /// ```
    /// use gwasp_sdk::{Error, FailureKind, http, testing};
    ///
    /// testing::respond("https://gracedb.example/api/events/G1", 404, "no such event");
    /// let error = http::get("https://gracedb.example/api/events/G1").send().unwrap_err();
    /// assert_eq!(error.status(), Some(404));
    /// assert_eq!(Error::from(error).kind(), FailureKind::Permanent);
    /// ```
    pub fn send(self) -> Result<Response, HttpError> {
        let (method, any_status) = (self.method, self.any_status);
        let url = self.url.clone();
        let response = boundary::http_send(self)?;
        match response.status {
            400.. if !any_status => Err(HttpError::of_status(method, &url, &response)),
            _ => Ok(response),
        }
    }
}

/// An answer.
///
/// ```
/// use gwasp_sdk::{http, testing};
///
/// testing::respond("https://gracedb.example/api/events/G1", 200, r#"{"far": 1e-12}"#);
/// let response = http::get("https://gracedb.example/api/events/G1").send()?;
/// let event: std::collections::HashMap<String, f64> = response.json()?;
/// assert_eq!(event["far"], 1e-12);
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Returns the status, e.g. 201.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, "");
    /// assert_eq!(gwasp_sdk::http::get("https://obs.example/").send()?.status(), 200);
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the first header of this name; case does not matter.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, "");
    /// let response = gwasp_sdk::http::get("https://obs.example/").send()?;
    /// assert_eq!(response.header("Location"), None);
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns the body.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, "M31");
    /// assert_eq!(gwasp_sdk::http::get("https://obs.example/").send()?.bytes(), b"M31");
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body and drops the rest.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, "M31");
    /// assert_eq!(gwasp_sdk::http::get("https://obs.example/").send()?.into_bytes(), b"M31");
    /// # Ok::<(), gwasp_sdk::http::HttpError>(())
    /// ```
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.body
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// A body that is not UTF-8; unlike a packet's it may be another on the next attempt.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, "M31");
    /// assert_eq!(gwasp_sdk::http::get("https://obs.example/").send()?.text()?, "M31");
    /// # Ok::<(), gwasp_sdk::Error>(())
    /// ```
    pub fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.body)?)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// A body that is not JSON of this shape, with the field and the byte; unlike a packet's it
    /// may be another on the next attempt.
    ///
    /// ```
    /// # gwasp_sdk::testing::respond("https://obs.example/", 200, r#"["M31"]"#);
    /// let targets: Vec<String> = gwasp_sdk::http::get("https://obs.example/").send()?.json()?;
    /// assert_eq!(targets, ["M31"]);
    /// # Ok::<(), gwasp_sdk::Error>(())
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let read = json::read(&self.body, "answer");
        read.map_err(|error| error.with_kind(crate::FailureKind::Error))
    }
}
