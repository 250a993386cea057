//! `gwasp packet`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use gwasp_store::{PacketFilter, PacketSeq, PacketView};
use serde::Serialize;

use super::store::StoreArgs;
use super::table;
use crate::packet::Digest;

/// Looks at packets.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists packets, newest first.
    List(ListArgs),
    /// Shows one packet, or writes its exact bytes.
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Only of this stream.
    #[arg(long)]
    source: Option<String>,
    /// Only of this notice type or node.
    #[arg(long)]
    key: Option<String>,
    /// Only with this IVORN.
    #[arg(long)]
    id: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
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

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let filter = PacketFilter {
        source: args.source.clone(),
        key: args.key.clone(),
        id: args.id.clone(),
        since: None,
        limit: Some(args.limit),
    };
    let rows: Vec<Row> = args
        .store
        .open()?
        .packets(&filter)?
        .into_iter()
        .map(Row::of)
        .collect();
    if args.json {
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
                row.id,
                fate,
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
            "ID",
            "UNMATCHED",
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
    let row = Row::of(reader.packet_view(seq)?.with_context(missing)?);
    if args.json {
        table::print_json(&[row])?;
        return Ok(ExitCode::SUCCESS);
    }
    let serde_json::Value::Object(fields) = serde_json::to_value(&row)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut out = std::io::stdout().lock();
    for (name, value) in fields {
        match value {
            serde_json::Value::String(text) => writeln!(out, "{name:<10} {text}")?,
            serde_json::Value::Null => {}
            other => writeln!(out, "{name:<10} {other}")?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
