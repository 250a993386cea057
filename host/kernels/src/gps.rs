//! GPS time, UTC and the Earth's rotation.
//!
//! Times are integer nanoseconds since 1980-01-06T00:00:00 UTC, so that a detector's time is
//! never rounded to a double, whose step is 256 ns today.
//!
//! The leap-second table ends with the one of 2017-01-01 (IERS Bulletin C); a new one is a new
//! line here and in the table of `gwasp-formats`, which a test of the host holds together. UT1 is taken to be UTC, as LAL does.

use std::f64::consts::PI;

/// Nanoseconds in a second.
const NANOS: i64 = 1_000_000_000;
/// Days from 1970-01-01 to 1980-01-06.
const GPS_EPOCH_DAYS: i64 = 3_657;

/// GPS second from which on UTC is behind GPS by `1, 2, …` seconds.
const LEAPS: [i64; 18] = [
    46_828_800,
    78_364_801,
    109_900_802,
    173_059_203,
    252_028_804,
    315_187_205,
    346_723_206,
    393_984_007,
    425_520_008,
    457_056_009,
    504_489_610,
    551_750_411,
    599_184_012,
    820_108_813,
    914_803_214,
    1_025_136_015,
    1_119_744_016,
    1_167_264_017,
];

/// A moment in GPS nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpsTime(i64);

impl GpsTime {
    /// From nanoseconds since the GPS epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From a second and nanoseconds to add; `None` where 64 bits do not hold it.
    pub const fn new(seconds: i64, nanos: i64) -> Option<Self> {
        match seconds.checked_mul(NANOS) {
            Some(whole) => match whole.checked_add(nanos) {
                Some(sum) => Some(Self(sum)),
                None => None,
            },
            None => None,
        }
    }

    /// From seconds since 1970-01-01 UTC, as clocks of computers count them.
    pub fn from_unix(seconds: i64) -> Self {
        let utc = seconds.saturating_sub(86_400 * GPS_EPOCH_DAYS);
        let leaps: i64 = (1..)
            .zip(LEAPS)
            .map(|(behind, from)| i64::from(from - behind < utc))
            .sum();
        Self(utc.saturating_add(leaps).saturating_mul(NANOS))
    }

    /// Reads decimal text such as `1368200000.43359375`; digits beyond 1 ns are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let nanos = (fraction.bytes().chain(std::iter::repeat(b'0')).take(9))
            .fold(0, |sum, digit| 10 * sum + i64::from(digit - b'0'));
        let Self(total) = Self::new(whole.parse().ok()?, nanos)?;
        Some(Self(if negative { -total } else { total }))
    }

    /// Nanoseconds since the GPS epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The time `nanos` later; times beyond the range of 64 bits are its ends.
    #[must_use]
    pub const fn later(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Whole seconds (towards the past) and the nanoseconds left, in `0..10⁹`.
    pub const fn split(self) -> (i64, i64) {
        (self.0.div_euclid(NANOS), self.0.rem_euclid(NANOS))
    }

    /// Seconds by which UTC is behind GPS.
    fn leap_seconds(self) -> i64 {
        let (seconds, _) = self.split();
        LEAPS.iter().map(|&from| i64::from(from <= seconds)).sum()
    }

    /// Greenwich mean sidereal time in radians, not reduced to one turn (IAU 1982, as LAL).
    pub fn gmst(self) -> f64 {
        const DAYS_PER_CENTURY: f64 = 36_525.0;
        const SECONDS_PER_DAY: f64 = 86_400.0;
        let (seconds, nanos) = self.split();
        let day = 2_444_244.5 + (seconds - self.leap_seconds()) as f64 / SECONDS_PER_DAY;
        let high = (day - 2_451_545.0) / DAYS_PER_CENTURY;
        let low = nanos as f64 / (1e9 * DAYS_PER_CENTURY * SECONDS_PER_DAY);
        let t = high + low;
        let mut sidereal = (-6.2e-6 * t + 0.093_104) * t * t + 67_310.548_41;
        sidereal += 8_640_184.812_866 * low;
        sidereal += 3_155_760_000.0 * low;
        sidereal += 8_640_184.812_866 * high;
        sidereal += 3_155_760_000.0 * high;
        sidereal * PI / 43_200.0
    }

    /// UTC as `YYYY-MM-DDThh:mm:ss.uuuuuu`, rounded to the microsecond.
    ///
    /// Within a leap second the last second of the day is repeated.
    pub fn utc(self) -> String {
        let (seconds, nanos) = Self(self.0.saturating_add(500)).split();
        let utc = seconds - self.leap_seconds();
        let (year, month, day) = civil(utc.div_euclid(86_400) + GPS_EPOCH_DAYS);
        let of_day = utc.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let micros = nanos / 1_000;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
    }

    /// Modified Julian date in UTC, days.
    pub fn mjd(self) -> f64 {
        let utc = self.0 - self.leap_seconds() * NANOS;
        let nanos_per_day = 86_400 * NANOS;
        let of_day = utc.rem_euclid(nanos_per_day) as f64 / nanos_per_day as f64;
        (44_244 + utc.div_euclid(nanos_per_day)) as f64 + of_day
    }
}

/// Year, month and day of a day count from 1970-01-01 (Hinnant, *chrono-compatible low-level
/// date algorithms*).
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + 400 * era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests;
