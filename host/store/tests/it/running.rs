//! Tasks: leasing, fencing, outcomes, journals, values.

use std::time::Duration;

use bytes::Bytes;
use gwasp_store::{
    Commit, Input, JournalEntry, KvWrite, Lease, MAX_JOURNAL_ENTRIES, Options, Origin, Reader,
    State, Step, Store, StoreError, Submission, TaskFilter, TaskFound, TaskId,
};

use crate::common::{
    QUEUE, Rig, SECOND, START, commit, failure, offer, packet, success, task, task_id, wait,
};

fn state_of(rig: &Rig, name: &str) -> State {
    let reader = rig.store().reader().unwrap();
    reader
        .task_by_id(task_id(name))
        .unwrap()
        .unwrap()
        .task
        .state
}

fn entry(seq: u32, text: &str) -> JournalEntry {
    JournalEntry {
        seq,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

#[test]
fn a_leased_task_has_its_packet_and_ends_once() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    assert_eq!(lease.attempt, 1);
    assert_eq!(lease.token.incarnation, 1);
    assert!(matches!(&lease.input, Input::Packet(record)
        if record.packet.payload == offer("1", &[]).packet.payload));
    assert!(rig.try_lease().is_none());
    let running = rig.store().running();
    assert_eq!((running.len(), running[0].task), (1, lease.task));

    let result = Some(Bytes::from_static(b"42"));
    rig.commit(commit(
        &lease,
        Step::Succeed {
            result: result.clone(),
        },
    ));
    assert!(matches!(
        rig.try_commit(success(&lease)),
        Err(StoreError::Fenced { task }) if task == lease.task
    ));
    let reader = rig.store().reader().unwrap();
    let detail = reader.task_by_id(lease.task).unwrap().unwrap();
    assert_eq!(detail.result, result);
    assert_eq!(
        (detail.task.state, detail.task.attempts),
        (State::Success, 1)
    );
    assert_eq!(detail.task.started, Some(START));
    assert_eq!(detail.task.cpu, 1_000);
    rig.check_sound();
}

#[test]
fn two_ends_in_one_group_are_one_end() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    let answers = wait(rig.store().commit(vec![success(&lease), success(&lease)]));
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(StoreError::Fenced { .. })));
    rig.check_sound();
}

#[test]
fn the_token_of_a_former_process_writes_nothing() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let old = rig.lease();
    rig.crash();
    let new = rig.lease();
    assert_eq!((new.task, new.token.incarnation), (old.task, 2));
    assert_eq!(new.token.lease, old.token.lease);
    let mut late = success(&old);
    late.kv = vec![KvWrite::Set {
        key: "k".to_owned(),
        value: Bytes::from_static(b"v"),
    }];
    late.spawns = vec![task("child")];
    assert!(matches!(
        rig.try_commit(late),
        Err(StoreError::Fenced { .. })
    ));
    assert_eq!(rig.store().kv_get("fermi-log", "k").unwrap(), None);
    assert_eq!(rig.store().depth(QUEUE).ready, 0);
    rig.commit(success(&new));
    rig.check_sound();
}

#[test]
fn a_retry_waits_for_its_due_time_and_keeps_the_asked_journal() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    let mut note = commit(&lease, Step::Note);
    note.journal = vec![entry(0, "intent"), entry(1, "clock")];
    rig.commit(note);
    let due = START + 10 * SECOND;
    let retry = Step::Retry {
        due,
        failure: failure("no route"),
        keep: 1,
    };
    let mut retry = commit(&lease, retry);
    retry.journal = vec![entry(0, "answer"), entry(2, "random")];
    rig.commit(retry);
    assert_eq!(state_of(&rig, "1/a"), State::Retry);
    assert!(rig.try_lease().is_none());

    rig.crash();
    assert!(rig.try_lease().is_none());
    rig.clock.advance(10 * SECOND);
    let lease = rig.lease();
    assert_eq!(lease.attempt, 2);
    assert_eq!(lease.journal, [entry(0, "answer")]);
    assert_eq!(lease.pinned, Some([7; 32]));
    rig.check_sound();
}

#[test]
fn a_task_is_due_by_the_clock_that_was_set_without_anything_else_happening() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let retry = Step::Retry {
        due: START + 3_600 * SECOND,
        failure: failure("no route"),
        keep: 0,
    };
    rig.commit(commit(&rig.lease(), retry));
    assert!(rig.try_lease().is_none());
    rig.clock.step(3_600 * SECOND);
    let lease = wait(rig.store().next_lease(QUEUE, 0)).unwrap();
    assert_eq!(lease.attempt, 2);
    rig.commit(success(&lease));
    rig.check_sound();
}

#[test]
fn a_task_that_is_given_back_keeps_attempt_and_journal() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    let mut note = commit(&lease, Step::Note);
    note.journal = vec![entry(0, "x")];
    rig.commit(note);
    rig.commit(commit(&lease, Step::GiveBack { due: START }));
    let again = rig.lease();
    assert_eq!((again.attempt, again.journal.len()), (1, 1));
    assert_ne!(again.token, lease.token);
    rig.commit(success(&again));
    rig.check_sound();
}

#[test]
fn a_failed_task_is_set_aside_with_its_journal_and_reason() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    let mut end = commit(
        &lease,
        Step::Fail {
            failure: failure("trap: unreachable"),
        },
    );
    end.journal = vec![entry(0, "x")];
    rig.commit(end);
    assert!(rig.try_lease().is_none());

    let reader = rig.store().reader().unwrap();
    let filter = TaskFilter {
        state: Some(State::Failure),
        ..TaskFilter::default()
    };
    let dead = reader.tasks(&filter).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].failure, Some(failure("trap: unreachable")));
    assert_eq!(reader.journal(lease.task).unwrap(), [entry(0, "x")]);
    rig.check_sound();
}

#[test]
fn children_and_values_appear_with_the_end_of_their_parent() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    let mut end = success(&lease);
    let mut child = task("1/a/0");
    child.origin = Origin::Spawn;
    child.parent = Some(lease.task);
    child.args = Some(Bytes::from_static(b"[1]"));
    end.spawns = vec![child.clone(), child];
    let add = |delta| KvWrite::Add {
        key: "n".to_owned(),
        delta,
    };
    end.kv = vec![
        KvWrite::Set {
            key: "last".to_owned(),
            value: Bytes::from_static(b"G1"),
        },
        add(5),
        add(-2),
    ];
    rig.commit(end);
    let value = |key| rig.store().kv_get("fermi-log", key).unwrap();
    assert_eq!(value("n"), Some((Bytes::from_static(b"3"), 2)));
    assert_eq!(value("last"), Some((Bytes::from_static(b"G1"), 1)));

    let child = rig.lease();
    assert!(matches!(&child.input, Input::Args(args) if args.as_ref() == b"[1]"));
    assert!(rig.try_lease().is_none());
    let mut end = success(&child);
    end.kv = vec![KvWrite::Delete {
        key: "last".to_owned(),
    }];
    rig.commit(end);
    assert_eq!(value("last"), None);
    let listed = rig
        .store()
        .reader()
        .unwrap()
        .kv(Some("fermi-log"), "", None)
        .unwrap();
    assert_eq!(listed.len(), 1);
    rig.check_sound();
}

#[test]
fn a_claim_is_the_first_tasks_until_it_is_removed_after_thirty_days() {
    let mut rig = Rig::new();
    let claim = |rig: &Rig, task: &str| {
        wait(rig.store().claim("fermi-log", "sent/G1", task_id(task))).unwrap()
    };
    assert!(claim(&rig, "a"));
    assert!(!claim(&rig, "b"));
    rig.crash();
    assert!(claim(&rig, "a"));
    assert!(!claim(&rig, "b"));
    rig.clock.advance(31 * 86_400 * SECOND);
    assert!(!claim(&rig, "b"), "the clock alone ends nothing");
    wait(rig.store().retain()).unwrap();
    assert!(claim(&rig, "b"));
    assert!(!claim(&rig, "a"));
}

#[test]
fn a_submitted_task_is_made_once_and_may_run_on_an_archived_packet() {
    let rig = Rig::new();
    let seq = rig.keep(offer("1", &[]));
    let mut redispatch = task("1/again");
    redispatch.origin = Origin::Redispatch;
    let submission = Submission {
        task: redispatch,
        packet: Some(seq),
    };
    let made = wait(rig.store().submit(vec![submission.clone(), submission])).unwrap();
    assert_eq!(made, [true, false]);
    let lease = rig.lease();
    assert!(matches!(&lease.input, Input::Packet(record) if record.seq == seq));
    rig.commit(success(&lease));

    let unknown = Submission {
        task: task("x"),
        packet: Some(gwasp_store::PacketSeq(99)),
    };
    let refused = wait(rig.store().submit(vec![unknown]));
    assert!(matches!(refused, Err(StoreError::Unknown { what }) if what == "packet 99"));
    rig.check_sound();
}

#[test]
fn a_journal_beyond_its_bound_is_refused_and_the_lease_stands() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let lease = rig.lease();
    let mut note = commit(&lease, Step::Note);
    note.journal = vec![entry(u32::try_from(MAX_JOURNAL_ENTRIES).unwrap(), "x")];
    assert!(matches!(
        rig.try_commit(note),
        Err(StoreError::TooLarge { .. })
    ));
    rig.commit(success(&lease));
}

#[test]
fn the_lowest_priority_number_is_leased_first_then_the_earliest() {
    let rig = Rig::new();
    let mut all = offer("1", &["late", "urgent", "early"]);
    all.tasks[0].due = START - 1;
    all.tasks[1].priority = 0;
    all.tasks[2].due = START - 2;
    rig.keep(all);
    let order = [rig.lease().task, rig.lease().task, rig.lease().task];
    assert_eq!(order, ["urgent", "early", "late"].map(task_id));
}

#[test]
fn a_task_is_found_by_the_beginning_of_its_id() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    let reader = rig.store().reader().unwrap();
    let id = task_id("1/a").to_string();
    for prefix in [&id[..], &id[..11], &id.to_uppercase()[..6]] {
        let TaskFound::One(detail) = reader.task(prefix).unwrap() else {
            panic!("{prefix} is one task")
        };
        assert_eq!(detail.task.id, task_id("1/a"));
        assert_eq!(detail.task.queue, QUEUE);
    }
    assert_eq!(reader.task("not hexadecimal").unwrap(), TaskFound::None);
    assert_eq!(reader.task("").unwrap(), TaskFound::None);
}

#[test]
fn waiting_workers_are_woken_and_every_task_is_leased_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let store = store.clone();
            std::thread::spawn(move || wait(run_until_closed(&store, worker)))
        })
        .collect();
    let mut expected = Vec::new();
    for number in 0..50 {
        let names: Vec<String> = (0..4).map(|k| format!("{number}/{k}")).collect();
        let mut offer = offer(&number.to_string(), &[]);
        offer.tasks = names.iter().map(|name| task(name)).collect();
        expected.extend(names.iter().map(|name| task_id(name)));
        wait(store.accept(0, vec![offer])).unwrap();
    }
    // The last one is due only in a moment: the timer wakes a worker for it.
    let mut later = offer("later", &["later"]);
    let clock = gwasp_store::SystemClock;
    later.tasks[0].due = gwasp_store::Clock::now(&clock) + SECOND / 20;
    later.tasks[0].queue = "last".to_owned();
    wait(store.accept(0, vec![later])).unwrap();
    let last = wait(async { store.next_lease("last", 99).await }).unwrap();
    assert_eq!(last.task, task_id("later"));
    while store.depth(QUEUE).leased + store.depth(QUEUE).ready > 0 {
        std::thread::yield_now();
    }
    wait(store.close()).unwrap();
    let mut ran: Vec<_> = workers
        .into_iter()
        .flat_map(|w| w.join().unwrap())
        .collect();
    ran.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ran, expected);
}

/// Runs tasks until the store is closed; returns which.
async fn run_until_closed(store: &Store, worker: u32) -> Vec<TaskId> {
    let mut ran = Vec::new();
    loop {
        match store.next_lease(QUEUE, worker).await {
            Ok(lease) => {
                let commits: Vec<Commit> = vec![success(&lease)];
                store.commit(commits).await.remove(0).unwrap();
                ran.push(lease.task);
            }
            Err(StoreError::Closed) => return ran,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_wait_that_is_dropped_passes_its_wake_on() {
    let rig = Rig::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut first = Box::pin(rig.store().wait_for_work(QUEUE));
        let mut second = Box::pin(rig.store().wait_for_work(QUEUE));
        assert!(poll_once(&mut first).await.is_none());
        assert!(poll_once(&mut second).await.is_none());
        rig.store()
            .accept(0, vec![offer("1", &["1/a"])])
            .await
            .unwrap();
        drop(first);
        let woken = tokio::time::timeout(Duration::from_secs(10), second).await;
        assert!(woken.is_ok());
    });
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        let polled = std::pin::Pin::new(&mut *future).poll(context);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Ends the leased task with children of these names.
fn spawn(rig: &Rig, lease: &Lease, names: impl Iterator<Item = String>) -> Result<(), StoreError> {
    let mut parent = success(lease);
    parent.spawns = names.map(|name| task(&name)).collect();
    rig.try_commit(parent)
}

#[test]
fn a_packet_has_ten_thousand_live_descendants_at_most_over_a_crash_too() {
    let mut rig = Rig::new();
    rig.keep(offer("1", &["1/a", "1/b"]));
    rig.keep(offer("2", &["2/a"]));
    let first = rig.lease();
    spawn(&rig, &first, (0..9_999).map(|number| number.to_string())).unwrap();
    rig.crash();

    let second = rig.lease();
    assert_eq!(second.task, task_id("1/b"));
    let mut bomb = success(&second);
    bomb.spawns = vec![task("x"), task("y")];
    bomb.kv = vec![KvWrite::Add {
        key: "made".to_owned(),
        delta: 2,
    }];
    let refused = rig.try_commit(bomb).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::TooLarge {
                length: 10_001,
                limit: 10_000,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(rig.store().kv_get("fermi-log", "made").unwrap(), None);
    spawn(&rig, &second, std::iter::once("x".to_owned())).unwrap();
    let other = rig.lease();
    assert_eq!(other.task, task_id("2/a"));
    spawn(&rig, &other, (0..3).map(|number| format!("2/{number}"))).unwrap();

    let child = rig.lease();
    assert_eq!(child.task, task_id("0"));
    let grandchildren = ["0/0", "0/1"].map(str::to_owned).into_iter();
    let refused = spawn(&rig, &child, grandchildren).unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { .. }), "{refused}");
    let failure = failure("a bomb");
    rig.commit(commit(&child, Step::Fail { failure }));
    let grandchildren = || ["1/0", "1/1"].map(str::to_owned).into_iter();
    let next = rig.lease();
    let refused = spawn(&rig, &next, grandchildren()).unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { .. }), "{refused}");
    rig.commit(success(&rig.lease()));
    spawn(&rig, &next, grandchildren()).unwrap();
    rig.check_sound();
}

#[test]
fn a_task_without_a_packet_is_the_root_of_its_descendants() {
    let rig = Rig::new();
    let submission = |name: &str| Submission {
        task: task(name),
        packet: None,
    };
    wait(rig.store().submit(vec![submission("a"), submission("b")])).unwrap();
    for root in ["a", "b"] {
        let lease = rig.lease();
        assert_eq!(lease.task, task_id(root));
        spawn(&rig, &lease, (0..6_000).map(|n| format!("{root}/{n}"))).unwrap();
    }
    let names = (0..4_002).map(|n| format!("more/{n}"));
    assert!(matches!(
        spawn(&rig, &rig.lease(), names),
        Err(StoreError::TooLarge { length: 10_001, .. })
    ));
}

#[test]
fn the_tasks_of_a_packet_are_those_that_descend_from_it() {
    let rig = Rig::new();
    let first = rig.keep(offer("1", &["1/a"]));
    rig.keep(offer("2", &["2/a"]));
    let mut end = success(&rig.lease());
    let mut child = task("1/a/child");
    child.origin = Origin::Spawn;
    child.args = Some(Bytes::from_static(b"[]"));
    end.spawns = vec![child];
    rig.commit(end);
    let filter = TaskFilter {
        packet: Some(first),
        ..TaskFilter::default()
    };
    let reader = Reader::open(&rig.path()).unwrap();
    let tasks = reader.tasks(&filter).unwrap();
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    assert_eq!(ids, [task_id("1/a/child"), task_id("1/a")]);
    let view = reader.packet_view(first).unwrap().unwrap();
    assert_eq!(view.identity, packet("1").identity);
}
