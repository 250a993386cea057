//! `gwasp build` and `gwasp new`.

use std::path::Path;

use gwasp_tests::gwasp::{Answer, Gwasp};

use crate::harness::root;

#[track_caller]
fn check_refusal(args: &[&str], says: &str) {
    let answer = Gwasp::from_environment().unwrap().answer(args).unwrap();
    assert!(
        !answer.status.success(),
        "{args:?} succeeded: {}",
        answer.stdout
    );
    assert!(
        answer.stderr.contains(says),
        "{args:?} says {:?}",
        answer.stderr
    );
    assert_eq!(answer.stdout, "", "{args:?}");
}

#[test]
fn a_folder_without_plugins_is_answered_with_what_makes_a_plugin() {
    let host = root().join("host");
    check_refusal(
        &["build", host.to_str().unwrap()],
        "`gwasp new NAME` writes one",
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    check_refusal(&["build", "no/such/folder"], "no/such/folder");
}

#[test]
fn the_example_plugins_are_components() {
    let plugins = Gwasp::from_environment().unwrap().plugins().to_owned();
    let bytes = std::fs::read(plugins.join("fermi-log.wasm")).unwrap();
    // Magic, then version 13 of layer 1, the component format (component-model/Binary.md).
    assert_eq!(bytes.get(..8), Some(b"\0asm\x0d\0\x01\0".as_slice()));
}

/// Runs a command in `dir`; its builds share the target directory of the example plugins, so
/// that what they have in common is built once.
fn run_in(dir: &Path, args: &[&str]) -> Answer {
    let gwasp = Gwasp::from_environment().unwrap();
    let mut command = gwasp.command();
    command.current_dir(dir).args(args);
    command.env("CARGO_TARGET_DIR", gwasp.plugins().parent().unwrap());
    Answer::of(&mut command).unwrap()
}

#[test]
fn a_new_plugin_builds_and_loads_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let answer = run_in(dir.path(), &["new", "first-light"]);
    assert!(answer.status.success(), "{}", answer.stderr);
    // The versions that are on this machine anyway.
    std::fs::copy(
        root().join("Cargo.lock"),
        dir.path().join("first-light/Cargo.lock"),
    )
    .unwrap();
    let answer = run_in(dir.path(), &["build", "first-light"]);
    assert!(answer.status.success(), "{}", answer.stderr);
    assert!(
        answer.stdout.starts_with("first-light: "),
        "{}",
        answer.stdout
    );
    assert!(dir.path().join("plugins/first-light.wasm").exists());
}

#[test]
fn a_new_plugin_is_not_written_over_an_old_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("first-light")).unwrap();
    let answer = run_in(dir.path(), &["new", "first-light"]);
    assert!(!answer.status.success());
    assert!(
        answer.stderr.contains("is there already"),
        "{}",
        answer.stderr
    );
    assert_eq!(
        std::fs::read_dir(dir.path().join("first-light"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn the_front_page_shows_a_program_that_is_built() {
    let program = std::fs::read_to_string(root().join("tests/guests/effects/src/front_page.rs"));
    let page = std::fs::read_to_string(root().join("guest-sdk/src/lib.rs")).unwrap();
    let program = program.unwrap();
    assert!(program.lines().count() <= 12, "{program}");
    let printed: String = page
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    assert!(printed.contains(&program), "{program}");
}
