//! What is done while the disk is almost full.

use std::time::Duration;

use gwasp_store::{Cause, DiskLevel, DiskMarks, StoreError};

use crate::common::{QUEUE, Rig, SECOND, offer, success, wait};

/// A store on a disk that is below these marks: 0 is never, and nothing is above the other.
fn below(marks: DiskMarks) -> Rig {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.close();
    rig.options.disk = marks;
    rig.open();
    rig
}

const NEVER: u64 = 0;
const ALWAYS: u64 = u64::MAX;

#[test]
fn below_the_second_mark_nothing_new_is_taken_and_tasks_end() {
    let mut rig = below(DiskMarks {
        low: ALWAYS,
        reserve: ALWAYS,
    });
    assert_eq!(rig.store().disk().unwrap().level, DiskLevel::Reserve);
    let generation = rig.store().routes().unwrap().0;
    for offers in [vec![offer("2", &["2/a"])], Vec::new()] {
        let refused = wait(rig.store().accept(generation, offers));
        let cause = Cause::Reserve { free: 0, mark: 0 };
        assert!(
            matches!(&refused, Err(StoreError::Full { cause: found })
                if std::mem::discriminant(found) == std::mem::discriminant(&cause)),
            "{refused:?}"
        );
    }
    rig.commit(success(&rig.lease()));
    rig.commit(success(&rig.lease()));
    wait(rig.store().retain()).unwrap();
    rig.check_sound();
    rig.close();
    rig.options.disk = DiskMarks::default();
    rig.open();
    rig.keep(offer("2", &["2/a"]));
    assert_eq!(rig.store().depth(QUEUE).ready, 1);
}

#[test]
fn below_the_first_mark_what_is_kept_is_kept_half_as_long() {
    for (low, kept) in [(NEVER, 1), (ALWAYS, 0)] {
        let rig = below(DiskMarks {
            low,
            reserve: NEVER,
        });
        rig.commit(success(&rig.lease()));
        let day = Duration::from_hours(24);
        assert_eq!(rig.options.retention.results, 7 * day);
        let mut with_result = success(&rig.lease());
        with_result.step = gwasp_store::Step::Succeed {
            result: Some(bytes::Bytes::from_static(b"1")),
        };
        let task = with_result.task;
        rig.commit(with_result);
        rig.clock.advance(5 * 24 * 3600 * SECOND);
        wait(rig.store().retain()).unwrap();
        let result = rig.store().reader().unwrap().result(task).unwrap();
        assert_eq!(usize::from(result.is_some()), kept);
        rig.keep(offer("2", &["2/a"]));
        rig.check_sound();
    }
}

#[test]
fn the_marks_of_a_disk_are_no_more_than_a_part_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let marks = DiskMarks::of(dir.path()).unwrap();
    assert!(marks.reserve <= 256 << 20 && marks.reserve < marks.low);
    assert!(marks.low <= 1 << 30);
}
