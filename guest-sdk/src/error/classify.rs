//! What an error of this crate's own modules, or of the formats, says about another attempt.

use std::error::Error as StdError;
use std::time::Duration;

use super::FailureKind;

/// Looks through the chain for the first error that knows; one that nobody knows is tried again.
pub(super) fn classify(error: &(dyn StdError + 'static)) -> (FailureKind, Option<Duration>) {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(known) = known(error) {
            return known;
        }
        next = error.source();
    }
    (FailureKind::Error, None)
}

fn known(_error: &(dyn StdError + 'static)) -> Option<(FailureKind, Option<Duration>)> {
    None
}
