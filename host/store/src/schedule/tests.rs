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
        turn: None,
        due,
        made: 0,
        deadline: None,
        packet: None,
        root: 0,
        account: 1,
        attempts: 0,
        cpu: 0,
        journal: Tally::default(),
        pinned: None,
        is_asked: false,
        caller: None,
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
                    assert!(self.schedule.leased(lease, task.id).is_some());
                    self.schedule.end(lease, self.now);
                    assert!(self.schedule.leased(lease, task.id).is_none());
                }
            }
            Act::PutBack { which, delay } => {
                if let Some((lease, mut task)) = self.nth_lease(*which) {
                    self.schedule.release(lease, self.now);
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
        let found = found.map(|(lease, leased)| (lease, leased.task.clone()));
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

/// Task `seq` of queue `general`, in the turn of `key`.
fn of_key(seq: i64, key: &str) -> OpenTask {
    OpenTask {
        turn: Some(Arc::from(key)),
        ..task(seq, 0, 5, 0)
    }
}

/// Leases the next of queue `general`; answers lease and number.
fn next(schedule: &mut Schedule, now: Nanos) -> Option<(u64, i64)> {
    schedule
        .lease("general", now, 0)
        .map(|(lease, leased)| (lease, leased.task.seq))
}

fn with_tasks(tasks: impl IntoIterator<Item = OpenTask>) -> Schedule {
    let mut schedule = Schedule::default();
    for task in tasks {
        schedule.insert(task, 0);
    }
    schedule
}

#[test]
fn tasks_of_one_key_run_one_after_another_and_other_keys_beside_them() {
    let mut schedule = with_tasks([of_key(1, "a"), of_key(2, "a"), of_key(3, "b")]);
    let (first, seq) = next(&mut schedule, 0).unwrap();
    assert_eq!(seq, 1);
    assert_eq!(
        next(&mut schedule, 0).unwrap().1,
        3,
        "another key runs beside"
    );
    assert_eq!(next(&mut schedule, 0), None, "the second of the key waits");
    assert_eq!(schedule.turns.waiting(), 1);
    assert_eq!(schedule.end(first, 1), Some("general".to_owned()));
    assert_eq!(next(&mut schedule, 1).unwrap().1, 2);
}

#[test]
fn a_retry_is_within_the_turn() {
    let mut schedule = with_tasks([of_key(1, "a"), of_key(2, "a")]);
    let (first, _) = next(&mut schedule, 0).unwrap();
    let (mut task, _) = schedule.release(first, 0).unwrap();
    task.due = 10;
    schedule.insert(task, 1);
    assert_eq!(
        next(&mut schedule, 1),
        None,
        "the second waits for the retry"
    );
    assert_eq!(next(&mut schedule, 10).unwrap().1, 1);
}

#[test]
fn a_turn_is_overtaken_after_its_hold_and_not_while_it_runs() {
    let mut schedule = with_tasks([of_key(1, "a"), of_key(2, "a")]);
    let (first, _) = next(&mut schedule, 0).unwrap();
    assert_eq!(next(&mut schedule, 0), None);
    schedule.promote(2 * turns::HOLD, |_, _| ());
    assert_eq!(
        next(&mut schedule, 2 * turns::HOLD),
        None,
        "the first still runs"
    );

    let (mut task, _) = schedule.release(first, 0).unwrap();
    task.due = 3 * turns::HOLD;
    schedule.insert(task, 2 * turns::HOLD);
    assert_eq!(schedule.next_due(), Some(turns::HOLD), "the hold is over");
    schedule.promote(2 * turns::HOLD, |_, _| ());
    let (second, seq) = next(&mut schedule, 2 * turns::HOLD).unwrap();
    assert_eq!(seq, 2);

    assert_eq!(
        next(&mut schedule, 3 * turns::HOLD),
        None,
        "the first stands in line again"
    );
    schedule.end(second, 3 * turns::HOLD);
    assert_eq!(next(&mut schedule, 3 * turns::HOLD).unwrap().1, 1);
}

#[test]
fn those_who_wait_come_by_priority_and_then_by_age() {
    let urgent = OpenTask {
        priority: 0,
        ..of_key(4, "a")
    };
    let mut schedule = with_tasks([of_key(1, "a")]);
    let (first, _) = next(&mut schedule, 0).unwrap();
    for task in [of_key(2, "a"), of_key(3, "a"), urgent] {
        schedule.insert(task, 0);
    }
    assert_eq!(next(&mut schedule, 0), None);
    let mut order = Vec::new();
    let mut lease = first;
    loop {
        schedule.end(lease, 1);
        let Some((next, seq)) = next(&mut schedule, 1) else {
            break;
        };
        order.push(seq);
        lease = next;
    }
    assert_eq!(order, [4, 2, 3]);
}

proptest! {
    #[test]
    fn two_tasks_of_a_key_are_never_leased_at_once_and_all_end(
        keys in prop::collection::vec(0..3_u8, 1..40),
        choices in prop::collection::vec((any::<bool>(), 0..8_usize), 0..400),
    ) {
        let tasks = (1..).zip(&keys).map(|(seq, key)| of_key(seq, &key.to_string()));
        let mut schedule = with_tasks(tasks);
        let mut leased: Vec<(u64, i64)> = Vec::new();
        let mut now = 0;
        let mut ended = 0;
        let mut choices = choices.into_iter();
        while ended < keys.len() {
            now += turns::HOLD / 3;
            schedule.promote(now, |_, _| ());
            // When the choices are used up, everything is leased and ended in order.
            let (lease_first, which) = choices.next().unwrap_or((leased.is_empty(), 0));
            if lease_first {
                leased.extend(next(&mut schedule, now));
            } else if !leased.is_empty() {
                let (lease, _) = leased.remove(which % leased.len());
                if which % 3 == 0 {
                    schedule.end(lease, now);
                    ended += 1;
                } else {
                    let (task, _) = schedule.release(lease, now).unwrap();
                    schedule.insert(task, now);
                }
            }
            let mut running: Vec<u8> =
                leased.iter().map(|(_, seq)| keys[usize::try_from(*seq).unwrap() - 1]).collect();
            running.sort_unstable();
            let before = running.len();
            running.dedup();
            prop_assert_eq!(running.len(), before, "two tasks of a key at once");
        }
        prop_assert_eq!(schedule.turns.waiting(), 0);
    }
}

#[test]
fn tasks_of_a_held_plugin_wait_until_it_is_held_no_more() {
    let mut schedule = with_tasks([task(1, 0, 5, 0), task(2, 0, 5, 0)]);
    let held = BTreeSet::from(["p".to_owned()]);
    assert!(schedule.hold(held, 0).is_empty());
    assert_eq!(next(&mut schedule, 0), None);
    let queues = schedule.hold(BTreeSet::new(), 1);
    assert_eq!(queues, ["general"]);
    assert_eq!(next(&mut schedule, 1).unwrap().1, 1);
    assert_eq!(next(&mut schedule, 1).unwrap().1, 2);
}

#[test]
fn a_task_that_began_before_a_restart_has_its_turn_again() {
    let mut schedule = Schedule::default();
    let given_back = OpenTask {
        due: 5,
        ..of_key(1, "a")
    };
    schedule.go_on_with_turn(&given_back, 0);
    schedule.insert(given_back, 0);
    schedule.insert(of_key(2, "a"), 0);
    assert_eq!(next(&mut schedule, 0), None, "the second was made later");
    assert_eq!(next(&mut schedule, 5).unwrap().1, 1);
}

/// A task of handler `row`.
fn of_handler(row: i64, task: OpenTask) -> OpenTask {
    let mut handler = HandlerRow {
        row,
        handler: format!("h{row}"),
        plugin: "p".to_owned(),
        ..bare_row()
    };
    handler.queue.clone_from(&task.handler.queue);
    OpenTask {
        handler: Arc::new(handler),
        ..task
    }
}

fn bare_row() -> HandlerRow {
    let task = task(0, 0, 0, 0);
    Arc::into_inner(task.handler).unwrap()
}

fn handler(row: i64) -> Scope {
    Scope::Handler {
        plugin: "p".to_owned(),
        handler: format!("h{row}"),
    }
}

#[test]
fn what_is_paused_is_not_looked_at_however_much_of_it_stands_in_front() {
    let in_front = (1..=100_000).map(|seq| of_handler(1, task(seq, 0, 0, 0)));
    let mut schedule = with_tasks(in_front);
    schedule.insert(of_handler(2, task(100_001, 0, 9, 0)), 0);
    schedule.pause(handler(1), None, 0);
    assert_eq!(next(&mut schedule, 0).unwrap().1, 100_001);
    assert!(!schedule.is_ready("general", 0));
    let depth = schedule.depth("general");
    assert_eq!((depth.ready, depth.paused), (0, 100_000));
    // What is stopped stays where it is: no task was moved.
    assert_eq!(schedule.open(), 100_001);
    assert_eq!(schedule.unpause(&handler(1), 0), ["general"]);
    assert_eq!(next(&mut schedule, 0).unwrap().1, 1);
}

#[test]
fn who_is_paused_is_passed_over_in_its_turn() {
    let keyed = |row, seq| of_handler(row, of_key(seq, "a"));
    let mut schedule = with_tasks([keyed(1, 1), keyed(2, 2), keyed(1, 3), keyed(2, 4)]);
    let (first, _) = next(&mut schedule, 0).unwrap();
    assert_eq!(next(&mut schedule, 0), None, "the others wait");
    schedule.pause(handler(2), None, 0);
    schedule.end(first, 1);
    let (third, seq) = next(&mut schedule, 1).unwrap();
    assert_eq!(seq, 3, "the second is paused, and keeps nobody waiting");
    schedule.unpause(&handler(2), 1);
    assert_eq!(next(&mut schedule, 1), None, "one at a time");
    schedule.end(third, 2);
    assert_eq!(next(&mut schedule, 2).unwrap().1, 2);
}

#[test]
fn who_is_paused_after_it_was_let_through_gives_its_turn_to_the_next() {
    let keyed = |row, seq| of_handler(row, of_key(seq, "a"));
    let mut schedule = with_tasks([keyed(1, 1), keyed(2, 2), keyed(1, 3)]);
    let (first, _) = next(&mut schedule, 0).unwrap();
    assert_eq!(next(&mut schedule, 0), None);
    schedule.end(first, 1);
    assert_eq!(schedule.pause(handler(2), None, 1), ["general"]);
    assert_eq!(next(&mut schedule, 1).unwrap().1, 3);
}

mod parking;
