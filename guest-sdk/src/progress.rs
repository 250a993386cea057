//! How far a run has come, for whoever watches it.

use crate::boundary;

/// Reports progress: `fraction` lies in `[0, 1]`, what lies outside is moved to the nearer end.
///
/// ```
/// use gwasp_sdk::{progress, testing};
///
/// progress::report(0.25, "1 of 4 detectors");
/// assert_eq!(testing::progress(), Some((0.25, "1 of 4 detectors".to_owned())));
/// ```
pub fn report(fraction: f64, message: &str) {
    let fraction = if fraction.is_nan() { 0.0 } else { fraction };
    boundary::progress(fraction.clamp(0.0, 1.0), message);
}
