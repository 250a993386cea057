//! Schedules that go on.

use bytes::Bytes;
use gwasp_store::{Input, Nanos, NewTask, Origin, Reader, Tick, TickRecord};

use crate::common::{Rig, SECOND, START, success, task, wait};

const HOURLY: &str = "cleanup.hourly";

/// The task of a tick.
fn of_tick(name: &str) -> NewTask {
    NewTask {
        origin: Origin::Beat,
        args: Some(Bytes::from(name.to_owned())),
        ..task(name)
    }
}

/// Has the schedule go on from a tick to another, whose task has this name.
fn tick(rig: &Rig, last: Option<Nanos>, through: Nanos, tasks: &[&str]) -> bool {
    let tick = Tick {
        schedule: HOURLY.to_owned(),
        last,
        through,
        tasks: tasks.iter().map(|name| of_tick(name)).collect(),
    };
    wait(rig.store().tick(tick)).unwrap()
}

fn ticks(rig: &Rig) -> Vec<TickRecord> {
    Reader::open(&rig.path()).unwrap().ticks().unwrap()
}

fn done_through(through: Nanos) -> TickRecord {
    TickRecord {
        schedule: HOURLY.to_owned(),
        through,
    }
}

#[test]
fn a_tick_makes_its_tasks_and_is_done_after_a_crash() {
    let mut rig = Rig::new();
    assert!(tick(&rig, None, START, &[]));
    assert!(tick(&rig, Some(START), START + SECOND, &["1"]));
    rig.crash();
    assert_eq!(ticks(&rig), [done_through(START + SECOND)]);
    let lease = rig.lease();
    assert_eq!(lease.origin, Origin::Beat);
    assert!(matches!(&lease.input, Input::Args(bytes) if bytes.as_ref() == b"1"));
    rig.commit(success(&lease));
    assert!(rig.try_lease().is_none());
    rig.check_sound();
}

#[test]
fn of_two_that_go_on_from_one_tick_one_does() {
    let rig = Rig::new();
    assert!(tick(&rig, None, START, &[]));
    assert!(tick(&rig, Some(START), START + SECOND, &["1"]));
    assert!(!tick(&rig, Some(START), START + SECOND, &["another"]));
    assert!(!tick(&rig, None, START, &["another"]));
    assert_eq!(rig.store().open_tasks(), 1);
    assert_eq!(ticks(&rig), [done_through(START + SECOND)]);
}

#[test]
fn a_schedule_that_is_set_back_makes_no_task_twice() {
    let rig = Rig::new();
    assert!(tick(&rig, None, START, &[]));
    assert!(tick(&rig, Some(START), START + SECOND, &["1"]));
    assert!(tick(&rig, Some(START + SECOND), START, &[]));
    assert!(tick(&rig, Some(START), START + SECOND, &["1"]));
    assert_eq!(rig.store().open_tasks(), 1);
}

#[test]
fn a_damaged_row_is_as_a_schedule_that_is_new() {
    let mut rig = Rig::new();
    assert!(tick(&rig, None, START, &[]));
    rig.close();
    let database = rusqlite::Connection::open(rig.path().join("store.sqlite")).unwrap();
    let changed = database.execute("UPDATE ticks SET through = through + 1", []);
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    rig.open();
    assert_eq!(ticks(&rig), []);
    assert!(tick(&rig, None, START + SECOND, &["1"]));
    assert_eq!(ticks(&rig), [done_through(START + SECOND)]);
}
