//! placeholder until the listener is merged
use serde::Deserialize;
/// p
#[derive(Clone, Debug, Deserialize)]
pub struct VtpConfig {
    /// p
    pub brokers: Vec<String>,
}
