//! Faults at the N-th system call, by `strace`'s injection.

use std::path::Path;
use std::process::{Command, Stdio};

use gwasp_store::{Reader, State, TaskFilter};

use crate::crash::{Acknowledged, child, child_of};

/// Packets that the child accepts, unless something befalls it.
const PACKETS: u32 = 12;

/// Returns `strace` with one injection, or `None` with a word on why not. It counts calls per
/// thread, and miscounts them with `--seccomp-bpf`.
fn strace(injection: &str) -> Option<Command> {
    let works = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace is not installed or may not trace");
        return None;
    }
    let calls = injection.split(':').next().unwrap();
    let mut command = Command::new("strace");
    command
        .args(["-f", "-o", "/dev/null"])
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={injection}")]);
    Some(command)
}

/// Runs the child under an injection; returns what it acknowledged.
fn run_under(injection: &str, store: &Path) -> Option<Acknowledged> {
    let mut child = child_of(strace(injection)?, store, PACKETS)
        .spawn()
        .unwrap();
    let mut acknowledged = Acknowledged::default();
    acknowledged.listen(&mut child, |_, _| {});
    Some(acknowledged)
}

/// Makes a store, so that the next opening makes few calls, and runs the child under an
/// injection that befalls the writer.
fn run_open_store_under(injection: &str, store: &Path) -> Option<Acknowledged> {
    let mut acknowledged = Acknowledged::default();
    acknowledged.listen(&mut child(store, Some(1)).spawn().unwrap(), |_, _| {});
    assert!(acknowledged.closed);
    let mut faulty = run_under(injection, store)?;
    assert!(faulty.opened, "{injection} befell the opening");
    faulty.kept.extend(acknowledged.kept);
    faulty.ended.extend(acknowledged.ended);
    Some(faulty)
}

/// Runs the child again without a fault: it ends what was left.
#[track_caller]
fn check_goes_on(acknowledged: &mut Acknowledged, store: &Path) {
    let mut again = child(store, Some(1)).spawn().unwrap();
    acknowledged.listen(&mut again, |_, _| {});
    assert!(acknowledged.closed);
    acknowledged.check_kept(store);
    let reader = Reader::open(store).unwrap();
    for state in [State::Pending, State::Retry] {
        let filter = TaskFilter {
            state: Some(state),
            ..TaskFilter::default()
        };
        assert_eq!(reader.tasks(&filter).unwrap(), []);
    }
}

#[track_caller]
fn check_killed_at(calls: &str, nth: u32) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let injection = format!("{calls}:signal=SIGKILL:when={nth}");
    let Some(mut acknowledged) = run_under(&injection, &store) else {
        return false;
    };
    assert!(!acknowledged.closed, "{injection} does not come to pass");
    if acknowledged.opened {
        acknowledged.check_kept(&store);
    }
    check_goes_on(&mut acknowledged, &store);
    true
}

#[test]
fn a_kill_at_a_sync_loses_nothing_that_was_acknowledged() {
    for nth in [1, 2, 3, 4, 5, 6, 8, 11] {
        if !check_killed_at("fsync,fdatasync", nth) {
            return;
        }
    }
}

#[test]
fn a_kill_at_a_write_loses_nothing_that_was_acknowledged() {
    for nth in [1, 2, 3, 7, 20, 40, 41, 60, 90] {
        if !check_killed_at("pwrite64", nth) {
            return;
        }
    }
}

#[test]
fn a_kill_at_an_append_to_a_segment_loses_nothing_that_was_acknowledged() {
    for nth in [1, 2, 3, 5] {
        // The writer's thread writes with `write` to segment files alone.
        if !check_killed_at("fdatasync", nth) {
            return;
        }
    }
}

#[track_caller]
fn check_failed_at(injection: &str) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let Some(mut acknowledged) = run_open_store_under(injection, &store) else {
        return;
    };
    let (name, before) = acknowledged.errors.first().cloned().expect(injection);
    assert_eq!(name, "Failed", "{injection}");
    let of_first_run = 5;
    let all = acknowledged.count() - of_first_run;
    assert_eq!(all, before, "something was acknowledged after a failure");
    let mut names = acknowledged.errors.iter().map(|(name, _)| name);
    // A worker may ask after the store was closed.
    assert_eq!(
        names.find(|name| *name != "Failed" && *name != "Closed"),
        None
    );
    assert!(!acknowledged.closed);
    acknowledged.check_kept(&store);
    check_goes_on(&mut acknowledged, &store);
}

#[test]
fn a_failed_sync_of_the_log_is_the_end_until_the_next_start() {
    for nth in [5, 6, 8, 11] {
        check_failed_at(&format!("fsync,fdatasync:error=EIO:when={nth}"));
    }
}

#[test]
fn a_failed_sync_of_a_segment_is_the_end_until_the_next_start() {
    check_failed_at("fdatasync:error=EIO:when=2");
}

#[test]
fn a_failed_write_of_the_log_is_the_end_until_the_next_start() {
    check_failed_at("pwrite64:error=EIO:when=60");
}

#[test]
fn a_disk_that_is_full_for_one_write_refuses_one_group_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let Some(mut acknowledged) = run_open_store_under("pwrite64:error=ENOSPC:when=60", &store)
    else {
        return;
    };
    assert!(acknowledged.errors.iter().all(|(name, _)| name == "Full"));
    assert!(acknowledged.closed, "{:?}", acknowledged.errors);
    acknowledged.check_kept(&store);
    check_goes_on(&mut acknowledged, &store);
}
