//! Which known names resemble a mistyped one.

/// Suggestions beyond this many help nobody.
const AT_MOST: usize = 3;

/// Returns up to three of `known` that resemble `name`, by rising distance.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.trim().to_ascii_uppercase();
    let tolerance = (wanted.len() / 4).clamp(1, 5);
    let mut ranked: Vec<(usize, &str)> = known
        .map(|candidate| {
            (
                distance(&wanted, &candidate.to_ascii_uppercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= tolerance)
        .collect();
    ranked.sort();
    ranked.truncate(AT_MOST);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Edit distance, but 1 where whole words are missing at one end.
fn distance(wanted: &str, candidate: &str) -> usize {
    let lacks_words = wanted.len() >= 3
        && (ends_a_word(candidate.strip_suffix(wanted)) || begins_a_word(candidate, wanted));
    if lacks_words {
        return 1;
    }
    edits(wanted.as_bytes(), candidate.as_bytes())
}

fn ends_a_word(before: Option<&str>) -> bool {
    before.is_some_and(|before| before.ends_with('_'))
}

fn begins_a_word(candidate: &str, wanted: &str) -> bool {
    let after = candidate.strip_prefix(wanted);
    after.is_some_and(|after| after.starts_with('_'))
}

/// Insertions, deletions, replacements and swaps of neighbours between two texts (optimal string
/// alignment, three rows of the table).
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(from != to);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to;
            if swapped {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
