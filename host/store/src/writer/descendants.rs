//! How many tasks descend from one root and live, and which blobs an argument names.
//!
//! A root is a packet, or a task that no packet and no task made. A task lives while it is open
//! or set aside: if those that are set aside did not count, a task that makes two of its kind
//! would go on for ever, half of them set aside, and fill the disk. The counts are those of the
//! rows: they are read when the store opens and after a group was taken back, and kept up in
//! between.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Connection;

use crate::error::StoreError;
use crate::options::MAX_DESCENDANTS;
use crate::schema::LIVING;

/// Digits of a digest in hexadecimal.
const DIGITS: usize = 64;
/// Most digests in one argument that are looked at.
const MOST_DIGESTS: usize = 1_000;

/// Living tasks by root.
#[derive(Debug, Default)]
pub(super) struct Descendants {
    living: HashMap<i64, u32>,
}

impl Descendants {
    /// Counts the rows.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT root, count(*) FROM tasks WHERE {LIVING} GROUP BY root"
        ))?;
        let rows = statement.query_map([], |row| {
            let living: u32 = row.get(1)?;
            Ok((row.get(0)?, living))
        })?;
        let living = rows.collect::<Result<_, _>>()?;
        Ok(Self { living })
    }

    /// Counts a task that was made.
    pub(super) fn begin(&mut self, root: i64) {
        *self.living.entry(root).or_default() += 1;
    }

    /// Counts a task that succeeded or was revoked.
    pub(super) fn end(&mut self, root: i64) {
        if let Entry::Occupied(mut living) = self.living.entry(root) {
            *living.get_mut() = living.get().saturating_sub(1);
            if *living.get() == 0 {
                living.remove();
            }
        }
    }

    /// Returns whether a task lives that descends from `root`.
    pub(super) fn are_alive(&self, root: i64) -> bool {
        self.living.contains_key(&root)
    }

    /// Checks that a task of `root` may leave `children` and, where it `ends`, not itself.
    pub(super) fn check_more(
        &self,
        root: i64,
        children: usize,
        ends: bool,
    ) -> Result<(), StoreError> {
        let living = self.living.get(&root).copied().unwrap_or_default();
        let others = living.saturating_sub(u32::from(ends));
        let others = usize::try_from(others).unwrap_or(usize::MAX);
        let length = others.saturating_add(children);
        if length > MAX_DESCENDANTS {
            return Err(StoreError::TooLarge {
                what: "a number of live descendants of one packet or task",
                length,
                limit: MAX_DESCENDANTS,
                advice: "let tasks end before others are made, those that are set aside too",
            });
        }
        Ok(())
    }
}

/// Finds the digests that bytes name, in hexadecimal of exactly 64 digits: so they stand in
/// arguments, which are opaque here otherwise.
pub(super) fn digests_in(bytes: &[u8]) -> impl Iterator<Item = [u8; 32]> {
    bytes
        .split(|byte| !byte.is_ascii_hexdigit())
        .filter(|word| word.len() == DIGITS)
        .take(MOST_DIGESTS)
        .filter_map(digest)
}

fn digest(word: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(word.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::digests_in;

    #[test]
    fn a_digest_is_found_as_text_of_64_digits() {
        let text = "ab".repeat(32);
        let found: Vec<_> = digests_in(format!("{{\"blob\":\"{text}\"}}").as_bytes()).collect();
        assert_eq!(found, [[0xab; 32]]);
        assert_eq!(digests_in(&text.as_bytes()[1..]).count(), 0);
        assert_eq!(digests_in(format!("0{text}").as_bytes()).count(), 0);
    }
}
