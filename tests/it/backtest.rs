//! A new version of a plugin over what a host has kept, beside what was.

use std::fs;
use std::path::{Path, PathBuf};

use gwasp_tests::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::{Site, check_says};
use crate::harness::root;
use crate::hostile::guests::{NOTICE, result_of, version};

/// Packets of the type that the versions handle.
const PACKETS: usize = 3;

/// A folder with notices: those that the versions handle, and one that they do not.
fn notices() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let other = fs::read_to_string(root().join("examples/notices/15_unknown_type.xml")).unwrap();
    fs::write(dir.path().join("other.xml"), &other).unwrap();
    for number in 0..PACKETS {
        let notice = other
            .replace("\"987\"", &format!("\"{NOTICE}\""))
            .replace("newmission#", &format!("newmission#{number}_"));
        fs::write(dir.path().join(format!("{number}.xml")), notice).unwrap();
    }
    dir
}

/// A host that ran version 0 on them, and a file with version `number`.
fn site(number: u32) -> (Site, Process, PathBuf) {
    let notices = notices();
    let (site, host) = Site::playing("", notices.path(), |site| {
        let plugin = site.scene.path("plugins").join("versions.wasm");
        fs::write(plugin, version(0, "general", 0)).unwrap();
        site
    });
    let file = site.scene.path("versions.wasm");
    fs::write(&file, version(number, "general", 0)).unwrap();
    (site, host, file)
}

/// The JSON lines that a back-test prints, and the last of them apart.
#[track_caller]
fn rows(site: &Site, plugin: &Path, args: &[&str], code: i32) -> (Vec<Value>, Value) {
    let plugin = plugin.to_str().unwrap();
    let all = [&["backtest", plugin, "--json"], args].concat();
    let answer = site.gwasp(&all);
    assert_eq!(answer.status.code(), Some(code), "{answer:?}");
    let lines = answer.stdout.lines();
    let mut rows: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let counts = rows.pop().unwrap();
    (rows, counts)
}

#[test]
fn a_plugin_that_is_as_it_was_does_as_it_did_beside_the_host_that_runs_it() {
    let (site, _host, same) = site(0);
    let (rows, counts) = rows(&site, &same, &[], 0);
    let verdicts: Vec<&Value> = rows.iter().map(|row| &row["verdict"]).collect();
    assert_eq!(verdicts, [&json!("same"); PACKETS]);
    assert_eq!(counts["unmatched"], json!({"no-handler": 1}));
    assert_eq!(counts["packets"], json!(PACKETS + 1));
}

#[test]
fn each_outcome_that_differs_is_shown_beside_what_was() {
    let (site, host, changed) = site(7);
    drop(host);
    let (rows, counts) = rows(&site, &changed, &["--diff-only", "--limit", "2"], 1);
    assert_eq!(counts["differences"], json!(rows.len()));
    for row in &rows {
        assert_eq!(row["was"]["result"], json!(result_of(0)));
        assert_eq!(row["is"]["result"], json!(result_of(7)));
    }
    assert_eq!(counts["packets"], json!(2));

    let plugin = changed.to_str().unwrap();
    let shown = site.gwasp(&["backtest", plugin, "--key", "UNKNOWN_602*", "--jobs", "2"]);
    check_says(
        &shown,
        1,
        &[
            "versions.run  SUCCESS  3     0     3",
            "3 packets: ",
            "\nnot as it was:\n",
        ],
    );
    assert_eq!(shown.stdout.matches("  was     SUCCESS  \"v0\"").count(), 3);
}

#[test]
fn a_handler_that_was_not_there_is_new() {
    let (site, _host, file) = site(1);
    let (rows, counts) = rows(&site, &file, &["--as", "another"], 0);
    assert_eq!(rows.len(), PACKETS);
    assert_eq!(counts["outcomes"][0]["new"], json!(PACKETS));
    let (rows, _) = self::rows(&site, &file, &["--until", "1h"], 0);
    assert_eq!(rows, Vec::<Value>::new());
}

/// The clock, random bytes and values are what they were; refusals for want of a grant too.
#[test]
fn what_was_noted_of_the_old_run_is_answered_again() {
    let notices = root().join("examples/notices");
    let grants = "[grants.effects-probe]\nkv = true\n";
    let (site, _host) = Site::playing(grants, &notices, |site| {
        site.with_plugin("GWASP_TEST_PLUGINS", "effects-probe")
    });
    let plugin = site.scene.path("plugins/effects-probe.wasm");
    let (rows, counts) = rows(&site, &plugin, &[], 0);
    assert!(!rows.is_empty());
    assert_eq!(counts["differences"], json!(0), "{rows:#?}");
}

#[test]
fn a_damaged_packet_is_counted_and_ends_nothing() {
    let (site, host, file) = site(0);
    drop(host);
    let store = rusqlite::Connection::open(site.scene.path("state/store.sqlite")).unwrap();
    let changed = store
        .execute("UPDATE packets SET role = 'test' WHERE seq = 2", [])
        .unwrap();
    assert_eq!(changed, 1);
    drop(store);
    let (_, counts) = rows(&site, &file, &[], 0);
    assert_eq!(counts["damaged"], json!(1));
    assert_eq!(counts["packets"], json!(PACKETS));
}
