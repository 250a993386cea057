//! The broker inside this process, over the store crate.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use gwasp_store::{ArchiveFilter, DiskMarks, OpenError, Options, Reader, Retention, Store};

use super::{
    Accepted, Acted, Answer, Broker, BrokerError, Commit, Depth, Disk, Events, GapMark,
    JournalEntry, Lease, Looked, MOST_TASKS, NewRefusal, Offer, Operations, PacketRecord,
    PacketSeq, Pause, PluginRecord, RouteChange, RouteRecord, Running, Scope, Submission,
    TaskAction, TaskDetail, TaskEnd, TaskFilter, TaskId, TaskSelection, TaskView, Tick, TickRecord,
    VersionTasks,
};

/// The embedded broker: one process, one store, one writer.
#[derive(Clone, Debug)]
pub struct Embedded {
    store: Store,
}

impl Embedded {
    /// Opens the store in `directory`, and makes it where there is none. Tasks of `serial`
    /// queues run one after another, each to its end.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, or it is not a store of this version.
    pub fn open(directory: &Path, serial: BTreeSet<String>) -> Result<Self, OpenError> {
        Self::open_keeping(directory, serial, Retention::default())
    }

    /// As [`Embedded::open`]; what is kept is kept as long as `retention` says.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_keeping(
        directory: &Path,
        serial: BTreeSet<String>,
        retention: Retention,
    ) -> Result<Self, OpenError> {
        let beside = directory.ancestors().find(|path| path.is_dir());
        let disk =
            DiskMarks::of(beside.unwrap_or_else(|| Path::new("."))).unwrap_or_else(|error| {
                tracing::warn!(%error, "the size of the disk is not known; its marks are off");
                DiskMarks::default()
            });
        let options = Options {
            serial,
            retention,
            disk,
            ..Options::default()
        };
        Ok(Self {
            store: Store::open(directory, options)?,
        })
    }

    /// The broker over a store that is open.
    pub const fn over(store: Store) -> Self {
        Self { store }
    }

    /// The store under it, for looking at it.
    pub const fn store(&self) -> &Store {
        &self.store
    }
}

impl Broker for Embedded {
    fn routes(&self) -> Result<(u64, Vec<RouteRecord>), BrokerError> {
        self.store.routes()
    }

    fn change_route<'a>(
        &'a self,
        plugin: &'a str,
        change: RouteChange,
    ) -> Answer<'a, Result<u64, BrokerError>> {
        Box::pin(self.store.change_route(plugin, change))
    }

    fn plugins(&self) -> Result<Vec<PluginRecord>, BrokerError> {
        self.store.plugins()
    }

    fn tasks_by_version(&self) -> Result<Vec<VersionTasks>, BrokerError> {
        self.store.tasks_by_version()
    }

    fn queues(&self) -> BTreeSet<String> {
        self.store.queues()
    }

    fn accept(
        &self,
        generation: u64,
        offers: Vec<Offer>,
    ) -> Answer<'_, Result<Vec<Accepted>, BrokerError>> {
        Box::pin(self.store.accept(generation, offers))
    }

    fn refuse(&self, refusals: Vec<NewRefusal>) -> Answer<'_, Result<(), BrokerError>> {
        Box::pin(self.store.refuse(refusals))
    }

    fn note_unconfirmed<'a>(
        &'a self,
        source: &'a str,
        frames: u64,
    ) -> Answer<'a, Result<(), BrokerError>> {
        Box::pin(self.store.note_unconfirmed(source, frames))
    }

    fn note_listening<'a>(
        &'a self,
        source: &'a str,
        listening: bool,
    ) -> Answer<'a, Result<(), BrokerError>> {
        Box::pin(self.store.note_listening(source, listening))
    }

    fn lease<'a>(&'a self, queue: &'a str, worker: u32) -> Answer<'a, Result<Lease, BrokerError>> {
        Box::pin(self.store.next_lease(queue, worker))
    }

    fn hold_plugins(&self, plugins: BTreeSet<String>) {
        self.store.hold_plugins(plugins);
    }

    fn commit(&self, commits: Vec<Commit>) -> Answer<'_, Vec<Result<(), BrokerError>>> {
        Box::pin(self.store.commit(commits))
    }

    fn open_tasks(&self) -> usize {
        self.store.open_tasks()
    }

    fn set_aside(&self) -> Result<u64, BrokerError> {
        self.store.set_aside()
    }

    fn depth(&self, queue: &str) -> Depth {
        self.store.depth(queue)
    }

    fn running(&self) -> Vec<Running> {
        self.store.running()
    }

    fn ticks(&self) -> Result<Vec<TickRecord>, BrokerError> {
        self.store.ticks()
    }

    fn tick(&self, tick: Tick) -> Answer<'_, Result<bool, BrokerError>> {
        Box::pin(self.store.tick(tick))
    }

    fn ends(&self, tasks: &[TaskId]) -> Result<Vec<Option<TaskEnd>>, BrokerError> {
        self.store.ends(tasks)
    }

    fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<(Bytes, u64)>, BrokerError> {
        self.store.kv_get(plugin, key)
    }

    fn claim<'a>(
        &'a self,
        plugin: &'a str,
        name: &'a str,
        task: TaskId,
    ) -> Answer<'a, Result<bool, BrokerError>> {
        Box::pin(self.store.claim(plugin, name, task))
    }

    fn put_blob(&self, bytes: Bytes) -> Answer<'_, Result<[u8; 32], BrokerError>> {
        Box::pin(self.store.put_blob(bytes))
    }

    fn blob(&self, digest: &[u8; 32]) -> Result<Option<Bytes>, BrokerError> {
        self.store.blob(digest)
    }

    fn events(&self, from: u64, max: usize) -> Result<Events, BrokerError> {
        self.store.events(from, max)
    }

    fn watch(&self, after: u64) -> Answer<'_, Result<u64, BrokerError>> {
        Box::pin(self.store.watch(after))
    }

    fn close(&self) -> Answer<'_, Result<(), BrokerError>> {
        Box::pin(self.store.close())
    }
}

impl Operations for Embedded {
    fn keep(&self, retention: Retention) {
        self.store.keep(retention);
    }

    fn serve_serially(&self, queues: BTreeSet<String>) {
        self.store.serve_serially(queues);
    }

    fn pause<'a>(
        &'a self,
        scope: Scope,
        until: Option<i64>,
        who: &'a str,
    ) -> Answer<'a, Result<Pause, BrokerError>> {
        Box::pin(self.store.pause(scope, until, who))
    }

    fn unpause(&self, scope: Scope) -> Answer<'_, Result<bool, BrokerError>> {
        Box::pin(self.store.unpause(scope))
    }

    fn pauses(&self) -> Result<Vec<Pause>, BrokerError> {
        self.store.pauses()
    }

    fn act<'a>(
        &'a self,
        tasks: Vec<TaskId>,
        action: TaskAction,
        who: &'a str,
    ) -> Answer<'a, Result<Vec<Acted>, BrokerError>> {
        Box::pin(self.store.act(tasks, action, who))
    }

    fn resume<'a>(
        &'a self,
        task: (TaskId, Option<i64>),
        goes: (u32, Option<JournalEntry>),
        onto: Option<[u8; 32]>,
        by: (&'a str, &'a str),
    ) -> Answer<'a, Result<bool, BrokerError>> {
        Box::pin(self.store.resume(task, goes, onto, by))
    }

    fn move_waiting<'a>(
        &'a self,
        task: TaskId,
        looked: Looked,
        onto: [u8; 32],
        by: (&'a str, &'a str),
    ) -> Answer<'a, Result<Option<Acted>, BrokerError>> {
        Box::pin(self.store.move_waiting(task, looked, onto, by))
    }

    fn disk(&self) -> Result<Disk, BrokerError> {
        self.store.disk()
    }

    fn in_doubt(&self) -> Result<u64, BrokerError> {
        self.store.read(Reader::in_doubt)
    }

    fn gaps(&self) -> Result<Vec<GapMark>, BrokerError> {
        self.store.read(|reader| reader.gaps(None))
    }

    fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskView>, BrokerError> {
        self.store.read(|reader| reader.tasks(filter))
    }

    fn selected(&self, tasks: TaskSelection) -> Result<Vec<TaskId>, BrokerError> {
        match tasks {
            TaskSelection::Ids(tasks) => Ok(tasks),
            TaskSelection::Matching(mut filter) => {
                let most = filter.limit.unwrap_or(MOST_TASKS);
                filter.limit = Some(most.min(MOST_TASKS));
                filter.lives = true;
                self.store.read(|reader| reader.task_ids(&filter))
            }
        }
    }

    fn task(&self, task: TaskId) -> Result<Option<TaskDetail>, BrokerError> {
        self.store.read(|reader| reader.task_by_id(task))
    }

    fn journal(&self, task: TaskId) -> Result<Vec<JournalEntry>, BrokerError> {
        self.store.read(|reader| reader.journal(task))
    }

    fn packet(&self, packet: PacketSeq) -> Result<Option<PacketRecord>, BrokerError> {
        self.store.read(|reader: &Reader| reader.packet(packet))
    }

    fn unmatched(
        &self,
        reason: &str,
        since: i64,
        most: usize,
    ) -> Result<Vec<PacketSeq>, BrokerError> {
        let filter = ArchiveFilter {
            since: Some(since),
            unmatched: Some(reason.to_owned()),
            ..ArchiveFilter::default()
        };
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.store
            .read(|reader| reader.archive(&filter, None, most))
    }

    fn next_dispatch(&self, packet: PacketSeq) -> Answer<'_, Result<u32, BrokerError>> {
        Box::pin(self.store.next_dispatch(packet))
    }

    fn submit(&self, submissions: Vec<Submission>) -> Answer<'_, Result<Vec<bool>, BrokerError>> {
        Box::pin(self.store.submit(submissions))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::Embedded;
    use crate::broker::conformance::{Fixture, conformance};

    fn embedded() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let broker = Embedded::open(directory.path(), BTreeSet::new()).unwrap();
        Fixture {
            broker: Arc::new(broker),
            _keep: Box::new(directory),
        }
    }

    conformance! {
        embedded;
        an_accepted_packet_makes_each_task_once,
        a_known_packet_makes_nothing,
        twins_in_one_batch_are_one_packet,
        an_older_routing_table_is_a_conflict,
        a_task_that_ended_is_not_leased_again,
        an_old_token_writes_nothing,
        a_task_that_is_given_back_does_not_count_the_attempt,
        a_retry_counts_and_keeps_only_the_prefix_of_its_journal,
        an_intent_is_replaced_by_its_answer,
        a_failed_task_is_set_aside,
        a_revoked_task_ends,
        tasks_of_a_held_plugin_wait,
        what_is_paused_is_not_leased_and_goes_on_after_it,
        a_person_restarts_and_drops_dead_letters_by_what_they_say,
        a_person_revokes_what_waits_and_asks_the_worker_of_what_runs,
        a_task_is_resumed_only_as_it_was_looked_at,
        a_persons_decision_about_a_plugin_is_kept,
        tasks_of_one_key_take_turns,
        values_are_written_with_the_outcome,
        a_child_is_made_once,
        a_task_goes_on_when_all_that_it_called_have_ended,
        a_task_that_sleeps_is_leased_when_it_is_due,
        the_first_task_to_claim_a_name_has_it,
        the_lowest_priority_number_is_served_first,
        a_blob_is_found_under_its_digest,
        a_follower_is_told_of_every_event,
    }
}
