//! The example plugin `localize`: from a notice, over the candidate's files, to a sky map.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gwasp_store::Reader;
use gwasp_tests::files::FileServer;
use gwasp_tests::gwasp::{ANY_PORT, Answer, Gwasp, START_LIMIT, grant_localize, is_ready};
use gwasp_tests::process::Line;
use gwasp_tests::{candidate, gwasp, sample};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Scene, root};

/// How long a map may take on a busy machine, its plugin's compilation included.
const LIMIT: Duration = Duration::from_secs(120);

fn notice() -> PathBuf {
    root().join("examples/localize/notice.xml")
}

/// The value of a keyword of the table's header.
#[track_caller]
fn card(map: &[u8], keyword: &str) -> String {
    let beginning = format!("{keyword:<8}= ");
    let mut cards = map.chunks(80).map(String::from_utf8_lossy);
    let card = cards.find(|card| card.starts_with(&beginning));
    let card = card.unwrap_or_else(|| panic!("the map has no {keyword}"));
    let value = card[10..].split('/').next().unwrap_or_default();
    value.trim().trim_matches('\'').trim().to_owned()
}

#[track_caller]
fn check_map(map: &[u8]) {
    assert!(map.starts_with(b"SIMPLE  =                    T"));
    assert_eq!(map.len() % 2880, 0, "FITS files are made of blocks");
    assert_eq!(card(map, "OBJECT"), "C7");
    assert_eq!(card(map, "INSTRUME"), "H1,L1");
    assert_eq!(card(map, "ORDERING"), "NUNIQ");
    let number = |keyword| card(map, keyword).parse::<f64>().unwrap();
    let (coherent, signal) = (number("LOGBCI"), number("LOGBSN"));
    assert!(coherent > 0.0, "two detectors agree: {coherent}");
    // At most half the square of the network's SNR, of which 0.83 is taken.
    let most = 0.5 * 0.83_f64.powi(2) * (12.5_f64.powi(2) + 14.0_f64.powi(2));
    assert!(0.5 * most < signal && signal < most, "{signal} of {most}");
    let (mean, deviation) = (number("DISTMEAN"), number("DISTSTD"));
    assert!(0.0 < deviation && deviation < mean && mean < 1_000.0);
}

/// Runs a host until the only task has ended; answers what it says of it.
fn end_of_task(scene: &Scene, files: &FileServer, without: &str) -> String {
    let notices = scene.path("notices");
    sample::candidate(&notice(), &notices, files.address).unwrap();
    let replay = scene
        .gwasp
        .replay(&notices, ANY_PORT, &["--until-acked"])
        .unwrap();
    let (config, state) = (scene.path("gwasp.toml"), scene.path("state"));
    gwasp::write_config(&config, replay.address, scene.gwasp.plugins(), &state).unwrap();
    grant_localize(&config, files.address).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(without, "")).unwrap();
    let mut host = scene.gwasp.run(&config).unwrap();
    if !without.is_empty() {
        let lacks = |line: &Line| line.message() == "plugin calls what it has no grant for";
        let told = host
            .wait_for("the missing grant", START_LIMIT, lacks)
            .unwrap();
        assert_eq!(*told.field("add"), "[grants.localize] kernels = true");
    }
    host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
    let ended = |line: &Line| line.target() == "gwasp::task";
    let line = host.wait_for("the task's end", LIMIT, ended).unwrap();
    host.terminate().unwrap();
    assert!(host.wait(LIMIT).unwrap().success());
    line.text
}

#[test]
fn a_plugin_without_the_grant_is_set_aside_and_told_the_lines_to_add() {
    let scene = Scene::new().unwrap();
    let files = FileServer::with_candidate().unwrap();
    let line = end_of_task(&scene, &files, "kernels = true\n");
    for part in [
        "permanent",
        "start heavy computations",
        "[grants.localize]",
        "kernels = true",
    ] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
    let asked = effects(&scene);
    let last = asked.last().unwrap();
    assert_eq!(last["function"], "gwasp:kernels/localize@0.1", "{asked:?}");
}

#[test]
fn a_notice_becomes_a_sky_map_in_the_store() {
    let scene = Scene::new().unwrap();
    let files = FileServer::with_candidate().unwrap();
    let line = end_of_task(&scene, &files, "");
    assert!(line.contains("task succeeded"), "{line}");

    let reader = Reader::open(&scene.path("state")).unwrap();
    let (digest, _) = reader.kv_get("localize", "sky map of C7").unwrap().unwrap();
    let digest = String::from_utf8(digest.to_vec()).unwrap();
    let mut binary = [0; 32];
    for (byte, pair) in binary.iter_mut().zip(digest.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    check_map(&reader.blob(&binary).unwrap().unwrap());
    let effects = effects(&scene);
    let functions: Vec<&str> = effects
        .iter()
        .filter_map(|effect| effect["function"].as_str())
        .collect();
    assert_eq!(functions, FUNCTIONS, "{effects:?}");
    assert!(
        effects.iter().all(|effect| effect["state"] == "answered"),
        "{effects:?}"
    );
    let fetched = effects[0]["request"].as_str().unwrap();
    assert!(
        fetched.contains(&format!("\"http://{}/coinc.xml\"", files.address)),
        "{fetched}"
    );
}

/// What the handler asks the host for, in this order.
const FUNCTIONS: [&str; 6] = [
    "gwasp:http/get@0.1",
    "gwasp:blobs/put@0.1",
    "gwasp:http/get@0.1",
    "gwasp:blobs/put@0.1",
    "gwasp:kernels/localize@0.1",
    "gwasp:kv/set@0.1",
];

/// The effects of the only task, as the host lists them.
fn effects(scene: &Scene) -> Vec<Value> {
    let tasks = scene.gwasp.rows(&["task", "list"], &scene.path("state"));
    let tasks = tasks.unwrap();
    let [task] = tasks.as_slice() else {
        panic!("{tasks:?}");
    };
    let mut command = scene.gwasp.command();
    command.args(["task", "show", task["id"].as_str().unwrap(), "--json"]);
    let shown = Answer::of(command.arg("--state").arg(scene.path("state"))).unwrap();
    let row: Value = serde_json::from_str(&shown.stdout).unwrap();
    row["effects"].as_array().cloned().unwrap_or_default()
}

/// Runs the plugin dry on the candidate, with another coinc file or map.
fn dry(dir: &Path, coinc: &str, map: Option<&str>) -> Value {
    std::fs::write(dir.join("coinc.xml"), coinc).unwrap();
    std::fs::write(dir.join("psd.xml"), candidate::psd()).unwrap();
    let file = |name: &str| json!({"url": format!("http://127.0.0.1:8000/{name}"), "file": name});
    let mut answers = vec![file("coinc.xml"), file("psd.xml")];
    answers.extend(map.map(|map| json!({"kernel": "bayestar.localize", "body": map})));
    let path = dir.join("answers.json");
    std::fs::write(&path, json!(answers).to_string()).unwrap();
    let gwasp = Gwasp::from_environment().unwrap();
    let mut command = gwasp.command();
    command.arg("test").arg("--json").arg("--answers").arg(path);
    command.args([gwasp.plugins().join("localize.wasm"), notice()]);
    let answer = Answer::of(&mut command).unwrap();
    let row = serde_json::from_str(&answer.stdout);
    row.unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn a_dry_run_computes_the_map_and_keeps_nothing() {
    let dir = TempDir::new().unwrap();
    let row = dry(dir.path(), &candidate::coinc(), None);
    assert_eq!(row["outcome"], "SUCCESS", "{row}");
    let log = row["log"][0].as_str().unwrap();
    assert!(log.starts_with("C7 lies within "), "{log}");
    let asked = row["asked"].as_array().unwrap().iter();
    let functions: Vec<_> = asked
        .filter_map(|effect| effect["function"].as_str())
        .collect();
    let expected = [
        "gwasp:http/get@0.1",
        "gwasp:http/get@0.1",
        "gwasp:kernels/localize@0.1",
        "gwasp:kv/set@0.1",
    ];
    assert_eq!(functions, expected, "{row}");
}

#[test]
fn a_dry_run_takes_the_map_that_it_is_given() {
    let dir = TempDir::new().unwrap();
    let row = dry(dir.path(), "", Some("no map at all"));
    let error = row["error"].as_str().unwrap();
    assert!(error.contains("the map is no table of pixels"), "{row}");
}

#[test]
fn a_coinc_file_that_cannot_be_used_is_told_with_table_row_and_column() {
    let dir = TempDir::new().unwrap();
    let broken = candidate::coinc().replace("12.5", "loud");
    let row = dry(dir.path(), &broken, None);
    let error = row["error"].as_str().unwrap();
    assert!(error.starts_with("permanent: "), "{error}");
    for named in ["coinc file", "sngl_inspiral", "row 1", "snr", "loud"] {
        assert!(error.contains(named), "{named} is not in: {error}");
    }
}
