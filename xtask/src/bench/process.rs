//! Figures of processes: memory, CPU time, the time to start.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gwasp_tests::gwasp::{self, Gwasp};
use gwasp_tests::process::Process;

use super::figures::{Figure, median};

/// Starts that are timed; one before them fills the cache of compiled plugins.
const STARTS: usize = 9;
/// When a host that started has come to rest.
const REST: Duration = Duration::from_secs(2);
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// The unit of times in /proc, from getconf `CLK_TCK`: 100 on every Linux since 2.6.
const TICKS_PER_SECOND: f64 = 100.0;

/// Plugins of a host that has many.
const MANY: usize = 20;
/// Versions of one plugin that are put beside the others while the host runs.
const SWAPS: usize = 5;
const SWAP_LIMIT: Duration = Duration::from_secs(60);

/// Starts hosts with nothing to listen to: with the built plugins, then with many.
pub(super) fn figures(gwasp: &Gwasp, directory: &Path) -> Result<Vec<Figure>> {
    super::beside::fresh(directory)?;
    let few = Scene {
        gwasp,
        plugins: gwasp.plugins().to_owned(),
        state: directory.join("few-state"),
    };
    let mut found = of_host("process", &few)?;
    let many = Scene {
        gwasp,
        plugins: directory.join("many"),
        state: directory.join("many-state"),
    };
    std::fs::create_dir_all(&many.plugins)?;
    let module = std::fs::read(gwasp.plugins().join("fermi-log.wasm"))?;
    for plugin in 0..MANY {
        let file = many.plugins.join(format!("plugin-{plugin:02}.wasm"));
        std::fs::write(file, version(&module, plugin))?;
    }
    found.extend(of_host("process, 20 plugins", &many)?);
    found.push(Figure {
        bench: "process, 20 plugins",
        figure: "a file replaced until its version runs".to_owned(),
        value: median(swaps(&many, &module)?),
        unit: "ms",
    });
    Ok(found)
}

fn of_host(bench: &'static str, scene: &Scene<'_>) -> Result<Vec<Figure>> {
    let mut starts = Vec::new();
    let mut memory = 0.0;
    for start in 0..=STARTS {
        let (took, host) = scene.start_host()?;
        if start > 0 {
            starts.push(took.as_secs_f64() * 1e3);
        }
        if start == STARTS {
            std::thread::sleep(REST);
            memory = resident_mib(host.id())?;
        }
        stop_host(host)?;
    }
    let figure = |figure: &str, value, unit| Figure {
        bench,
        figure: figure.to_owned(),
        value,
        unit,
    };
    Ok(vec![
        figure("start until ready, plugins compiled", median(starts), "ms"),
        figure("resident memory, idle", memory, "MiB"),
    ])
}

/// Milliseconds from a new file's place in the directory to its version in use, with all that is
/// between: the look at the directory, the moment to be sure that it is whole, the compiler.
fn swaps(scene: &Scene<'_>, module: &[u8]) -> Result<Vec<f64>> {
    let (_, host) = scene.start_host()?;
    let mut took = Vec::new();
    for swap in 0..SWAPS {
        let new = scene.plugins.join(".new");
        std::fs::write(&new, version(module, MANY + swap))?;
        std::fs::rename(&new, scene.plugins.join("plugin-00.wasm"))?;
        let began = Instant::now();
        host.wait_for("a swap", SWAP_LIMIT, |line| {
            line.message() == "plugin replaced"
        })?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    stop_host(host)?;
    Ok(took)
}

/// The module with a custom section of its own (WebAssembly core specification, 5.5.3): other
/// bytes, other digest, same code.
fn version(module: &[u8], number: usize) -> Vec<u8> {
    let text = format!("{number:03}");
    let mut version = module.to_vec();
    // Section 0, its size, then a name and its length.
    version.extend([0, 5, 4, b'v']);
    version.extend(text.as_bytes());
    version
}

/// Where hosts are started, one after another.
#[derive(Debug)]
struct Scene<'a> {
    gwasp: &'a Gwasp,
    plugins: PathBuf,
    state: PathBuf,
}

impl Scene<'_> {
    /// Starts a host; with it, how long it took until it was ready.
    fn start_host(&self) -> Result<(Duration, Process)> {
        let mut command = self.gwasp.command();
        command
            .arg("run")
            .arg("--plugins")
            .arg(&self.plugins)
            .arg("--state")
            .arg(&self.state)
            .args(["--log-format", "json"]);
        let began = Instant::now();
        let host = Process::spawn("gwasp run", command)?;
        host.wait_for("being ready", gwasp::START_LIMIT, gwasp::is_ready)?;
        Ok((began.elapsed(), host))
    }
}

fn stop_host(mut host: Process) -> Result<()> {
    host.terminate()?;
    let status = host.wait(STOP_LIMIT)?;
    ensure!(status.success(), "the host ended with {status}");
    Ok(())
}

fn resident_mib(id: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next())
        .context("no VmRSS in /proc/ID/status")?;
    Ok(kibibytes.parse::<f64>()? / 1024.0)
}

/// CPU time of a process and of its children that ended, in seconds (`proc_pid_stat(5)`).
pub(super) fn cpu_seconds(id: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/ID/stat")?;
    // utime, stime, cutime and cstime are fields 14 to 17; the name is the second.
    let times = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<f64> = times.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}
