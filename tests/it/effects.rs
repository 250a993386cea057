//! Effects through crashes: what was uploaded is not uploaded again, and what nobody knows is
//! said.

mod dry;
mod moving;
mod rerun;
mod shadow;
mod stage;
mod versions;
mod waits;

use std::time::Duration;

use gwasp_tests::gwasp::{START_LIMIT, is_ready};
use gwasp_tests::process::Line;
use serde_json::{Value, json};

use crate::harness::{number, record};
use crate::service::{Reply, Request};
pub(crate) use stage::has_strace;
use stage::{Asking, Stage};

/// What takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Each upload is the same as the first, byte for byte and under the same key.
#[track_caller]
fn check_same(uploads: &[Request]) {
    let first = &uploads[0];
    assert!(!first.key().is_empty() && !first.body.is_empty());
    for upload in uploads {
        assert_eq!((upload.key(), &upload.body), (first.key(), &first.body));
    }
}

/// The host dies while the service has the upload and says nothing; then a next one runs.
#[track_caller]
fn check_crash(asking: Asking, reply: Reply, uploads: usize) -> Stage {
    let stage = Stage::new("111", asking);
    stage.service.reply([reply]);
    let mut host = stage.host();
    stage.service.wait_uploads(1, LIMIT);
    host.kill().unwrap();

    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS", "{task:?}\n{}", host.last_lines());
    let came = stage.service.uploads();
    assert_eq!(came.len(), uploads);
    check_same(&came);
    assert_eq!(stage.service.done(), 1);
    stage.stop(host);
    stage.check_ledger(1, 0);
    stage
}

#[test]
fn a_crash_after_an_upload_that_can_be_asked_for_does_not_repeat_it() {
    let stage = check_crash(Asking::CanBeAsked, Reply::DoneSilent, 1);
    assert!(stage.service.asked() > 0);
}

#[test]
fn a_crash_before_the_service_did_it_makes_an_upload_again_with_the_same_bytes() {
    check_crash(Asking::CanBeAsked, Reply::Silent, 2);
}

#[test]
fn a_service_that_lists_its_uploads_is_asked_for_the_list() {
    let stage = check_crash(Asking::Lists, Reply::DoneSilent, 1);
    assert!(stage.service.asked() > 0);
    check_crash(Asking::Lists, Reply::Silent, 2);
}

#[test]
fn a_service_that_honours_keys_is_sent_the_same_upload_again() {
    check_crash(Asking::HonoursKeys, Reply::DoneSilent, 2);
}

#[test]
fn an_answer_that_was_lost_is_asked_for_without_a_crash() {
    let stage = Stage::new("111", Asking::CanBeAsked);
    stage.service.reply([Reply::DoneUnanswered]);
    let host = stage.host();
    assert_eq!(stage.ended().state, "SUCCESS");
    assert_eq!(
        (stage.service.uploads().len(), stage.service.done()),
        (1, 1)
    );
    stage.stop(host);
    stage.check_ledger(1, 0);
}

/// The handler asks for what this host cannot do.
#[track_caller]
fn check_unsupported(notice_type: &str) {
    let stage = Stage::new(notice_type, Asking::Opaque);
    let host = stage.host();
    let task = stage.ended();
    let (state, kind) = (task.state.as_str(), task.kind.as_str());
    assert_eq!((state, kind, task.attempts), ("FAILURE", "permanent", 1));
    stage.stop(host);
}

#[test]
fn what_a_host_cannot_do_yet_fails_for_good() {
    check_unsupported("252");
}

#[test]
fn an_upload_that_was_lost_on_its_way_is_made_again() {
    let stage = Stage::new("111", Asking::CanBeAsked);
    stage.service.reply([Reply::Lost]);
    let host = stage.host();
    assert_eq!(stage.ended().state, "SUCCESS");
    let uploads = stage.service.uploads();
    assert_eq!((uploads.len(), stage.service.done()), (2, 1));
    check_same(&uploads);
    stage.stop(host);
}

#[test]
fn a_gateway_that_gave_up_leaves_an_upload_in_doubt() {
    let stage = Stage::new("61", Asking::Opaque);
    stage.service.reply([Reply::Done(504)]);
    let host = stage.host();
    let task = stage.ended();
    assert!(task.result.contains("504"), "{task:?}");
    assert_eq!(stage.service.uploads().len(), 1);
    stage.stop(host);
}

#[test]
fn a_service_that_cannot_be_asked_just_now_is_asked_by_another_attempt() {
    let stage = Stage::new("111", Asking::CanBeAsked);
    stage.service.reply([Reply::DoneUnanswered]);
    stage.service.busy(2);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!((task.state.as_str(), task.attempts), ("SUCCESS", 3));
    assert_eq!(
        (stage.service.uploads().len(), stage.service.done()),
        (1, 1)
    );
    stage.stop(host);
}

#[test]
fn a_retry_does_not_upload_again_what_was_uploaded() {
    let stage = Stage::new("112", Asking::Opaque);
    stage.service.gate([503, 503]);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!((task.state.as_str(), task.attempts), ("SUCCESS", 3));
    let uploads = stage.service.uploads();
    assert_eq!((uploads.len(), stage.service.done()), (2, 2));
    assert_ne!(uploads[0].key(), uploads[1].key());
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_retry_makes_anew_what_the_service_said_it_did_not_do() {
    let stage = Stage::new("111", Asking::HonoursKeys);
    stage
        .service
        .reply([Reply::NotDone(503), Reply::NotDone(429)]);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!((task.state.as_str(), task.attempts), ("SUCCESS", 3));
    let uploads = stage.service.uploads();
    let keys: Vec<&str> = uploads.iter().map(Request::key).collect();
    assert_eq!(keys, [keys[0]; 3]);
    assert_eq!(stage.service.done(), 1);
    stage.stop(host);
}

#[test]
fn a_handler_whose_time_is_up_does_not_leave_its_upload_in_doubt() {
    // The service is silent for longer than the handler may run, and cannot be asked.
    let stage = Stage::new("61", Asking::Opaque);
    stage.service.reply([Reply::DoneSilent]);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS", "{task:?}");
    assert!(task.result.starts_with("\"in doubt: "), "{task:?}");
    assert_eq!(stage.service.uploads().len(), 1);
    stage.stop(host);
}

#[test]
fn the_values_of_a_failed_attempt_vanish() {
    let stage = Stage::new("110", Asking::Opaque);
    stage.service.gate([503]);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!((task.state.as_str(), task.attempts), ("SUCCESS", 2));
    // The second attempt found nothing of the first.
    assert_eq!(task.result, r#"{"last":null,"runs":null}"#);
    stage.stop(host);

    let stage = stage.next("115");
    let host = stage.host();
    let task = stage.ended();
    assert!(task.result.ends_with(r#""runs":"1"}"#), "{task:?}");
    stage.stop(host);
    stage.check_ledger(2, 0);
}

#[test]
fn a_task_that_is_set_aside_leaves_no_values_and_no_children() {
    let stage = Stage::new("53", Asking::Opaque);
    stage.service.gate([400]);
    let host = stage.host();
    assert_eq!(stage.ended().state, "FAILURE");
    assert_eq!(stage.tasks().len(), 1);
    stage.stop(host);
    stage.check_ledger(0, 1);

    // The gate is open; it is taken up where it failed.
    assert!(stage.resume(&[]).status.success());
    let host = stage.host();
    stage.wait_tasks(3);
    let mut results: Vec<String> = stage.tasks().into_iter().map(|task| task.result).collect();
    results.sort();
    let greeted = ["", r#""greeted first""#, r#""greeted second""#];
    assert_eq!(results, greeted);
    stage.stop(host);
    stage.check_ledger(3, 0);
}

#[test]
fn a_handler_sees_that_an_upload_is_in_doubt() {
    let stage = Stage::new("61", Asking::Opaque);
    stage.service.reply([Reply::DoneSilent]);
    let mut host = stage.host();
    stage.service.wait_uploads(1, LIMIT);
    host.kill().unwrap();
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS", "{task:?}");
    assert!(task.result.starts_with("\"in doubt: "), "{task:?}");
    assert_eq!(stage.service.uploads().len(), 1, "at most once");
    stage.stop(host);
}

/// An upload to an opaque service, in doubt after a crash and set aside.
fn in_doubt(reply: Reply) -> Stage {
    let stage = Stage::new("111", Asking::Opaque);
    stage.service.reply([reply]);
    let mut host = stage.host();
    stage.service.wait_uploads(1, LIMIT);
    host.kill().unwrap();
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(
        (task.state.as_str(), task.kind.as_str(), task.attempts),
        ("FAILURE", "in-doubt", 1)
    );
    let status = stage.gwasp(&["status"]).stdout;
    for part in [
        "packets of gcn may be missing between",
        "1 with an effect in doubt",
    ] {
        assert!(status.contains(part), "{status}");
    }
    stage.stop(host);
    let refused = stage.resume(&[]);
    assert!(
        refused.stderr.contains("/upload")
            && refused.stderr.contains("--done")
            && refused.stderr.contains("--not-done"),
        "{refused:?}"
    );
    stage.check_ledger(0, 1);
    stage
}

#[test]
fn a_person_who_knows_that_an_upload_was_done_settles_it() {
    let stage = in_doubt(Reply::DoneSilent);
    let resumed = stage.resume(&["--done"]);
    assert!(resumed.status.success(), "{resumed:?}");
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS");
    // What it met before, and who decided, is kept.
    let shown = stage.shown(&task.id);
    assert!(shown.contains("in-doubt[E0304]"), "{shown}");
    let uid = rustix::process::geteuid().as_raw();
    let decision = "resumed; the effect in doubt was done";
    let who = format!("(user {uid}, process ");
    let is_told = |line: &str| line.contains(decision) && line.contains(&who);
    assert!(shown.lines().any(is_told), "{shown}");
    assert_eq!(
        (stage.service.uploads().len(), stage.service.done()),
        (1, 1)
    );
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_person_who_knows_that_an_upload_was_not_done_has_it_made_again() {
    let stage = in_doubt(Reply::Silent);
    let resumed = stage.resume(&["--not-done"]);
    assert!(resumed.status.success(), "{resumed:?}");
    let host = stage.host();
    assert_eq!(stage.ended().state, "SUCCESS");
    let uploads = stage.service.uploads();
    assert_eq!((uploads.len(), stage.service.done()), (2, 1));
    check_same(&uploads);
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_task_is_resumed_while_its_host_runs() {
    let stage = Stage::new("111", Asking::Opaque);
    stage.service.reply([Reply::NotDone(404), Reply::Done(201)]);
    let host = stage.host();
    assert_eq!(stage.ended().kind, "permanent");
    let resumed = stage.resume(&[]);
    assert!(resumed.status.success(), "{resumed:?}");
    assert!(resumed.stdout.contains("waits in its queue"), "{resumed:?}");
    stage.wait_state("SUCCESS");
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_task_that_is_dropped_is_revoked_by_whoever_did_it() {
    let stage = Stage::new("111", Asking::Opaque);
    stage.service.reply([Reply::NotDone(404)]);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.kind, "permanent");
    let dropped = stage.task(&["drop", &task.id]);
    assert!(dropped.status.success(), "{dropped:?}");
    stage.wait_state("REVOKED");
    assert_eq!(stage.tasks()[0].kind, "dropped");
    let again = stage.task(&["restart", &task.id]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(again.stderr.contains("is REVOKED"), "{again:?}");
    stage.stop(host);
}

#[test]
fn a_task_that_is_restarted_does_again_what_it_did() {
    let stage = Stage::new("111", Asking::Opaque);
    stage.service.reply([Reply::NotDone(404), Reply::Done(201)]);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.kind, "permanent");
    let restarted = stage.task(&["restart", "--dead", "--yes"]);
    assert!(restarted.status.success(), "{restarted:?}");
    stage.wait_state("SUCCESS");
    assert_eq!(stage.service.uploads().len(), 2);
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_queue_that_is_paused_keeps_its_tasks_until_it_is_unpaused() {
    let stage = Stage::new("112", Asking::CanBeAsked);
    let host = stage.host();
    assert_eq!(stage.ended().state, "SUCCESS");
    let paused = stage.gwasp(&["pause", "general"]);
    assert!(paused.status.success(), "{paused:?}");
    let unknown = stage.gwasp(&["pause", "genreal"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        unknown.stderr.contains("is `general` meant?"),
        "{unknown:?}"
    );
    let packet = stage.first_packet();
    let made = stage.gwasp(&["packet", "redispatch", &packet, "--json"]);
    assert!(made.status.success(), "{made:?}");
    let status = stage.gwasp(&["status"]);
    assert!(
        status.stdout.contains("queue general is paused since"),
        "{status:?}"
    );
    let json = stage.gwasp(&["status", "--json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let queue = &json["queues"][0];
    assert_eq!((&queue["paused"], &queue["ready"]), (&1.into(), &0.into()));
    let uploads = stage.service.uploads().len();
    let tasks = stage.tasks();
    let waiting: Vec<_> = tasks
        .iter()
        .filter(|task| task.state == "PENDING")
        .collect();
    assert_eq!(waiting.len(), 1);
    let shown = stage.shown(&waiting[0].id);
    for part in [
        "waits: queue general is paused since",
        "`gwasp unpause general`",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let list = stage.task(&["list", "--queue", "general"]);
    assert!(list.stdout.contains("paused: queue general"), "{list:?}");
    let tap = stage.gwasp(&["tap", "--since", "1h", "--no-follow"]);
    assert!(
        tap.stdout.contains("held: queue general is paused"),
        "{tap:?}"
    );
    let unpaused = stage.gwasp(&["unpause", "general"]);
    assert!(
        unpaused.stdout.contains("nothing is paused any more"),
        "{unpaused:?}"
    );
    stage.wait_all("SUCCESS", 2);
    assert!(stage.service.uploads().len() > uploads);
    stage.stop(host);
    stage.check_ledger(2, 0);
}

#[test]
fn a_host_that_is_told_to_stop_waits_for_an_upload_or_leaves_it_in_doubt() {
    let stage = Stage::new("111", Asking::CanBeAsked);
    stage.service.reply([Reply::DoneSilent]);
    let mut host = stage.host();
    stage.service.wait_uploads(1, LIMIT);
    let task = &stage.tasks()[0];
    assert_eq!((task.state.as_str(), task.attempts), ("STARTED", 0));
    let shown = stage.shown(&task.id);
    for part in ["STARTED: attempt 1 since 2", "`gwasp task revoke "] {
        assert!(shown.contains(part), "{shown}");
    }
    host.terminate().unwrap();
    host.wait_for("draining", LIMIT, |line: &Line| {
        // Sooner, it would be taken for the first one.
        line.message().contains("waiting for running handlers")
    })
    .unwrap();
    host.terminate().unwrap();
    host.wait_for("what may be in doubt", LIMIT, |line: &Line| {
        line.message().contains("gwasp explain E0304")
    })
    .unwrap();
    host.wait(LIMIT).unwrap();
    stage.check_open(1);
    let shown = stage.shown(&stage.tasks()[0].id);
    for part in ["PENDING after 0 attempts", "did not end", "no host runs"] {
        assert!(shown.contains(part), "{shown}");
    }

    let host = stage.host();
    assert_eq!(stage.ended().state, "SUCCESS");
    assert_eq!(
        (stage.service.uploads().len(), stage.service.done()),
        (1, 1)
    );
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_blob_is_uploaded_as_it_was_put() {
    let stage = check_crash_of("173");
    let task = stage.ended();
    assert_eq!(task.result.len(), 64 + 2, "{task:?}");
}

#[track_caller]
fn check_crash_of(notice_type: &str) -> Stage {
    let stage = Stage::new(notice_type, Asking::HonoursKeys);
    stage.service.reply([Reply::DoneSilent]);
    let mut host = stage.host();
    stage.service.wait_uploads(1, LIMIT);
    host.kill().unwrap();
    let host = stage.host();
    assert_eq!(stage.ended().state, "SUCCESS");
    let uploads = stage.service.uploads();
    assert_eq!((uploads.len(), stage.service.done()), (2, 1));
    check_same(&uploads);
    stage.stop(host);
    stage.check_ledger(1, 0);
    stage
}

#[test]
fn a_plugin_without_a_grant_gets_nothing_and_is_told_the_lines_to_add() {
    let stage = Stage::without_grant("54");
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS", "{task:?}");
    for line in [
        "[grants.effects-probe]",
        "services = [\\\"probe\\\"]",
        "kv = true",
        "blobs = true",
        "tasks = [\\\"other.task\\\"]",
    ] {
        assert!(task.result.contains(line), "{line}: {}", task.result);
    }
    assert_eq!(stage.service.uploads().len(), 0);
    let shown = stage.shown(&task.id);
    assert!(shown.contains("gwasp:http/send@0.1, refused: "), "{shown}");
    assert!(shown.contains("gwasp:kv/set@0.1, refused: "), "{shown}");
    stage.stop(host);
}

#[test]
fn a_grant_that_is_added_between_two_attempts_is_no_difference() {
    let mut stage = Stage::without_values("250");
    stage.service.gate([503]);
    let host = stage.host();
    assert_eq!(stage.ended().state, "FAILURE");
    stage.stop(host);
    stage.grant_values();
    assert!(stage.resume(&[]).status.success());
    let host = stage.host();
    let task = stage.ended();
    // What it was told before its upload still holds; the upload is not repeated.
    assert_eq!(task.result, "true", "{task:?}");
    assert_eq!(stage.service.uploads().len(), 1);
    stage.stop(host);
}

#[test]
fn a_secret_reaches_its_service_and_nobody_else() {
    let stage = Stage::new("81", Asking::Opaque);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS", "{task:?}");
    assert_eq!(task.result, r#"["probe"]"#, "no cookie");
    let upload = stage.service.uploads().remove(0);
    assert_eq!(upload.header("Authorization"), Some("Bearer swordfish"));
    assert_eq!(upload.header("X-Plugin"), Some("probe"));
    let log = stage.stop(host);
    assert!(!log.contains("swordfish"));
    stage.check_nowhere_in_the_store("swordfish");
}

#[test]
fn a_flood_of_log_lines_is_cut_and_said() {
    let stage = Stage::new("67", Asking::Opaque);
    let host = stage.host();
    let dropped = host
        .wait_for("dropped lines", LIMIT, |line| {
            !line.field("dropped").is_null()
        })
        .unwrap();
    assert_eq!(*dropped.field("dropped"), 2_000, "{}", dropped.text);
    assert_eq!(stage.ended().state, "SUCCESS");
    stage.stop(host);
}

#[test]
fn a_claim_is_the_tasks_for_good_even_where_it_failed() {
    let stage = Stage::new("201", Asking::Opaque);
    stage.service.gate([503]);
    let host = stage.host();
    assert_eq!(stage.ended().state, "FAILURE");
    stage.stop(host);
    let other = stage.next("201");
    let host = other.host();
    assert_eq!(other.ended().result, "false");
    other.stop(host);
    assert!(stage.resume(&[]).status.success());
    let host = stage.host();
    assert_eq!(stage.ended().result, "true");
    stage.stop(host);
}

#[test]
fn a_host_that_dies_at_any_sync_of_a_run_uploads_once() {
    if !has_strace() {
        return;
    }
    // The soak begins with the opening of the store, and tries each kind of service.
    let every = number("GWASP_EVERY_SYNC", 0) > 0;
    let (first, kinds): (u64, &[Asking]) = match every {
        true => (1, &[Asking::CanBeAsked, Asking::HonoursKeys, Asking::Lists]),
        false => (5, &[Asking::CanBeAsked]),
    };
    for asking in kinds {
        let mut nth = first;
        while dies_at_sync(*asking, nth) {
            nth += 1;
        }
        let deaths = nth - first;
        // Packet, intent and outcome are a sync each.
        assert!(nth - 5 >= 3, "only {deaths} hosts died");
        record(&json!({
            "what": format!("kill -9 at each sync of one run with an upload ({asking:?})"),
            "faults": deaths,
            "packets": deaths + 1,
            "tasks": deaths + 1,
            "lost": 0,
            "doubled": 0,
        }))
        .unwrap();
    }
}

/// Runs one upload under a host that dies at its `nth` sync, then lets another finish; tells
/// whether the first one died.
fn dies_at_sync(asking: Asking, nth: u64) -> bool {
    let stage = Stage::new("111", asking);
    stage.prime();
    let mut host = stage.host_that_dies_at_sync(nth);
    let mut survived = stage.ended_alive(&mut host);
    if survived {
        host.terminate().unwrap();
        survived = host.wait(LIMIT).unwrap().success();
    }
    if !survived {
        let next = stage.host();
        next.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        stage.ended();
        stage.stop(next);
    }
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS", "sync {nth}: {task:?}");
    assert_eq!(stage.service.done(), 1, "sync {nth}");
    check_same(&stage.service.uploads());
    stage.check_ledger(1, 0);
    !survived
}
