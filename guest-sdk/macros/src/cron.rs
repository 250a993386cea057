//! Schedules in the five fields of crontab(5).

use crate::errors::Mistake;

struct Field {
    name: &'static str,
    from: u8,
    to: u8,
    /// Names for `from`, `from + 1`, …
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        from: 0,
        to: 59,
        words: &[],
    },
    Field {
        name: "hour",
        from: 0,
        to: 23,
        words: &[],
    },
    Field {
        name: "day of month",
        from: 1,
        to: 31,
        words: &[],
    },
    Field {
        name: "month",
        from: 1,
        to: 12,
        words: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field {
        name: "day of week",
        from: 0,
        to: 7,
        words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Checks a schedule; the message names the field and what it may hold.
pub(crate) fn check(text: &str) -> Result<(), Mistake> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(Mistake::new(format!(
            "a schedule has five fields (minute, hour, day of month, month, day of week), this has \
             {}: e.g. \"*/5 * * * *\" is every five minutes; seconds are written as \
             `every = \"30s\"`",
            fields.len()
        )));
    }
    let mut pairs = FIELDS.iter().zip(fields);
    pairs.try_for_each(|(field, text)| field.check(text))
}

impl Field {
    fn check(&self, text: &str) -> Result<(), Mistake> {
        match text.split(',').all(|part| self.accepts(part)) {
            true => Ok(()),
            false => Err(Mistake::new(format!(
                "`{text}` is no {}: write `*`, numbers from {} to {}, ranges as `1-5`, steps as \
                 `*/5`, or several of them with commas",
                self.name, self.from, self.to
            ))),
        }
    }

    /// One of `*`, `5`, `1-5`, each with a step.
    fn accepts(&self, part: &str) -> bool {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let step_fits = step.is_none_or(|step| number(step).is_some_and(|step| step > 0));
        let is_single = range != "*" && !range.contains('-');
        step_fits && self.accepts_range(range) && !(is_single && step.is_some())
    }

    fn accepts_range(&self, range: &str) -> bool {
        match range.split_once('-') {
            Some((from, to)) => match (self.value(from), self.value(to)) {
                (Some(from), Some(to)) => from <= to,
                _ => false,
            },
            None => range == "*" || self.value(range).is_some(),
        }
    }

    fn value(&self, text: &str) -> Option<u8> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.words.iter().position(|word| *word == lower) {
            return u8::try_from(index).ok().map(|index| self.from + index);
        }
        number(text).filter(|value| (self.from..=self.to).contains(value))
    }
}

fn number(text: &str) -> Option<u8> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::check;

    // The examples of crontab(5) as of Debian's cron.
    #[test]
    fn the_examples_of_the_manual_are_taken() {
        for text in [
            "5 0 * * *",
            "15 14 1 * *",
            "0 22 * * 1-5",
            "23 0-23/2 * * *",
            "5 4 * * sun",
            "*/5 * * * *",
            "0 4 8-14 * *",
            "0,30 12 * JAN-Mar mon,wed",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_by_their_field() {
        for (text, field) in [
            ("60 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of month"),
            ("* * * 13 *", "month"),
            ("* * * * 8", "day of week"),
            ("*/0 * * * *", "minute"),
            ("5/2 * * * *", "minute"),
            ("9-5 * * * *", "minute"),
            ("1, * * * *", "minute"),
            ("+5 * * * *", "minute"),
            ("* * * * sunday", "day of week"),
        ] {
            let message = check(text).unwrap_err().to_string();
            assert!(message.contains(&format!("is no {field}:")), "{message}");
        }
    }

    #[test]
    fn other_than_five_fields_are_counted() {
        for text in ["", "* * * *", "0 */5 * * * *", "@hourly"] {
            let message = check(text).unwrap_err().to_string();
            assert!(message.contains("five fields"), "{message}");
        }
    }
}
