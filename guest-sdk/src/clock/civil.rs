//! Days since 1970 to dates of the proleptic Gregorian calendar and back, and RFC 3339 text.
//!
//! The formulas count in eras of 400 years that begin on a 1 March, so that the leap day comes
//! last (E. G. Richards, Explanatory Supplement to the Astronomical Almanac, 3rd ed., 15.11).

const DAYS_OF_ERA: u64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;

/// Returns year, month and day (from 1) of a day counted from 1970-01-01.
pub(super) fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + 400 * era + u64::from(month <= 2);
    (year, month, day)
}

/// Returns days since 1970-01-01, or `None` for a day that does not exist or lies before.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let month_from_march = (month + 9) % 12;
    let year_from_march = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * DAYS_OF_ERA + day_of_era).checked_sub(DAYS_BEFORE_1970)?;
    (date(days) == (year, month, day)).then_some(days)
}

/// Reads RFC 3339 (section 5.6); returns seconds and nanoseconds since 1970.
///
/// Second 60 is read as the first second of the next minute. Digits beyond nanoseconds are cut.
pub(super) fn parse(text: &str) -> Option<(u64, u32)> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    matches!(text.as_bytes()[10], b'T' | b't' | b' ').then_some(())?;
    let [year, month, day] = fields(date, b'-')?;
    let [hour, minute, second] = fields(time.get(..8)?, b':')?;
    let (nanoseconds, zone) = fraction(time.get(8..)?)?;
    let offset = offset(zone)?;
    (hour < 24 && minute < 60 && second <= 60).then_some(())?;
    let seconds = days(year, month, day)? * 86400 + hour * 3600 + minute * 60 + second;
    Some((seconds.checked_add_signed(-offset)?, nanoseconds))
}

/// Splits fixed-width decimal fields.
fn fields(text: &str, separator: u8) -> Option<[u64; 3]> {
    let mut parts = text.split(char::from(separator)).map(number);
    let fields = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(fields)
}

fn number(text: &str) -> Option<u64> {
    let digits_only = text.len() >= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| text.parse().ok()).flatten()
}

/// Reads `.47` in front of the zone.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = rest.bytes().take_while(u8::is_ascii_digit).count();
    let digits = rest.get(..end)?;
    let nanoseconds = format!("{digits:0<9}").get(..9)?.parse().ok()?;
    (end > 0).then_some((nanoseconds, rest.get(end..)?))
}

/// Reads `Z` or `+01:00`; returns seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'Z' | b'z' if zone.len() == 1 => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(())?;
    let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
    Some(sign * seconds)
}
