//! Real notices against what is known of them from elsewhere: the index of the sample collection,
//! and Python's XML reader as an independent opinion.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure ends the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gwasp_formats::{LvAlert, NoticeSummary, Role, Scan, VoEvent, scan};

const INDEX: &str = "index.csv";

/// Prints one JSON object a file: what lxml-style reading by local names finds.
const READER: &str = r#"
import json, sys, xml.etree.ElementTree as ET

def local(element):
    return element.tag.rsplit('}', 1)[-1]

def children(element, name):
    return [] if element is None else [child for child in element if local(child) == name]

def child(element, *path):
    for name in path:
        element = next(iter(children(element, name)), None)
    return element

def text(element):
    value = (element.text or '').strip() if element is not None else ''
    return value or None

def read(path):
    data = open(path, 'rb').read()
    start = data.find(b'<')
    try:
        root = ET.fromstring(data[start:])
    except ET.ParseError as error:
        return {'file': path, 'error': str(error)}
    packet_types = [p for p in children(child(root, 'What'), 'Param') if p.get('name') == 'Packet_Type']
    coords = child(root, 'WhereWhen', 'ObsDataLocation', 'ObservationLocation', 'AstroCoords')
    position = child(coords, 'Position2D')
    return {
        'file': path,
        'root': local(root),
        'ivorn': root.get('ivorn'),
        'role': root.get('role'),
        'author': text(child(root, 'Who', 'AuthorIVORN')),
        'date': text(child(root, 'Who', 'Date')),
        'packet_type': packet_types[0].get('value') if packet_types else None,
        'frame': coords.get('coord_system_id') if coords is not None else None,
        'time': text(child(coords, 'Time', 'TimeInstant', 'ISOTime')),
        'c1': text(child(position, 'Value2', 'C1')),
        'c2': text(child(position, 'Value2', 'C2')),
        'radius': text(child(position, 'Error2Radius')),
        'params': [[p.get('name'), p.get('value')] for p in children(child(root, 'What'), 'Param')],
        'groups': [[g.get('name'), [[p.get('name'), p.get('value')] for p in children(g, 'Param')]]
                   for g in children(child(root, 'What'), 'Group')],
        'cites': [[c.get('cite'), text(c)] for c in children(child(root, 'Citations'), 'EventIVORN')],
    }

for path in sys.stdin.read().splitlines():
    print(json.dumps(read(path)))
"#;

/// The folder of sample notices, or `None` (said aloud) where it is not at hand.
fn samples() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no cli to read the environment for it"
    )]
    let given = std::env::var("GWASP_SHARED_DATA").ok().map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = given.unwrap_or_else(beside);
    let found = folder.join("gcn").join(INDEX).is_file();
    if !found {
        say_skipped(&format!("no sample notices in {}", folder.display()));
    }
    found.then_some(folder)
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn say_skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// One line of the collection's index.
struct Known {
    file: String,
    number: Option<u16>,
    role: String,
    ivorn: String,
    parses: bool,
}

fn index(folder: &Path) -> Vec<Known> {
    let table = std::fs::read_to_string(folder.join(INDEX)).unwrap();
    let mut lines = table.lines();
    let header = fields(lines.next().unwrap());
    let column = |name: &str| header.iter().position(|field| field == name).unwrap();
    let (file, number, role) = (column("file"), column("notice_type_number"), column("role"));
    let (ivorn, parses) = (column("ivorn"), column("parses"));
    lines
        .map(fields)
        .filter(|line| line[file].ends_with(".xml"))
        .map(|line| Known {
            number: line[number].parse().ok(),
            parses: line[parses] == "yes",
            role: line[role].clone(),
            ivorn: line[ivorn].clone(),
            file: line[file].clone(),
        })
        .collect()
}

/// Splits a line of CSV; quotes protect commas.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}

#[test]
fn type_role_and_ivorn_are_those_of_the_collections_index() {
    let Some(folder) = samples() else { return };
    let folder = folder.join("gcn");
    let known = index(&folder);
    assert!(known.len() > 200, "{} samples", known.len());
    for known in known {
        let bytes = std::fs::read(folder.join(&known.file)).unwrap();
        let notice =
            NoticeSummary::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", known.file));
        let strict = scan(&bytes, &["Packet_Type"]);
        if !known.parses {
            assert!(strict.is_err() && notice.note.is_some(), "{}", known.file);
            continue;
        }
        assert_eq!(notice.number, known.number, "{}", known.file);
        assert_eq!(notice.role.as_str(), known.role, "{}", known.file);
        assert_eq!(
            notice.ivorn.unwrap_or_default(),
            known.ivorn,
            "{}",
            known.file
        );
        let Ok(Scan::VoEvent(head)) = strict else {
            panic!("{}: {strict:?}", known.file)
        };
        assert_eq!(
            head.notice_type.map(|kind| kind.number()),
            known.number,
            "{}",
            known.file
        );
        assert_eq!(
            head.ivorn.unwrap_or_default(),
            known.ivorn,
            "{}",
            known.file
        );
        assert_eq!(head.date, notice.date, "{}", known.file);
        assert!(
            bytes[head.element.clone()].starts_with(b"<"),
            "{}",
            known.file
        );
        assert!(bytes[head.element].ends_with(b"VOEvent>"), "{}", known.file);
    }
}

#[test]
fn an_independent_reader_finds_the_same_in_every_file() {
    let Some(folder) = samples() else { return };
    let files: Vec<PathBuf> = ["gcn", "gwcelery"]
        .iter()
        .flat_map(|name| xml_files(&folder.join(name)))
        .collect();
    let Some(opinions) = ask_python(&files) else {
        say_skipped("python3 is not at hand");
        return;
    };
    assert_eq!(opinions.len(), files.len());
    let mut compared = 0;
    for (file, opinion) in files.iter().zip(&opinions) {
        let bytes = std::fs::read(file).unwrap();
        compared += usize::from(check_against(file, &bytes, opinion));
    }
    assert!(compared > 200, "{compared} files compared");
}

fn xml_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect();
    files.sort();
    files
}

fn ask_python(files: &[PathBuf]) -> Option<Vec<serde_json::Value>> {
    let mut python = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let list: String = files
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    std::io::Write::write_all(&mut python.stdin.take()?, list.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the Python reader failed");
    let lines = str::from_utf8(&output.stdout).unwrap().lines();
    Some(
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

/// Compares one file; false if it is no VOEvent.
#[track_caller]
fn check_against(file: &Path, bytes: &[u8], opinion: &serde_json::Value) -> bool {
    let name = file.display();
    if opinion["error"].is_string() {
        // That reader wants declared prefixes; this one takes the document as it is.
        return false;
    }
    if opinion["root"] != "VOEvent" {
        assert!(VoEvent::parse(bytes).is_err(), "{name}");
        return false;
    }
    let event = VoEvent::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let notice = NoticeSummary::from(&event);
    let told = |field: &str| opinion[field].as_str();
    assert_eq!(notice.ivorn.as_deref(), told("ivorn"), "{name}");
    let role = told("role").map_or(Some(Role::Observation), Role::from_word);
    assert_eq!(notice.role, role.unwrap_or_default(), "{name}");
    assert_eq!(notice.author.as_deref(), told("author"), "{name}");
    assert_eq!(notice.date.as_deref(), told("date"), "{name}");
    assert_eq!(
        notice.number,
        told("packet_type").and_then(|text| text.trim().parse().ok()),
        "{name}"
    );
    if told("frame").is_some() {
        assert_eq!(notice.frame.as_deref(), told("frame"), "{name}");
    }
    check_time(&notice, told("time"), &name.to_string());
    check_position(&notice, ["c1", "c2", "radius"].map(told), &name.to_string());
    check_params(&event, opinion, &name.to_string());
    true
}

#[track_caller]
fn check_time(notice: &NoticeSummary, told: Option<&str>, name: &str) {
    let expected = told.map(|text| {
        text.trim_end_matches("+00:00")
            .trim_end_matches('Z')
            .to_owned()
            + "Z"
    });
    assert_eq!(notice.time, expected, "{name}");
}

#[track_caller]
fn check_position(notice: &NoticeSummary, told: [Option<&str>; 3], name: &str) {
    let [ra, dec, radius] = told.map(|text| text.map(|text| text.parse::<f64>().unwrap()));
    let is_none = [ra, dec, radius]
        .iter()
        .all(|number| number.is_some_and(|number| number.abs() < 1e-12));
    if is_none {
        assert_eq!((notice.ra, notice.dec), (None, None), "{name}");
        assert!(
            notice
                .note
                .as_deref()
                .is_some_and(|note| note.contains("no position")),
            "{name}"
        );
        return;
    }
    assert_eq!(
        (notice.ra, notice.dec, notice.error_radius),
        (ra, dec, radius),
        "{name}"
    );
}

#[track_caller]
fn check_params(event: &VoEvent, opinion: &serde_json::Value, name: &str) {
    let pairs = |params: &[gwasp_formats::voevent::Param]| -> serde_json::Value {
        // A value that stands in a child is not in the opinion.
        let pair =
            |param: &gwasp_formats::voevent::Param| serde_json::json!([param.name, param.value]);
        params.iter().map(pair).collect()
    };
    let in_attributes = |told: &serde_json::Value| {
        told.as_array()
            .is_some_and(|params| params.iter().all(|param| !param[1].is_null()))
    };
    if in_attributes(&opinion["params"]) {
        assert_eq!(pairs(&event.what.params), opinion["params"], "{name}");
    }
    let groups: serde_json::Value = event
        .what
        .groups
        .iter()
        .map(|group| serde_json::json!([group.name, pairs(&group.params)]))
        .collect();
    assert_eq!(groups, opinion["groups"], "{name}");
    let cited: Vec<_> = event
        .citations
        .iter()
        .map(|cited| cited.ivorn.as_str())
        .collect();
    let told: Vec<_> = opinion["cites"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c[1].as_str().unwrap_or_default())
        .collect();
    assert_eq!(cited, told, "{name}");
}

#[test]
fn every_recorded_message_of_gracedb_is_read() {
    let Some(folder) = samples() else { return };
    let entries = std::fs::read_dir(folder.join("gwcelery"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut read = 0;
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_message = name.starts_with("igwn_alert_") || name.starts_with("lvalert_");
        if !is_message || !name.ends_with(".json") {
            continue;
        }
        let alert = LvAlert::parse(&std::fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            !alert.uid.is_empty() && !alert.alert_type.is_empty(),
            "{name}"
        );
        assert_eq!(alert.is_superevent(), name.contains("superevent"), "{name}");
        read += 1;
    }
    assert!(read > 10, "{read} messages");
}
