//! `gwasp backtest`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gwasp_store::{ArchiveFilter, PacketSeq};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::store::StoreArgs;
use super::table::{self, Column};
use super::{exit, when};
use crate::backtest::{self, Compared, Counts, Outcome, Settings, Step, Was};
use crate::dryrun::DryPlugin;
use crate::plugins::Ticker;
use crate::text::chain;

/// Differences that are shown beside the counts.
const SHOWN: usize = 20;
/// Longest text of a result or message in a line, in characters.
const LONGEST: usize = 200;
/// From one word of progress to the next.
const PROGRESS: Duration = Duration::from_millis(500);

/// Runs a plugin over the archive of packets, without any effect, beside what was.
///
/// Each handler runs on each archived packet that it matches. Its outcome is compared with that
/// of the task that the same handler made of the same packet; what was noted for that task
/// (clock, values, services) is answered again. A host may be running on the store. Exit code 1
/// where an outcome differs from what was, 130 where it was interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp backtest new/fermi-log.wasm --since 30d    a new version on a month of packets
  gwasp backtest p.wasm --key 'FERMI_*' --limit 1000
  gwasp backtest p.wasm --diff-only --json         every difference, for a program
  gwasp backtest build/p-2.wasm --as p             a file that is named otherwise")]
pub(super) struct Args {
    /// The plugin.
    #[arg(value_name = "PLUGIN.wasm")]
    plugin: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// The plugin's name in the store [default: the file's name].
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Only packets that were received then or later: a time, a day, or how long ago.
    #[arg(long, value_name = "TIME|DURATION", value_parser = when::moment)]
    since: Option<i64>,
    /// Only packets that were received before.
    #[arg(long, value_name = "TIME|DURATION", value_parser = when::moment)]
    until: Option<i64>,
    /// Only packets of this stream.
    #[arg(long)]
    source: Option<String>,
    /// Only packets of these notice types or nodes; `*` stands for anything.
    #[arg(long, value_name = "GLOB")]
    key: Option<String>,
    /// At most so many packets, the newest.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// What services answer where nothing was noted, as `gwasp test` takes it.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Threads [default: all cores but one].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Every difference and nothing else.
    #[arg(long)]
    diff_only: bool,
    /// One JSON object a line for each run, and one for the counts at the end.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let settings = settings(args)?;
    // Says what is wrong with the store before a plugin is compiled.
    drop(args.store.open()?);
    let ticker = Ticker::start().context("no thread for time limits")?;
    let mut plugin = super::test::plugin(&args.plugin, &ticker)?;
    if let Some(name) = &args.name {
        plugin.name.clone_from(name);
    }
    let plugin = DryPlugin::new(&plugin, &ticker)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no thread for signals")?;
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    let mut terminate = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate())?
    };
    runtime.spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        interrupted.cancel();
    });
    let mut screen = Screen::new(args);
    let ran = backtest::run(&plugin, &settings, &stop, |step| screen.see(step));
    screen.clear()?;
    screen.end(&ran?, settings.jobs, stop.is_cancelled())
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = u16::try_from(cores.saturating_sub(1).max(1)).unwrap_or(1);
    Ok(Settings {
        store: args.store.directory()?,
        filter: ArchiveFilter {
            source: args.source.clone(),
            key: args.key.clone(),
            since: args.since,
            until: args.until,
            unmatched: None,
        },
        limit: args.limit,
        jobs: args.jobs.unwrap_or(jobs),
        answers: super::test::answers(args.answers.as_deref())?,
    })
}

/// What is shown, as it comes and at the end.
struct Screen<'a> {
    args: &'a Args,
    began: Instant,
    told: Instant,
    packets: u64,
    differences: u64,
    /// The first of them, for the end.
    first: Vec<Compared>,
    shows_progress: bool,
    has_progress: bool,
}

impl<'a> Screen<'a> {
    fn new(args: &'a Args) -> Self {
        Self {
            args,
            began: Instant::now(),
            told: Instant::now(),
            packets: 0,
            differences: 0,
            first: Vec::new(),
            shows_progress: std::io::stderr().is_terminal(),
            has_progress: false,
        }
    }

    fn see(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Packet => self.packets += 1,
            Step::Damaged(PacketSeq(number), error) => {
                self.packets += 1;
                self.clear()?;
                let error = anyhow::anyhow!("packet {number}: {}", chain(&error));
                super::complain(&error);
            }
            Step::Compared(compared) => self.compared(*compared)?,
        }
        self.progress()
    }

    fn compared(&mut self, compared: Compared) -> anyhow::Result<()> {
        let is_difference = compared.verdict.is_difference();
        self.differences += u64::from(is_difference);
        if self.args.json {
            if is_difference || !self.args.diff_only {
                self.clear()?;
                table::print_json(&[Row::of(&compared)])?;
            }
        } else if is_difference && self.args.diff_only {
            self.clear()?;
            print(&compared)?;
        } else if is_difference && self.first.len() < SHOWN {
            self.first.push(compared);
        }
        Ok(())
    }

    fn progress(&mut self) -> anyhow::Result<()> {
        if self.shows_progress && self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            self.has_progress = true;
            let (packets, differences) = (self.packets, self.differences);
            let mut err = std::io::stderr().lock();
            write!(err, "\r{packets} packets, {differences} differences …")?;
            err.flush()?;
        }
        Ok(())
    }

    /// Takes the line of progress away.
    fn clear(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.has_progress) {
            write!(std::io::stderr().lock(), "\r\x1b[K")?;
        }
        Ok(())
    }

    fn end(&self, counts: &Counts, jobs: u16, interrupted: bool) -> anyhow::Result<ExitCode> {
        if self.args.json {
            table::print_json(&[Summary::of(counts, self.began.elapsed(), jobs, interrupted)])?;
        } else if !self.args.diff_only {
            self.print_counts(counts)?;
        }
        if !self.args.json {
            self.tell_rate(counts, jobs, interrupted)?;
        }
        Ok(if interrupted {
            ExitCode::from(exit::INTERRUPTED)
        } else if counts.differences() > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    fn print_counts(&self, counts: &Counts) -> anyhow::Result<()> {
        print_outcomes(&outcomes(counts))?;
        let asked: Vec<Vec<String>> = counts
            .asked
            .iter()
            .map(|((handler, function), n)| {
                vec![handler.clone(), (*function).to_owned(), n.to_string()]
            })
            .collect();
        if !asked.is_empty() {
            writeln!(std::io::stdout(), "\nasked for, and not done:")?;
            table::print(&["HANDLER", "FUNCTION", "TIMES"].map(Column::stays), &asked)?;
        }
        if !self.first.is_empty() {
            writeln!(std::io::stdout(), "\nnot as it was:")?;
        }
        for compared in &self.first {
            print(compared)?;
        }
        let more = self.differences.saturating_sub(SHOWN as u64);
        if more > 0 {
            writeln!(
                std::io::stdout(),
                "and {more} more; `--diff-only` shows all"
            )?;
        }
        Ok(())
    }

    /// What packets there were, and how fast it went.
    fn tell_rate(&self, counts: &Counts, jobs: u16, interrupted: bool) -> anyhow::Result<()> {
        let mut parts = vec![format!("{} packets", counts.packets)];
        let unmatched = counts.unmatched.iter();
        parts.extend(unmatched.map(|(reason, n)| format!("{n} {reason}")));
        for (n, what) in [
            (counts.without_payload, "without their payload any more"),
            (counts.damaged, "damaged"),
        ] {
            if n > 0 {
                parts.push(format!("{n} {what}"));
            }
        }
        let elapsed = self.began.elapsed();
        let rate = per_minute(counts.packets, elapsed);
        let end = if interrupted { "; interrupted" } else { "" };
        writeln!(
            std::io::stderr(),
            "{}: {:.1} s with {jobs} jobs, {rate:.0} packets a minute{end}",
            parts.join(", "),
            elapsed.as_secs_f64()
        )?;
        Ok(())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is not exact to 2^53 packets"
)]
fn per_minute(packets: u64, elapsed: Duration) -> f64 {
    packets as f64 * 60.0 / elapsed.as_secs_f64().max(1e-9)
}

const OUTCOMES: [Column; 7] = [
    Column::stays("HANDLER"),
    Column::stays("OUTCOME"),
    Column::stays("RUNS"),
    Column::stays("SAME"),
    Column::stays("DIFFERENT"),
    Column::stays("NEW"),
    Column::stays("NOT COMPARED"),
];

fn outcomes(counts: &Counts) -> Vec<Vec<String>> {
    let row = |((handler, outcome), n): (&(String, String), &backtest::Outcomes)| {
        let mut cells = vec![handler.clone(), outcome.clone()];
        let numbers = [n.runs(), n.same, n.different, n.new, n.not_compared];
        cells.extend(numbers.map(|number| number.to_string()));
        cells
    };
    counts.outcomes.iter().map(row).collect()
}

/// Where a row has no room each handler has a table of its own: a number that is cut is no number.
fn print_outcomes(rows: &[Vec<String>]) -> std::io::Result<()> {
    if table::fits(&OUTCOMES, rows) {
        return table::print(&OUTCOMES, rows);
    }
    let [_handler, columns @ ..] = &OUTCOMES;
    for of_handler in rows.chunk_by(|one, other| one.first() == other.first()) {
        let handler = of_handler.first().and_then(|row| row.first());
        table::say(handler.map_or("", String::as_str))?;
        let rows: Vec<Vec<String>> = of_handler
            .iter()
            .map(|row| row.iter().skip(1).cloned().collect())
            .collect();
        table::print(columns, &rows)?;
    }
    Ok(())
}

fn print(compared: &Compared) -> std::io::Result<()> {
    let Compared {
        packet: PacketSeq(number),
        key,
        handler,
        was,
        is,
        ..
    } = compared;
    let is = is
        .as_ref()
        .map_or_else(|| "its handler does not match it any more".to_owned(), said);
    let was = match was {
        Was::Ended(outcome) => said(outcome),
        Was::New | Was::NotKept | Was::NotRun => String::new(),
    };
    let mut out = std::io::stdout().lock();
    table::field(&mut out, "packet", &format!("{number}  {key}  {handler}"))?;
    // Whole: what differs may stand at the end.
    table::field(&mut out, "  was", &was)?;
    table::field(&mut out, "  is", &is)
}

/// An outcome in a line.
fn said(outcome: &Outcome) -> String {
    let text: String = outcome.text().chars().take(LONGEST).collect();
    format!("{}  {text}", outcome.name()).trim_end().to_owned()
}

#[derive(Serialize)]
struct Row<'a> {
    packet: i64,
    key: &'a str,
    handler: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Said>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is: Option<Said>,
}

/// An outcome, for a program.
#[derive(Serialize)]
struct Said {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
}

impl Said {
    fn of(outcome: &Outcome) -> Self {
        let (kind, error, result) = match outcome {
            Outcome::Success(result) => (None, None, result.as_ref().map(|_| outcome.text())),
            Outcome::Failure { kind, message } => (Some(kind.clone()), Some(message.clone()), None),
        };
        Self {
            state: outcome.state(),
            kind,
            error,
            result,
        }
    }
}

impl<'a> Row<'a> {
    fn of(compared: &'a Compared) -> Self {
        let PacketSeq(packet) = compared.packet;
        Self {
            packet,
            key: &compared.key,
            handler: &compared.handler,
            verdict: compared.verdict.as_str(),
            was: match &compared.was {
                Was::Ended(outcome) => Some(Said::of(outcome)),
                Was::New | Was::NotKept | Was::NotRun => None,
            },
            is: compared.is.as_ref().map(Said::of),
        }
    }
}

#[derive(Serialize)]
struct Summary {
    packets: u64,
    without_payload: u64,
    damaged: u64,
    unmatched: std::collections::BTreeMap<&'static str, u64>,
    outcomes: Vec<OutcomeRow>,
    asked: Vec<AskedRow>,
    differences: u64,
    interrupted: bool,
    jobs: u16,
    seconds: f64,
    packets_per_minute: f64,
    cpu_seconds: f64,
}

#[derive(Serialize)]
struct OutcomeRow {
    handler: String,
    outcome: String,
    runs: u64,
    same: u64,
    different: u64,
    new: u64,
    not_compared: u64,
}

#[derive(Serialize)]
struct AskedRow {
    handler: String,
    function: &'static str,
    times: u64,
}

impl Summary {
    fn of(counts: &Counts, elapsed: Duration, jobs: u16, interrupted: bool) -> Self {
        let outcomes = counts.outcomes.iter().map(|((handler, outcome), n)| {
            let (handler, outcome) = (handler.clone(), outcome.clone());
            OutcomeRow {
                handler,
                outcome,
                runs: n.runs(),
                same: n.same,
                different: n.different,
                new: n.new,
                not_compared: n.not_compared,
            }
        });
        let asked = counts.asked.iter().map(|((handler, function), times)| {
            let (handler, times) = (handler.clone(), *times);
            AskedRow {
                handler,
                function,
                times,
            }
        });
        Self {
            packets: counts.packets,
            without_payload: counts.without_payload,
            damaged: counts.damaged,
            unmatched: counts.unmatched.clone(),
            outcomes: outcomes.collect(),
            asked: asked.collect(),
            differences: counts.differences(),
            interrupted,
            jobs,
            seconds: elapsed.as_secs_f64(),
            packets_per_minute: per_minute(counts.packets, elapsed),
            cpu_seconds: counts.cpu.as_secs_f64(),
        }
    }
}
