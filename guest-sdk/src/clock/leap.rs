//! Leap seconds between UTC and GPS time.
//!
//! GPS time runs without leap seconds since 1980-01-06T00:00:00Z (IS-GPS-200). A leap second
//! itself counts to the second after it, since Unix time has no name for it. When leap seconds
//! are is known to `gwasp_formats` alone.

use gwasp_formats::time::LEAP_SECONDS;

/// 1980-01-06T00:00:00Z.
const GPS_EPOCH: u64 = 315_964_800;

/// Returns whole GPS seconds; negative before the epoch.
pub(super) fn unix_to_gps(unix: u64) -> i64 {
    let unix = unix.cast_signed();
    let leaps: i64 = LEAP_SECONDS
        .iter()
        .map(|&leap| i64::from(unix >= leap))
        .sum();
    unix - GPS_EPOCH.cast_signed() + leaps
}

/// Returns Unix seconds. A moment within a leap second becomes the second after it.
pub(super) fn gps_to_unix(gps: u64) -> u64 {
    let continuous = gps.saturating_add(GPS_EPOCH);
    let mut leaps = 0;
    for leap in LEAP_SECONDS {
        // The leap second itself is one earlier, and the new count holds from its end.
        if continuous > leap.cast_unsigned() + leaps {
            leaps += 1;
        }
    }
    continuous - leaps
}
