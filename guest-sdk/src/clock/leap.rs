//! Leap seconds between UTC and GPS time.
//!
//! GPS time runs without leap seconds since 1980-01-06T00:00:00Z (IS-GPS-200). The moments are
//! those of IERS Bulletin C, the latest that of 2017; a leap second itself counts to the second after it, since Unix time
//! has no name for it.

/// 1980-01-06T00:00:00Z.
const GPS_EPOCH: u64 = 315_964_800;

/// Unix seconds from which one more leap second counts.
pub(super) const LEAPS: [u64; 18] = [
    362_793_600,   // 1981-07-01
    394_329_600,   // 1982-07-01
    425_865_600,   // 1983-07-01
    489_024_000,   // 1985-07-01
    567_993_600,   // 1988-01-01
    631_152_000,   // 1990-01-01
    662_688_000,   // 1991-01-01
    709_948_800,   // 1992-07-01
    741_484_800,   // 1993-07-01
    773_020_800,   // 1994-07-01
    820_454_400,   // 1996-01-01
    867_715_200,   // 1997-07-01
    915_148_800,   // 1999-01-01
    1_136_073_600, // 2006-01-01
    1_230_768_000, // 2009-01-01
    1_341_100_800, // 2012-07-01
    1_435_708_800, // 2015-07-01
    1_483_228_800, // 2017-01-01
];

/// Returns whole GPS seconds; negative before the epoch.
pub(super) fn unix_to_gps(unix: u64) -> i64 {
    let leaps: i64 = LEAPS.iter().map(|&leap| i64::from(unix >= leap)).sum();
    unix.cast_signed() - GPS_EPOCH.cast_signed() + leaps
}

/// Returns Unix seconds. A moment within a leap second becomes the second after it.
pub(super) fn gps_to_unix(gps: u64) -> u64 {
    let continuous = gps.saturating_add(GPS_EPOCH);
    let mut leaps = 0;
    for leap in LEAPS {
        // The leap second itself is one earlier, and the new count holds from its end.
        if continuous > leap + leaps {
            leaps += 1;
        }
    }
    continuous - leaps
}
