//! Why a request was not granted.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::BrokerError;
use crate::explain::Code;
use crate::operations::RedispatchError;
use crate::rollout::PluginsError;
use crate::settings::SettingsError;
use crate::text::chain;

/// Why a request was not granted, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{error}")]
pub struct Problem {
    /// What is wrong and what to do.
    pub error: String,
    /// What `gwasp explain` knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
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
            code: None,
            status: status.as_u16(),
        }
    }

    /// Its code, where the host gave one that this program knows.
    pub fn code(&self) -> Option<Code> {
        Code::find(self.code.as_deref()?)
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
        Self::new(status, chain(&error))
    }
}

impl From<RedispatchError> for Problem {
    fn from(error: RedispatchError) -> Self {
        match error {
            RedispatchError::Broker(error) => error.into(),
            RedispatchError::Unknown(_) | RedispatchError::Handler(_) => {
                Self::unknown(error.to_string())
            }
            RedispatchError::Unmatched(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
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

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Refused(refusal) => Self {
                code: refusal.code.map(|code| code.as_str().to_owned()),
                ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.text)
            },
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
