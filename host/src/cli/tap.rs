//! `gwasp tap`.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use gwasp_store::{
    Event, EventKind, Nanos, PacketSeq, PacketView, Pause, Reader, TaskDetail, TaskEvent, TaskView,
};
use serde::Serialize;

use super::glob::Glob;
use super::store::StoreArgs;
use super::{table, when};
use crate::control;
use crate::packet::unix_nanos;
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
        pauses: Vec::new(),
        fold: None,
    };
    loop {
        let read = reader.events(next, BATCH)?;
        next = read.next;
        tap.pauses = reader.pauses(unix_nanos(jiff::Timestamp::now()))?;
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
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
    /// What is paused now.
    pauses: Vec<Pause>,
    fold: Option<Fold>,
}

impl Tap<'_> {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        let row = self.row(event);
        // That a task was made is the packet's line, and its end is the next, unless it is held.
        if event.kind == EventKind::Made && row.why.is_empty() {
            return Ok(());
        }
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
        let shadow = if row.shadow { " (shadow)" } else { "" };
        let line = format!("{:<9}  {:<23}  {what}{shadow}", row.kind, row.key);
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
            // Why is what a person looks for: it has lines of its own rather than half of one.
            writeln!(out, "{}", table::cut(&line, edge))?;
            let width = edge.saturating_sub(UNDER.len());
            for part in why.split("\\n").flat_map(|part| table::lines(part, width)) {
                if !part.trim().is_empty() {
                    writeln!(out, "{UNDER}{part}")?;
                }
            }
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
                let detail = detail.as_ref();
                detail.map_or_else(String::new, |detail| failed(detail, event.at))
            }
            (EventKind::Resumed, _) => {
                let detail = detail.as_ref();
                detail.map_or_else(String::new, |detail| decided(detail, event.at))
            }
            (EventKind::Made, _) => {
                let task = detail.as_ref().map(|detail| &detail.task);
                task.and_then(|task| paused(task, event.at, &self.pauses))
                    .unwrap_or_default()
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
            shadow: task.is_some_and(|task| task.is_shadow),
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

/// Why an attempt failed that ended at a moment: the task may have failed otherwise since.
fn failed(detail: &TaskDetail, at: Nanos) -> String {
    let mut failures = detail.past.iter().chain(&detail.failed);
    let failed = failures.find(|failed| failed.at == at);
    failed.map_or_else(
        || "why is not known any more".to_owned(),
        |failed| format!("{}: {}", failed.failure.kind, failed.failure.message),
    )
}

/// Who had a task go on.
fn decided(detail: &TaskDetail, at: Nanos) -> String {
    let mut decisions = detail.decisions.iter();
    let decided = decisions.find(|decided| decided.at == at);
    decided.map_or_else(String::new, |decided| {
        format!("{} by {}", decided.what, decided.who)
    })
}

/// By which pause a task was held when it was made, where it is by one that goes on.
fn paused(task: &TaskView, made: Nanos, pauses: &[Pause]) -> Option<String> {
    let told: Vec<control::Pause> = pauses.iter().cloned().map(control::Pause::from).collect();
    let covers = |pause: &&control::Pause| {
        unix_nanos(pause.since) <= made
            && pause.scope.covers(&task.plugin, &task.handler, &task.queue)
    };
    let pause = told.iter().find(covers)?;
    Some(format!("held: {} is paused by {}", pause.scope, pause.who))
}

#[cfg(test)]
mod tests {
    use gwasp_store::{FailedAttempt, Failure, Scope, TaskDetail};

    use super::{Pause, failed, paused};
    use crate::cli::task::tests_task;

    #[test]
    fn an_old_line_has_the_reason_of_then() {
        let attempt = |at, message: &str| FailedAttempt {
            attempt: 1,
            at,
            failure: Failure {
                kind: "error".to_owned(),
                message: message.to_owned(),
                detail: None,
            },
        };
        let detail = TaskDetail {
            task: tests_task(),
            failed: vec![attempt(7, "new")],
            past: vec![attempt(3, "old")],
            decisions: Vec::new(),
            args: None,
            result: None,
            waits_for: Vec::new(),
        };
        assert_eq!(failed(&detail, 3), "error: old");
        assert_eq!(failed(&detail, 7), "error: new");
        assert_eq!(failed(&detail, 5), "why is not known any more");
    }

    #[test]
    fn a_task_is_held_by_a_pause_from_before_it_was_made() {
        let pauses = [Pause {
            scope: Scope::Queue("q".to_owned()),
            since: 5,
            until: None,
            who: "user 7".to_owned(),
        }];
        let task = tests_task();
        assert_eq!(paused(&task, 4, &pauses), None);
        let told = paused(&task, 5, &pauses).unwrap();
        assert_eq!(told, "held: queue q is paused by user 7");
    }
}
