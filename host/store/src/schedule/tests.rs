use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const QUEUES: [&str; 2] = ["general", "openmp"];

fn task(seq: i64, queue: usize, priority: u8, due: Nanos) -> OpenTask {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seq.to_le_bytes());
    OpenTask {
        seq,
        id: TaskId(id),
        handler: Arc::new(HandlerRow {
            row: 1,
            plugin: "p".to_owned(),
            handler: "h".to_owned(),
            queue: QUEUES[queue].to_owned(),
            retries: 0,
            backoff_ms: 0,
            max_backoff_ms: 0,
            timeout_ms: 0,
        }),
        origin: Origin::Packet,
        priority,
        due,
        made: 0,
        deadline: None,
        packet: None,
        account: 1,
        attempts: 0,
        cpu: 0,
        journal: Tally::default(),
        pinned: None,
    }
}

#[derive(Clone, Debug)]
enum Act {
    Insert {
        queue: usize,
        priority: u8,
        delay: Nanos,
    },
    Lease {
        queue: usize,
    },
    End {
        which: usize,
    },
    PutBack {
        which: usize,
        delay: Nanos,
    },
    Advance {
        by: Nanos,
    },
    Promote,
}

fn act() -> impl Strategy<Value = Act> {
    let delay = 0..6_i64;
    prop_oneof![
        4 => (0..2_usize, 0..3_u8, delay.clone())
            .prop_map(|(queue, priority, delay)| Act::Insert { queue, priority, delay }),
        4 => (0..2_usize).prop_map(|queue| Act::Lease { queue }),
        1 => (0..8_usize).prop_map(|which| Act::End { which }),
        2 => (0..8_usize, delay).prop_map(|(which, delay)| Act::PutBack { which, delay }),
        2 => (0..4_i64).prop_map(|by| Act::Advance { by }),
        1 => Just(Act::Promote),
    ]
}

/// The schedule beside what it should hold, kept the slow way.
#[derive(Default)]
struct Model {
    schedule: Schedule,
    now: Nanos,
    last: i64,
    open: BTreeMap<i64, OpenTask>,
    leased: BTreeMap<u64, OpenTask>,
    tokens: Vec<u64>,
}

impl Model {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Insert {
                queue,
                priority,
                delay,
            } => {
                self.last += 1;
                let task = task(self.last, *queue, *priority, self.now + delay);
                self.insert(task);
            }
            Act::Lease { queue } => {
                self.lease(*queue);
            }
            Act::End { which } => {
                if let Some((lease, task)) = self.nth_lease(*which) {
                    assert_eq!(self.schedule.end(lease), Some(task));
                    assert!(self.schedule.end(lease).is_none());
                }
            }
            Act::PutBack { which, delay } => {
                if let Some((lease, mut task)) = self.nth_lease(*which) {
                    self.schedule.end(lease);
                    task.due = self.now + delay;
                    self.insert(task);
                }
            }
            Act::Advance { by } => self.now += by,
            Act::Promote => self
                .schedule
                .promote(self.now, |_, count| assert!(count > 0)),
        }
    }

    fn insert(&mut self, task: OpenTask) {
        let ready = self.schedule.insert(task.clone(), self.now);
        assert_eq!(ready, task.due <= self.now);
        self.open.insert(task.seq, task);
    }

    /// Leases, and checks that it is the one that it should be.
    fn lease(&mut self, queue: usize) -> bool {
        let name = QUEUES[queue];
        let due = self.open.values().filter(|task| task.handler.queue == name);
        let expected = due
            .filter(|task| task.due <= self.now)
            .min_by_key(|task| (task.priority, task.due, task.seq))
            .cloned();
        assert_eq!(self.schedule.is_ready(name, self.now), expected.is_some());
        let found = self.schedule.lease(name, self.now, 0);
        let found = found.map(|(lease, task)| (lease, task.clone()));
        assert_eq!(found.as_ref().map(|(_, task)| task), expected.as_ref());
        let Some((lease, task)) = found else {
            return false;
        };
        assert!(
            !self.tokens.contains(&lease),
            "a lease number is given once"
        );
        self.tokens.push(lease);
        self.open.remove(&task.seq);
        assert!(self.schedule.leased(lease, task.id).is_some());
        assert!(self.schedule.leased(lease, TaskId([0xff; 16])).is_none());
        self.leased.insert(lease, task);
        true
    }

    fn nth_lease(&mut self, which: usize) -> Option<(u64, OpenTask)> {
        let lease = *self.leased.keys().nth(which)?;
        self.leased.remove_entry(&lease)
    }

    fn check(&self) {
        let depths = QUEUES.map(|queue| self.schedule.depth(queue));
        let waiting: usize = depths.iter().map(|depth| depth.ready + depth.later).sum();
        let leased: usize = depths.iter().map(|depth| depth.leased).sum();
        assert_eq!(waiting, self.open.len());
        assert_eq!(leased, self.leased.len());
        assert_eq!(self.schedule.all_leased().count(), self.leased.len());
        if let Some(next) = self.schedule.next_due() {
            assert!(self.open.values().any(|task| task.due == next));
        }
    }
}

proptest! {
    #[test]
    fn each_task_is_leased_in_order_once_and_none_is_lost(
        acts in prop::collection::vec(act(), 0..200)
    ) {
        let mut model = Model::default();
        for act in &acts {
            model.act(act);
            model.check();
        }
        model.now += 1_000;
        for queue in 0..QUEUES.len() {
            while model.lease(queue) {}
        }
        prop_assert!(model.open.is_empty());
        prop_assert_eq!(model.schedule.next_due(), None);
    }
}

#[test]
fn a_queue_that_nobody_named_is_empty() {
    let mut schedule = Schedule::default();
    assert!(schedule.lease("none", 0, 0).is_none());
    assert_eq!(schedule.depth("none"), Depth::default());
    assert!(!schedule.is_ready("none", 0));
}
