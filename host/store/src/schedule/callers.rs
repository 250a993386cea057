//! Who waits for a called task: its caller, that one's caller, and so on.
//!
//! Tasks that were called together share the list. It may be ten thousand long.

use std::sync::Arc;

use crate::record::TaskId;

/// A task that waits for another, and who waits for it in turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    task: TaskId,
    outer: Option<Arc<Self>>,
}

impl Caller {
    pub(crate) fn new(task: TaskId, outer: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { task, outer })
    }

    /// Returns whether a task is it, or waits for it.
    pub(super) fn is_or_serves(&self, task: TaskId) -> bool {
        let mut next = Some(self);
        while let Some(caller) = next {
            if caller.task == task {
                return true;
            }
            next = caller.outer.as_deref();
        }
        false
    }
}

/// One after another: the compiler's own way goes down the list, as deep as it is long.
impl Drop for Caller {
    fn drop(&mut self) {
        let mut next = self.outer.take();
        while let Some(caller) = next {
            next = Arc::into_inner(caller).and_then(|mut last| last.outer.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, TaskId};

    #[test]
    fn a_list_of_a_hundred_thousand_callers_is_dropped_within_a_small_stack() {
        let id = |n: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            TaskId(id)
        };
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let thread = small.spawn(move || {
            let first = Caller::new(id(0), None);
            let last = (1..100_000).fold(first, |outer, n| Caller::new(id(n), Some(outer)));
            (last.is_or_serves(id(0)), last.is_or_serves(id(200_000)))
        });
        assert_eq!(thread.unwrap().join().unwrap(), (true, false));
    }
}
