//! Which packets a plugin is run on: files, or what a host has kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use gwasp_store::{ArchiveFilter, PacketSeq, Reader};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::broker::PacketRecord;
use crate::cli::test::{self, Row};
use crate::dispatch::archived;
use crate::dryrun::{DryPlugin, Given};
use crate::effects::{DryAnswer, Journal};
use crate::packet::Packet;
use crate::routes::Route;
use crate::task::packet_task_id;

/// How many of the newest packets are looked at for one that the plugin asks for.
const NEWEST: usize = 20_000;
/// Numbers of packets that are read at once.
const PAGE: u32 = 500;

/// Where packets come from.
#[derive(Clone, Debug)]
pub(super) enum Packets {
    /// These files.
    Files(Vec<PathBuf>),
    /// The last packet of this store that the plugin asks for.
    Store(PathBuf),
    /// Nowhere: nobody named any.
    None,
}

/// What each run is given.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    pub(super) packets: Packets,
    pub(super) answers: Option<PathBuf>,
    /// The time that handlers read: the same in each round, so that rounds can be compared.
    pub(super) began: Timestamp,
}

impl Runs {
    /// Runs each handler on each packet.
    pub(super) async fn run(
        &self,
        plugin: &DryPlugin,
        stop: &CancellationToken,
    ) -> anyhow::Result<Vec<Row>> {
        let answers = test::answers(self.answers.as_deref())?;
        match &self.packets {
            Packets::Files(files) => {
                let mut rows = Vec::new();
                for file in files {
                    rows.extend(self.on_file(plugin, file, (&answers, stop)).await);
                }
                Ok(rows)
            }
            Packets::Store(directory) => on_store(plugin, directory, (&answers, stop)).await,
            Packets::None => Ok(Vec::new()),
        }
    }

    async fn on_file(
        &self,
        plugin: &DryPlugin,
        file: &Path,
        (answers, stop): (&[DryAnswer], &CancellationToken),
    ) -> Vec<Row> {
        let name = file.display().to_string();
        let packet = match test::read(file, self.began) {
            Ok(packet) => packet,
            Err(reason) => return vec![Row::without_run(name, "refused", reason)],
        };
        match plugin.run(&packet, answers, stop).await {
            Ok(outcomes) => {
                let outcomes = outcomes.into_iter();
                outcomes.map(|outcome| Row::of(&name, outcome)).collect()
            }
            Err(reason) => vec![Row::unmatched(name, &packet, reason)],
        }
    }
}

/// Runs the last packet that the plugin asks for, with the answers that its tasks got.
async fn on_store(
    plugin: &DryPlugin,
    directory: &Path,
    (answers, stop): (&[DryAnswer], &CancellationToken),
) -> anyhow::Result<Vec<Row>> {
    let reader = Reader::open(directory)
        .with_context(|| format!("no store can be read in {}", directory.display()))?;
    let Some((record, packet, routes)) = last_matching(&reader, plugin)? else {
        let name = format!("the newest {NEWEST} packets in {}", directory.display());
        let reason = "no handler asks for any of them; `--packet FILE` names a notice";
        return Ok(vec![Row::without_run(name, "unmatched", reason.to_owned())]);
    };
    let name = format!("packet {} {}", record.seq.0, record.packet.key);
    let mut rows = Vec::new();
    for route in &routes {
        let journal = noted(&reader, &packet, route);
        let given = Given {
            began: packet.received,
            answers,
            noted: journal.as_ref(),
            blobs: None,
            cancelled: stop,
        };
        let outcome = plugin.run_handler(&record, route, given).await;
        rows.push(Row::of(&name, outcome));
    }
    Ok(rows)
}

type Found = (Arc<PacketRecord>, Packet, Vec<Arc<Route>>);

fn last_matching(reader: &Reader, plugin: &DryPlugin) -> anyhow::Result<Option<Found>> {
    let mut before: Option<PacketSeq> = None;
    let mut looked = 0;
    while looked < NEWEST {
        let page = reader.archive(&ArchiveFilter::default(), before, PAGE)?;
        if page.is_empty() {
            return Ok(None);
        }
        looked += page.len();
        before = page.last().copied();
        for number in page {
            // One that is damaged, or has no payload any more, is passed over.
            let Ok(Some(record)) = reader.packet(number) else {
                continue;
            };
            let packet = archived(&record.packet);
            if let Ok(routes) = plugin.matching(&packet) {
                return Ok(Some((Arc::new(record), packet, routes)));
            }
        }
    }
    Ok(None)
}

/// The journal of the task that the handler once made of the packet, where it is kept.
fn noted(reader: &Reader, packet: &Packet, route: &Route) -> Option<Journal> {
    let task = packet_task_id(&packet.identity, &route.name(), 0);
    let stored = reader.journal(task).ok()?;
    Journal::read(&stored).ok()
}
