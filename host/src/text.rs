//! How errors read.

/// `text` as one line of about `max` bytes, without control characters: a stranger's text can
/// neither forge lines of a log nor drive a terminal.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max));
    for character in text.trim_end().chars() {
        if line.len() >= max {
            line.push('…');
            break;
        }
        if drives(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// `text` with its lines, and without any other control character.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if drives(character) && !matches!(character, '\n' | '\t') {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// `text` without its ends of lines and wide gaps: what is shown below a line stands behind it.
pub(crate) fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a character moves a terminal's cursor, ends a line, or turns the order of what follows
/// (Unicode Standard Annex 9), so that a line seems to say something else.
pub(crate) fn drives(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat a cause in the text of what it caused.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{one_line, printable};

    #[test]
    fn a_line_cannot_drive_a_terminal_or_forge_another_line() {
        let line = one_line("a\x1b[31mb\nINFO forged\u{9b}31m\r", 4_096);
        assert_eq!(line, "a\\u{1b}[31mb\\nINFO forged\\u{9b}31m");
    }

    #[test]
    fn a_line_does_not_turn_the_order_of_its_text() {
        assert_eq!(
            one_line("a\u{202e}b\u{2028}c", 100),
            "a\\u{202e}b\\u{2028}c"
        );
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(one_line(&"ä".repeat(4_096), 4_096).len() <= 4_096 + "…".len() + 1);
    }

    #[test]
    fn what_is_printed_keeps_its_lines_and_drives_no_terminal() {
        assert_eq!(printable("a\n\tb\x1b[2Jc"), "a\n\tb\\u{1b}[2Jc");
    }
}
