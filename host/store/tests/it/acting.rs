//! What a person does to tasks while the store is open.

use bytes::Bytes;
use gwasp_store::{
    Acted, EventKind, JournalEntry, Lease, NewTask, Origin, State, Step, TaskAction, TaskDetail,
    TaskFilter, TaskId,
};

use crate::common::{QUEUE, Rig, commit, failure, offer, success, task, task_id, wait};

fn act(rig: &Rig, name: &str, action: TaskAction) -> Acted {
    let acted = wait(rig.store().act(vec![task_id(name)], action, "alice")).unwrap();
    assert_eq!(acted.len(), 1);
    acted[0]
}

fn detail(rig: &Rig, name: &str) -> TaskDetail {
    let reader = rig.store().reader().unwrap();
    reader.task_by_id(task_id(name)).unwrap().unwrap()
}

fn retry(rig: &Rig, lease: &Lease) {
    let step = Step::Retry {
        due: 0,
        failure: failure("busy"),
        keep: 1,
    };
    let mut end = commit(lease, step);
    end.journal = vec![JournalEntry {
        seq: 0,
        bytes: Bytes::from_static(b"upload"),
    }];
    rig.commit(end);
}

fn set_aside(rig: &Rig, lease: &Lease) {
    let failure = failure("no such event");
    rig.commit(commit(lease, Step::Fail { failure }));
}

#[test]
fn a_task_that_is_restarted_begins_anew() {
    for is_set_aside in [true, false] {
        let mut rig = Rig::new();
        rig.keep(offer("1", &["1/a"]));
        retry(&rig, &rig.lease());
        if is_set_aside {
            set_aside(&rig, &rig.lease());
        }
        assert_eq!(
            act(&rig, "1/a", TaskAction::Restart),
            Acted::Done(State::Pending)
        );
        rig.check_sound();
        rig.crash();
        let lease = rig.lease();
        assert_eq!(
            (lease.attempt, lease.journal, lease.pinned),
            (1, Vec::new(), None)
        );
        assert!(rig.try_lease().is_none(), "once");
        assert_eq!(
            act(&rig, "1/a", TaskAction::Restart),
            Acted::Not(State::Pending)
        );
    }
}

#[test]
fn a_dead_letter_that_is_dropped_is_revoked_and_counts_as_alive_no_more() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    set_aside(&rig, &rig.lease());
    assert_eq!(
        act(&rig, "1/a", TaskAction::Drop),
        Acted::Done(State::Revoked)
    );
    assert_eq!(
        act(&rig, "1/a", TaskAction::Drop),
        Acted::Not(State::Revoked)
    );
    let task = detail(&rig, "1/a").task;
    let reason = task.failure.unwrap();
    assert_eq!(
        (task.state, reason.kind.as_str()),
        (State::Revoked, "dropped")
    );
    assert_eq!(
        reason.message,
        "dropped by alice; it had failed: error: no such event"
    );
    let events = rig.store().events(1, 100).unwrap().events;
    assert_eq!(events.last().unwrap().kind, EventKind::Revoked);
    rig.check_sound();
    rig.crash();
    assert!(rig.try_lease().is_none());
    rig.check_sound();
}

/// A task that leaves as many children as its root may have alive.
#[test]
fn dropping_dead_letters_makes_room_for_descendants() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    set_aside(&rig, &rig.lease());
    let lease = rig.lease();
    let children = |number: usize| -> Vec<NewTask> {
        (0..number)
            .map(|child| NewTask {
                origin: Origin::Spawn,
                ..task(&format!("1/b/{child}"))
            })
            .collect()
    };
    let mut fork = success(&lease);
    fork.spawns = children(gwasp_store::MAX_DESCENDANTS);
    assert!(rig.try_commit(fork.clone()).is_err());
    act(&rig, "1/a", TaskAction::Drop);
    rig.commit(fork);
}

#[test]
fn a_task_that_waits_is_revoked_wherever_it_waits() {
    let rig = Rig::new();
    let mut packet = offer("1", &["1/due", "1/next"]);
    packet.tasks.push(NewTask {
        due: i64::MAX,
        ..task("1/later")
    });
    for name in ["1/holds", "1/in line"] {
        packet.tasks.push(NewTask {
            order_key: Some("key".to_owned()),
            priority: 0,
            ..task(name)
        });
    }
    rig.keep(packet);
    let holder = rig.lease();
    assert_eq!(rig.lease().task, task_id("1/due"));
    let names = ["1/next", "1/later", "1/in line"];
    for name in names {
        assert_eq!(
            act(&rig, name, TaskAction::Revoke),
            Acted::Done(State::Revoked)
        );
        let reason = detail(&rig, name).task.failure.unwrap();
        assert_eq!(
            (reason.kind.as_str(), reason.message.as_str()),
            ("by-hand", "revoked by alice")
        );
    }
    rig.commit(success(&holder));
    assert!(rig.try_lease().is_none());
    assert_eq!(rig.store().open_tasks(), 1);
    rig.check_sound();
}

#[test]
fn a_task_that_waits_with_the_turn_passes_it_on_when_it_is_revoked() {
    let rig = Rig::new();
    let mut packet = offer("1", &[]);
    for name in ["1/a", "1/b"] {
        packet.tasks.push(NewTask {
            order_key: Some("key".to_owned()),
            ..task(name)
        });
    }
    rig.keep(packet);
    let first = rig.lease();
    assert!(rig.try_lease().is_none());
    let due = i64::MAX;
    rig.commit(commit(&first, Step::GiveBack { due }));
    assert!(rig.try_lease().is_none(), "its turn goes on");
    act(&rig, "1/a", TaskAction::Revoke);
    assert_eq!(rig.lease().task, task_id("1/b"));
}

#[test]
fn the_worker_of_a_task_that_runs_is_asked_and_the_task_does_not_go_on() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    let (first, second) = (rig.lease(), rig.lease());
    for name in ["1/a", "1/b"] {
        assert_eq!(act(&rig, name, TaskAction::Revoke), Acted::Asked);
        assert_eq!(
            act(&rig, name, TaskAction::Restart),
            Acted::Not(State::Pending)
        );
    }
    wait(first.revocation.asked());
    assert_eq!(
        first.revocation.reason().unwrap().message,
        "revoked by alice"
    );
    rig.commit(commit(&first, Step::GiveBack { due: 0 }));
    assert_eq!(detail(&rig, "1/a").task.state, State::Revoked);
    rig.commit(success(&second));
    assert_eq!(
        detail(&rig, "1/b").task.state,
        State::Success,
        "it was done before"
    );
    assert!(rig.try_lease().is_none());
    rig.check_sound();
}

#[test]
fn a_task_that_ran_and_was_to_be_revoked_is_revoked_after_a_crash() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    assert_eq!(act(&rig, "1/a", TaskAction::Revoke), Acted::Asked);
    rig.crash();
    assert!(rig.try_lease().is_none(), "nobody gets it meanwhile");
    // What was asked for at the opening is done before what is asked for now.
    assert_eq!(
        act(&rig, "1/a", TaskAction::Revoke),
        Acted::Not(State::Revoked)
    );
    assert!(rig.try_lease().is_none());
    assert!(rig.try_commit(success(&lease)).is_err());
    let reason = detail(&rig, "1/a").task.failure.unwrap();
    assert_eq!(reason.message, "revoked by alice");
    rig.check_sound();
}

#[test]
fn each_task_of_a_call_is_answered() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    set_aside(&rig, &rig.lease());
    rig.commit(success(&rig.lease()));
    let tasks = vec![task_id("1/a"), task_id("1/b"), TaskId([0; 16])];
    let acted = wait(rig.store().act(tasks, TaskAction::Drop, "")).unwrap();
    assert_eq!(
        acted,
        [
            Acted::Done(State::Revoked),
            Acted::Not(State::Success),
            Acted::Unknown
        ]
    );
    assert_eq!(rig.store().depth(QUEUE).ready, 0);
}

#[test]
fn tasks_are_found_by_what_their_failure_says() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    set_aside(&rig, &rig.lease());
    retry(&rig, &rig.lease());
    let reader = rig.store().reader().unwrap();
    let found = |error: &str| {
        let filter = TaskFilter {
            error: Some(error.to_owned()),
            ..TaskFilter::default()
        };
        reader.task_ids(&filter).unwrap()
    };
    assert_eq!(found("such event"), [task_id("1/a")]);
    assert_eq!(found("busy"), [task_id("1/b")]);
    assert_eq!(found("%"), []);
}

#[test]
fn dispatches_of_a_packet_are_counted_over_a_crash() {
    let mut rig = Rig::new();
    let packet = rig.keep(offer("1", &[]));
    assert_eq!(wait(rig.store().next_dispatch(packet)).unwrap(), 1);
    rig.crash();
    assert_eq!(wait(rig.store().next_dispatch(packet)).unwrap(), 2);
    let unknown = gwasp_store::PacketSeq(99);
    assert!(wait(rig.store().next_dispatch(unknown)).is_err());
}
