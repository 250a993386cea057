//! A plugin over the archive of packets: what it would do, beside what was done.
//!
//! Each handler of the plugin runs dry on each archived packet that it matches, and its outcome
//! is held against that of the task which the same handler once made of the same packet. Where
//! the journal of that task is kept, its answers (clock, values, services) are given again.
//!
//! **Invariant:** nothing but reading is done to the store, beside a host or without one, and no
//! effect is made. Memory is bounded by the number of threads, not by that of packets: numbers
//! of packets are read page by page, outcomes are counted and differences handed on one by one.
//! A packet that cannot be read is counted, and ends nothing.

mod counts;
mod feed;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use gwasp_store::{ArchiveFilter, OpenError, Reader, StoreError};
use tokio_util::sync::CancellationToken;

pub(crate) use self::counts::{Counts, Outcomes};
use self::feed::Feed;
use crate::broker::{PacketRecord, PacketSeq};
use crate::dispatch::archived;
use crate::dryrun::{DryPlugin, Given, Outcome, Verdict, Was};
use crate::effects::{DryAnswer, Journal};
use crate::packet::Packet;
use crate::routes::{EntryKind, Manifest, Route};
use crate::task::packet_task_id;
use crate::workers::Ended;

/// Outcomes that wait to be shown.
const WAITING: usize = 256;

/// What is run, on what.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Directory of the store.
    pub(crate) store: PathBuf,
    /// Which packets.
    pub(crate) filter: ArchiveFilter,
    /// At most so many packets, the newest.
    pub(crate) limit: Option<u64>,
    /// Threads.
    pub(crate) jobs: u16,
    /// What services answer where no journal does.
    pub(crate) answers: Vec<DryAnswer>,
}

/// Why a back-test does not begin, or ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BacktestError {
    /// The store does not open.
    #[error("the store cannot be read; `--state DIR` names another")]
    Open(#[from] OpenError),
    /// The store does not say which packets there are.
    #[error("the archive cannot be listed; `gwasp ledger --verify` checks the store")]
    List(#[from] StoreError),
    /// A thread could not be had.
    #[error("there is no thread to run it on")]
    Thread(#[from] std::io::Error),
}

/// One handler on one packet.
#[derive(Debug)]
pub(crate) struct Compared {
    /// The packet.
    pub(crate) packet: PacketSeq,
    /// Its notice type or node.
    pub(crate) key: String,
    /// `PLUGIN.HANDLER`.
    pub(crate) handler: String,
    /// What was.
    pub(crate) was: Was,
    /// What is now; none where the plugin has no handler for it any more.
    pub(crate) is: Option<Outcome>,
    /// What that means.
    pub(crate) verdict: Verdict,
}

/// What is shown as it comes.
#[derive(Debug)]
pub(crate) enum Step {
    /// A packet was run.
    Packet,
    /// A handler was held against what was.
    Compared(Box<Compared>),
    /// A packet could not be read.
    Damaged(PacketSeq, StoreError),
}

/// Runs `plugin` over the archive until its end, or until `stop`; hands on each step to `see`,
/// which ends it where it returns an error.
///
/// # Errors
/// [`BacktestError`], or what `see` returned.
pub(crate) fn run<E: From<BacktestError>>(
    plugin: &DryPlugin,
    settings: &Settings,
    stop: &CancellationToken,
    mut see: impl FnMut(Step) -> Result<(), E>,
) -> Result<Counts, E> {
    let reader = Reader::open(&settings.store).map_err(BacktestError::from)?;
    let past = past_handlers(&reader, plugin.name())?;
    let feed = Feed::new(reader, settings.filter.clone(), settings.limit);
    let runner = Runner {
        plugin,
        settings,
        past: &past,
        feed: &feed,
        stop,
    };
    std::thread::scope(|scope| {
        let (steps, seen) = sync_channel(WAITING);
        let mut threads = Vec::new();
        for _ in 0..settings.jobs.max(1) {
            let steps = steps.clone();
            threads.push(scope.spawn(move || runner.work(&steps)));
        }
        drop(steps);
        let mut shown = Ok(());
        for step in &seen {
            shown = see(step);
            if shown.is_err() {
                stop.cancel();
                break;
            }
        }
        // Threads that wait to hand something on find nobody.
        drop(seen);
        let mut counts = Counts::default();
        for thread in threads {
            // A thread that panicked has told so itself.
            if let Ok(worked) = thread.join() {
                counts.add(worked?);
            }
        }
        shown?;
        Ok(counts)
    })
}

/// Names of the handlers that the plugin has in the store's routing table.
fn past_handlers(reader: &Reader, plugin: &str) -> Result<BTreeSet<String>, BacktestError> {
    let (_, routes) = reader.routes()?;
    let mut names = BTreeSet::new();
    for route in routes.iter().filter(|route| route.plugin == plugin) {
        // What a newer program wrote is left out; all handlers are new then.
        let Ok(manifest) = Manifest::read(&route.manifest) else {
            continue;
        };
        let handlers = manifest
            .entries
            .into_iter()
            .filter(|entry| matches!(entry.kind, EntryKind::Handler(_)));
        names.extend(handlers.map(|entry| entry.name));
    }
    Ok(names)
}

/// What the threads have in common.
#[derive(Clone, Copy)]
struct Runner<'a> {
    plugin: &'a DryPlugin,
    settings: &'a Settings,
    past: &'a BTreeSet<String>,
    feed: &'a Feed,
    stop: &'a CancellationToken,
}

impl Runner<'_> {
    /// Takes packets until there are none; on a thread of its own.
    fn work(self, steps: &SyncSender<Step>) -> Result<Counts, BacktestError> {
        let reader = Reader::open(&self.settings.store)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let mut counts = Counts::default();
        while !self.stop.is_cancelled()
            && let Some(packet) = self.feed.next()?
        {
            let told = match reader.packet(packet) {
                Ok(Some(record)) => {
                    let record = Arc::new(record);
                    let compared = runtime.block_on(self.compare(&reader, &record, &mut counts));
                    compared
                        .into_iter()
                        .try_for_each(|one| steps.send(Step::Compared(Box::new(one))))
                        .and_then(|()| steps.send(Step::Packet))
                }
                Ok(None) | Err(StoreError::Dropped { .. }) => {
                    counts.without_payload += 1;
                    steps.send(Step::Packet)
                }
                Err(error) => {
                    counts.damaged += 1;
                    steps.send(Step::Damaged(packet, error))
                }
            };
            if told.is_err() {
                break;
            }
        }
        Ok(counts)
    }

    /// Runs each handler that the packet matches, and looks for those that ran on it before and
    /// do not match any more.
    async fn compare(
        self,
        reader: &Reader,
        record: &Arc<PacketRecord>,
        counts: &mut Counts,
    ) -> Vec<Compared> {
        counts.packets += 1;
        let packet = archived(&record.packet);
        let routes = self.plugin.matching(&packet).unwrap_or_else(|unmatched| {
            *counts.unmatched.entry(unmatched.as_str()).or_default() += 1;
            Vec::new()
        });
        let mut all = Vec::new();
        for route in &routes {
            let Some(compared) = self.handler(reader, record, route, counts).await else {
                return all; // Stopped in the middle.
            };
            all.push(compared);
        }
        let gone = self
            .past
            .iter()
            .filter(|name| routes.iter().all(|route| route.entry.name != **name));
        for name in gone {
            let handler = format!("{}.{name}", self.plugin.name());
            let (was, _) = self.was(reader, &packet, name, &handler);
            if matches!(was, Was::Ended(_)) {
                counts.note_gone(&handler);
                all.push(Compared {
                    packet: record.seq,
                    key: record.packet.key.clone(),
                    handler,
                    was,
                    is: None,
                    verdict: Verdict::Gone,
                });
            }
        }
        all
    }

    /// Runs one handler; none where it was stopped.
    async fn handler(
        self,
        reader: &Reader,
        record: &Arc<PacketRecord>,
        route: &Route,
        counts: &mut Counts,
    ) -> Option<Compared> {
        let handler = route.name();
        let packet = archived(&record.packet);
        let (was, journal) = self.was(reader, &packet, &route.entry.name, &handler);
        let given = Given {
            began: packet.received,
            answers: &self.settings.answers,
            noted: journal.as_ref(),
            blobs: None,
            cancelled: self.stop,
        };
        let run = self.plugin.run_handler(record, route, given).await;
        if matches!(run.ended, Ended::GivenBack { .. }) && self.stop.is_cancelled() {
            return None;
        }
        let is = Outcome::of(&run.ended);
        let verdict = was.verdict(&is);
        counts.note(&handler, &is, verdict, (&run.asked, run.cpu));
        Some(Compared {
            packet: record.seq,
            key: record.packet.key.clone(),
            handler,
            was,
            is: Some(is),
            verdict,
        })
    }

    /// What became of the task of `handler` on `packet`, and its journal where it is kept. What
    /// cannot be read is as good as not kept.
    fn was(
        self,
        reader: &Reader,
        packet: &Packet,
        name: &str,
        handler: &str,
    ) -> (Was, Option<Journal>) {
        if !self.past.contains(name) {
            return (Was::New, None);
        }
        let task = packet_task_id(&packet.identity, handler, 0);
        let Ok(Some(detail)) = reader.task_by_id(task) else {
            return (Was::NotKept, None);
        };
        let journal = reader.journal(task).ok();
        let journal = journal.and_then(|stored| Journal::read(&stored).ok());
        (Was::of(&detail), journal)
    }
}
