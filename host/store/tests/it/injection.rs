//! Faults at the N-th system call, by `strace`'s injection.

use std::path::Path;
use std::process::{Command, Stdio};

use gwasp_store::{Reader, State, TaskFilter};

use crate::crash::{Acknowledged, child, child_of};

/// Packets that the child accepts, unless something befalls it.
const PACKETS: u32 = 12;
/// Threads of the child that run tasks.
const WORKERS: usize = 2;
/// What a run with one packet acknowledges: the packet, its tasks and their children.
const OF_FIRST_RUN: usize = 5;
const SEGMENT: &str = "segments/00000001.segment";

/// A fault at the N-th of some system calls of a thread.
struct Fault {
    /// As `strace` has it.
    injection: String,
    /// Only calls on this file of the store, where it is not empty.
    file: &'static str,
}

impl Fault {
    fn new(injection: impl Into<String>, file: &'static str) -> Self {
        Self {
            injection: injection.into(),
            file,
        }
    }

    /// Returns `strace` with this fault, or `None` with a word on why not. It counts calls per
    /// thread, and miscounts them with `--seccomp-bpf`.
    fn strace(&self, store: &Path) -> Option<Command> {
        let works = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !works.is_ok_and(|status| status.success()) {
            eprintln!("skipped: strace is not installed or may not trace");
            return None;
        }
        let calls = self.injection.split(':').next().unwrap();
        let mut command = Command::new("strace");
        command
            .args(["-f", "-o", "/dev/null"])
            .args(["-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={}", self.injection)]);
        if !self.file.is_empty() {
            command.arg("-P").arg(store.join(self.file));
        }
        Some(command)
    }

    /// Runs the child under the fault; returns what it acknowledged.
    fn run(&self, store: &Path) -> Option<Acknowledged> {
        let mut child = child_of(self.strace(store)?, store, PACKETS)
            .spawn()
            .unwrap();
        let mut acknowledged = Acknowledged::default();
        acknowledged.listen(&mut child, |_, _| {});
        Some(acknowledged)
    }

    /// Makes a store, so that the next opening makes few calls, and runs the child under the
    /// fault, which befalls the writer.
    fn run_on_made_store(&self, store: &Path) -> Option<Acknowledged> {
        let mut made = Acknowledged::default();
        made.listen(&mut child(store, Some(1)).spawn().unwrap(), |_, _| {});
        assert!(made.closed);
        assert_eq!(made.count(), OF_FIRST_RUN);
        let mut faulty = self.run(store)?;
        assert!(faulty.opened, "{} befell the opening", self.injection);
        faulty.kept.extend(made.kept);
        faulty.ended.extend(made.ended);
        Some(faulty)
    }
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
fn check_killed_at(calls: &str, nth: u32, file: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let fault = Fault::new(format!("{calls}:signal=SIGKILL:when={nth}"), file);
    let Some(mut acknowledged) = fault.run(&store) else {
        return;
    };
    assert!(
        !acknowledged.closed,
        "{} does not come to pass",
        fault.injection
    );
    if acknowledged.opened {
        acknowledged.check_kept(&store);
    }
    check_goes_on(&mut acknowledged, &store);
}

#[test]
fn a_kill_at_a_sync_loses_nothing_that_was_acknowledged() {
    for nth in [1, 2, 3, 4, 5, 6, 8, 11] {
        check_killed_at("fsync,fdatasync", nth, "");
    }
}

#[test]
fn a_kill_at_a_write_loses_nothing_that_was_acknowledged() {
    for nth in [1, 2, 3, 7, 20, 40, 41, 60, 90] {
        check_killed_at("pwrite64", nth, "");
    }
}

#[test]
fn a_kill_at_an_append_to_a_segment_loses_nothing_that_was_acknowledged() {
    // Head, number, then prefix and bytes of each record, and a sync per group.
    for nth in [1, 2, 3, 4, 5, 6, 9, 10] {
        check_killed_at("write,fsync,fdatasync", nth, SEGMENT);
    }
}

/// Checks that after the fault nothing is acknowledged, and that the next start goes on.
#[track_caller]
fn check_failed_at(injection: &str, file: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let Some(mut acknowledged) = Fault::new(injection, file).run_on_made_store(&store) else {
        return;
    };
    let (name, before) = acknowledged.errors.first().cloned().expect(injection);
    assert_eq!(name, "Failed", "{injection}");
    // What was acknowledged together may be said in another order than the error.
    let after = acknowledged.count() - OF_FIRST_RUN - before;
    assert!(after <= WORKERS, "{after} acknowledged after {injection}");
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
    for nth in [3, 4, 6, 9] {
        let injection = format!("fsync,fdatasync:error=EIO:when={nth}");
        check_failed_at(&injection, "store.sqlite-wal");
    }
}

#[test]
fn a_failed_sync_of_a_segment_is_the_end_until_the_next_start() {
    check_failed_at("fsync,fdatasync:error=EIO:when=2", SEGMENT);
}

#[test]
fn a_failed_write_is_the_end_until_the_next_start() {
    check_failed_at("pwrite64:error=EIO:when=60", "store.sqlite-wal");
    check_failed_at("write:error=EIO:when=4", SEGMENT);
}

#[test]
fn a_failed_move_of_the_log_is_an_end_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let injection = "fsync,fdatasync:error=EIO:when=1";
    let Some(mut acknowledged) = Fault::new(injection, "store.sqlite").run_on_made_store(&store)
    else {
        return;
    };
    // The log is moved at the close only, as it is short.
    assert_eq!(acknowledged.errors.len(), 1);
    assert_eq!(acknowledged.errors[0].0, "Failed");
    acknowledged.check_kept(&store);
    check_goes_on(&mut acknowledged, &store);
}

#[test]
fn a_disk_that_is_full_for_one_write_refuses_one_group_and_goes_on() {
    for (injection, file) in [
        ("pwrite64:error=ENOSPC:when=60", "store.sqlite-wal"),
        ("write:error=ENOSPC:when=4", SEGMENT),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let Some(mut acknowledged) = Fault::new(injection, file).run_on_made_store(&store) else {
            return;
        };
        assert!(acknowledged.errors.iter().all(|(name, _)| name == "Full"));
        assert!(
            !acknowledged.errors.is_empty(),
            "{injection} does not come to pass"
        );
        assert!(acknowledged.closed, "{:?}", acknowledged.errors);
        acknowledged.check_kept(&store);
        check_goes_on(&mut acknowledged, &store);
    }
}
