//! Handlers on live packets whose effects do not happen.

use gwasp_tests::process::Line;
use serde_json::Value;

use super::LIMIT;
use super::stage::{Asking, Stage};
use crate::service::Reply;

#[test]
fn a_plugin_in_shadow_mode_handles_packets_and_makes_no_effect() {
    let mut stage = Stage::new("111", Asking::Opaque);
    stage.set_mode("shadow");
    let host = stage.host();
    let task = stage.ended();
    assert_eq!((task.state.as_str(), task.attempts), ("SUCCESS", 1));
    let shown = stage.shown(&task.id);
    assert_eq!(shown.matches("mode      shadow").count(), 1, "{shown}");
    assert_eq!(shown.matches("not made (shadow)").count(), 1, "{shown}");
    stage.stop(host);
    assert_eq!(stage.service.uploads().len(), 0);
    stage.check_ledger(1, 0);

    let mut live = stage.next("111");
    live.set_mode("live");
    let host = live.host();
    assert_eq!(live.ended().state, "SUCCESS");
    live.stop(host);
    assert_eq!(live.service.uploads().len(), 1);
}

#[test]
fn a_plugin_in_shadow_mode_needs_its_grants() {
    let mut stage = Stage::without_grant("111");
    stage.set_mode_of_all("shadow");
    let host = stage.host();
    let task = stage.ended();
    assert_eq!(
        (task.state.as_str(), task.kind.as_str()),
        ("FAILURE", "permanent")
    );
    assert!(stage.shown(&task.id).contains("mode      shadow"));
    stage.stop(host);
}

#[test]
fn a_run_that_began_live_waits_while_its_plugin_is_in_shadow_mode() {
    let stage = Stage::new("111", Asking::HonoursKeys);
    stage.service.reply([Reply::Silent]);
    let mut host = stage.host();
    stage.service.wait_uploads(1, LIMIT);
    host.kill().unwrap();

    let mut shadow = stage.next("111");
    shadow.set_mode("shadow");
    let host = shadow.host();
    assert_eq!(shadow.ended().state, "SUCCESS");
    // What a log says is of what ran, not of what the configuration says.
    let logged = |message: &str, shadow: &Value| {
        let is_it = |line: &Line| line.message() == message && line.field("shadow") == shadow;
        host.wait_for(message, LIMIT, is_it).unwrap();
    };
    logged("task succeeded", &Value::Bool(true));
    logged("task given back", &Value::Null);
    let waiting = |task: &super::stage::Task| task.state == "PENDING";
    assert_eq!(
        shadow.tasks().iter().filter(|task| waiting(task)).count(),
        1
    );
    shadow.stop(host);
    assert_eq!(stage.service.uploads().len(), 1);

    let host = stage.host();
    assert_eq!(stage.ended().state, "SUCCESS");
    stage.stop(host);
    assert_eq!(stage.service.uploads().len(), 2);
}
