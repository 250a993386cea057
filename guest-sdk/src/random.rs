//! Randomness, as the host answers it.
//!
//! A plugin has no randomness of its own: the host notes each answer, so that a run that is taken
//! up again draws the same. Not for keys and passwords.

use crate::boundary;

/// Most bytes of one draw.
const AT_MOST: usize = 65_536;

/// Returns `len` random bytes.
///
/// ```
/// assert_eq!(gwasp_sdk::random::bytes(12).len(), 12);
/// ```
#[must_use]
pub fn bytes(len: usize) -> Vec<u8> {
    let mut drawn = Vec::new();
    while drawn.len() < len {
        let wanted = (len - drawn.len()).min(AT_MOST);
        // `wanted` is at most 65536.
        drawn.extend(boundary::random(u32::try_from(wanted).unwrap_or_default()));
    }
    drawn
}

/// Returns a random integer, each equally likely.
///
/// ```
/// assert_ne!(gwasp_sdk::random::u64(), gwasp_sdk::random::u64());
/// ```
#[must_use]
pub fn u64() -> u64 {
    bytes(8)
        .into_iter()
        .fold(0, |number, byte| number << 8 | u64::from(byte))
}

/// Returns a random number in `[0, 1)`, a multiple of 2⁻⁵³, each equally likely.
///
/// ```
/// let fraction = gwasp_sdk::random::f64();
/// assert!((0.0..1.0).contains(&fraction));
/// ```
#[must_use]
pub fn f64() -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a float holds exactly"
    )]
    let numerator = (u64() >> 11) as f64;
    numerator / 9_007_199_254_740_992.0
}

/// Returns a random UUID as text (version 4, RFC 9562).
///
/// ```
/// let id = gwasp_sdk::random::uuid();
/// assert_eq!(id.len(), 36);
/// assert_eq!(&id[14..15], "4");
/// ```
#[must_use]
pub fn uuid() -> String {
    let mut bytes = bytes(16);
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter_mut().enumerate() {
        match index {
            6 => *byte = *byte & 0x0f | 0x40,
            8 => *byte = *byte & 0x3f | 0x80,
            _ => {}
        }
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [*byte >> 4, *byte & 0x0f] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}
