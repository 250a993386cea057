//! Versions of plugins: which are known, whose bytes stay, and what a person decided.

use bytes::Bytes;
use gwasp_store::{JournalEntry, PluginRecord, RouteChange, Step};

use crate::common::{Rig, SECOND, commit, failure, offer, sha256, success, wait};

const DAY: i64 = 86_400 * SECOND;
/// The plugin of the tasks that [`offer`] makes.
const PLUGIN: &str = "fermi-log";

/// Keeps the bytes of a version and makes it current, a second after whatever was before.
fn put(rig: &Rig, bytes: &'static str) -> [u8; 32] {
    rig.clock.advance(SECOND);
    let digest = wait(rig.store().put_blob(Bytes::from_static(bytes.as_bytes()))).unwrap();
    wait(rig.store().put_route(PLUGIN, digest, "{}")).unwrap();
    digest
}

fn change(rig: &Rig, change: RouteChange) {
    wait(rig.store().change_route(PLUGIN, change)).unwrap();
}

fn plugin(rig: &Rig) -> PluginRecord {
    let mut plugins = rig.store().plugins().unwrap();
    assert_eq!(plugins.len(), 1, "{plugins:?}");
    plugins.remove(0)
}

/// The versions whose bytes are kept, newest first.
fn kept(rig: &Rig) -> Vec<[u8; 32]> {
    let versions = plugin(rig).versions;
    for version in &versions {
        let blob = rig.store().blob(&version.digest).unwrap();
        assert_eq!(blob.is_some(), version.is_kept);
    }
    let kept = versions.iter().filter(|version| version.is_kept);
    kept.map(|version| version.digest).collect()
}

/// A task that has a journal which `version` wrote, given back.
fn pin(rig: &Rig, name: &str, version: [u8; 32]) {
    rig.keep(offer(name, &[name]));
    let lease = rig.lease();
    let mut back = commit(&lease, Step::GiveBack { due: lease.made });
    back.version = version;
    back.journal = vec![JournalEntry {
        seq: 0,
        bytes: Bytes::from_static(b"intent"),
    }];
    rig.commit(back);
}

fn sweep(rig: &Rig) {
    wait(rig.store().retain()).unwrap();
}

#[test]
fn versions_are_listed_newest_first_after_a_crash() {
    let mut rig = Rig::new();
    let (one, two) = (put(&rig, "one"), put(&rig, "two"));
    rig.crash();
    let plugin = plugin(&rig);
    assert_eq!(
        (plugin.plugin.as_str(), plugin.current),
        (PLUGIN, Some(two))
    );
    let digests: Vec<_> = plugin.versions.iter().map(|one| one.digest).collect();
    assert_eq!(digests, [two, one]);
    put(&rig, "one");
    assert_eq!(kept(&rig), [one, two], "what comes again is the newest");
}

#[test]
fn of_old_versions_the_three_newest_stay() {
    let rig = Rig::new();
    let all = ["one", "two", "three", "four", "five"].map(|bytes| put(&rig, bytes));
    rig.clock.advance(8 * DAY);
    sweep(&rig);
    assert_eq!(kept(&rig), [all[4], all[3], all[2]]);
    sweep(&rig);
    assert_eq!(plugin(&rig).versions.len(), 3, "what is gone is not listed");
}

#[test]
fn the_version_of_a_task_stays_until_the_task_has_ended() {
    let rig = Rig::new();
    let first = put(&rig, "first");
    pin(&rig, "1/a", first);
    let newest = ["two", "three", "four"].map(|bytes| put(&rig, bytes));
    for _ in 0..3 {
        rig.clock.advance(8 * DAY);
        sweep(&rig);
    }
    assert_eq!(kept(&rig), [newest[2], newest[1], newest[0], first]);
    let lease = rig.lease();
    assert_eq!(lease.pinned, Some(first));
    rig.commit(success(&lease));
    rig.clock.advance(8 * DAY);
    sweep(&rig);
    assert_eq!(kept(&rig).len(), 3);
    rig.check_sound();
}

#[test]
fn a_task_that_is_set_aside_keeps_its_version_too() {
    let rig = Rig::new();
    let first = put(&rig, "first");
    pin(&rig, "1/a", first);
    let lease = rig.lease();
    let failure = failure("no position");
    let mut fail = commit(&lease, Step::Fail { failure });
    fail.version = first;
    rig.commit(fail);
    for bytes in ["two", "three", "four"] {
        put(&rig, bytes);
    }
    rig.clock.advance(8 * DAY);
    sweep(&rig);
    assert!(kept(&rig).contains(&first));
}

#[test]
fn a_plugin_that_is_gone_keeps_only_what_tasks_are_on() {
    let rig = Rig::new();
    let first = put(&rig, "first");
    put(&rig, "second");
    pin(&rig, "1/a", first);
    change(&rig, RouteChange::Remove);
    rig.clock.advance(8 * DAY);
    sweep(&rig);
    assert_eq!(kept(&rig), [first]);
}

#[test]
fn a_plugin_stays_disabled_over_a_crash_and_keeps_its_versions() {
    let mut rig = Rig::new();
    let only = put(&rig, "only");
    change(&rig, RouteChange::Disable);
    rig.crash();
    assert!(rig.store().routes().unwrap().1.is_empty());
    assert!(plugin(&rig).disabled.is_some());
    rig.clock.advance(8 * DAY);
    sweep(&rig);
    assert_eq!(kept(&rig), [only]);
    change(&rig, RouteChange::Enable);
    assert_eq!(plugin(&rig).disabled, None);
}

#[test]
fn a_version_that_is_gone_back_to_holds_until_another_is_put() {
    let mut rig = Rig::new();
    let (one, two) = (put(&rig, "one"), put(&rig, "two"));
    let back = RouteChange::RollBack {
        digest: one,
        manifest: "{}".to_owned(),
        instead_of: two,
    };
    change(&rig, back);
    rig.crash();
    let record = plugin(&rig);
    assert_eq!((record.current, record.passed_over), (Some(one), Some(two)));
    let newest = record.versions.first().map(|version| version.digest);
    assert_eq!(newest, Some(two), "going back makes nothing newer");
    let three = put(&rig, "three");
    let record = plugin(&rig);
    assert_eq!((record.current, record.passed_over), (Some(three), None));
}

#[test]
fn open_tasks_are_counted_by_the_version_that_they_stay_on() {
    let rig = Rig::new();
    let version = sha256(b"one");
    pin(&rig, "1/a", version);
    let lease = rig.lease();
    rig.keep(offer("2", &["2/a", "2/b"]));
    let counts = |rig: &Rig| {
        let tasks = rig.store().tasks_by_version().unwrap();
        tasks
            .iter()
            .map(|tasks| (tasks.pinned, tasks.open, tasks.set_aside))
            .collect::<Vec<_>>()
    };
    assert_eq!(counts(&rig), [(None, 2, 0), (Some(version), 1, 0)]);
    let mut fail = commit(
        &lease,
        Step::Fail {
            failure: failure("no"),
        },
    );
    fail.version = version;
    rig.commit(fail);
    rig.commit(success(&rig.lease()));
    assert_eq!(counts(&rig), [(None, 1, 0), (Some(version), 0, 1)]);
}
