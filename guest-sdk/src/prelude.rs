//! What nearly every plugin uses: `use gwasp_sdk::prelude::*;`

pub use crate::{
    Context, Error, FromPacket, NoticeType, Packet, Result, bail, clock, debug, error, handler,
    info, notices, periodic, progress, random, task, tasks, trace, warn,
};
