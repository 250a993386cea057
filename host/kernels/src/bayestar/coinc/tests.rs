use super::*;
use crate::ligolw::Limits;

/// A two-detector candidate, with room for what a test wants to change.
fn document(change: impl Fn(String) -> String) -> Document {
    let mut xml = String::from("<LIGO_LW>");
    let mut table = |name: &str, columns: &[(&str, &str)], rows: &str| {
        xml.push_str(&format!("<Table Name='{name}:table'>"));
        for (column, kind) in columns {
            xml.push_str(&format!("<Column Name='{name}:{column}' Type='{kind}'/>"));
        }
        xml.push_str(&format!("<Stream Delimiter=','>{rows}</Stream></Table>"));
    };
    table(
        "process",
        &[("process_id", "int_8s"), ("program", "lstring")],
        "4,\"gstlal_inspiral\"",
    );
    table(
        "coinc_event",
        &[
            ("coinc_event_id", "int_8s"),
            ("process_id", "int_8s"),
            ("time_slide_id", "int_8s"),
        ],
        "0,4,0",
    );
    table(
        "coinc_event_map",
        &[
            ("coinc_event_id", "int_8s"),
            ("event_id", "int_8s"),
            ("table_name", "char_v"),
        ],
        "0,2,\"sngl_inspiral\",0,1,\"sngl_inspiral\",0,0,\"coinc_event\",1,9,\"sngl_inspiral\"",
    );
    let sngl = [
        ("event_id", "int_8s"),
        ("ifo", "lstring"),
        ("snr", "real_4"),
        ("coa_phase", "real_4"),
        ("end_time", "int_4s"),
        ("end_time_ns", "int_4s"),
        ("mass1", "real_4"),
        ("mass2", "real_4"),
        ("spin1x", "real_4"),
        ("spin1z", "real_4"),
        ("f_final", "real_4"),
    ];
    let rows = "1,\"H1\",5.5,0.25,1000000000,250000000,1.5,1.25,,0.1,,\n\
                2,\"L1\",,-0.5,1000000000,260000000,1.5,1.25,,0.1,0";
    table("sngl_inspiral", &sngl, rows);
    for (instrument, level) in [("H1", "1e-46"), ("L1", "2e-46"), ("L1", "3e-46")] {
        xml.push_str(&format!(
            "<LIGO_LW Name='REAL8FrequencySeries'><Param Name='f0:param'>10</Param>\
             <Array Name='PSD:array' Type='real_8'><Dim Scale='1'>2</Dim><Dim>2</Dim>\
             <Stream>10 {level} 11 {level}</Stream></Array>\
             <Param Name='instrument:param'>{instrument}</Param></LIGO_LW>"
        ));
    }
    xml.push_str(
        "<LIGO_LW Name='COMPLEX8TimeSeries'><Time>1000000000.245</Time><Array Name='snr:array' \
         Type='real_8'><Dim Scale='0.005'>3</Dim><Dim>3</Dim>\
         <Stream>0 1 2 0.005 3 4 0.01 5 6</Stream></Array>\
         <Param Name='event_id:param'>sngl_inspiral:event_id:1</Param></LIGO_LW></LIGO_LW>",
    );
    Document::parse(change(xml).as_bytes(), &Limits::default()).expect("well formed")
}

fn candidate(change: impl Fn(String) -> String) -> Result<Candidate, CandidateError> {
    let document = document(change);
    Candidate::from_documents(&document, &document)
}

#[test]
fn triggers_come_in_the_order_of_the_map_with_their_spectra_and_series() {
    let candidate = candidate(|xml| xml).expect("valid");
    let [first, second] = candidate.triggers.as_slice() else {
        panic!("two triggers")
    };
    assert_eq!(
        (first.detector.prefix(), second.detector.prefix()),
        ("L1", "H1")
    );
    assert_eq!((first.snr, second.snr), (None, Some(5.5)));
    assert_eq!(second.time.nanos(), 1_000_000_000_250_000_000);
    assert_eq!(first.series, None);
    // Of two spectra for one detector the later counts.
    assert_eq!(
        first.psd,
        Psd::new(10.0, 1.0, vec![3e-46; 2]).expect("valid")
    );
    assert_eq!(
        candidate.template,
        Template::new([1.5, 1.25], [0.1, 0.0], 2_048.0).expect("valid")
    );
}

#[test]
fn gstlal_phases_are_inverted_and_pycbc_ones_are_not() {
    let phases = |program: &str| {
        let candidate = candidate(|xml| xml.replace("gstlal_inspiral", program)).expect("valid");
        let trigger = &candidate.triggers[1];
        (
            trigger.phase,
            trigger.series.as_ref().expect("a series").samples[2],
        )
    };
    assert_eq!(phases("gstlal_inspiral"), (-0.25, [5.0, -6.0]));
    assert_eq!(phases("MBTAOnline"), (-0.25, [5.0, -6.0]));
    assert_eq!(phases("pycbc"), (0.25, [5.0, 6.0]));
}

#[test]
fn a_time_slide_shifts_the_trigger() {
    let slide = "<LIGO_LW><Table Name='time_slide:table'><Column Name='time_slide_id' \
        Type='int_8s'/><Column Name='instrument' Type='lstring'/><Column Name='offset' \
        Type='real_8'/><Stream Delimiter=','>7,\"H1\",0.5,7,\"L1\",-1</Stream></Table>";
    let change = |xml: String| {
        xml.replacen("<LIGO_LW>", slide, 1)
            .replace("0,4,0", "0,4,7")
    };
    let candidate = candidate(change).expect("valid");
    let times: Vec<i64> = candidate.triggers.iter().map(|t| t.time.nanos()).collect();
    assert_eq!(times, [999_999_999_260_000_000, 1_000_000_000_750_000_000]);
}

#[track_caller]
fn check_refused(from: &str, to: &str, message: &str) {
    let error = candidate(|xml| {
        assert!(xml.contains(from), "{from}");
        xml.replacen(from, to, 1)
    });
    assert_eq!(error.expect_err(to).to_string(), message);
}

#[test]
fn what_is_wrong_is_named() {
    check_refused(
        "gstlal_inspiral",
        "mypipe",
        "unknown pipeline \"mypipe\": say whether its phases are to be inverted",
    );
    check_refused("\"L1\"", "\"Z9\"", "unknown detector \"Z9\"");
    check_refused(
        "1.25,,0.1,0",
        "1.26,,0.1,0",
        "sngl_inspiral rows of one coincidence differ in mass2",
    );
    check_refused(
        "0,2,\"sngl",
        "0,3,\"sngl",
        "event_id 3 of coinc_event_map is not in table sngl_inspiral",
    );
    check_refused(
        "0,4,0",
        "0,5,0",
        "process_id 5 of coinc_event is not in table process",
    );
    check_refused(
        "0,4,0",
        "0,4,0,1,4,0",
        "the document has 2 coincidences, not one",
    );
    check_refused(
        "0,2,\"sngl_inspiral\",0,1",
        "0,1,\"sngl_inspiral\",0,1",
        "coinc_event_map, row 2: coinc_event 0 has a second trigger of H1, sngl_inspiral row 1 \
         after row 1",
    );
    check_refused(
        "\"L1\"",
        "\"H1\"",
        "coinc_event_map, row 2: coinc_event 0 has a second trigger of H1, sngl_inspiral row 1 \
         after row 2",
    );
    check_refused("0,4,0", "", "the document has 0 coincidences, not one");
    check_refused(
        "0,4,0",
        "0,4,3",
        "time_slide_id 3 of coinc_event is not in table time_slide",
    );
    check_refused(
        "<Param Name='instrument:param'>H1",
        "<Param Name='instrument:param'>V1",
        "no PSD for H1: give a PSD document that has it",
    );
    check_refused(
        "sngl_inspiral:table'",
        "other:table'",
        "the document has no table sngl_inspiral",
    );
    check_refused(
        "sngl_inspiral:mass1",
        "sngl_inspiral:mass9",
        "the template cannot be used",
    );
    check_refused(
        ",1000000000,250000000",
        ",-1,250000000",
        "end_time of sngl_inspiral 1 is out of range",
    );
    check_refused(
        "sngl_inspiral:snr",
        "sngl_inspiral:snx",
        "table sngl_inspiral has no column snr",
    );
}

#[test]
fn spins_in_the_orbital_plane_are_refused() {
    let error = candidate(|xml| xml.replace("1.25,,0.1", "1.25,0.2,0.1")).expect_err("refused");
    assert!(
        matches!(error, CandidateError::InPlaneSpin("spin1x")),
        "{error}"
    );
}

#[test]
fn the_reference_spectrum_of_the_search_is_found() {
    let parameters = "<LIGO_LW><Table Name='process_params:table'>\
        <Column Name='process_id' Type='int_8s'/><Column Name='param' Type='lstring'/>\
        <Column Name='value' Type='lstring'/><Stream Delimiter=','>4,\"--input\",\"a.xml\",\
        5,\"--reference-psd\",\"b.xml\",4,\"--reference-psd\",\"psd.xml.gz\"</Stream></Table>";
    let with_process = |xml: String| {
        let column = "<Column Name='sngl_inspiral:event_id' Type='int_8s'/>";
        let added = format!("{column}<Column Name='process:process_id' Type='int_8s'/>");
        let rows = xml
            .replace("1,\"H1\",5.5", "1,4,\"H1\",5.5")
            .replace("2,\"L1\",,", "2,4,\"L1\",,");
        rows.replace(column, &added)
    };
    let found = document(|xml| with_process(xml).replacen("<LIGO_LW>", parameters, 1));
    assert_eq!(
        Candidate::reference_psd(&found).expect("found"),
        Some("psd.xml.gz")
    );
    assert_eq!(
        Candidate::reference_psd(&document(with_process)).expect("none"),
        None
    );
}

#[test]
fn another_pipeline_can_be_made_known() {
    let document = document(|xml| xml.replace("gstlal_inspiral", "mypipe"));
    let mut conventions = PhaseConventions::default();
    for (inverted, phase) in [(false, 0.25), (true, -0.25)] {
        conventions.set("mypipe", inverted);
        let candidate =
            Candidate::with_conventions(&document, &document, &conventions, &Work::default());
        let found = candidate.expect("known now").triggers[1].phase;
        assert!((found - phase).abs() < 1e-12, "{found}");
    }
}

/// Rows that belong to nobody, so many that a search of all for each would not end.
#[test]
fn a_candidate_among_many_rows_is_found_in_one_pass() {
    let change = |xml: String| {
        let map: String = (0..40_000)
            .map(|k| format!("7,{k},\"sngl_inspiral\","))
            .collect();
        let row = |k| format!("{k},\"H1\",5.5,0.25,1000000000,250000000,1.5,1.25,,0.1,,");
        let singles: String = (10..40_000).map(row).collect();
        xml.replace("0,2,\"sngl", &format!("{map}0,2,\"sngl"))
            .replace("1,\"H1\",5.5", &format!("{singles}1,\"H1\",5.5"))
    };
    assert_eq!(candidate(change).expect("valid").triggers.len(), 2);
}

#[track_caller]
fn check_stopped(work: &Work<'_>) -> CandidateError {
    let document = document(|xml| xml);
    let conventions = PhaseConventions::default();
    let read = Candidate::with_conventions(&document, &document, &conventions, work);
    read.expect_err("stopped")
}

#[test]
fn a_candidate_is_read_until_it_is_cancelled_and_within_its_memory() {
    let mut work = Work {
        max_bytes: 200,
        ..Work::default()
    };
    // Two spectra of two samples and a series of three: 56 bytes; an index of two rows: 100.
    let document = document(|xml| xml);
    let conventions = PhaseConventions::default();
    Candidate::with_conventions(&document, &document, &conventions, &work).expect("it fits");
    work.max_bytes = 50;
    let error = check_stopped(&work);
    assert!(matches!(error, CandidateError::OutOfMemory(_)), "{error}");
    work.cancel.cancel();
    let error = check_stopped(&work);
    assert!(matches!(error, CandidateError::Cancelled(_)), "{error}");
}
