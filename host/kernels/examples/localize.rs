//! Localizes one candidate: `localize COINC.xml [PSD.xml.gz] -o OUT.fits [--threads N]
//! [--waveform NAME] [--f-low HZ] [--exact-hour-angle] [--disable IFO] [--max-distance MPC]
//! [--min-distance MPC] [--power K] [--rescale X] [--cosmology] [--no-snr-series]`.
#![expect(
    clippy::print_stderr,
    reason = "an example tells its timings to the person who runs it"
)]

use gwasp_kernels::bayestar::{Candidate, HourAngle, Options, condition, localize};
use gwasp_kernels::ligolw::{Document, Limits};
use gwasp_kernels::skymap::Provenance;
use gwasp_kernels::waveform::WaveformChoice;
use gwasp_kernels::work::Work;
use std::error::Error;
use std::fs;
use std::time::Instant;

#[derive(Default)]
struct Arguments {
    inputs: Vec<String>,
    output: String,
    options: Options,
    work: Work<'static>,
    verbose: bool,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut parsed = Arguments::default();
    parsed.options.f_low = 15.0;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let options = &mut parsed.options;
        match word.as_str() {
            "-o" => parsed.output = value()?,
            "--threads" => parsed.work.threads = value()?.parse()?,
            "--max-bytes" => parsed.work.max_bytes = value()?.parse()?,
            "--f-low" => options.f_low = value()?.parse()?,
            "--max-distance" => options.max_distance = Some(value()?.parse()?),
            "--min-distance" => options.min_distance = value()?.parse()?,
            "--power" => options.distance_power = value()?.parse()?,
            "--disable" => options.disabled_detectors.push(value()?),
            "--rescale" => options.rescale_loglikelihood = value()?.parse()?,
            "--cosmology" => options.cosmology = true,
            "--no-snr-series" => options.enable_snr_series = false,
            "--exact-hour-angle" => options.hour_angle = HourAngle::Exact,
            "--waveform" => {
                let choice = WaveformChoice::by_name(&value()?);
                options.waveform = choice.ok_or("unknown waveform")?;
            }
            "-v" => parsed.verbose = true,
            _ => parsed.inputs.push(word),
        }
    }
    Ok(parsed)
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments {
        inputs,
        output,
        options,
        work,
        verbose,
    } = arguments()?;
    let mut documents = Vec::new();
    let begin = Instant::now();
    for input in &inputs {
        documents.push(Document::parse(&fs::read(input)?, &Limits::default())?);
    }
    let (Some(coinc), Some(psd)) = (documents.first(), documents.last()) else {
        return Err("usage: localize COINC.xml [PSD.xml.gz] -o OUT.fits".into());
    };
    let candidate = Candidate::from_documents(coinc, psd)?;
    let parsed = begin.elapsed();
    if verbose {
        let begin = Instant::now();
        condition(&candidate, &options, &work)?;
        eprintln!("conditioning alone {:?}", begin.elapsed());
    }
    let begin = Instant::now();
    let map = localize(&candidate, &options, &work)?;
    let runtime = begin.elapsed();
    let provenance = Provenance {
        runtime: Some(runtime.as_secs_f64()),
        ..Provenance::default()
    };
    let file = map.to_fits(&provenance);
    if !output.is_empty() {
        fs::write(&output, file)?;
    }
    eprintln!(
        "read {parsed:?}, localize {runtime:?}; {:.2} +- {:.2} Mpc, LOGBCI {:.4}, LOGBSN {:.4}",
        map.mean_distance, map.std_distance, map.log_bci, map.log_bsn
    );
    Ok(())
}
