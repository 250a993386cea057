//! A disk that is full, on a small file system of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use gwasp_store::{Accepted, Offer, Options, PacketSeq, Reader, Store, StoreError};
use tempfile::TempDir;

use crate::common::{QUEUE, check_sound, offer, packet_of, success, task, task_id, wait};

/// A file system in memory, unmounted at the end.
struct Mount(TempDir);

impl Mount {
    /// Mounts 6 MB, or says why not.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "gwasp-store-test"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: this user may not mount a small file system");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn offer_of(number: usize) -> Offer {
    let name = format!("{number} ");
    let length = if number.is_multiple_of(2) {
        30_000
    } else {
        3_000
    };
    let mut offer = offer(&name, &[]);
    offer.packet = packet_of(&name, Bytes::from(name.repeat(length / name.len())));
    offer.tasks = vec![task(&format!("{number}/a"))];
    offer
}

/// Accepts packets until the disk is full; returns those that were acknowledged.
fn fill(store: &Store, first: usize) -> Vec<(PacketSeq, usize)> {
    let mut kept = Vec::new();
    for number in first.. {
        match wait(store.accept(0, vec![offer_of(number)])) {
            Ok(accepted) => {
                let [Accepted::New(seq)] = accepted.as_slice() else {
                    panic!("packet {number} is new")
                };
                kept.push((*seq, number));
            }
            Err(StoreError::Full { .. }) => return kept,
            Err(error) => panic!("{error:?}"),
        }
    }
    kept
}

#[track_caller]
fn check_kept(dir: &Path, kept: &[(PacketSeq, usize)]) {
    let reader = Reader::open(dir).unwrap();
    for (seq, number) in kept {
        let record = reader.packet(*seq).unwrap().unwrap();
        assert_eq!(record.packet.payload, offer_of(*number).packet.payload);
        let id = task_id(&format!("{number}/a"));
        assert!(reader.task_by_id(id).unwrap().is_some());
    }
    check_sound(dir);
}

#[test]
fn a_full_disk_acknowledges_nothing_and_the_store_goes_on_once_there_is_space() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("store");
    let ballast = mount.path().join("ballast");
    let reserve = mount.path().join("reserve");
    std::fs::write(&ballast, vec![0; 2_000_000]).unwrap();
    std::fs::write(&reserve, vec![0; 100_000]).unwrap();
    let store = Store::open(&dir, Options::default()).unwrap();

    let mut kept = fill(&store, 0);
    let before = kept.len();
    assert!(before > 10, "{before} packets fit");
    kept.extend(fill(&store, 10_000));
    std::fs::remove_file(&ballast).unwrap();
    kept.extend(fill(&store, 20_000));
    assert!(
        kept.len() > before + 10,
        "{} packets after {before}",
        kept.len()
    );
    check_kept(&dir, &kept);

    drop(store);
    // The next start is noted, which takes some space.
    std::fs::remove_file(&reserve).unwrap();
    let store = Store::open(&dir, Options::default()).unwrap();
    check_kept(&dir, &kept);
    assert_eq!(store.depth(QUEUE).ready, kept.len());
    let lease = store.lease(QUEUE, 0).unwrap().unwrap();
    let answer = wait(store.commit(vec![success(&lease)])).remove(0);
    assert!(
        matches!(answer, Ok(()) | Err(StoreError::Full { .. })),
        "{answer:?}"
    );
    drop(store);
}
