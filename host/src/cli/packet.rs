//! `gwasp packet`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use gwasp_store::{PacketFilter, PacketSeq, PacketView, Reader};
use serde::Serialize;

use super::store::{ListArgs, StoreArgs};
use super::table;
use crate::packet::Digest;
use crate::routes::{Manifest, Unmatched};
use crate::task::packet_task_id;
use crate::text::printable;

/// Looks at packets.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists packets, newest first.
    List(PacketListArgs),
    /// Shows one packet, or writes its exact bytes.
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
struct PacketListArgs {
    #[command(flatten)]
    list: ListArgs,
    /// Only of this stream.
    #[arg(long)]
    source: Option<String>,
    /// Only of this notice type or node.
    #[arg(long)]
    key: Option<String>,
    /// Only with this IVORN.
    #[arg(long)]
    id: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The packet's number, as `gwasp packet list` has it.
    number: i64,
    /// Writes the packet's exact bytes and nothing else.
    #[arg(long)]
    raw: bool,
    /// As JSON.
    #[arg(long, conflicts_with = "raw")]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
    }
}

#[derive(Serialize)]
struct Row {
    number: i64,
    source: String,
    key: String,
    id: String,
    role: String,
    received: String,
    bytes: u64,
    repeats: u64,
    digest: String,
    flags: Vec<String>,
    unmatched: Option<String>,
    /// Says so where the payload is no longer kept.
    payload: Option<String>,
}

impl Row {
    fn of(packet: PacketView) -> Self {
        let PacketSeq(number) = packet.seq;
        Self {
            number,
            source: packet.source,
            key: packet.key,
            id: packet.id,
            role: packet.role,
            received: table::moment(packet.received),
            bytes: packet.length,
            repeats: packet.repeats,
            digest: Digest::from_bytes(packet.digest).to_string(),
            flags: packet.flags,
            unmatched: packet.unmatched,
            payload: packet
                .dropped
                .map(|since| format!("no longer kept since {}", table::moment(since))),
        }
    }
}

fn list(args: &PacketListArgs) -> anyhow::Result<ExitCode> {
    let filter = PacketFilter {
        source: args.source.clone(),
        key: args.key.clone(),
        id: args.id.clone(),
        since: None,
        limit: Some(args.list.limit),
    };
    let reader = args.list.store.open()?;
    let rows: Vec<Row> = reader.packets(&filter)?.into_iter().map(Row::of).collect();
    if args.list.json {
        table::print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let fate = row.unmatched.unwrap_or_default();
            vec![
                row.number.to_string(),
                row.received,
                row.source,
                row.key,
                row.role,
                fate,
                row.id,
            ]
        })
        .collect();
    table::print(
        &[
            "NUMBER",
            "RECEIVED",
            "SOURCE",
            "KEY",
            "ROLE",
            "UNMATCHED",
            "ID",
        ],
        &cells,
    )?;
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let seq = PacketSeq(args.number);
    let missing = || {
        format!(
            "there is no packet {}: it expired, or never was",
            args.number
        )
    };
    if args.raw {
        let record = reader.packet(seq)?.with_context(missing)?;
        std::io::stdout().lock().write_all(&record.packet.payload)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = Shown {
        row: Row::of(reader.packet_view(seq)?.with_context(missing)?),
        tasks: tasks(&reader, seq)?,
    };
    if args.json {
        table::print_json(&[shown])?;
    } else {
        print(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    tasks: Vec<TaskRow>,
}

#[derive(Serialize)]
struct TaskRow {
    id: String,
    state: &'static str,
    handler: String,
}

/// The tasks that the packet made for handlers that are still declared: a task's id follows from
/// its packet and its handler.
fn tasks(reader: &Reader, seq: PacketSeq) -> anyhow::Result<Vec<TaskRow>> {
    let Some(record) = reader.packet(seq)? else {
        return Ok(Vec::new());
    };
    let identity = Digest::from_bytes(record.packet.identity);
    let (_, routes) = reader.routes()?;
    let mut rows = Vec::new();
    for route in routes {
        // What a newer program wrote is left out; `gwasp run` says so.
        let Ok(manifest) = Manifest::read(&route.manifest) else {
            continue;
        };
        for entry in manifest.entries {
            let handler = format!("{}.{}", route.plugin, entry.name);
            let id = packet_task_id(&identity, &handler, 0);
            if let Some(detail) = reader.task_by_id(id)? {
                rows.push(TaskRow {
                    id: id.to_string(),
                    state: super::task::state(detail.task.state),
                    handler,
                });
            }
        }
    }
    Ok(rows)
}

fn print(shown: &Shown) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if let serde_json::Value::Object(fields) = serde_json::to_value(&shown.row)? {
        for (name, value) in fields {
            match value {
                serde_json::Value::String(text) => {
                    writeln!(out, "{name:<10} {}", printable(&text))?;
                }
                serde_json::Value::Array(list) if list.is_empty() => {}
                serde_json::Value::Null => {}
                other => writeln!(out, "{name:<10} {other}")?,
            }
        }
    }
    let unmatched = shown.row.unmatched.as_deref();
    if let Some(reason) = unmatched.and_then(Unmatched::named) {
        writeln!(out, "{:<10} {}", "", reason.advice())?;
    }
    for task in &shown.tasks {
        let TaskRow { id, state, handler } = task;
        writeln!(out, "{:<10} {id}  {state:<7}  {handler}", "task")?;
    }
    Ok(())
}
