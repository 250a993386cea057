//! What happened, as one sequence of numbered events.
//!
//! The events of one group commit are one row, a *page*: they are written with what they tell
//! of, and cost little. Old pages go by count and age; a consumer that comes late is told which
//! numbers are gone.
//!
//! An event is one byte of kind and of what follows, then numbers of variable length (LEB128):
//! the packet; the task's 16 bytes, its row of `handlers` and its CPU time; for how long it ran.

use crate::record::{Nanos, PacketSeq, TaskId};

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A packet was kept.
    Accepted,
    /// A packet came again.
    Duplicate,
    /// Bytes were refused.
    Refused,
    /// A task was made.
    Made,
    /// A task ended well.
    Succeeded,
    /// An attempt failed, and there will be another.
    Retry,
    /// A task was set aside.
    SetAside,
    /// A task was ended by a decision.
    Revoked,
    /// A task that had ended goes on.
    Resumed,
    /// A task sleeps, or waits for tasks that it called.
    Parked,
}

/// All kinds, in the order of their codes, which are frozen.
const KINDS: [EventKind; 10] = [
    EventKind::Accepted,
    EventKind::Duplicate,
    EventKind::Refused,
    EventKind::Made,
    EventKind::Succeeded,
    EventKind::Retry,
    EventKind::SetAside,
    EventKind::Revoked,
    EventKind::Resumed,
    EventKind::Parked,
];
const KIND: u8 = 0x0f;
const HAS_PACKET: u8 = 0x10;
const HAS_TASK: u8 = 0x20;
const HAS_STARTED: u8 = 0x40;
const IS_SHADOW: u8 = 0x80;

impl EventKind {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::Made => "made",
            Self::Succeeded => "succeeded",
            Self::Retry => "retry",
            Self::SetAside => "set-aside",
            Self::Revoked => "revoked",
            Self::Resumed => "resumed",
            Self::Parked => "parked",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Duplicate => 1,
            Self::Refused => 2,
            Self::Made => 3,
            Self::Succeeded => 4,
            Self::Retry => 5,
            Self::SetAside => 6,
            Self::Revoked => 7,
            Self::Resumed => 8,
            Self::Parked => 9,
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, from 1; none is left out.
    pub number: u64,
    /// When it was committed.
    pub at: Nanos,
    /// What it tells of.
    pub kind: EventKind,
    /// The packet that it is about, or that the task is run on.
    pub packet: Option<PacketSeq>,
    /// The task that it is about.
    pub task: Option<TaskEvent>,
}

/// What an event tells of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// The task.
    pub id: TaskId,
    /// Plugin that holds the handler.
    pub plugin: String,
    /// Handler or task name.
    pub handler: String,
    /// CPU time of the attempt that ended, nanoseconds; 0 where none did.
    pub cpu: u64,
    /// When the attempt began that ended.
    pub started: Option<Nanos>,
    /// Whether that attempt was in shadow mode: it made no effect.
    pub is_shadow: bool,
}

/// An attempt that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    /// CPU time, nanoseconds.
    pub(crate) cpu: u64,
    pub(crate) since: Nanos,
    pub(crate) is_shadow: bool,
}

/// Events in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Those that were asked for, as many as there are.
    pub events: Vec<Event>,
    /// The numbers that were asked for and are not kept any more, or that this store has not
    /// given yet: both ends included.
    pub gap: Option<(u64, u64)>,
    /// The number to ask from next.
    pub next: u64,
}

/// A task in an event that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) task: TaskId,
    /// Row of `handlers`.
    pub(crate) handler: i64,
    pub(crate) cpu: u64,
    pub(crate) started: Option<Nanos>,
    pub(crate) is_shadow: bool,
}

/// The events of one group, encoded.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) count: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Page {
    /// Adds an event that is committed at `at`.
    pub(crate) fn add(
        &mut self,
        at: Nanos,
        kind: EventKind,
        packet: Option<i64>,
        about: Option<About>,
    ) {
        let started = about.and_then(|about| about.started);
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        self.count += 1;
        self.bytes.push(
            kind.code()
                | flag(packet.is_some(), HAS_PACKET)
                | flag(about.is_some(), HAS_TASK)
                | flag(started.is_some(), HAS_STARTED)
                | flag(about.is_some_and(|about| about.is_shadow), IS_SHADOW),
        );
        if let Some(packet) = packet {
            self.number(packet);
        }
        if let Some(about) = about {
            self.bytes.extend_from_slice(&about.task.0);
            self.number(about.handler);
            self.number(i64::try_from(about.cpu).unwrap_or(i64::MAX));
        }
        if let Some(started) = started {
            self.number(at.saturating_sub(started));
        }
    }

    /// Writes a number that is not negative; a negative one becomes 0.
    fn number(&mut self, number: i64) {
        let mut rest = u64::try_from(number).unwrap_or(0);
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                self.bytes.push(low & 0x7f);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }
}

/// An event as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) kind: EventKind,
    pub(crate) packet: Option<i64>,
    pub(crate) about: Option<About>,
}

/// Reads the events of a page that was written at `at`, from the first on; `None` where they are
/// damaged.
pub(crate) fn read_page(mut bytes: &[u8], at: Nanos) -> Option<Vec<Written>> {
    let mut events = Vec::new();
    while let Some((head, rest)) = bytes.split_first() {
        bytes = rest;
        let kind = *KINDS.get(usize::from(head & KIND))?;
        let packet = if head & HAS_PACKET != 0 {
            Some(read_number(&mut bytes)?)
        } else {
            None
        };
        let mut about = None;
        if head & HAS_TASK != 0 {
            let (task, rest) = bytes.split_first_chunk()?;
            bytes = rest;
            about = Some(About {
                task: TaskId(*task),
                handler: read_number(&mut bytes)?,
                cpu: u64::try_from(read_number(&mut bytes)?).ok()?,
                started: None,
                is_shadow: head & IS_SHADOW != 0,
            });
        }
        if head & HAS_STARTED != 0 {
            let started = at.saturating_sub(read_number(&mut bytes)?);
            about.as_mut()?.started = Some(started);
        }
        events.push(Written {
            kind,
            packet,
            about,
        });
    }
    Some(events)
}

fn read_number(bytes: &mut &[u8]) -> Option<i64> {
    let mut number: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return i64::try_from(number).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_of_kinds_are_read_back() {
        for (code, kind) in KINDS.iter().enumerate() {
            assert_eq!(usize::from(kind.code()), code);
        }
    }

    proptest! {
        #[test]
        fn events_come_back_as_they_were_written(
            events in prop::collection::vec(
                (0..KINDS.len(), any::<Option<u32>>(), any::<Option<(u32, u64, Option<u32>, bool)>>()),
                0..40,
            ),
        ) {
            let at = 1_767_312_000_000_000_000;
            let mut page = Page::default();
            let mut expected = Vec::new();
            for (kind, packet, about) in events {
                let kind = KINDS[kind];
                let packet = packet.map(i64::from);
                let about = about.map(|(handler, cpu, ran, is_shadow)| About {
                    task: TaskId([handler.to_le_bytes()[0]; 16]),
                    handler: i64::from(handler),
                    cpu: cpu >> 1,
                    started: ran.map(|ran| at - i64::from(ran)),
                    is_shadow,
                });
                page.add(at, kind, packet, about);
                expected.push(format!("{:?}", Written { kind, packet, about }));
            }
            let read = read_page(&page.bytes, at).unwrap();
            prop_assert_eq!(page.count as usize, read.len());
            let read: Vec<String> = read.iter().map(|event| format!("{event:?}")).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn a_damaged_page_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(events) = read_page(&bytes, 0) {
                prop_assert!(events.len() <= bytes.len());
            }
        }
    }
}
