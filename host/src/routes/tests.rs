use bytes::Bytes;
use gwasp_formats::Role;
use jiff::Timestamp;

use super::{Manifest, OrderBy, PluginRoutes, Routes, Unmatched};
use crate::packet::{Digest, Flag, Key, Packet};
use gwasp_formats::notice_type::NoticeType;

fn table(entries: &str) -> Routes {
    let manifest = Manifest::read(&format!(
        r#"{{"format":1,"sdk":"0.1.0","entries":[{entries}]}}"#
    ))
    .unwrap();
    let plugin = PluginRoutes {
        plugin: "p".to_owned(),
        generation: 1,
        digest: Digest::of(b"p"),
        manifest,
    };
    Routes::new(7, &[plugin])
}

fn packet(key: Key, role: Role) -> Packet {
    Packet {
        source: "gcn".to_owned(),
        key,
        id: "ivo://gwasp.test/a#1".to_owned(),
        identity: Digest::of(b"a"),
        role,
        received: Timestamp::UNIX_EPOCH,
        sent: None,
        content_type: "application/xml",
        headers: Vec::new(),
        flags: Vec::new(),
        payload: Bytes::new(),
    }
}

#[track_caller]
fn check(entries: &str, key: Key, role: Role, expected: Result<&[&str], Unmatched>) {
    let found = table(entries).matching(&packet(key, role)).map(|routes| {
        routes
            .iter()
            .map(|route| route.entry.name.clone())
            .collect::<Vec<_>>()
    });
    let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
    assert_eq!(found, expected);
}

const GND: Key = Key::Notice(NoticeType(111));
const GND_AND_FIN: &str = r#"{"name":"f","kind":"handler","keys":[{"notice":111},{"notice":115}]}"#;

#[test]
fn a_packet_matches_each_handler_of_its_notice_type_once() {
    let two = r#"{"name":"b","kind":"handler","keys":[{"notice":111},{"notice":111}]},
                 {"name":"a","kind":"handler","keys":[{"notice":111}]}"#;
    check(two, GND, Role::Observation, Ok(&["a", "b"]));
}

#[test]
fn another_notice_type_has_no_handler() {
    let bat = Key::Notice(NoticeType(61));
    check(
        GND_AND_FIN,
        bat,
        Role::Observation,
        Err(Unmatched::NoHandler),
    );
}

#[test]
fn a_test_notice_is_held_back_from_a_handler_that_does_not_ask_for_tests() {
    check(GND_AND_FIN, GND, Role::Test, Err(Unmatched::HeldBack));
}

#[test]
fn accept_test_adds_tests_to_the_standard_roles() {
    let accepting = r#"{"name":"f","kind":"handler","keys":[{"notice":111}],
                        "options":[["accept","test"]]}"#;
    check(accepting, GND, Role::Test, Ok(&["f"]));
    check(accepting, GND, Role::Utility, Ok(&["f"]));
}

#[test]
fn only_test_replaces_the_standard_roles() {
    let only = r#"{"name":"f","kind":"handler","keys":[{"notice":111}],
                   "options":[["only","test"]]}"#;
    check(only, GND, Role::Test, Ok(&["f"]));
    check(only, GND, Role::Observation, Err(Unmatched::HeldBack));
}

#[test]
fn a_key_that_is_a_test_by_its_name_takes_tests() {
    let gbm_test = r#"{"name":"f","kind":"handler","keys":[{"notice":119}]}"#;
    check(
        gbm_test,
        Key::Notice(NoticeType(119)),
        Role::Test,
        Ok(&["f"]),
    );
}

#[test]
fn a_trailing_star_is_a_prefix_of_nodes_and_never_of_notices() {
    let prefix = r#"{"name":"f","kind":"handler","keys":[{"node":"cbc_*"}]}"#;
    check(
        prefix,
        Key::Node("cbc_gstlal".to_owned()),
        Role::Observation,
        Ok(&["f"]),
    );
    check(
        prefix,
        Key::Node("burst_cwb".to_owned()),
        Role::Observation,
        Err(Unmatched::NoHandler),
    );
    check(
        r#"{"name":"f","kind":"handler","keys":[{"node":"*"}]}"#,
        GND,
        Role::Observation,
        Err(Unmatched::NoHandler),
    );
}

#[test]
fn an_option_that_the_host_does_not_know_is_refused_by_name() {
    let json = r#"{"format":1,"sdk":"9","entries":[{"name":"f","kind":"task","options":[["teleport","1"]]}]}"#;
    let error = Manifest::read(json).unwrap_err().to_string();
    assert!(
        error.contains("`f`") && error.contains("`teleport`"),
        "{error}"
    );
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let json = r#"{"format":1,"sdk":"0.1.0","entries":[{"name":"f","kind":"task"},{"name":"f","kind":"task"}]}"#;
    assert!(
        Manifest::read(json)
            .unwrap_err()
            .to_string()
            .contains("`f`")
    );
}

#[track_caller]
fn check_order(order_by: &OrderBy, payload: &'static str, expected: Option<&str>) {
    let packet = Packet {
        payload: Bytes::from_static(payload.as_bytes()),
        ..packet(GND, Role::Observation)
    };
    assert_eq!(order_by.value(&packet).as_deref(), expected);
}

#[test]
fn a_json_pointer_orders_by_a_text_or_number_and_by_nothing_else() {
    let alert = r#"{"object":{"superevent_id":"S260101a","n":7,"labels":[]}}"#;
    let pointer = |path: &str| OrderBy::Pointer(path.to_owned());
    check_order(&pointer("/object/superevent_id"), alert, Some("S260101a"));
    check_order(&pointer("/object/n"), alert, Some("7"));
    check_order(&pointer("/object/labels"), alert, None);
    check_order(&pointer("/object/missing"), alert, None);
    check_order(&pointer("/object"), "no json", None);
}

#[test]
fn a_param_orders_by_its_value_in_the_voevent() {
    let notice = r#"<VOEvent ivorn="ivo://gwasp.test/a#1"><What>
        <Param name="TrigID" value="99"/></What></VOEvent>"#;
    check_order(&OrderBy::Param("TrigID".to_owned()), notice, Some("99"));
    check_order(&OrderBy::Param("Other".to_owned()), notice, None);
    check_order(&OrderBy::Id, notice, Some("ivo://gwasp.test/a#1"));
}

#[test]
fn a_packet_that_only_a_refused_plugin_asks_for_says_so() {
    let refused = Manifest::read(&format!(
        r#"{{"format":1,"sdk":"0.1.0","entries":[{GND_AND_FIN}]}}"#
    ))
    .unwrap();
    let reason = |served: &str, role| {
        let routes = table(served).with_refused(&[("astray".to_owned(), refused.clone())]);
        let found = routes.matching(&packet(GND, role));
        found.map(|routes| routes.len())
    };
    let only_tests =
        r#"{"name":"t","kind":"handler","keys":[{"notice":111}],"options":[["only","test"]]}"#;
    assert_eq!(reason("", Role::Observation), Err(Unmatched::PluginRefused));
    assert_eq!(
        reason(only_tests, Role::Observation),
        Err(Unmatched::PluginRefused)
    );
    assert_eq!(reason(only_tests, Role::Test), Ok(1));
    assert_eq!(reason("", Role::Test), Err(Unmatched::NoHandler));
    assert_eq!(reason(GND_AND_FIN, Role::Test), Err(Unmatched::HeldBack));
}

const TAKES_OLD: &str = r#"{"name":"o","kind":"handler","keys":[{"notice":111}],
    "options":[["accept","old"]]}"#;
const ONLY_OLD: &str = r#"{"name":"o","kind":"handler","keys":[{"notice":111}],
    "options":[["only","old"]]}"#;
const TAKES_OLD_TESTS: &str = r#"{"name":"o","kind":"handler","keys":[{"notice":111}],
    "options":[["accept","test, old"]]}"#;

/// Whether `entries` take a packet of this role that was under way for so many seconds.
#[track_caller]
fn check_age(entries: &str, role: Role, seconds: i64, expected: Result<(), Unmatched>) {
    let mut packet = packet(GND, role);
    packet.sent = Some(packet.received - jiff::SignedDuration::from_secs(seconds));
    let found = table(entries).matching(&packet).map(drop);
    assert_eq!(found, expected, "{entries} {role:?} {seconds}");
}

#[test]
fn a_packet_that_was_under_way_for_an_hour_reaches_only_who_takes_old_ones() {
    check_age(GND_AND_FIN, Role::Observation, 3_600, Ok(()));
    check_age(
        GND_AND_FIN,
        Role::Observation,
        3_601,
        Err(Unmatched::TooOld),
    );
    check_age(TAKES_OLD, Role::Observation, 3_601, Ok(()));
    check_age(TAKES_OLD, Role::Observation, 0, Ok(()));
    check_age(ONLY_OLD, Role::Observation, 3_601, Ok(()));
    check_age(ONLY_OLD, Role::Observation, 0, Err(Unmatched::HeldBack));
}

#[test]
fn an_old_test_is_for_who_takes_both() {
    check_age(TAKES_OLD, Role::Test, 3_601, Err(Unmatched::HeldBack));
    check_age(TAKES_OLD_TESTS, Role::Test, 3_601, Ok(()));
    check_age(TAKES_OLD_TESTS, Role::Test, 0, Ok(()));
}

#[test]
fn a_packet_that_a_backup_brought_back_is_old_and_one_without_a_time_is_not() {
    let mut packet = packet(GND, Role::Observation);
    assert!(table(GND_AND_FIN).matching(&packet).is_ok());
    packet.flags.push(Flag::Historic);
    let found = table(GND_AND_FIN).matching(&packet).map(drop);
    assert_eq!(found, Err(Unmatched::TooOld));
    assert!(table(TAKES_OLD).matching(&packet).is_ok());
}
