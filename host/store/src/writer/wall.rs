//! Whether the wall clock may say what is old.
//!
//! A clock that jumps ahead makes everything old at once, and an identity that is forgotten
//! makes a second alert of a packet that comes again. So each commit compares how far the wall
//! clock moved since the last one with the monotonic time that passed:
//!
//! - Where they differ by more than [`STEP`], nothing goes by age until the clock has agreed for
//!   [`AGREED`], counted anew from each step and each opening. Too many bytes go meanwhile: that
//!   needs no clock.
//! - After a leap ahead by more than [`LEAP`], as from a clock that was never set, times before
//!   it say nothing: what was kept then is kept once more as long, from the leap on.
//!
//! Nobody can tell a step from a time in which the store was closed, or the machine asleep: that
//! costs disk space, never an identity. A store that is never open for a day removes nothing by
//! age.

use std::time::Duration;

use rusqlite::Connection;

use crate::record::Nanos;
use crate::schema::meta;

/// A step that is longer is told, although it makes nothing old.
const TOLD: Nanos = 5 * 1_000_000_000;
/// A clock that is slewed differs by less than this part of the time (adjtimex(2): 500 ppm).
const SLEWED: Nanos = 1_000;
/// By how much the clocks may differ from one commit to the next.
const STEP: Nanos = HOUR;
/// For how long a clock has to agree that was doubted.
const AGREED: Duration = Duration::from_hours(24);
/// After a leap that is longer, no time before it is believed: for so long are identities
/// remembered.
const LEAP: Nanos = 30 * 24 * HOUR;
const HOUR: Nanos = 3600 * 1_000_000_000;

/// What is known of the wall clock.
#[derive(Debug, Default)]
pub(super) struct Wall {
    /// The time of the last look; 0 where there was none.
    last: Nanos,
    /// The monotonic time of the last look.
    passed: Duration,
    /// This process looked before: the time since is no time in which the store was closed.
    has_looked: bool,
    /// The monotonic time from which the clock is believed, where it is doubted.
    doubted_to: Option<Duration>,
    /// When the clock leapt ahead, by itself; 0 where it never did.
    leapt: Nanos,
    /// The rows do not have it as it is here.
    is_unwritten: bool,
}

impl Wall {
    /// Reads what a former process knew; `passed` is the monotonic time.
    pub(super) fn read(connection: &Connection, passed: Duration) -> rusqlite::Result<Self> {
        let is_doubted = meta(connection, "clock_doubted")? != 0;
        Ok(Self {
            last: meta(connection, "last_commit")?,
            passed,
            has_looked: false,
            doubted_to: is_doubted.then(|| passed.saturating_add(AGREED)),
            leapt: meta(connection, "clock_leapt")?,
            is_unwritten: false,
        })
    }

    /// Looks at both clocks.
    pub(super) fn look(&mut self, (now, passed): (Nanos, Duration)) {
        let went = nanos(passed.saturating_sub(self.passed));
        let step = now.saturating_sub(self.last).saturating_sub(went);
        if self.last != 0 && step.saturating_abs() > STEP {
            tracing::warn!(
                seconds = step / 1_000_000_000,
                "the clock moved by so much more than time passed, or the store was closed; nothing is removed by age until it has agreed for a day"
            );
            self.doubted_to = Some(passed.saturating_add(AGREED));
            self.is_unwritten = true;
            if step > LEAP {
                self.leapt = now;
            }
        } else if self.is_told(step, went) {
            tracing::warn!(
                seconds = step / 1_000_000_000,
                "the clock was set, by so much more than time passed, or the machine slept; tasks are due by the new time"
            );
        }
        if self.leapt > now {
            // It was put back.
            self.leapt = now;
            self.is_unwritten = true;
        }
        if self.doubted_to.is_some_and(|to| passed >= to) {
            tracing::info!("the clock agreed for a day; what is old is removed again");
            self.doubted_to = None;
            self.is_unwritten = true;
        }
        self.last = now;
        self.passed = passed;
        self.has_looked = true;
    }

    /// Whether a step that makes nothing old is one that a person wants to know of.
    fn is_told(&self, step: Nanos, went: Nanos) -> bool {
        self.has_looked && step.saturating_abs() > TOLD + went / SLEWED
    }

    /// Returns whether the clock may say what is old.
    pub(super) fn is_believed(&self) -> bool {
        self.doubted_to.is_none()
    }

    /// Returns when the clock leapt ahead; 0 where it never did.
    pub(super) fn leapt(&self) -> Nanos {
        self.leapt
    }

    /// Returns the rows of `meta` that are to be written.
    pub(super) fn unwritten(&self) -> Option<[(&'static str, i64); 2]> {
        let doubted = i64::from(self.doubted_to.is_some());
        self.is_unwritten
            .then_some([("clock_doubted", doubted), ("clock_leapt", self.leapt)])
    }

    /// Notes that the rows are on disk.
    pub(super) fn written(&mut self) {
        self.is_unwritten = false;
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Nanos = 1_767_312_000_000_000_000;
    const DAY: Nanos = 24 * HOUR;

    /// A clock that was looked at when nothing had passed.
    fn wall() -> Wall {
        let mut wall = Wall::default();
        wall.look((START, Duration::ZERO));
        wall
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_hours(hours)
    }

    #[test]
    fn a_clock_that_goes_with_the_time_is_believed() {
        let mut wall = wall();
        assert!(wall.is_believed());
        wall.look((START + 40 * DAY + HOUR, hours(40 * 24)));
        assert!(wall.is_believed());
        assert_eq!((wall.leapt(), wall.unwritten()), (0, None));
    }

    #[test]
    fn a_step_is_believed_after_a_day_in_which_there_was_no_other() {
        for step in [2 * HOUR, -2 * HOUR] {
            let mut wall = wall();
            wall.look((START + step, hours(0)));
            assert!(!wall.is_believed());
            wall.look((START + 23 * HOUR, hours(23)));
            wall.look((START + 46 * HOUR, hours(46)));
            assert!(!wall.is_believed(), "it was put right in between");
            wall.look((START + 47 * HOUR, hours(47)));
            assert!(wall.is_believed());
            assert_eq!(wall.leapt(), 0);
        }
    }

    #[test]
    fn a_clock_that_was_set_is_told_and_one_that_is_slewed_is_not() {
        let (second, day) = (1_000_000_000, DAY);
        assert!(wall().is_told(6 * second, second));
        assert!(wall().is_told(-6 * second, second));
        assert!(!wall().is_told(5 * second, second));
        assert!(!wall().is_told(43 * second, day), "500 ppm of a day");
        assert!(wall().is_told(93 * second, day));
        assert!(
            !Wall::default().is_told(6 * second, second),
            "it was closed"
        );
    }

    #[test]
    fn a_leap_is_noted_until_the_clock_is_put_back() {
        let mut wall = wall();
        wall.look((START + 31 * DAY, hours(0)));
        assert_eq!(wall.leapt(), START + 31 * DAY);
        let rows = [("clock_doubted", 1), ("clock_leapt", START + 31 * DAY)];
        assert_eq!(wall.unwritten(), Some(rows));
        wall.look((START, hours(0)));
        assert_eq!(wall.leapt(), START);
    }
}
