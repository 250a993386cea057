//! How errors and strangers' text read, and what a name that is not there may have meant.

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

/// The name among `known` that differs from `name` by a typing error; of a short name that is
/// one letter.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    const TYPING_ERROR: usize = 2;
    let most = TYPING_ERROR.min(name.len().div_ceil(3));
    known
        .filter(|known| *known != name)
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// The end of a sentence about a name that is not there; empty where `nearest` is none.
pub(crate) fn is_meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (is `{name}` meant?)"))
}

#[cfg(test)]
mod tests {
    use super::{nearest, one_line, printable};

    #[track_caller]
    fn check_nearest(name: &str, expected: Option<&str>) {
        let known = ["bad", "fermi-log", "q"].into_iter();
        assert_eq!(nearest(name, known).as_deref(), expected, "{name}");
    }

    #[test]
    fn only_a_typing_error_makes_one_name_of_another() {
        check_nearest("fermi-lgo", Some("fermi-log"));
        check_nearest("fremi-lgo", Some("fermi-log"));
        check_nearest("bat", Some("bad"));
        check_nearest("nix", None);
        check_nearest("superevents", None);
    }

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
