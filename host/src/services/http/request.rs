//! Requests, and what of them a plugin may choose.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::HttpError;

/// Headers that frame a message, choose the host or belong to one connection (RFC 9110 §7): with
/// them a plugin could reach another service behind the same address.
const HOSTS_OWN: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Methods that plugins may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are HTTP's (RFC 9110 §9, RFC 5789)")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// Whether a request with this method changes nothing (RFC 9110 §9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    /// The word in capitals.
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

    pub(super) const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Method.
    pub method: HttpMethod,
    /// Where to.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Name of a secret to put in.
    pub secret: Option<String>,
    /// Body.
    pub body: bytes::Bytes,
}

pub(super) fn url(url: &str) -> Result<Url, HttpError> {
    Url::parse(url).map_err(|error| HttpError::Invalid(format!("`{url}` is no URL: {error}")))
}

/// The headers that a plugin asks for.
pub(super) fn guest_headers(pairs: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let (name, value) = header(name, value)?;
        if HOSTS_OWN.contains(&name.as_str()) {
            return Err(HttpError::Invalid(format!(
                "header `{name}` is for the host to set; leave it out"
            )));
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// Puts a header in the place of those of its name.
pub(super) fn set_header(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
) -> Result<(), HttpError> {
    let (name, value) = header(name, value)?;
    headers.insert(name, value);
    Ok(())
}

/// The error names the header, never its value.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HttpError> {
    let invalid = |error: &dyn std::fmt::Display| {
        HttpError::Invalid(format!("header `{}`: {error}", name.escape_default()))
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(&error))?;
    let mut value = HeaderValue::from_str(value).map_err(|error| invalid(&error))?;
    value.set_sensitive(true);
    Ok((name, value))
}
