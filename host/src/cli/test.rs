//! `gwasp test`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use gwasp_store::State;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::places;
use crate::config::Config;
use crate::dryrun::{DryOutcome, DryPlugin};
use crate::effects::{self, Asked, DryAnswer};
use crate::listeners::vtp::packet_of;
use crate::packet::Packet;
use crate::plugins::{Compiler, Loader, Plugin, Ticker};
use crate::routes::Unmatched;
use crate::text::printable;
use crate::workers::Ended;

/// Runs a plugin against notice files, without a host and without any effect.
///
/// Shows for each file and handler the outcome, the effects that the handler asked for, its
/// log, CPU time and memory. Exit code 1 where a handler fails or a file is no notice.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp test plugins/fermi-log.wasm notice.xml      one notice
  gwasp test plugins/fermi-log.wasm notices         every *.xml in a folder
  gwasp test p.wasm n.xml --answers answers.json    services answer from a file:
        [{\"url\": \"https://gracedb.example/api/x\", \"status\": 200, \"body\": \"…\"},
         {\"url\": \"https://gracedb.example/api/y\", \"file\": \"coinc.xml\"},
         {\"kernel\": \"bayestar.localize\", \"file\": \"map.fits\"}]
        each answer is given once; \"method\": \"POST\" limits it to one method, \"file\" is
        a body in a file beside this one; a kernel without an answer computes")]
pub(super) struct Args {
    /// The plugin.
    #[arg(value_name = "PLUGIN.wasm")]
    plugin: PathBuf,
    /// VOEvents, and folders of them.
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// What services answer: a JSON list of url, status and body or file. Without it HTTP 200
    /// with an empty body.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// One JSON object a line for each file and handler.
    #[arg(long)]
    json: bool,
}

/// One handler on one file.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    asked: Vec<Asked>,
    log: Vec<String>,
    cpu_us: u64,
    memory: usize,
    #[serde(skip)]
    unused: Option<Vec<usize>>,
}

/// Outcomes, by the names that they have in a host.
const SUCCESS: &str = State::Success.as_str();
const FAILURE: &str = State::Failure.as_str();

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let ticker = Ticker::start().context("no thread for time limits")?;
    let plugin = DryPlugin::new(&plugin(&args.plugin, &ticker)?, &ticker)?;
    let answers = answers(args.answers.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut failed = false;
    let mut unused: BTreeSet<usize> = (0..answers.len()).collect();
    for file in &files(&args.paths)? {
        for row in runtime.block_on(rows(&plugin, file, &answers)) {
            failed |= row.has_failed();
            if let Some(of_run) = &row.unused {
                unused.retain(|place| of_run.contains(place));
            }
            if args.json {
                super::table::print_json(&[row])?;
            } else {
                print(&row)?;
            }
        }
    }
    tell_unused(&answers, &unused);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Loads the plugin in `path`, without a host.
pub(super) fn plugin(path: &Path, ticker: &Ticker) -> anyhow::Result<Plugin> {
    loader(ticker)?
        .load(path)
        .with_context(|| format!("{} cannot be loaded", path.display()))
}

/// What loads plugins, without a host.
pub(super) fn loader(ticker: &Ticker) -> anyhow::Result<Loader> {
    let cache = places::cache(&Config::default())?;
    let program = std::env::current_exe().context("the path of this program is not known")?;
    let compiler = Compiler::new(program, cache)?;
    Ok(Loader::new(compiler, effects::fits, ticker)?)
}

/// The files among `paths`, and every `*.xml` in the folders among them, by name.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = || format!("the folder {} cannot be read", path.display());
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).with_context(unreadable)? {
            let file = entry.with_context(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "xml") {
                inside.push(file);
            }
        }
        ensure!(
            !inside.is_empty(),
            "there is no *.xml in {}; name files one by one",
            path.display()
        );
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

/// Names answers that no handler asked for: a misspelt URL is among them.
fn tell_unused(answers: &[DryAnswer], unused: &BTreeSet<usize>) {
    for answer in unused.iter().filter_map(|place| answers.get(*place)) {
        super::complain(&anyhow!("no handler asked for the answer {answer}"));
    }
}

/// Reads a file of answers.
pub(super) fn answers(path: Option<&Path>) -> anyhow::Result<Vec<DryAnswer>> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let answers: Vec<Answer> = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is no list of {{\"url\", \"status\", \"body\"}}",
            path.display()
        )
    })?;
    let beside = path.parent().unwrap_or(Path::new("."));
    answers
        .into_iter()
        .map(|answer| answer.read(beside))
        .collect()
}

/// An answer as it stands in the file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    method: Option<String>,
    url: Option<String>,
    kernel: Option<String>,
    task: Option<String>,
    status: Option<u16>,
    body: Option<String>,
    file: Option<PathBuf>,
}

impl Answer {
    fn read(self, beside: &Path) -> anyhow::Result<DryAnswer> {
        let body = match (self.body, self.file) {
            (Some(_), Some(_)) => bail!("an answer has a `body` or a `file`, not both"),
            (body, None) => body.unwrap_or_default().into_bytes(),
            (None, Some(file)) => {
                let file = beside.join(file);
                std::fs::read(&file)
                    .with_context(|| format!("{} cannot be read", file.display()))?
            }
        };
        match (self.url, self.kernel, self.task) {
            (Some(url), None, None) => Ok(DryAnswer::Http {
                method: self.method,
                url,
                status: self.status.unwrap_or(200),
                body,
            }),
            (None, Some(name), None) => Ok(DryAnswer::Kernel { name, made: body }),
            (None, None, Some(name)) => Ok(DryAnswer::Task { name, result: body }),
            _ => bail!("an answer names the `url`, the `kernel` or the `task` that it is of"),
        }
    }
}

async fn rows(plugin: &DryPlugin, file: &Path, answers: &[DryAnswer]) -> Vec<Row> {
    let name = file.display().to_string();
    let packet = match read(file, Timestamp::now()) {
        Ok(packet) => packet,
        Err(reason) => return vec![Row::without_run(name, "refused", reason)],
    };
    match plugin
        .run(&packet, answers, &CancellationToken::new())
        .await
    {
        Ok(outcomes) => outcomes
            .into_iter()
            .map(|outcome| Row::of(&name, outcome))
            .collect(),
        Err(reason) => vec![Row::unmatched(name, &packet, reason)],
    }
}

/// Reads a notice as a packet that was received at a moment.
pub(super) fn read(file: &Path, received: Timestamp) -> Result<Packet, String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    packet_of("file", bytes.into(), received).map_err(|refusal| refusal.reason)
}

impl Row {
    /// A packet that no handler asks for.
    pub(super) fn unmatched(file: String, packet: &Packet, reason: Unmatched) -> Self {
        let key = packet.key.to_string();
        let key = if key.is_empty() {
            "no notice type"
        } else {
            &key
        };
        let reason = format!("{}: {key}, role {}", reason.as_str(), packet.role.as_str());
        Self::without_run(file, "unmatched", reason)
    }

    /// A file that nothing was run on.
    pub(super) fn without_run(file: String, outcome: &'static str, reason: String) -> Self {
        Self {
            file,
            handler: None,
            outcome,
            error: Some(reason),
            result: None,
            asked: Vec::new(),
            log: Vec::new(),
            cpu_us: 0,
            memory: 0,
            unused: None,
        }
    }

    /// How a handler did.
    pub(super) fn of(file: &str, run: DryOutcome) -> Self {
        let (outcome, error, result) = match run.ended {
            Ended::Done(result) => {
                let result = result.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                (SUCCESS, None, result)
            }
            Ended::Failed { kind, message, .. } => {
                (FAILURE, Some(format!("{}: {message}", kind.as_str())), None)
            }
            Ended::GivenBack { .. } | Ended::Parked(_) | Ended::Expired | Ended::Fenced => {
                (FAILURE, Some("stopped".to_owned()), None)
            }
        };
        let mut log = run.lines;
        if run.lines_dropped > 0 {
            log.push(format!(
                "({} lines more than a run may log)",
                run.lines_dropped
            ));
        }
        Self {
            file: file.to_owned(),
            handler: Some(run.handler),
            outcome,
            error,
            result,
            asked: run.asked,
            log,
            cpu_us: u64::try_from(run.cpu.as_micros()).unwrap_or(u64::MAX),
            memory: run.memory,
            unused: Some(run.unused),
        }
    }
}

fn print(row: &Row) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{}", row.heading())?;
    if row.handler.is_some() {
        write!(out, "  ({} µs, {} KiB)", row.cpu_us, row.memory >> 10)?;
    }
    writeln!(out)?;
    for line in row.lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

impl Row {
    /// What was run, and on what.
    pub(super) fn name(&self) -> String {
        let handler = self.handler.as_deref().unwrap_or("-");
        format!("{handler}  {}", self.file)
    }

    /// Its outcome, and of what.
    pub(super) fn heading(&self) -> String {
        let handler = self.handler.as_deref().unwrap_or("-");
        format!("{:<9} {handler}  {}", self.outcome, self.file)
    }

    /// What else there is to say of it.
    pub(super) fn lines(&self) -> Vec<String> {
        let error = self.error.iter().map(|error| ("error", error.as_str()));
        let result = self.result.iter();
        let result = result.map(|result| ("result", result.as_str()));
        let log = self.log.iter().map(|line| ("log", line.as_str()));
        let said = error.chain(result).chain(log);
        let said = said.map(|(name, text)| format!("{name:<7} {}", printable(text)));
        let asked = self.asked.iter();
        let asked =
            asked.map(|asked| format!("asked   {} {}", asked.function, printable(&asked.what)));
        said.chain(asked).collect()
    }

    /// Whether it is no success.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.outcome, FAILURE | "refused")
    }
}
