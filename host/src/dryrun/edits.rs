//! What makes one list of another: a longest common subsequence (Wagner and Fischer, 1974,
//! Journal of the ACM 21, 168), on lists that are short enough for its square.

/// Longest lists that are compared in full; what is longer is compared at its ends only.
const LONGEST: usize = 1_000;

/// One step from the first list to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit<'a, T> {
    /// It is in both; this is the second's.
    Both(&'a T),
    /// Only the first has it.
    Was(&'a T),
    /// Only the second has it.
    Is(&'a T),
}

/// Lists what is in one of two lists or both, in order; `same` says what counts as equal.
pub(crate) fn edits<'a, T>(
    was: &'a [T],
    is: &'a [T],
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Edit<'a, T>> {
    let head = was.iter().zip(is).take_while(|(a, b)| same(a, b)).count();
    let (was, is_rest) = (&was[head..], &is[head..]);
    let backwards = was.iter().rev().zip(is_rest.iter().rev());
    let tail = backwards.take_while(|(a, b)| same(a, b)).count();
    let (was, middle) = (&was[..was.len() - tail], &is_rest[..is_rest.len() - tail]);
    let mut all: Vec<Edit<'a, T>> = is[..head].iter().map(Edit::Both).collect();
    if was.len().max(middle.len()) > LONGEST {
        all.extend(was.iter().map(Edit::Was));
        all.extend(middle.iter().map(Edit::Is));
    } else {
        between(was, middle, same, &mut all);
    }
    all.extend(is_rest[is_rest.len() - tail..].iter().map(Edit::Both));
    all
}

fn between<'a, T>(
    was: &'a [T],
    is: &'a [T],
    same: impl Fn(&T, &T) -> bool,
    all: &mut Vec<Edit<'a, T>>,
) {
    // How much the rests from each pair of places on have in common.
    let width = is.len() + 1;
    let mut common = vec![0_u16; (was.len() + 1) * width];
    for (a, one) in was.iter().enumerate().rev() {
        for (b, other) in is.iter().enumerate().rev() {
            common[a * width + b] = if same(one, other) {
                common[(a + 1) * width + b + 1] + 1
            } else {
                common[(a + 1) * width + b].max(common[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < was.len() || b < is.len() {
        match (was.get(a), is.get(b)) {
            (Some(one), Some(other)) if same(one, other) => {
                all.push(Edit::Both(other));
                (a, b) = (a + 1, b + 1);
            }
            (Some(one), other)
                if other.is_none() || common[(a + 1) * width + b] >= common[a * width + b + 1] =>
            {
                all.push(Edit::Was(one));
                a += 1;
            }
            (_, Some(other)) => {
                all.push(Edit::Is(other));
                b += 1;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Edit, edits};

    fn told(was: &str, is: &str) -> String {
        let (was, is): (Vec<char>, Vec<char>) = (was.chars().collect(), is.chars().collect());
        let edits = edits(&was, &is, |a, b| a == b);
        let told = edits.iter().map(|edit| match edit {
            Edit::Both(c) => format!("{c}"),
            Edit::Was(c) => format!("-{c}"),
            Edit::Is(c) => format!("+{c}"),
        });
        told.collect()
    }

    #[test]
    fn what_both_have_stays_and_the_rest_is_told() {
        assert_eq!(told("abc", "abc"), "abc");
        assert_eq!(told("abc", "axc"), "a-b+xc");
        assert_eq!(told("abcd", "bcde"), "-abcd+e");
        assert_eq!(told("", "ab"), "+a+b");
        assert_eq!(told("ab", ""), "-a-b");
    }

    proptest! {
        #[test]
        fn both_lists_can_be_read_from_the_edits(was in "[abc]{0,12}", is in "[abc]{0,12}") {
            let (one, other): (Vec<char>, Vec<char>) = (was.chars().collect(), is.chars().collect());
            let edits = edits(&one, &other, |a, b| a == b);
            let first: String = edits.iter().filter_map(|edit| match edit {
                Edit::Both(c) | Edit::Was(c) => Some(**c),
                Edit::Is(_) => None,
            }).collect();
            let second: String = edits.iter().filter_map(|edit| match edit {
                Edit::Both(c) | Edit::Is(c) => Some(**c),
                Edit::Was(_) => None,
            }).collect();
            prop_assert_eq!((first, second), (was, is));
        }
    }
}
