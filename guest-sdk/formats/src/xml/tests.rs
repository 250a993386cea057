use super::{Decoded, Walker, XmlFault};
use crate::scan;

#[track_caller]
fn check_text(document: &str, expected: &str) {
    let decoded = Decoded::strict(document.as_bytes()).unwrap();
    let mut walker = Walker::new(&decoded.text);
    walker.child().unwrap();
    assert_eq!(walker.text().unwrap(), expected, "{document}");
}

#[track_caller]
fn check_refused(document: &str, expected: &XmlFault) {
    let error = scan(document.as_bytes(), &[]).unwrap_err();
    assert_eq!(&error.fault, expected, "{document}");
}

#[test]
fn text_is_put_together_from_its_pieces() {
    check_text(
        "<a> x <!-- no --> y <b>not this</b><?pi?><![CDATA[<z>]]> </a>",
        "x  y <z>",
    );
    check_text(
        "<a>1 &lt; 2 &amp;&amp; 3 &gt; 2 &quot;&apos;</a>",
        "1 < 2 && 3 > 2 \"'",
    );
    check_text("<a>&#65;&#x42;&#x1F52D;</a>", "AB\u{1F52D}");
    check_text("<a>one\r\ntwo\rthree</a>", "one\ntwo\nthree");
    check_text("<a/>", "");
}

#[test]
fn references_to_characters_that_xml_forbids_are_refused() {
    for name in [
        "#0", "#x0", "#1", "#xFFFE", "#xD800", "#x110000", "#", "#x", "#-5", "#+5", "#xg",
    ] {
        let fault = XmlFault::BadCharacterReference(name.to_owned());
        check_refused(&format!("<VOEvent>&{name};</VOEvent>"), &fault);
        check_refused(&format!("<VOEvent a='&{name};'/>"), &fault);
    }
}

#[test]
fn markup_in_an_attribute_value_is_refused() {
    check_refused("<VOEvent a='<'/>", &XmlFault::LessThanInAttribute);
    check_refused("<VOEvent a='b & c'/>", &XmlFault::LoneAmpersand);
    check_refused("<VOEvent a='&'/>", &XmlFault::LoneAmpersand);
    check_refused(
        "<VOEvent a='&nbsp;'/>",
        &XmlFault::UnknownEntity("nbsp".to_owned()),
    );
}

#[test]
fn attributes_are_written_as_xml_wants_them() {
    let no_value = || XmlFault::NoAttributeValue("a".to_owned());
    for tag in ["a", "a=", "a=1", "a=\"", "a 'b'", "a='b"] {
        let error = scan(format!("<VOEvent {tag}></VOEvent>").as_bytes(), &[]).unwrap_err();
        assert!(
            error.fault == no_value() || matches!(error.fault, XmlFault::Syntax(_)),
            "{error}"
        );
    }
    check_refused("<VOEvent a/>", &no_value());
    check_refused("<VOEvent a='1'b='2'/>", &XmlFault::NoSpaceBetweenAttributes);
    assert!(scan(b"<VOEvent a\n=\n'>' b=\"it's\" />", &[]).is_ok());
}

#[test]
fn names_that_are_none_are_refused() {
    check_refused("<1a/>", &XmlFault::BadName("1a".to_owned()));
    check_refused("<VOEvent 1='a'/>", &XmlFault::BadName("1".to_owned()));
}

#[test]
fn an_encoding_label_does_not_matter_where_the_bytes_are_plain() {
    for label in ["utf-16", "windows-1252", "US-ASCII", "utf8", "Shift_JIS"] {
        let document = format!("<?xml version=\"1.0\" encoding=\"{label}\"?><VOEvent/>");
        assert!(scan(document.as_bytes(), &[]).is_ok(), "{label}");
    }
    let fault = XmlFault::UnsupportedEncoding("KOI8-R".to_owned());
    check_refused(
        "<?xml version='1.0' encoding='KOI8-R'?><VOEvent>\u{e9}</VOEvent>",
        &fault,
    );
    let fault = XmlFault::Undecodable {
        encoding: "US-ASCII",
    };
    check_refused(
        "<?xml version='1.0' encoding='ascii'?><VOEvent>\u{e9}</VOEvent>",
        &fault,
    );
}

#[test]
fn half_a_character_in_utf16_is_refused() {
    for bytes in [
        &b"\xFF\xFE<\0a"[..],
        b"\xFF\xFE\x00\xD8",
        b"\xFE\xFF\0<\0a\xDC\x00",
    ] {
        let error = scan(bytes, &[]).unwrap_err();
        assert!(
            matches!(error.fault, XmlFault::Undecodable { encoding: "UTF-16" }),
            "{error}"
        );
    }
}

#[test]
fn a_long_path_breaks_off() {
    let error = scan("<a>".repeat(60).as_bytes(), &[]);
    assert!(error.is_ok(), "not an event: not read");
    let deep = format!("<VOEvent>{}", "<a>".repeat(60));
    let error = scan(deep.as_bytes(), &[]).unwrap_err();
    assert_eq!(error.within, "VOEvent/a/a/a/a/a/a/a/…");
}
