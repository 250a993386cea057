//! Tasks that go on with another version of their plugin, where a person says so.

use gwasp_tests::process::{Line, Process};

use super::stage::{Asking, Stage};
use super::versions::{digest, version};
use super::{LIMIT, check_same};
use crate::commands::check_says;
use crate::harness::test_plugin;
use crate::service::Reply;

fn mended() -> Vec<u8> {
    std::fs::read(test_plugin("effects-mended")).unwrap()
}

fn probe() -> Vec<u8> {
    std::fs::read(test_plugin("effects-probe")).unwrap()
}

/// Puts another version in place and waits until the host has taken it.
fn replace(stage: &Stage, host: &Process, plugin: &[u8]) {
    stage.replace(plugin);
    let replaced = |line: &Line| line.message() == "plugin replaced";
    host.wait_for("having replaced it", LIMIT, replaced)
        .unwrap();
}

/// A host on the probe, whose handler failed after its upload.
fn failed_after_upload() -> (Stage, Process) {
    let stage = Stage::without_values("250");
    stage.service.gate([503]);
    let host = stage.host_with(&probe());
    assert_eq!(stage.ended().state, "FAILURE");
    (stage, host)
}

/// The task succeeded on the mended version, without a second upload.
#[track_caller]
fn check_went_on(stage: &Stage, id: &str) {
    stage.wait_state("SUCCESS");
    assert_eq!(stage.service.uploads().len(), 1);
    assert_eq!(stage.versions(), [digest(&mended())]);
    let shown = stage.shown(id);
    assert_eq!(shown.matches("resumed from version ").count(), 1, "{shown}");
    assert!(shown.contains("(user "), "{shown}");
}

#[test]
fn a_task_that_failed_after_an_upload_goes_on_with_the_mended_version() {
    let (stage, host) = failed_after_upload();
    replace(&stage, &host, &mended());
    let task = stage.ended();
    let moved = stage.task(&["resume", &task.id, "--on", "effects-probe@current"]);
    check_says(&moved, 0, &["waits in its queue, on version "]);
    check_went_on(&stage, &task.id);
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_task_is_moved_without_a_host_too() {
    let (stage, host) = failed_after_upload();
    replace(&stage, &host, &mended());
    stage.stop(host);
    let task = stage.ended();
    let version: String = digest(&mended())[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let moved = stage.task(&["resume", "--dead", "--yes", "--on", &version]);
    check_says(&moved, 0, &[&version]);
    let host = stage.host_with(&mended());
    check_went_on(&stage, &task.id);
    stage.stop(host);
}

#[test]
fn a_version_that_asks_for_something_else_first_is_refused_with_the_difference() {
    let stage = Stage::new("112", Asking::Opaque);
    stage.service.gate([503; 8]);
    let host = stage.host_with(&probe());
    let before = stage.ended();
    assert_eq!(before.state, "FAILURE");
    replace(&stage, &host, &mended());
    let refused = stage.task(&["resume", &before.id, "--on", "effects-probe@current"]);
    check_says(
        &refused,
        1,
        &[
            "stays as it was: with version ",
            " at 0 it asks for `gwasp:kv/get@0.1` with \"last\", where its journal holds \
             `gwasp:clock/now@0.1`",
        ],
    );
    assert_eq!(stage.ended(), before);
    assert_eq!(stage.versions(), [digest(&probe())]);
    assert!(!stage.shown(&before.id).contains("from version"));

    for (wanted, says) in [
        ("other@current", "not of `other`"),
        ("effects-probe@ffff", "gwasp plugin show effects-probe"),
        ("newest", "names no version"),
    ] {
        let refused = stage.task(&["resume", &before.id, "--on", wanted]);
        check_says(&refused, 1, &[says]);
    }
    assert_eq!(stage.service.uploads().len(), 1);
    stage.stop(host);
}

#[test]
fn a_task_that_waits_on_a_former_version_is_moved_and_settles_its_upload() {
    let stage = Stage::new("111", Asking::HonoursKeys);
    stage.service.reply([Reply::DoneSilent]);
    let mut host = stage.host_with(&version(1));
    stage.service.wait_uploads(1, LIMIT);
    check_says(&stage.gwasp(&["pause", "--all"]), 0, &[]);
    host.kill().unwrap();

    let host = stage.host_with(&version(2));
    stage.wait_state("PENDING");
    let task = &stage.tasks()[0];
    let args = ["resume", &task.id, "--on", "effects-probe@current"];
    check_says(&stage.task(&args), 0, &["of its effects are replayed"]);
    check_says(&stage.task(&args), 1, &["on this version already"]);
    check_says(&stage.gwasp(&["unpause", "--all"]), 0, &[]);
    stage.wait_state("SUCCESS");
    let uploads = stage.service.uploads();
    assert_eq!((uploads.len(), stage.service.done()), (2, 1));
    check_same(&uploads);
    assert_eq!(stage.versions(), [digest(&version(2))]);
    stage.stop(host);
    stage.check_ledger(1, 0);
}

#[test]
fn a_task_whose_version_is_gone_is_told_of_what_moves_it() {
    let (stage, host) = failed_after_upload();
    replace(&stage, &host, &mended());
    let task = stage.ended();
    stage.stop(host);
    stage.empty_the_cache();
    stage.forget_blob(&digest(&probe()));

    let host = stage.host_with(&mended());
    check_says(
        &stage.task(&["resume", &task.id]),
        0,
        &["which is not the current one"],
    );
    stage.wait_state("FAILURE");
    let shown = stage.shown(&task.id);
    assert!(
        shown.contains("`gwasp task resume ID --on effects-probe@current`"),
        "{shown}"
    );
    let moved = stage.task(&["resume", &task.id, "--on", "effects-probe@current"]);
    check_says(&moved, 0, &["on version "]);
    check_went_on(&stage, &task.id);
    stage.stop(host);
}
