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
        print_head()?;
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
        }
    }
}

#[derive(Serialize)]
struct GapRow {
    gap: (u64, u64),
}

fn print_head() -> std::io::Result<()> {
    writeln!(
        std::io::stdout().lock(),
        "{:<10}  {:<24}  {:<9}  {:<8}  {:<36}  {:>8}  HANDLER",
        "NUMBER",
        "AT",
        "KIND",
        "PACKET",
        "TASK",
        "CPU"
    )
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
        let line = format!(
            "{:<10}  {:<24}  {:<9}  {:<8}  {:<36}  {:>8}  {}",
            row.number,
            row.at,
            row.kind,
            packet.unwrap_or_default(),
            row.task.unwrap_or_default(),
            cpu.unwrap_or_default(),
            row.handler.unwrap_or_default()
        );
        writeln!(out, "{}", table::clean(&line))?;
    }
    Ok(())
}
