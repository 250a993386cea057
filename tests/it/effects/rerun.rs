//! Tasks run again against their journals, without any effect.

use gwasp_tests::gwasp::Answer;
use serde_json::{Value, json};

use super::stage::{Asking, Stage, Task};
use super::versions::{digest, version};
use crate::commands::check_says;
use crate::harness::test_plugin;

/// The task of a notice of this type, on which no host runs any more.
fn ended(notice_type: &str, gate: &[u16]) -> (Stage, Task) {
    let stage = Stage::new(notice_type, Asking::Opaque);
    stage.service.gate(gate.iter().copied());
    let host = stage.host_with(&version(1));
    let task = stage.ended();
    stage.stop(host);
    (stage, task)
}

#[track_caller]
fn row(answer: &Answer, code: i32) -> Value {
    assert_eq!(answer.status.code(), Some(code), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

/// The task is the same again, for a person and for a program, and asks the service for nothing.
#[track_caller]
fn check_same_again(stage: &Stage, task: &Task, effects: usize) {
    let uploads = stage.service.uploads().len();
    let answer = stage.task(&["rerun", &task.id, "--json"]);
    let row = row(&answer, 0);
    assert_eq!(row["verdict"], "same", "{row}");
    let asked = row["effects"].as_array().unwrap();
    assert_eq!(asked.len(), effects, "{row}");
    assert!(asked.iter().all(|effect| effect["asked"] == "same"));
    let shown = stage.task(&["rerun", &task.id]);
    let last = format!("same: {effects} effects, and the same end");
    check_says(&shown, 0, &[&last, ", as it ran\n"]);
    assert_eq!(stage.service.uploads().len(), uploads);
}

#[test]
fn a_task_that_succeeded_is_the_same_again_with_and_without_a_host() {
    let stage = Stage::new("111", Asking::Opaque);
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS");
    check_same_again(&stage, &task, 5);
    stage.stop(host);
    check_same_again(&stage, &task, 5);
}

#[test]
fn a_task_that_failed_fails_in_the_same_way_again() {
    let (stage, task) = ended("112", &[503; 8]);
    assert_eq!(task.state, "FAILURE");
    check_same_again(&stage, &task, 4);
}

#[test]
fn a_task_is_run_again_on_its_own_version_though_another_is_current() {
    let (stage, task) = ended("110", &[]);
    let host = stage.host_with(&std::fs::read(test_plugin("effects-mended")).unwrap());
    stage.stop(host);
    let answer = stage.task(&["rerun", &task.id, "--json"]);
    let row = row(&answer, 0);
    assert_eq!(row["version"], row["was_version"]);
    assert!(
        row["log"][0].as_str().unwrap().contains("its own writes"),
        "{row}"
    );
    assert_eq!(row["is"]["result"], json!(task.result));
}

#[test]
fn another_version_is_tried_and_what_it_does_otherwise_is_told() {
    let mended = test_plugin("effects-mended");
    let mended = mended.to_str().unwrap();
    let (stage, task) = ended("112", &[503; 8]);
    let args = ["rerun", &task.id, "--with", mended];
    let shown = stage.task(&args);
    check_says(
        &shown,
        1,
        &[
            "different: at 0 it asks for `gwasp:kv/get@0.1`",
            " in place of ",
            "is        SUCCESS",
            "was       FAILURE",
        ],
    );
    let answer = stage.task(&[&args[..], &["--json"]].concat());
    let row = row(&answer, 1);
    let effects = row["effects"].as_array().unwrap();
    let told: Vec<String> = effects
        .iter()
        .map(|effect| {
            let text = |name: &str| effect[name].as_str().unwrap();
            format!("{} {}", text("asked"), text("function"))
        })
        .collect();
    assert_eq!(told[0], "is gwasp:kv/get@0.1", "{row}");
    assert!(told.contains(&"was gwasp:http/get@0.1".to_owned()), "{row}");
    // The first upload is the same, byte for byte: its answer was given again.
    assert!(
        told.contains(&"same gwasp:http/send@0.1".to_owned()),
        "{row}"
    );
    assert_eq!(stage.service.uploads().len(), 1);
}

#[test]
fn what_is_not_kept_any_more_is_said() {
    let (stage, task) = ended("111", &[]);
    let other = test_plugin("effects-mended");
    stage.replace(&std::fs::read(other).unwrap());
    stage.forget_blob(&digest(&version(1)));
    let answer = stage.task(&["rerun", &task.id]);
    check_says(
        &answer,
        1,
        &["error[E0711]", "`--with FILE` tries another one"],
    );

    let file = stage.write("one.wasm", &version(1));
    stage.sql("DELETE FROM journal");
    let answer = stage.task(&["rerun", &task.id, "--with", &file]);
    check_says(
        &answer,
        1,
        &["error[E0711]", "`[retention] journals` keeps it for 7days"],
    );
}

#[test]
fn a_version_without_the_handler_is_named() {
    let (stage, task) = ended("111", &[]);
    let mended = test_plugin("effects-mended");
    let answer = stage.task(&["rerun", &task.id, "--with", mended.to_str().unwrap()]);
    check_says(
        &answer,
        1,
        &["error[E0711]", "there is no task `effects-probe.upload`"],
    );
}
