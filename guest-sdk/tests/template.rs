//! What `gwasp new` writes compiles, and its own test passes.

#[path = "../template/src/lib.rs"]
mod template;

#[test]
fn the_manifest_of_a_new_plugin_has_its_handler() {
    let manifest = gwasp_sdk::testing::manifest();
    assert!(
        manifest.contains(r#""name":"template::log_position","kind":"handler""#),
        "{manifest}"
    );
}
