//! Questions in SQL.

use std::time::Duration;

use bytes::Bytes;
use gwasp_store::{Answer, Cell, EffectColumns, JournalEntry, SqlError, Step, select};

use crate::common::{Rig, commit, failure, offer, success, task_id};

/// Journals here hold texts.
fn read(bytes: &[u8]) -> Option<EffectColumns> {
    Some(EffectColumns {
        function: String::from_utf8(bytes.to_vec()).ok()?,
        state: "answered",
        asked: 0,
        request: String::new(),
        key: None,
    })
}

fn ask(rig: &Rig, query: &str) -> Result<Answer, SqlError> {
    select(&rig.path(), query, (Duration::from_secs(10), 10), read)
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// A store that is open, with a packet, a task that ended and one that is set aside.
fn filled() -> Rig {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.commit(success(&rig.lease()));
    let failure = failure("busy");
    let mut end = commit(&rig.lease(), Step::Fail { failure });
    end.journal = vec![JournalEntry {
        seq: 0,
        bytes: Bytes::from_static(b"gwasp:http/send@0.1"),
    }];
    rig.commit(end);
    rig
}

#[test]
fn views_are_asked_beside_a_store_that_is_open() {
    let rig = filled();
    let answer = ask(&rig, "select source, received, bytes from packets").unwrap();
    assert_eq!(answer.columns, ["source", "received", "bytes"]);
    let row = [
        text("gcn"),
        text("2026-01-02T00:00:00.000Z"),
        Cell::Integer(28),
    ];
    assert_eq!(answer.rows, [row]);

    let dead = "select id, handler, kind, error, attempts from tasks where state = 'FAILURE'";
    let row = [
        text(&task_id("1/b").to_string()),
        text("fermi-log.on_position"),
        text("error"),
        text("busy"),
        Cell::Integer(1),
    ];
    assert_eq!(ask(&rig, dead).unwrap().rows, [row]);

    let effects = "select function, state, asked from effects where key is null";
    let row = [
        text("gwasp:http/send@0.1"),
        text("answered"),
        text("1970-01-01T00:00:00.000Z"),
    ];
    assert_eq!(ask(&rig, effects).unwrap().rows, [row]);

    let ledger = "select day, n from ledger where counter = 'failed/packet'";
    let row = [text("2026-01-02"), Cell::Integer(1)];
    assert_eq!(ask(&rig, ledger).unwrap().rows, [row]);
    rig.check_sound();
}

#[test]
fn nothing_is_written_by_a_question() {
    let rig = filled();
    for query in [
        "delete from main.tasks",
        "drop view tasks",
        "insert into main.meta values('x', 1)",
        "",
        "select 1; delete from main.tasks",
    ] {
        let refused = ask(&rig, query);
        assert!(
            refused.is_err() || refused.unwrap().rows == [[Cell::Integer(1)]],
            "{query}"
        );
    }
    rig.check_sound();
    assert_eq!(
        ask(&rig, "select count(*) from tasks").unwrap().rows,
        [[Cell::Integer(2)]]
    );
}

#[test]
fn a_question_that_takes_too_long_or_asks_for_too_much_is_cut() {
    let rig = filled();
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n)
        select count(*) from n";
    let time = Duration::from_millis(20);
    let cut = select(&rig.path(), endless, (time, 10), read).unwrap_err();
    assert!(matches!(cut, SqlError::TooLong(_)), "{cut:?}");
    let many = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n";
    let answer = ask(&rig, many).unwrap();
    assert_eq!((answer.rows.len(), answer.is_cut), (10, true));
}
