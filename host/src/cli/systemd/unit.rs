//! How a path is written in a unit: systemd.syntax(7), systemd.service(5) "Command lines".

use std::path::Path;

use anyhow::Context as _;

/// Writes a path as one word of `ExecStart=`.
///
/// # Errors
/// When the path is no UTF-8 text or holds what no line can.
pub(super) fn word(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control))
        .with_context(|| {
            format!("{shown} cannot be written in a unit; move it to a path of plain text")
        })?;
    // `%` begins a specifier, `$` a variable.
    let text = text.replace('%', "%%").replace('$', "$$");
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@:,%$~=".contains(c);
    if text.chars().all(is_plain) {
        return Ok(text);
    }
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{quoted}\""))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::word;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(word(Path::new(path)).unwrap(), expected);
    }

    #[test]
    fn a_path_is_one_word_of_a_command_line() {
        check("/srv/ada/.local/bin/gwasp", "/srv/ada/.local/bin/gwasp");
        check("/srv/ada/my alerts/gwasp", "\"/srv/ada/my alerts/gwasp\"");
        check("/srv/100%/gwasp", "/srv/100%%/gwasp");
        check("/srv/$HOME/gwasp", "/srv/$$HOME/gwasp");
        check("/srv/a\"b\\c", "\"/srv/a\\\"b\\\\c\"");
    }

    #[test]
    fn a_path_that_is_two_lines_is_refused() {
        let error = word(Path::new("/srv/a\nExecStartPre=b")).unwrap_err();
        assert!(error.to_string().contains("move it"), "{error}");
    }
}
