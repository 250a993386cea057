//! Random programs of tasks that sleep, call, fail and are revoked, in a store that crashes at any
//! commit: none waits for ever, none goes on before what it called has ended, and the books balance.

use std::collections::BTreeMap;

use gwasp_store::{
    Commit, JournalEntry, Lease, NewTask, Origin, State, Step, TaskAction, TaskEnd, TaskFilter,
    TaskId, Wait,
};

use crate::common::{
    QUEUE, Random, Rig, SECOND, commit, failure, number, offer, record, success, task, task_id,
    wait,
};

/// Steps of one program, and tasks of one packet.
const STEPS: usize = 60;
const ROOTS: usize = 4;

struct Program {
    rig: Rig,
    random: Random,
    leases: Vec<Lease>,
    /// Tasks that each called last, and how often it called.
    called: BTreeMap<TaskId, Vec<TaskId>>,
    calls: BTreeMap<TaskId, usize>,
    crashes: u32,
}

impl Program {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let is_serial = random.below(2) == 0;
        let rig = Rig::with(|options| {
            if is_serial {
                options.serial.insert(QUEUE.to_owned());
            }
        });
        let names: Vec<String> = (0..ROOTS).map(|root| format!("1/{root}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        rig.keep(offer("1", &names));
        Self {
            rig,
            random,
            leases: Vec::new(),
            called: BTreeMap::new(),
            calls: BTreeMap::new(),
            crashes: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 => self.crash(),
            1 => self.rig.clock.advance(SECOND),
            2 => self.revoke(),
            3..6 => {
                self.lease();
            }
            _ => self.end_one(),
        }
    }

    fn crash(&mut self) {
        self.leases.clear();
        self.rig.crash();
        self.crashes += 1;
    }

    /// Leases the next; what it called has ended.
    fn lease(&mut self) -> bool {
        let Some(lease) = self.rig.try_lease() else {
            return false;
        };
        if let Some(called) = self.called.get(&lease.task) {
            let ends = self.rig.store().ends(called).unwrap();
            assert!(
                ends.iter()
                    .all(|end| !matches!(end, None | Some(TaskEnd::Open))),
                "{:?} goes on before {ends:?}",
                lease.task
            );
        }
        self.leases.push(lease);
        true
    }

    fn revoke(&mut self) {
        let tasks = self.rig.store().reader().unwrap();
        let tasks = tasks.tasks(&TaskFilter::default()).unwrap();
        let which = self.random.below(tasks.len());
        let id = vec![tasks[which].id];
        wait(self.rig.store().act(id, TaskAction::Revoke, "alice")).unwrap();
    }

    fn end_one(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let which = self.random.below(self.leases.len());
        let lease = self.leases.swap_remove(which);
        let commit = match self.random.below(8) {
            0 => self.sleep(&lease),
            1 | 2 => self.call(&lease),
            3 => commit(
                &lease,
                Step::Fail {
                    failure: failure("no"),
                },
            ),
            4 => commit(&lease, Step::GiveBack { due: 0 }),
            5 => commit(
                &lease,
                Step::Retry {
                    due: 0,
                    failure: failure("busy"),
                    keep: 0,
                },
            ),
            _ => success(&lease),
        };
        let task = commit.task;
        self.rig.commit(commit);
        // Somebody had revoked it: then it called nobody.
        let reader = self.rig.store().reader().unwrap();
        if reader.task_by_id(task).unwrap().unwrap().task.state == State::Revoked {
            self.called.remove(&task);
        }
    }

    fn sleep(&mut self, lease: &Lease) -> Commit {
        let seconds = i64::try_from(self.random.below(3)).unwrap();
        let until = lease.made + seconds * SECOND;
        let mut park = commit(
            lease,
            Step::Park {
                on: Wait::Until(until),
            },
        );
        park.journal = vec![JournalEntry {
            seq: 0,
            bytes: "sleep".into(),
        }];
        park
    }

    /// Calls new tasks, and perhaps those that it called before.
    fn call(&mut self, lease: &Lease) -> Commit {
        let calls = self.calls.entry(lease.task).or_default();
        if self.random.below(2) == 0 {
            *calls += 1;
        }
        let (calls, number) = (*calls, 1 + self.random.below(3));
        let names = (0..number).map(|n| format!("{}/{calls}/{n}", lease.task));
        let spawns: Vec<NewTask> = names
            .map(|name| NewTask {
                origin: Origin::Call,
                parent: Some(lease.task),
                args: Some("[]".into()),
                ..task(&name)
            })
            .collect();
        let ids = spawns.iter().map(|task| task.id).collect();
        self.called.insert(lease.task, ids);
        Commit {
            spawns,
            ..commit(lease, Step::Park { on: Wait::Called })
        }
    }

    /// Lets everything end, and looks whether it did.
    fn finish(mut self) -> u32 {
        // What was to be revoked when the store was opened is revoked before this is answered.
        let nobody = vec![task_id("nobody")];
        wait(self.rig.store().act(nobody, TaskAction::Revoke, "alice")).unwrap();
        let mut idle = 0;
        while self.rig.store().open_tasks() > 0 {
            let leased = self.lease();
            idle = if leased || !self.leases.is_empty() {
                0
            } else {
                idle + 1
            };
            assert!(idle < 400, "these wait for ever: {:?}", self.open());
            for lease in std::mem::take(&mut self.leases) {
                self.rig.commit(success(&lease));
            }
            self.rig.clock.advance(SECOND);
        }
        self.rig.check_sound();
        let reader = self.rig.store().reader().unwrap();
        for (caller, called) in &self.called {
            let state = reader.task_by_id(*caller).unwrap().unwrap().task.state;
            for end in self.rig.store().ends(called).unwrap() {
                assert!(!matches!(end, Some(TaskEnd::Open)), "{caller}: {state:?}");
            }
        }
        self.crashes
    }

    fn open(&self) -> Vec<(TaskId, State)> {
        let reader = self.rig.store().reader().unwrap();
        let tasks = reader.tasks(&TaskFilter::default()).unwrap();
        let tasks = tasks.into_iter().map(|task| (task.id, task.state));
        tasks
            .filter(|(_, state)| matches!(state, State::Pending | State::Retry | State::Parked))
            .collect()
    }
}

#[test]
fn whatever_happens_to_tasks_that_wait_they_go_on_once_and_end() {
    let (seeds, first) = (number("GWASP_SEEDS", 40), number("GWASP_SEED", 0));
    let mut crashes = 0;
    for seed in first..first + seeds {
        let ran = std::panic::catch_unwind(|| {
            let mut program = Program::new(seed);
            for _ in 0..STEPS {
                program.step();
            }
            program.finish()
        });
        crashes += ran.unwrap_or_else(|_| panic!("GWASP_SEED={seed} GWASP_SEEDS=1 repeats it"));
    }
    record(&format!(
        r#"{{"what": "tasks that wait", "seeds": {seeds}, "faults": {crashes}, "lost": 0}}"#
    ));
}
