//! `gwasp:plugin/log`: lines of a plugin in the host's log.
//!
//! A plugin's text is a stranger's: control characters are escaped, so that it cannot forge
//! lines or drive a terminal.

use super::Run;
use super::bindings::gwasp::plugin::log::{Host, Level};
use super::function::LOG_WRITE;
use crate::text::one_line;

/// Longest line that is kept, in bytes.
pub(super) const MAX_LINE: usize = 4096;

/// How the SDK's panic hook begins its line, at level error.
const PANIC_PREFIX: &str = "panicked at ";

impl Host for Run {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.seam.local(&LOG_WRITE)?;
        if matches!(level, Level::Error) && message.starts_with(PANIC_PREFIX) {
            self.seam.note_panic(one_line(&message, MAX_LINE));
            return Ok(());
        }
        if !self.seam.take_log_line(message.len().min(MAX_LINE)) {
            return Ok(());
        }
        let message = one_line(&message, MAX_LINE);
        self.seam.keep_log_line(level, &message);
        Ok(())
    }
}
