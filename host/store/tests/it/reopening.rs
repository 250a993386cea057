//! What the next process finds.

use gwasp_store::{OpenError, Reader, Store};

use crate::common::{QUEUE, Rig, SECOND, START, offer, success, wait};

#[test]
fn open_tasks_are_ready_again_after_a_crash() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b", "1/c"]));
    rig.commit(success(&rig.lease()));
    let running = rig.lease();
    rig.crash();
    assert_eq!(rig.store().incarnation(), 2);
    assert_eq!(rig.store().depth(QUEUE).ready, 2);
    assert_eq!(rig.lease().task, running.task);
    rig.check_sound();
}

#[test]
fn a_crash_leaves_a_gap_mark_for_each_stream_that_was_listened_to() {
    let mut rig = Rig::new();
    wait(rig.store().note_listening("lvalert", true)).unwrap();
    wait(rig.store().note_listening("kafka", true)).unwrap();
    rig.keep(offer("1", &[]));
    rig.clock.advance(5 * SECOND);
    wait(rig.store().note_listening("kafka", false)).unwrap();
    rig.clock.advance(60 * SECOND);
    rig.crash();
    let gaps = rig.store().reader().unwrap().gaps(None).unwrap();
    let gaps: Vec<_> = gaps
        .iter()
        .map(|gap| {
            (
                gap.source.as_str(),
                gap.last_packet,
                gap.last_commit,
                gap.next_start,
            )
        })
        .collect();
    let (last, next) = (START + 5 * SECOND, START + 65 * SECOND);
    let expected = [
        ("lvalert", None, last, next),
        ("gcn", Some(START), last, next),
    ];
    assert_eq!(gaps, expected);
}

#[test]
fn a_clean_close_leaves_no_gap_mark_and_no_log() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    rig.close();
    let log = std::fs::metadata(rig.path().join("store.sqlite-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0);
    rig.open();
    assert!(rig.store().reader().unwrap().gaps(None).unwrap().is_empty());
    assert_eq!(rig.store().depth(QUEUE).ready, 1);
}

#[test]
fn a_store_of_a_newer_program_is_refused_by_its_format() {
    let mut rig = Rig::new();
    rig.close();
    let database = rusqlite::Connection::open(rig.path().join("store.sqlite")).unwrap();
    database
        .execute("UPDATE meta SET value = 2 WHERE name = 'format'", [])
        .unwrap();
    drop(database);
    let refused = Store::open(&rig.path(), rig.options.clone()).unwrap_err();
    assert!(matches!(
        refused,
        OpenError::NewerFormat {
            found: 2,
            known: 1,
            ..
        }
    ));
    let refused = Reader::open(&rig.path()).unwrap_err();
    assert!(matches!(refused, OpenError::NewerFormat { found: 2, .. }));
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.sqlite");
    let text = "a file of some other program, long enough to be a database".repeat(100);
    std::fs::write(&file, &text).unwrap();
    let refused = Store::open(dir.path(), gwasp_store::Options::default()).unwrap_err();
    assert!(
        matches!(refused, OpenError::NotAStore { .. }),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    std::fs::remove_file(&file).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE stars(name)").unwrap();
    let refused = Store::open(dir.path(), gwasp_store::Options::default()).unwrap_err();
    assert!(
        matches!(refused, OpenError::NotAStore { .. }),
        "{refused:?}"
    );
    assert!(matches!(
        Reader::open(&dir.path().join("none")),
        Err(OpenError::NotAStore { .. })
    ));
}

#[test]
fn a_reader_sees_the_store_while_it_is_written_and_after_it_is_closed() {
    let mut rig = Rig::new();
    let reader = Reader::open(&rig.path()).unwrap();
    let seq = rig.keep(offer("1", &[]));
    assert!(reader.packet(seq).unwrap().is_some());
    rig.close();
    assert!(reader.packet(seq).unwrap().is_some());
    drop(reader);
    assert!(
        Reader::open(&rig.path())
            .unwrap()
            .packet(seq)
            .unwrap()
            .is_some()
    );
}
