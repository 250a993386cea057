use super::*;
use crate::work::Work;

fn parse(body: &str) -> Result<Document, LigolwError> {
    let xml = format!("<?xml version='1.0' encoding='utf-8'?>\n<LIGO_LW>{body}</LIGO_LW>");
    Document::parse(xml.as_bytes(), &Limits::default())
}

fn table(stream: &str) -> Result<Document, LigolwError> {
    parse(&format!(
        "<Table Name='thing:table'><Column Name='thing:id' Type='int_8s'/>\
         <Column Name='value' Type='real_4'/><Column Name='text' Type='lstring'/>\
         <Stream Name='thing:table' Delimiter=',' Type='Local'>{stream}</Stream></Table>"
    ))
}

#[track_caller]
fn check_rows(stream: &str, expected: &[[Cell; 3]]) {
    let document = table(stream).expect(stream);
    let table = document.table("thing").expect("the table");
    let found: Vec<[Cell; 3]> = table
        .rows()
        .map(|row| ["id", "value", "text"].map(|name| row.get(name).expect("a cell").clone()))
        .collect();
    assert_eq!(found, expected, "{stream:?}");
}

#[test]
fn rows_are_read_with_and_without_the_last_delimiter() {
    let text = |text: &str| Cell::Text(text.into());
    let rows = [
        [Cell::Integer(1), Cell::Real(-2.5e-3), text("a")],
        [Cell::Null, Cell::Real(3.0), text("b")],
    ];
    check_rows("1,-2.5e-3,\"a\",\n  ,3,\"b\"\n", &rows);
    check_rows("1,-2.5e-3,\"a\",\n  ,3,\"b\",\n", &rows);
    check_rows("", &[]);
    check_rows(" \n ", &[]);
}

#[test]
fn an_empty_last_cell_is_a_cell() {
    let row = [Cell::Integer(7), Cell::Null, Cell::Null];
    check_rows("7,,", std::slice::from_ref(&row));
    check_rows("7,,,", std::slice::from_ref(&row));
    check_rows("7,,,\n7,,\n", &[row.clone(), row]);
}

#[test]
fn strings_hold_delimiters_escapes_and_entities() {
    let row = [
        Cell::Integer(7),
        Cell::Null,
        Cell::Text("a,\"b\\ <-->  ".into()),
    ];
    check_rows(r#"7,,"a,\"b\\ &lt;--&gt;  ""#, &[row]);
    check_rows(
        "7,,\"\"",
        &[[Cell::Integer(7), Cell::Null, Cell::Text(String::new())]],
    );
}

#[test]
fn a_wrong_cell_is_named_by_table_column_and_row() {
    let message = |stream| table(stream).expect_err("refused").to_string();
    assert_eq!(
        message("1,2,\"a\",x,2,\"b\""),
        "table thing, row 2, column id: \"x\" is no integer"
    );
    assert_eq!(
        message("1,2.0.1,"),
        "table thing, row 1, column value: \"2.0.1\" is no number"
    );
    assert_eq!(
        message("1,2,\"a\",1"),
        "table thing, row 2: the row ends after 1 of 3 columns"
    );
    assert_eq!(message("1,2,\"a"), "table thing, row 1: unclosed string");
    assert_eq!(
        message("1,2,\"a\" b"),
        "table thing, row 1: text after a closed string"
    );
}

#[test]
fn row_ids_are_numbers_or_end_in_one() {
    let document = parse(
        "<Table Name='t:table'><Column Name='id' Type='ilwd:char'/>\
         <Stream Delimiter=','>\"sngl_inspiral:event_id:5\",5,\"no number\",</Stream></Table>",
    );
    let document = document.expect("read");
    let rows = document.table("t").expect("the table").rows();
    let ids: Vec<Option<i64>> = rows.map(|row| row.id("id").ok()).collect();
    assert_eq!(ids, [Some(5), Some(5), None]);
}

#[test]
fn a_missing_column_or_value_is_an_error_with_its_name() {
    let document = table("1,,\"a\"").expect("read");
    let row = document
        .table("thing")
        .expect("the table")
        .rows()
        .next()
        .expect("a row");
    assert_eq!(row.real("value").expect("null"), None);
    let absent = row.real("snr").expect_err("absent").to_string();
    assert_eq!(absent, "table thing has no column snr");
    let null = row.integer("value").expect_err("null").to_string();
    assert_eq!(null, "table thing, row 1, column value is empty");
    assert!(document.require("coinc_event").is_err());
}

fn array(kind: &str, stream: &str, len: usize) -> Result<Document, LigolwError> {
    parse(&format!(
        "<LIGO_LW Name='COMPLEX8TimeSeries'><Time Type='GPS' Name='epoch'>1000000000.5</Time>\
         <Param Name='f0:param' Type='real_8'>0</Param><Array Type='{kind}' Name='snr:array'>\
         <Dim Name='Time' Start='0' Scale='0.25'>{len}</Dim><Dim Name='Time,Real'>2</Dim>\
         <Stream Type='Local' Delimiter=' '{stream}</Stream></Array>\
         <Param Name='event_id:param' Type='int_8s'> 3 </Param></LIGO_LW>"
    ))
}

#[track_caller]
fn check_array(kind: &str, stream: &str) {
    let document = array(kind, stream, 2).expect(stream);
    let [series] = document.series.as_slice() else {
        panic!("one series")
    };
    assert_eq!(series.name, "COMPLEX8TimeSeries");
    assert_eq!(series.epoch, GpsTime::new(1_000_000_000, 500_000_000));
    assert_eq!(
        (series.param("f0"), series.param("event_id")),
        (Some("0"), Some("3"))
    );
    assert_eq!(
        (series.array.name.as_str(), series.array.step),
        ("snr", Some(0.25))
    );
    assert_eq!(series.array.component(0), Some([0.0, 0.25].as_slice()));
    assert_eq!(series.array.component(1), Some([1.0, -2.0].as_slice()));
    assert_eq!(series.array.component(2), None);
}

#[test]
fn arrays_are_read_from_text_and_from_every_base64() {
    use base64::Engine as _;
    let encode = |bytes: Vec<u8>| base64::engine::general_purpose::STANDARD.encode(bytes);
    let values = [0.0_f64, 0.25, 1.0, -2.0];
    let single = values.map(crate::numeric::narrow);
    check_array("real_8", ">0 1 0.25 -2");
    check_array("real_4", " Encoding='Text'>\n 0  1\n 0.25 -2\n");
    for (kind, order, bytes) in [
        (
            "real_8",
            "LittleEndian",
            values.map(f64::to_le_bytes).concat(),
        ),
        ("real_8", "BigEndian", values.map(f64::to_be_bytes).concat()),
        (
            "real_4",
            "LittleEndian",
            single.map(f32::to_le_bytes).concat(),
        ),
        ("real_4", "BigEndian", single.map(f32::to_be_bytes).concat()),
    ] {
        let (first, second) = {
            let text = encode(bytes);
            let (a, b) = text.split_at(9);
            (a.to_owned(), b.to_owned())
        };
        check_array(
            kind,
            &format!(" Encoding='base64,{order}'>\n{first}\n  {second}\n"),
        );
    }
}

#[test]
fn an_array_that_is_not_what_it_says_is_refused() {
    for (kind, stream, len) in [
        ("real_8", ">0 1 2", 2),
        ("real_8", ">0 1 2 x", 2),
        ("real_8", " Encoding='base64,LittleEndian'>AAAA", 2),
        ("real_8", " Encoding='base64,LittleEndian'>A*AA", 2),
        ("real_8", " Encoding='hex'>00", 2),
        ("int_4s", " Encoding='base64,LittleEndian'>AAAA", 2),
    ] {
        assert!(array(kind, stream, len).is_err(), "{kind} {stream}");
    }
}

#[test]
fn nothing_grows_beyond_its_limit() {
    let limits = Limits {
        bytes: 4_000,
        rows: 2,
        columns: 3,
        cells: 3,
        numbers: 10,
        elements: 20,
        depth: 5,
    };
    let check = |body: &str| {
        let xml = format!("<LIGO_LW>{body}</LIGO_LW>");
        let error = Document::parse(xml.as_bytes(), &limits).expect_err("refused");
        let limited = matches!(
            error,
            LigolwError::TooLarge { .. } | LigolwError::Full { .. }
        );
        assert!(limited, "{error}");
    };
    check(&" ".repeat(4_000));
    check(&"<a>".repeat(5));
    let column = "<Column Name='a' Type='real_8'/>";
    check(&format!("<Table Name='t'>{}", column.repeat(4)));
    check(&format!(
        "<Table Name='t'>{column}<Stream Delimiter=','>1,2,3</Stream></Table>"
    ));
    let message = |error: LigolwError| error.to_string();
    let rows = format!("<Table Name='t'>{column}<Stream>1,2,3</Stream></Table>");
    let refused = Document::parse(format!("<LIGO_LW>{rows}</LIGO_LW>").as_bytes(), &limits);
    assert_eq!(
        refused.map_err(message),
        Err("table t takes the document beyond 2 table rows: it is no candidate's file".to_owned())
    );
    let table = |cells| format!("<Table Name='t'>{column}{column}<Stream>{cells}</Stream></Table>");
    let body = format!("<LIGO_LW>{}{}</LIGO_LW>", table(",,"), table("1,2"));
    let refused = Document::parse(body.as_bytes(), &limits);
    assert_eq!(
        refused.map_err(message),
        Err(
            "table t takes the document beyond 3 table cells: its memory has no room for more; \
             raise the memory limit"
                .to_owned()
        )
    );
    check(&"<a/>".repeat(20));
    let dims = "<Dim>6</Dim><Dim>2</Dim><Stream>0</Stream>";
    check(&format!(
        "<LIGO_LW><Array Name='a' Type='real_8'>{dims}</Array></LIGO_LW>"
    ));
}

#[test]
fn an_array_with_more_than_it_says_is_refused_before_its_end() {
    let refused = |stream: &str| array("real_8", stream, 1).expect_err("refused").to_string();
    // Nothing behind the third number is looked at.
    let error = "array snr: more numbers than 1 x 2";
    assert_eq!(refused(">1 2 3 x"), error);
    let stream = format!(" Encoding='base64,BigEndian'>{}*", "A".repeat(32));
    assert_eq!(refused(&stream), error);
    assert_eq!(
        refused(&format!(">{}", "1".repeat(2_000))),
        "array snr: a number of more than 1000 characters"
    );
}

#[test]
fn numbers_are_whole_wherever_text_is_cut() {
    check_array("real_8", ">0 1 0.2<!-- -->5 -&#50;");
    check_array("real_8", "><![CDATA[0]]> 1 0.25 <![CDATA[-]]>2 ");
}

#[test]
fn who_cancels_gets_no_document() {
    let work = Work::default();
    work.cancel.cancel();
    let read = Document::parse_watched(b"<LIGO_LW/>", &Limits::default(), &work);
    assert!(matches!(read, Err(LigolwError::Cancelled(_))), "{read:?}");
}

#[test]
fn a_small_file_cannot_unpack_into_a_large_one() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 1 << 20]).expect("in memory");
    let packed = packed.finish().expect("in memory");
    let limits = Limits {
        bytes: 1 << 16,
        ..Limits::default()
    };
    let error = Document::parse(&packed, &limits).expect_err("refused");
    assert!(
        matches!(
            error,
            LigolwError::TooLarge {
                what: Measure::Bytes,
                ..
            }
        ),
        "{error}"
    );
    let torn = Document::parse(&packed[..packed.len() / 2], &Limits::default());
    assert!(matches!(torn, Err(LigolwError::Gzip(_))));
}

/// Every prefix of a document, and every document with one byte changed, is read or refused.
#[test]
fn damaged_documents_never_panic() {
    let whole = "<LIGO_LW><Table Name='t:table'><Column Name='a:b' Type='int_8s'/>\
        <Stream Name='t' Delimiter=','>1,\"&lt;\",</Stream></Table><LIGO_LW Name='x'>\
        <Time>1.5</Time><Param Name='f0:param'>1</Param><Array Name='y' Type='real_8'>\
        <Dim Scale='1'>1</Dim><Dim>2</Dim><Stream Encoding='Text'>1 2</Stream></Array></LIGO_LW></LIGO_LW>";
    for end in 0..whole.len() {
        assert!(Document::parse(&whole.as_bytes()[..end], &Limits::default()).is_err() || end == 0);
        for byte in [b'<', b'>', b'"', b'&', 0, 0xff, b'9'] {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[end] = byte;
            // Either outcome is right; only a panic is wrong.
            drop(Document::parse(&bytes, &Limits::default()));
        }
    }
}
