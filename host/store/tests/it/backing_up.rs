//! Copies of a store that is open, and what comes of them.

use bytes::Bytes;
use gwasp_store::{
    Accepted, BackupError, Input, NewTask, Options, Origin, Reader, Scope, Step, Store, backup,
    compact, restore,
};
use tempfile::TempDir;

use crate::common::{
    QUEUE, Rig, SECOND, START, commit, failure, offer, packet_of, success, task, task_id, wait,
};

/// A store with payloads in several segment files, a task that runs, one that is open and one
/// that is set aside.
fn filled() -> Rig {
    let rig = Rig::with(|options| {
        options.segment_threshold = 8;
        options.segment_size = 64;
    });
    for (name, tasks) in [("1", ["1/a"]), ("2", ["2/a"]), ("3", ["3/a"])] {
        let mut packet = offer(name, &tasks);
        packet.packet = packet_of(name, Bytes::from(name.repeat(100)));
        rig.keep(packet);
    }
    let failure = failure("busy");
    rig.commit(commit(&rig.lease(), Step::Fail { failure }));
    drop(rig.lease());
    rig
}

fn take(rig: &Rig) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    backup(&rig.path(), &folder.path().join("backup"), "alice", START).unwrap();
    folder
}

/// Opens a store in `name` below `folder` with the clock of the rig.
fn open(rig: &Rig, folder: &TempDir, name: &str) -> Store {
    Store::open(&folder.path().join(name), rig.options.clone()).unwrap()
}

#[test]
fn a_backup_of_an_open_store_holds_what_was_committed_and_does_nothing_by_itself() {
    let rig = filled();
    let folder = take(&rig);
    // The store goes on, and its backup does not see that.
    rig.keep(offer("4", &["4/a"]));
    rig.check_sound();
    for name in ["backup", "restored"] {
        if name == "restored" {
            let at = |name: &str| folder.path().join(name);
            restore(&at("backup"), &at("restored"), "alice", START).unwrap();
        }
        crate::common::check_sound(&folder.path().join(name));
        let store = open(&rig, &folder, name);
        assert_eq!(store.open_tasks(), 2, "{name}");
        assert!(store.lease(QUEUE, 0).unwrap().is_none(), "it is paused");
        let pauses = store.pauses().unwrap();
        assert_eq!(
            (&pauses[0].scope, pauses[0].who.as_str()),
            (&Scope::All, "alice")
        );
        wait(store.close()).unwrap();
    }
    rig.commit(success(&rig.lease()));
    rig.check_sound();
}

#[test]
fn what_a_restored_store_does_is_asked_for_first() {
    let rig = filled();
    let folder = take(&rig);
    rig.clock.advance(60 * SECOND);
    let store = open(&rig, &folder, "backup");
    wait(store.unpause(Scope::All)).unwrap();
    let lease = store.lease(QUEUE, 0).unwrap().unwrap();
    assert!(lease.is_asked);
    let Input::Packet(record) = &lease.input else {
        panic!("{lease:?}");
    };
    assert_eq!(record.packet.flags, ["historic"]);

    let mut spawning = success(&lease);
    spawning.spawns = vec![NewTask {
        origin: Origin::Spawn,
        args: Some(Bytes::new()),
        priority: 0,
        ..task("child")
    }];
    wait(store.commit(vec![spawning])).pop().unwrap().unwrap();
    let child = store.lease(QUEUE, 0).unwrap().unwrap();
    assert_eq!((child.task, child.is_asked), (task_id("child"), true));

    // A packet that was sent before, and one that came later.
    let generation = store.routes().unwrap().0;
    for (name, sent, is_asked) in [
        ("5", START + SECOND, true),
        ("6", START + 61 * SECOND, false),
    ] {
        let mut packet = offer(name, &[]);
        packet.packet.sent = Some(sent);
        packet.tasks = vec![NewTask {
            priority: 0,
            ..task(name)
        }];
        let accepted = wait(store.accept(generation, vec![packet])).unwrap();
        assert!(matches!(accepted[..], [Accepted::New(_)]));
        let lease = store.lease(QUEUE, 0).unwrap().unwrap();
        assert_eq!((lease.task, lease.is_asked), (task_id(name), is_asked));
    }
}

#[test]
fn the_store_itself_asks_for_nothing_after_a_backup() {
    let rig = filled();
    let _folder = take(&rig);
    let lease = rig.lease();
    assert!(!lease.is_asked);
    assert!(rig.store().pauses().unwrap().is_empty());
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let rig = filled();
    let folder = take(&rig);
    let (from, to) = (folder.path().join("backup"), folder.path().join("to"));
    let file = from.join("segments").join("00000001.segment");
    // The store's own file is another: a test must not damage it through the link.
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, bytes).unwrap();
    let refused = restore(&from, &to, "alice", START).unwrap_err();
    assert!(matches!(refused, BackupError::Unsound(_)), "{refused:?}");
    assert!(!to.exists() && !folder.path().join("to.part").exists());
}

#[test]
fn a_copy_never_takes_the_place_of_something() {
    let rig = filled();
    let folder = take(&rig);
    let taken = folder.path().join("backup");
    let again = backup(&rig.path(), &taken, "alice", START).unwrap_err();
    assert!(matches!(again, BackupError::Exists(_)), "{again:?}");
    let over = restore(&taken, &rig.path(), "alice", START).unwrap_err();
    assert!(matches!(over, BackupError::Exists(_)), "{over:?}");
}

/// What lies beside the copy under the name of an unfinished one may be anybody's.
#[test]
fn a_copy_removes_nothing_that_it_did_not_make() {
    let rig = filled();
    let folder = take(&rig);
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("new.part")).unwrap();
    std::fs::write(at("new.part").join("thesis"), "x").unwrap();
    let copied = backup(&rig.path(), &at("new"), "alice", START).unwrap_err();
    assert!(
        matches!(&copied, BackupError::Unfinished(path) if *path == at("new.part")),
        "{copied:?}"
    );
    assert!(copied.to_string().contains("new.part"), "{copied}");
    let restored = restore(&at("backup"), &at("new"), "alice", START).unwrap_err();
    assert!(
        matches!(restored, BackupError::Unfinished(_)),
        "{restored:?}"
    );
    assert!(at("new.part").join("thesis").exists() && !at("new").exists());
}

#[test]
fn a_store_that_is_written_to_is_not_restored_from() {
    let mut rig = filled();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    let refused = restore(&rig.path(), &to, "alice", START).unwrap_err();
    assert!(
        matches!(&refused, BackupError::InUse { dir, .. } if *dir == rig.path()),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("store backup"), "{refused}");
    assert!(!to.exists() && !folder.path().join("to.part").exists());
    rig.close();
    restore(&rig.path(), &to, "alice", START).unwrap();
    crate::common::check_sound(&to);
}

#[test]
fn a_store_is_compacted_only_while_nobody_writes_to_it() {
    let mut rig = Rig::with(|options| options.segment_threshold = 1 << 20);
    let mut packet = offer("1", &["1/a"]);
    packet.packet = packet_of("1", Bytes::from(vec![7; 400_000]));
    rig.keep(packet);
    assert!(compact(&rig.path(), START).is_err());
    rig.close();
    let database = rusqlite::Connection::open(rig.path().join("store.sqlite")).unwrap();
    database
        .execute_batch("CREATE TABLE ballast(x); INSERT INTO ballast VALUES(zeroblob(4000000)); DROP TABLE ballast;")
        .unwrap();
    drop(database);
    let (before, after) = compact(&rig.path(), START).unwrap();
    assert!(after + 2_000_000 < before, "{before} {after}");
    rig.open();
    assert_eq!(rig.lease().task, task_id("1/a"));
    rig.check_sound();
}

#[test]
fn backups_that_are_taken_while_packets_come_are_whole() {
    let rig = Rig::with(|options| {
        options.segment_threshold = 8;
        options.segment_size = 4096;
    });
    let store = rig.store().clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let generation = store.routes().unwrap().0;
        for number in 0.. {
            if stopped.try_recv().is_ok() {
                return number;
            }
            let name = number.to_string();
            let mut packet = offer(&name, &[]);
            packet.packet = packet_of(&name, Bytes::from(name.repeat(300)));
            packet.tasks = vec![task(&name)];
            wait(store.accept(generation, vec![packet])).unwrap();
        }
        0
    });
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        let target = folder.path().join(number.to_string());
        backup(&rig.path(), &target, "alice", START).unwrap();
        let found = Reader::open(&target).unwrap().verify(true).unwrap();
        assert!(found.is_sound(), "{found:#?}");
        Store::open(&target, Options::default()).unwrap();
    }
    stop.send(()).unwrap();
    assert!(writer.join().unwrap() > 5, "nobody waited for the backups");
    rig.check_sound();
}
