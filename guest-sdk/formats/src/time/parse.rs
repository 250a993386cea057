//! The text of a time.

use super::{NoticeTime, SECONDS_PER_DAY, TimeScale};

/// Digits of a fraction beyond this many say nothing any more.
const MAX_FRACTION: usize = 30;

/// Reads `YYYY-MM-DDThh:mm:ss[.fraction][zone]`; `None` if it is not that or does not exist.
pub(super) fn parse(text: &str) -> Option<NoticeTime> {
    let mut rest = Rest(text.trim().as_bytes());
    let (year, month, day) = (rest.number(4)?, rest.after(b"-", 2)?, rest.after(b"-", 2)?);
    let (hour, minute, second) = (
        rest.after(b"Tt ", 2)?,
        rest.after(b":", 2)?,
        rest.after(b":", 2)?,
    );
    let fraction = rest.fraction()?;
    let east = rest.zone()?;
    let days = day_of(year, month, day)?;
    let second = second_of_day(hour, minute, second, &fraction)? - east;
    let leap = i64::from(second_is_60(text));
    let (days, second) = normalised(days, second - leap);
    let in_leap_second =
        leap == 1 && second == SECONDS_PER_DAY - 1 && super::ends_with_leap_second(days);
    let (year, ..) = super::civil_from_days(days);
    if (leap == 1 && !in_leap_second) || !(0..=9999).contains(&year) {
        return None;
    }
    Some(NoticeTime {
        days,
        second: second + leap,
        fraction,
        scale: TimeScale::Utc,
    })
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Reads exactly `digits` digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')),
        )
    }

    /// Reads one of `separators` and then exactly `digits` digits.
    fn after(&mut self, separators: &[u8], digits: usize) -> Option<i64> {
        self.one_of(separators)?;
        self.number(digits)
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Reads the fraction's digits, if there is one.
    fn fraction(&mut self) -> Option<String> {
        if self.one_of(b".,").is_none() {
            return Some(String::new());
        }
        let length = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let digits = str::from_utf8(digits).ok()?;
        (length <= MAX_FRACTION).then(|| digits.to_owned())
    }

    /// Reads the zone to the end of the text; seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.0.is_empty() || matches!(self.0, b"Z" | b"z") {
            return Some(0);
        }
        let sign = match self.one_of(b"+-")? {
            b'+' => 1,
            _ => -1,
        };
        let hours = self.number(2)?;
        let minutes = match self.0 {
            [] => 0,
            [b':', ..] => self.after(b":", 2)?,
            _ => self.number(2)?,
        };
        let exists = self.0.is_empty() && hours <= 14 && minutes < 60;
        exists.then_some(sign * (hours * 3600 + minutes * 60))
    }
}

fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap_year),
        _ => return None,
    };
    (1..=length)
        .contains(&day)
        .then(|| super::days_from_civil(year, month, day))
}

/// Seconds since midnight; 24:00:00 is the end of the day, as XML Schema has it.
fn second_of_day(hour: i64, minute: i64, second: i64, fraction: &str) -> Option<i64> {
    let end_of_day =
        hour == 24 && minute == 0 && second == 0 && fraction.bytes().all(|b| b == b'0');
    let exists = (hour < 24 && minute < 60 && second <= 60) || end_of_day;
    exists.then_some(hour * 3600 + minute * 60 + second)
}

fn second_is_60(text: &str) -> bool {
    text.trim().get(17..19) == Some("60")
}

fn normalised(days: i64, second: i64) -> (i64, i64) {
    (
        days + second.div_euclid(SECONDS_PER_DAY),
        second.rem_euclid(SECONDS_PER_DAY),
    )
}
