//! Documents that were cut, bent or made up: nothing panics, and both readers agree.

#![expect(clippy::expect_used, reason = "a failure ends the test")]

use gwasp_formats::scan::TransportRole;
use gwasp_formats::{NoticeSummary, NoticeTime, NoticeType, Scan, VoEvent, VoEventError, scan};
use proptest::prelude::*;

/// Own documents that between them have every construct that the readers know.
const DOCUMENTS: [&str; 4] = [
    "<?xml version = '1.0' encoding = 'UTF-8'?>\n<!DOCTYPE VOEvent [<!ELEMENT a ANY>]>\n<!-- c -->\
     <voe:VOEvent xmlns:voe='http://www.ivoa.net/xml/VOEvent/v2.0' ivorn='ivo://a/b#c&amp;d' role='test'>\
     <Who><AuthorIVORN>ivo://a</AuthorIVORN><Date>2026-01-02T03:04:05</Date></Who><What>\
     <Param name='Packet_Type' value='112'/><Param name=\"TrigID\" value=\"&#55;\"/>\
     <Group name='g'><Param name='x' value='1' unit='deg'/></Group></What><WhereWhen><ObsDataLocation>\
     <ObservationLocation><AstroCoords coord_system_id='UTC-FK5-GEO'><Time><TimeInstant>\
     <ISOTime>2026-01-02T03:04:05.60</ISOTime></TimeInstant></Time><Position2D unit='deg'><Value2>\
     <C1>1.5</C1><C2>-2.5</C2></Value2><Error2Radius>0.1</Error2Radius></Position2D></AstroCoords>\
     </ObservationLocation></ObsDataLocation></WhereWhen><Description><![CDATA[<&>]]></Description>\
     </voe:VOEvent>\n",
    "<?xml version='1.0' encoding='ISO-8859-1'?><VOEvent ivorn='ivo://\u{e9}' role='Utility'><What>\
     <Param name='Packet_Type'><Value>83</Value></Param></What><Citations>\
     <EventIVORN cite='supersedes'>ivo://a</EventIVORN></Citations></VOEvent>",
    "\u{FEFF}<x:VOEvent xmlns:x='u' role='observe'><What><Param value='+1' name='Packet_Type'/>\
     <Param value='2' name='Packet_Type'/></What><Why importance='1'/></x:VOEvent>",
    "<trn:Transport role='iamalive' version='1.0'><Origin>ivo://a&amp;b</Origin>\
     <Response>ivo://c</Response><Meta><Result>no</Result></Meta></trn:Transport>",
];

/// Whatever both readers make of the same bytes must fit together.
fn check_readers_agree(bytes: &[u8]) {
    let scanned = scan(bytes, &["TrigID", "x"]);
    let parsed = VoEvent::parse(bytes);
    match (scanned, parsed) {
        (Ok(Scan::VoEvent(head)), parsed) => {
            let event = parsed.expect("what the scan accepts, the parser accepts");
            assert_eq!(head.ivorn, event.ivorn);
            assert_eq!(head.role, event.role);
            assert_eq!(head.version, event.version);
            assert_eq!(head.notice_type, event.notice_type);
            assert_eq!(head.date, event.who.date);
            let value = |name| event.param(name).ok().and_then(|param| param.value.clone());
            assert_eq!(head.params, [value("TrigID"), value("x")]);
            assert!(head.element.start < head.element.end && head.element.end <= bytes.len());
        }
        (Ok(_), parsed) => assert!(parsed.is_err()),
        (Err(error), parsed) => {
            assert!(error.offset <= bytes.len());
            if let Err(VoEventError::Xml(error)) = parsed {
                assert!(error.offset <= bytes.len());
            }
        }
    }
    if let Ok(event) = VoEvent::parse(bytes) {
        check_values(&event);
    }
}

/// Whatever is asked of an event's values is answered, one way or the other.
fn check_values(event: &VoEvent) {
    let notice = NoticeSummary::from(event);
    assert_eq!(notice.time.is_some(), event.time().is_ok());
    assert!(notice.ra.is_some() || event.position().is_err());
    for param in &event.what.params {
        let answers = format!(
            "{:?}",
            (
                param.as_f64(),
                param.as_i64(),
                param.as_bool(),
                param.unit()
            )
        );
        assert!(param.value.is_some() || answers.contains("NoValue"));
    }
}

/// One change to a document.
#[derive(Clone, Debug)]
enum Change {
    Cut(prop::sample::Index),
    Put(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>();
    let words = prop::sample::select(vec![
        "<",
        ">",
        "&",
        "&amp;",
        "&#0;",
        "&x;",
        "'",
        "\"",
        "/>",
        "</",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "<!DOCTYPE a [",
        "<!ENTITY x 'y'>",
        "]>",
        "\0",
        "\u{FEFF}",
        "\u{e9}",
        "=",
        " ",
        "\r\n",
        ":",
        "<What>",
        "</What>",
        "<Param name='Packet_Type' value='1'/>",
        "VOEvent",
        "Transport",
        "-",
        "9",
    ]);
    prop_oneof![
        1 => place.clone().prop_map(Change::Cut),
        4 => (place.clone(), words).prop_map(|(at, word)| Change::Put(at, word.into())),
        2 => (place.clone(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, b)| Change::Put(at, b)),
        3 => (place.clone(), 1..20_usize).prop_map(|(at, n)| Change::Remove(at, n)),
        2 => (place, 1..40_usize).prop_map(|(at, n)| Change::Repeat(at, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: &prop::sample::Index| at.index(bytes.len() + 1);
    match change {
        Change::Cut(at) => bytes.truncate(place(at)),
        Change::Put(at, put) => {
            let at = place(at);
            bytes.splice(at..at, put.iter().copied());
        }
        Change::Remove(at, n) => {
            let (start, end) = (place(at), bytes.len().min(place(at) + n));
            bytes.drain(start..end);
        }
        Change::Repeat(at, n) => {
            let (start, end) = (place(at), bytes.len().min(place(at) + n));
            bytes.extend_from_within(start..end);
        }
    }
}

fn encoded(document: &str, encoding: u8) -> Vec<u8> {
    match encoding {
        0 => document.as_bytes().to_vec(),
        1 => document
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect(),
        2 => [0xFF, 0xFE]
            .into_iter()
            .chain(document.encode_utf16().flat_map(u16::to_le_bytes))
            .collect(),
        _ => [0xFE, 0xFF]
            .into_iter()
            .chain(document.encode_utf16().flat_map(u16::to_be_bytes))
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn bent_documents_never_panic_and_both_readers_agree(
        document in prop::sample::select(&DOCUMENTS[..]),
        encoding in 0..4_u8,
        changes in prop::collection::vec(change(), 0..6),
    ) {
        let mut bytes = encoded(document, encoding);
        for change in &changes {
            apply(&mut bytes, change);
        }
        check_readers_agree(&bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_readers_agree(&bytes);
    }

    #[test]
    fn arbitrary_texts_as_values_never_panic(text in "[^<&\"]{0,40}", word in "\\PC{0,24}") {
        let document = format!(
            "<VOEvent role=\"{text}\"><What><Param name=\"Packet_Type\" value=\"{text}\"/></What><WhereWhen>\
             <AstroCoords coord_system_id=\"{text}\"><Time><ISOTime>{text}</ISOTime></Time><Position2D unit=\"{text}\">\
             <Value2><C1>{text}</C1><C2>1</C2></Value2></Position2D></AstroCoords></WhereWhen></VOEvent>"
        );
        check_readers_agree(document.as_bytes());
        prop_assert!(NoticeType::nearest(&word).len() <= 3);
        if let Ok(kind) = word.parse::<NoticeType>() {
            prop_assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        if let Ok(time) = NoticeTime::parse(&text) {
            prop_assert_eq!(NoticeTime::parse(&time.to_string()), Ok(time));
        }
    }
}

#[test]
fn the_documents_are_good_before_they_are_bent() {
    for (document, encoding) in DOCUMENTS.iter().zip([0, 1, 0, 0]) {
        let bytes = encoded(document, encoding);
        assert!(scan(&bytes, &[]).is_ok(), "{document}");
        check_readers_agree(&bytes);
    }
    let Ok(Scan::Transport(head)) = scan(DOCUMENTS[3].as_bytes(), &[]) else {
        panic!()
    };
    assert_eq!(head.role, Some(TransportRole::IAmAlive));
}

#[test]
fn every_document_cut_anywhere_is_refused_without_panic() {
    for document in DOCUMENTS {
        for encoding in 0..4 {
            let bytes = encoded(document, encoding);
            (0..bytes.len()).for_each(|cut| check_readers_agree(&bytes[..cut]));
        }
    }
}
