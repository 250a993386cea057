//! No file takes more memory to read than it is allowed: documents and maps that declare little
//! and hold much, or repeat something small very often, against an allocator that counts.
#![expect(unsafe_code, reason = "an allocator has no safe form")]

use gwasp_kernels::bayestar::Candidate;
use gwasp_kernels::fits::{FitsError, TableReader};
use gwasp_kernels::ligolw::{Document, Limits};
use gwasp_kernels::skymap::StoredMap;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write as _;

/// Counts what each thread holds: tests run side by side.
struct Counting;

thread_local! {
    /// Bytes that are held, and the most that were.
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(change: impl Fn(usize) -> usize) {
    // A thread that is about to end has no count any more.
    let _gone = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = change(now);
        held.set((now, most.max(now)));
    });
}

// SAFETY: all work is the system's allocator's. A block that grows counts twice while it is moved.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|now| now + layout.size());
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(|now| now.saturating_sub(layout.size()));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The result, and the bytes that were held at most while it was made.
fn watched<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let made = make();
    (made, HELD.get().1 - before)
}

/// What a document may take.
const MEMORY: usize = 8 << 20;
/// For what does not grow with the document: messages, buffers of one piece, gunzip's tables.
const SMALL: usize = 1 << 18;

#[track_caller]
fn check_bounded(what: &str, document: &[u8]) {
    let limits = Limits::within(MEMORY);
    let (read, most) = watched(|| Document::parse(document, &limits));
    let outcome = read.map(|_| ());
    assert!(most <= MEMORY + SMALL, "{what}: {most} bytes, {outcome:?}");
}

/// A document of `bytes` bytes: `piece` again and again between a head and a tail.
fn repeated(head: &str, piece: &str, tail: &str, bytes: usize) -> String {
    let times = bytes.saturating_sub(head.len() + tail.len()) / piece.len();
    format!("{head}{}{tail}", piece.repeat(times))
}

const COLUMN: &str = "<Column Name='a' Type='lstring'/>";

/// What is small as text and large in memory: head, piece to be repeated, tail.
fn growing() -> Vec<(String, &'static str, &'static str)> {
    let table = format!("<LIGO_LW><Table Name='t'>{COLUMN}{COLUMN}");
    let stream = format!("{table}<Stream>");
    let array = |encoding: &str| {
        format!(
            "<LIGO_LW><LIGO_LW><Array Name='y' Type='real_8'><Dim>1</Dim><Dim>1</Dim>\
             <Stream Encoding='{encoding}'>"
        )
    };
    let rows = "</Stream></Table></LIGO_LW>";
    let numbers = "</Stream></Array></LIGO_LW></LIGO_LW>";
    let group = "<LIGO_LW><LIGO_LW Name='g'>".to_owned();
    vec![
        (stream.clone(), ",", rows),
        (stream.clone(), "a,", rows),
        (stream.clone(), "\"\",", rows),
        (format!("{stream}\""), "a", "\"</Stream></Table></LIGO_LW>"),
        (stream, "a", rows),
        (table, COLUMN, "</Table></LIGO_LW>"),
        (array("Text"), "1 ", numbers),
        (array("Text"), "1", numbers),
        (array("base64,LittleEndian"), "AAAA", numbers),
        (array("base64,BigEndian"), " A", numbers),
        (group.clone(), "<Param Name='a'/>", "</LIGO_LW></LIGO_LW>"),
        (
            format!("{group}<Param Name='a'>"),
            "a",
            "</Param></LIGO_LW></LIGO_LW>",
        ),
        (
            format!("{group}<Array Name='a'>"),
            "<Dim>1</Dim>",
            "</Array></LIGO_LW></LIGO_LW>",
        ),
        ("<LIGO_LW>".to_owned(), "<Table Name='a'/>", "</LIGO_LW>"),
        (
            "<LIGO_LW>".to_owned(),
            "<LIGO_LW><Array Name='a' Type='real_8'><Dim>0</Dim><Dim>0</Dim><Stream/></Array>\
             </LIGO_LW>",
            "</LIGO_LW>",
        ),
        (
            "<LIGO_LW>".to_owned(),
            "<Table Name='t'><Column Name='a' Type='blob'/><Stream>1</Stream></Table>",
            "</LIGO_LW>",
        ),
    ]
}

#[test]
fn a_document_takes_no_more_memory_than_it_may() {
    for (head, piece, tail) in growing() {
        for bytes in [MEMORY / 8, MEMORY] {
            let document = repeated(&head, piece, tail, bytes);
            check_bounded(&format!("{head}{piece}"), document.as_bytes());
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(document.as_bytes()).expect("in memory");
            let packed = packed.finish().expect("in memory");
            check_bounded(&format!("packed {head}{piece}"), &packed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..Default::default() })]

    #[test]
    fn documents_put_together_at_random_take_no_more_memory_than_they_may(
        parts in proptest::collection::vec((0_usize..16, 1_usize..MEMORY / 16), 1..4),
    ) {
        let all = growing();
        let mut document = String::from("<LIGO_LW>");
        for (which, bytes) in parts {
            let (head, piece, tail) = &all[which];
            document.push_str(&repeated(head, piece, tail, bytes));
        }
        document.push_str("</LIGO_LW>");
        check_bounded("put together", document.as_bytes());
    }
}

/// One trigger that the map names so often, and its spectrum of so many samples.
fn repeating(map_rows: usize, samples: usize) -> String {
    use base64::Engine as _;
    let spectrum: Vec<u8> = std::iter::repeat_n(1e-46_f64.to_le_bytes(), 2 * samples)
        .flatten()
        .collect();
    let spectrum = base64::engine::general_purpose::STANDARD.encode(spectrum);
    let table = |name: &str, columns: &[&str], rows: &str| {
        let column = |column: &&str| {
            let kind = match *column {
                "program" | "table_name" | "ifo" => "lstring",
                "snr" | "coa_phase" | "mass1" | "mass2" => "real_4",
                _ => "int_8s",
            };
            format!("<Column Name='{column}' Type='{kind}'/>")
        };
        let columns: String = columns.iter().map(column).collect();
        format!("<Table Name='{name}:table'>{columns}<Stream>{rows}</Stream></Table>")
    };
    let map = "0,1,\"sngl_inspiral\",".repeat(map_rows);
    let tables = [
        table("process", &["process_id", "program"], "4,\"pycbc\""),
        table("coinc_event", &["coinc_event_id", "process_id"], "0,4"),
        table(
            "coinc_event_map",
            &["coinc_event_id", "event_id", "table_name"],
            &map,
        ),
        table(
            "sngl_inspiral",
            &[
                "event_id",
                "ifo",
                "snr",
                "coa_phase",
                "end_time",
                "end_time_ns",
                "mass1",
                "mass2",
            ],
            "1,\"H1\",5.5,0.25,1000000000,250000000,1.5,1.25",
        ),
    ];
    format!(
        "<LIGO_LW>{}<LIGO_LW Name='REAL8FrequencySeries'><Param Name='f0:param'>10</Param>\
         <Array Name='PSD:array' Type='real_8'><Dim Scale='1'>{samples}</Dim><Dim>2</Dim>\
         <Stream Encoding='base64,LittleEndian'>{spectrum}</Stream></Array>\
         <Param Name='instrument:param'>H1</Param></LIGO_LW></LIGO_LW>",
        tables.concat()
    )
}

#[test]
fn a_candidate_holds_each_spectrum_once() {
    const SAMPLES: usize = 50_000;
    for rows in [1, 300] {
        let document = repeating(rows, SAMPLES);
        let document = Document::parse(document.as_bytes(), &Limits::default()).expect("read");
        let (candidate, most) = watched(|| Candidate::from_documents(&document, &document));
        assert_eq!(candidate.is_ok(), rows == 1, "{rows}: {candidate:.60?}");
        assert!(most < SAMPLES * 8 + SMALL, "{rows} rows: {most} bytes");
        let (copies, most) = watched(|| vec![candidate.ok(); 100]);
        drop(copies);
        assert!(most < SMALL, "copies of {rows} rows: {most} bytes");
    }
}

/// A file of one header that never comes to an end.
fn header(card: &str, cards: usize) -> Vec<u8> {
    let first = "SIMPLE  =                    T";
    let mut file = format!("{first:<80}{}", format!("{card:<80}").repeat(cards)).into_bytes();
    file.resize(file.len().next_multiple_of(2_880), b' ');
    file
}

#[test]
fn a_header_without_end_is_refused_before_it_is_kept() {
    const CARDS: usize = 200_000;
    for card in [
        "HISTORY",
        "HISTORY of a map that was made again and again, each time with a line more",
        "A       = 'a'",
        "NAXIS1  =                    1",
        "CONTINUE  'a&'",
        "COMMENT",
    ] {
        let file = header(card, CARDS);
        let (read, most) = watched(|| TableReader::new(&file).map(|_| ()));
        assert!(
            matches!(read, Err(FitsError::Header(_))),
            "{card}: {read:?}"
        );
        assert!(most < CARDS * 80 / 4, "{card}: {most} bytes");
        let (map, most) = watched(|| StoredMap::from_fits(&file).map(|_| ()));
        assert!(
            map.is_err() && most < CARDS * 80 / 4,
            "{card}: {most} bytes"
        );
    }
}
