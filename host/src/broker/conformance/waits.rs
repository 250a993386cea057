//! Tasks that sleep, or wait for those that they called.

use bytes::Bytes;

use super::{Fixture, accept, commit, commit_of, failure, lease, offer, task};
use crate::broker::{Commit, NewTask, Origin, Step, TaskEnd, TaskId, Wait};

/// A task that another calls.
fn called(number: u8) -> NewTask {
    NewTask {
        origin: Origin::Call,
        parent: Some(TaskId([1; 16])),
        args: Some(Bytes::new()),
        ..task(number)
    }
}

pub(in crate::broker) async fn a_task_goes_on_when_all_that_it_called_have_ended(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let caller = lease(broker).await.unwrap();
    let spawns = vec![called(8), called(9)];
    let park = Commit {
        spawns,
        ..commit_of(&caller, Step::Park { on: Wait::Called })
    };
    commit(broker, park).await.unwrap();
    let first = lease(broker).await.unwrap();
    let second = lease(broker).await.unwrap();
    assert!(lease(broker).await.is_none(), "the caller waits");
    let fail = commit_of(&first, Step::Fail { failure: failure() });
    commit(broker, fail).await.unwrap();
    assert!(lease(broker).await.is_none(), "for both");
    let result = Some(Bytes::from_static(b"1"));
    let end = commit_of(
        &second,
        Step::Succeed {
            result: result.clone(),
        },
    );
    commit(broker, end).await.unwrap();
    let caller = lease(broker).await.unwrap();
    assert_eq!((caller.task, caller.attempt), (TaskId([1; 16]), 1));
    let ends = broker.ends(&[first.task, second.task, TaskId([7; 16])]);
    assert_eq!(
        ends.unwrap(),
        [
            Some(TaskEnd::Failed(failure())),
            Some(TaskEnd::Succeeded(result)),
            None
        ]
    );
    assert_eq!(broker.set_aside().unwrap(), 0, "the caller was told");
}

pub(in crate::broker) async fn a_task_that_sleeps_is_leased_when_it_is_due(fixture: Fixture) {
    let broker = &*fixture.broker;
    accept(broker, vec![offer(1, vec![task(1)])]).await;
    let leased = lease(broker).await.unwrap();
    let on = Wait::Until(i64::MAX);
    commit(broker, commit_of(&leased, Step::Park { on }))
        .await
        .unwrap();
    assert!(lease(broker).await.is_none());
    accept(broker, vec![offer(2, vec![task(2)])]).await;
    let leased = lease(broker).await.unwrap();
    let on = Wait::Until(1);
    commit(broker, commit_of(&leased, Step::Park { on }))
        .await
        .unwrap();
    assert_eq!(lease(broker).await.unwrap().task, TaskId([2; 16]));
}
