//! Why a request was not granted.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rollout::PluginsError;
use crate::text::chain;

/// Why a request was not granted, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{error}")]
pub struct Problem {
    /// What is wrong and what to do.
    pub error: String,
    #[serde(skip)]
    #[schema(ignore)]
    status: u16,
}

impl Problem {
    /// What was asked for cannot be meant so.
    pub fn invalid(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// There is no such thing.
    pub fn unknown(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// Somebody else may ask.
    pub fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// The host could not.
    pub fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, chain(error))
    }

    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            status: status.as_u16(),
        }
    }
}

impl From<PluginsError> for Problem {
    fn from(error: PluginsError) -> Self {
        let status = match &error {
            PluginsError::Unknown { .. } | PluginsError::NotKept { .. } => StatusCode::NOT_FOUND,
            PluginsError::NoRoutes(_) | PluginsError::NoFormer(_) => StatusCode::CONFLICT,
            PluginsError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            PluginsError::Directory(_) | PluginsError::Broker(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, chain(&error))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(self)).into_response()
    }
}
