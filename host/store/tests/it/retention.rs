//! What goes by age and bytes, what stays, and that the ledger remembers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gwasp_store::{
    Accepted, Clock as _, Commit, JournalEntry, NewRefusal, Offer, Options, Origin, PacketFilter,
    PacketSeq, Reader, Removed, Retention, State, Step, Store, StoreError, TaskFilter,
};

use crate::common::{
    Hand, Rig, SECOND, START, check_sound, commit, failure, offer, packet_of, sha256, success,
    task, task_id, wait,
};

/// Names the directory of the store to the child process that is killed.
const CHILD: &str = "GWASP_STORE_RETAINED";

const DAY: i64 = 86_400 * SECOND;

fn retain(rig: &Rig) -> Removed {
    wait(rig.store().retain()).unwrap()
}

fn reader(rig: &Rig) -> Reader {
    rig.store().reader().unwrap()
}

fn large(name: &str, tasks: &[&str]) -> Offer {
    let mut offer = offer(name, tasks);
    offer.packet = packet_of(name, Bytes::from(name.repeat(20_000 / name.len())));
    offer
}

fn set_aside(rig: &Rig) -> Commit {
    let failure = failure("no position");
    commit(&rig.lease(), Step::Fail { failure })
}

fn segment_files(rig: &Rig) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(rig.path().join("segments")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A packet that comes later, so that none of the others is the last.
fn keep_last(rig: &Rig) {
    let mut last = offer("last", &["last/a"]);
    last.packet.received = START + 40 * DAY;
    rig.keep(last);
}

#[test]
fn after_thirty_days_a_packet_and_its_ended_tasks_are_gone_and_counted() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.accept(offer("1", &["1/a"]));
    let mut held = offer("2", &[]);
    held.unmatched = Some("held-back".to_owned());
    rig.keep(held);
    rig.commit(success(&rig.lease()));
    let reason = failure("too late");
    rig.commit(commit(&rig.lease(), Step::Revoke { reason }));
    wait(rig.store().refuse(vec![NewRefusal {
        source: "gcn".to_owned(),
        received: START,
        reason: "no VOEvent".to_owned(),
        payload: Bytes::from_static(b"<html>"),
    }]))
    .unwrap();
    wait(rig.store().note_unconfirmed("gcn", 3)).unwrap();
    let before = reader(&rig).ledger(i64::MIN).unwrap();

    rig.clock.advance(29 * DAY);
    assert_eq!(retain(&rig), Removed::default());
    assert!(matches!(
        rig.accept(offer("1", &[])),
        Accepted::Duplicate(_)
    ));
    rig.clock.advance(2 * DAY);
    keep_last(&rig);
    let removed = retain(&rig);
    assert_eq!(
        (removed.packets, removed.tasks, removed.refusals),
        (2, 2, 1)
    );
    assert_eq!(reader(&rig).packet_view(PacketSeq(1)).unwrap(), None);
    assert!(reader(&rig).task_by_id(task_id("1/a")).unwrap().is_none());
    assert!(reader(&rig).refusals(None, None, None).unwrap().is_empty());

    let after = reader(&rig).ledger(i64::MIN).unwrap();
    let (old, new) = (&before.accounts[0], &after.accounts[0]);
    assert_eq!(new.listener.read, old.listener.read + 1, "one came again");
    assert_eq!(new.tasks, old.tasks);
    assert_eq!((new.matched, &new.unmatched), (old.matched, &old.unmatched));
    let gone = new.removed;
    assert_eq!((gone.packets, gone.tasks, gone.refusals), (2, 2, 1));
    rig.check_sound();
    assert!(matches!(rig.accept(offer("1", &["1/a"])), Accepted::New(_)));
    rig.check_sound();
}

#[test]
fn numbers_of_packets_and_tasks_are_never_given_again() {
    let mut rig = Rig::new();
    let first = rig.keep(offer("1", &["1/a"]));
    rig.commit(success(&rig.lease()));
    rig.clock.advance(31 * DAY);
    retain(&rig);
    rig.crash();
    let second = rig.keep(offer("2", &["2/a"]));
    assert!(second > first);
    rig.check_sound();
}

#[test]
fn what_is_set_aside_or_open_keeps_all_that_it_needs() {
    let mut rig = Rig::with(|options| options.segment_size = 1);
    let blob = wait(rig.store().put_blob(Bytes::from(vec![7; 20_000]))).unwrap();
    let unneeded = wait(rig.store().put_blob(Bytes::from(vec![8; 20_000]))).unwrap();
    let named = wait(rig.store().put_blob(Bytes::from_static(b"small"))).unwrap();
    rig.keep(large("1", &["1/a"]));
    let mut twin = large("1", &[]);
    twin.packet.key = "another".to_owned();
    twin.tasks = vec![task("1/b")];
    rig.keep(twin);
    let entry = JournalEntry {
        seq: 0,
        bytes: Bytes::from_static(b"entry"),
    };
    for _ in 0..2 {
        let mut failed = set_aside(&rig);
        failed.journal = vec![entry.clone()];
        failed.blobs = vec![blob];
        rig.commit(failed);
    }
    rig.keep(large("2", &["2/a"]));
    let mut parent = success(&rig.lease());
    let mut child = task("child");
    child.due = START + 1_000 * DAY;
    child.origin = Origin::Spawn;
    let hex: String = named.iter().map(|byte| format!("{byte:02x}")).collect();
    child.args = Some(Bytes::from(format!("[{{\"blob\":\"{hex}\"}}]")));
    parent.spawns = vec![child];
    rig.commit(parent);
    rig.clock.advance(40 * DAY);
    keep_last(&rig);
    let removed = retain(&rig);
    let removed = (removed.packets, removed.blobs, removed.tasks);
    assert_eq!(removed, (0, 1, 1), "a packet lives as long as a descendant");
    rig.crash();

    assert_eq!(rig.store().blob(&unneeded).unwrap(), None);
    assert!(rig.store().blob(&blob).unwrap().is_some());
    assert!(rig.store().blob(&named).unwrap().is_some());
    for seq in [1, 2] {
        let kept = reader(&rig).packet(PacketSeq(seq)).unwrap().unwrap();
        assert_eq!(kept.packet.payload, large("1", &[]).packet.payload);
    }
    assert_eq!(reader(&rig).journal(task_id("1/a")).unwrap(), [entry]);
    let child = reader(&rig).task_by_id(task_id("child")).unwrap().unwrap();
    assert!(child.args.is_some());
    assert!(
        wait(
            rig.store()
                .resume((task_id("1/b"), None), 1, None, ("resumed", "alice"))
        )
        .unwrap()
    );
    rig.check_sound();

    for _ in 0..2 {
        rig.commit(success(&rig.lease()));
    }
    assert!(
        wait(
            rig.store()
                .resume((task_id("1/a"), None), 1, None, ("resumed", "alice"))
        )
        .unwrap()
    );
    rig.commit(success(&rig.lease()));
    rig.clock.advance(31 * DAY);
    let removed = retain(&rig);
    assert_eq!((removed.packets, removed.blobs), (1, 1));
    assert_eq!(retain(&rig).packets, 1, "the holder goes after its twin");
    rig.check_sound();
}

#[test]
fn results_and_journals_go_after_seven_days_and_their_tasks_stay() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let result = Some(Bytes::from_static(b"{}"));
    let mut end = commit(&rig.lease(), Step::Succeed { result });
    end.journal = (0..200)
        .map(|seq| JournalEntry {
            seq,
            bytes: Bytes::from_static(b"entry"),
        })
        .collect();
    rig.commit(end);
    rig.clock.advance(6 * DAY);
    assert_eq!(retain(&rig), Removed::default());
    rig.clock.advance(2 * DAY);
    let removed = retain(&rig);
    assert_eq!((removed.results, removed.journals), (1, 1));
    let detail = reader(&rig).task_by_id(task_id("1/a")).unwrap().unwrap();
    assert_eq!((detail.task.state, detail.result), (State::Success, None));
    assert!(reader(&rig).journal(task_id("1/a")).unwrap().is_empty());
    rig.check_sound();
}

#[test]
fn beyond_its_bytes_the_payloads_of_the_oldest_go_and_their_rows_stay() {
    let mut rig = Rig::with(|options| options.segment_size = 1);
    rig.keep(large("0", &["0/a"]));
    rig.commit(set_aside(&rig));
    for number in 1..=6 {
        rig.keep(large(&number.to_string(), &[]));
    }
    rig.options.retention.packet_bytes = 100_000;
    rig.crash();
    let removed = retain(&rig);
    assert_eq!(
        (removed.payloads, removed.packets, removed.segments),
        (3, 0, 3)
    );
    let view = |seq| reader(&rig).packet_view(PacketSeq(seq)).unwrap().unwrap();
    assert_eq!(view(1).dropped, None, "a task that is set aside needs it");
    assert_eq!(view(2).dropped, Some(START));
    assert_eq!(view(2).digest, sha256(&large("1", &[]).packet.payload));
    let refused = reader(&rig).packet(PacketSeq(2)).unwrap_err();
    assert!(
        matches!(refused, StoreError::Dropped { packet: 2 }),
        "{refused}"
    );
    assert!(matches!(
        rig.accept(large("1", &[])),
        Accepted::Duplicate(PacketSeq(2))
    ));
    rig.crash();
    rig.check_sound();
    assert_eq!(retain(&rig), Removed::default());
}

#[test]
fn too_many_bytes_go_by_themselves() {
    let rig = Rig::with(|options| options.retention.packet_bytes = 100_000);
    for number in 0..6 {
        rig.keep(large(&number.to_string(), &[]));
    }
    // Slices are between groups: the next operations are answered after some.
    while reader(&rig)
        .packet_view(PacketSeq(1))
        .unwrap()
        .unwrap()
        .dropped
        .is_none()
    {
        rig.accept(offer("again", &[]));
    }
    rig.check_sound();
}

#[test]
fn among_too_many_bytes_the_oldest_go_first_refused_or_kept() {
    let mut rig = Rig::new();
    let refuse = |rig: &Rig, name: &str, received| {
        let refusal = NewRefusal {
            source: "gcn".to_owned(),
            received,
            reason: "no VOEvent".to_owned(),
            payload: Bytes::from(name.repeat(20_000)),
        };
        wait(rig.store().refuse(vec![refusal])).unwrap();
    };
    let keep = |rig: &Rig, name: &str, received| {
        let mut packet = large(name, &[]);
        packet.packet.received = received;
        rig.keep(packet);
    };
    refuse(&rig, "a", START + SECOND);
    keep(&rig, "1", START);
    keep(&rig, "2", START + 2 * SECOND);
    keep(&rig, "3", START + 4 * SECOND);
    refuse(&rig, "b", START + 3 * SECOND);
    refuse(&rig, "c", START + 5 * SECOND);
    rig.options.retention.packet_bytes = 70_000;
    rig.crash();
    assert_eq!(retain(&rig).payloads, 2, "120 kB, of which 65 kB may stay");
    let is_dropped = |seq| {
        let view = reader(&rig).packet_view(PacketSeq(seq)).unwrap().unwrap();
        view.dropped.is_some()
    };
    assert_eq!([1, 2, 3].map(is_dropped), [true, true, false]);
    let mut refusals = reader(&rig).refusals(None, None, None).unwrap();
    refusals.sort_by_key(|refusal| refusal.received);
    let kept: Vec<bool> = refusals
        .iter()
        .map(|found| !found.payload.is_empty())
        .collect();
    assert_eq!(kept, [false, true, true]);
    rig.check_sound();
}

#[test]
fn a_store_that_is_opened_to_write_one_thing_removes_nothing() {
    let mut rig = Rig::new();
    for number in 0..6 {
        rig.keep(large(&number.to_string(), &[]));
    }
    rig.options.removes = false;
    rig.options.retention.packet_bytes = 1;
    rig.options.retention.event_count = 1;
    rig.options.retention.every = Duration::from_millis(1);
    rig.crash();
    for _ in 0..50 {
        rig.accept(offer("again", &[]));
    }
    rig.close();
    let reader = Reader::open(&rig.path()).unwrap();
    let view = reader.packet_view(PacketSeq(1)).unwrap().unwrap();
    assert_eq!(view.dropped, None);
    let events = reader.events(1, 1).unwrap();
    assert_eq!((events.events[0].number, events.gap), (1, None));
}

#[test]
fn a_payload_that_is_kept_for_a_day_leaves_its_identity_for_thirty() {
    let rig = Rig::with(|options| options.retention.packets = Duration::from_hours(24));
    rig.keep(offer("1", &[]));
    let twin = |name: &str| {
        let mut twin = offer("1", &[]);
        twin.packet.key = name.to_owned();
        twin
    };
    rig.keep(twin("twin"));
    rig.clock.advance(2 * DAY);
    keep_last(&rig);
    assert_eq!(retain(&rig).payloads, 1);
    for seq in [1, 2] {
        assert!(
            reader(&rig)
                .packet_view(PacketSeq(seq))
                .unwrap()
                .unwrap()
                .dropped
                .is_some()
        );
    }
    assert!(matches!(
        rig.accept(offer("1", &[])),
        Accepted::Duplicate(_)
    ));
    let third = rig.keep(twin("third"));
    let kept = reader(&rig).packet(third).unwrap().unwrap();
    assert_eq!(kept.packet.payload, offer("1", &[]).packet.payload);
    rig.check_sound();
}

#[test]
fn a_task_cannot_be_made_of_a_packet_whose_payload_is_gone() {
    let rig = Rig::with(|options| options.retention.packets = Duration::from_hours(24));
    let seq = rig.keep(offer("1", &[]));
    rig.clock.advance(2 * DAY);
    keep_last(&rig);
    retain(&rig);
    let submission = gwasp_store::Submission {
        task: task("again"),
        packet: Some(seq),
    };
    let refused = wait(rig.store().submit(vec![submission])).unwrap_err();
    assert!(matches!(refused, StoreError::Dropped { .. }), "{refused}");
}

#[test]
fn what_a_broken_pass_took_back_goes_in_the_next() {
    let rig = Rig::with(|options| {
        options.retention.packets = Duration::from_hours(24);
        options.retention.every = Duration::from_millis(1);
    });
    for name in ["1", "2", "3"] {
        rig.keep(offer(name, &[]));
    }
    let other = rusqlite::Connection::open(rig.path().join("store.sqlite")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER broken BEFORE UPDATE OF dropped ON packets WHEN new.seq = 3
             BEGIN SELECT raise(ABORT, 'broken'); END",
        )
        .unwrap();
    rig.clock.advance(2 * DAY);
    let mut last = offer("last", &["last/a"]);
    last.packet.received = START + 2 * DAY;
    // A task that is due later has the timer look at the clock.
    last.tasks[0].due = START + 40 * DAY;
    rig.keep(last);
    wait(rig.store().retain()).unwrap_err();
    other.execute_batch("DROP TRIGGER broken").unwrap();
    let is_dropped = |seq| {
        let view = reader(&rig).packet_view(PacketSeq(seq)).unwrap().unwrap();
        view.dropped.is_some()
    };
    while !is_dropped(3) {
        rig.clock.advance(SECOND / 100);
        std::thread::yield_now();
    }
    assert!(is_dropped(1));
    rig.check_sound();
}

#[test]
fn a_claim_holds_for_thirty_days_and_its_row_goes() {
    let rig = Rig::new();
    let claim = |task: &str| wait(rig.store().claim("fermi-log", "S1", task_id(task))).unwrap();
    assert!(claim("a"));
    rig.clock.advance(31 * DAY);
    retain(&rig);
    assert!(claim("b"));
    assert!(!claim("a"));
}

#[test]
fn files_that_retention_had_no_time_to_remove_go_at_the_next_start() {
    let mut rig = Rig::with(|options| options.segment_size = 1);
    rig.keep(large("1", &[]));
    let first = segment_files(&rig)[0].clone();
    let copy = std::fs::read(&first).unwrap();
    for name in ["2", "3"] {
        rig.keep(large(name, &[]));
    }
    rig.clock.advance(31 * DAY);
    assert_eq!(retain(&rig).segments, 2);
    assert!(!first.exists());
    rig.store = None;
    std::fs::write(&first, copy).unwrap();
    rig.open();
    assert!(!first.exists());
    assert!(!rig.path().join("quarantine").exists());
    rig.check_sound();
}

#[test]
fn a_file_that_was_emptied_is_removed_though_no_file_is_named_after_it() {
    let mut rig = Rig::new();
    rig.keep(large("1", &[]));
    rig.close();
    let first = segment_files(&rig)[0].clone();
    let mut copy = std::fs::read(&first).unwrap();
    copy[16] ^= 1;
    std::fs::write(&first, &copy).unwrap();
    // What is damaged is not written to any more.
    rig.open();
    rig.clock.advance(31 * DAY);
    keep_last(&rig);
    assert_eq!(retain(&rig).segments, 1);
    rig.close();
    std::fs::write(&first, &copy).unwrap();
    rig.open();
    assert!(!first.exists());
    assert!(!rig.path().join("quarantine/00000001.segment").exists());
    rig.keep(large("2", &[]));
    let second = rig.path().join("segments/00000003.segment");
    assert_eq!(segment_files(&rig), [second], "no number is given twice");
    rig.check_sound();
}

#[test]
fn operations_are_answered_while_a_long_pass_is_under_way() {
    let rig = Rig::new();
    for batch in 0..20 {
        let batch = (0..200).map(|number| {
            let mut offer = offer(&format!("{batch}/{number}"), &[]);
            offer.unmatched = Some("no-handler".to_owned());
            offer
        });
        wait(rig.store().accept(0, batch.collect())).unwrap();
    }
    rig.clock.advance(31 * DAY);
    std::thread::scope(|scope| {
        let pass = scope.spawn(|| retain(&rig));
        let mut number = 0;
        while !pass.is_finished() {
            let mut new = offer(&format!("new/{number}"), &["x"]);
            new.tasks = vec![task(&format!("new/{number}"))];
            new.packet.received = START + 31 * DAY;
            rig.keep(new);
            rig.check_sound();
            number += 1;
        }
        assert_eq!(pass.join().unwrap().packets, 4_000);
    });
    rig.check_sound();
}

#[test]
fn a_store_removes_by_itself_what_is_old() {
    let rig = Rig::with(|options| {
        options.retention = Retention {
            every: Duration::from_millis(1),
            ..Retention::default()
        };
    });
    rig.keep(offer("1", &["1/a"]));
    rig.commit(success(&rig.lease()));
    rig.clock.advance(31 * DAY);
    // A task that is due later has the timer look at the clock.
    let mut last = offer("last", &["last/a"]);
    last.tasks[0].due = START + 40 * DAY;
    last.packet.received = START + 31 * DAY;
    rig.keep(last);
    while reader(&rig).packet_view(PacketSeq(1)).unwrap().is_some() {
        std::thread::yield_now();
    }
    let open = reader(&rig).tasks(&TaskFilter::default()).unwrap();
    assert_eq!(open.len(), 1);
    rig.check_sound();
}

/// Keeps large packets, until a pass has dropped the payload of one of them.
fn press(rig: &Rig, names: [&str; 6]) {
    let keep = |name: &&str| {
        let mut packet = large(name, &[]);
        packet.packet.received = rig.clock.now();
        rig.keep(packet)
    };
    let first = names.iter().map(keep).min().unwrap();
    while reader(rig)
        .packet_view(first)
        .unwrap()
        .unwrap()
        .dropped
        .is_none()
    {
        rig.clock.advance(SECOND / 100);
        rig.accept(large(names[0], &[]));
    }
}

#[test]
fn a_clock_that_jumps_ahead_forgets_no_identity_and_no_claim() {
    let rig = Rig::with(|options| options.retention.packet_bytes = 100_000);
    let claim = |task: &str| wait(rig.store().claim("fermi-log", "S1", task_id(task))).unwrap();
    rig.keep(offer("1", &[]));
    assert!(claim("a"));
    rig.clock.step(40 * DAY);
    press(&rig, ["2", "3", "4", "5", "6", "7"]);
    assert!(matches!(
        rig.accept(offer("1", &[])),
        Accepted::Duplicate(_)
    ));
    assert!(!claim("b"));
    rig.check_sound();
}

#[test]
fn what_was_kept_before_the_clock_was_set_is_kept_as_long_after() {
    let mut rig = Rig::with(|options| {
        options.retention.packet_bytes = 100_000;
        options.retention.every = Duration::from_millis(1);
    });
    rig.keep(offer("1", &[]));
    rig.crash();
    rig.clock.step(10_000 * DAY);
    let mut second = offer("2", &["2/a"]);
    second.packet.received = rig.clock.now();
    // A task that is due later has the timer look at the clock.
    second.tasks[0].due = rig.clock.now() + 400 * DAY;
    rig.keep(second);
    rig.crash();
    rig.clock.advance(2 * DAY);
    press(&rig, ["3", "4", "5", "6", "7", "8"]);
    assert!(matches!(
        rig.accept(offer("1", &[])),
        Accepted::Duplicate(_)
    ));
    rig.clock.advance(31 * DAY);
    while reader(&rig).packet_view(PacketSeq(1)).unwrap().is_some() {
        rig.clock.advance(SECOND / 100);
        std::thread::yield_now();
    }
    rig.check_sound();
}

/// Small segments, and a clock that says that 40 days have passed.
fn options_later() -> Options {
    let clock = Hand::new();
    clock.advance(40 * DAY);
    Options {
        segment_size: 100_000,
        clock: clock as Arc<_>,
        ..Options::default()
    }
}

#[test]
fn the_child_that_is_killed_does_nothing_by_itself() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let store = Store::open(Path::new(&dir), options_later()).unwrap();
    wait(store.retain()).unwrap();
    // Killed by then, or at the end of the parent's pipe.
    std::io::read_to_string(std::io::stdin()).unwrap();
}

/// Starts a pass in another process and kills it once at most `packets` are left.
fn kill_at(dir: &Path, packets: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("retention::the_child_that_is_killed_does_nothing_by_itself")
        .env(CHILD, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while packets_in(dir) > packets {
        assert!(child.try_wait().unwrap().is_none(), "the child ended");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn packets_in(dir: &Path) -> usize {
    let filter = PacketFilter {
        limit: Some(u32::MAX),
        ..PacketFilter::default()
    };
    Reader::open(dir).unwrap().packets(&filter).unwrap().len()
}

/// Packets with ended tasks, every tenth one large, with a blob for each large one.
fn fill(rig: &Rig, packets: u32) {
    for number in 0..packets {
        let (name, handler) = (number.to_string(), format!("{number}/a"));
        let is_large = number.is_multiple_of(10);
        let offer = if is_large { large } else { offer };
        rig.keep(offer(&name, &[&handler]));
        let mut end = success(&rig.lease());
        if is_large {
            let blob = Bytes::from(number.to_le_bytes().repeat(5_000));
            end.blobs = vec![wait(rig.store().put_blob(blob)).unwrap()];
        }
        rig.commit(end);
    }
}

#[test]
fn a_kill_in_the_middle_of_a_pass_leaves_a_sound_store() {
    let mut rig = Rig::with(|options| options.segment_size = 100_000);
    fill(&rig, 600);
    rig.close();
    let dir = rig.path();
    rig.options = options_later();
    for left in [550, 400, 200, 1] {
        kill_at(&dir, left);
        check_sound(&dir);
    }
    rig.open();
    rig.check_sound();
    retain(&rig);
    assert_eq!(packets_in(&dir), 1);
    // The files that are written to.
    assert_eq!(segment_files(&rig).len(), 2);
    rig.check_sound();
}
