//! A task ends on the version of its plugin that wrote its journal.

use gwasp_tests::process::{Line, Process};
use sha2::{Digest as _, Sha256};

use super::stage::{Asking, Stage};
use super::{LIMIT, check_same};
use crate::harness::test_plugin;
use crate::service::Reply;

/// The probe with a section of no meaning: other bytes, the same handlers.
pub(super) fn version(number: u8) -> Vec<u8> {
    let mut bytes = std::fs::read(test_plugin("effects-probe")).unwrap();
    // A custom section: id 0, its length, a name with its length, content.
    bytes.extend([0, 6, 4, b't', b'e', b's', b't', number]);
    bytes
}

pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A host on version 1 is killed while its upload is under way: its task has a journal.
fn killed_while_uploading() -> Stage {
    let stage = Stage::new("111", Asking::HonoursKeys);
    stage.service.reply([Reply::DoneSilent]);
    let mut host = stage.host_with(&version(1));
    stage.service.wait_uploads(1, LIMIT);
    host.kill().unwrap();
    stage
}

/// The task goes on where it was, and the next notice's runs on version 2.
#[track_caller]
fn check_goes_on_and_next_is_new(stage: &Stage, host: Process) {
    let task = stage.ended();
    assert_eq!(task.state, "SUCCESS", "{task:?}\n{}", host.last_lines());
    let uploads = stage.service.uploads();
    assert_eq!((uploads.len(), stage.service.done()), (2, 1));
    check_same(&uploads);
    assert_eq!(stage.versions(), [digest(&version(1))]);
    stage.stop(host);

    let stage = stage.next("111");
    let host = stage.host_with(&version(2));
    assert_eq!(stage.ended().state, "SUCCESS");
    assert_eq!(stage.versions(), [digest(&version(1)), digest(&version(2))]);
    stage.stop(host);
    stage.check_ledger(2, 0);
}

#[test]
fn a_task_ends_on_its_version_though_the_file_is_another_now() {
    let stage = killed_while_uploading();
    let host = stage.host_with(&version(2));
    check_goes_on_and_next_is_new(&stage, host);
}

#[test]
fn a_task_ends_on_its_version_though_no_compiled_code_of_it_is_left() {
    let stage = killed_while_uploading();
    stage.empty_the_cache();
    let host = stage.host_with(&version(2));
    check_goes_on_and_next_is_new(&stage, host);
}

#[test]
fn a_run_that_is_under_way_ends_on_its_version_and_so_do_its_attempts() {
    let stage = Stage::new("111", Asking::HonoursKeys);
    stage.service.reply([Reply::DoneSilent]);
    let host = stage.host_with(&version(1));
    stage.service.wait_uploads(1, LIMIT);
    stage.replace(&version(2));
    let replaced = |line: &Line| line.message() == "plugin replaced";
    host.wait_for("having replaced it", LIMIT, replaced)
        .unwrap();
    check_goes_on_and_next_is_new(&stage, host);
}
