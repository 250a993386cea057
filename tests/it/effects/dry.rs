//! `gwasp test`: handlers without a host and without any effect.

use std::path::{Path, PathBuf};

use gwasp_tests::gwasp::{Answer, Gwasp};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::notice;
use crate::harness::test_plugin;

/// Nothing listens here: a dry run that asked would fail.
const NOBODY: &str = "http://127.0.0.1:9";

fn run(dir: &Path, notice_type: &str, answers: Option<&Value>) -> (Answer, Value) {
    let file = dir.join("notice.xml");
    let ivorn = "ivo://gwasp.test/notice#1";
    std::fs::write(&file, notice(notice_type, ivorn, NOBODY)).unwrap();
    let mut command = Gwasp::from_environment().unwrap().command();
    command.arg("test").arg("--json");
    command.args([probe().as_path(), dir]);
    if let Some(answers) = answers {
        let path = dir.join("answers.json");
        std::fs::write(&path, answers.to_string()).unwrap();
        command.arg("--answers").arg(path);
    }
    let answer = Answer::of(&mut command).unwrap();
    let row = serde_json::from_str(&answer.stdout);
    let row = row.unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    (answer, row)
}

fn probe() -> PathBuf {
    test_plugin("effects-probe")
}

#[track_caller]
fn check(notice_type: &str, answers: Option<&Value>, outcome: &str) -> Value {
    let dir = TempDir::new().unwrap();
    let (answer, row) = run(dir.path(), notice_type, answers);
    assert_eq!(row["outcome"], outcome, "{row}");
    assert_eq!(answer.status.success(), outcome == "SUCCESS");
    row
}

fn asked(row: &Value) -> Vec<String> {
    let asked = row["asked"].as_array().unwrap().iter();
    asked
        .map(|asked| {
            let text = |name: &str| asked[name].as_str().unwrap().to_owned();
            format!("{} {}", text("function"), text("what"))
        })
        .collect()
}

#[test]
fn a_dry_run_shows_what_was_asked_for_and_answers_neutrally() {
    let row = check("112", None, "SUCCESS");
    let mut asked = asked(&row);
    let read = asked.remove(1);
    assert!(read.contains(&format!(" GET {NOBODY}/gate (")), "{read}");
    assert_eq!(asked.len(), 2, "{row}");
    for asked in asked {
        let begin = format!("gwasp:http/send@0.1 POST {NOBODY}/upload (");
        assert!(asked.starts_with(&begin), "{asked}");
    }
}

#[test]
fn a_dry_run_answers_from_a_file_each_answer_once() {
    let url = format!("{NOBODY}/upload");
    let once = json!([
        {"url": url, "method": "POST", "status": 404, "body": "no such event"},
    ]);
    let row = check("111", Some(&once), "FAILURE");
    let error = row["error"].as_str().unwrap();
    assert!(
        error.starts_with("permanent: ") && error.contains("no such event"),
        "{error}"
    );
    let other = json!([{"url": url, "method": "GET", "status": 404}]);
    check("111", Some(&other), "SUCCESS");
}

#[test]
fn a_dry_run_shows_values_and_tasks_and_keeps_none() {
    let row = check("110", None, "SUCCESS");
    assert_eq!(row["result"], r#"{"last":null,"runs":null}"#);
    let asked_for = asked(&row);
    assert!(asked_for[0].starts_with("gwasp:kv/set@0.1 last: "), "{row}");
    assert_eq!(asked_for[1], "gwasp:kv/add@0.1 runs: +1");
    let log = row["log"][0].as_str().unwrap();
    assert!(log.contains(r#"runs: Some("1")"#), "{log}");

    let spread = check("53", None, "SUCCESS");
    let asked_for = asked(&spread);
    assert_eq!(
        asked_for.len(),
        3,
        "two tasks and a look at the gate: {spread}"
    );
    assert!(
        asked_for[0].starts_with("gwasp:tasks/spawn@0.1 greet as "),
        "{spread}"
    );
}

#[test]
fn a_dry_run_names_secrets_and_puts_none_in() {
    let row = check("81", None, "SUCCESS");
    assert!(asked(&row)[0].ends_with("with the secret `key`"), "{row}");
}

#[test]
fn a_dry_run_names_what_was_read_and_answers_that_nobody_asked_for() {
    let dir = TempDir::new().unwrap();
    let answers = json!([
        {"url": format!("{NOBODY}/gate"), "status": 200, "body": "open"},
        {"url": format!("{NOBODY}/gtae"), "status": 200},
    ]);
    let (answer, row) = run(dir.path(), "110", Some(&answers));
    let read = format!("gwasp:http/get@0.1 GET {NOBODY}/gate (0 bytes)");
    assert!(asked(&row).contains(&read), "{row}");
    let unused: Vec<&str> = answer.stderr.lines().collect();
    assert_eq!(unused.len(), 1, "{unused:?}");
    assert!(
        unused[0].ends_with(&format!("any method {NOBODY}/gtae")),
        "{unused:?}"
    );
}

#[test]
fn a_called_task_has_the_result_that_was_written_down() {
    let dir = TempDir::new().unwrap();
    let answers = json!([{"task": "greet", "body": "\"greeted by a test\""}]);
    let (_, row) = run(dir.path(), "253", Some(&answers));
    assert_eq!(row["outcome"], "SUCCESS", "{row}");
    assert_eq!(row["result"], r#""greeted by a test""#, "{row}");
    assert_eq!(asked(&row), ["gwasp:tasks/call@0.1 greet"]);
}

#[test]
fn a_dry_run_waits_for_nothing_and_sends_to_one_peer() {
    let row = check("251", None, "SUCCESS");
    let asked = asked(&row);
    assert!(
        asked[0].starts_with("gwasp:tasks/sleep-until@0.1 20"),
        "{row}"
    );
    assert_eq!(asked[1], "gwasp:gcn/send@0.1 a notice of 14 bytes");
    assert_eq!(asked[2], "gwasp:gcn/post@0.1 a notice of 14 bytes");
    assert_eq!(row["log"][0], "dry-run");
}

#[test]
fn the_clock_of_a_dry_run_goes_on_by_what_it_sleeps() {
    let row = check("243", None, "SUCCESS");
    assert_eq!(row["result"], "\"5000 ms\"", "{row}");
}
