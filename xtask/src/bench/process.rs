//! Figures of processes: memory, CPU time, the time to start.

use std::path::Path;
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

/// Starts hosts with the plugins and nothing to listen to.
pub(super) fn figures(gwasp: &Gwasp, directory: &Path) -> Result<Vec<Figure>> {
    super::beside::fresh(directory)?;
    let mut starts = Vec::new();
    let mut memory = 0.0;
    for start in 0..=STARTS {
        let (took, mut host) = start_host(gwasp, directory)?;
        if start > 0 {
            starts.push(took.as_secs_f64() * 1e3);
        }
        if start == STARTS {
            std::thread::sleep(REST);
            memory = resident_mib(host.id())?;
        }
        host.terminate()?;
        let status = host.wait(STOP_LIMIT)?;
        ensure!(status.success(), "the host ended with {status}");
    }
    let figure = |figure: &str, value, unit| Figure {
        bench: "process",
        figure: figure.to_owned(),
        value,
        unit,
    };
    Ok(vec![
        figure("start until ready, plugins compiled", median(starts), "ms"),
        figure("resident memory, idle", memory, "MiB"),
    ])
}

fn start_host(gwasp: &Gwasp, directory: &Path) -> Result<(Duration, Process)> {
    let mut command = gwasp.command();
    command
        .arg("run")
        .arg("--plugins")
        .arg(gwasp.plugins())
        .arg("--state")
        .arg(directory.join("idle"))
        .args(["--log-format", "json"]);
    let began = Instant::now();
    let host = Process::spawn("gwasp run", command)?;
    host.wait_for("being ready", gwasp::START_LIMIT, gwasp::is_ready)?;
    Ok((began.elapsed(), host))
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
