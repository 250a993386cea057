use super::*;

fn work(threads: usize) -> Work<'static> {
    Work {
        threads: NonZeroUsize::new(threads).expect("positive"),
        ..Work::default()
    }
}

#[test]
fn results_come_in_the_order_of_the_blocks() {
    for threads in [1, 2, 7] {
        let squares = work(threads).run(100, || 0, |_, k| k * k);
        assert_eq!(squares, Ok((0..100).map(|k| k * k).collect()));
    }
}

#[test]
fn no_block_begins_after_a_cancel() {
    let work = work(2);
    let begun = AtomicUsize::new(0);
    let outcome = work.run(
        1_000_000,
        || (),
        |(), _| {
            work.cancel.cancel();
            begun.fetch_add(1, Ordering::Relaxed);
        },
    );
    assert_eq!(outcome, Err(Cancelled));
    assert!(begun.load(Ordering::Relaxed) <= 2);
}

#[test]
fn more_memory_than_allowed_is_refused_before_it_is_taken() {
    let work = Work {
        max_bytes: 1_000,
        ..Work::default()
    };
    assert_eq!(work.check_memory(1_000), Ok(()));
    assert_eq!(
        work.check_memory(1_001),
        Err(OutOfMemory {
            needed: 1_001,
            allowed: 1_000
        })
    );
}

#[test]
fn an_impossible_allocation_is_an_error() {
    assert!(filled(usize::MAX / 16, 0.0_f64).is_err());
    assert_eq!(filled(3, 1_u8), Ok(vec![1, 1, 1]));
}
