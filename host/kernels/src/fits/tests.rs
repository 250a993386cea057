use super::*;

fn cards(header: Header) -> Vec<String> {
    let bytes = header.finish();
    assert!(bytes.len().is_multiple_of(BLOCK));
    let text = String::from_utf8(bytes).expect("ASCII");
    let cards = text.as_bytes().chunks(CARD);
    cards
        .map(|card| String::from_utf8_lossy(card).trim_end().to_owned())
        .collect()
}

#[test]
fn values_stand_where_the_standard_wants_them() {
    let mut header = Header::default();
    header.logical("MOC", true, "");
    header.integer("NAXIS1", 40, "length of dimension 1");
    header.text("ORDERING", "NUNIQ", "Pixel ordering");
    header.real("DISTMEAN", 86.073_278_042_694_57, "Mpc");
    header.real("TINY", 1e-7, "");
    header.real("LOST", f64::INFINITY, "");
    let cards = cards(header);
    assert_eq!(cards[0], "MOC     =                    T");
    assert_eq!(
        cards[1],
        "NAXIS1  =                   40 / length of dimension 1"
    );
    assert_eq!(cards[2], "ORDERING= 'NUNIQ   '           / Pixel ordering");
    assert_eq!(cards[3], "DISTMEAN=    86.07327804269457 / Mpc");
    assert_eq!(cards[4], "TINY    =               1.0E-7");
    assert_eq!(cards[5], "END");
}

#[test]
fn a_comment_that_does_not_fit_is_cut() {
    let mut header = Header::default();
    let url = "https://gracedb.invalid/events/sim03_HLV_bns_Vsub";
    header.text("REFERENC", url, "URL of this event");
    let cut = format!("REFERENC= '{url}' / URL of this even");
    assert_eq!(cards(header)[0], cut);
}

#[test]
fn a_long_string_is_continued_and_quotes_stay_whole() {
    let mut header = Header::default();
    let value = format!("{}'{}", "a".repeat(66), "b".repeat(80));
    header.text("REFERENC", &value, "");
    let cards = cards(header);
    let mut joined = String::new();
    for card in &cards[..cards.len() - 1] {
        let Some((_, rest)) = card.split_once('\'') else {
            break;
        };
        assert!(card.len() <= CARD);
        joined.push_str(rest.trim_end_matches('\'').trim_end_matches('&'));
        if card.starts_with("END") {
            break;
        }
    }
    assert_eq!(joined.replace("''", "'"), value);
    assert!(cards[1].starts_with("CONTINUE  '"), "{}", cards[1]);
}

#[test]
fn history_is_wrapped_and_only_ascii() {
    let mut header = Header::default();
    header.history(&"x".repeat(100));
    header.history("µ");
    header.history(&format!("{} {}", "y".repeat(70), "z".repeat(5)));
    header.history("");
    let cards = cards(header);
    assert_eq!(cards[0], format!("HISTORY {}", "x".repeat(72)));
    assert_eq!(cards[1], format!("HISTORY {}", "x".repeat(28)));
    assert_eq!(cards[2], "HISTORY ?");
    assert_eq!(cards[3], format!("HISTORY {}", "y".repeat(70)));
    assert_eq!(cards[4..7], ["HISTORY zzzzz", "HISTORY", "END"]);
}

#[test]
fn a_table_is_padded_to_blocks() {
    let columns = [Column {
        name: "UNIQ",
        format: "K",
        unit: None,
    }];
    let mut table = TableWriter::new(&columns, 3, 8);
    for k in 0_i64..3 {
        table.put(&k.to_be_bytes());
    }
    let file = table.finish();
    assert_eq!(file.len(), 3 * BLOCK);
    assert_eq!(
        &file[2 * BLOCK..2 * BLOCK + 24],
        [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0, 2]
        ]
        .concat()
    );
}
