//! What nearly every plugin uses: `use gwasp_sdk::prelude::*;`
//!
//! ```
//! use gwasp_sdk::prelude::*;
//!
//! #[handler(ICECUBE_ASTROTRACK_GOLD)]
//! fn note(notice: &VoEvent) -> Result<()> {
//!     let ivorn = notice.ivorn.as_deref().context("notice has no IVORN")?;
//!     info!("{ivorn} at {}", clock::now());
//!     Ok(())
//! }
//! ```

pub use std::time::Duration;

pub use crate::clock::{sleep, sleep_until};
pub use crate::{
    Blob, Context, Error, FromPacket, LvAlert, NoticeType, Packet, Result, VoEvent, bail, bayestar,
    clock, debug, error, gcn, gracedb, handler, http, info, kv, notices, periodic, progress,
    random, task, tasks, trace, warn,
};
