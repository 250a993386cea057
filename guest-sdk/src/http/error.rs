//! Why a request has no good answer, and what that says about another attempt.

use std::fmt;
use std::time::Duration;

use super::{Method, Response};
use crate::error::FailureKind;

/// Why a request has no good answer.
///
/// ```
/// use gwasp_sdk::http::{self, HttpError};
/// # gwasp_sdk::testing::respond("https://obs.example/lamp", 503, "");
///
/// match http::post("https://obs.example/lamp").send() {
///     Err(HttpError::InDoubt(reason)) => gwasp_sdk::warn!("is the lamp on? {reason}"),
///     Err(error) if error.status() == Some(503) => gwasp_sdk::info!("closed"),
///     other => drop(other?),
/// }
/// # Ok::<(), HttpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// The host's configuration does not allow it; the text has the lines to add.
    Denied(String),
    /// The request cannot be made, e.g. a URL that does not parse.
    Invalid(String),
    /// The service cannot be reached; it has not seen the request.
    Unreachable(String),
    /// No answer in time, for a request that changes nothing.
    Timeout(String),
    /// A limit, named with its value.
    Limit(String),
    /// Whether the service did it is unknown, and it cannot be asked.
    InDoubt(String),
    /// An answer with a status of 400 or more.
    Status {
        /// The status.
        status: u16,
        /// After how long the service wants to be asked again (RFC 9110, 10.2.3, in seconds).
        retry_after: Option<Duration>,
        /// Request, status and the beginning of the body.
        message: String,
    },
}

impl HttpError {
    /// Returns the status of an answer of 400 or more.
    ///
    /// ```
    /// use gwasp_sdk::http::HttpError;
    ///
    /// assert_eq!(HttpError::Timeout("10 s".to_owned()).status(), None);
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns what the host does with a handler that fails with it.
    ///
    /// ```
    /// use gwasp_sdk::{FailureKind, http::HttpError};
    ///
    /// assert_eq!(HttpError::Timeout("10 s".to_owned()).kind(), FailureKind::Error);
    /// ```
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Denied(_) | Self::Invalid(_) | Self::Limit(_) => FailureKind::Permanent,
            Self::Unreachable(_) | Self::Timeout(_) => FailureKind::Error,
            Self::InDoubt(_) => FailureKind::InDoubt,
            // Timeout, conflict, too early, too many requests: these pass.
            Self::Status { status, .. } => match status {
                408 | 409 | 425 | 429 => FailureKind::Error,
                400..=499 => FailureKind::Permanent,
                _ => FailureKind::Error,
            },
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn of_status(method: Method, url: &str, response: &Response) -> Self {
        let status = response.status;
        let seconds = response
            .header("Retry-After")
            .and_then(|text| text.trim().parse().ok());
        Self::Status {
            status,
            retry_after: seconds.map(Duration::from_secs),
            message: format!(
                "{} {url} was answered with {status}{}",
                method.as_str(),
                excerpt(&response.body)
            ),
        }
    }
}

/// The beginning of a body, for a person: services say there what is wrong.
fn excerpt(body: &[u8]) -> String {
    let begin = String::from_utf8_lossy(&body[..body.len().min(200)]);
    let words: Vec<&str> = begin.split_whitespace().collect();
    match words.as_slice() {
        [] => String::new(),
        words => format!(": {}", words.join(" ")),
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text)
            | Self::Invalid(text)
            | Self::Unreachable(text)
            | Self::Timeout(text)
            | Self::Limit(text)
            | Self::InDoubt(text)
            | Self::Status { message: text, .. } => f.write_str(text),
        }
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::HttpError;
    use crate::error::{Context, Error, FailureKind};
    use crate::http::{Method, Response};

    fn answered(status: u16, headers: &[(&str, &str)], body: &str) -> HttpError {
        let headers = headers.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let response = Response {
            status,
            headers: headers.collect(),
            body: body.into(),
        };
        HttpError::of_status(Method::Post, "https://g.example/log/", &response)
    }

    #[track_caller]
    fn check(error: HttpError, expected: FailureKind) {
        let text = error.to_string();
        let error = Err::<(), _>(error).context("cannot upload").unwrap_err();
        assert_eq!(error.kind(), expected, "{text}");
    }

    #[test]
    fn a_status_that_passes_is_tried_again_and_other_4xx_are_not() {
        for status in [408, 409, 425, 429, 500, 502, 503, 504] {
            check(answered(status, &[], ""), FailureKind::Error);
        }
        for status in [400, 401, 403, 404, 405, 410, 413, 422] {
            check(answered(status, &[], ""), FailureKind::Permanent);
        }
    }

    #[test]
    fn a_failure_without_an_answer_keeps_what_is_known_of_it() {
        let text = || "text".to_owned();
        check(HttpError::InDoubt(text()), FailureKind::InDoubt);
        check(HttpError::Denied(text()), FailureKind::Permanent);
        check(HttpError::Invalid(text()), FailureKind::Permanent);
        check(HttpError::Limit(text()), FailureKind::Permanent);
        check(HttpError::Unreachable(text()), FailureKind::Error);
        check(HttpError::Timeout(text()), FailureKind::Error);
    }

    #[test]
    fn the_service_says_when_to_come_again() {
        let busy = answered(429, &[("retry-after", "120")], "");
        assert_eq!(Error::from(busy).delay(), Some(Duration::from_secs(120)));
        let date = answered(503, &[("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")], "");
        assert_eq!(Error::from(date).delay(), None);
    }

    #[test]
    fn the_message_has_request_status_and_the_services_own_words() {
        let error = answered(400, &[], "{\n  \"error\": \"no such tag\"\n}");
        assert_eq!(
            error.to_string(),
            "POST https://g.example/log/ was answered with 400: { \"error\": \"no such tag\" }"
        );
    }
}
