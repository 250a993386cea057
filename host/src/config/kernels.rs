//! `[kernels]`: how much of the machine the host's heavy computations may have.

use std::num::NonZeroU16;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ByteSize;

/// Limits of heavy computations, such as sky localization.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KernelsConfig {
    /// How many run at once; a further one waits for its turn.
    pub concurrency: NonZeroU16,
    /// Threads of each; as many as the machine has cores where it is left out.
    pub threads: Option<NonZeroU16>,
    /// Most memory of each.
    pub memory: ByteSize,
    /// How long one may take, with its wait for a turn.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

impl Default for KernelsConfig {
    fn default() -> Self {
        Self {
            // One that has all cores is done sooner than two that share them.
            concurrency: NonZeroU16::MIN,
            threads: None,
            memory: ByteSize(1 << 30),
            timeout: Duration::from_secs(600),
        }
    }
}
