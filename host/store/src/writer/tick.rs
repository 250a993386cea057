//! Schedules that go on.

use rusqlite::OptionalExtension;

use super::{Group, Writer, Written};
use crate::record::Nanos;
use crate::schema::tick_seal;
use crate::tick::Tick;

impl Writer<'_> {
    /// Has a schedule go on; `false` where it has come to another tick than the caller believes.
    pub(super) fn apply_tick(&mut self, group: &mut Group, tick: Tick) -> Written<bool> {
        if self.last_tick(&tick.schedule)? != tick.last {
            return Ok(Ok(false));
        }
        let Some(behind) = self.behind(group, None)? else {
            return Ok(Ok(false));
        };
        for task in tick.tasks {
            self.make(group, task, &behind)?;
        }
        let seal = tick_seal(&tick.schedule, tick.through);
        self.sql
            .set_tick
            .execute((&tick.schedule, tick.through, seal))?;
        Ok(Ok(true))
    }

    /// The tick up to which a schedule is done. A damaged row says nothing: the schedule is as
    /// one that is new.
    fn last_tick(&mut self, schedule: &str) -> rusqlite::Result<Option<Nanos>> {
        let row = self.sql.find_tick.query_row([schedule], |row| {
            Ok((row.get::<_, Nanos>(0)?, row.get::<_, i64>(1)?))
        });
        let whole = |(through, seal): &(Nanos, i64)| tick_seal(schedule, *through) == *seal;
        Ok(row.optional()?.filter(whole).map(|(through, _)| through))
    }
}
