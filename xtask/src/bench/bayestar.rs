//! `cargo xtask bench bayestar`: our sky localization beside `ligo.skymap`.
//!
//! Both get the same files and the same cores, one after the other in alternating order; each
//! number of ours has its partner from the same minute. Quoted are medians, and medians of the
//! ratios of partners, so that a busy machine disturbs both sides alike.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::build::{self, cargo, root};
use crate::{peers, step};

/// Arguments of `cargo xtask bench bayestar`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Paired runs of each event on each number of threads.
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: u32,

    /// Numbers of threads.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<u32>,

    /// Measures ours alone: how it scales with samples and threads.
    #[arg(long)]
    alone: bool,

    /// Only events whose name contains this; may be repeated.
    #[arg(long, value_name = "TEXT")]
    event: Vec<String>,
}

/// Input of one localization.
#[derive(Clone, Debug)]
struct Event {
    name: String,
    coinc: PathBuf,
    psd: PathBuf,
    waveform: &'static str,
}

/// What one run of one program took.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The sky-map call alone: seconds of wall and processor.
    call: [f64; 2],
    /// The whole process.
    whole: [f64; 2],
    mebibytes: f64,
}

/// What a localization's cost depends on.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Samples of the SNR series.
    samples: u64,
    /// Detectors.
    channels: u64,
}

/// All paired runs of an event on a number of threads.
#[derive(Debug)]
struct Series {
    event: String,
    threads: u32,
    size: Size,
    /// Ours, and its partner.
    pairs: Vec<[Run; 2]>,
}

/// The programs, and where they may write.
struct Bench {
    gwasp: PathBuf,
    measure: PathBuf,
    target: PathBuf,
    scratch: PathBuf,
}

/// Builds, installs, measures, and writes docs/measurements.md.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let bench = Bench::new()?;
    let events = bench.events(&args.event)?;
    let scaling = bench.scaling(&events, args)?;
    println!("{scaling}");
    crate::marks::replace("bayestar-scaling", &scaling)?;
    if args.alone {
        return Ok(ExitCode::SUCCESS);
    }
    let mut found = Vec::new();
    for event in &events {
        for &threads in &args.threads {
            step::say(&format!(
                "{}, {threads} threads, {} pairs",
                event.name, args.runs
            ));
            found.push(bench.series(event, threads, args.runs)?);
            // It takes hours: whoever stops it has what was measured.
            crate::marks::replace("bayestar", &table(&found)?)?;
        }
    }
    println!("{}", table(&found)?);
    Ok(ExitCode::SUCCESS)
}

impl Bench {
    fn new() -> Result<Self> {
        let gwasp = build::released()?;
        let mut examples = cargo()?;
        examples.args(["build", "--release", "--package", "gwasp-kernels"]);
        examples.args(["--example", "measure", "--example", "simulate"]);
        step::run("building what measures", &mut examples)?;
        let release = gwasp.parent().context("no release directory")?;
        let target = release.parent().context("no target directory")?;
        let scratch = target.join("bench/bayestar");
        std::fs::create_dir_all(&scratch)?;
        Ok(Self {
            measure: release.join("examples/measure"),
            target: target.to_owned(),
            scratch,
            gwasp,
        })
    }

    /// The shared events; without them, simulated ones.
    fn events(&self, wanted: &[String]) -> Result<Vec<Event>> {
        let shared = std::env::var_os("GWASP_SHARED_DATA").map(PathBuf::from);
        let shared = shared.unwrap_or(root()?.join("../shared/data"));
        let summary = shared.join("bayestar/reference_summary.json");
        let mut events = if summary.is_file() {
            shared_events(&shared.join("bayestar"), &summary)?
        } else {
            step::say(&format!("{} is not there: simulating", shared.display()));
            self.simulated()?
        };
        events.retain(|event| {
            wanted.is_empty() || wanted.iter().any(|text| event.name.contains(text))
        });
        ensure!(
            !events.is_empty(),
            "no event is named {}",
            wanted.join(" or ")
        );
        Ok(events)
    }

    fn simulated(&self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for seed in 1..=5 {
            let directory = self.scratch.join(format!("seed{seed}"));
            std::fs::create_dir_all(&directory)?;
            let program = self.measure.with_file_name("simulate");
            let mut simulate = Command::new(program);
            simulate.arg(&directory).arg(seed.to_string());
            step::run("simulating an event", &mut simulate)?;
            events.push(Event {
                name: format!("simulated, seed {seed}"),
                coinc: directory.join("coinc.xml"),
                psd: directory.join("psd.xml"),
                waveform: "o2-uberbank",
            });
        }
        Ok(events)
    }

    fn series(&self, event: &Event, threads: u32, runs: u32) -> Result<Series> {
        let mut pairs = Vec::new();
        let mut size = Size::default();
        for turn in 0..runs {
            let pair = if turn % 2 == 0 {
                let ours = self.ours(event, threads, &mut size)?;
                [ours, self.theirs(event, threads)?]
            } else {
                let theirs = self.theirs(event, threads)?;
                [self.ours(event, threads, &mut size)?, theirs]
            };
            pairs.push(pair);
        }
        Ok(Series {
            event: event.name.clone(),
            threads,
            size,
            pairs,
        })
    }

    /// Seconds of the call alone, by samples and threads.
    fn scaling(&self, events: &[Event], args: &Args) -> Result<String> {
        step::say("measuring ours alone");
        let mut rows = Vec::new();
        for event in events {
            let mut cells = Vec::new();
            let mut size = Size::default();
            for &threads in &args.threads {
                let mut call = pinned(&self.measure, threads);
                call.args([&event.coinc, &event.psd])
                    .arg(threads.to_string());
                call.arg(event.waveform).arg(args.runs.max(5).to_string());
                let said = quiet(&mut call)?;
                let runs = said.lines().map(serde_json::from_str);
                let runs = runs.collect::<Result<Vec<Value>, _>>()?;
                size = runs.first().map(Size::of).unwrap_or_default();
                for key in ["cpu", "wall"] {
                    let values = runs.iter().filter_map(|run| run[key].as_f64());
                    cells.push(format!("{:.3}", median(values.collect())));
                }
            }
            let (samples, floor) = (size.samples, size.floor_seconds());
            let cells = cells.join(" | ");
            let row = format!("| {} | {samples} | {floor:.3} | {cells} |\n", event.name);
            rows.push((samples, row));
        }
        rows.sort();
        let heads = args
            .threads
            .iter()
            .map(|n| format!(" CPU, {n} threads | wall, {n} threads |"));
        let mut text = format!(
            "{}, {}; medians, s; load {}\n\n| event | samples | floor |{}\n|---|---|---|{}\n",
            crate::marks::today()?,
            crate::marks::this_machine(),
            load(),
            heads.collect::<String>(),
            "---|---|".repeat(args.threads.len())
        );
        text.extend(rows.into_iter().map(|(_, row)| row));
        Ok(text)
    }

    /// The Python that has ligo.skymap.
    fn python(&self) -> Result<PathBuf> {
        Ok(peers::skymap(&self.target)?.join("bin/python"))
    }

    fn ours(&self, event: &Event, threads: u32, size: &mut Size) -> Result<Run> {
        let mut call = pinned(&self.measure, threads);
        call.args([&event.coinc, &event.psd]);
        call.arg(threads.to_string()).arg(event.waveform).arg("1");
        let call: Value = serde_json::from_str(&quiet(&mut call)?)?;
        *size = Size::of(&call);
        let mut whole = self.measured(threads)?;
        whole.arg(&self.gwasp).args(["skymap", "localize"]);
        whole.args([&event.coinc, &event.psd]);
        whole.args([
            "--waveform",
            event.waveform,
            "--threads",
            &threads.to_string(),
        ]);
        whole.arg("--output").arg(self.scratch.join("ours.fits"));
        whole_run(&call, &mut whole)
    }

    fn theirs(&self, event: &Event, threads: u32) -> Result<Run> {
        let call = self.scratch.join("call.json");
        let mut whole = self.measured(threads)?;
        whole
            .arg(self.python()?)
            .arg(root()?.join("tests/peers/bayestar.py"))
            .arg(&call)
            .args(["--loglevel", "CRITICAL", "--f-low", "15"])
            .args(["--waveform", event.waveform, "--output"])
            .args([&self.scratch, &event.coinc, &event.psd])
            .env("OMP_NUM_THREADS", threads.to_string());
        let mut run = whole_run(&Value::Null, &mut whole)?;
        let call: Value = serde_json::from_str(&std::fs::read_to_string(call)?)?;
        run.call = seconds(&call)?;
        Ok(run)
    }

    /// A command that measures the command that is appended, on the first `threads` cores.
    fn measured(&self, threads: u32) -> Result<Command> {
        let mut command = pinned(&self.python()?, threads);
        command.arg(root()?.join("tests/peers/measure.py"));
        Ok(command)
    }
}

/// `program` on the first `threads` cores and no others.
fn pinned(program: &Path, threads: u32) -> Command {
    let mut command = Command::new("taskset");
    let last = threads.saturating_sub(1);
    command
        .args(["--cpu-list", &format!("0-{last}")])
        .arg(program);
    command
}

/// Standard output of a command that ends well.
fn quiet(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).context("its output is no UTF-8")
}

fn whole_run(call: &Value, whole: &mut Command) -> Result<Run> {
    let said = quiet(whole)?;
    let last = said.lines().last().context("nothing was measured")?;
    let whole: Value = serde_json::from_str(last)?;
    Ok(Run {
        call: seconds(call).unwrap_or_default(),
        whole: seconds(&whole)?,
        mebibytes: whole["kib"].as_f64().context("no memory")? / 1_024.0,
    })
}

fn seconds(of: &Value) -> Result<[f64; 2]> {
    let number = |key: &str| of[key].as_f64().with_context(|| format!("no {key}"));
    Ok([number("wall")?, number("cpu")?])
}

fn shared_events(directory: &Path, summary: &Path) -> Result<Vec<Event>> {
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(summary)?)?;
    let mut events = Vec::new();
    for event in summary.as_array().into_iter().flatten() {
        let name = event["name"].as_str().context("an event has no name")?;
        let coinc = event["inputs"][0]
            .as_str()
            .context("an event has no input")?;
        let coinc = directory.join(coinc);
        let psd = match name {
            "sim06_HLVK_bns" => directory.join("inputs/psd_design.xml.gz"),
            _ if name.starts_with("sim") => directory.join("inputs/psd_o4.xml.gz"),
            _ if name.starts_with("gw_") => directory.join("inputs/psd_gwcelery.xml.gz"),
            _ => coinc.clone(),
        };
        events.push(Event {
            name: name.to_owned(),
            waveform: if name.contains("bbh") {
                "IMRPhenomD"
            } else {
                "o2-uberbank"
            },
            coinc,
            psd,
        });
    }
    Ok(events)
}

/// The table of `docs/measurements.md`.
fn table(found: &[Series]) -> Result<String> {
    let pairs = found
        .iter()
        .map(|series| series.pairs.len())
        .min()
        .unwrap_or(0);
    let mut text = format!(
        "{}, {}; {pairs} pairs each, load {} at the end\n\n",
        crate::marks::today()?,
        crate::marks::this_machine(),
        load()
    );
    text.push_str(
        "| event | samples | threads | call, CPU s | ligo.skymap | ratio | wall ratio \
         | whole, CPU s | ligo.skymap | ratio | wall ratio | MiB | ligo.skymap | floor, s |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut ratios: [Vec<f64>; 4] = Default::default();
    for series in found {
        text.push_str(&series.row(&mut ratios));
    }
    let medians: Vec<String> = ratios.into_iter().map(|all| times(median(all))).collect();
    if let [call, call_wall, whole, whole_wall] = medians.as_slice() {
        text.push_str(&format!(
            "| **median** | | | | | {call} | {call_wall} | | | {whole} | {whole_wall} | | | |\n"
        ));
    }
    Ok(text)
}

impl Series {
    /// One line; adds the four ratios to those of all events.
    fn row(&self, ratios: &mut [Vec<f64>; 4]) -> String {
        let of = |which: usize, value: &dyn Fn(&Run) -> f64| {
            median(self.pairs.iter().map(|pair| value(&pair[which])).collect())
        };
        let ratio = |value: &dyn Fn(&Run) -> f64| {
            let each = self
                .pairs
                .iter()
                .map(|[ours, theirs]| value(theirs) / value(ours));
            median(each.collect())
        };
        let found = [
            ratio(&|run| run.call[1]),
            ratio(&|run| run.call[0]),
            ratio(&|run| run.whole[1]),
            ratio(&|run| run.whole[0]),
        ];
        for (all, this) in ratios.iter_mut().zip(found) {
            all.push(this);
        }
        let [call, call_wall, whole, whole_wall] = found.map(times);
        format!(
            "| {} | {} | {} | {:.3} | {:.1} | {call} | {call_wall} | {:.3} | {:.1} | {whole} \
             | {whole_wall} | {:.0} | {:.0} | {:.3} |\n",
            self.event,
            self.size.samples,
            self.threads,
            of(0, &|run| run.call[1]),
            of(1, &|run| run.call[1]),
            of(0, &|run| run.whole[1]),
            of(1, &|run| run.whole[1]),
            of(0, &|run| run.mebibytes),
            of(1, &|run| run.mebibytes),
            self.size.floor_seconds(),
        )
    }
}

/// Pixels of a map that are evaluated.
const PIXELS: f64 = 24_576.0;
/// Operations per sample and detector: amplitude and phase between four neighbours, sine and
/// cosine, and five sums.
const PER_OUTPUT: f64 = 35.0;
/// Operations per sample: its signal, and the ceiling of that over all angles.
const PER_SAMPLE: f64 = 13.0;
/// One in so many samples meets the angles. Measured over the shared events: one in 7 to one
/// in 80, most often in 10 to 30.
const SAMPLES_PER_KEPT: f64 = 20.0;
/// Operations per sample that does: 32 lanes of angles, each with four for `g` and, for both
/// signs, a root, a polynomial, an exponential and eight sums.
const PER_KEPT: f64 = 32.0 * (4.0 + 2.0 * 40.0);
/// Operations per pixel: 25 columns of some 30 nodes from four rows of the table, eight values
/// from each, and three transforms.
const PER_PIXEL: f64 = 21_000.0;
/// Operations of an AVX2 core a second: 16 a cycle, 3 GHz.
const PER_SECOND: f64 = 16.0 * 3e9;

impl Size {
    fn of(run: &Value) -> Self {
        let number = |key: &str| run[key].as_u64().unwrap_or(0);
        Self {
            samples: number("n"),
            channels: number("channels"),
        }
    }

    /// What the map's pixels take at a core's peak.
    fn floor_seconds(self) -> f64 {
        let (samples, channels) = (self.samples as f64, self.channels as f64);
        let each = PER_OUTPUT * channels + PER_SAMPLE + PER_KEPT / SAMPLES_PER_KEPT;
        PIXELS * (PER_PIXEL + samples * each) / PER_SECOND
    }
}

fn times(ratio: f64) -> String {
    format!("{ratio:.1}x")
}

fn median(values: Vec<f64>) -> f64 {
    super::figures::median(values)
}

fn load() -> String {
    let all = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or("?").to_owned()
}
