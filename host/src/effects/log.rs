//! `gwasp:plugin/log`: lines of a plugin in the host's log.
//!
//! A plugin's text is a stranger's: control characters are escaped, so that it cannot forge
//! lines or drive a terminal.

use super::Run;
use super::bindings::gwasp::plugin::log::{Host, Level};
use super::function::LOG_WRITE;

/// Longest line that is kept, in bytes.
const MAX_LINE: usize = 4096;

/// How the SDK's panic hook begins its line, at level error.
const PANIC_PREFIX: &str = "panicked at ";

impl Host for Run {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.seam.local(&LOG_WRITE)?;
        if matches!(level, Level::Error) && message.starts_with(PANIC_PREFIX) {
            self.seam.note_panic(one_line(&message));
            return Ok(());
        }
        if !self.seam.take_log_line(message.len().min(MAX_LINE)) {
            return Ok(());
        }
        let message = one_line(&message);
        self.seam.keep_log_line(level, &message);
        Ok(())
    }
}

/// `text` as one line of bounded length, without control characters.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for character in text.trim_end().chars() {
        if line.len() >= MAX_LINE {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINE, one_line};

    #[test]
    fn a_line_cannot_drive_a_terminal_or_forge_another_line() {
        assert_eq!(
            one_line("a\x1b[31mb\nINFO forged\r"),
            "a\\u{1b}[31mb\\nINFO forged"
        );
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(one_line(&"ä".repeat(MAX_LINE)).len() <= MAX_LINE + "…".len() + 1);
    }
}
