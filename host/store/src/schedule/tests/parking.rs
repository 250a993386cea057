//! Tasks that wait: for a moment, and for those that they called.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const KEYS: [&str; 2] = ["a", "b"];

/// A task that `caller` called.
fn called(seq: i64, key: Option<&str>, caller: &OpenTask) -> OpenTask {
    OpenTask {
        turn: key.map(Arc::from),
        caller: Some(Caller::new(caller.id, caller.caller.clone())),
        ..task(seq, 0, 5, 0)
    }
}

/// Parks the task of a lease for ever.
fn park(schedule: &mut Schedule, lease: u64, now: Nanos) -> OpenTask {
    let (mut task, _) = schedule.release(lease, now).unwrap();
    task.due = Nanos::MAX;
    schedule.park(task.clone());
    task
}

#[test]
fn a_task_that_waits_for_another_goes_on_when_it_is_woken() {
    let mut schedule = with_tasks([task(1, 0, 5, 0)]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    park(&mut schedule, lease, 0);
    assert_eq!(next(&mut schedule, 1_000), None);
    assert_eq!(schedule.next_due(), None);
    assert_eq!((schedule.open(), schedule.depth("general").parked), (1, 1));
    assert_eq!(schedule.wake(1, 5).as_deref(), Some("general"));
    assert_eq!(schedule.wake(1, 5), None, "it was woken");
    assert_eq!(schedule.depth("general").parked, 0);
    assert_eq!(next(&mut schedule, 5).unwrap().1, 1);
}

#[test]
fn a_task_that_waits_for_another_is_due_at_its_deadline() {
    let mut schedule = with_tasks([task(1, 0, 5, 0)]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let (mut task, _) = schedule.release(lease, 0).unwrap();
    task.due = 10;
    schedule.park(task);
    assert_eq!(schedule.next_due(), Some(10));
    schedule.promote(9, |_, _| {});
    assert_eq!(next(&mut schedule, 9), None);
    schedule.promote(10, |_, _| {});
    assert_eq!(next(&mut schedule, 10).unwrap().1, 1);
}

#[test]
fn a_task_within_the_turn_of_its_caller_does_not_wait_for_it() {
    let mut schedule = with_tasks([of_key(1, "a"), of_key(2, "a")]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let caller = park(&mut schedule, lease, 0);
    schedule.insert(called(3, Some("a"), &caller), 0);
    let (within, seq) = next(&mut schedule, 0).unwrap();
    assert_eq!(seq, 3, "the other one stands in line for the whole turn");
    assert_eq!(next(&mut schedule, 0), None);
    schedule.end(within, 0);
    assert_eq!(next(&mut schedule, 0), None);
    schedule.wake(1, 0);
    let (lease, seq) = next(&mut schedule, 0).unwrap();
    assert_eq!(seq, 1);
    schedule.end(lease, 0);
    assert_eq!(next(&mut schedule, 0).unwrap().1, 2);
}

#[test]
fn tasks_within_one_turn_run_one_after_another() {
    let mut schedule = with_tasks([of_key(1, "a")]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let caller = park(&mut schedule, lease, 0);
    schedule.insert(called(2, Some("a"), &caller), 0);
    schedule.insert(called(3, Some("a"), &caller), 0);
    schedule.insert(called(4, None, &caller), 0);
    let (first, seq) = next(&mut schedule, 0).unwrap();
    assert_eq!(seq, 2);
    assert_eq!(next(&mut schedule, 0).unwrap().1, 4, "it has no key");
    assert_eq!(next(&mut schedule, 0), None);
    assert_eq!(schedule.end(first, 0).as_deref(), Some("general"));
    assert_eq!(next(&mut schedule, 0).unwrap().1, 3);
}

#[test]
fn who_is_taken_out_within_a_turn_lets_the_next_one_run() {
    let mut schedule = with_tasks([of_key(1, "a")]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let caller = park(&mut schedule, lease, 0);
    let three = [2, 3, 4].map(|seq| called(seq, Some("a"), &caller));
    for task in three.clone() {
        schedule.insert(task, 0);
    }
    let (first, _) = next(&mut schedule, 0).unwrap();
    assert_eq!(next(&mut schedule, 0), None);
    schedule.end(first, 0);
    let (seized, _) = schedule.seize(&three[1], 0);
    assert!(matches!(seized, Seized::Waited(_)), "it was let through");
    assert_eq!(next(&mut schedule, 0).unwrap().1, 4);
}

#[test]
fn who_is_paused_within_a_turn_stops_nobody_else_of_it() {
    let mut schedule = with_tasks([of_key(1, "a")]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let caller = park(&mut schedule, lease, 0);
    for seq in [2, 3, 4] {
        let mut task = called(seq, Some("a"), &caller);
        task.handler = handler_of(seq);
        schedule.insert(task, 0);
    }
    let (first, _) = next(&mut schedule, 0).unwrap();
    assert_eq!(next(&mut schedule, 0), None);
    schedule.pause(scope_of(3), None, 0);
    schedule.end(first, 0);
    assert_eq!(next(&mut schedule, 0).unwrap().1, 4);
}

/// A handler of its own for a task.
fn handler_of(seq: i64) -> Arc<HandlerRow> {
    let handler = task(1, 0, 5, 0).handler;
    Arc::new(HandlerRow {
        row: 100 + seq,
        handler: format!("h{seq}"),
        plugin: handler.plugin.clone(),
        queue: handler.queue.clone(),
        ..*handler
    })
}

fn scope_of(seq: i64) -> Scope {
    Scope::Handler {
        plugin: "p".to_owned(),
        handler: format!("h{seq}"),
    }
}

#[test]
fn a_turn_is_not_overtaken_while_a_task_that_was_called_within_it_runs() {
    let mut schedule = with_tasks([of_key(1, "a"), of_key(2, "a")]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let caller = park(&mut schedule, lease, 0);
    schedule.insert(called(3, Some("a"), &caller), 0);
    let (within, _) = next(&mut schedule, 0).unwrap();
    assert_eq!(next(&mut schedule, 0), None, "number 2 stands in line");
    let late = 2 * turns::HOLD;
    schedule.promote(late, |_, _| {});
    assert_eq!(next(&mut schedule, late), None);
    schedule.end(within, late);
    schedule.promote(late, |_, _| {});
    assert_eq!(next(&mut schedule, late).unwrap().1, 2);
}

#[test]
fn who_sleeps_holds_up_nobody_and_stands_in_line_again() {
    let mut schedule = with_tasks([of_key(1, "a"), of_key(2, "a")]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let mut sleeper = schedule
        .leased(lease, task(1, 0, 5, 0).id)
        .unwrap()
        .task
        .clone();
    assert_eq!(next(&mut schedule, 0), None, "number 2 stands in line");
    schedule.end(lease, 0);
    sleeper.due = 10;
    schedule.insert(sleeper, 0);
    let (second, seq) = next(&mut schedule, 0).unwrap();
    assert_eq!(seq, 2);
    assert_eq!(
        next(&mut schedule, 10),
        None,
        "it is due, and another has the turn"
    );
    schedule.end(second, 11);
    assert_eq!(next(&mut schedule, 11).unwrap().1, 1);
}

#[test]
fn nobody_runs_beside_a_called_task_whose_caller_was_ended() {
    let mut schedule = with_tasks([of_key(1, "a"), of_key(2, "a")]);
    let (lease, _) = next(&mut schedule, 0).unwrap();
    let caller = park(&mut schedule, lease, 0);
    schedule.insert(called(3, Some("a"), &caller), 0);
    let (within, _) = next(&mut schedule, 0).unwrap();
    assert!(matches!(
        schedule.seize(&caller, 0),
        (Seized::Waited(_), None)
    ));
    assert_eq!(next(&mut schedule, 0), None, "number 3 still runs");
    schedule.end(within, 0);
    assert_eq!(next(&mut schedule, 0).unwrap().1, 2);
}

#[derive(Clone, Debug)]
enum Act {
    New { key: usize, delay: Nanos },
    Lease,
    End { which: usize },
    Sleep { which: usize, delay: Nanos },
    Retry { which: usize, delay: Nanos },
    Call { which: usize, keys: Vec<usize> },
    Revoke { which: usize },
    Advance { by: Nanos },
}

fn act() -> impl Strategy<Value = Act> {
    let (key, which) = (0..=KEYS.len(), 0..6_usize);
    let delay = prop_oneof![3 => 0..6_i64, 1 => Just(2 * turns::HOLD)];
    prop_oneof![
        3 => (key.clone(), 0..3_i64).prop_map(|(key, delay)| Act::New { key, delay }),
        6 => Just(Act::Lease),
        2 => which.clone().prop_map(|which| Act::End { which }),
        2 => (which.clone(), delay.clone()).prop_map(|(which, delay)| Act::Sleep { which, delay }),
        1 => (which.clone(), delay.clone()).prop_map(|(which, delay)| Act::Retry { which, delay }),
        3 => (which.clone(), prop::collection::vec(key, 1..4))
            .prop_map(|(which, keys)| Act::Call { which, keys }),
        1 => which.prop_map(|which| Act::Revoke { which }),
        2 => delay.prop_map(|by| Act::Advance { by }),
    ]
}

/// A schedule and who waits for whom.
#[derive(Default)]
struct Callers {
    schedule: Schedule,
    now: Nanos,
    last: i64,
    open: BTreeMap<i64, OpenTask>,
    leased: BTreeMap<u64, OpenTask>,
    /// How many each waits for, and who called whom.
    waits: BTreeMap<i64, usize>,
    caller_of: BTreeMap<i64, i64>,
}

impl Callers {
    fn act(&mut self, act: &Act) {
        match act {
            Act::New { key, delay } => {
                self.last += 1;
                let turn = KEYS.get(*key).map(|key| Arc::from(*key));
                self.insert(OpenTask {
                    turn,
                    ..task(self.last, 0, 5, self.now + delay)
                });
            }
            Act::Lease => {
                self.lease();
            }
            Act::End { which } => {
                if let Some((lease, task)) = self.take(*which) {
                    self.schedule.end(lease, self.now);
                    self.ended(&task);
                }
            }
            Act::Sleep { which, delay } => {
                if let Some((lease, mut task)) = self.take(*which) {
                    self.schedule.end(lease, self.now);
                    task.due = self.now + delay;
                    self.insert(task);
                }
            }
            Act::Retry { which, delay } => {
                if let Some((lease, mut task)) = self.take(*which) {
                    self.schedule.release(lease, self.now);
                    task.due = self.now + delay;
                    self.insert(task);
                }
            }
            Act::Call { which, keys } => {
                if let Some((lease, task)) = self.take(*which) {
                    self.call(lease, &task, keys);
                }
            }
            Act::Revoke { which } => self.revoke(*which),
            Act::Advance { by } => self.now += by,
        }
        self.schedule.promote(self.now, |_, _| {});
    }

    fn insert(&mut self, task: OpenTask) {
        self.open.insert(task.seq, task.clone());
        self.schedule.insert(task, self.now);
    }

    fn call(&mut self, lease: u64, caller: &OpenTask, keys: &[usize]) {
        for key in keys {
            self.last += 1;
            let mut task = called(self.last, KEYS.get(*key).copied(), caller);
            task.due = self.now;
            self.caller_of.insert(task.seq, caller.seq);
            self.insert(task);
        }
        self.waits.insert(caller.seq, keys.len());
        park(&mut self.schedule, lease, self.now);
    }

    /// Takes out a task that waits, and all that it called; those that run end by themselves.
    fn revoke(&mut self, which: usize) {
        let Some(first) = self.open.values().nth(which).cloned() else {
            return;
        };
        if self.leased.values().any(|task| task.seq == first.seq) {
            return;
        }
        let mut gone = vec![first.seq];
        while let Some(seq) = gone.pop() {
            let task = self.open[&seq].clone();
            if self.leased.values().any(|leased| leased.seq == seq) {
                continue;
            }
            let (seized, _) = self.schedule.seize(&task, self.now);
            assert!(matches!(seized, Seized::Waited(_)), "{task:?}");
            let called = self.caller_of.iter().filter(|(_, caller)| **caller == seq);
            gone.extend(called.map(|(called, _)| *called));
            self.caller_of.retain(|_, caller| *caller != seq);
            self.waits.remove(&seq);
            self.ended(&task);
        }
    }

    fn ended(&mut self, task: &OpenTask) {
        self.open.remove(&task.seq);
        let Some(caller) = self.caller_of.remove(&task.seq) else {
            return;
        };
        let left = self.waits.get_mut(&caller).unwrap();
        *left -= 1;
        if *left == 0 {
            self.waits.remove(&caller);
            self.schedule.wake(caller, self.now);
        }
    }

    /// Leases the next; two of a key are never leased together.
    fn lease(&mut self) -> bool {
        let Some((lease, leased)) = self.schedule.lease("general", self.now, 0) else {
            return false;
        };
        let task = leased.task.clone();
        if let Some(key) = &task.turn {
            let mut others = self.leased.values();
            let other = others.find(|other| other.turn.as_ref() == Some(key));
            assert!(other.is_none(), "{task:?} runs beside {other:?}");
        }
        assert!(!self.waits.contains_key(&task.seq), "{task:?} waits");
        self.leased.insert(lease, task);
        true
    }

    fn take(&mut self, which: usize) -> Option<(u64, OpenTask)> {
        let lease = *self.leased.keys().nth(which)?;
        self.leased.remove_entry(&lease)
    }

    /// Lets every task end.
    fn finish(&mut self) {
        let mut idle = 0;
        while !self.open.is_empty() {
            while self.lease() {}
            idle = if self.leased.is_empty() { idle + 1 } else { 0 };
            assert!(idle < 200, "these wait for ever: {:?}", self.open.keys());
            while let Some((lease, task)) = self.take(0) {
                self.schedule.end(lease, self.now);
                self.ended(&task);
            }
            self.now += turns::HOLD / 2;
            self.schedule.promote(self.now, |_, _| {});
        }
        assert_eq!((self.schedule.open(), self.schedule.next_due()), (0, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn two_of_a_key_never_run_together_and_nobody_waits_for_ever(
        acts in prop::collection::vec(act(), 0..120)
    ) {
        let mut callers = Callers::default();
        for act in &acts {
            callers.act(act);
            prop_assert_eq!(callers.schedule.open(), callers.open.len());
        }
        callers.finish();
    }
}
