//! `gwasp task rerun`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use gwasp_store::{Reader, StoreError, TaskDetail};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::find;
use crate::broker::Input;
use crate::cli::store::StoreArgs;
use crate::cli::table::{self, Column};
use crate::cli::{backtest, exit, places, test};
use crate::complaint::Said;
use crate::dryrun::{DryPlugin, Edit, Outcome, Verdict, Was, edits};
use crate::effects::{BlobSource, Entry};
use crate::explain::code;
use crate::packet::Digest;
use crate::plugins::{Plugin, PluginFile, Ticker};
use crate::rerun::{Kept, Rerun, rerun};
use crate::text::printable;

/// Longest text of a result or message in a line, in characters.
const LONGEST: usize = 2_000;

/// Runs a task again against its journal, without any effect, beside what was.
///
/// It runs on the version that it ran on, and is answered what it was answered. Asking for the
/// same in the same order and coming to the same end is exit code 0, anything else 1. A host may
/// be running on the store.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp task rerun 5a3e                        is the handler a function of its journal?
  gwasp task rerun 5a3e --with new/p.wasm      what would a new version have done?
With another version each request that was made before gets the answer that it got; others are
answered from `--answers`, else neutrally.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The task's id, or its beginning.
    id: String,
    /// Another version, in the place of the one that it ran on.
    #[arg(long, value_name = "PLUGIN.wasm")]
    with: Option<PathBuf>,
    /// What services answer where the journal does not, as `gwasp test` takes it.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let detail = find(&reader, &args.id)?;
    let answers = test::answers(args.answers.as_deref())?;
    let ticker = Ticker::start().context("no thread for time limits")?;
    let plugin = plugin(args, &reader, &detail, &ticker)?;
    let version = plugin.digest;
    let plugin = DryPlugin::new(&plugin, &ticker)?;
    let kept = kept(args, reader, detail)?;
    let stop = CancellationToken::new();
    let running = rerun(&plugin, &kept, &answers, &stop);
    let rerun = tokio::select! {
        rerun = running => rerun?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(exit::INTERRUPTED)),
    };
    if args.json {
        table::print_json(&[Row::of(&kept.detail, version, &rerun)])?;
    } else {
        print(&kept.detail, version, args.with.as_deref(), &rerun)?;
    }
    Ok(if rerun.verdict.is_difference() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The version to run: the file that was named, else the task's own, from the store or the
/// plugin directory.
fn plugin(
    args: &Args,
    reader: &Reader,
    detail: &TaskDetail,
    ticker: &Ticker,
) -> anyhow::Result<Plugin> {
    let name = &detail.task.plugin;
    let loader = test::loader(ticker)?;
    let file = match &args.with {
        Some(path) => PluginFile::read(name, path)
            .with_context(|| format!("{} cannot be loaded", path.display()))?,
        None => version(args, reader, detail)?,
    };
    loader
        .prepare(&file, &CancellationToken::new())
        .with_context(|| format!("version {} of {name} cannot be loaded", file.digest.short()))
}

fn version(args: &Args, reader: &Reader, detail: &TaskDetail) -> anyhow::Result<PluginFile> {
    let task = &detail.task;
    let name = &task.plugin;
    let Some(version) = task.version else {
        let text = format!(
            "task {} has not run yet: there is nothing to run again",
            task.id
        );
        return Err(Said::new(code::RERUN, text).into());
    };
    if let Some(bytes) = reader.blob(&version)? {
        return Ok(PluginFile::of_bytes(name, bytes));
    }
    let version = Digest::from_bytes(version);
    let places = places::all(None, None, &args.store.config()?)?;
    let path = places.plugins.join(format!("{name}.wasm"));
    let file = PluginFile::read(name, &path).ok();
    file.filter(|file| file.digest == version).ok_or_else(|| {
        let text = format!(
            "version {version} of plugin `{name}`, which task {} ran on, is neither kept in the \
             store nor in {}; `--with FILE` tries another one",
            task.id,
            path.display()
        );
        Said::new(code::RERUN, text).into()
    })
}

/// All that is kept of the task; an error that says what is not any more, and how long it is.
fn kept(args: &Args, reader: Reader, detail: TaskDetail) -> anyhow::Result<Kept> {
    let task = &detail.task;
    let journal = reader.journal(task.id)?;
    if u64::try_from(journal.len()).is_ok_and(|length| length < task.journal) {
        let kept = humantime::format_duration(args.store.config()?.retention.journals());
        let text = format!(
            "the journal of task {} is not kept any more: `[retention] journals` keeps it for \
             {kept} after the task's end",
            task.id
        );
        return Err(Said::new(code::RERUN, text).into());
    }
    let input = match (task.packet, &detail.args) {
        (_, Some(args)) => Some(Input::Args(args.clone())),
        (Some(packet), None) => match reader.packet(packet) {
            Ok(record) => record.map(|record| Input::Packet(Arc::new(record))),
            Err(StoreError::Dropped { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        (None, None) => None,
    };
    let Some(input) = input else {
        let text = format!(
            "what task {} was run on is not kept any more; `[retention]` says for how long \
             packets and arguments are",
            task.id
        );
        return Err(Said::new(code::RERUN, text).into());
    };
    Ok(Kept {
        blobs: blobs_of(reader),
        detail,
        journal,
        input,
    })
}

/// Blobs of a store; one that cannot be read is as good as gone.
fn blobs_of(reader: Reader) -> BlobSource {
    let reader = Mutex::new(reader);
    Arc::new(move |digest: &Digest| -> Option<Bytes> {
        let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.blob(digest.as_bytes()).ok().flatten()
    })
}

/// One effect, and whether it was asked for then, now, or both times.
#[derive(Serialize)]
struct Effect {
    /// `same`, `was` or `is`.
    asked: &'static str,
    at: u32,
    function: String,
    state: &'static str,
    request: String,
    /// When it was asked for, since the run began, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
}

fn effects(detail: &TaskDetail, rerun: &Rerun) -> Vec<Effect> {
    let same =
        |one: &Entry, other: &Entry| one.function == other.function && one.request == other.request;
    let began = detail.task.started.unwrap_or(detail.task.made);
    // Of what is in both lists the former has the true times and answers.
    let edits = edits(&rerun.asks, &rerun.asked_then, same);
    let effect = |edit: &Edit<'_, Entry>| {
        let (asked, entry) = match edit {
            Edit::Both(entry) => ("same", *entry),
            Edit::Is(entry) => ("was", *entry),
            Edit::Was(entry) => ("is", *entry),
        };
        Effect {
            asked,
            at: entry.seq,
            function: entry.function.clone(),
            state: match entry.phase {
                _ if asked == "is" => "answered neutrally",
                phase => phase.as_str(),
            },
            request: entry.request_text(),
            ms: (asked != "is").then(|| milliseconds(entry.time.saturating_sub(began))),
        }
    };
    edits.iter().map(effect).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds for a person: a run is no hundred days long"
)]
fn milliseconds(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}

const COLUMNS: [Column; 6] = [
    Column::stays(""),
    Column::stays("#"),
    Column::stays("AT"),
    Column::stays("FUNCTION"),
    Column::stays("STATE"),
    Column::below("REQUEST", 1),
];

fn print(
    detail: &TaskDetail,
    version: Digest,
    with: Option<&Path>,
    rerun: &Rerun,
) -> anyhow::Result<()> {
    let task = &detail.task;
    let mut out = std::io::stdout().lock();
    let mut line = |name: &str, text: &str| {
        let text: String = printable(text).chars().take(LONGEST).collect();
        writeln!(out, "{name:<9} {}", text.replace('\n', "\n          "))
    };
    line("task", &task.id.to_string())?;
    line("handler", &format!("{}.{}", task.plugin, task.handler))?;
    if let Some(packet) = task.packet {
        line("packet", &packet.0.to_string())?;
    }
    match (with, task.version.map(Digest::from_bytes)) {
        (Some(path), Some(then)) => {
            let (version, then) = (version.short(), then.short());
            let path = path.display();
            line("version", &format!("{version} ({path}) in place of {then}"))?;
        }
        _ => line("version", &format!("{}, as it ran", version.short()))?,
    }
    match &rerun.was {
        Was::Ended(outcome) => line("was", &said(outcome))?,
        _ => line(
            "was",
            &format!("{}: it had not come to its end", task.state.as_str()),
        )?,
    }
    line("is", &said(&rerun.is))?;
    for text in &rerun.run.lines {
        line("log", text)?;
    }
    drop(out);
    let rows: Vec<Vec<String>> = effects(detail, rerun).iter().map(cells).collect();
    if !rows.is_empty() {
        table::print(&COLUMNS, &rows)?;
    }
    table::say(&verdict(rerun))?;
    Ok(())
}

/// One effect in a row; what only one of the runs asked for is marked.
fn cells(effect: &Effect) -> Vec<String> {
    let mark = match effect.asked {
        "same" => "",
        "was" => "-",
        _ => "+",
    };
    let at = effect
        .ms
        .map_or_else(String::new, |ms| format!("{ms:+.3} ms"));
    vec![
        mark.to_owned(),
        effect.at.to_string(),
        at,
        effect.function.clone(),
        effect.state.to_owned(),
        effect.request.clone(),
    ]
}

/// An outcome in a line.
fn said(outcome: &Outcome) -> String {
    format!("{}  {}", outcome.name(), outcome.text())
        .trim_end()
        .to_owned()
}

/// What the comparison says, in words.
fn verdict(rerun: &Rerun) -> String {
    let effects = match rerun.asked_then.len() {
        1 => "1 effect".to_owned(),
        count => format!("{count} effects"),
    };
    match (&rerun.difference, rerun.verdict) {
        (Some(difference), _) => format!("different: {difference}"),
        (None, Verdict::NotCompared | Verdict::New) => format!(
            "same in {effects}, as far as its journal goes; what it does after that is answered \
             neutrally, and there is no end to compare with"
        ),
        (None, _) => format!("same: {effects}, and the same end"),
    }
}

#[derive(Serialize)]
struct Row<'a> {
    task: String,
    handler: String,
    packet: Option<i64>,
    /// The version that it ran on.
    was_version: Option<String>,
    version: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<backtest::Said>,
    is: backtest::Said,
    effects: Vec<Effect>,
    log: &'a [String],
    cpu_us: u64,
    memory: usize,
}

impl<'a> Row<'a> {
    fn of(detail: &TaskDetail, version: Digest, rerun: &'a Rerun) -> Self {
        let task = &detail.task;
        let digest = |version| Digest::from_bytes(version).to_string();
        Self {
            task: task.id.to_string(),
            handler: format!("{}.{}", task.plugin, task.handler),
            packet: task.packet.map(|packet| packet.0),
            was_version: task.version.map(digest),
            version: version.to_string(),
            verdict: rerun.verdict.as_str(),
            difference: rerun.difference.as_ref().map(ToString::to_string),
            state: task.state.as_str(),
            was: match &rerun.was {
                Was::Ended(outcome) => Some(backtest::Said::of(outcome)),
                Was::New | Was::NotKept | Was::NotRun => None,
            },
            is: backtest::Said::of(&rerun.is),
            effects: effects(detail, rerun),
            log: &rerun.run.lines,
            cpu_us: u64::try_from(rerun.run.cpu.as_micros()).unwrap_or(u64::MAX),
            memory: rerun.run.memory,
        }
    }
}
