//! Candidates and noise spectra as `LIGO_LW` documents.
//!
//! The counterpart of the reader: what is written here is read back the same, and by
//! `ligo.skymap` and the `igwn-ligolw` tools. Phases of a [`Candidate`] are not inverted, so the
//! documents name a program whose phases are not.

use super::{Candidate, SnrSeries, Trigger};
use crate::gps::GpsTime;
use crate::psd::Psd;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// A pipeline whose phases are read as they are.
const PROGRAM: &str = "pycbc";
const HEAD: &str = "<?xml version='1.0' encoding='utf-8'?>\n\
    <!DOCTYPE LIGO_LW SYSTEM \
    \"http://ldas-sw.ligo.caltech.edu/doc/ligolwAPI/html/ligolw_dtd.txt\">\n<LIGO_LW>\n";
const TAIL: &str = "</LIGO_LW>\n";

/// Columns of a table with their types. The last one is never empty: an empty cell at the end of
/// a stream cannot be told from a trailing delimiter, and readers drop such a row.
type Columns = [(&'static str, &'static str)];

const PROCESS: &Columns = &[
    ("process_id", "int_8s"),
    ("program", "lstring"),
    ("comment", "lstring"),
    ("ifos", "lstring"),
    ("start_time", "int_4s"),
    ("is_online", "int_4s"),
];
const COINC_DEFINER: &Columns = &[
    ("coinc_def_id", "int_8s"),
    ("description", "lstring"),
    ("search", "lstring"),
    ("search_coinc_type", "int_4u"),
];
const COINC_EVENT: &Columns = &[
    ("coinc_event_id", "int_8s"),
    ("coinc_def_id", "int_8s"),
    ("process_id", "int_8s"),
    ("time_slide_id", "int_8s"),
    ("instruments", "lstring"),
    ("likelihood", "real_8"),
    ("nevents", "int_4u"),
];
const COINC_INSPIRAL: &Columns = &[
    ("coinc_event_id", "int_8s"),
    ("ifos", "lstring"),
    ("end_time", "int_4s"),
    ("end_time_ns", "int_4s"),
    ("mass", "real_8"),
    ("mchirp", "real_8"),
    ("minimum_duration", "real_8"),
    ("false_alarm_rate", "real_8"),
    ("combined_far", "real_8"),
    ("snr", "real_8"),
];
const COINC_EVENT_MAP: &Columns = &[
    ("coinc_event_id", "int_8s"),
    ("event_id", "int_8s"),
    ("table_name", "char_v"),
];
const TIME_SLIDE: &Columns = &[
    ("time_slide_id", "int_8s"),
    ("process_id", "int_8s"),
    ("instrument", "lstring"),
    ("offset", "real_8"),
];
const SNGL_INSPIRAL: &Columns = &[
    ("event_id", "int_8s"),
    ("process_id", "int_8s"),
    ("ifo", "lstring"),
    ("end_time", "int_4s"),
    ("end_time_ns", "int_4s"),
    ("snr", "real_4"),
    ("coa_phase", "real_4"),
    ("mass1", "real_4"),
    ("mass2", "real_4"),
    ("spin1x", "real_4"),
    ("spin1y", "real_4"),
    ("spin1z", "real_4"),
    ("spin2x", "real_4"),
    ("spin2y", "real_4"),
    ("spin2z", "real_4"),
    ("f_final", "real_4"),
];

/// Writes candidates as one coinc document, each a row of `coinc_event` with its `id`; ids must
/// differ. SNR series are embedded, noise spectra are not: see [`write_spectra`].
///
/// Times carry nanoseconds and numbers all their digits. What a pipeline knows beside
/// (false-alarm rates, likelihoods) stays empty.
pub fn write_candidates(candidates: &[Candidate]) -> String {
    let mut rows: [Vec<String>; 5] = Default::default();
    let mut instruments: Vec<&str> = Vec::new();
    let mut series = String::new();
    for candidate in candidates {
        let [events, inspirals, map, singles, _] = &mut rows;
        let id = candidate.id;
        events.push(format!(
            "{id},0,0,0,\"{}\",,{}",
            names(candidate),
            candidate.triggers.len()
        ));
        inspirals.push(inspiral_row(candidate));
        for trigger in &candidate.triggers {
            let event_id = singles.len();
            map.push(format!("{id},{event_id},\"sngl_inspiral\""));
            singles.push(single_row(candidate, trigger, event_id));
            if let Some(snr) = &trigger.series {
                series.push_str(&snr_element(snr, event_id));
            }
            let prefix = trigger.detector.prefix();
            if !instruments.contains(&prefix) {
                instruments.push(prefix);
            }
        }
    }
    let ifos = instruments.join(",");
    let [events, inspirals, map, singles, slides] = &mut rows;
    slides.extend(instruments.iter().map(|ifo| format!("0,0,\"{ifo}\",0")));
    let process = format!("0,\"{PROGRAM}\",\"simulated by gwasp\",\"{ifos}\",,0");
    let definer = "0,\"sngl_inspiral&lt;--&gt;sngl_inspiral coincidences\",\"inspiral\",0";
    let mut xml = String::from(HEAD);
    table(&mut xml, "process", PROCESS, &[process]);
    table(
        &mut xml,
        "coinc_definer",
        COINC_DEFINER,
        &[definer.to_owned()],
    );
    table(&mut xml, "coinc_event", COINC_EVENT, events);
    table(&mut xml, "coinc_inspiral", COINC_INSPIRAL, inspirals);
    table(&mut xml, "coinc_event_map", COINC_EVENT_MAP, map);
    table(&mut xml, "time_slide", TIME_SLIDE, slides);
    table(&mut xml, "sngl_inspiral", SNGL_INSPIRAL, singles);
    xml.push_str(&series);
    xml.push_str(TAIL);
    xml
}

/// Writes the noise spectra of a candidate's detectors as one PSD document.
pub fn write_spectra(candidate: &Candidate) -> String {
    let mut xml = String::from(HEAD);
    for trigger in &candidate.triggers {
        xml.push_str(&psd_element(&trigger.psd, trigger.detector.prefix()));
    }
    xml.push_str(TAIL);
    xml
}

fn names(candidate: &Candidate) -> String {
    let names: Vec<&str> = candidate
        .triggers
        .iter()
        .map(|trigger| trigger.detector.prefix())
        .collect();
    names.join(",")
}

fn inspiral_row(candidate: &Candidate) -> String {
    let [m1, m2] = candidate.template.mass();
    let mass = m1 + m2;
    let chirp = (m1 * m2).powf(0.6) / mass.powf(0.2);
    let squares = candidate
        .triggers
        .iter()
        .filter_map(|trigger| trigger.snr)
        .map(|snr| snr * snr);
    let snr = squares.sum::<f64>().sqrt();
    let first = candidate.triggers.iter().map(|trigger| trigger.time).min();
    let (second, nanos) = first.unwrap_or(GpsTime::from_nanos(0)).split();
    let (id, ifos) = (candidate.id, names(candidate));
    format!("{id},\"{ifos}\",{second},{nanos},{mass},{chirp},,,,{snr}")
}

fn single_row(candidate: &Candidate, trigger: &Trigger, event_id: usize) -> String {
    let (ifo, (second, nanos)) = (trigger.detector.prefix(), trigger.time.split());
    let snr = trigger.snr.map(|snr| snr.to_string()).unwrap_or_default();
    let ([m1, m2], [s1, s2]) = (candidate.template.mass(), candidate.template.spin());
    let (phase, f_final) = (trigger.phase, candidate.template.f_final());
    format!(
        "{event_id},0,\"{ifo}\",{second},{nanos},{snr},{phase},{m1},{m2},0,0,{s1},0,0,{s2},{f_final}"
    )
}

fn table(xml: &mut String, name: &str, columns: &Columns, rows: &[String]) {
    let columns = columns
        .iter()
        .map(|(column, kind)| format!("\t\t<Column Name=\"{column}\" Type=\"{kind}\"/>\n"));
    let columns: String = columns.collect();
    let rows = rows.join(",\n\t\t\t");
    put(
        xml,
        format_args!(
            "\t<Table Name=\"{name}:table\">\n{columns}\t\t<Stream Name=\"{name}:table\" \
             Delimiter=\",\" Type=\"Local\">\n\t\t\t{rows}\n\t\t</Stream>\n\t</Table>\n"
        ),
    );
}

/// A string takes whatever it is given.
fn put(xml: &mut String, text: std::fmt::Arguments<'_>) {
    let written = xml.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a string");
}

fn snr_element(series: &SnrSeries, event_id: usize) -> String {
    let n = series.samples.len();
    let time = (0..n).map(|k| k as f64 * series.delta_t);
    let component = |which: usize| series.samples.iter().map(move |s| f64::from(s[which]));
    let array = format!(
        "\t\t<Array Type=\"real_8\" Name=\"snr:array\" Unit=\"\">\n\
         \t\t\t<Dim Name=\"Time\" Unit=\"s\" Start=\"0\" Scale=\"{}\">{n}</Dim>\n\
         \t\t\t<Dim Name=\"Time,Real,Imaginary\">3</Dim>\n{}\t\t</Array>\n",
        series.delta_t,
        stream(time.chain(component(0)).chain(component(1))),
    );
    let param = ("event_id", "int_8s", event_id.to_string());
    element("COMPLEX8TimeSeries", (series.epoch, 0.0), &array, &param)
}

fn psd_element(psd: &Psd, instrument: &str) -> String {
    let n = psd.values().len();
    let frequency = (0..n).map(|k| psd.f0() + k as f64 * psd.delta_f());
    let array = format!(
        "\t\t<Array Type=\"real_8\" Name=\"PSD:array\" Unit=\"s strain^2\">\n\
         \t\t\t<Dim Name=\"Frequency\" Unit=\"s^-1\" Start=\"{}\" Scale=\"{}\">{n}</Dim>\n\
         \t\t\t<Dim Name=\"Frequency,Real\">2</Dim>\n{}\t\t</Array>\n",
        psd.f0(),
        psd.delta_f(),
        stream(frequency.chain(psd.values().iter().copied())),
    );
    let param = ("instrument", "lstring", instrument.to_owned());
    let start = (GpsTime::from_nanos(0), psd.f0());
    element("REAL8FrequencySeries", start, &array, &param)
}

/// One series: `start` is its epoch and first frequency.
fn element(
    name: &str,
    (epoch, f0): (GpsTime, f64),
    array: &str,
    (param, kind, value): &(&str, &str, String),
) -> String {
    let (second, nanos) = epoch.split();
    format!(
        "\t<LIGO_LW Name=\"{name}\">\n\
         \t\t<Time Type=\"GPS\" Name=\"epoch\">{second}.{nanos:09}</Time>\n\
         \t\t<Param Name=\"f0:param\" Type=\"real_8\" Unit=\"s^-1\">{f0}</Param>\n{array}\
         \t\t<Param Name=\"{param}:param\" Type=\"{kind}\">{value}</Param>\n\t</LIGO_LW>\n"
    )
}

fn stream(numbers: impl Iterator<Item = f64>) -> String {
    let bytes: Vec<u8> = numbers.flat_map(f64::to_le_bytes).collect();
    format!(
        "\t\t\t<Stream Type=\"Local\" Delimiter=\" \" Encoding=\"base64,LittleEndian\">\n\
         \t\t\t\t{}\n\t\t\t</Stream>\n",
        STANDARD.encode(bytes)
    )
}

#[cfg(test)]
mod tests;
