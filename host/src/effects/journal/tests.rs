use super::super::function::{
    CLOCK_NOW, HTTP_SEND, RANDOM_GET_BYTES, TASKS_CALL, TASKS_SLEEP_UNTIL,
};
use super::Function;
use super::{Entry, Found, Journal, JournalError, Phase};

fn journal_of(entries: &[Entry]) -> Journal {
    let mut journal = Journal::default();
    for entry in entries {
        journal.write(entry.clone()).unwrap();
        journal.advance();
    }
    Journal::read(&journal.take_unsaved()).unwrap()
}

fn answered(seq: u32, request: &[u8]) -> Entry {
    Entry::new(seq, &CLOCK_NOW, request, 5).answered(vec![0x18, 0], Phase::Answered)
}

#[test]
fn a_journal_gives_back_what_was_noted_after_it_was_on_disk() {
    let journal = journal_of(&[answered(0, b"a")]);
    assert!(
        matches!(journal.find(&CLOCK_NOW, b"a"), Ok(Found::Answer(answer)) if answer == [0x18, 0])
    );
}

#[test]
fn another_function_than_the_noted_one_is_named() {
    let journal = journal_of(&[answered(0, b"a")]);
    let error = journal.find(&RANDOM_GET_BYTES, b"a").unwrap_err();
    let JournalError::Differs {
        seq: 0,
        noted,
        asked,
    } = error
    else {
        panic!("{error}");
    };
    assert!(noted.contains("clock/now") && asked.contains("random/get-bytes"));
}

#[test]
fn another_request_than_the_noted_one_is_a_difference() {
    let journal = journal_of(&[answered(0, b"a")]);
    assert!(matches!(
        journal.find(&CLOCK_NOW, b"b"),
        Err(JournalError::Differs { seq: 0, .. })
    ));
}

#[test]
fn keys_of_a_later_host_are_skipped() {
    // A map with the known keys of an answered entry, and key 99.
    let mut bytes = minicbor::to_vec(answered(0, b"a")).unwrap();
    assert_eq!(
        bytes[0] & 0xe0,
        0xa0,
        "an entry is a map of definite length"
    );
    bytes[0] += 1;
    bytes.extend([0x18, 99, 0x63, b'n', b'e', b'w']);
    let read: Entry = minicbor::decode(&bytes).unwrap();
    assert_eq!(read, answered(0, b"a"));
}

#[test]
fn a_request_is_told_by_its_values_as_far_as_it_is_kept() {
    let whole = b"\xa2\x00\x64POST\x01\x68http://x";
    let told = |request: &[u8]| Entry::new(0, &CLOCK_NOW, request, 0).request_text();
    assert_eq!(told(whole), r#""POST", "http://x""#);
    assert_eq!(told(b"\x64last"), r#""last""#);
    assert!(told(&whole[..12]).starts_with(r#""POST""#));
    for end in 0..whole.len() {
        told(&whole[..end]);
    }
}

#[track_caller]
fn check_kept(entries: &[(&'static Function, Phase)], kept: u32) {
    let entries: Vec<Entry> = (0..)
        .zip(entries)
        .map(|(seq, (function, phase))| {
            Entry::new(seq, function, b"a", 5).answered(vec![0x80], *phase)
        })
        .collect();
    assert_eq!(journal_of(&entries).keep_for_retry(), kept);
}

#[test]
fn another_attempt_keeps_what_is_done_and_what_was_waited_for() {
    let read = (&CLOCK_NOW, Phase::Answered);
    let slept = (&TASKS_SLEEP_UNTIL, Phase::Answered);
    check_kept(&[read, slept, read], 2);
    check_kept(&[read, (&TASKS_SLEEP_UNTIL, Phase::Waiting)], 0);
    check_kept(&[slept, (&TASKS_CALL, Phase::NotDone), read], 1);
    check_kept(&[read, (&TASKS_CALL, Phase::Answered), read], 2);
    check_kept(&[(&HTTP_SEND, Phase::Intent), read], 1);
    check_kept(&[(&HTTP_SEND, Phase::NotDone), read], 0);
}

#[test]
fn a_wait_that_is_not_over_is_found_as_what_was_asked_for() {
    let waiting = Entry::new(0, &TASKS_CALL, b"a", 5).answered(vec![0x80], Phase::Waiting);
    let journal = journal_of(std::slice::from_ref(&waiting));
    let found = journal.find(&TASKS_CALL, b"a").unwrap();
    assert!(matches!(found, Found::Intent(entry) if entry == waiting));
}
