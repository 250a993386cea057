//! `order_by`: where in a packet the host finds the key whose tasks take turns.

use crate::errors::Mistake;

/// Checks one of the four forms; returns it as it is.
pub(crate) fn check(text: &str) -> Result<String, Mistake> {
    let fits = match text.strip_prefix("param:") {
        Some(name) => !name.trim().is_empty(),
        None => matches!(text, "ivorn" | "id") || is_pointer(text),
    };
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!(
            "\"{text}\" is no place in a packet: write a JSON pointer such as \
             \"/object/superevent_id\", \"param:TrigID\" for a VOEvent's parameter, \"ivorn\" or \
             \"id\""
        ))),
    }
}

/// RFC 6901, without the empty pointer: a `~` stands only in `~0` and `~1`.
fn is_pointer(text: &str) -> bool {
    let well_escaped = text
        .split('~')
        .skip(1)
        .all(|after| after.starts_with(['0', '1']));
    text.starts_with('/') && text.len() > 1 && well_escaped
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_four_forms_are_taken() {
        for text in [
            "/object/superevent_id",
            "/a~1b/0",
            "param:TrigID",
            "ivorn",
            "id",
        ] {
            assert_eq!(check(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "/", "superevent_id", "param:", "/a~2", "/a~", "IVORN"] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
