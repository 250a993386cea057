//! A candidate of a merger that nobody saw: its files as a search would write them.
//!
//! Two detectors have a trigger each of a binary of neutron stars; their noise is that of a
//! design curve. The same bytes every time; `ligo.skymap` reads them, too.

/// Prefix, SNR, phase (radians) and arrival (nanoseconds after the second) of each trigger. The
/// arrivals are 4 ms apart: light takes 10 ms between the two.
const TRIGGERS: [(&str, f64, f64, u32); 2] = [
    ("H1", 12.5, 0.4, 250_000_000),
    ("L1", 14.0, -1.1, 246_000_000),
];
/// GPS.
const SECOND: u32 = 1_577_491_218;
/// Solar masses.
const MASSES: [f64; 2] = [1.6, 1.3];
/// Hz.
const FREQUENCIES: std::ops::RangeInclusive<u16> = 10..=2048;

/// A coinc file without SNR series and spectra (`LIGO_LW` XML).
pub fn coinc() -> String {
    let mut rows = [String::new(), String::new()];
    for (number, (detector, snr, phase, nanoseconds)) in TRIGGERS.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let [mass1, mass2] = MASSES;
        let event = format!("{comma}0,{number},\"sngl_inspiral\"");
        let single = format!(
            "{comma}{number},\"{detector}\",{snr},{phase},{SECOND},{nanoseconds},{mass1},{mass2},\
             0,0,0.02,0,0,0.01,2048"
        );
        rows[0].push_str(&event);
        rows[1].push_str(&single);
    }
    let tables = [
        table(
            "process",
            "process_id:int_8s program:lstring",
            "0,\"gstlal_inspiral\"",
        ),
        table(
            "coinc_definer",
            "coinc_def_id:int_8s search:lstring search_coinc_type:int_4u description:lstring",
            "0,\"inspiral\",0,\"sngl_inspiral&lt;--&gt;sngl_inspiral coincidences\"",
        ),
        table(
            "coinc_event",
            "coinc_event_id:int_8s process_id:int_8s coinc_def_id:int_8s time_slide_id:int_8s",
            "0,0,0,0",
        ),
        table(
            "time_slide",
            "time_slide_id:int_8s instrument:lstring offset:real_8",
            "0,\"H1\",0,0,\"L1\",0",
        ),
        table(
            "coinc_event_map",
            "coinc_event_id:int_8s event_id:int_8s table_name:char_v",
            &rows[0],
        ),
        table(
            "sngl_inspiral",
            "event_id:int_8s ifo:lstring snr:real_4 coa_phase:real_4 end_time:int_4s \
             end_time_ns:int_4s mass1:real_4 mass2:real_4 spin1x:real_4 spin1y:real_4 \
             spin1z:real_4 spin2x:real_4 spin2y:real_4 spin2z:real_4 f_final:real_4",
            &rows[1],
        ),
    ];
    document(&tables.concat())
}

/// The spectra of its detectors' noise, one-sided, in 1/Hz (`LIGO_LW` XML).
pub fn psd() -> String {
    let mut stream = String::new();
    for frequency in FREQUENCIES {
        let density = design(f64::from(frequency));
        stream.push_str(&format!("{frequency} {density:e} "));
    }
    let len = FREQUENCIES.count();
    let first = FREQUENCIES.start();
    let series = TRIGGERS.map(|(detector, ..)| {
        format!(
            "<LIGO_LW Name=\"REAL8FrequencySeries\"><Time Name=\"epoch\" Type=\"GPS\">{SECOND}</Time>\
             <Param Name=\"f0:param\" Type=\"real_8\" Unit=\"s^-1\">{first}</Param>\
             <Array Name=\"PSD:array\" Type=\"real_8\" Unit=\"s\"><Dim Name=\"Frequency\" \
             Unit=\"s^-1\" Start=\"0\" Scale=\"1\">{len}</Dim><Dim Name=\"Frequency,Real\">2</Dim><Stream Type=\"Local\" Delimiter=\" \">{stream}</Stream></Array><Param \
             Name=\"instrument:param\" Type=\"lstring\">{detector}</Param></LIGO_LW>\n"
        )
    });
    document(&series.concat())
}

/// Advanced LIGO's design, 1/Hz (Ajith et al. 2011, PRL 106 241101, table I).
fn design(frequency: f64) -> f64 {
    let x = frequency / 215.0;
    let sum = 1.0 - x.powi(2) + x.powi(4) / 2.0;
    let shape = x.powf(-4.14) - 5.0 * x.powi(-2) + 111.0 * sum / (1.0 + x.powi(2) / 2.0);
    1e-49 * shape
}

fn table(name: &str, columns: &str, rows: &str) -> String {
    let columns: String = columns
        .split_whitespace()
        .filter_map(|column| column.split_once(':'))
        .map(|(column, kind)| format!("<Column Name=\"{name}:{column}\" Type=\"{kind}\"/>"))
        .collect();
    format!(
        "<Table Name=\"{name}:table\">{columns}<Stream Name=\"{name}:table\" Type=\"Local\" \
         Delimiter=\",\">{rows}</Stream></Table>\n"
    )
}

fn document(elements: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<LIGO_LW>\n{elements}</LIGO_LW>\n")
}
