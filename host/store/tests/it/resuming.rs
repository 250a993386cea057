//! A person takes up a task that was set aside.

use bytes::Bytes;
use gwasp_store::{
    Acted, FailedAttempt, JournalEntry, Lease, Origin, State, Step, TaskAction, TaskDetail,
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
    wait(
        rig.store()
            .resume((task_id("1/a"), None), keep, replace, ("resumed", "alice")),
    )
    .unwrap()
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
