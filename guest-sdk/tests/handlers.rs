//! A plugin of several modules, as the host sees it: its manifest, and runs by name.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "both forms of arguments are tested"
)]

use std::borrow::Cow;

use gwasp_sdk::prelude::*;
use gwasp_sdk::tasks::TaskError;
use gwasp_sdk::{FailureKind, testing};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const NOTICE: &str = r#"<?xml version="1.0"?>
<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" version="2.0" role="observation"
    ivorn="ivo://example.org/streams/gbm#524666471">
  <What><Param name="Packet_Type" value="112"/></What>
  <WhereWhen><ObsDataLocation><ObservationLocation>
    <AstroCoordSystem id="UTC-FK5-GEO"/>
    <AstroCoords coord_system_id="UTC-FK5-GEO">
      <Time unit="s"><TimeInstant><ISOTime>2017-08-17T12:41:06.47</ISOTime></TimeInstant></Time>
      <Position2D unit="deg">
        <Value2><C1>172.0</C1><C2>-34.8</C2></Value2><Error2Radius>11.6</Error2Radius>
      </Position2D>
    </AstroCoords>
  </ObservationLocation></ObsDataLocation></WhereWhen>
</voe:VOEvent>"#;

#[handler(FERMI_GBM_GND_POS, FERMI_GBM_FINAL_POS, 999)]
fn handle_fermi(notice: VoEvent) -> Result<f64> {
    Ok(notice.position()?.ra)
}

#[derive(Deserialize)]
struct Alert<'a> {
    uid: &'a str,
    far: f64,
}

#[handler(
    "cbc_gstlal",
    "mdc_*",
    queue = "superevent",
    retries = 10,
    backoff = "1s",
    max_backoff = "10m",
    timeout = "30s",
    deadline = "1h30m",
    priority = 2,
    order_by = "/uid",
    accept(test, old)
)]
fn handle_alert(alert: Alert<'_>) -> Result<String> {
    Ok(format!("{} {:e}", alert.uid, alert.far))
}

#[handler("raw", only(test))]
fn all_forms(packet: &Packet, bytes: &[u8], text: String) {
    info!("{} {} {}", packet.payload.len(), bytes.len(), text);
}

#[task]
#[cfg(any())]
fn left_out(_: OnlyElsewhere) {}

#[handler("superevent")]
fn handle_lvalert(alert: LvAlert) {
    info!("{}", alert.uid);
}

#[handler("borrowed")]
fn borrowed(notice: &VoEvent, value: &Value, alert: &Alert<'_>, text: &str) {
    info!("{:?} {} {} {text}", notice.ivorn, value["far"], alert.far);
}

#[task]
fn borrowing(name: &str, numbers: &[f64], coinc: &Blob) -> Result<String> {
    Ok(format!("{name} {numbers:?} {}", coinc.len()))
}

#[task(queue = "openmp")]
fn localize(coinc: Blob) -> Result<Blob> {
    let mut map = coinc.bytes()?;
    map.reverse();
    Ok(Blob::put(map)?)
}

#[task]
fn lent(text: &str) -> Result<Vec<Cow<'_, str>>> {
    Ok(text.split(' ').map(Cow::from).collect())
}

#[task]
fn refuses(pixels: u32) -> Result<u32> {
    match pixels {
        0 => bail!("0 is no number of pixels"),
        pixels => Ok(pixels),
    }
}

mod swift {
    use super::*;

    #[handler(SWIFT_BAT_GRB_POS_ACK)]
    pub(crate) fn handle_bat(packet: Packet) -> Result<()> {
        bail!("cannot point at {}", packet.payload.len());
    }

    #[derive(Serialize, Deserialize)]
    pub(crate) struct Target {
        pub(crate) name: String,
    }

    #[task(name = "point")]
    pub(crate) fn point_at(target: Target, seconds: u32) -> Result<String> {
        Ok(format!("{} for {seconds} s", target.name))
    }

    pub(crate) mod watch {
        use gwasp_sdk::prelude::*;

        #[task]
        pub(crate) fn wake() {}

        #[periodic("*/5 * * * *", name = "sweep")]
        fn sweep(due: clock::Timestamp) {
            info!("due {due}");
        }

        #[periodic(every = "1h")]
        fn often() {}
    }
}

fn entry(name: &str) -> Value {
    let manifest: Value = serde_json::from_str(&testing::manifest()).unwrap();
    let entries = manifest["entries"].as_array().unwrap();
    let found = entries.iter().find(|entry| entry["name"] == name);
    found.cloned().unwrap_or_default()
}

#[track_caller]
fn check_failure(name: &str, payload: &str, kind: FailureKind, message: &str) {
    let error = testing::handle(name, testing::packet_from(payload)).unwrap_err();
    assert_eq!(format!("{error:#}"), message);
    assert_eq!(error.kind(), kind);
}

#[test]
fn the_manifest_lists_every_module_by_name() {
    let manifest: Value = serde_json::from_str(&testing::manifest()).unwrap();
    assert_eq!(manifest["sdk"], env!("CARGO_PKG_VERSION"));
    let entries = manifest["entries"].as_array().unwrap();
    let names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "all_forms",
            "borrowed",
            "borrowing",
            "handle_alert",
            "handle_fermi",
            "handle_lvalert",
            "lent",
            "localize",
            "point",
            "refuses",
            "sweep",
            "swift::handle_bat",
            "swift::watch::often",
            "swift::watch::wake",
        ]
    );
}

#[test]
fn a_handlers_entry_has_its_keys_and_options_as_written() {
    assert_eq!(
        entry("handle_fermi"),
        json!({
            "name": "handle_fermi", "kind": "handler",
            "keys": [{"notice": 112}, {"notice": 115}, {"notice": 999}], "options": [],
        })
    );
    assert_eq!(
        entry("handle_alert"),
        json!({
            "name": "handle_alert", "kind": "handler",
            "keys": [{"node": "cbc_gstlal"}, {"node": "mdc_*"}],
            "options": [
                ["queue", "superevent"], ["retries", "10"], ["backoff", "1s"],
                ["max_backoff", "10m"], ["timeout", "30s"], ["deadline", "1h30m"],
                ["priority", "2"], ["order_by", "/uid"], ["accept", "test,old"],
            ],
        })
    );
    assert_eq!(entry("all_forms")["options"], json!([["only", "test"]]));
}

#[test]
fn a_task_and_a_schedule_have_no_keys() {
    assert_eq!(
        entry("localize"),
        json!({"name": "localize", "kind": "task", "options": [["queue", "openmp"]]})
    );
    assert_eq!(
        entry("sweep"),
        json!({"name": "sweep", "kind": "periodic", "options": [["cron", "*/5 * * * *"]]})
    );
    assert_eq!(
        entry("swift::watch::often")["options"],
        json!([["every", "1h"]])
    );
}

#[test]
fn a_handler_gets_the_type_it_asks_for() {
    let ran = testing::handle("handle_fermi", testing::packet_from(NOTICE)).unwrap();
    assert_eq!(ran.as_deref(), Some(b"172.0".as_slice()));
    let alert = r#"{"uid": "G298048", "far": 9.1e-14}"#;
    let ran = testing::handle("handle_alert", testing::packet_from(alert)).unwrap();
    assert_eq!(ran.as_deref(), Some(br#""G298048 9.1e-14""#.as_slice()));
    let ran = testing::handle("all_forms", testing::packet_from("abc")).unwrap();
    assert_eq!(ran, None);
    assert_eq!(testing::log_lines(), ["info: 3 3 abc"]);
}

#[test]
fn an_argument_may_be_a_reference_to_any_of_the_types() {
    let packet = testing::packet_from(r#"{"uid": "G1", "far": 0.5}"#);
    let error = testing::handle("borrowed", packet).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this is not XML: it looks like JSON (byte 0)"
    );
    let coinc = Blob::put("coinc").unwrap();
    borrowing::spawn("a \"name\"", &[0.5, 1.0], &coinc).unwrap();
    let task = testing::spawned().remove(0);
    let result = testing::call(&task.name, task.arguments).unwrap();
    let expected = serde_json::to_vec("a \"name\" [0.5, 1.0] 5").unwrap();
    assert_eq!(result, Some(expected));
}

#[test]
fn a_handler_stays_an_ordinary_function() {
    let notice = testing::argument_from(NOTICE).unwrap();
    assert!((handle_fermi(notice).unwrap() - 172.0).abs() < 1e-9);
    let alert = Alert {
        uid: "G1",
        far: 0.5,
    };
    assert_eq!(handle_alert(alert).unwrap(), "G1 5e-1");
}

#[test]
fn a_payload_that_does_not_parse_names_field_and_byte() {
    check_failure(
        "handle_alert",
        r#"{"uid": "G298048", "far": null}"#,
        FailureKind::Parse,
        "payload does not fit at /far (byte 26): invalid type: null, expected f64",
    );
    check_failure(
        "handle_lvalert",
        r#"{"uid": "G1", "alert_type": 5}"#,
        FailureKind::Parse,
        "the alert's field `alert_type` is a number and not a text",
    );
    check_failure(
        "handle_fermi",
        r#"{"uid": "G298048"}"#,
        FailureKind::Parse,
        "this is not XML: it looks like JSON (byte 0)",
    );
}

#[test]
fn a_handlers_own_error_is_tried_again() {
    check_failure(
        "swift::handle_bat",
        "12345",
        FailureKind::Error,
        "cannot point at 5",
    );
}

#[test]
fn a_name_that_nothing_has_says_where_to_look() {
    check_failure(
        "handle_ferm",
        "",
        FailureKind::Permanent,
        "the plugin has no function `handle_ferm`: `gwasp check` shows those it has",
    );
}

#[test]
fn a_task_is_spawned_by_its_name_with_typed_arguments() {
    localize::spawn(Blob::put("coinc").unwrap()).unwrap();
    let target = swift::Target { name: "M31".into() };
    swift::point_at::spawn(target, 60).unwrap();
    swift::watch::wake::spawn().unwrap();
    let spawned: Vec<(String, String)> = testing::spawned()
        .into_iter()
        .map(|task| (task.name, String::from_utf8(task.arguments).unwrap()))
        .collect();
    let coinc = Blob::put("coinc").unwrap().digest();
    assert_eq!(
        spawned,
        [
            ("localize".into(), format!(r#"{{"blob":"{coinc}"}}"#)),
            ("point".into(), r#"[{"name":"M31"},60]"#.into()),
            ("swift::watch::wake".into(), "null".into()),
        ]
    );
    for (name, arguments) in spawned {
        testing::call(&name, arguments).unwrap();
    }
}

#[test]
fn a_called_task_answers_with_its_own_type() {
    let map: Blob = localize::call(Blob::put("abc").unwrap()).unwrap();
    assert_eq!(map.bytes().unwrap(), b"cba");
    let text: String = borrowing::call("a", &[0.5], &map).unwrap();
    assert_eq!(text, "a [0.5] 3");
    swift::watch::wake::call().unwrap();
    let words = lent::call("two words").unwrap();
    assert_eq!(words, ["two", "words"]);
    assert!(testing::spawned().is_empty(), "none of them is spawned");
}

#[test]
fn tasks_that_are_called_together_answer_in_their_order_with_their_own_types() {
    let texts = ["a b", "c d"];
    let words = tasks::all(texts.iter().map(|text| lent::prepare(text))).unwrap();
    assert_eq!(words, [["a", "b"], ["c", "d"]]);
    let calls = (lent::prepare("e f"), swift::watch::wake::prepare());
    let (words, ()) = tasks::join(calls).unwrap();
    assert_eq!(words, ["e", "f"]);
    let each = tasks::each([refuses::prepare(0), refuses::prepare(2)]).unwrap();
    assert!(
        matches!(&each[..], [Err(TaskError::Failed { .. }), Ok(2)]),
        "{each:?}"
    );
    let error = tasks::all([refuses::prepare(2), refuses::prepare(0)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the task that was called failed: 0 is no number of pixels"
    );
}

#[test]
fn a_called_task_that_fails_fails_its_caller() {
    let error = refuses::call(0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the task that was called failed: 0 is no number of pixels"
    );
    assert_eq!(error.kind(), FailureKind::Permanent);
    let failed = |kind| TaskError::Failed {
        kind,
        message: "no answer".to_owned(),
    };
    testing::no_result_of("refuses", failed(FailureKind::InDoubt));
    assert_eq!(refuses::call(1).unwrap_err().kind(), FailureKind::InDoubt);
    testing::result_of("refuses", "true");
    let error = refuses::call(1).unwrap_err();
    assert_eq!(error.to_string(), "the called task's result does not fit");
}

#[test]
fn a_task_of_nowhere_is_unknown() {
    let called = tasks::call::<()>("annotate.plot", "S190425z");
    assert!(matches!(called, Err(TaskError::Unknown(_))), "{called:?}");
}

#[test]
fn a_tasks_result_is_json() {
    let coinc = Blob::put("abc").unwrap();
    let arguments = serde_json::to_string(&coinc).unwrap();
    let result = testing::call("localize", arguments).unwrap().unwrap();
    let map: Blob = serde_json::from_slice(&result).unwrap();
    assert_eq!(map.bytes().unwrap(), b"cba");
    let error = testing::call("point", r#"[{"name": 5}, 60]"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument does not fit at /0/name (byte 10): \
         invalid type: integer `5`, expected a string"
    );
}

#[test]
fn a_schedule_gets_the_moment_for_which_it_was_due() {
    testing::tick("sweep", "2017-08-17T12:40:00Z").unwrap();
    assert_eq!(testing::log_lines(), ["info: due 2017-08-17T12:40:00Z"]);
}
