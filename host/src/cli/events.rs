//! `gwasp events`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use gwasp_store::{Event, Events, PacketSeq};
use serde::Serialize;

use super::store::StoreArgs;
use super::table;

/// Events that are read at once.
const BATCH: usize = 1_000;
/// From one look at the store of another process to the next.
const LOOK: Duration = Duration::from_millis(500);

/// Shows what happened to packets and tasks, in order, as long as it is remembered.
///
/// Each event has a number; a reader goes on after the last that it saw. Numbers that are no
/// longer kept are told as a gap.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp events                      the last 50
  gwasp events --follow             the last 50, and then what happens
  gwasp events --after 0 --json     everything that is remembered, for a program
  gwasp events --after 1200         what happened since event 1200")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Only events with a higher number.
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Goes on with what happens, until it is interrupted.
    #[arg(long)]
    follow: bool,
    /// How many of the last events to begin with.
    #[arg(long, default_value_t = 50, conflicts_with = "after")]
    limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    // Who does not say where to go on misses nothing that is gone.
    let mut next = match args.after {
        Some(after) => after.saturating_add(1),
        None => {
            let last = reader.last_event()?;
            let first = reader
                .events(1, 1)?
                .events
                .first()
                .map(|event| event.number);
            let wanted = last.saturating_add(1).saturating_sub(u64::from(args.limit));
            wanted.max(first.unwrap_or(1))
        }
    };
    if !args.json {
        let head = ["NUMBER", "AT", "KIND", "PACKET", "TASK", "CPU", "HANDLER"];
        write(&mut std::io::stdout().lock(), &head.map(str::to_owned))?;
    }
    loop {
        let read = reader.events(next, BATCH)?;
        print(&read, args)?;
        next = read.next;
        if !read.events.is_empty() {
            continue;
        }
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK);
    }
}

#[derive(Serialize)]
struct Row {
    number: u64,
    at: String,
    kind: &'static str,
    packet: Option<i64>,
    task: Option<String>,
    handler: Option<String>,
    cpu_us: Option<u64>,
    started: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

impl Row {
    fn of(event: &Event) -> Self {
        let task = event.task.as_ref();
        Self {
            number: event.number,
            at: table::moment(event.at),
            kind: event.kind.as_str(),
            packet: event.packet.map(|PacketSeq(seq)| seq),
            task: task.map(|task| task.id.to_string()),
            handler: task.map(|task| format!("{}.{}", task.plugin, task.handler)),
            cpu_us: task.and_then(|task| task.started.map(|_| task.cpu / 1_000)),
            started: task.and_then(|task| task.started.map(table::moment)),
            shadow: task.is_some_and(|task| task.is_shadow),
        }
    }
}

#[derive(Serialize)]
struct GapRow {
    gap: (u64, u64),
}

/// Characters that a row needs; a terminal that has fewer gets the narrow one.
const WIDE: usize = 128;
/// How much of a task's id a narrow row has: `gwasp task show` takes the beginning.
const SHORT_ID: usize = 13;

/// Writes a row; what comes next is not known, so that its columns have a fixed width.
fn write(out: &mut impl std::io::Write, cells: &[String; 7]) -> std::io::Result<()> {
    let [number, at, kind, packet, task, cpu, handler] = cells;
    let edge = table::edge();
    let line = if edge >= WIDE {
        format!("{number:<10}  {at:<24}  {kind:<9}  {packet:<8}  {task:<36}  {cpu:>8}  {handler}")
    } else {
        // `MM-DD HH:MM:SS` of an RFC 3339 time.
        let at = at.get(5..19).map_or(at.clone(), |at| at.replace('T', " "));
        let task: String = task.chars().take(SHORT_ID).collect();
        format!("{number:<7} {at:<14}  {kind:<9}  {packet:<6}  {task:<SHORT_ID$}  {handler}")
    };
    writeln!(out, "{}", table::cut(table::clean(&line).trim_end(), edge))
}

fn print(read: &Events, args: &Args) -> anyhow::Result<()> {
    if args.json {
        let gap = read.gap.map(|gap| GapRow { gap });
        table::print_json(gap.as_slice())?;
        return table::print_json(&read.events.iter().map(Row::of).collect::<Vec<_>>());
    }
    let mut out = std::io::stdout().lock();
    if let Some((from, to)) = read.gap {
        writeln!(out, "gap: events {from} to {to} are not there")?;
    }
    for event in &read.events {
        let row = Row::of(event);
        let packet = row.packet.map(|packet| packet.to_string());
        let cpu = row.cpu_us.map(|cpu| format!("{cpu} us"));
        let cells = [
            row.number.to_string(),
            row.at,
            row.kind.to_owned(),
            packet.unwrap_or_default(),
            row.task.unwrap_or_default(),
            cpu.unwrap_or_default(),
            row.handler.unwrap_or_default() + if row.shadow { " (shadow)" } else { "" },
        ];
        write(&mut out, &cells)?;
    }
    Ok(())
}
