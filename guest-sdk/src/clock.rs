//! The time, as the host answers it.
//!
//! A plugin has no clock of its own: the host notes each answer, so that a run that is taken up
//! again after a crash or a wait sees the same moments. This module does not know time zones.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::boundary;
use crate::tasks::TaskError;

mod civil;
mod leap;

/// Returns the time.
///
/// ```
/// use gwasp_sdk::{clock, testing};
///
/// testing::set_now("2017-08-17T12:41:20Z");
/// assert_eq!(clock::now().to_string(), "2017-08-17T12:41:20Z");
/// ```
#[must_use]
pub fn now() -> Timestamp {
    boundary::now()
}

/// Waits for so long.
///
/// The run holds nothing of the host while it waits, and goes on after any crash: it is run again
/// from its beginning, and given every answer that it had. A wait that is over is not repeated by a
/// retry. With `order_by`, others of its key run meanwhile.
///
/// # Errors
/// None in this version of the host; a task that is revoked while it sleeps does not go on.
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// let before = clock::now();
/// sleep(Duration::from_secs(270))?;
/// assert_eq!(clock::now() - before, Duration::from_secs(270));
/// # Ok::<(), Error>(())
/// ```
pub fn sleep(time: Duration) -> Result<(), TaskError> {
    sleep_until(now() + time)
}

/// Waits until a moment; one that has passed is no wait.
///
/// # Errors
/// As [`sleep`].
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// let moment: clock::Timestamp = "2030-01-01T12:00:00Z".parse()?;
/// sleep_until(moment)?;
/// assert_eq!(clock::now(), moment);
/// # Ok::<(), Error>(())
/// ```
pub fn sleep_until(moment: Timestamp) -> Result<(), TaskError> {
    boundary::sleep_until(moment)
}

/// A moment in UTC with nanoseconds, from 1970-01-01T00:00:00Z on.
///
/// Text (`Display`, `FromStr`, JSON) is RFC 3339; any offset is read, `Z` is written.
///
/// ```
/// use gwasp_sdk::clock::Timestamp;
///
/// let trigger: Timestamp = "2017-08-17T12:41:06.47Z".parse()?;
/// assert_eq!(trigger.to_string(), "2017-08-17T12:41:06.47Z");
/// assert_eq!(trigger.gps(), 1187008884.47);
/// # Ok::<(), gwasp_sdk::clock::TimestampError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: u64,
    nanoseconds: u32,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self::from_unix(0, 0);

    /// Makes a moment of seconds and nanoseconds since 1970; nanoseconds may exceed a second.
    ///
    /// ```
    /// use gwasp_sdk::clock::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_unix(1_502_973_680, 0).to_string(), "2017-08-17T12:41:20Z");
    /// ```
    #[must_use]
    pub const fn from_unix(seconds: u64, nanoseconds: u32) -> Self {
        Self {
            seconds: seconds.saturating_add((nanoseconds / NANOSECONDS) as u64),
            nanoseconds: nanoseconds % NANOSECONDS,
        }
    }

    /// Makes a moment of GPS seconds (since 1980-01-06T00:00:00Z, without leap seconds).
    ///
    /// A 64-bit float tells today's GPS times apart to about 0.2 µs. What is negative or not a
    /// number becomes GPS 0.
    ///
    /// ```
    /// use gwasp_sdk::clock::Timestamp;
    ///
    /// let trigger = Timestamp::from_gps(1187008882.0);
    /// assert_eq!(trigger.to_string(), "2017-08-17T12:41:04Z");
    /// ```
    #[must_use]
    pub fn from_gps(gps: f64) -> Self {
        let since = Duration::try_from_secs_f64(gps).unwrap_or_default();
        Self::from_unix(leap::gps_to_unix(since.as_secs()), since.subsec_nanos())
    }

    /// Returns GPS seconds; negative before 1980-01-06.
    ///
    /// ```
    /// use gwasp_sdk::clock::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_unix(315_964_800, 0).gps(), 0.0);
    /// ```
    #[must_use]
    pub fn gps(self) -> f64 {
        let whole = leap::unix_to_gps(self.seconds);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a float's 53 bits hold seconds for 285 million years"
        )]
        let whole = whole as f64;
        whole + f64::from(self.nanoseconds) / f64::from(NANOSECONDS)
    }

    /// Returns whole seconds since 1970.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::clock::Timestamp::from_unix(7, 5).unix_seconds(), 7);
    /// ```
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.seconds
    }

    /// Returns nanoseconds within the second.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::clock::Timestamp::from_unix(7, 5).subsec_nanoseconds(), 5);
    /// ```
    #[must_use]
    pub const fn subsec_nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    fn since_epoch(self) -> Duration {
        Duration::new(self.seconds, self.nanoseconds)
    }
}

const NANOSECONDS: u32 = 1_000_000_000;

/// The time from the right moment to the left one; zero if that is the earlier.
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since_epoch().saturating_sub(earlier.since_epoch())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        let sum = self.since_epoch().saturating_add(later);
        Self::from_unix(sum.as_secs(), sum.subsec_nanos())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds / 86400, self.seconds % 86400);
        let (year, month, day) = civil::date(days);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let second = second % 60;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.nanoseconds > 0 {
            let fraction = format!("{:09}", self.nanoseconds);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// A text that is no moment as RFC 3339 writes it, or one before 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampError(String);

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            f,
            "`{text}` is no moment since 1970: write it as 2017-08-17T12:41:04Z"
        )
    }
}

impl std::error::Error for TimestampError {}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = civil::parse(text);
        parsed
            .map(|(seconds, nanoseconds)| Self::from_unix(seconds, nanoseconds))
            .ok_or_else(|| TimestampError(text.to_owned()))
    }
}

impl TryFrom<&str> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
