//! Why a request was not granted.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::BrokerError;
use crate::complaint::code_of;
use crate::explain::{Code, code};
use crate::operations::RedispatchError;
use crate::rollout::PluginsError;
use crate::settings::SettingsError;
use crate::text::chain;

/// Why a request was not granted, for a person and for a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{error}")]
pub struct Problem {
    /// What is wrong and what to do.
    pub error: String,
    /// What kind of mistake it is: `gwasp explain CODE` has more.
    code: String,
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
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, error)
    }

    /// Nobody has time for it.
    pub(super) fn busy(error: impl Into<String>) -> Self {
        Self::coded(
            StatusCode::SERVICE_UNAVAILABLE,
            code::STORE_BUSY,
            error.into(),
        )
    }

    /// It cannot be read.
    pub(super) fn malformed(status: StatusCode, error: &str) -> Self {
        let error = format!("{error}; /v1/openapi.json lists what can be asked for, and how");
        Self::coded(status, code::CONTROL_REQUEST, error)
    }

    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self::coded(status, code::REFUSED, error.into())
    }

    fn of(status: StatusCode, error: &(dyn std::error::Error + 'static)) -> Self {
        let code = code_of(error).unwrap_or(code::REFUSED);
        Self::coded(status, code, chain(error))
    }

    fn coded(status: StatusCode, code: Code, error: String) -> Self {
        Self {
            error,
            code: code.as_str().to_owned(),
            status: status.as_u16(),
        }
    }

    /// Its code, where the host gave one that this program knows.
    pub fn code(&self) -> Option<Code> {
        Code::find(&self.code)
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        let status = match &error {
            BrokerError::Unknown { .. } => StatusCode::NOT_FOUND,
            BrokerError::TooLarge { .. } => StatusCode::BAD_REQUEST,
            BrokerError::Unavailable { .. } | BrokerError::Closed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            BrokerError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::of(status, &error)
    }
}

impl From<RedispatchError> for Problem {
    fn from(error: RedispatchError) -> Self {
        let status = match error {
            RedispatchError::Broker(error) => return error.into(),
            RedispatchError::Unknown(_) | RedispatchError::Handler(_) => StatusCode::NOT_FOUND,
            RedispatchError::Unmatched(_) => StatusCode::CONFLICT,
        };
        Self::of(status, &error)
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
        Self::of(status, &error)
    }
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Refused(refusal) => Self::coded(
                StatusCode::UNPROCESSABLE_ENTITY,
                refusal.code.unwrap_or(code::REFUSED),
                refusal.text,
            ),
            SettingsError::Plugins(error) => error.into(),
            SettingsError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(self)).into_response()
    }
}
