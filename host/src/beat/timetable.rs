//! When a schedule ticks: a function of the schedule, its time zone and a moment.
//!
//! **Invariant:** the ticks of a schedule are the same moments whoever computes them and whenever,
//! so that the tasks of two hosts that both believe to lead have the same ids.
//!
//! Cron fields name times on a wall clock (crontab(5)). A time that a clock skips, because it is
//! set forward, is the moment at which it skips: all times of one gap are one tick. A time that a
//! clock shows twice is the first of the two.

use std::cmp::Ordering;
use std::str::FromStr as _;
use std::time::Duration;

use croner::errors::CronError;
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::routes::Schedule;

/// The moments at which something is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Timetable {
    rule: Rule,
    zone: TimeZone,
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Box<Cron>),
    /// Multiples of so many nanoseconds since the Unix epoch.
    Every(i128),
}

/// What is done about ticks that were missed because no host ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CatchUp {
    /// Nothing.
    None,
    /// The last of them is made up for.
    #[default]
    One,
    /// So many of them are made up for, the last ones.
    All(u32),
}

/// A schedule that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TimetableError {
    /// No cron fields.
    #[error("`{text}` is no schedule of five fields (crontab(5)): {reason}")]
    Cron { text: String, reason: String },
    /// An interval of nothing.
    #[error("a schedule cannot run every 0 s; `every = \"1m\"` is each minute")]
    Zero,
    /// No such place.
    #[error(
        "there is no time zone `{0}`; names are those of the IANA database, e.g. `Europe/Rome`"
    )]
    Zone(String),
}

/// A tick that comes no later than so long after its moment is on time.
const ON_TIME: SignedDuration = SignedDuration::from_secs(60);
/// How far back ticks are looked for, until there are enough of them.
const LOOKS_BACK: [SignedDuration; 5] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(32 * 24),
    SignedDuration::from_hours(366 * 24),
    // Between two 29 February may lie eight years (1896 to 1904).
    SignedDuration::from_hours(8 * 366 * 24),
];

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The ticks to be run, oldest first.
    pub(crate) ticks: Vec<Timestamp>,
    /// The newest tick that has passed, run or not.
    pub(crate) through: Timestamp,
    /// Whether ticks were missed that are not run.
    pub(crate) skips: bool,
}

impl Timetable {
    /// Reads a schedule; `zone` is a name of the IANA database.
    pub(crate) fn read(schedule: &Schedule, zone: &str) -> Result<Self, TimetableError> {
        let rule = match schedule {
            Schedule::Cron(text) => Rule::Cron(Box::new(cron(text)?)),
            Schedule::Every(Duration::ZERO) => return Err(TimetableError::Zero),
            Schedule::Every(every) => {
                Rule::Every(i128::try_from(every.as_nanos()).unwrap_or(i128::MAX))
            }
        };
        let zone = match zone {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| TimetableError::Zone(name.to_owned()))?,
        };
        Ok(Self { rule, zone })
    }

    /// The first tick after a moment; none where the calendar ends before it, or where there is
    /// no such day (30 February).
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every(every) => {
                let past = after.as_nanosecond().div_euclid(*every);
                Timestamp::from_nanosecond((past + 1).checked_mul(*every)?).ok()
            }
            Rule::Cron(cron) => self.next_of_cron(cron, after),
        }
    }

    /// What is due at `now`, when ticks up to `last` are done with; nothing where no tick lies
    /// between them.
    pub(crate) fn due(&self, last: Timestamp, now: Timestamp, catch_up: CatchUp) -> Option<Due> {
        let wanted = match catch_up {
            CatchUp::None | CatchUp::One => 1,
            CatchUp::All(most) => most.max(1),
        };
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        // One more tells whether any is left out.
        let mut ticks = self.last_ticks(last, now, wanted.saturating_add(1));
        let through = *ticks.last()?;
        let mut skips = ticks.len() > wanted;
        ticks.drain(..ticks.len().saturating_sub(wanted));
        if catch_up == CatchUp::None && now.duration_since(through) > ON_TIME {
            ticks.clear();
            skips = true;
        }
        Some(Due {
            ticks,
            through,
            skips,
        })
    }

    /// The last ticks in `(last, now]`, at most `most`, oldest first.
    fn last_ticks(&self, last: Timestamp, now: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut found = Vec::new();
        for back in LOOKS_BACK {
            let from = now.checked_sub(back).map_or(last, |from| from.max(last));
            let passed = |tick: &Timestamp| *tick <= now;
            let ticks = std::iter::successors(self.next(from), |tick| self.next(*tick));
            found = ticks.take_while(passed).collect();
            if found.len() >= most || from == last {
                break;
            }
        }
        found.drain(..found.len().saturating_sub(most));
        found
    }

    fn next_of_cron(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let mut wall = Wall(self.zone.to_datetime(after));
        loop {
            wall = cron.find_next_occurrence(&wall, false).ok()?;
            let tick = self.moment(wall.0)?;
            // A clock that is set back shows times that it showed before.
            if tick > after {
                return Some(tick);
            }
        }
    }

    /// When a clock of this zone shows a time.
    fn moment(&self, wall: DateTime) -> Option<Timestamp> {
        let shown = self.zone.to_ambiguous_timestamp(wall);
        match shown.offset() {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                shown.earlier().ok()
            }
            // The last moment before is that with the former offset, minus the gap.
            AmbiguousOffset::Gap { .. } => {
                let inside = shown.earlier().ok()?;
                let change = self.zone.following(inside).next();
                change.map(|change| change.timestamp())
            }
        }
    }
}

fn cron(text: &str) -> Result<Cron, TimetableError> {
    let error = |reason: String| TimetableError::Cron {
        text: text.to_owned(),
        reason,
    };
    if text.split_whitespace().count() != 5 {
        return Err(error("there are not five".to_owned()));
    }
    Cron::from_str(text).map_err(|reason| error(reason.to_string()))
}

/// What a clock on a wall shows, without its zone.
#[derive(Clone, Debug)]
struct Wall(DateTime);

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        let part = |part: i8| u32::from(part.unsigned_abs());
        let Self(wall) = self;
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(
                i32::from(wall.year()),
                part(wall.month()),
                part(wall.day()),
            ),
            CivilTime::from_parts_unchecked(
                part(wall.hour()),
                part(wall.minute()),
                part(wall.second()),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(u32::from(days.unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidTime);
        let wall = DateTime::new(
            i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        );
        let wall = wall.map_err(|_| CronError::InvalidDate)?;
        Ok(Resolution::Single(Self(wall)))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let moved = self.0.checked_add(SignedDuration::from_secs(seconds));
        moved.ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests;
