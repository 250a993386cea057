//! Moments as people write them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::packet::unix_nanos;

/// Reads a moment into nanoseconds since the Unix epoch: RFC 3339, a UTC day, or how long ago.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    before(Timestamp::now(), text)
}

fn before(now: Timestamp, text: &str) -> Result<i64, String> {
    let moment = if let Ok(ago) = humantime::parse_duration(text) {
        SignedDuration::try_from(ago)
            .ok()
            .and_then(|ago| now.checked_sub(ago).ok())
    } else if let Ok(time) = text.parse::<Timestamp>() {
        Some(time)
    } else if let Ok(day) = text.parse::<Date>() {
        TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
    } else {
        None
    };
    moment.map(unix_nanos).ok_or_else(|| {
        "write a time like 2026-11-01T12:00:00Z, a day like 2026-11-01, or how long ago: 7d, 12h"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::before;

    #[track_caller]
    fn check(text: &str, seconds: Option<i64>) {
        let now = "2026-11-02T00:00:00Z".parse().unwrap();
        let epoch = 1_793_577_600; // date -u -d 2026-11-02 +%s
        let read = before(now, text).ok();
        assert_eq!(
            read,
            seconds.map(|ago| (epoch - ago) * 1_000_000_000),
            "{text}"
        );
    }

    #[test]
    fn a_moment_is_a_time_a_day_or_how_long_ago() {
        check("2026-11-01T23:59:00Z", Some(60));
        check("2026-11-01", Some(86_400));
        check("1d", Some(86_400));
        check("1h 30m", Some(5_400));
        check("yesterday", None);
        check("600000y", None);
    }
}
