//! `gwasp skymap localize`.

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use gwasp_kernels::bayestar::{Candidate, CandidateError, Options, PhaseConventions, localize};
use gwasp_kernels::gps::GpsTime;
use gwasp_kernels::ligolw::{Document, Limits};
use gwasp_kernels::skymap::{Provenance, Ranking, SkyMap};
use gwasp_kernels::waveform::WaveformChoice;
use gwasp_kernels::work::{CancelToken, Work};
use indicatif::{ProgressBar, ProgressStyle};

use super::{file, interrupt};

/// Localizes a candidate on the sky (BAYESTAR): a coinc file in, a multi-order FITS sky map out.
///
/// The answers are those of ligo.skymap's BAYESTAR. Where no PSD file is given the spectra are
/// taken from the coinc file, or from the file that its search was given as --reference-psd.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp skymap localize coinc.xml psd.xml.gz -o bayestar.multiorder.fits
  gwasp skymap localize coinc.xml -o maps/        a file per coincidence: maps/ID.multiorder.fits
  gwasp skymap localize coinc.xml psd.xml.gz -o HL.fits --disable-detector V1
  gwasp skymap info HL.fits")]
pub(super) struct Args {
    /// Coincident triggers, as a search uploads them; perhaps gzipped.
    #[arg(value_name = "COINC.xml")]
    coinc: PathBuf,
    /// Noise spectra, where the first file does not have them.
    #[arg(value_name = "PSD.xml.gz")]
    psd: Option<PathBuf>,
    /// The sky map, gzipped where its name ends in .gz; or a directory, which gets
    /// ID.multiorder.fits for each coincidence.
    #[arg(short, long, value_name = "OUT.fits")]
    output: PathBuf,
    /// Only this coincidence of several.
    #[arg(long, value_name = "ID")]
    coinc_event_id: Option<i64>,
    #[command(flatten)]
    signal: Signal,
    #[command(flatten)]
    prior: Prior,
    /// Leaves a detector out; may be repeated.
    #[arg(short, long, value_name = "IFO", value_delimiter = ',')]
    disable_detector: Vec<String>,
    /// Says whether a pipeline's phases have the opposite sign, for one that is not known.
    #[arg(long, value_name = "PROGRAM=as-is|inverted", value_parser = phase)]
    phase: Vec<(String, bool)>,
    /// Threads [default: one per processor]; the map is the same on any number.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Name of the event, for OBJECT in the header [default: the coincidence's id].
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Page of the event, for REFERENC in the header.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// How the signal is modelled.
#[derive(Debug, clap::Args)]
struct Signal {
    #[arg(
        long,
        value_name = "NAME",
        default_value = "o2-uberbank",
        value_parser = waveform,
        help = "Waveform model: o2-uberbank (by mass), TaylorF2 or IMRPhenomD"
    )]
    waveform: WaveformChoice,
    #[arg(
        long,
        value_name = "HZ",
        default_value_t = 15.0,
        allow_negative_numbers = true,
        help = "Lowest frequency, Hz; the default is GWCelery's, ligo.skymap's own is 30"
    )]
    f_low: f64,
    /// Cuts spectra at this fraction of their highest frequency.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.95)]
    f_high_truncate: f64,
    /// Factor on the SNR that allows for noise that is not Gaussian.
    #[arg(long, value_name = "FACTOR", default_value_t = 0.83)]
    rescale_loglikelihood: f32,
    /// Takes no notice of SNR time series.
    #[arg(long)]
    disable_snr_series: bool,
}

/// What is known of the distance beforehand.
#[derive(Debug, clap::Args)]
struct Prior {
    /// Least distance, Mpc.
    #[arg(long, value_name = "MPC", default_value_t = 0.0)]
    min_distance: f64,
    /// Largest distance, Mpc [default: where the best detector has SNR 4].
    #[arg(long, value_name = "MPC")]
    max_distance: Option<f64>,
    /// Distances are distributed as this power: 2 uniform in volume, -1 in the logarithm.
    #[arg(
        long,
        value_name = "K",
        default_value_t = 2,
        allow_negative_numbers = true
    )]
    prior_distance_power: i32,
    /// Distances are uniform in comoving volume instead.
    #[arg(long)]
    cosmology: bool,
}

fn waveform(name: &str) -> Result<WaveformChoice, String> {
    let known = || format!("known are {}", WaveformChoice::NAMES.join(", "));
    WaveformChoice::by_name(name).ok_or_else(known)
}

fn phase(text: &str) -> Result<(String, bool), String> {
    match text.split_once('=') {
        Some((program, "inverted")) => Ok((program.to_owned(), true)),
        Some((program, "as-is")) => Ok((program.to_owned(), false)),
        _ => Err("write it as PROGRAM=as-is or PROGRAM=inverted".to_owned()),
    }
}

pub(super) fn run(args: &Args, cancel: &CancelToken) -> anyhow::Result<()> {
    let options = options(args);
    options.check()?;
    interrupt::cancels(cancel)?;
    let name = args.coinc.display();
    let work = Work {
        cancel: cancel.clone(),
        ..Work::default()
    };
    let coinc = document(&args.coinc, &work)?;
    let psd = match &args.psd {
        Some(path) => Some(document(path, &work)?),
        None => reference_psd(&coinc, &args.coinc, &work)?,
    };
    let ids = Candidate::ids(&coinc)
        .with_context(|| format!("{name} is not a coinc file; it comes first, then PSDs"))?;
    let outputs = outputs(&ids, args)?;
    let conventions = conventions(args);
    for (id, output) in outputs {
        let psd = psd.as_ref().unwrap_or(&coinc);
        let candidate = Candidate::by_id(&coinc, psd, id, &conventions, &work)
            .map_err(|error| with_way_out(error, args))
            .with_context(|| name.to_string())?;
        let object = args.object.clone().unwrap_or_else(|| id.to_string());
        let (map, runtime) = computed(&candidate, &options, (args.threads, cancel))
            .with_context(|| format!("{name}, coinc_event {id}"))?;
        let provenance = Provenance {
            object: Some(object),
            url: args.url.clone(),
            written: Some(now()),
            runtime: Some(runtime),
            command_line: Some(command_line()),
        };
        let bytes = map.to_fits(&provenance);
        file::write(&output, std::iter::once(bytes), cancel)?;
        tell(&output, &map)?;
    }
    Ok(())
}

fn document(path: &Path, work: &Work<'_>) -> anyhow::Result<Document> {
    let limits = Limits::default();
    let bytes = file::read(path, limits.bytes)?;
    Document::parse_watched(&bytes, &limits, work).with_context(|| path.display().to_string())
}

/// Spectra that are not in the coinc file: those that its search was given, by name.
fn reference_psd(
    coinc: &Document,
    path: &Path,
    work: &Work<'_>,
) -> anyhow::Result<Option<Document>> {
    let embedded = |document: &Document| {
        let mut series = document.series.iter();
        series.any(|series| series.name == "REAL8FrequencySeries")
    };
    if embedded(coinc) {
        return Ok(None);
    }
    let name = path.display();
    let named = Candidate::reference_psd(coinc).with_context(|| name.to_string())?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let Some(named) = named else {
        bail!("{name} has no PSDs and names none: give a file that has them after it");
    };
    for found in [PathBuf::from(named), beside.join(named)] {
        if found.is_file() {
            return document(&found, work).map(Some);
        }
    }
    bail!(
        "{name} has no PSDs, and {named}, which it names, is neither here nor beside it: give a \
         file that has them after it"
    );
}

/// Which coincidences are localized, and into which file each goes.
fn outputs(ids: &[i64], args: &Args) -> anyhow::Result<Vec<(i64, PathBuf)>> {
    let name = args.coinc.display();
    let wanted: Vec<i64> = match args.coinc_event_id {
        Some(id) if ids.contains(&id) => vec![id],
        Some(id) => bail!("{name} has no coinc_event {id}, but {}", list(ids)),
        None => ids.to_vec(),
    };
    let output = &args.output;
    let is_directory = output.is_dir() || output.to_string_lossy().ends_with('/');
    if is_directory {
        std::fs::create_dir_all(output)
            .with_context(|| format!("{} cannot be made", output.display()))?;
        let file = |id| (id, output.join(format!("{id}.multiorder.fits")));
        return Ok(wanted.into_iter().map(file).collect());
    }
    match wanted.as_slice() {
        [id] => Ok(vec![(*id, output.clone())]),
        [] => bail!("{name} has no rows in table coinc_event: there is nothing to localize"),
        _ => bail!(
            "{name} has {} coincidences ({}): choose one with --coinc-event-id, or give a \
             directory for all of them, such as -o maps/",
            ids.len(),
            list(ids)
        ),
    }
}

/// Some ids, for a message.
fn list(ids: &[i64]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = ids.iter().take(SHOWN).map(i64::to_string).collect();
    if ids.len() > SHOWN {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

fn conventions(args: &Args) -> PhaseConventions {
    let mut conventions = PhaseConventions::default();
    for (program, inverted) in &args.phase {
        conventions.set(program, *inverted);
    }
    conventions
}

/// Adds what to type where the kernel can only say what it needs.
fn with_way_out(error: CandidateError, args: &Args) -> anyhow::Error {
    match &error {
        CandidateError::Program(program) => {
            let hint = format!("--phase '{program}=as-is' or '{program}=inverted'");
            anyhow::anyhow!("{error}, with {hint}")
        }
        CandidateError::NoPsd(_) if args.psd.is_some() => {
            anyhow::anyhow!("{error}, or leave the detector out with --disable-detector")
        }
        _ => error.into(),
    }
}

/// The kernel's options.
fn options(args: &Args) -> Options {
    let (signal, prior) = (&args.signal, &args.prior);
    Options {
        waveform: signal.waveform,
        f_low: signal.f_low,
        f_high_truncate: signal.f_high_truncate,
        rescale_loglikelihood: signal.rescale_loglikelihood,
        enable_snr_series: !signal.disable_snr_series,
        min_distance: prior.min_distance,
        max_distance: prior.max_distance,
        distance_power: prior.prior_distance_power,
        cosmology: prior.cosmology,
        disabled_detectors: args.disable_detector.clone(),
        ..Options::default()
    }
}

/// The map, and the seconds that it took.
fn computed(
    candidate: &Candidate,
    options: &Options,
    (threads, cancel): (Option<NonZeroUsize>, &CancelToken),
) -> anyhow::Result<(SkyMap, f64)> {
    // Draws on a terminal only.
    let bar = ProgressBar::new(1_000);
    bar.set_style(ProgressStyle::with_template(
        "localizing {wide_bar} {percent:>3} %",
    )?);
    let shown = |fraction: f64| {
        bar.set_position(per_mille(fraction));
    };
    let work = Work {
        threads: threads.unwrap_or_else(processors),
        cancel: cancel.clone(),
        progress: Some(&shown),
        ..Work::default()
    };
    let begin = Instant::now();
    let map = localize(candidate, options, &work);
    bar.finish_and_clear();
    Ok((map?, begin.elapsed().as_secs_f64()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped: 0 to 1000"
)]
fn per_mille(fraction: f64) -> u64 {
    (1_000.0 * fraction.clamp(0.0, 1.0)) as u64
}

fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn now() -> GpsTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    GpsTime::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn command_line() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}

/// Says what came out to a person who watches.
fn tell(output: &Path, map: &SkyMap) -> anyhow::Result<()> {
    let mut stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return Ok(());
    }
    let ranking = Ranking::new(&map.rows);
    writeln!(
        stderr,
        "{}: 50 % {:.3} deg², 90 % {:.3} deg², {:.1} ± {:.1} Mpc",
        output.display(),
        square_degrees(ranking.area(0.5)),
        square_degrees(ranking.area(0.9)),
        map.mean_distance,
        map.std_distance
    )?;
    Ok(())
}

/// Steradians in square degrees.
pub(super) fn square_degrees(steradians: f64) -> f64 {
    steradians * 1_f64.to_degrees().powi(2)
}

#[cfg(test)]
mod tests {
    use gwasp_formats::NoticeTime;
    use gwasp_formats::time::{LEAP_SECONDS, LEAP_SECONDS_KNOWN_UNTIL};

    use super::{GpsTime, per_mille};

    #[test]
    fn notices_and_kernels_know_the_same_leap_seconds() {
        let sides = LEAP_SECONDS.iter().flat_map(|&leap| [leap - 1, leap]);
        for unix in sides.chain([LEAP_SECONDS_KNOWN_UNTIL]) {
            let kernel = GpsTime::from_unix(unix);
            let notice = NoticeTime::parse(&kernel.utc()).unwrap().gps().unwrap();
            let (seconds, _) = kernel.split();
            assert_eq!(notice.seconds, seconds, "{}", kernel.utc());
        }
    }

    #[test]
    fn progress_is_told_in_thousandths() {
        let told = [-1.0, 0.0, 0.25, 0.9999, 1.0, 2.0, f64::NAN].map(per_mille);
        assert_eq!(told, [0, 0, 250, 999, 1_000, 1_000, 0]);
    }
}
