//! What nearly every plugin uses: `use gwasp_sdk::prelude::*;`

pub use crate::{
    Blob, Context, Error, FromPacket, NoticeType, Packet, Result, VoEvent, bail, clock, debug,
    error, gracedb, handler, http, info, kv, notices, periodic, progress, random, task, tasks,
    trace, warn,
};
