//! What a request carries, or why it cannot be read: a problem like any other.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Problem;

/// How long the rest of a request may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The JSON of a request.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let reading = Json::<T>::from_request(request, state);
        match tokio::time::timeout(BODY_TIME, reading).await {
            Ok(Ok(Json(body))) => Ok(Self(body)),
            Ok(Err(error)) => Err(error.into()),
            Err(_late) => {
                let text = format!(
                    "the rest of the request did not come within {} s",
                    BODY_TIME.as_secs()
                );
                Err(Problem::malformed(StatusCode::REQUEST_TIMEOUT, &text))
            }
        }
    }
}

/// What the path of a request names.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::from_request_parts(parts, state).await?;
        Ok(Self(named))
    }
}

impl From<JsonRejection> for Problem {
    fn from(error: JsonRejection) -> Self {
        Self::malformed(error.status(), &error.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(error: PathRejection) -> Self {
        Self::malformed(error.status(), &error.body_text())
    }
}
