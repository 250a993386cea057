//! Times the localization of one candidate, without reading and writing: `measure COINC.xml
//! PSD.xml THREADS WAVEFORM RUNS` prints a JSON object per run, with wall and processor seconds.
#![expect(clippy::print_stdout, reason = "what it prints is its purpose")]

use gwasp_kernels::bayestar::{Candidate, Options, condition, localize};
use gwasp_kernels::ligolw::{Document, Limits};
use gwasp_kernels::waveform::WaveformChoice;
use gwasp_kernels::work::Work;
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::fs;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [coinc, psd, threads, waveform, runs] = words.as_slice() else {
        return Err("usage: measure COINC.xml PSD.xml THREADS WAVEFORM RUNS".into());
    };
    let read = |path: &str| -> Result<Document, Box<dyn Error>> {
        Ok(Document::parse(&fs::read(path)?, &Limits::default())?)
    };
    let candidate = Candidate::from_documents(&read(coinc)?, &read(psd)?)?;
    let options = Options {
        f_low: 15.0,
        waveform: WaveformChoice::by_name(waveform).ok_or("unknown waveform")?,
        ..Options::default()
    };
    let work = Work {
        threads: threads.parse()?,
        ..Work::default()
    };
    let network = condition(&candidate, &options, &work)?;
    let (n, channels) = (network.n, network.channels.len());
    for _ in 0..runs.parse()? {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        let map = localize(&candidate, &options, &work)?;
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let rows = map.rows.len();
        println!(
            "{{\"n\": {n}, \"channels\": {channels}, \"rows\": {rows}, \"wall\": {wall}, \"cpu\": {cpu}}}"
        );
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}
