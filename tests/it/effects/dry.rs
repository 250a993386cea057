//! `gwasp test`: handlers without a host and without any effect.

use std::path::{Path, PathBuf};

use gwasp_tests::gwasp::{Answer, Gwasp};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::notice;
use crate::harness::test_plugin;

/// Nothing listens here: a dry run that asked would fail.
const NOBODY: &str = "http://127.0.0.1:9";

fn run(dir: &Path, notice_type: &str, answers: Option<&Value>) -> (bool, Value) {
    let file = dir.join("notice.xml");
    let ivorn = "ivo://gwasp.test/notice#1";
    std::fs::write(&file, notice(notice_type, ivorn, NOBODY)).unwrap();
    let mut command = Gwasp::from_environment().unwrap().command();
    command.arg("test").arg("--json");
    command.args([&probe(), &file]);
    if let Some(answers) = answers {
        let path = dir.join("answers.json");
        std::fs::write(&path, answers.to_string()).unwrap();
        command.arg("--answers").arg(path);
    }
    let answer = Answer::of(&mut command).unwrap();
    let row = serde_json::from_str(&answer.stdout);
    let row = row.unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    (answer.status.success(), row)
}

fn probe() -> PathBuf {
    test_plugin("effects-probe")
}

#[track_caller]
fn check(notice_type: &str, answers: Option<&Value>, outcome: &str) -> Value {
    let dir = TempDir::new().unwrap();
    let (succeeded, row) = run(dir.path(), notice_type, answers);
    assert_eq!(row["outcome"], outcome, "{row}");
    assert_eq!(succeeded, outcome == "succeeded");
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
    let row = check("112", None, "succeeded");
    let asked = asked(&row);
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
    let row = check("111", Some(&once), "failed");
    let error = row["error"].as_str().unwrap();
    assert!(
        error.starts_with("permanent: ") && error.contains("no such event"),
        "{error}"
    );
    let other = json!([{"url": url, "method": "GET", "status": 404}]);
    check("111", Some(&other), "succeeded");
}

#[test]
fn a_dry_run_shows_values_and_tasks_and_keeps_none() {
    let row = check("110", None, "succeeded");
    assert_eq!(row["result"], r#"{"last":null,"runs":null}"#);
    let asked_for = asked(&row);
    assert!(asked_for[0].starts_with("gwasp:kv/set@0.1 last: "), "{row}");
    assert_eq!(asked_for[1], "gwasp:kv/add@0.1 runs: +1");
    let log = row["log"][0].as_str().unwrap();
    assert!(log.contains(r#"runs: Some("1")"#), "{log}");

    let spread = check("53", None, "succeeded");
    let asked_for = asked(&spread);
    assert_eq!(asked_for.len(), 2, "{spread}");
    assert!(
        asked_for[0].starts_with("gwasp:tasks/spawn@0.1 greet as "),
        "{spread}"
    );
}

#[test]
fn a_dry_run_names_secrets_and_puts_none_in() {
    let row = check("81", None, "succeeded");
    assert!(asked(&row)[0].ends_with("with the secret `key`"), "{row}");
}
