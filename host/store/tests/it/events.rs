//! The sequence of events: complete, in order, capped, and awaited.

use std::time::Duration;

use bytes::Bytes;
use gwasp_store::{Event, EventKind, NewRefusal, Origin, Step, StoreError};

use crate::common::{Rig, SECOND, START, commit, failure, offer, success, task, task_id, wait};

const DAY: i64 = 86_400 * SECOND;

fn events(rig: &Rig, from: u64) -> Vec<Event> {
    rig.store().events(from, 1_000).unwrap().events
}

fn refuse(rig: &Rig) {
    wait(rig.store().refuse(vec![NewRefusal {
        source: "gcn".to_owned(),
        received: START,
        reason: "no VOEvent".to_owned(),
        payload: Bytes::new(),
    }]))
    .unwrap();
}

#[test]
fn what_happens_to_packets_and_tasks_is_told_in_order() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.accept(offer("1", &[]));
    let failed = |rig: &Rig, retry: bool| {
        let lease = rig.lease();
        let failure = failure("x");
        let step = if retry {
            Step::Retry {
                due: START,
                failure,
                keep: 0,
            }
        } else {
            Step::Fail { failure }
        };
        rig.commit(commit(&lease, step));
    };
    failed(&rig, true);
    rig.clock.advance(3 * SECOND);
    rig.crash();
    failed(&rig, false);
    wait(
        rig.store()
            .resume((task_id("1/a"), None), 0, None, ("resumed", "alice")),
    )
    .unwrap();
    let lease = rig.lease();
    let started = START + 3 * SECOND;
    rig.clock.advance(2 * SECOND);
    let mut end = success(&lease);
    let mut child = task("child");
    child.origin = Origin::Spawn;
    end.spawns = vec![child];
    rig.commit(end);
    let reason = failure("too late");
    rig.commit(commit(&rig.lease(), Step::Revoke { reason }));
    refuse(&rig);

    let told = events(&rig, 1);
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "accepted",
            "made",
            "made",
            "duplicate",
            "retry",
            "set-aside",
            "resumed",
            "succeeded",
            "made",
            "revoked",
            "refused"
        ]
    );
    let numbers: Vec<u64> = told.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
    let packets: Vec<bool> = told.iter().map(|event| event.packet.is_some()).collect();
    let expected = [[true; 8].as_slice(), &[false; 3]].concat();
    assert_eq!(packets, expected, "a child has none");
    let Event { at, kind, task, .. } = &told[7];
    let task = task.as_ref().unwrap();
    assert_eq!((*at, *kind), (started + 2 * SECOND, EventKind::Succeeded));
    assert_eq!(
        (task.plugin.as_str(), task.handler.as_str()),
        ("fermi-log", "on_position")
    );
    assert_eq!((task.cpu, task.started), (1_000, Some(started)));
    assert_eq!(told[8].task.as_ref().unwrap().id, task_id("child"));
    rig.check_sound();
}

#[test]
fn a_consumer_goes_on_from_its_number() {
    let mut rig = Rig::new();
    for number in 0..5 {
        rig.keep(offer(&number.to_string(), &[]));
    }
    let first = rig.store().events(1, 2).unwrap();
    assert_eq!((first.events.len(), first.gap, first.next), (2, None, 3));
    rig.crash();
    let rest = rig.store().events(first.next, 100).unwrap();
    assert_eq!((rest.events.len(), rest.gap, rest.next), (3, None, 6));
    let none = rig.store().events(rest.next, 100).unwrap();
    assert_eq!((none.events.len(), none.gap, none.next), (0, None, 6));
}

#[test]
fn a_consumer_that_comes_late_is_told_of_the_gap() {
    let rig = Rig::with(|options| options.retention.event_count = 10);
    for number in 0..30 {
        rig.keep(offer(&number.to_string(), &[]));
    }
    let late = rig.store().events(5, 100).unwrap();
    assert_eq!((late.gap, late.next), (Some((5, 20)), 31));
    assert_eq!(late.events.len(), 10);
    let ahead = rig.store().events(100, 100).unwrap();
    assert_eq!((ahead.gap, ahead.next), (Some((31, 99)), 31));
}

#[test]
fn old_events_go_and_their_numbers_are_never_given_again() {
    let mut rig = Rig::new();
    for number in 0..3 {
        rig.keep(offer(&number.to_string(), &[]));
    }
    rig.clock.advance(8 * DAY);
    wait(rig.store().retain()).unwrap();
    rig.crash();
    rig.keep(offer("new", &[]));
    let told = rig.store().events(1, 100).unwrap();
    assert_eq!(told.gap, Some((1, 2)));
    assert_eq!(told.events.last().unwrap().number, 4);
    rig.check_sound();
}

#[test]
fn a_follower_is_woken_by_the_next_event_and_by_the_end() {
    let rig = Rig::new();
    rig.keep(offer("1", &[]));
    let store = rig.store().clone();
    assert_eq!(wait(store.watch(0)).unwrap(), 1);
    let follower = std::thread::spawn(move || {
        let last = wait(store.watch(1));
        (last, wait(store.watch(2)))
    });
    rig.keep(offer("2", &[]));
    wait(rig.store().close()).unwrap();
    let (next, end) = follower.join().unwrap();
    assert_eq!(next.unwrap(), 2);
    assert!(matches!(end, Err(StoreError::Closed)));
}

#[test]
fn a_follower_of_a_store_that_was_opened_again_knows_the_last_number() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &[]));
    rig.crash();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let last = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), rig.store().watch(0)).await
    });
    assert_eq!(last.unwrap().unwrap(), 1);
}
