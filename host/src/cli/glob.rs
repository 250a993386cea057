//! Patterns of names as people write them: `*` is anything, `?` one character; case does not
//! matter.

use std::convert::Infallible;
use std::str::FromStr;

/// A pattern.
#[derive(Clone, Debug)]
pub(super) struct Glob(Vec<char>);

impl FromStr for Glob {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_lowercase().chars().collect()))
    }
}

impl Glob {
    /// Whether all of `text` is as the pattern says; takes time with the product of the lengths
    /// at most.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Self(pattern) = self;
        let text: Vec<char> = text.to_lowercase().chars().collect();
        let (mut at, mut read) = (0, 0);
        // Where the last `*` stands, and how much of the text it takes so far.
        let mut star: Option<(usize, usize)> = None;
        while read < text.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(one) if *one == '?' || text.get(read) == Some(one) => {
                    at += 1;
                    read += 1;
                }
                _ => {
                    let Some((place, taken)) = star else {
                        return false;
                    };
                    star = Some((place, taken + 1));
                    (at, read) = (place + 1, taken + 1);
                }
            }
        }
        pattern.iter().skip(at).all(|rest| *rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[track_caller]
    fn check(pattern: &str, text: &str, matches: bool) {
        let Ok(glob) = pattern.parse::<Glob>();
        assert_eq!(glob.matches(text), matches, "{pattern} {text}");
    }

    #[test]
    fn a_star_is_anything_and_a_question_mark_one_character() {
        check("fermi_*", "FERMI_GBM_ALERT", true);
        check("fermi_*", "SWIFT_FERMI_", false);
        check("*.alert", "fermi-log.alert", true);
        check("*ab*ac", "ababac", true);
        check("?", "é", true);
        check("?", "", false);
        check("", "x", false);
        check("*", "", true);
    }
}
