//! What every broker promises, as tests that each implementation runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Accepted, Acted, BrokerError, Commit, EventKind, Failure, JournalEntry, KvWrite, Lease,
    NewPacket, NewTask, Offer, Operations, Origin, RetryPolicy, RouteChange, Scope, State, Step,
    TaskAction, TaskFilter, TaskId, TaskSelection,
};

mod waits;

pub(super) use waits::{
    a_task_goes_on_when_all_that_it_called_have_ended, a_task_that_sleeps_is_leased_when_it_is_due,
};

/// A broker, and what has to live as long as it.
pub(super) struct Fixture {
    pub(super) broker: Arc<dyn Operations>,
    pub(super) _keep: Box<dyn std::any::Any>,
}

/// Runs every promise against the broker that `$make` makes.
macro_rules! conformance {
    ($make:path; $($promise:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            crate::broker::conformance::$promise($make()).await;
        })*
    };
}
pub(super) use conformance;

const POLICY: RetryPolicy = RetryPolicy {
    retries: 3,
    backoff_ms: 1,
    max_backoff_ms: 1,
    timeout_ms: 1_000,
    deadline: None,
};

fn task(id: u8) -> NewTask {
    NewTask {
        id: TaskId([id; 16]),
        plugin: "p".to_owned(),
        handler: format!("h{id}"),
        queue: "q".to_owned(),
        origin: Origin::Packet,
        parent: None,
        priority: 5,
        due: 0,
        order_key: None,
        policy: POLICY,
        args: None,
    }
}

fn offer(packet: u8, tasks: Vec<NewTask>) -> Offer {
    let unmatched = tasks.is_empty().then(|| "no-handler".to_owned());
    Offer {
        packet: NewPacket {
            source: "gcn".to_owned(),
            key: "FERMI_GBM_GND_POS".to_owned(),
            id: format!("ivo://gwasp.test/{packet}"),
            identity: [packet; 32],
            digest: [packet; 32],
            role: "observation".to_owned(),
            received: 1,
            sent: None,
            content_type: "application/xml".to_owned(),
            headers: Vec::new(),
            flags: Vec::new(),
            payload: Bytes::from(vec![packet; 8]),
        },
        tasks,
        unmatched,
    }
}

async fn accept(broker: &dyn Operations, offers: Vec<Offer>) -> Vec<Accepted> {
    let (generation, _) = broker.routes().unwrap();
    broker.accept(generation, offers).await.unwrap()
}

/// The next lease; none when there is nothing to lease now.
async fn lease(broker: &dyn Operations) -> Option<Lease> {
    // A lease that is there is answered without waiting: the limit only ends a wait for none.
    tokio::time::timeout(Duration::from_millis(200), broker.lease("q", 0))
        .await
        .ok()
        .map(Result::unwrap)
}

fn commit_of(lease: &Lease, step: Step) -> Commit {
    Commit::bare(lease.task, lease.token, [7; 32], step)
}

async fn commit(broker: &dyn Operations, commit: Commit) -> Result<(), BrokerError> {
    broker.commit(vec![commit]).await.pop().unwrap()
}

fn failure() -> Failure {
    Failure {
        kind: "error".to_owned(),
        message: "m".to_owned(),
        detail: None,
    }
}

const DONE: Step = Step::Succeed { result: None };

pub(super) async fn an_accepted_packet_makes_each_task_once(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1), task(2)])]).await;
    let first = lease(broker).await.unwrap();
    let second = lease(broker).await.unwrap();
    assert_ne!(first.task, second.task);
    assert!(lease(broker).await.is_none(), "two tasks are two leases");
}

pub(super) async fn a_known_packet_makes_nothing(fixture: Fixture) {
    let broker = &*fixture.broker;
    let first = accept(broker, vec![offer(1, vec![task(1)])]).await;
    let again = accept(broker, vec![offer(1, vec![task(1)])]).await;
    let Accepted::New(seq) = first[0] else {
        panic!("the first offer is new: {first:?}");
    };
    assert_eq!(again, [Accepted::Duplicate(seq)]);
    assert!(lease(broker).await.is_some());
    assert!(lease(broker).await.is_none());
}

pub(super) async fn twins_in_one_batch_are_one_packet(fixture: Fixture) {
    let broker = &*fixture.broker;
    let twins = vec![offer(1, vec![task(1)]), offer(1, vec![task(1)])];
    let accepted = accept(broker, twins).await;
    assert!(
        matches!(accepted[..], [Accepted::New(a), Accepted::Duplicate(b)] if a == b),
        "{accepted:?}"
    );
}

pub(super) async fn an_older_routing_table_is_a_conflict(fixture: Fixture) {
    let broker = &*fixture.broker;
    let (before, _) = broker.routes().unwrap();
    broker.put_route("p", [1; 32], "{}").await.unwrap();
    let result = broker.accept(before, vec![offer(1, vec![task(1)])]).await;
    assert!(
        matches!(result, Err(BrokerError::Conflict { .. })),
        "{result:?}"
    );
    assert!(lease(broker).await.is_none(), "nothing was made");
}

pub(super) async fn a_task_that_ended_is_not_leased_again(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let leased = lease(broker).await.unwrap();
    commit(broker, commit_of(&leased, DONE)).await.unwrap();
    assert!(lease(broker).await.is_none());
}

pub(super) async fn an_old_token_writes_nothing(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let old = lease(broker).await.unwrap();
    commit(broker, commit_of(&old, Step::GiveBack { due: 0 }))
        .await
        .unwrap();
    let new = lease(broker).await.unwrap();
    let kv = vec![KvWrite::Set {
        key: "k".to_owned(),
        value: Bytes::from_static(b"old"),
    }];
    let late = commit(
        broker,
        Commit {
            kv,
            ..commit_of(&old, DONE)
        },
    )
    .await;
    assert!(matches!(late, Err(BrokerError::Fenced { .. })), "{late:?}");
    assert_eq!(broker.kv_get("p", "k").unwrap(), None);
    commit(broker, commit_of(&new, DONE)).await.unwrap();
}

pub(super) async fn a_task_that_is_given_back_does_not_count_the_attempt(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let first = lease(broker).await.unwrap();
    commit(broker, commit_of(&first, Step::GiveBack { due: 0 }))
        .await
        .unwrap();
    assert_eq!(lease(broker).await.unwrap().attempt, first.attempt);
}

pub(super) async fn a_retry_counts_and_keeps_only_the_prefix_of_its_journal(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let first = lease(broker).await.unwrap();
    let entry = |seq| JournalEntry {
        seq,
        bytes: Bytes::from(vec![9]),
    };
    let note = Commit {
        journal: vec![entry(0), entry(1), entry(2)],
        ..commit_of(&first, Step::Note)
    };
    commit(broker, note).await.unwrap();
    let retry = Step::Retry {
        due: 0,
        failure: failure(),
        keep: 2,
    };
    commit(broker, commit_of(&first, retry)).await.unwrap();
    let second = lease(broker).await.unwrap();
    assert_eq!(second.attempt, first.attempt + 1);
    assert_eq!(second.journal, [entry(0), entry(1)]);
    assert_eq!(second.pinned, Some([7; 32]), "a journal pins its version");
}

pub(super) async fn an_intent_is_replaced_by_its_answer(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let leased = lease(broker).await.unwrap();
    for bytes in [b"intent".as_slice(), b"answer"] {
        let journal = vec![JournalEntry {
            seq: 0,
            bytes: Bytes::copy_from_slice(bytes),
        }];
        commit(
            broker,
            Commit {
                journal,
                ..commit_of(&leased, Step::Note)
            },
        )
        .await
        .unwrap();
    }
    commit(broker, commit_of(&leased, Step::GiveBack { due: 0 }))
        .await
        .unwrap();
    let journal = lease(broker).await.unwrap().journal;
    assert_eq!(
        journal,
        [JournalEntry {
            seq: 0,
            bytes: Bytes::from_static(b"answer")
        }]
    );
}

pub(super) async fn a_failed_task_is_set_aside(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let leased = lease(broker).await.unwrap();
    commit(
        broker,
        commit_of(&leased, Step::Fail { failure: failure() }),
    )
    .await
    .unwrap();
    assert!(lease(broker).await.is_none());
}

pub(super) async fn a_revoked_task_ends(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let leased = lease(broker).await.unwrap();
    let step = Step::Revoke { reason: failure() };
    commit(broker, commit_of(&leased, step)).await.unwrap();
    assert!(lease(broker).await.is_none());
}

pub(super) async fn tasks_of_a_held_plugin_wait(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    broker.hold_plugins(BTreeSet::from(["p".to_owned()]));
    assert!(lease(broker).await.is_none());
    broker.hold_plugins(BTreeSet::new());
    assert!(lease(broker).await.is_some());
}

pub(super) async fn what_is_paused_is_not_leased_and_goes_on_after_it(fixture: Fixture) {
    let broker = &*fixture.broker;
    let first = Scope::Handler {
        plugin: "p".to_owned(),
        handler: "h1".to_owned(),
    };
    broker.pause(first.clone(), None, "test").await.unwrap();
    accept(broker, vec![offer(1, vec![task(1), task(2)])]).await;
    assert_eq!(lease(broker).await.unwrap().task, TaskId([2; 16]));
    assert!(lease(broker).await.is_none());
    let pauses = broker.pauses().unwrap();
    assert_eq!((pauses.len(), &pauses[0].scope), (1, &first));
    assert!(broker.unpause(first.clone()).await.unwrap());
    assert!(!broker.unpause(first).await.unwrap());
    assert_eq!(lease(broker).await.unwrap().task, TaskId([1; 16]));
}

/// Sets a task aside that says `message`.
async fn set_aside(broker: &dyn Operations, message: &str) -> TaskId {
    let leased = lease(broker).await.unwrap();
    let failure = Failure {
        message: message.to_owned(),
        ..failure()
    };
    let end = commit_of(&leased, Step::Fail { failure });
    commit(broker, end).await.unwrap();
    leased.task
}

pub(super) async fn a_person_restarts_and_drops_dead_letters_by_what_they_say(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1), task(2)])]).await;
    let first = set_aside(broker, "no disk").await;
    let second = set_aside(broker, "no net").await;
    let saying = |error: &str| {
        TaskSelection::Matching(TaskFilter {
            state: Some(State::Failure),
            error: Some(error.to_owned()),
            ..TaskFilter::default()
        })
    };
    let meant = broker.selected(saying("disk")).unwrap();
    assert_eq!(meant, [first]);
    let dropped = broker.act(meant, TaskAction::Drop, "test").await;
    assert_eq!(dropped.unwrap(), [Acted::Done(State::Revoked)]);
    let any = TaskSelection::Matching(TaskFilter::default());
    let living = broker.selected(any).unwrap();
    assert_eq!(living, [second], "what has ended hides nothing");
    let meant = broker.selected(saying("no")).unwrap();
    assert_eq!(meant, [second]);
    let restarted = broker.act(meant, TaskAction::Restart, "test").await;
    assert_eq!(restarted.unwrap(), [Acted::Done(State::Pending)]);
    assert_eq!(lease(broker).await.unwrap().task, second);
}

pub(super) async fn a_person_revokes_what_waits_and_asks_the_worker_of_what_runs(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1), task(2)])]).await;
    let runs = lease(broker).await.unwrap();
    let (first, second) = (TaskId([1; 16]), TaskId([2; 16]));
    let both = vec![first, second];
    let revoked = broker.act(both, TaskAction::Revoke, "test").await.unwrap();
    assert_eq!(revoked, [Acted::Asked, Acted::Done(State::Revoked)]);
    assert!(lease(broker).await.is_none());
    assert!(runs.revocation.reason().is_some());
    let back = commit_of(&runs, Step::GiveBack { due: 0 });
    commit(broker, back).await.unwrap();
    assert!(lease(broker).await.is_none(), "it does not go on");
    let found = broker.task(first).unwrap().unwrap().task;
    assert_eq!(found.state, State::Revoked);
}

pub(super) async fn a_task_is_resumed_only_as_it_was_looked_at(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let task = set_aside(broker, "m").await;
    let ended = broker.task(task).unwrap().unwrap().task.ended.unwrap();
    let by = ("resumed", "alice");
    let resumed = broker
        .resume((task, Some(ended - 1)), (0, None), None, by)
        .await;
    assert!(!resumed.unwrap());
    let resumed = broker
        .resume((task, Some(ended)), (0, None), None, by)
        .await;
    assert!(resumed.unwrap());
    let found = broker.task(task).unwrap().unwrap();
    assert_eq!((found.past.len(), found.decisions.len()), (1, 1));
    assert_eq!(found.decisions[0].who, "alice");
    assert_eq!(lease(broker).await.unwrap().task, task);
}

pub(super) async fn tasks_of_one_key_take_turns(fixture: Fixture) {
    let broker = &*fixture.broker;
    let keyed = |id| NewTask {
        order_key: Some("p:S260101a".to_owned()),
        ..task(id)
    };
    accept(broker, vec![offer(1, vec![keyed(1), keyed(2)])]).await;
    let first = lease(broker).await.unwrap();
    assert!(
        lease(broker).await.is_none(),
        "the second waits for its turn"
    );
    commit(broker, commit_of(&first, DONE)).await.unwrap();
    assert_ne!(lease(broker).await.unwrap().task, first.task);
}

pub(super) async fn values_are_written_with_the_outcome(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1), task(2)])]).await;
    for _ in 0..2 {
        let leased = lease(broker).await.unwrap();
        let kv = vec![KvWrite::Add {
            key: "n".to_owned(),
            delta: 20,
        }];
        commit(
            broker,
            Commit {
                kv,
                ..commit_of(&leased, DONE)
            },
        )
        .await
        .unwrap();
    }
    let (value, _) = broker.kv_get("p", "n").unwrap().unwrap();
    assert_eq!(value, "40");
    assert_eq!(
        broker.kv_get("other", "n").unwrap(),
        None,
        "each plugin has its own values"
    );
}

pub(super) async fn a_child_is_made_once(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1), task(2)])]).await;
    for _ in 0..2 {
        let leased = lease(broker).await.unwrap();
        let spawns = vec![NewTask {
            origin: Origin::Spawn,
            args: Some(Bytes::new()),
            ..task(9)
        }];
        commit(
            broker,
            Commit {
                spawns,
                ..commit_of(&leased, DONE)
            },
        )
        .await
        .unwrap();
    }
    assert_eq!(lease(broker).await.unwrap().task, TaskId([9; 16]));
    assert!(lease(broker).await.is_none());
}

pub(super) async fn the_first_task_to_claim_a_name_has_it(fixture: Fixture) {
    let broker = &*fixture.broker;
    let (first, second) = (TaskId([1; 16]), TaskId([2; 16]));
    assert!(broker.claim("p", "alert", first).await.unwrap());
    assert!(!broker.claim("p", "alert", second).await.unwrap());
    assert!(
        broker.claim("p", "alert", first).await.unwrap(),
        "its later attempts have it too"
    );
    assert!(
        broker.claim("q", "alert", second).await.unwrap(),
        "each plugin has its own names"
    );
}

pub(super) async fn the_lowest_priority_number_is_served_first(fixture: Fixture) {
    let broker = &*fixture.broker;
    let with = |id, priority| NewTask {
        priority,
        ..task(id)
    };
    accept(
        broker,
        vec![offer(1, vec![with(1, 9), with(2, 0), with(3, 5)])],
    )
    .await;
    for expected in [2, 3, 1] {
        assert_eq!(lease(broker).await.unwrap().task, TaskId([expected; 16]));
    }
}

pub(super) async fn a_blob_is_found_under_its_digest(fixture: Fixture) {
    let broker = &*fixture.broker;
    let digest = broker.put_blob(Bytes::from_static(b"map")).await.unwrap();
    assert_eq!(
        broker.blob(&digest).unwrap(),
        Some(Bytes::from_static(b"map"))
    );
    assert_eq!(broker.blob(&[0; 32]).unwrap(), None);
}

pub(super) async fn a_follower_is_told_of_every_event(fixture: Fixture) {
    let broker = &*fixture.broker;
    let mut told = Vec::new();
    let mut next = 1;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    for round in 0..2 {
        broker.watch(next - 1).await.unwrap();
        let news = broker.events(next, 100).unwrap();
        assert_eq!(news.gap, None);
        told.extend(news.events.into_iter().map(|event| event.kind));
        next = news.next;
        if round == 0 {
            let lease = lease(broker).await.unwrap();
            let commit = commit_of(&lease, Step::Succeed { result: None });
            broker.commit(vec![commit]).await.pop().unwrap().unwrap();
        }
    }
    let expected = [EventKind::Accepted, EventKind::Made, EventKind::Succeeded];
    assert_eq!(told, expected);
}

pub(super) async fn a_persons_decision_about_a_plugin_is_kept(fixture: Fixture) {
    let broker = &*fixture.broker;
    let bytes = [b"one".as_slice(), b"two"].map(Bytes::copy_from_slice);
    let mut digests = Vec::new();
    for bytes in bytes {
        let digest = broker.put_blob(bytes).await.unwrap();
        broker.put_route("p", digest, "{}").await.unwrap();
        digests.push(digest);
    }
    let back = RouteChange::RollBack {
        digest: digests[0],
        manifest: "{}".to_owned(),
        instead_of: digests[1],
    };
    let (before, _) = broker.routes().unwrap();
    let after = broker.change_route("p", back).await.unwrap();
    assert!(
        after > before,
        "who decided under the old table decides again"
    );
    let plugins = broker.plugins().unwrap();
    let (current, passed_over) = (plugins[0].current, plugins[0].passed_over);
    assert_eq!((current, passed_over), (Some(digests[0]), Some(digests[1])));
    assert!(plugins[0].versions.iter().all(|version| version.is_kept));

    broker
        .change_route("p", RouteChange::Disable)
        .await
        .unwrap();
    assert!(broker.routes().unwrap().1.is_empty());
    assert!(broker.plugins().unwrap()[0].disabled.is_some());
}
