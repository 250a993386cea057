//! `mode`: whether what handlers ask for happens.

use serde::Deserialize;

/// Whether what handlers ask for happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It does.
    #[default]
    Live,
    /// It is written down and does not: handlers run on live packets, beside the system that
    /// they are to replace.
    Shadow,
}
