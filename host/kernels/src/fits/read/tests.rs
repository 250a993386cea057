use super::super::{Column, TableWriter};
use super::*;

fn file() -> Vec<u8> {
    let column = |name, format| Column {
        name,
        format,
        unit: None,
    };
    let columns = [
        column("COUNT", "J"),
        column("PAIR", "2D"),
        column("SINGLE", "E"),
    ];
    let mut table = TableWriter::new(&columns, 2, 24);
    let header = table.header();
    header.logical("MOC", true, "a / slash");
    header.text("QUOTED", "it's a / slash", "comment");
    header.text("LONG", &"long 'text' ".repeat(20), "comment");
    header.real("TINY", -1.5e-12, "");
    header.history("a line");
    for row in 0..2_i16 {
        table.put(&i32::from(row - 1).to_be_bytes());
        table.put(&f64::from(row).to_be_bytes());
        table.put(&(f64::from(row) + 0.5).to_be_bytes());
        table.put(&(f32::from(row) * 2.0).to_be_bytes());
    }
    table.finish()
}

#[test]
fn cards_are_read_as_they_were_written() {
    let file = file();
    let table = TableReader::new(&file).expect("a table");
    let cards = table.cards();
    assert_eq!(cards.get("MOC"), Some(&Value::Logical(true)));
    assert_eq!(cards.text("QUOTED"), Some("it's a / slash"));
    let long = "long 'text' ".repeat(20);
    assert_eq!(cards.text("LONG"), Some(long.trim_end()));
    assert_eq!(cards.real("TINY"), Some(-1.5e-12));
    assert_eq!(cards.integer("NAXIS2"), Some(2));
    assert_eq!(cards.history(), ["a line"]);
}

#[test]
fn cells_are_read_as_they_were_written() {
    let file = file();
    let table = TableReader::new(&file).expect("a table");
    let count = table.column("count").expect("a column");
    assert_eq!((count.integer(0), count.integer(1)), (Some(-1), Some(0)));
    assert_eq!(count.integer(2), None);
    let pair = table.column("PAIR").expect("a column");
    let pairs: Vec<String> = (0..pair.len()).map(|k| pair.real(k).to_string()).collect();
    assert_eq!(pairs, ["0", "0.5", "1", "1.5"]);
    let single = table.column("SINGLE").expect("a column");
    let singles = [0, 1].map(|k| single.real(k).to_string());
    assert_eq!(singles, ["0", "2"]);
    let missing = table.column("NONE").expect_err("no such column");
    assert_eq!(missing, FitsError::NoColumn("NONE".to_owned()));
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let file = file();
    for len in (0..file.len() - BLOCK).step_by(37) {
        assert!(TableReader::new(&file[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_file_with_any_byte_changed_never_panics() {
    let whole = file();
    for at in 0..2 * BLOCK {
        for byte in [b'9', b' ', b'\'', b'-', 0xff] {
            let mut file = whole.clone();
            file[at] = byte;
            let Ok(table) = TableReader::new(&file) else {
                continue;
            };
            let names: Vec<String> = table.names().map(str::to_owned).collect();
            for name in names {
                if let Ok(column) = table.column(&name) {
                    assert!(column.len() < file.len());
                    assert!(column.integer(0).is_some() || !column.real(0).is_infinite());
                }
            }
        }
    }
}

#[track_caller]
fn check_refused(from: &str, to: &str, error: &FitsError) {
    let mut file = file();
    let at = file
        .windows(from.len())
        .rposition(|bytes| bytes == from.as_bytes());
    let at = at.expect(from);
    file.splice(at..at + to.len(), to.bytes());
    assert_eq!(&TableReader::new(&file).map(|_| ()).expect_err(to), error);
}

#[test]
fn a_table_has_no_more_axes_and_columns_than_the_standard_allows() {
    let keyword = |name: &str| FitsError::Keyword(name.to_owned());
    let fields = "TFIELDS =                    3";
    check_refused(
        fields,
        "TFIELDS =                 1000",
        &keyword("TFIELDS"),
    );
    check_refused(
        fields,
        "TFIELDS =                   -1",
        &keyword("TFIELDS"),
    );
    let axes = "NAXIS   =                    0";
    check_refused(axes, "NAXIS   =                 1000", &keyword("NAXIS"));
    check_refused(axes, "NAXIS   =                   -1", &keyword("NAXIS"));
}

#[test]
fn a_header_of_as_many_cards_as_allowed_is_read() {
    let read = |lines: usize| {
        let mut table = TableWriter::new(&[], 0, 0);
        for _ in 0..lines {
            table.header().history("again");
        }
        let file = table.finish();
        TableReader::new(&file).map(|table| table.cards().history().len())
    };
    // Eight cards make a table without columns.
    assert_eq!(read(MAX_CARDS - 8), Ok(MAX_CARDS - 8));
    assert_eq!(read(MAX_CARDS - 7), Err(FitsError::Header(MAX_CARDS)));
}

#[test]
fn what_is_compressed_is_bounded() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&file()).expect("in memory");
    let gzip = encoder.finish().expect("in memory");
    assert_eq!(decompressed(&gzip, 1 << 20).expect("small"), file());
    assert_eq!(
        decompressed(&gzip, 1_000).expect_err("too large"),
        FitsError::TooLarge(1_000)
    );
    assert!(matches!(
        decompressed(&gzip[..30], 1 << 20),
        Err(FitsError::Gzip(_))
    ));
}
