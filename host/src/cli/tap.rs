//! `gwasp tap`.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use gwasp_store::{Event, EventKind, PacketSeq, PacketView, Reader, TaskDetail, TaskEvent};
use serde::Serialize;

use super::glob::Glob;
use super::store::StoreArgs;
use super::{table, when};
use crate::routes::Unmatched;

/// Events that are read at once.
const BATCH: usize = 500;
/// From one look at the store of another process to the next.
const LOOK: Duration = Duration::from_millis(500);
/// Packets that are remembered, so that a line about a task needs no further look.
const REMEMBERED: usize = 1_000;

/// What stands before the rest of a line.
const UNDER: &str = "            ";

/// Shows packets and what becomes of them, a line each, as it happens.
///
/// Follows what happens until it is interrupted; the host that runs is not slowed. A packet that
/// is held back has the reason. Lines that say the same are one, with their number.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp tap                          everything, from now on
  gwasp tap 'FERMI_*' gcn            packets of these types, and those of the stream gcn
  gwasp tap 'fermi-log.*' --since 1h --no-follow   outcomes of a plugin in the last hour
  gwasp tap heavy --json             what the queue heavy does, for a program")]
pub(super) struct Args {
    /// Only what has a source, key, handler or queue like one of these; `*` is anything.
    #[arg(value_name = "GLOB")]
    globs: Vec<Glob>,
    #[command(flatten)]
    store: StoreArgs,
    /// Begins then: a time, a day, or how long ago [default: now].
    #[arg(long, value_name = "TIME|DURATION", value_parser = when::moment)]
    since: Option<i64>,
    /// Ends with what has happened.
    #[arg(long)]
    no_follow: bool,
    /// One JSON object a line, and none folded.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let mut next = match args.since {
        Some(_) => 1,
        None => reader.last_event()?.saturating_add(1),
    };
    let mut tap = Tap {
        args,
        reader: &reader,
        packets: VecDeque::new(),
        fold: None,
    };
    loop {
        let read = reader.events(next, BATCH)?;
        next = read.next;
        let is_late = |event: &&Event| args.since.is_none_or(|since| event.at >= since);
        for event in read.events.iter().filter(is_late) {
            tap.see(event)?;
        }
        if !read.events.is_empty() {
            continue;
        }
        tap.flush()?;
        if args.no_follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK);
    }
}

/// A line, as a program reads it.
#[derive(Serialize)]
struct Row {
    at: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<i64>,
    source: String,
    key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    handler: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    queue: String,
    /// Why it was held back, or failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

/// Lines that say the same.
struct Fold {
    at: String,
    line: String,
    why: String,
    times: u64,
}

struct Tap<'a> {
    args: &'a Args,
    reader: &'a Reader,
    packets: VecDeque<PacketView>,
    fold: Option<Fold>,
}

impl Tap<'_> {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        // That a task was made is the packet's line; its end is the next.
        if event.kind == EventKind::Made {
            return Ok(());
        }
        let row = self.row(event);
        let names = [&row.source, &row.key, &row.handler, &row.queue];
        let globs = &self.args.globs;
        let fits = |glob: &Glob| names.iter().any(|name| glob.matches(name));
        if !globs.is_empty() && !globs.iter().any(fits) {
            return Ok(());
        }
        if self.args.json {
            return table::print_json(&[row]);
        }
        let what = if row.handler.is_empty() {
            &row.source
        } else {
            &row.handler
        };
        let line = format!("{:<9}  {:<23}  {what}", row.kind, row.key);
        match &mut self.fold {
            Some(fold) if fold.line == line && fold.why == row.why => fold.times += 1,
            _ => {
                self.flush()?;
                self.fold = Some(Fold {
                    at: row.at,
                    line,
                    why: row.why,
                    times: 1,
                });
            }
        }
        Ok(())
    }

    /// Writes the line that waits for others like it.
    fn flush(&mut self) -> anyhow::Result<()> {
        use std::io::Write as _;
        let Some(fold) = self.fold.take() else {
            return Ok(());
        };
        let Fold {
            at,
            line,
            why,
            times,
        } = fold;
        // `HH:MM:SS` of an RFC 3339 time.
        let at = at.get(11..19).unwrap_or(&at);
        let times = if times > 1 {
            format!("  ({times} times)")
        } else {
            String::new()
        };
        let edge = table::edge();
        let line = table::clean(&format!("{at}  {}{times}", line.trim_end()));
        let why = table::clean(&why);
        let mut out = std::io::stdout().lock();
        let width = line.chars().count() + 2 + why.chars().count();
        if why.is_empty() || width <= edge {
            let both = format!("{line}  {why}");
            writeln!(out, "{}", table::cut(both.trim_end(), edge))?;
        } else {
            // Why is what a person looks for: it has a line of its own rather than half of one.
            writeln!(out, "{}", table::cut(&line, edge))?;
            writeln!(out, "{}", table::cut(&format!("{UNDER}{why}"), edge))?;
        }
        Ok(out.flush()?)
    }

    /// What is known of an event. What cannot be read, or is not kept any more, is left empty.
    fn row(&mut self, event: &Event) -> Row {
        let packet = event.packet.and_then(|seq| self.packet(seq));
        let task = event.task.as_ref();
        let detail = task.and_then(|task| self.reader.task_by_id(task.id).ok().flatten());
        let why = match (event.kind, &packet) {
            (EventKind::Accepted, Some(packet)) => held_back(packet),
            (EventKind::Refused, _) => "no packet: `gwasp ledger` counts it".to_owned(),
            (EventKind::Retry | EventKind::SetAside | EventKind::Revoked, _) => {
                detail.as_ref().map(failed).unwrap_or_default()
            }
            _ => String::new(),
        };
        let (source, key) = packet.map(|packet| (packet.source, packet.key)).unzip();
        let handler = |task: &TaskEvent| format!("{}.{}", task.plugin, task.handler);
        Row {
            at: table::moment(event.at),
            kind: event.kind.as_str(),
            packet: event.packet.map(|PacketSeq(seq)| seq),
            source: source.unwrap_or_default(),
            key: key.unwrap_or_default(),
            handler: task.map(handler).unwrap_or_default(),
            queue: detail.map(|detail| detail.task.queue).unwrap_or_default(),
            why,
        }
    }

    fn packet(&mut self, seq: PacketSeq) -> Option<PacketView> {
        if let Some(known) = self.packets.iter().rev().find(|packet| packet.seq == seq) {
            return Some(known.clone());
        }
        let packet = self.reader.packet_view(seq).ok()??;
        if self.packets.len() == REMEMBERED {
            self.packets.pop_front();
        }
        self.packets.push_back(packet.clone());
        Some(packet)
    }
}

/// Why no handler ran.
fn held_back(packet: &PacketView) -> String {
    let Some(reason) = &packet.unmatched else {
        return String::new();
    };
    let advice = Unmatched::named(reason).map_or("", Unmatched::advice);
    format!("{reason} (role {}): {advice}", packet.role)
}

/// Why an attempt failed.
fn failed(detail: &TaskDetail) -> String {
    let failure = detail.task.failure.as_ref();
    failure.map_or_else(String::new, |failure| {
        format!("{}: {}", failure.kind, failure.message)
    })
}
