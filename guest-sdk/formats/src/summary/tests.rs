use super::NoticeSummary;

#[track_caller]
fn check_json(document: &str, expected: &str) {
    let summary = NoticeSummary::read(document.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&summary).unwrap(), expected);
}

/// A document with these attributes, params and `AstroCoords`.
fn document(attributes: &str, params: &str, coords: &str) -> String {
    format!(
        "<VOEvent {attributes}><Who><AuthorIVORN>ivo://a</AuthorIVORN><Date>2026-01-02T03:04:05</Date></Who>\
         <What>{params}</What><WhereWhen><ObsDataLocation><ObservationLocation>{coords}\
         </ObservationLocation></ObsDataLocation></WhereWhen></VOEvent>"
    )
}

#[test]
fn a_notice_has_its_fields_in_this_order() {
    let document = document(
        "ivorn='ivo://a/b#c' role='test'",
        "<Param name='Packet_Type' value='119'/>",
        "<AstroCoords coord_system_id='UTC-FK5-GEO'>\
         <Time><TimeInstant><ISOTime>2026-01-02T03:04:05.60</ISOTime></TimeInstant></Time>\
         <Position2D unit='deg'><Value2><C1>343.0400</C1><C2>-46.18</C2></Value2>\
         <Error2Radius>5</Error2Radius></Position2D></AstroCoords>",
    );
    check_json(
        &document,
        r#"{"notice_type":"FERMI_GBM_POS_TEST","number":119,"ivorn":"ivo://a/b#c","role":"test","author":"ivo://a","date":"2026-01-02T03:04:05","time":"2026-01-02T03:04:05.60Z","ra":343.04,"dec":-46.18,"error_radius":5.0,"frame":"UTC-FK5-GEO","note":null}"#,
    );
}

#[test]
fn what_is_absent_is_null() {
    check_json(
        "<VOEvent/>",
        r#"{"notice_type":null,"number":null,"ivorn":null,"role":"observation","author":null,"date":null,"time":null,"ra":null,"dec":null,"error_radius":null,"frame":null,"note":null}"#,
    );
}

#[track_caller]
fn read(document: &str) -> NoticeSummary {
    NoticeSummary::read(document.as_bytes()).unwrap()
}

#[test]
fn zero_with_radius_zero_is_no_position_and_has_a_note() {
    let summary = read(&document(
        "",
        "",
        "<AstroCoords><Position2D><Value2><C1>0.0000</C1><C2>0.0000</C2></Value2>\
         <Error2Radius>0.0000</Error2Radius></Position2D></AstroCoords>",
    ));
    assert_eq!(
        (summary.ra, summary.dec, summary.error_radius),
        (None, None, None)
    );
    let note = "RA, Dec and error radius are 0, which means no position";
    assert_eq!(summary.note.as_deref(), Some(note));
}

#[test]
fn coordinates_that_are_no_place_are_shown_with_a_note() {
    let summary = read(&document(
        "",
        "",
        "<AstroCoords><Position2D><Value2><C1>-1.0</C1><C2>-1.0</C2></Value2>\
         <Error2Radius>-1.0</Error2Radius></Position2D></AstroCoords>",
    ));
    assert_eq!(
        (summary.ra, summary.dec, summary.error_radius),
        (Some(-1.0), Some(-1.0), Some(-1.0))
    );
    assert!(summary.note.is_some_and(|note| note.contains("negative")));
}

#[test]
fn an_impossible_time_is_null_and_has_a_note() {
    let summary = read(&document(
        "role='observe'",
        "<Param name='Packet_Type' value='many'/>",
        "<AstroCoords><Time><TimeInstant><ISOTime>2016-01--3T03:05:12</ISOTime></TimeInstant></Time></AstroCoords>",
    ));
    assert_eq!(
        (summary.time, summary.notice_type, summary.number),
        (None, None, None)
    );
    assert_eq!(
        summary.note.as_deref(),
        Some(
            "the role `observe` is unknown and counts as observation; \
             Packet_Type is `many`, not a number from 0 to 65535; \
             the time `2016-01--3T03:05:12` is impossible"
        )
    );
}

#[test]
fn a_time_in_another_scale_is_shown_with_a_note() {
    let summary = read(&document(
        "",
        "<Param name='Packet_Type' value='576'/>",
        "<AstroCoords coord_system_id='TDB-ICRS-BARY'><Time><TimeInstant>\
         <ISOTime>2016-10-31T22:27:33</ISOTime></TimeInstant></Time></AstroCoords>",
    ));
    assert_eq!(summary.time.as_deref(), Some("2016-10-31T22:27:33Z"));
    assert_eq!(
        summary.note.as_deref(),
        Some("the time counts in TDB, not UTC")
    );
    let json = serde_json::to_value(summary.notice_type).unwrap();
    assert_eq!(json, "UNKNOWN_576");
}
