//! Rows of the catalogue of bad input that a listener meets, and what is found in good input.

use super::{Scan, TransportHead, TransportRole, VoEventHead, scan};
use crate::{NoticeType, Oddity, Role, XmlFault};

const PROLOG: &str = "<?xml version = '1.0' encoding = 'UTF-8'?>\n";
const ROOT: &str = "<voe:VOEvent xmlns:voe='http://www.ivoa.net/xml/VOEvent/v2.0' version='2.0'";

fn event(attributes: &str, body: &str) -> String {
    format!("{ROOT} {attributes}>{body}</voe:VOEvent>")
}

fn good() -> String {
    event(
        "ivorn='ivo://org.example/stream#1' role='observation'",
        "<Who><Date>2026-01-02T03:04:05</Date></Who>\
         <What><Param name='Packet_Type' value='112'/><Param name='TrigID' value='7'/></What>",
    )
}

#[track_caller]
fn head(payload: impl AsRef<[u8]>) -> VoEventHead {
    match scan(payload.as_ref(), &["TrigID"]) {
        Ok(Scan::VoEvent(head)) => head,
        other => panic!("not an event: {other:?}"),
    }
}

#[track_caller]
fn transport(payload: &str) -> TransportHead {
    match scan(payload.as_bytes(), &[]) {
        Ok(Scan::Transport(head)) => head,
        other => panic!("not a transport message: {other:?}"),
    }
}

#[track_caller]
fn check_fault(payload: impl AsRef<[u8]>, expected: impl Fn(&XmlFault) -> bool, offset: usize) {
    let error = scan(payload.as_ref(), &[]).unwrap_err();
    assert!(expected(&error.fault), "{error:?}");
    assert_eq!(error.offset, offset, "{error}");
}

#[track_caller]
fn check_type(params: &str, number: Option<u16>, oddities: &[Oddity]) {
    let head = head(event(
        "ivorn='ivo://a/b#c'",
        &format!("<What>{params}</What>"),
    ));
    assert_eq!(head.notice_type, number.map(NoticeType), "{params}");
    assert_eq!(head.oddities, oddities, "{params}");
}

#[test]
fn an_event_yields_what_accept_needs() {
    let payload = format!("{PROLOG}<!-- a -->{}\n<!-- b -->\n", good());
    let head = head(&payload);
    assert_eq!(&payload[head.element.clone()], good());
    assert_eq!(head.ivorn.as_deref(), Some("ivo://org.example/stream#1"));
    assert_eq!(head.role_word.as_deref(), Some("observation"));
    assert_eq!(head.role, Role::Observation);
    assert_eq!(head.version.as_deref(), Some("2.0"));
    assert_eq!(head.notice_type, Some(NoticeType(112)));
    assert_eq!(head.date.as_deref(), Some("2026-01-02T03:04:05"));
    assert_eq!(head.params, [Some("7".to_owned())]);
    assert_eq!(head.oddities, []);
}

#[test]
fn another_prolog_leaves_the_same_element() {
    let bare = head(good());
    let dressed = head(format!(
        "<?xml version=\"1.0\"?><!-- other --><?pi?>{}",
        good()
    ));
    assert_eq!(bare.element.len(), dressed.element.len());
}

#[test]
fn a_packet_type_is_a_plain_number_in_any_attribute_order() {
    check_type(
        "<Param value=' 112 ' dataType='int' name='Packet_Type'/>",
        Some(112),
        &[],
    );
    check_type(
        "<Param name='Packet_Type'><Description/><Value>150</Value></Param>",
        Some(150),
        &[],
    );
    check_type(
        "<Param name='Packet_Type' value='112'><Value>150</Value></Param>",
        Some(112),
        &[],
    );
    check_type(
        "<Param name='Packet_Type' value='65535'/>",
        Some(65535),
        &[],
    );
}

#[test]
fn packet_type_missing() {
    check_type("<Param name='TrigID' value='112'/>", None, &[]);
    check_type(
        "<Group name='g'><Param name='Packet_Type' value='112'/></Group>",
        None,
        &[],
    );
    check_type(
        "<Table><Param name='Packet_Type' value='112'/></Table>",
        None,
        &[],
    );
}

#[test]
fn packet_type_text() {
    for text in ["", "abc", "-1", "+1", "1e2", "65536", "0x70"] {
        let param = format!("<Param name='Packet_Type' value='{text}'/>");
        check_type(&param, None, &[Oddity::BadPacketType(text.to_owned())]);
    }
    check_type(
        "<Param name='Packet_Type'/>",
        None,
        &[Oddity::BadPacketType(String::new())],
    );
}

#[test]
fn of_two_packet_types_the_first_counts() {
    let twice = "<Param name='Packet_Type' value='112'/><Param name='Packet_Type' value='3'/>";
    check_type(twice, Some(112), &[Oddity::RepeatedPacketType]);
}

#[test]
fn no_role() {
    let head = head(event("ivorn='ivo://a/b#c'", ""));
    assert_eq!((head.role, head.role_word), (Role::Observation, None));
    assert_eq!(head.oddities, []);
}

#[test]
fn an_unknown_role_counts_as_observation_and_is_flagged() {
    let head = head(event("ivorn='ivo://a/b#c' role='observe'", ""));
    assert_eq!(head.role, Role::Observation);
    assert_eq!(head.oddities, [Oddity::UnknownRole("observe".to_owned())]);
}

#[test]
fn no_ivorn() {
    assert_eq!(head(event("role='test'", "")).ivorn, None);
    assert_eq!(head(event("ivorn=' ' role='test'", "")).ivorn, None);
}

#[test]
fn ivorn_ampersand() {
    let head = head(event("ivorn='ivo://a/b#c&amp;d&#x26;&lt;'", ""));
    assert_eq!(head.ivorn.as_deref(), Some("ivo://a/b#c&d&<"));
}

#[test]
fn ivorn_newline() {
    let head = head(event("ivorn='ivo://a/b#c\nd\r\ne'", ""));
    assert_eq!(head.ivorn.as_deref(), Some("ivo://a/b#c d e"));
}

#[test]
fn ivorn_not_ivo() {
    assert_eq!(
        head(event("ivorn='urn:x'", "")).ivorn.as_deref(),
        Some("urn:x")
    );
}

#[test]
fn ivorn_100kb() {
    let long = event(&format!("ivorn='{}'", "x".repeat(100_000)), "");
    check_fault(
        long,
        |fault| matches!(fault, XmlFault::AttributeTooLong { .. }),
        0,
    );
    let just_right = "x".repeat(64 * 1024);
    assert_eq!(
        head(event(&format!("ivorn='{just_right}'"), "")).ivorn,
        Some(just_right)
    );
}

#[test]
fn voevent_v1_1_v2_1_https_and_no_namespace() {
    for root in [
        "<voe:VOEvent xmlns:voe='http://www.ivoa.net/xml/VOEvent/v1.1' version='1.1'",
        "<VOEvent xmlns='http://www.ivoa.net/xml/VOEvent/v2.1' version='2.1'",
        "<x:VOEvent xmlns:x='https://www.ivoa.net/xml/VOEvent/v2.0'",
        "<VOEvent",
    ] {
        let end = root
            .split_whitespace()
            .next()
            .unwrap_or(root)
            .replace('<', "</");
        let payload = format!("{root} ivorn='ivo://a/b'><What/>{end}>");
        assert_eq!(head(payload).ivorn.as_deref(), Some("ivo://a/b"), "{root}");
    }
}

#[test]
fn a_prefix_that_is_not_declared_is_no_fault() {
    let payload = event("xsi:schemaLocation='a b' ivorn='ivo://a/b'", "");
    assert_eq!(head(payload).ivorn.as_deref(), Some("ivo://a/b"));
}

#[test]
fn billion_laughs() {
    let bomb = format!(
        "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;'>]>{}",
        event(
            "ivorn='ivo://a/b'",
            "<What><Description>&lol2;</Description></What>"
        )
    );
    check_fault(
        bomb,
        |fault| matches!(fault, XmlFault::DeclaresEntities),
        21,
    );
}

#[test]
fn quadratic_blowup() {
    let bomb = format!(
        "<!DOCTYPE b [<!ENTITY a '{}'>]><b>&a;&a;</b>",
        "x".repeat(10_000)
    );
    check_fault(bomb, |fault| matches!(fault, XmlFault::DeclaresEntities), 0);
}

#[test]
fn xxe_file() {
    let doctype = "<!DOCTYPE v [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>";
    check_fault(
        format!("{doctype}{}", good()),
        |f| matches!(f, XmlFault::DeclaresEntities),
        0,
    );
    let parameter = "<!DOCTYPE v [<!ENTITY % x SYSTEM 'http://a/'> %x;]>";
    check_fault(
        format!("{parameter}{}", good()),
        |f| matches!(f, XmlFault::DeclaresEntities),
        0,
    );
    let undeclared = event("ivorn='ivo://a/b#&x;'", "");
    check_fault(
        undeclared,
        |f| matches!(f, XmlFault::UnknownEntity(name) if name == "x"),
        0,
    );
}

#[test]
fn doctype_no_entities() {
    for doctype in [
        "<!DOCTYPE VOEvent>",
        "<!DOCTYPE VOEvent SYSTEM 'http://x.example/a%20b.dtd'>",
        "<!DOCTYPE VOEvent [<!ELEMENT VOEvent ANY>]>",
    ] {
        head(format!("{doctype}{}", good()));
    }
}

#[test]
fn invalid_utf8() {
    let payload = [b"<VOEvent>", &[0xC3, 0x28][..], b"</VOEvent>"].concat();
    check_fault(
        payload,
        |fault| matches!(fault, XmlFault::Undecodable { .. }),
        9,
    );
}

#[test]
fn latin1_declared() {
    let payload = event(
        "ivorn='ivo://a/\u{e9}'",
        "<What><Description>\u{fc}</Description></What>",
    );
    let text = format!("<?xml version='1.0' encoding='ISO-8859-1'?>{payload}");
    let bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let head = head(&bytes);
    assert_eq!(head.ivorn.as_deref(), Some("ivo://a/\u{e9}"));
    assert_eq!(&bytes[head.element.clone()][..4], b"<voe");
    assert!(bytes[head.element].ends_with(b"</voe:VOEvent>"));
}

#[test]
fn latin1_undeclared() {
    let payload = [b"<VOEvent ivorn='ivo://a/".as_slice(), &[0xE9], b"'/>"].concat();
    check_fault(
        payload,
        |fault| matches!(fault, XmlFault::Undecodable { .. }),
        24,
    );
}

#[test]
fn utf16_bom() {
    let text = format!(
        "<?xml version='1.0' encoding='UTF-16'?><!-- \u{1F52D} -->{}",
        good()
    );
    for (mark, unit) in [
        ([0xFF, 0xFE], u16::to_le_bytes as fn(u16) -> [u8; 2]),
        ([0xFE, 0xFF], u16::to_be_bytes),
    ] {
        let bytes: Vec<u8> = mark
            .into_iter()
            .chain(text.encode_utf16().flat_map(unit))
            .collect();
        let head = head(&bytes);
        assert_eq!(head.notice_type, Some(NoticeType(112)));
        let element: Vec<u8> = good().encode_utf16().flat_map(unit).collect();
        assert_eq!(bytes[head.element], element);
    }
}

#[test]
fn utf8_bom() {
    let payload = format!("\u{FEFF}{PROLOG}{}", good());
    let head = head(&payload);
    assert_eq!(&payload[head.element], good());
}

#[test]
fn nul_inside_and_trailing() {
    let control = |fault: &XmlFault| matches!(fault, XmlFault::ControlCharacter(0));
    check_fault("<VOEvent>\0</VOEvent>", control, 9);
    check_fault("<VOEvent></VOEvent>\0", control, 19);
}

#[test]
fn newline_trailing() {
    head(good() + "\r\n");
}

#[test]
fn leading_whitespace() {
    check_fault(
        format!(" \n{PROLOG}{}", good()),
        |fault| matches!(fault, XmlFault::LateDeclaration),
        2,
    );
}

#[test]
fn text_before_and_after_the_document() {
    let before = format!("A sample\n{PROLOG}{}", good());
    check_fault(
        before,
        |fault| matches!(fault, XmlFault::TextBeforeDocument),
        0,
    );
    let after = good() + " x";
    check_fault(
        &after,
        |fault| matches!(fault, XmlFault::TextAfterDocument),
        after.len() - 1,
    );
}

#[test]
fn html_doc() {
    let page = b"<!DOCTYPE html>\n<html><head><meta charset=utf-8></head><body>503 &nbsp;</html>";
    let root = "html".to_owned();
    assert_eq!(scan(page, &[]), Ok(Scan::Other { root }));
}

#[test]
fn not_xml_and_white_space_only() {
    check_fault(
        "hello",
        |fault| matches!(fault, XmlFault::TextBeforeDocument),
        0,
    );
    check_fault(" \n ", |fault| matches!(fault, XmlFault::Empty), 0);
    check_fault("", |fault| matches!(fault, XmlFault::Empty), 0);
    check_fault(
        "<!-- nothing -->",
        |fault| matches!(fault, XmlFault::NoElement),
        16,
    );
}

#[test]
fn two_docs_in_frame() {
    let twice = good() + &good();
    check_fault(
        twice,
        |fault| matches!(fault, XmlFault::SecondDocument),
        good().len(),
    );
}

#[test]
fn a_document_that_is_cut_short_says_where() {
    let payload = good();
    let cut = payload.split_at(payload.find("<What>").unwrap() + 6).0;
    let error = scan(cut.as_bytes(), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the document ends inside `What`: it is cut short (byte {}, in VOEvent/What)",
            cut.len()
        )
    );
}

#[test]
fn deep_nesting_5000() {
    let deep = format!(
        "<VOEvent>{}{}</VOEvent>",
        "<a>".repeat(5000),
        "</a>".repeat(5000)
    );
    check_fault(
        deep,
        |fault| matches!(fault, XmlFault::TooDeep { limit: 128 }),
        9 + 127 * 3,
    );
}

#[test]
fn many_params_90kb() {
    let params = "<Param name='x' value='1'/>".repeat(3400);
    let head = head(event(
        "ivorn='ivo://a/b'",
        &format!("<What>{params}</What>"),
    ));
    assert_eq!(head.params, [None]);
}

#[test]
fn more_attributes_than_anyone_needs_are_refused() {
    let many: String = (0..300).map(|n| format!("a{n}='' ")).collect();
    check_fault(
        event(&many, ""),
        |f| matches!(f, XmlFault::TooManyAttributes { limit: 256 }),
        0,
    );
    check_fault(
        "<a b='1' b='2'/>",
        |f| matches!(f, XmlFault::AttributeTwice(_)),
        0,
    );
}

#[test]
fn iamalive_with_all_its_parts() {
    let head = transport(
        "<trn:Transport role='iamalive' version='1.0' \
         xmlns:trn='http://www.telescope-networks.org/xml/Transport/v1.1'>\
         <Origin>ivo://org.example/broker</Origin><Response>ivo://org.example/me</Response>\
         <TimeStamp>2026-01-02T03:04:05Z</TimeStamp></trn:Transport>\n",
    );
    assert_eq!(head.role, Some(TransportRole::IAmAlive));
    assert_eq!(head.origin.as_deref(), Some("ivo://org.example/broker"));
    assert_eq!(head.response.as_deref(), Some("ivo://org.example/me"));
    assert_eq!(head.time_stamp.as_deref(), Some("2026-01-02T03:04:05Z"));
}

#[test]
fn iamalive_no_origin_and_empty_origin() {
    for body in ["", "<Origin/>", "<Origin> </Origin>"] {
        let head = transport(&format!("<Transport role='iamalive'>{body}</Transport>"));
        assert_eq!(
            (head.role, head.origin),
            (Some(TransportRole::IAmAlive), None),
            "{body}"
        );
    }
}

#[test]
fn iamalive_origin_ampersand() {
    let head = transport(
        "<Transport role='iamalive'><Origin>ivo://a&amp;b<!-- --><![CDATA[&]]></Origin></Transport>",
    );
    assert_eq!(head.origin.as_deref(), Some("ivo://a&b&"));
}

#[test]
fn transport_no_role_and_bad_role() {
    assert_eq!(transport("<Transport/>").role, None);
    let dance = Some(TransportRole::Unknown("dance".to_owned()));
    assert_eq!(transport("<Transport role='dance'/>").role, dance);
}

#[test]
fn a_nak_gives_its_reason() {
    let head = transport(
        "<Transport role='nak'><Origin>ivo://a/b#c</Origin>\
         <Meta><Param name='x' value='y'/><Result>Previously seen by this broker</Result></Meta></Transport>",
    );
    assert_eq!(head.role, Some(TransportRole::Nak));
    assert_eq!(
        head.result.as_deref(),
        Some("Previously seen by this broker")
    );
}
