//! The ledger: every packet and task in one counted place, per stream and day.

use bytes::Bytes;
use gwasp_store::{Ledger, NewRefusal, Origin, Step, TaskCounts, day_of};

use crate::common::{Rig, SECOND, START, commit, failure, offer, success, wait};

fn ledger(rig: &Rig) -> Ledger {
    rig.store().reader().unwrap().ledger(i64::MIN).unwrap()
}

#[test]
fn every_arrival_and_task_is_in_one_place() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b", "1/c"]));
    rig.accept(offer("1", &["1/a"]));
    let mut held = offer("2", &[]);
    held.unmatched = Some("held-back".to_owned());
    rig.keep(held);
    rig.keep(offer("3", &[]));
    wait(rig.store().refuse(vec![NewRefusal {
        source: "gcn".to_owned(),
        received: START,
        reason: "no VOEvent".to_owned(),
        payload: Bytes::new(),
    }]))
    .unwrap();
    wait(rig.store().note_unconfirmed("gcn", 2)).unwrap();
    rig.commit(success(&rig.lease()));
    rig.commit(commit(
        &rig.lease(),
        Step::Fail {
            failure: failure("x"),
        },
    ));

    let ledger = ledger(&rig);
    let [account] = ledger.accounts.as_slice() else {
        panic!("one stream on one day: {ledger:#?}")
    };
    assert_eq!(
        (account.source.as_str(), account.day),
        ("gcn", day_of(START))
    );
    let listener = account.listener;
    assert_eq!(
        (listener.read, listener.refused, listener.duplicate),
        (7, 1, 1)
    );
    assert_eq!((listener.accepted, listener.unconfirmed), (3, 2));
    assert_eq!(account.matched, 1);
    assert_eq!(account.unmatched["held-back"], 1);
    assert_eq!(account.unmatched["no-handler"], 1);
    let expected = TaskCounts {
        made: 3,
        succeeded: 1,
        failed: 1,
        revoked: 0,
        open: 1,
        shadow: 0,
    };
    assert_eq!(account.tasks[&Origin::Packet], expected);
    rig.check_sound();
}

#[test]
fn children_are_counted_on_their_packets_day_and_stream() {
    let rig = Rig::new();
    let mut old = offer("1", &["1/a"]);
    old.packet.received = START - 86_400 * SECOND;
    rig.keep(old);
    let lease = rig.lease();
    let mut end = success(&lease);
    end.spawns = vec![crate::common::task("child")];
    end.spawns[0].origin = Origin::Spawn;
    rig.commit(end);
    let ledger = ledger(&rig);
    assert_eq!(ledger.accounts.len(), 1);
    assert_eq!(ledger.accounts[0].day, day_of(START) - 1);
    assert_eq!(ledger.accounts[0].tasks[&Origin::Spawn].open, 1);
    assert!(
        rig.store()
            .reader()
            .unwrap()
            .ledger(day_of(START))
            .unwrap()
            .accounts
            .is_empty()
    );
    rig.check_sound();
}

#[test]
fn a_lost_row_is_an_imbalance_and_a_difference() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.close();
    let database = rusqlite::Connection::open(rig.path().join("store.sqlite")).unwrap();
    database
        .execute("DELETE FROM tasks WHERE seq = 1", [])
        .unwrap();
    drop(database);
    let reader = gwasp_store::Reader::open(&rig.path()).unwrap();
    let found = reader.ledger(i64::MIN).unwrap().balances().unwrap_err();
    assert_eq!(
        found[0].to_string(),
        format!(
            "gcn on day {}: made = succeeded + failed + revoked + open does not hold: 2 and 1",
            day_of(START)
        )
    );
    assert_eq!(reader.verify(true).unwrap().differences.len(), 1);
}

#[test]
fn a_store_verifies_while_it_is_written() {
    let rig = Rig::new();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 0..200 {
                rig.keep(offer(&number.to_string(), &[&format!("{number}/a")]));
                rig.commit(success(&rig.lease()));
            }
        });
        while !writing.is_finished() {
            rig.check_sound();
        }
    });
    rig.check_sound();
}
