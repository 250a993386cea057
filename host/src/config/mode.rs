//! `mode`: whether what handlers ask for happens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether what handlers ask for happens.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It does.
    #[default]
    Live,
    /// It is written down and does not: handlers run on live packets, beside the system that
    /// they are to replace.
    Shadow,
}
