//! A person takes up a task that was set aside.

use bytes::Bytes;
use gwasp_store::{
    Acted, FailedAttempt, JournalEntry, Lease, Looked, Origin, State, Step, TaskAction, TaskDetail,
};

use crate::common::{Rig, commit, failure, offer, success, task_id, wait};

fn entry(seq: u32, text: &str) -> JournalEntry {
    JournalEntry {
        seq,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// A task that failed in its second attempt with three entries in its journal.
fn failed(rig: &Rig) -> Lease {
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    let retry = Step::Retry {
        due: 0,
        failure: failure("busy"),
        keep: 0,
    };
    rig.commit(commit(&lease, retry));
    let lease = rig.lease();
    let mut end = commit(
        &lease,
        Step::Fail {
            failure: failure("in doubt"),
        },
    );
    end.journal = vec![entry(0, "clock"), entry(1, "in doubt"), entry(2, "clock")];
    end.version = [7; 32];
    rig.commit(end);
    lease
}

fn resume(rig: &Rig, keep: u32, replace: Option<JournalEntry>) -> bool {
    resume_onto(rig, keep, replace, None)
}

fn resume_onto(
    rig: &Rig,
    keep: u32,
    replace: Option<JournalEntry>,
    onto: Option<[u8; 32]>,
) -> bool {
    let (task, by) = ((task_id("1/a"), None), ("resumed", "alice"));
    wait(rig.store().resume(task, (keep, replace), onto, by)).unwrap()
}

/// Has the task go on with another version, as it is looked at now.
fn move_to(rig: &Rig, version: u8) -> Option<Acted> {
    move_as(rig, looked(rig), version)
}

fn move_as(rig: &Rig, looked: Looked, version: u8) -> Option<Acted> {
    let (task, what) = (task_id("1/a"), format!("moved to {version}"));
    let by = (what.as_str(), "alice");
    let moved = rig.store().move_waiting(task, looked, [version; 32], by);
    wait(moved).unwrap()
}

fn looked(rig: &Rig) -> Looked {
    let task = detail(rig).task;
    Looked {
        version: task.version,
        journal: task.journal,
        started: task.started,
    }
}

/// What was decided, in order.
fn decisions(rig: &Rig) -> Vec<String> {
    let decisions = detail(rig).decisions;
    assert!(decisions.iter().all(|one| one.who == "alice"));
    decisions.into_iter().map(|one| one.what).collect()
}

/// Gives the next task back with one more entry in its journal, written by version 7.
fn give_back(rig: &Rig, number: u32) -> Lease {
    let lease = rig.lease();
    let mut back = commit(&lease, Step::GiveBack { due: lease.made });
    back.journal = vec![entry(number, "intent")];
    back.version = [7; 32];
    rig.commit(back);
    lease
}

fn detail(rig: &Rig) -> TaskDetail {
    let reader = rig.store().reader().unwrap();
    reader.task_by_id(task_id("1/a")).unwrap().unwrap()
}

#[test]
fn a_task_that_was_set_aside_goes_on_with_a_part_of_its_journal() {
    let rig = Rig::new();
    let old = failed(&rig);
    assert!(rig.try_lease().is_none());
    assert!(resume(&rig, 2, Some(entry(1, "done"))));

    let lease = rig.lease();
    assert_eq!(lease.journal, [entry(0, "clock"), entry(1, "done")]);
    assert_eq!((lease.attempt, lease.pinned), (1, Some([7; 32])));
    assert!(rig.try_commit(success(&old)).is_err(), "an old token");
    rig.commit(success(&lease));
    assert_eq!(detail(&rig).task.state, State::Success);
    rig.check_sound();
}

#[test]
fn a_resumed_task_is_open_in_the_books_over_a_crash() {
    let mut rig = Rig::new();
    failed(&rig);
    assert!(resume(&rig, 0, None));
    rig.check_sound();
    rig.crash();
    let found = detail(&rig);
    assert_eq!((found.task.state, found.task.attempts), (State::Pending, 0));
    assert!(found.failed.is_empty(), "{found:?}");
    let lease = rig.lease();
    assert_eq!((lease.journal, lease.pinned), (Vec::new(), None));
    rig.check_sound();
}

#[test]
fn only_a_task_that_is_set_aside_can_be_resumed() {
    let rig = Rig::new();
    assert!(!resume(&rig, 0, None), "there is none");
    failed(&rig);
    assert!(resume(&rig, 0, None));
    assert!(!resume(&rig, 0, None), "it is open");
    let lease = rig.lease();
    assert!(!resume(&rig, 0, None), "it runs");
    rig.commit(success(&lease));
    assert!(!resume(&rig, 0, None), "it succeeded");
    rig.check_sound();
}

/// Each attempt that failed, as its number and its message.
fn told(failed: &[FailedAttempt]) -> Vec<(u32, &str)> {
    let told = failed.iter();
    told.map(|failed| (failed.attempt, failed.failure.message.as_str()))
        .collect()
}

#[test]
fn what_failed_before_and_who_decided_is_kept_with_a_task_that_goes_on() {
    let mut rig = Rig::new();
    failed(&rig);
    assert!(resume(&rig, 0, None));
    rig.commit(commit(
        &rig.lease(),
        Step::Retry {
            due: 0,
            failure: failure("busy again"),
            keep: 0,
        },
    ));
    let revoke = rig
        .store()
        .act(vec![task_id("1/a")], TaskAction::Revoke, "bob");
    assert_eq!(wait(revoke).unwrap(), [Acted::Done(State::Revoked)]);
    rig.crash();
    let found = detail(&rig);
    assert_eq!(
        told(&found.past),
        [(1, "busy"), (2, "in doubt"), (1, "busy again")]
    );
    let decisions: Vec<(&str, &str)> = found
        .decisions
        .iter()
        .map(|decided| (decided.what.as_str(), decided.who.as_str()))
        .collect();
    assert_eq!(decisions, [("resumed", "alice"), ("revoked", "bob")]);
    rig.check_sound();
}

#[test]
fn of_a_task_that_fails_for_ever_the_last_failures_are_kept() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    for round in 0..60 {
        let failure = failure(&round.to_string());
        rig.commit(commit(&rig.lease(), Step::Fail { failure }));
        assert!(resume(&rig, 0, None));
    }
    let found = detail(&rig);
    assert_eq!((found.past.len(), found.decisions.len()), (20, 50));
    assert_eq!(told(&found.past).last(), Some(&(1, "59")));
}

#[test]
fn a_run_in_shadow_mode_is_counted_and_marked_until_its_task_begins_anew() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let mut end = commit(
        &rig.lease(),
        Step::Fail {
            failure: failure("x"),
        },
    );
    end.is_shadow = true;
    rig.commit(end);
    assert!(detail(&rig).task.is_shadow);
    let events = rig.store().events(1, 100).unwrap().events;
    let last = events.last().and_then(|event| event.task.as_ref());
    assert!(last.is_some_and(|task| task.is_shadow), "{events:?}");
    let counted = || {
        let ledger = rig.store().reader().unwrap().ledger(0).unwrap();
        ledger.accounts[0].tasks[&Origin::Packet].shadow
    };
    assert_eq!(counted(), 1);
    rig.check_sound();
    assert!(resume(&rig, 0, None));
    rig.commit(success(&rig.lease()));
    assert!(!detail(&rig).task.is_shadow);
    assert_eq!(counted(), 0);
    rig.check_sound();
}

#[test]
fn a_task_that_is_resumed_on_another_version_stays_on_it_over_a_crash() {
    let mut rig = Rig::new();
    failed(&rig);
    assert!(resume_onto(&rig, 2, None, Some([8; 32])));
    rig.crash();
    assert_eq!(decisions(&rig), ["resumed"]);
    let lease = rig.lease();
    assert_eq!((lease.pinned, lease.journal.len()), (Some([8; 32]), 2));
    rig.check_sound();
}

#[test]
fn a_task_that_begins_anew_stays_on_no_version() {
    let rig = Rig::new();
    failed(&rig);
    assert!(resume_onto(&rig, 0, None, Some([8; 32])));
    assert_eq!(rig.lease().pinned, None);
}

#[test]
fn a_task_that_waits_is_moved_and_keeps_its_journal_and_its_turn() {
    let mut rig = Rig::new();
    for name in ["1/a", "2/a"] {
        let mut next = offer(&name[..1], &[name]);
        next.tasks[0].order_key = Some("GRB".to_owned());
        rig.keep(next);
    }
    give_back(&rig, 0);
    assert_eq!(move_to(&rig, 8), Some(Acted::Done(State::Pending)));
    assert_eq!(move_to(&rig, 9), Some(Acted::Done(State::Pending)));
    let lease = rig.lease();
    assert_eq!(lease.task, task_id("1/a"), "its turn went on");
    assert_eq!((lease.pinned, lease.journal.len()), (Some([9; 32]), 1));
    assert_eq!(move_to(&rig, 7), Some(Acted::Runs));
    assert_eq!(decisions(&rig), ["moved to 8", "moved to 9"]);
    rig.crash();
    assert_eq!(rig.lease().pinned, Some([9; 32]));
    rig.check_sound();
}

#[test]
fn only_a_task_that_waits_as_it_was_looked_at_is_moved() {
    let rig = Rig::new();
    assert_eq!(
        move_as(
            &rig,
            Looked {
                version: None,
                journal: 0,
                started: None
            },
            8
        ),
        Some(Acted::Unknown)
    );
    rig.keep(offer("1", &["1/a"]));
    assert_eq!(move_to(&rig, 8), None, "it stays on no version");
    give_back(&rig, 0);
    let before = looked(&rig);
    rig.clock.advance(1);
    give_back(&rig, 1);
    assert_eq!(move_as(&rig, before, 8), None, "its journal is longer now");
    let lease = rig.lease();
    rig.commit(success(&lease));
    assert_eq!(move_to(&rig, 8), Some(Acted::Not(State::Success)));
    assert_eq!(decisions(&rig), [""; 0]);
    rig.check_sound();
}
