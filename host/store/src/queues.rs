//! The schedule shared by workers and writer, and the bells that wake waiting workers.
//!
//! Each task that becomes ready rings its queue's bell once, which ends one wait: many workers
//! of one queue are not woken for one task. A timer thread rings for tasks that become due.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::StoreError;
use crate::options::Clock;
use crate::pause::Scope;
use crate::record::{Failure, Nanos, TaskId};
use crate::schedule::{Leased, OpenTask, Schedule, Seized};
use crate::view::{Depth, Running};

/// The timer looks at the clock at least so often while a task is due later, so that a step of
/// the clock is seen.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The timer looks at the clock at least so often.
const IDLE_WAIT: Duration = Duration::from_secs(60);

/// What a group commit changes in the schedule, once it is on disk.
#[derive(Debug)]
pub(crate) enum Change {
    /// A task was made.
    Made(OpenTask),
    /// A task was open when the store was opened; it may have begun before, and may wait for
    /// those that it called.
    Recovered {
        task: OpenTask,
        has_begun: bool,
        is_parked: bool,
    },
    /// A leased task goes on.
    Noted { lease: u64, task: OpenTask },
    /// A leased task goes back.
    Returned { lease: u64, task: OpenTask },
    /// A leased task sleeps.
    Sleeps { lease: u64, task: OpenTask },
    /// A leased task waits for those that it called.
    Parked { lease: u64, task: OpenTask },
    /// What the task of this number waited for has ended.
    Woken(i64),
    /// A leased task ended.
    Ended { lease: u64 },
    /// Something is paused until a moment, or until somebody ends it.
    Paused { scope: Scope, until: Option<Nanos> },
    /// A pause was ended.
    Unpaused(Scope),
    /// A task that waits goes, if it is here.
    Removed(OpenTask),
    /// The worker of a lease is asked to end its task.
    ToRevoke { lease: u64, reason: Failure },
}

#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    /// Queues whose tasks all take turns.
    serial: BTreeSet<String>,
    bells: BTreeMap<String, Arc<Notify>>,
    /// The moment that the timer waits for.
    timer: Option<Nanos>,
    /// Why nothing is leased any more.
    stopped: Option<StoreError>,
    /// The timer is to end.
    ended: bool,
}

impl State {
    fn bell(&mut self, queue: &str) -> Arc<Notify> {
        if let Some(bell) = self.bells.get(queue) {
            return Arc::clone(bell);
        }
        let bell = Arc::new(Notify::new());
        self.bells.insert(queue.to_owned(), Arc::clone(&bell));
        bell
    }

    /// In a serial queue all tasks have one turn.
    fn with_turn(&self, mut task: OpenTask) -> OpenTask {
        if self.serial.contains(&task.handler.queue) {
            task.turn = Some(Arc::from(format!("queue {}", task.handler.queue)));
        }
        task
    }

    fn insert(&mut self, task: OpenTask, now: Nanos) {
        let task = self.with_turn(task);
        let handler = Arc::clone(&task.handler);
        if self.schedule.insert(task, now)
            && let Some(bell) = self.bells.get(&handler.queue)
        {
            bell.notify_one();
        }
    }

    fn apply(&mut self, change: Change, now: Nanos) {
        match change {
            Change::Made(task) => self.insert(task, now),
            Change::Recovered {
                task,
                has_begun,
                is_parked,
            } => {
                let task = self.with_turn(task);
                if has_begun {
                    self.schedule.go_on_with_turn(&task, now);
                }
                if is_parked {
                    self.schedule.park(task);
                } else {
                    self.insert(task, now);
                }
            }
            Change::Noted { lease, task } => self.schedule.note(lease, task),
            Change::Returned { lease, task } => {
                self.release(lease, now);
                self.insert(task, now);
            }
            Change::Sleeps { lease, task } => {
                let next = self.schedule.end(lease, now);
                self.ring(next);
                self.insert(task, now);
            }
            Change::Parked { lease, task } => {
                self.release(lease, now);
                let task = self.with_turn(task);
                self.schedule.park(task);
            }
            Change::Woken(task) => {
                let queue = self.schedule.wake(task, now);
                self.ring(queue);
            }
            Change::Ended { lease } => {
                let next = self.schedule.end(lease, now);
                self.ring(next);
            }
            Change::Paused { scope, until } => {
                let queues = self.schedule.pause(scope, until, now);
                self.wake(&queues);
            }
            Change::Removed(task) => {
                self.seize(task, now);
            }
            Change::ToRevoke { lease, reason } => self.schedule.ask_to_revoke(lease, reason),
            Change::Unpaused(scope) => {
                let queues = self.schedule.unpause(&scope, now);
                self.wake(&queues);
            }
        }
    }

    /// Ends a lease whose task goes on.
    fn release(&mut self, lease: u64, now: Nanos) -> Option<OpenTask> {
        let (task, next) = self.schedule.release(lease, now)?;
        self.ring(next);
        Some(task)
    }

    /// Wakes one who waits for a queue that has one more task.
    fn ring(&mut self, queue: Option<String>) {
        if let Some(queue) = queue {
            self.bell(&queue).notify_one();
        }
    }

    /// Takes a task out that waits.
    fn seize(&mut self, task: OpenTask, now: Nanos) -> Seized {
        let task = self.with_turn(task);
        let (seized, next) = self.schedule.seize(&task, now);
        self.ring(next);
        seized
    }

    /// Wakes all who wait for these queues.
    fn wake(&self, queues: &[String]) {
        for bell in queues.iter().filter_map(|queue| self.bells.get(queue)) {
            bell.notify_waiters();
        }
    }

    /// Ends the pauses that are over.
    fn end_pauses(&mut self, now: Nanos) {
        let queues = self.schedule.end_pauses(now);
        self.wake(&queues);
    }
}

/// The queues of a store.
#[derive(Debug)]
pub(crate) struct Queues {
    state: Mutex<State>,
    alarm: Condvar,
    clock: Arc<dyn Clock>,
}

impl Queues {
    pub(crate) fn new(clock: Arc<dyn Clock>, serial: BTreeSet<String>) -> Self {
        let state = State {
            serial,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            alarm: Condvar::new(),
            clock,
        }
    }

    /// Has tasks of `serial` queues that are made from now on take turns.
    pub(crate) fn serve_serially(&self, serial: BTreeSet<String>) {
        self.state().serial = serial;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds tasks and applies changes.
    pub(crate) fn publish(&self, changes: impl IntoIterator<Item = Change>) {
        let now = self.clock.now();
        let mut state = self.state();
        for change in changes {
            state.apply(change, now);
        }
        self.set_timer(&state);
    }

    /// Wakes the timer if a task is due before what it waits for.
    fn set_timer(&self, state: &State) {
        let Some(due) = state.schedule.next_due() else {
            return;
        };
        if state.timer.is_none_or(|timer| due < timer) {
            self.alarm.notify_one();
        }
    }

    /// Leases the next task of a queue.
    pub(crate) fn lease(
        &self,
        queue: &str,
        worker: u32,
    ) -> Result<Option<(u64, Leased)>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some(error) = &state.stopped {
            return Err(error.clone());
        }
        state.end_pauses(now);
        let next = state.schedule.lease(queue, now, worker);
        Ok(next.map(|(lease, leased)| (lease, leased.clone())))
    }

    /// Leases no task of `plugins` from now on, and again those of all others.
    pub(crate) fn hold(&self, plugins: BTreeSet<String>) {
        let now = self.clock.now();
        let mut state = self.state();
        let queues = state.schedule.hold(plugins, now);
        state.wake(&queues);
    }

    /// Takes a task out that waits, so that no worker leases it.
    pub(crate) fn seize(&self, task: &OpenTask) -> Seized {
        let now = self.clock.now();
        self.state().seize(task.clone(), now)
    }

    /// Takes a task out that waits, as [`Queues::seize`] does; its turn goes on.
    pub(crate) fn borrow(&self, task: &OpenTask) -> Seized {
        let mut state = self.state();
        let task = state.with_turn(task.clone());
        state.schedule.take(&task)
    }

    /// Puts a leased task back, not before `due`.
    pub(crate) fn put_back(&self, lease: u64, delay: Duration) {
        let delay = Nanos::try_from(delay.as_nanos()).unwrap_or(Nanos::MAX);
        let due = self.clock.now().saturating_add(delay);
        let mut state = self.state();
        if let Some(mut task) = state.release(lease, self.clock.now()) {
            task.due = task.due.max(due);
            state.insert(task, self.clock.now());
        }
        self.set_timer(&state);
    }

    /// Returns what a lease holds, if it lives and is of this task.
    pub(crate) fn leased(&self, lease: u64, task: TaskId) -> Option<Leased> {
        self.state().schedule.leased(lease, task).cloned()
    }

    /// Waits until a queue may have a task that is due, or the store is closed.
    pub(crate) async fn wait(&self, queue: &str) {
        let bell = self.state().bell(queue);
        let mut rung = pin!(bell.notified());
        rung.as_mut().enable();
        if self.has_news(queue) {
            return;
        }
        rung.await;
    }

    fn has_news(&self, queue: &str) -> bool {
        let now = self.clock.now();
        let state = self.state();
        state.stopped.is_some() || state.schedule.is_ready(queue, now)
    }

    /// Lists what is leased, in the order of leasing.
    pub(crate) fn running(&self) -> Vec<Running> {
        let state = self.state();
        let leased = state.schedule.all_leased();
        leased
            .map(|leased| Running {
                task: leased.task.id,
                plugin: leased.task.handler.plugin.clone(),
                handler: leased.task.handler.handler.clone(),
                queue: leased.task.handler.queue.clone(),
                attempt: leased.task.attempts.saturating_add(1),
                worker: leased.worker,
                since: leased.since,
            })
            .collect()
    }

    /// Names the queues that had a task since the store was opened.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.state().schedule.queues()
    }

    pub(crate) fn open_tasks(&self) -> usize {
        self.state().schedule.open()
    }

    pub(crate) fn depth(&self, queue: &str) -> Depth {
        self.state().schedule.depth(queue)
    }

    /// Leases nothing any more, and ends all waits.
    pub(crate) fn refuse(&self, error: StoreError) {
        let mut state = self.state();
        state.stopped.get_or_insert(error);
        for bell in state.bells.values() {
            bell.notify_waiters();
        }
    }

    /// Leases nothing any more, ends all waits and the timer.
    pub(crate) fn stop(&self) {
        self.refuse(StoreError::Closed);
        self.state().ended = true;
        self.alarm.notify_all();
    }

    /// Rings for tasks that become due, until [`Queues::stop`]; calls `tick`, which must not
    /// block, at least every [`IDLE_WAIT`].
    pub(crate) fn run_timer(&self, mut tick: impl FnMut()) {
        let mut state = self.state();
        while !state.ended {
            let now = self.clock.now();
            tick();
            state.end_pauses(now);
            let State {
                schedule, bells, ..
            } = &mut *state;
            schedule.promote(now, |queue, count| {
                if let Some(bell) = bells.get(queue) {
                    (0..count).for_each(|_| bell.notify_one());
                }
            });
            state.timer = state.schedule.next_due();
            state = self.sleep(state, now);
        }
    }

    fn sleep<'a>(&'a self, state: MutexGuard<'a, State>, now: Nanos) -> MutexGuard<'a, State> {
        let delay = state.timer.map_or(IDLE_WAIT, |due| {
            let delay = u64::try_from(due.saturating_sub(now)).unwrap_or(0);
            Duration::from_nanos(delay).min(LONGEST_WAIT)
        });
        let (state, _) = self
            .alarm
            .wait_timeout(state, delay)
            .unwrap_or_else(PoisonError::into_inner);
        state
    }
}
