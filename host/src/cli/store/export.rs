//! `gwasp store export`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gwasp_store::{Event, PacketSeq, PacketView, Reader, StoreError, TaskView};
use serde::Serialize;

use super::StoreArgs;
use crate::cli::{complain, table};
use crate::packet::{Digest, from_unix_nanos};

/// Rows that are read at once.
const BATCH: u32 = 500;

/// Writes packets, tasks and events as JSON lines, oldest first, each with its `type`.
///
/// A host may be running on the store. What is damaged is named on stderr and left out; the exit
/// code is 1 then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp store export > everything.jsonl
  gwasp store export --out packets.jsonl --payloads payloads
  gwasp store export | jq 'select(.type == \"task\")'")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// File to write [default: stdout].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Writes payloads as files named by their SHA-256 into this directory, instead of as base64
    /// into the lines.
    #[arg(long, value_name = "DIR")]
    payloads: Option<PathBuf>,
}

#[derive(Serialize)]
struct Packet {
    r#type: &'static str,
    number: i64,
    source: String,
    key: String,
    id: String,
    identity: String,
    digest: String,
    role: String,
    received: String,
    sent: Option<String>,
    content_type: String,
    headers: Vec<(String, String)>,
    flags: Vec<String>,
    unmatched: Option<String>,
    same_as: Option<i64>,
    repeats: u64,
    length: u64,
    dropped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_file: Option<String>,
}

#[derive(Serialize)]
struct Task {
    r#type: &'static str,
    id: String,
    handler: String,
    queue: String,
    state: &'static str,
    parent: Option<String>,
    packet: Option<i64>,
    priority: u8,
    order_key: Option<String>,
    attempts: u32,
    made: String,
    due: String,
    started: Option<String>,
    ended: Option<String>,
    deadline: Option<String>,
    cpu_us: u64,
    version: Option<String>,
    kind: Option<String>,
    error: Option<String>,
    args_base64: Option<String>,
    result_base64: Option<String>,
}

#[derive(Serialize)]
struct Happened {
    r#type: &'static str,
    number: u64,
    at: String,
    kind: &'static str,
    packet: Option<i64>,
    task: Option<String>,
}

/// Where lines go, and what was left out.
struct Lines<'a> {
    out: Box<dyn Write>,
    payloads: Option<&'a Path>,
    damaged: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    if let Some(folder) = &args.payloads {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("{} cannot be made", path.display()))?,
        )),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let mut lines = Lines {
        out,
        payloads: args.payloads.as_deref(),
        damaged: 0,
    };
    packets(&reader, &mut lines)?;
    tasks(&reader, &mut lines)?;
    events(&reader, &mut lines)?;
    lines.out.flush()?;
    Ok(if lines.damaged == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Lines<'_> {
    fn write(&mut self, row: &impl Serialize) -> anyhow::Result<()> {
        writeln!(self.out, "{}", table::json(row)?)?;
        Ok(())
    }

    fn leave_out(&mut self, error: StoreError) {
        self.damaged += 1;
        complain(&anyhow::Error::new(error).context("left out"));
    }
}

fn packets(reader: &Reader, lines: &mut Lines<'_>) -> anyhow::Result<()> {
    let mut from = 0;
    loop {
        let views = match reader.packets_from(PacketSeq(from), BATCH) {
            Ok(views) => views,
            Err(error @ StoreError::Corrupt { .. }) => {
                return one_by_one(reader, from, error, lines);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(last) = views.last() else {
            return Ok(());
        };
        from = last.seq.0 + 1;
        for view in views {
            packet(reader, view, lines)?;
        }
    }
}

/// Goes on after a damaged row, which fails its whole batch.
fn one_by_one(
    reader: &Reader,
    from: i64,
    error: StoreError,
    lines: &mut Lines<'_>,
) -> anyhow::Result<()> {
    lines.leave_out(error);
    let newest = reader.last_packet()?;
    for seq in from..=newest {
        match reader.packet_view(PacketSeq(seq)) {
            Ok(Some(view)) => packet(reader, view, lines)?,
            Ok(None) => {}
            Err(error @ StoreError::Corrupt { .. }) => lines.leave_out(error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn packet(reader: &Reader, view: PacketView, lines: &mut Lines<'_>) -> anyhow::Result<()> {
    let (payload, headers) = match reader.packet(view.seq) {
        Ok(record) => record.map_or((None, Vec::new()), |record| {
            (Some(record.packet.payload), record.packet.headers)
        }),
        Err(StoreError::Dropped { .. }) => (None, Vec::new()),
        Err(error) => {
            lines.leave_out(error);
            return Ok(());
        }
    };
    let digest = Digest::from_bytes(view.digest).to_string();
    let (mut payload_base64, mut payload_file) = (None, None);
    match (payload, lines.payloads) {
        (Some(payload), Some(folder)) => {
            let path = folder.join(&digest);
            fs::write(&path, &payload)
                .with_context(|| format!("{} cannot be written", path.display()))?;
            payload_file = Some(digest.clone());
        }
        (Some(payload), None) => payload_base64 = Some(BASE64_STANDARD.encode(&payload)),
        (None, _) => {}
    }
    lines.write(&Packet {
        r#type: "packet",
        number: view.seq.0,
        source: view.source,
        key: view.key,
        id: view.id,
        identity: Digest::from_bytes(view.identity).to_string(),
        digest,
        role: view.role,
        received: exact(view.received),
        sent: view.sent.map(exact),
        content_type: view.content_type,
        headers,
        flags: view.flags,
        unmatched: view.unmatched,
        same_as: view.same_as.map(|PacketSeq(seq)| seq),
        repeats: view.repeats,
        length: view.length,
        dropped: view.dropped.map(exact),
        payload_base64,
        payload_file,
    })
}

fn tasks(reader: &Reader, lines: &mut Lines<'_>) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let views = reader.tasks_after(after, BATCH)?;
        let Some((last, _)) = views.last() else {
            return Ok(());
        };
        after = *last;
        for (_, view) in views {
            match reader.task_by_id(view.id) {
                Ok(Some(detail)) => {
                    let encoded = |bytes: bytes::Bytes| BASE64_STANDARD.encode(bytes);
                    let (args, result) = (detail.args.map(encoded), detail.result.map(encoded));
                    lines.write(&one_task(detail.task, args, result))?;
                }
                Ok(None) => {}
                Err(error) => lines.leave_out(error),
            }
        }
    }
}

fn one_task(view: TaskView, args_base64: Option<String>, result_base64: Option<String>) -> Task {
    let (kind, error) = view
        .failure
        .map(|failure| (failure.kind, failure.message))
        .unzip();
    Task {
        r#type: "task",
        id: view.id.to_string(),
        handler: format!("{}.{}", view.plugin, view.handler),
        queue: view.queue,
        state: view.state.as_str(),
        parent: view.parent.map(|parent| parent.to_string()),
        packet: view.packet.map(|PacketSeq(seq)| seq),
        priority: view.priority,
        order_key: view.order_key,
        attempts: view.attempts,
        made: exact(view.made),
        due: exact(view.due),
        started: view.started.map(exact),
        ended: view.ended.map(exact),
        deadline: view.deadline.map(exact),
        cpu_us: view.cpu / 1_000,
        version: view
            .version
            .map(|version| Digest::from_bytes(version).to_string()),
        kind,
        error,
        args_base64,
        result_base64,
    }
}

fn events(reader: &Reader, lines: &mut Lines<'_>) -> anyhow::Result<()> {
    let mut next = 1;
    loop {
        let read = reader.events(next, usize::try_from(BATCH).unwrap_or(1))?;
        next = read.next;
        if read.events.is_empty() {
            return Ok(());
        }
        for event in read.events {
            lines.write(&happened(&event))?;
        }
    }
}

fn happened(event: &Event) -> Happened {
    Happened {
        r#type: "event",
        number: event.number,
        at: exact(event.at),
        kind: event.kind.as_str(),
        packet: event.packet.map(|PacketSeq(seq)| seq),
        task: event.task.as_ref().map(|task| task.id.to_string()),
    }
}

/// A moment with all of its digits: UTC, RFC 3339, nanoseconds.
fn exact(nanos: i64) -> String {
    format!("{:.9}", from_unix_nanos(nanos))
}
