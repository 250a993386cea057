//! The broker: what is remembered of packets and tasks, and who may run what.
//!
//! **Promises.** When `accept` returns, the packet is remembered and each (packet, handler)
//! pair is exactly one task. A commit is all or nothing and is refused under an old token, so a
//! worker that lost its lease writes nothing. When something becomes visible to readers is not
//! promised.
//!
//! The records are those of the store crate: plain values that any broker can carry.

mod embedded;
mod operations;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

pub use embedded::Embedded;
pub use gwasp_store::{
    Accepted, Acted, Commit, Depth, Disk, DiskLevel, Event, EventKind, Events, Failure, GapMark,
    Input, JournalEntry, KvWrite, Lease, Looked, NewPacket, NewRefusal, NewTask, Offer, Origin,
    PacketRecord, PacketSeq, Pause, PluginRecord, RetryPolicy, Revocation, RouteChange,
    RouteRecord, Running, Scope, State, Step, StoreError, Submission, TaskAction, TaskDetail,
    TaskEnd, TaskFilter, TaskId, TaskView, Tick, TickRecord, Token, VersionRecord, VersionTasks,
    Wait, day_of,
};
pub use operations::{MOST_TASKS, Operations, TaskSelection};

/// A future that a broker answers with.
pub type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a broker did not do what it was asked. Each variant has one reaction:
/// [`StoreError::Unavailable`] try again, [`StoreError::Fenced`] drop the run,
/// [`StoreError::Full`] stop taking packets, [`StoreError::TooLarge`] fail the task,
/// [`StoreError::Conflict`] read the routes again, [`StoreError::Corrupt`] and
/// [`StoreError::Failed`] tell a person.
pub type BrokerError = StoreError;

/// A broker. All operations but [`Broker::lease`] are in batches or small.
pub trait Broker: std::fmt::Debug + Send + Sync {
    /// The routing table and its generation.
    ///
    /// # Errors
    /// When it cannot be read.
    fn routes(&self) -> Result<(u64, Vec<RouteRecord>), BrokerError>;

    /// Changes a plugin's place in the routing table; answers the table's new generation. The
    /// bytes of a version that is put there, where they were kept before, stay as long as it is
    /// current, may be gone back to, or tasks are on it.
    fn change_route<'a>(
        &'a self,
        plugin: &'a str,
        change: RouteChange,
    ) -> Answer<'a, Result<u64, BrokerError>>;

    /// Sets a plugin's place in the routing table; answers the table's new generation.
    fn put_route<'a>(
        &'a self,
        plugin: &'a str,
        digest: [u8; 32],
        manifest: &'a str,
    ) -> Answer<'a, Result<u64, BrokerError>> {
        let manifest = manifest.to_owned();
        self.change_route(plugin, RouteChange::Put { digest, manifest })
    }

    /// The plugins that have or had a place in the routing table, their versions, and what a
    /// person decided about them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn plugins(&self) -> Result<Vec<PluginRecord>, BrokerError>;

    /// How many tasks have not ended, by plugin and by the version that they stay on. Looks at
    /// each of them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn tasks_by_version(&self) -> Result<Vec<VersionTasks>, BrokerError>;

    /// The queues in which tasks wait, and perhaps some in which one waited before.
    fn queues(&self) -> BTreeSet<String>;

    /// Keeps packets and makes their tasks, which were decided under routing table `generation`.
    fn accept(
        &self,
        generation: u64,
        offers: Vec<Offer>,
    ) -> Answer<'_, Result<Vec<Accepted>, BrokerError>>;

    /// Keeps bytes that are no packet.
    fn refuse(&self, refusals: Vec<NewRefusal>) -> Answer<'_, Result<(), BrokerError>>;

    /// Counts frames that a listener read and that were not kept.
    fn note_unconfirmed<'a>(
        &'a self,
        source: &'a str,
        frames: u64,
    ) -> Answer<'a, Result<(), BrokerError>>;

    /// Notes that a stream is listened to, or not any more.
    fn note_listening<'a>(
        &'a self,
        source: &'a str,
        listening: bool,
    ) -> Answer<'a, Result<(), BrokerError>>;

    /// Waits for the next task of `queue` and leases it for `worker`.
    fn lease<'a>(&'a self, queue: &'a str, worker: u32) -> Answer<'a, Result<Lease, BrokerError>>;

    /// Leases no task of `plugins` from now on, and again those of all others: tasks whose
    /// plugin is not loaded wait, and cost nothing.
    fn hold_plugins(&self, plugins: BTreeSet<String>);

    /// How many tasks have not ended, in all queues.
    fn open_tasks(&self) -> usize;

    /// How many tasks are set aside.
    ///
    /// # Errors
    /// When they cannot be counted.
    fn set_aside(&self) -> Result<u64, BrokerError>;

    /// How full a queue is.
    fn depth(&self, queue: &str) -> Depth;

    /// What is leased, in the order of leasing.
    fn running(&self) -> Vec<Running>;

    /// Writes commits, each all or nothing, and answers for each.
    fn commit(&self, commits: Vec<Commit>) -> Answer<'_, Vec<Result<(), BrokerError>>>;

    /// How far schedules have come.
    ///
    /// # Errors
    /// When it cannot be read.
    fn ticks(&self) -> Result<Vec<TickRecord>, BrokerError>;

    /// Has a schedule go on, and makes the tasks of its ticks; `false`, and nothing done, where
    /// it has come to another tick than the caller believes.
    fn tick(&self, tick: Tick) -> Answer<'_, Result<bool, BrokerError>>;

    /// How far tasks are, in the order in which they are named; none for one that is not known.
    /// What a task waited for is seen to have ended by whoever leases it then.
    ///
    /// # Errors
    /// When they cannot be read.
    fn ends(&self, tasks: &[TaskId]) -> Result<Vec<Option<TaskEnd>>, BrokerError>;

    /// A plugin's value and its version.
    ///
    /// # Errors
    /// When it cannot be read.
    fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<(Bytes, u64)>, BrokerError>;

    /// Claims a name for a task; durable before it answers.
    fn claim<'a>(
        &'a self,
        plugin: &'a str,
        name: &'a str,
        task: TaskId,
    ) -> Answer<'a, Result<bool, BrokerError>>;

    /// Keeps bytes under their digest.
    fn put_blob(&self, bytes: Bytes) -> Answer<'_, Result<[u8; 32], BrokerError>>;

    /// The bytes under a digest.
    ///
    /// # Errors
    /// When they are damaged or cannot be read.
    fn blob(&self, digest: &[u8; 32]) -> Result<Option<Bytes>, BrokerError>;

    /// At most `max` events from the number `from` on, and which of them are gone.
    ///
    /// # Errors
    /// When they cannot be read.
    fn events(&self, from: u64, max: usize) -> Result<Events, BrokerError>;

    /// Waits until there is an event after the number `after`; answers the last number.
    fn watch(&self, after: u64) -> Answer<'_, Result<u64, BrokerError>>;

    /// Stops handing out work and marks a clean end.
    fn close(&self) -> Answer<'_, Result<(), BrokerError>>;
}

/// Reads from a broker on a thread that may wait for a disk, as the runtime's must not.
///
/// # Errors
/// Those of `read`; [`BrokerError::Closed`] where the runtime ends.
pub async fn read<B, T>(
    broker: &Arc<B>,
    read: impl FnOnce(&B) -> Result<T, BrokerError> + Send + 'static,
) -> Result<T, BrokerError>
where
    B: Broker + ?Sized + 'static,
    T: Send + 'static,
{
    let broker = Arc::clone(broker);
    match tokio::task::spawn_blocking(move || read(&*broker)).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(BrokerError::Closed),
        },
    }
}

#[cfg(test)]
mod conformance;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_does_not_hold_the_runtime_up() {
        let directory = tempfile::tempdir().unwrap();
        let broker = Embedded::open(directory.path(), BTreeSet::new());
        let broker = Arc::new(broker.unwrap());
        let (sender, receiver) = std::sync::mpsc::channel();
        // This test's runtime has one thread, which sends what the reading thread waits for.
        let waits = read(&broker, move |broker| {
            receiver
                .recv_timeout(std::time::Duration::from_secs(60))
                .unwrap();
            broker.routes()
        });
        let (routes, ()) = tokio::join!(waits, async { sender.send(()).unwrap() });
        assert_eq!(routes.unwrap().0, 0);
    }
}
