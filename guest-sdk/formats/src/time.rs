//! Times as notices write them, and GPS time.
//!
//! Leap seconds are those announced by the IERS up to Bulletin C 70: the last is that of the end
//! of 2016, and none comes before [`LEAP_SECONDS_KNOWN_UNTIL`]. Later times are read with that
//! table; should a leap second be announced, GPS times after it are a second off until the table
//! below has it. This module does not know what time it is now.

use std::fmt;

use serde::{Serialize, Serializer};

mod parse;

/// Unix time (2026-06-28) up to which the table of leap seconds is known to be complete.
pub const LEAP_SECONDS_KNOWN_UNTIL: i64 = 1_782_604_800;

/// Unix times from which GPS − UTC is one second more, beginning with 1 s: the midnights after
/// the leap seconds of IERS Bulletin C.
pub const LEAP_SECONDS: [i64; 18] = [
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

/// Days from 1970-01-01 to the beginning of GPS time, 1980-01-06.
const GPS_EPOCH_DAYS: i64 = 3657;
const SECONDS_PER_DAY: i64 = 86_400;
/// TT − GPS time in milliseconds: TT − TAI = 32.184 s, TAI − GPS time = 19 s.
const TT_MINUS_GPS_MS: i64 = 51_184;

/// The scale in which a time counts, by a coordinate system's id such as `TDB-ICRS-BARY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeScale {
    /// Coordinated Universal Time; also where nothing is said.
    #[default]
    Utc,
    /// Terrestrial Time.
    Tt,
    /// Barycentric Dynamical Time, within 2 ms of TT (but seen from the solar system's centre).
    Tdb,
    /// Time of the GPS satellites.
    Gps,
}

impl TimeScale {
    /// Reads the scale from a coordinate system's id; UTC where it names none.
    pub fn from_coord_system(id: &str) -> Self {
        let scales = [("TT", Self::Tt), ("TDB", Self::Tdb), ("GPS", Self::Gps)];
        let named = |scale: &str| id.split('-').any(|part| part.eq_ignore_ascii_case(scale));
        let found = scales.into_iter().find(|(name, _)| named(name));
        found.map_or(Self::Utc, |(_, scale)| scale)
    }
}

impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Utc => "UTC",
            Self::Tt => "TT",
            Self::Tdb => "TDB",
            Self::Gps => "GPS",
        })
    }
}

/// A moment as a notice gives it.
///
/// Prints as RFC 3339 with `Z` and with the fraction that the document has, digit for digit. If
/// [`scale`](Self::scale) is not UTC, the digits are still the document's: the `Z` is then a
/// matter of form, and [`gps`](Self::gps) is the moment.
///
/// ```
/// use gwasp_formats::NoticeTime;
///
/// let merger = NoticeTime::parse("2017-08-17T12:41:04.43")?;
/// assert_eq!(merger.to_string(), "2017-08-17T12:41:04.43Z");
/// assert_eq!(merger.gps()?.as_f64(), 1187008882.43);
/// # Ok::<(), gwasp_formats::TimeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeTime {
    /// Days since 1970-01-01.
    days: i64,
    /// Seconds of the day; 86,400 in a leap second.
    second: i64,
    /// Digits of the fraction, as they stand.
    fraction: String,
    scale: TimeScale,
}

impl NoticeTime {
    /// Reads an ISO 8601 date and time; without a zone it is UTC.
    ///
    /// White space around it, a blank for the `T`, lower case, a comma for the point and any
    /// number of digits of the fraction are taken.
    ///
    /// # Errors
    ///
    /// When it is not such a text, or is one of a moment that does not exist (`2016-01--3T03:05:12`
    /// and `2023-12-01T2055:50:59.84` have been sent).
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        parse::parse(text).ok_or_else(|| TimeError::Impossible(text.trim().to_owned()))
    }

    /// Returns the same digits as a time of another scale.
    #[must_use]
    pub fn with_scale(mut self, scale: TimeScale) -> Self {
        self.scale = scale;
        self
    }

    /// Returns the scale in which the digits count.
    pub fn scale(&self) -> TimeScale {
        self.scale
    }

    /// Returns the moment as GPS time.
    ///
    /// # Errors
    ///
    /// When it lies before the beginning of GPS time.
    pub fn gps(&self) -> Result<GpsTime, TimeError> {
        let whole = (self.days - GPS_EPOCH_DAYS) * SECONDS_PER_DAY + self.second;
        let nanoseconds = i64::from(self.nanoseconds());
        let ns_per_ms = 1_000_000;
        let total = match self.scale {
            TimeScale::Utc => (whole + leap_seconds(self.days), nanoseconds),
            TimeScale::Gps => (whole, nanoseconds),
            TimeScale::Tt | TimeScale::Tdb => (whole, nanoseconds - TT_MINUS_GPS_MS * ns_per_ms),
        };
        GpsTime::normalised(total.0, total.1).ok_or_else(|| TimeError::BeforeGps(self.to_string()))
    }

    /// The first nine digits of the fraction.
    fn nanoseconds(&self) -> u32 {
        let digits = self.fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
        digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    }
}

impl fmt::Display for NoticeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.days);
        // A leap second is the last minute's second 60.
        let leap = self.second / SECONDS_PER_DAY;
        let second = self.second - leap;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60 + leap);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if !self.fraction.is_empty() {
            write!(f, ".{}", self.fraction)?;
        }
        f.write_str("Z")
    }
}

impl Serialize for NoticeTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Seconds since 1980-01-06T00:00:00 UTC, leap seconds counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct GpsTime {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest, in `0..1_000_000_000`.
    pub nanoseconds: u32,
}

impl GpsTime {
    /// Returns it as one number, good to about 0.2 µs in this century.
    pub fn as_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "whole seconds stay below 2^53")]
        let seconds = self.seconds as f64;
        seconds + f64::from(self.nanoseconds) / 1e9
    }

    fn normalised(seconds: i64, nanoseconds: i64) -> Option<Self> {
        let per_second = 1_000_000_000;
        let seconds = seconds + nanoseconds.div_euclid(per_second);
        let nanoseconds = u32::try_from(nanoseconds.rem_euclid(per_second)).ok()?;
        (seconds >= 0).then_some(Self {
            seconds,
            nanoseconds,
        })
    }
}

impl fmt::Display for GpsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanoseconds)
    }
}

/// Why a text is no time that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// It is not an ISO 8601 date and time of a moment that exists.
    #[error("the time `{0}` is impossible")]
    Impossible(String),
    /// It lies before 1980-01-06, when GPS time begins.
    #[error("{0} is before GPS time began")]
    BeforeGps(String),
}

/// GPS − UTC on a day, in seconds.
fn leap_seconds(days: i64) -> i64 {
    let midnight = days * SECONDS_PER_DAY;
    let begun = LEAP_SECONDS.iter().filter(|leap| **leap <= midnight);
    i64::try_from(begun.count()).unwrap_or_default()
}

/// Tells whether a day ends with a leap second, or, beyond the table, might.
fn ends_with_leap_second(days: i64) -> bool {
    let (_, month, day) = civil_from_days(days + 1);
    let may_have_one = day == 1 && matches!(month, 1 | 7);
    let next_midnight = (days + 1) * SECONDS_PER_DAY;
    let known = LEAP_SECONDS.contains(&next_midnight) || days < GPS_EPOCH_DAYS;
    may_have_one && (known || days * SECONDS_PER_DAY > LEAP_SECONDS_KNOWN_UNTIL)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (H. Hinnant, "chrono-compatible
/// low-level date algorithms", `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
