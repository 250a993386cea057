//! `gwasp packet`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use gwasp_store::{
    Origin, PacketFilter, PacketSeq, PacketView, Reader, StoreError, TaskFilter, TaskView,
};
use serde::Serialize;

use super::control::HostArgs;
use super::store::{ListArgs, StoreArgs};
use super::table::{self, Column};
use super::task::{Live, STARTED};
use super::when;
use crate::complaint::Said;
use crate::control::{Held, HeldAnswer, HeldRequest, RedispatchAnswer, RedispatchRequest};
use crate::explain::code;
use crate::packet::{Digest, from_unix_nanos};
use crate::routes::{Manifest, Unmatched};
use crate::task::packet_task_id;
use crate::text::chain;

/// Most tasks of a packet that are listed; more cannot live at once.
const MOST_TASKS: u32 = 10_000;

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
    /// Has a running host make new tasks of a packet.
    Redispatch(RedispatchArgs),
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

/// Has a running host make new tasks of a packet that it keeps.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp packet redispatch 42                           to the handlers that it matches now
  gwasp packet redispatch 42 --to fermi-log.log_position
  gwasp packet redispatch --held role --since 1d       tests, once a handler has `accept(test)`")]
struct RedispatchArgs {
    #[command(flatten)]
    host: HostArgs,
    /// The packet's number, as `gwasp packet list` has it.
    #[arg(required_unless_present = "held", conflicts_with = "held")]
    number: Option<i64>,
    /// All that were held back, instead of one: for their role, or for their age. Doing it twice
    /// makes each task once.
    #[arg(long, requires = "since")]
    held: Option<Held>,
    /// Only of those received since: a time, a day, or how long ago.
    #[arg(long, value_name = "TIME|DURATION", value_parser = when::moment, requires = "held")]
    since: Option<i64>,
    /// To this handler, PLUGIN.HANDLER, whatever it asks for; may be given several times.
    #[arg(long, value_name = "PLUGIN.HANDLER")]
    to: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args).await,
        Command::Redispatch(args) => redispatch(args).await,
    }
}

async fn redispatch(args: &RedispatchArgs) -> anyhow::Result<ExitCode> {
    let handlers = (!args.to.is_empty()).then(|| args.to.clone());
    if let (Some(held), Some(since)) = (args.held, args.since) {
        return redispatch_held(args, held, since).await;
    }
    let number = args.number.unwrap_or_default();
    let path = format!("/v1/packets/{number}/redispatch");
    let wish = RedispatchRequest { handlers };
    let made: RedispatchAnswer = args.host.post(&path, &wish).await?;
    if args.json {
        table::print_json(&made.tasks)?;
        return Ok(ExitCode::SUCCESS);
    }
    for task in &made.tasks {
        table::say(&format!("{} {}", task.task, task.handler))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes up for packets that were held back, and says of how many nothing came.
async fn redispatch_held(
    args: &RedispatchArgs,
    held: Held,
    since: i64,
) -> anyhow::Result<ExitCode> {
    let wish = HeldRequest {
        held,
        since: from_unix_nanos(since),
        handlers: (!args.to.is_empty()).then(|| args.to.clone()),
    };
    let done: HeldAnswer = args.host.post("/v1/packets/redispatch", &wish).await?;
    if args.json {
        table::print_json(&[done])?;
        return Ok(ExitCode::SUCCESS);
    }
    for task in &done.tasks {
        table::say(&format!("{} {}", task.task, task.handler))?;
    }
    let HeldAnswer {
        packets,
        unmatched,
        unreadable,
        ..
    } = done;
    let made = done.tasks.len();
    table::say(&format!(
        "{packets} packets were held back: {made} new tasks, {unmatched} packets that no handler \
         takes now either, {unreadable} that cannot be read"
    ))?;
    if done.is_cut {
        table::say("these are the newest; older ones since then were not looked at")?;
    }
    Ok(ExitCode::SUCCESS)
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
    /// The packet that came before with the same bytes, under another key.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<i64>,
    /// Says so where the payload is no longer kept, or cannot be read.
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
            same_as: packet.same_as.map(|PacketSeq(seq)| seq),
            payload: packet
                .dropped
                .map(|since| format!("no longer kept since {}", table::moment(since))),
        }
    }
}

const COLUMNS: [Column; 7] = [
    Column::stays("NUMBER"),
    Column::stays("RECEIVED"),
    Column::below("SOURCE", 4),
    Column::stays("KEY"),
    Column::below("ROLE", 3),
    Column::below("UNMATCHED", 2),
    Column::below("ID", 1),
];

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
    table::print(&COLUMNS, &cells)?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let seq = PacketSeq(args.number);
    if args.raw {
        let record = reader.packet(seq)?.ok_or_else(|| missing(seq))?;
        std::io::stdout().lock().write_all(&record.packet.payload)?;
        return Ok(ExitCode::SUCCESS);
    }
    // What runs is asked for first: a task that ends meanwhile is shown as it ended.
    let live = Live::ask(&args.store).await?;
    let mut shown = Shown::read(&reader, seq)?;
    shown.mark(&live);
    if args.json {
        table::print_json(&[shown])?;
    } else {
        print(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn missing(PacketSeq(number): PacketSeq) -> Said {
    let text = format!("there is no packet {number}: it expired, or never was");
    Said::new(code::UNKNOWN, text)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    tasks: Vec<TaskRow>,
}

impl Shown {
    /// Reads all that is known of a packet, whether its payload is still there or not.
    fn read(reader: &Reader, seq: PacketSeq) -> anyhow::Result<Self> {
        let packet = reader.packet_view(seq)?.ok_or_else(|| missing(seq))?;
        let identity = Digest::from_bytes(packet.identity);
        let mut row = Row::of(packet);
        match reader.packet(seq) {
            Ok(_) | Err(StoreError::Dropped { .. }) => {}
            Err(error @ StoreError::Corrupt { .. }) => {
                row.payload = Some(format!("damaged, no task can read it: {error}"));
            }
            Err(error) => row.payload = Some(format!("cannot be read: {}", chain(&error))),
        }
        let mut tasks = descendants(reader, seq)?;
        for task in elsewhere(reader, &identity)? {
            if tasks.iter().all(|known| known.id != task.id) {
                tasks.push(task);
            }
        }
        Ok(Self { row, tasks })
    }

    /// Notes which tasks a handler runs for now.
    fn mark(&mut self, live: &Live) {
        for task in &mut self.tasks {
            if live.of(&task.id).is_some() && matches!(task.state, "PENDING" | "RETRY") {
                task.state = STARTED;
            }
        }
    }
}

#[derive(Serialize)]
struct TaskRow {
    id: String,
    state: &'static str,
    handler: String,
    /// Why it was made: `packet` for the packet's arrival.
    origin: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

impl TaskRow {
    fn of(task: &TaskView) -> Self {
        Self {
            id: task.id.to_string(),
            state: task.state.as_str(),
            handler: format!("{}.{}", task.plugin, task.handler),
            origin: match task.origin {
                Origin::Packet => "packet",
                Origin::Call => "call",
                Origin::Spawn => "spawn",
                Origin::Beat => "beat",
                Origin::Redispatch => "redispatch",
            },
            shadow: task.is_shadow,
        }
    }
}

/// The tasks that were made of the packet and by tasks of it, oldest first, as long as they are
/// kept; whether their handlers are still declared or not.
fn descendants(reader: &Reader, seq: PacketSeq) -> anyhow::Result<Vec<TaskRow>> {
    let filter = TaskFilter {
        packet: Some(seq),
        limit: Some(MOST_TASKS),
        ..TaskFilter::default()
    };
    let tasks = reader.tasks(&filter)?;
    Ok(tasks.iter().rev().map(TaskRow::of).collect())
}

/// The tasks that the same packet made when it came under another key: a task's id follows from
/// its packet and its handler, so the handler is not run again.
fn elsewhere(reader: &Reader, identity: &Digest) -> anyhow::Result<Vec<TaskRow>> {
    let (_, routes) = reader.routes()?;
    let mut rows = Vec::new();
    for route in routes {
        // What a newer program wrote is left out; `gwasp run` says so.
        let Ok(manifest) = Manifest::read(&route.manifest) else {
            continue;
        };
        for entry in manifest.entries {
            let handler = format!("{}.{}", route.plugin, entry.name);
            let id = packet_task_id(identity, &handler, 0);
            if let Some(detail) = reader.task_by_id(id)? {
                rows.push(TaskRow::of(&detail.task));
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
                serde_json::Value::String(reason) if name == "unmatched" => {
                    writeln!(out, "{name:<10} {}", unmatched(&reason, &shown.tasks))?;
                }
                serde_json::Value::String(text) => {
                    writeln!(out, "{name:<10} {}", table::clean(&text))?;
                }
                serde_json::Value::Array(list) if list.is_empty() => {}
                serde_json::Value::Null => {}
                other => writeln!(out, "{name:<10} {}", table::json(&other)?)?,
            }
        }
    }
    for task in &shown.tasks {
        let TaskRow {
            id, state, handler, ..
        } = task;
        let handler = table::clean(handler);
        let how = match (task.origin, task.shadow) {
            ("redispatch", false) => " (redispatched)",
            ("redispatch", true) => " (redispatched, shadow)",
            (_, true) => " (shadow)",
            (_, false) => "",
        };
        writeln!(out, "{:<10} {id}  {state:<7}  {handler}{how}", "task")?;
    }
    Ok(())
}

/// Why the packet's arrival made no task: a person may have had some made since.
fn unmatched(reason: &str, tasks: &[TaskRow]) -> String {
    let word = table::clean(reason);
    if !tasks.is_empty() {
        return format!("{word} when it arrived; its tasks were made later");
    }
    match Unmatched::named(reason) {
        Some(reason) => format!("{word}: {}", reason.advice()),
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use gwasp_store::{
        Commit, NewPacket, NewTask, Offer, Options, Origin, Reader, RetryPolicy, Step, Store,
        TaskId,
    };

    use super::{PacketSeq, Shown};
    use crate::packet::Digest;

    /// Larger than what is kept in the database itself.
    static PAYLOAD: [u8; 40_000] = [b'x'; 40_000];

    fn task(id: u8, origin: Origin) -> NewTask {
        NewTask {
            id: TaskId([id; 16]),
            plugin: "gone".to_owned(),
            handler: format!("handler{id}"),
            queue: "general".to_owned(),
            origin,
            parent: None,
            priority: 5,
            due: 0,
            order_key: None,
            policy: RetryPolicy {
                retries: 0,
                backoff_ms: 0,
                max_backoff_ms: 0,
                timeout_ms: 1_000,
                deadline: None,
            },
            args: (origin == Origin::Spawn).then(Bytes::new),
        }
    }

    /// Keeps packet 1 with a task that spawned another, of a plugin that is not declared.
    async fn fill(directory: &Path) {
        let store = Store::open(directory, Options::default()).unwrap();
        let digest = *Digest::of(&PAYLOAD).as_bytes();
        let packet = NewPacket {
            source: "gcn".to_owned(),
            key: String::new(),
            id: "ivo://a.b/c#1".to_owned(),
            identity: digest,
            digest,
            role: "test".to_owned(),
            received: 0,
            sent: None,
            content_type: "application/xml".to_owned(),
            headers: Vec::new(),
            flags: vec!["odd-ivorn".to_owned()],
            payload: Bytes::from_static(&PAYLOAD),
        };
        let offer = Offer {
            packet,
            tasks: vec![task(1, Origin::Packet)],
            unmatched: None,
        };
        let generation = store.routes().unwrap().0;
        store.accept(generation, vec![offer]).await.unwrap();
        let lease = store.lease("general", 0).unwrap().unwrap();
        let step = Step::Succeed { result: None };
        let commit = Commit {
            spawns: vec![task(2, Origin::Spawn)],
            ..Commit::bare(lease.task, lease.token, [0; 32], step)
        };
        store.commit(vec![commit]).await.remove(0).unwrap();
        store.close().await.unwrap();
    }

    fn damage_segments(directory: &Path) -> usize {
        let mut damaged = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                damaged += damage_segments(&path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            let payload = bytes.windows(PAYLOAD.len()).position(|at| at == PAYLOAD);
            if let Some(begin) = payload {
                bytes[begin] = b'y';
                std::fs::write(&path, bytes).unwrap();
                damaged += 1;
            }
        }
        damaged
    }

    #[tokio::test]
    async fn a_packet_is_shown_with_all_its_tasks_whatever_became_of_its_payload() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        fill(&store).await;
        let shown = |store: &Path| {
            let reader = Reader::open(store).unwrap();
            Shown::read(&reader, PacketSeq(1)).unwrap()
        };
        assert_eq!(shown(&store).row.payload, None);
        assert_eq!(damage_segments(&store), 1);
        let shown = shown(&store);
        let payload = shown.row.payload.unwrap();
        assert!(payload.starts_with("damaged"), "{payload}");
        assert_eq!(shown.row.flags, ["odd-ivorn"]);
        let tasks: Vec<_> = shown
            .tasks
            .iter()
            .map(|task| task.handler.as_str())
            .collect();
        assert_eq!(tasks, ["gone.handler1", "gone.handler2"]);
    }
}
