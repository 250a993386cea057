//! Handlers that wait: they hold nothing meanwhile, and go on after any crash.

use std::time::Instant;

use gwasp_tests::process::Process;

use super::stage::Task;
use super::stage::has_strace;
use super::{Asking, LIMIT, Stage, check_same};
use crate::harness::{number, record};
use crate::service::Reply;
use serde_json::json;

/// Runs the handler of a notice in a host that is not disturbed.
fn run(stage: &Stage) -> (Task, Process) {
    let host = stage.host();
    let task = stage.ended();
    (task, host)
}

#[track_caller]
fn check_result(notice_type: &str, result: &str) -> (Stage, Process) {
    let stage = Stage::new(notice_type, Asking::Opaque);
    let (task, host) = run(&stage);
    assert_eq!(
        (task.state.as_str(), task.result.as_str()),
        ("SUCCESS", result),
        "{task:?}\n{}",
        host.last_lines()
    );
    (stage, host)
}

#[test]
fn a_chain_of_a_thousand_tasks_answers_its_length() {
    let stage = Stage::new("241", Asking::Opaque);
    let begun = Instant::now();
    let host = stage.host();
    stage.wait_ended(1_002);
    record(&json!({"what": "chain of 1,000", "seconds": begun.elapsed().as_secs_f64()})).unwrap();
    assert_eq!(stage.first_result(), "1000");
    stage.stop(host);
    stage.check_ledger(1_002, 0);
}

#[test]
fn a_group_of_a_thousand_tasks_is_joined_in_order() {
    let stage = Stage::new("242", Asking::Opaque);
    let begun = Instant::now();
    let host = stage.host();
    stage.wait_ended(1_001);
    record(&json!({"what": "group of 1,000", "seconds": begun.elapsed().as_secs_f64()})).unwrap();
    assert_eq!(stage.first_result(), "999000");
    stage.stop(host);
    stage.check_ledger(1_001, 0);
}

#[test]
fn a_task_that_a_handler_calls_answers_it() {
    let (stage, host) = check_result("253", "\"greeted G298048\"");
    stage.stop(host);
    stage.check_ledger(2, 0);
}

#[test]
fn a_countdown_goes_on_across_a_restart_of_everything() {
    let stage = Stage::new("243", Asking::Opaque);
    let begun = Instant::now();
    let mut host = stage.host();
    stage.wait_state("PARKED");
    let listed = stage.gwasp(&["task", "list"]).stdout;
    assert!(listed.contains("sleeps until 20"), "{listed}");
    host.kill().unwrap();
    let host = stage.host();
    let task = stage.ended();
    let waited = begun.elapsed();
    assert_eq!(task.state, "SUCCESS", "{task:?}\n{}", host.last_lines());
    assert_eq!(task.attempts, 1);
    let millis: u64 = task
        .result
        .trim_matches('"')
        .trim_end_matches(" ms")
        .parse()
        .unwrap();
    assert!(
        millis >= 5_000 && u128::from(millis) <= waited.as_millis(),
        "{millis}"
    );
    assert_eq!(stage.service.uploads().len(), 1);
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_pool_of_one_whose_handler_awaits_its_own_queue_goes_on() {
    for serial in ["", "serial = true\n"] {
        let mut stage = Stage::new("244", Asking::Opaque);
        stage.configure(&format!(
            "[queues.general]\n[queues.one]\nconcurrency = 1\n{serial}"
        ));
        let (task, host) = run(&stage);
        assert_eq!(task.result, "\"A B C\"", "{task:?}\n{}", host.last_lines());
        stage.stop(host);
        stage.check_ledger(7, 0);
    }
}

#[test]
fn an_ordered_handler_that_sleeps_does_not_hold_up_its_key() {
    let stage = Stage::new("245", Asking::Opaque);
    let host = stage.host();
    stage.wait_state("PARKED");
    stage.stop(host);
    let next = stage.next("246");
    let (task, host) = run(&next);
    assert_eq!(task.state, "SUCCESS");
    let states: Vec<String> = next.tasks().into_iter().map(|task| task.state).collect();
    assert_eq!(
        states,
        ["SUCCESS", "PARKED"],
        "the one that sleeps is older"
    );
    assert_eq!(stage.ended().state, "SUCCESS");
    assert_eq!(next.service.uploads().len(), 2);
    next.stop(host);
    next.check_ledger(2, 0);
}

#[test]
fn a_failure_that_a_handler_is_told_of_is_no_dead_letter() {
    let (stage, host) = check_result(
        "247",
        "\"Permanent: the task that was called failed: no such event\"",
    );
    let tasks = stage.tasks();
    assert_eq!(
        (tasks[0].state.as_str(), tasks[0].attempts),
        ("DELIVERED", 2)
    );
    let dead = stage.gwasp(&["task", "list", "--dead", "--json"]).stdout;
    assert_eq!(dead, "");
    stage.stop(host);
    stage.check_ledger(1, 1);
}

#[test]
fn a_handler_that_passes_a_failure_on_goes_on_when_it_is_resumed() {
    let stage = Stage::new("248", Asking::Opaque);
    stage.service.gate([400]);
    let (task, host) = run(&stage);
    assert_eq!(
        (task.state.as_str(), task.attempts),
        ("FAILURE", 1),
        "{task:?}"
    );
    let answer = stage.task(&["resume", &task.id]);
    assert!(answer.status.success(), "{answer:?}");
    stage.wait_tasks(2);
    assert_eq!(stage.ended().result, "\"the gate is open\"");
    stage.stop(host);
    stage.check_ledger(2, 0);
}

#[test]
fn an_upload_in_doubt_of_a_called_task_is_decided_there_and_then_its_caller_goes_on() {
    let stage = Stage::new("237", Asking::Opaque);
    stage.service.reply([Reply::DoneUnanswered]);
    let (task, host) = run(&stage);
    assert_eq!(
        (task.state.as_str(), task.kind.as_str()),
        ("FAILURE", "in-doubt")
    );
    let called = stage.tasks().remove(0);
    assert_eq!(called.state, "DELIVERED");
    let shown = stage.shown(&task.id);
    let advice = format!("gwasp task resume {}", called.id);
    assert!(
        shown
            .replace(['\n', ' '], "")
            .contains(&advice.replace(' ', "")),
        "{shown}"
    );
    let answer = stage.task(&["resume", &called.id, "--done"]);
    assert!(answer.status.success(), "{answer:?}");
    let is_done = |tasks: &[Task]| tasks[0].state == "SUCCESS";
    stage.wait_until(|tasks| is_done(tasks));
    let answer = stage.task(&["resume", &task.id]);
    assert!(answer.status.success(), "{answer:?}");
    stage.wait_tasks(2);
    assert_eq!(stage.ended().result, "200");
    assert_eq!(stage.service.uploads().len(), 1);
    stage.stop(host);
    stage.check_ledger(2, 0);
}

#[test]
fn a_task_that_waits_is_revoked_at_its_deadline_with_what_it_called() {
    let stage = Stage::new("249", Asking::Opaque);
    let host = stage.host();
    stage.wait_all("REVOKED", 2);
    let kinds: Vec<String> = stage.tasks().into_iter().map(|task| task.kind).collect();
    assert_eq!(kinds, ["caller", "expired"]);
    stage.stop(host);
}

#[test]
fn a_parked_task_that_a_person_revokes_takes_along_what_it_called() {
    let stage = Stage::new("239", Asking::Opaque);
    let host = stage.host();
    stage.wait_all("PARKED", 2);
    let caller = stage.tasks().pop().unwrap();
    let shown = stage.shown(&caller.id);
    assert!(shown.contains("waits for tasks that it called"), "{shown}");
    let answer = stage.task(&["revoke", &caller.id]);
    assert!(answer.status.success(), "{answer:?}");
    stage.wait_all("REVOKED", 2);
    stage.stop(host);
}

#[test]
fn a_large_result_is_given_again_on_another_attempt() {
    let stage = Stage::new("238", Asking::Opaque);
    stage.service.gate([503]);
    let (task, host) = run(&stage);
    assert_eq!(task.result, "100000", "{task:?}\n{}", host.last_lines());
    assert_eq!(task.attempts, 2);
    stage.stop(host);
    stage.check_ledger(2, 0);
}

/// The most syncs of one thread in the life of [`check_death`]'s notice; there are fewer.
const MOST_SYNCS: u64 = 40;

/// A handler that sleeps, uploads, calls, sleeps and uploads, in a host that dies at the `nth` sync
/// of one of its threads; the next one ends it. Tells whether the first one died.
#[track_caller]
fn check_death(asking: Asking, nth: u64) -> bool {
    let stage = Stage::new("240", asking);
    stage.prime();
    let mut host = stage.host_that_dies_at_sync(nth);
    let is_alive = stage.ended_alive(&mut host);
    if is_alive {
        host.terminate().unwrap();
        host.wait(LIMIT).unwrap();
    }
    let host = stage.host();
    let task = stage.ended();
    stage.stop(host);
    let uploads = stage.service.uploads();
    if asking == Asking::Opaque {
        // At most once; where nobody knows, the handler was told.
        let is_in_doubt = (task.state.as_str(), task.kind.as_str()) == ("FAILURE", "in-doubt");
        assert!(
            task.state == "SUCCESS" || is_in_doubt,
            "sync {nth}: {task:?}"
        );
        assert!(uploads.len() <= 2, "sync {nth}: {uploads:?}");
        return !is_alive;
    }
    assert_eq!(task.state, "SUCCESS", "sync {nth}: {task:?}");
    let (first, last): (Vec<_>, Vec<_>) = uploads
        .into_iter()
        .partition(|upload| !upload.body.windows(7).any(|part| part == b"greeted"));
    check_same(&first);
    check_same(&last);
    assert_eq!(stage.service.done(), 2, "sync {nth}");
    assert!(task.result.contains("before the sleep"), "{task:?}");
    stage.check_ledger(2, 0);
    !is_alive
}

#[test]
fn a_host_that_dies_at_any_durable_step_of_a_waiting_handler_does_everything_once() {
    if !has_strace() {
        return;
    }
    let kinds = [Asking::CanBeAsked, Asking::HonoursKeys, Asking::Opaque];
    // A quick run has each point once, a long one with each kind of service.
    let each = number("GWASP_POINTS", 0) > 0;
    let (mut deaths, mut points) = (0, 0);
    for (nth, turn) in (1..=MOST_SYNCS).zip((0..kinds.len()).cycle()) {
        let asked = if each {
            &kinds[..]
        } else {
            &kinds[turn..=turn]
        };
        let died = asked.iter().filter(|asking| check_death(**asking, nth));
        let died = died.count();
        deaths += died;
        points += asked.len();
        if died == 0 {
            break;
        }
    }
    assert!(deaths >= 10 && deaths < points, "{deaths} of {points} died");
    record(&json!({
        "what": "a handler that waits", "faults": deaths, "packets": points,
        "tasks": 2 * points, "lost": 0, "doubled": 0,
    }))
    .unwrap();
}
