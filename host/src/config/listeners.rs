//! `[listeners.NAME]`: one stream each.

use serde::Deserialize;

use super::vtp::VtpConfig;

/// A stream to listen to; `kind` says by which protocol.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ListenerConfig {
    /// VOEvent Transport Protocol, as a subscriber.
    Vtp(VtpConfig),
}
