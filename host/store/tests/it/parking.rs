//! Tasks that wait: for a moment, and for those that they called.

use bytes::Bytes;
use gwasp_store::{
    Acted, Commit, Failure, JournalEntry, Lease, MAX_DESCENDANTS, NewTask, Origin, State, Step,
    StoreError, TaskAction, TaskDetail, TaskEnd, TaskFilter, Wait,
};

use crate::common::{
    QUEUE, Rig, SECOND, START, commit, failure, offer, success, task, task_id, wait,
};

const DAY: i64 = 86_400 * SECOND;

fn act(rig: &Rig, name: &str, action: TaskAction) -> Acted {
    wait(rig.store().act(vec![task_id(name)], action, "alice")).unwrap()[0]
}

fn detail(rig: &Rig, name: &str) -> TaskDetail {
    let reader = rig.store().reader().unwrap();
    reader.task_by_id(task_id(name)).unwrap().unwrap()
}

fn end(rig: &Rig, name: &str) -> Option<TaskEnd> {
    rig.store().ends(&[task_id(name)]).unwrap().remove(0)
}

#[track_caller]
fn check_states<const N: usize>(rig: &Rig, expected: [(&str, State); N]) {
    let states = expected.map(|(name, _)| (name, detail(rig, name).task.state));
    assert_eq!(states, expected);
}

fn entry(seq: u32, text: &'static str) -> JournalEntry {
    JournalEntry {
        seq,
        bytes: Bytes::from_static(text.as_bytes()),
    }
}

fn asleep(lease: &Lease, until: i64) -> Commit {
    let mut park = commit(
        lease,
        Step::Park {
            on: Wait::Until(until),
        },
    );
    park.journal = vec![entry(0, "sleep")];
    park
}

fn called(caller: &str, name: &str) -> NewTask {
    NewTask {
        origin: Origin::Call,
        parent: Some(task_id(caller)),
        args: Some(Bytes::from_static(b"[1]")),
        ..task(name)
    }
}

/// The task of a lease calls others and waits for them.
fn calls(lease: &Lease, caller: &str, names: &[&str]) -> Commit {
    let mut park = commit(lease, Step::Park { on: Wait::Called });
    park.journal = vec![entry(0, "call")];
    park.spawns = names.iter().map(|name| called(caller, name)).collect();
    park
}

fn result(lease: &Lease, result: &'static str) -> Commit {
    let result = Some(Bytes::from_static(result.as_bytes()));
    commit(lease, Step::Succeed { result })
}

/// Ends the next task badly.
fn fail(rig: &Rig, keep: u32) {
    let lease = rig.lease();
    let failure = failure("no PSD");
    let mut end = commit(&lease, Step::Fail { failure });
    end.journal = vec![entry(0, "upload"), entry(1, "get")];
    end.keep = keep;
    rig.commit(end);
}

/// A rig in which the task `1/a` has called others.
fn with_called(names: &[&str]) -> Rig {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    rig.commit(calls(&rig.lease(), "1/a", names));
    rig
}

#[test]
fn a_task_that_sleeps_is_leased_when_it_is_due_with_its_journal() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    rig.commit(asleep(&rig.lease(), START + 270 * SECOND));
    check_states(&rig, [("1/a", State::Parked)]);
    assert_eq!(detail(&rig, "1/a").task.due, START + 270 * SECOND);
    rig.clock.advance(269 * SECOND);
    assert!(rig.try_lease().is_none());
    rig.crash();
    assert!(rig.try_lease().is_none());
    rig.check_sound();
    rig.clock.advance(SECOND);
    let lease = rig.lease();
    assert_eq!(
        (lease.attempt, lease.journal.len()),
        (1, 1),
        "the attempt goes on"
    );
    assert_eq!(lease.pinned, Some([7; 32]));
    rig.commit(success(&lease));
    rig.check_sound();
}

#[test]
fn a_task_goes_on_when_all_that_it_called_have_ended_and_can_read_how() {
    let mut rig = with_called(&["b", "c", "d"]);
    let park = detail(&rig, "1/a");
    assert_eq!(park.task.state, State::Parked);
    assert_eq!(park.waits_for, ["b", "c", "d"].map(task_id));
    assert_eq!(rig.store().depth(QUEUE).parked, 1);
    rig.commit(result(&rig.lease(), "1"));
    rig.crash();
    assert_eq!(rig.store().depth(QUEUE).parked, 1);
    fail(&rig, 1);
    let third = rig.lease();
    assert!(rig.try_lease().is_none());
    assert_eq!(end(&rig, "d"), Some(TaskEnd::Open));
    rig.commit(success(&third));
    rig.crash();

    let lease = rig.lease();
    assert_eq!((lease.task, lease.attempt), (task_id("1/a"), 1));
    assert_eq!(lease.journal, [entry(0, "call")]);
    assert_eq!(
        end(&rig, "b"),
        Some(TaskEnd::Succeeded(Some(Bytes::from_static(b"1"))))
    );
    assert_eq!(end(&rig, "c"), Some(TaskEnd::Failed(failure("no PSD"))));
    assert_eq!(end(&rig, "d"), Some(TaskEnd::Succeeded(None)));
    assert_eq!(end(&rig, "e"), None);
    rig.commit(success(&lease));
    check_states(&rig, [("1/a", State::Success), ("c", State::Delivered)]);
    rig.check_sound();
}

#[test]
fn a_failure_that_the_caller_was_told_of_is_no_dead_letter_and_does_not_live() {
    let rig = with_called(&["b"]);
    fail(&rig, 0);
    let dead = TaskFilter {
        state: Some(State::Failure),
        ..TaskFilter::default()
    };
    let reader = rig.store().reader().unwrap();
    assert!(reader.tasks(&dead).unwrap().is_empty());
    assert_eq!(reader.set_aside().unwrap(), 0);
    rig.check_sound();
}

#[test]
fn a_called_task_whose_caller_does_not_wait_is_set_aside_when_it_fails() {
    let rig = Rig::new();
    let spawned = NewTask {
        origin: Origin::Call,
        ..task("b")
    };
    let submission = gwasp_store::Submission {
        task: spawned,
        packet: None,
    };
    wait(rig.store().submit(vec![submission])).unwrap();
    fail(&rig, 0);
    check_states(&rig, [("b", State::Failure)]);
}

#[test]
fn a_task_that_was_called_before_is_not_made_again() {
    let rig = with_called(&["b", "c"]);
    rig.commit(result(&rig.lease(), "1"));
    rig.commit(result(&rig.lease(), "2"));
    rig.commit(calls(&rig.lease(), "1/a", &["b", "c"]));
    let lease = rig.lease();
    assert_eq!(
        lease.task,
        task_id("1/a"),
        "all have ended well: it goes on at once"
    );
    rig.commit(calls(&lease, "1/a", &["c", "d"]));
    let lease = rig.lease();
    assert_eq!(lease.task, task_id("d"));
    assert!(rig.try_lease().is_none());
    rig.check_sound();
}

#[test]
fn a_task_that_failed_and_is_called_again_begins_again_with_what_an_attempt_keeps() {
    let mut rig = with_called(&["b"]);
    fail(&rig, 1);
    let caller = rig.lease();
    let step = Step::Retry {
        due: START,
        failure: failure("no map"),
        keep: 0,
    };
    rig.commit(commit(&caller, step));
    rig.commit(calls(&rig.lease(), "1/a", &["b"]));
    check_states(&rig, [("1/a", State::Parked), ("b", State::Pending)]);
    rig.check_sound();
    rig.crash();
    let again = rig.lease();
    assert_eq!((again.task, again.attempt), (task_id("b"), 1));
    assert_eq!(again.journal, [entry(0, "upload")]);
    rig.commit(result(&again, "1"));
    let caller = rig.lease();
    assert_eq!((caller.task, caller.attempt), (task_id("1/a"), 2));
    rig.commit(success(&caller));
    rig.check_sound();
}

#[test]
fn what_a_revoked_task_called_is_revoked_too_however_far_down() {
    let mut rig = with_called(&["b", "c"]);
    rig.commit(calls(&rig.lease(), "b", &["d", "e"]));
    let c = rig.lease();
    assert_eq!(c.task, task_id("c"));
    assert_eq!(
        act(&rig, "1/a", TaskAction::Revoke),
        Acted::Done(State::Revoked)
    );
    let revoked = ["1/a", "b", "d", "e"].map(|name| (name, State::Revoked));
    check_states(&rig, revoked);
    let reason = detail(&rig, "d").task.failure.unwrap();
    assert_eq!(
        (reason.kind.as_str(), &*reason.message),
        ("caller", "the task that called it was ended")
    );
    assert_eq!(c.revocation.reason().unwrap().kind, "caller", "it runs");
    rig.commit(commit(&c, Step::GiveBack { due: START }));
    check_states(&rig, [("c", State::Revoked)]);
    assert!(rig.try_lease().is_none());
    rig.check_sound();
    rig.crash();
    assert!(rig.try_lease().is_none());
}

#[test]
fn a_called_task_that_is_revoked_has_its_caller_go_on() {
    let rig = with_called(&["b"]);
    assert_eq!(
        act(&rig, "b", TaskAction::Revoke),
        Acted::Done(State::Revoked)
    );
    assert_eq!(rig.lease().task, task_id("1/a"));
    let Some(TaskEnd::Revoked(reason)) = end(&rig, "b") else {
        panic!("{:?}", end(&rig, "b"));
    };
    assert_eq!(reason.message, "revoked by alice");
    rig.check_sound();
}

#[test]
fn a_task_that_waits_is_leased_at_its_deadline_and_takes_along_what_it_called() {
    let rig = Rig::new();
    let mut first = offer("1", &["1/a"]);
    first.tasks[0].policy.deadline = Some(START + 60 * SECOND);
    rig.keep(first);
    rig.commit(calls(&rig.lease(), "1/a", &["b"]));
    let b = rig.lease();
    rig.clock.advance(61 * SECOND);
    let lease = rig.lease();
    assert_eq!(lease.task, task_id("1/a"));
    let reason = Failure {
        kind: "expired".to_owned(),
        message: "its deadline passed".to_owned(),
        detail: None,
    };
    rig.commit(commit(&lease, Step::Revoke { reason }));
    assert!(b.revocation.reason().is_some());
    rig.commit(success(&b));
    check_states(&rig, [("1/a", State::Revoked), ("b", State::Success)]);
    assert!(rig.try_lease().is_none());
    rig.check_sound();
}

#[test]
fn a_sleeping_task_is_leased_at_its_deadline() {
    let rig = Rig::new();
    let mut first = offer("1", &["1/a"]);
    first.tasks[0].policy.deadline = Some(START + 60 * SECOND);
    rig.keep(first);
    rig.commit(asleep(&rig.lease(), START + 600 * SECOND));
    rig.clock.advance(61 * SECOND);
    assert_eq!(rig.lease().task, task_id("1/a"));
}

#[test]
fn a_person_may_restart_a_task_that_sleeps_and_not_one_that_waits_for_others() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.commit(asleep(&rig.lease(), START + 600 * SECOND));
    rig.commit(calls(&rig.lease(), "1/b", &["c"]));
    assert_eq!(
        act(&rig, "1/a", TaskAction::Restart),
        Acted::Done(State::Pending)
    );
    assert_eq!(
        act(&rig, "1/b", TaskAction::Restart),
        Acted::Not(State::Parked)
    );
    let a = rig.lease();
    let c = rig.lease();
    assert_eq!((c.task, a.task), (task_id("c"), task_id("1/a")));
    assert_eq!((a.journal.len(), a.pinned), (0, None));
    rig.check_sound();
}

#[test]
fn a_serial_queue_whose_task_waits_for_another_of_it_goes_on_after_a_crash() {
    let mut rig = Rig::with(|options| {
        options.serial.insert(QUEUE.to_owned());
    });
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.commit(calls(&rig.lease(), "1/a", &["c", "d"]));
    for crashes in [false, true] {
        if crashes {
            rig.crash();
        }
        let c = rig.lease();
        assert_eq!(c.task, task_id(if crashes { "d" } else { "c" }));
        assert!(rig.try_lease().is_none(), "one at a time");
        rig.commit(success(&c));
    }
    let a = rig.lease();
    assert_eq!(a.task, task_id("1/a"));
    assert!(rig.try_lease().is_none());
    rig.commit(success(&a));
    assert_eq!(rig.lease().task, task_id("1/b"));
}

#[test]
fn a_task_of_a_serial_queue_that_sleeps_lets_the_next_one_run_after_a_crash_too() {
    let mut rig = Rig::with(|options| {
        options.serial.insert(QUEUE.to_owned());
    });
    rig.keep(offer("1", &["1/a", "1/b", "1/c"]));
    rig.commit(asleep(&rig.lease(), START + SECOND));
    rig.commit(success(&rig.lease()));
    rig.crash();
    let c = rig.lease();
    assert_eq!(c.task, task_id("1/c"));
    rig.clock.advance(SECOND);
    assert!(rig.try_lease().is_none());
    rig.commit(success(&c));
    assert_eq!(rig.lease().task, task_id("1/a"));
}

#[test]
fn a_task_that_calls_more_than_may_live_makes_none() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let names: Vec<String> = (0..MAX_DESCENDANTS).map(|n| format!("b{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lease = rig.lease();
    let refused = rig.try_commit(calls(&lease, "1/a", &names));
    assert!(
        matches!(refused, Err(StoreError::TooLarge { .. })),
        "{refused:?}"
    );
    rig.commit(calls(&lease, "1/a", &names[1..]));
    assert_eq!(rig.store().depth(QUEUE).ready, MAX_DESCENDANTS - 1);
    rig.check_sound();
}

#[test]
fn the_result_of_a_called_task_is_kept_as_long_as_its_caller_may_ask_for_it() {
    let rig = with_called(&["b", "c"]);
    rig.commit(result(&rig.lease(), "1"));
    rig.keep(offer("last", &["last/a"]));
    rig.clock.advance(50 * DAY);
    wait(rig.store().retain()).unwrap();
    assert_eq!(
        end(&rig, "b"),
        Some(TaskEnd::Succeeded(Some(Bytes::from_static(b"1"))))
    );
    rig.commit(success(&rig.lease()));
    let reason = failure("enough");
    let caller = loop {
        let lease = rig.lease();
        if lease.task == task_id("1/a") {
            break lease;
        }
        rig.commit(success(&lease));
    };
    rig.commit(commit(&caller, Step::Revoke { reason }));
    wait(rig.store().retain()).unwrap();
    assert!(!matches!(end(&rig, "b"), Some(TaskEnd::Succeeded(Some(_)))));
    rig.check_sound();
}

#[test]
fn a_task_that_calls_nothing_goes_on_at_once() {
    let rig = with_called(&[]);
    assert_eq!(rig.lease().task, task_id("1/a"));
}
