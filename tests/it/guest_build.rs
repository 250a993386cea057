//! `gwasp build` and `gwasp new`.

use gwasp_tests::gwasp::Gwasp;

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
