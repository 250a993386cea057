//! The events of a group: one page in the transaction of what they tell of.

use super::{Group, Writer};
use crate::event::{About, EventKind, Page, Ran};
use crate::record::Nanos;
use crate::schedule::OpenTask;
use crate::schema::{column, seal_of, unsigned};

/// Pages that may go with each that comes, where there are too many events.
const PAGES: u32 = 4;

impl Group {
    /// Notes that something happened to a packet.
    pub(super) fn tell(&mut self, kind: EventKind, packet: Option<i64>) {
        self.events.add(self.now, kind, packet, None);
    }

    /// Notes that something happened to a task; `ran` is the attempt that ended with it.
    pub(super) fn tell_of_task(&mut self, kind: EventKind, task: &OpenTask, ran: Option<Ran>) {
        let about = About {
            task: task.id,
            handler: task.handler.row,
            cpu: ran.map_or(0, |ran| ran.cpu),
            started: ran.map(|ran| ran.since),
            is_shadow: ran.is_some_and(|ran| ran.is_shadow),
        };
        self.events.add(self.now, kind, task.packet, Some(about));
    }
}

impl Writer<'_> {
    /// Writes the page of a group, and removes the oldest where there are too many events.
    pub(super) fn write_events(&mut self, now: Nanos, page: &Page) -> rusqlite::Result<()> {
        if page.count == 0 {
            return Ok(());
        }
        let first = self.known.next_event;
        let next = first + i64::from(page.count);
        let seal = seal_of(first, &page.bytes);
        self.sql
            .insert_events
            .execute((first, next - 1, now, &page.bytes, seal))?;
        self.known.next_event = next;
        let most = column(self.shared.options.retention.event_count);
        let keep = next.saturating_sub(most);
        if self.shared.options.removes && self.known.oldest_event < keep {
            // The page that was just written stays, however many events it has.
            self.sql.cut_events.execute((keep.min(first), PAGES))?;
            self.known.oldest_event = self.oldest_event()?;
        }
        Ok(())
    }

    pub(super) fn oldest_event(&mut self) -> rusqlite::Result<i64> {
        self.sql.oldest_event.query_row([], |row| row.get(0))
    }

    /// Wakes who waits for events.
    pub(super) fn ring(&self) {
        let last = unsigned(self.known.next_event - 1);
        self.shared.news.send_if_modified(|known| {
            let is_news = *known != last;
            *known = last;
            is_news
        });
    }
}
