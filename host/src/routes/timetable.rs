//! When a periodic entry runs: a function of its schedule, its time zone and a moment.
//!
//! **Invariant:** the ticks of a schedule are the same moments whoever computes them and whenever,
//! so that the tasks of two hosts that both believe to lead have the same ids.
//!
//! Cron fields name times on a wall clock (crontab(5)). A time that a clock skips, because it is
//! set forward, is the moment at which it skips: all times of one gap are one tick. A time that a
//! clock shows twice is the first of the two.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::errors::CronError;
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// When a periodic entry is to run.
#[derive(Clone, Debug)]
pub struct Timetable {
    schedule: Schedule,
    rule: Rule,
    zone: TimeZone,
    catch_up: CatchUp,
}

/// A schedule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Five fields of cron.
    Cron(String),
    /// A distance between two runs: they are at its multiples since 1970-01-01T00:00:00Z.
    Every(Duration),
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Box<Cron>),
    /// In nanoseconds.
    Every(i128),
}

/// What is done about ticks that were missed because no host ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// Nothing.
    None,
    /// The last of them is made up for.
    #[default]
    One,
    /// So many of them are made up for, the last ones.
    All(u16),
}

/// A schedule that is none.
#[derive(Debug, thiserror::Error)]
pub enum TimetableError {
    /// No cron fields.
    #[error("`{text}` is no schedule of five fields (crontab(5)): {reason}")]
    Cron {
        /// What was read.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Too short an interval.
    #[error("`every` is 1s or longer, e.g. `every = \"1m\"` for each minute")]
    TooOften,
    /// No such place.
    #[error(
        "there is no time zone `{zone}`; names are those of the IANA database, e.g. `Europe/Rome`"
    )]
    Zone {
        /// What was read.
        zone: String,
        /// What the database says.
        source: jiff::Error,
    },
    /// No such policy.
    #[error(
        "`catch_up = \"{0}\"` is none of `one`, `none` and `all(10)`, with any number up to {MOST_CAUGHT_UP}"
    )]
    CatchUp(String),
}

/// Most missed ticks that are made up for at once.
const MOST_CAUGHT_UP: u16 = 1_000;

/// A tick that comes no later than so long after its moment is on time.
const ON_TIME: SignedDuration = SignedDuration::from_secs(60);
/// The shortest interval.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
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
pub struct Due {
    /// The ticks to be run, oldest first.
    pub ticks: Vec<Timestamp>,
    /// The newest tick that has passed, run or not.
    pub through: Timestamp,
    /// Whether ticks were missed that are not run.
    pub skips: bool,
}

impl Timetable {
    /// Reads a schedule; `zone` is a name of the IANA database.
    ///
    /// # Errors
    /// [`TimetableError`], with what to write instead.
    pub fn read(schedule: Schedule, zone: &str, catch_up: CatchUp) -> Result<Self, TimetableError> {
        let rule = match &schedule {
            Schedule::Cron(text) => Rule::Cron(Box::new(cron(text)?)),
            Schedule::Every(every) if *every < LEAST_INTERVAL => {
                return Err(TimetableError::TooOften);
            }
            Schedule::Every(every) => {
                Rule::Every(i128::try_from(every.as_nanos()).unwrap_or(i128::MAX))
            }
        };
        let zone = match zone {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|source| TimetableError::Zone {
                zone: name.to_owned(),
                source,
            })?,
        };
        Ok(Self {
            schedule,
            rule,
            zone,
            catch_up,
        })
    }

    /// What is done about ticks that were missed.
    pub fn catch_up(&self) -> CatchUp {
        self.catch_up
    }

    /// The first tick after a moment; none where the calendar ends before it, or where there is
    /// no such day (30 February).
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
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
    pub fn due(&self, last: Timestamp, now: Timestamp) -> Option<Due> {
        let wanted = match self.catch_up {
            CatchUp::None | CatchUp::One => 1,
            CatchUp::All(most) => most,
        };
        let wanted = usize::from(wanted);
        // One more tells whether any is left out.
        let mut ticks = self.last_ticks(last, now, wanted.saturating_add(1));
        let through = *ticks.last()?;
        let mut skips = ticks.len() > wanted;
        ticks.drain(..ticks.len().saturating_sub(wanted));
        if self.catch_up == CatchUp::None && now.duration_since(through) > ON_TIME {
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

impl fmt::Display for Timetable {
    /// Writes it as its author would.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schedule {
            Schedule::Cron(cron) => write!(f, "{cron:?}")?,
            Schedule::Every(every) => write!(f, "every {}", humantime::format_duration(*every))?,
        }
        match self.zone.iana_name() {
            None | Some("UTC") => Ok(()),
            Some(zone) => write!(f, " {zone}"),
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::One => f.write_str("one"),
            Self::All(most) => write!(f, "all({most})"),
        }
    }
}

impl FromStr for CatchUp {
    type Err = TimetableError;

    fn from_str(text: &str) -> Result<Self, TimetableError> {
        let most = text
            .strip_prefix("all(")
            .and_then(|rest| rest.strip_suffix(')'));
        match (text, most.and_then(|most| most.trim().parse().ok())) {
            ("none", _) => Ok(Self::None),
            ("one", _) => Ok(Self::One),
            (_, Some(most @ 1..=MOST_CAUGHT_UP)) => Ok(Self::All(most)),
            _ => Err(TimetableError::CatchUp(text.to_owned())),
        }
    }
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
        let part = |part: u32| i8::try_from(part).map_err(|_range| CronError::InvalidTime);
        let wall = DateTime::new(
            i16::try_from(civil.year()).map_err(|_range| CronError::InvalidDate)?,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        );
        let wall = wall.map_err(|_range| CronError::InvalidDate)?;
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
