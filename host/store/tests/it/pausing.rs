//! What a person stops for a while.

use std::time::Duration;

use gwasp_store::{Nanos, NewTask, Offer, Scope};

use crate::common::{QUEUE, Rig, SECOND, START, offer, success, task, task_id, wait};

fn handler(name: &str) -> Scope {
    Scope::Handler {
        plugin: "fermi-log".to_owned(),
        handler: name.to_owned(),
    }
}

fn of_handler(id: &str, handler: &str) -> NewTask {
    NewTask {
        handler: handler.to_owned(),
        ..task(id)
    }
}

fn pause(rig: &Rig, scope: Scope, until: Option<Nanos>) {
    let pause = wait(rig.store().pause(scope.clone(), until, "alice")).unwrap();
    assert_eq!((pause.scope, pause.until), (scope, until));
}

#[test]
fn packets_are_kept_and_tasks_made_while_everything_is_paused() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    pause(&rig, Scope::All, None);
    rig.keep(offer("2", &["2/a"]));
    assert!(rig.try_lease().is_none());
    assert_eq!(
        (rig.store().depth(QUEUE).paused, rig.store().open_tasks()),
        (2, 2)
    );
    rig.crash();
    assert!(rig.try_lease().is_none(), "it survives a restart");
    let pauses = rig.store().pauses().unwrap();
    assert_eq!((pauses.len(), pauses[0].who.as_str()), (1, "alice"));

    assert!(wait(rig.store().unpause(Scope::All)).unwrap());
    assert!(
        !wait(rig.store().unpause(Scope::All)).unwrap(),
        "there is none"
    );
    for _ in 0..2 {
        rig.commit(success(&rig.lease()));
    }
    rig.check_sound();
}

#[test]
fn a_queue_or_a_handler_is_paused_and_others_are_not() {
    let rig = Rig::new();
    let elsewhere = NewTask {
        queue: "openmp".to_owned(),
        ..task("1/c")
    };
    rig.keep(Offer {
        tasks: vec![of_handler("1/a", "slow"), task("1/b"), elsewhere],
        ..offer("1", &[])
    });
    pause(&rig, handler("slow"), None);
    assert_eq!(rig.lease().task, task_id("1/b"));
    assert!(rig.try_lease().is_none());
    pause(&rig, Scope::Queue("openmp".to_owned()), None);
    assert!(rig.store().lease("openmp", 0).unwrap().is_none());
    assert!(!wait(rig.store().unpause(Scope::All)).unwrap());
    assert!(wait(rig.store().unpause(handler("slow"))).unwrap());
    assert_eq!(rig.lease().task, task_id("1/a"));
    assert!(rig.store().lease("openmp", 0).unwrap().is_none());
}

#[test]
fn a_pause_ends_by_itself_and_wakes_those_who_wait() {
    let rig = Rig::new();
    pause(&rig, Scope::All, Some(START + 30 * SECOND));
    rig.keep(offer("1", &["1/a"]));
    rig.clock.advance(29 * SECOND);
    assert!(rig.try_lease().is_none());
    assert_eq!(rig.store().pauses().unwrap().len(), 1);
    let store = rig.store().clone();
    let waiting = std::thread::spawn(move || {
        let next = async {
            tokio::time::timeout(Duration::from_secs(20), store.next_lease(QUEUE, 0)).await
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(next)
    });
    rig.clock.advance(SECOND);
    let lease = waiting.join().unwrap().expect("it was woken").unwrap();
    assert_eq!(lease.task, task_id("1/a"));
    assert_eq!(rig.store().pauses().unwrap(), []);
}

#[test]
fn a_pause_that_ended_while_the_store_was_closed_is_over() {
    let mut rig = Rig::new();
    pause(&rig, Scope::All, Some(START + SECOND));
    rig.keep(offer("1", &["1/a"]));
    rig.close();
    rig.clock.advance(2 * SECOND);
    rig.open();
    assert_eq!(rig.lease().task, task_id("1/a"));
}

#[test]
fn a_damaged_row_of_a_pause_stops_everything_until_a_person_ends_it() {
    let mut rig = Rig::new();
    pause(&rig, handler("slow"), None);
    rig.keep(offer("1", &["1/a"]));
    rig.close();
    let database = rusqlite::Connection::open(rig.path().join("store.sqlite")).unwrap();
    database
        .execute("UPDATE pauses SET handler = 'slop'", [])
        .unwrap();
    drop(database);
    rig.open();
    assert!(rig.try_lease().is_none());
    assert!(rig.store().pauses().is_err());
    assert!(wait(rig.store().unpause(Scope::All)).unwrap());
    assert!(rig.try_lease().is_some());
    assert_eq!(rig.store().pauses().unwrap(), []);
}

#[test]
fn a_pause_is_prolonged_and_everything_paused_however_many_pauses_there_are() {
    let rig = Rig::new();
    std::thread::scope(|threads| {
        for number in 0..1_000 {
            let store = rig.store();
            threads.spawn(move || {
                let scope = handler(&number.to_string());
                wait(store.pause(scope, None, "alice")).unwrap();
            });
        }
    });
    let one_more = wait(rig.store().pause(handler("more"), None, "alice")).unwrap_err();
    assert!(one_more.to_string().contains("pauses"), "{one_more}");
    pause(&rig, handler("7"), Some(START + 30 * SECOND));
    pause(&rig, Scope::All, None);
    pause(&rig, Scope::All, Some(START + 60 * SECOND));
    assert_eq!(rig.store().pauses().unwrap().len(), 1_001);
}
