use super::{LvAlert, LvAlertError};
use crate::Role;

#[track_caller]
fn alert(json: &str) -> LvAlert {
    LvAlert::parse(json.as_bytes()).unwrap()
}

#[track_caller]
fn check_role(uid: &str, object: &str, role: Role) {
    let alert = alert(&format!(
        r#"{{"uid": "{uid}", "alert_type": "new", "object": {object}}}"#
    ));
    assert_eq!(alert.role(), role, "{uid} {object}");
}

#[test]
fn a_message_of_today_has_labels_in_its_object() {
    let alert = alert(
        r#"{"uid": "S180616h", "alert_type": "label_added", "data": {"name": "ADVREQ"},
            "object": {"superevent_id": "S180616h", "t_0": 1213201234.5, "far": 1e-9,
                       "labels": ["EM_READY", "ADVREQ"]}, "labels": ["OLD"], "file": ""}"#,
    );
    assert_eq!(
        (alert.uid.as_str(), alert.alert_type.as_str()),
        ("S180616h", "label_added")
    );
    assert_eq!(alert.data["name"], "ADVREQ");
    assert_eq!(alert.labels, ["EM_READY", "ADVREQ"]);
    assert!(alert.has_label("ADVREQ") && !alert.has_label("OLD"));
    assert!(alert.is_superevent());
    assert_eq!(alert.superevent_id(), Some("S180616h"));
    assert_eq!(
        (alert.gps_time(), alert.far()),
        (Some(1_213_201_234.5), Some(1e-9))
    );
}

#[test]
fn an_older_message_has_labels_beside_the_object_and_no_data() {
    let alert = alert(
        r#"{"uid": "G1", "alert_type": "update", "labels": ["DQV"], "object": {"far": null}}"#,
    );
    assert_eq!(alert.labels, ["DQV"]);
    assert!(alert.data.is_null());
    assert_eq!(
        (alert.far(), alert.gps_time(), alert.group()),
        (None, None, None)
    );
}

#[test]
fn a_message_without_object_is_read() {
    let alert = alert(r#"{"uid": "T1", "alert_type": "log", "data": {"filename": "psd.xml.gz"}}"#);
    assert!(alert.object.is_null() && alert.labels.is_empty());
}

#[test]
fn test_and_mock_data_are_tests() {
    check_role(
        "G1",
        r#"{"group": "CBC", "search": "AllSky"}"#,
        Role::Observation,
    );
    check_role(
        "S180616h",
        r#"{"category": "Production"}"#,
        Role::Observation,
    );
    check_role("E1", r#"{"group": "External"}"#, Role::Observation);
    check_role("G1", r#"{"group": "Test"}"#, Role::Test);
    check_role("G1", r#"{"group": "CBC", "search": "MDC"}"#, Role::Test);
    check_role("M1", "{}", Role::Test);
    check_role("MS180616h", "{}", Role::Test);
    check_role("TS180616h", "null", Role::Test);
    check_role("S180616h", r#"{"category": "MDC"}"#, Role::Test);
}

#[test]
fn an_error_names_the_byte_or_the_field() {
    let error = LvAlert::parse(b"{\"uid\": \"G1\",\n \"alert_type\": new}").unwrap_err();
    assert!(
        matches!(
            error,
            LvAlertError::Json {
                offset: 29 | 30,
                ..
            }
        ),
        "{error:?}"
    );
    for (json, message) in [
        ("[1]", "the alert is a list and not a JSON object"),
        (
            r#"{"alert_type": "new"}"#,
            "the alert's field `uid` is missing and not a text",
        ),
        (
            r#"{"uid": "G1", "alert_type": 5}"#,
            "the alert's field `alert_type` is a number and not a text",
        ),
    ] {
        assert_eq!(
            LvAlert::parse(json.as_bytes()).unwrap_err().to_string(),
            message
        );
    }
}
