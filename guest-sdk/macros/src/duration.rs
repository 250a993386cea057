//! Durations as the host reads them: `500ms`, `90s`, `1h30m`.

use crate::errors::Mistake;

const UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Checks that `text` is a duration above zero; returns it as it is.
pub(crate) fn check(text: &str) -> Result<String, Mistake> {
    match milliseconds(text) {
        Some(0) => Err(Mistake::new(format!("\"{text}\" is no time at all"))),
        Some(_) => Ok(text.to_owned()),
        None => Err(Mistake::new(format!(
            "\"{text}\" is no duration: write numbers with a unit (ms, s, m, h, d), e.g. \
             \"500ms\", \"90s\" or \"1h30m\""
        ))),
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (digits, after) = take(rest, |c| c.is_ascii_digit());
        let (unit, after) = take(after, |c| c.is_ascii_alphabetic());
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let part = digits.parse::<u64>().ok()?.checked_mul(*factor)?;
        sum = sum.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

fn take(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(milliseconds(text), expected, "{text}");
    }

    #[test]
    fn a_duration_is_a_sum_of_numbers_with_units() {
        check("500ms", Some(500));
        check("1s", Some(1000));
        check("1h30m", Some(5_400_000));
        check("30d", Some(2_592_000_000));
    }

    #[test]
    fn everything_else_is_none() {
        for text in [
            "",
            "5",
            "s",
            "1 s",
            "1.5s",
            "-1s",
            "1S",
            "1sec",
            "1w",
            "99999999999999999999d",
        ] {
            check(text, None);
        }
    }
}
