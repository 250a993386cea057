//! One request and its answer.

use futures_util::StreamExt as _;
use reqwest::{RequestBuilder, Response};

use super::{HttpError, HttpResponse, MAX_BODY};
use crate::text::chain;

/// Headers that are the host's business: with a cookie a plugin could act as the secret does.
const KEPT_BACK: [&str; 2] = ["set-cookie", "set-cookie2"];

/// Sends a request and reads its answer; `url` is for errors.
pub(super) async fn run(request: RequestBuilder, url: String) -> Result<HttpResponse, HttpError> {
    match request.send().await {
        Ok(response) => read(&url, response).await,
        Err(error) => Err(send_error(url, &error)),
    }
}

/// A request that could not even be connected was not seen by the service.
fn send_error(url: String, error: &reqwest::Error) -> HttpError {
    let reason = chain(error);
    if error.is_connect() || error.is_builder() {
        HttpError::Unreachable { url, reason }
    } else {
        HttpError::NoAnswer { url, reason }
    }
}

async fn read(url: &str, response: Response) -> Result<HttpResponse, HttpError> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| !KEPT_BACK.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| HttpError::NoAnswer {
            url: url.to_owned(),
            reason: format!("after status {status}: {}", chain(&error)),
        })?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(HttpError::TooLarge {
                url: url.to_owned(),
                status,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse {
        status,
        headers,
        body,
    })
}
