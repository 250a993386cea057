//! `gwasp skymap` on the shared events: against what `ligo.skymap` found, and read by other
//! people's libraries.

#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped must be seen to be"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gwasp_tests::gwasp::{Answer, Gwasp};
use gwasp_tests::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::root;

/// A test that takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(120);
const EVENT: &str = "sim03_HLV_bns_Vsub";

/// The program, the shared events, and a directory for what comes out.
struct Sky {
    gwasp: Gwasp,
    data: PathBuf,
    directory: TempDir,
}

impl Sky {
    /// `None`, with a word on it, where there are no events.
    fn new() -> Option<Self> {
        let shared = std::env::var_os("GWASP_SHARED_DATA").map(PathBuf::from);
        let shared = shared.unwrap_or_else(|| root().join("../shared/data"));
        let data = shared.join("bayestar");
        if !data.is_dir() {
            eprintln!("skipped: {} is not there", data.display());
            return None;
        }
        Some(Self {
            gwasp: Gwasp::from_environment().unwrap(),
            data,
            directory: tempfile::tempdir().unwrap(),
        })
    }

    fn input(&self, name: &str) -> PathBuf {
        self.data.join("inputs").join(name)
    }

    fn coinc(&self) -> PathBuf {
        self.input(&format!("{EVENT}.coinc.xml"))
    }

    fn psd(&self) -> PathBuf {
        self.input("psd_o4.xml.gz")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `gwasp skymap` with these arguments.
    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.gwasp.command();
        command.arg("skymap").args(args);
        command.current_dir(self.directory.path());
        command
    }

    fn answer<S: AsRef<OsStr>>(&self, args: &[S]) -> Answer {
        Answer::of(&mut self.command(args)).unwrap()
    }

    /// Localizes `coinc`; nothing may be said on a pipe.
    #[track_caller]
    fn localize(&self, coinc: &Path, more: &[&str]) {
        let mut args = vec![OsStr::new("localize"), coinc.as_os_str()];
        let psd = self.psd();
        args.push(psd.as_os_str());
        args.extend(more.iter().map(OsStr::new));
        let answer = self.answer(&args);
        assert!(answer.status.success(), "{answer:?}");
        assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("", ""));
    }

    #[track_caller]
    fn info(&self, name: &str) -> Value {
        let answer = self.answer(&["info", "--json", name]);
        assert!(answer.status.success(), "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// Names of all files that are there, hidden ones too.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

#[track_caller]
fn check_near(what: &str, found: &Value, expected: &Value, relative: f64) {
    let (a, b) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((a - b).abs() <= relative * b.abs(), "{what}: {a}, not {b}");
}

/// What `ligo.skymap` wrote into its own summary of the same event.
#[test]
fn a_coinc_file_becomes_the_map_that_the_reference_made_of_it() {
    let Some(sky) = Sky::new() else {
        return;
    };
    sky.localize(&sky.coinc(), &["-o", "out.fits", "--object", EVENT]);
    let found = sky.info("out.fits");
    let summary = fs::read(sky.data.join("reference_summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    let events = summary.as_array().unwrap();
    let theirs = events.iter().find(|event| event["name"] == EVENT).unwrap();
    for (ours, key) in [
        ("area50_deg2", "area50"),
        ("area90_deg2", "area90"),
        ("distance_mean_mpc", "distmean"),
        ("distance_std_mpc", "diststd"),
        ("log_bci", "log_bci"),
        ("log_bsn", "log_bsn"),
    ] {
        check_near(ours, &found[ours], &theirs[key], 1e-3);
    }
    assert_eq!(found["instruments"], theirs["instruments"]);
    assert_eq!(found["pixels"], theirs["npix"]);
    assert_eq!(found["orders"][1], theirs["mocorder"]);
    assert_eq!(found["most_probable"]["uniq"], theirs["max_uniq"]);
    assert_eq!(found["object"], EVENT);
    let reference = format!("reference/{EVENT}.multiorder.fits");
    let reference = sky.data.join(reference);
    let reference = sky.info(reference.to_str().unwrap());
    assert_eq!(found["date_obs"], reference["date_obs"]);
    for keyword in ["CREATOR", "MJD-OBS", "MOC", "ORDERING", "NAXIS1", "TFORM1"] {
        assert_eq!(
            found["header"][keyword], reference["header"][keyword],
            "{keyword}"
        );
    }
    assert_eq!(sky.left(), ["out.fits"]);
}

/// A document with the same triggers in two coincidences.
fn doubled(sky: &Sky) -> PathBuf {
    let text = fs::read_to_string(sky.coinc()).unwrap();
    let event = "0,0,\"H1,L1,V1\",,3,3,0\n";
    let map = "0,2,\"sngl_inspiral\"\n";
    let doubled = text
        .replacen(event, "0,0,\"H1,L1,V1\",,3,3,0,\n0,7,\"H1,L1\",,2,3,0\n", 1)
        .replacen(
            map,
            "0,2,\"sngl_inspiral\",\n7,0,\"sngl_inspiral\",\n7,1,\"sngl_inspiral\"\n",
            1,
        );
    let path = sky.path("two.xml");
    fs::write(&path, doubled).unwrap();
    path
}

#[test]
fn several_coincidences_need_a_directory_or_a_choice() {
    let Some(sky) = Sky::new() else {
        return;
    };
    let two = doubled(&sky);
    let (two_arg, psd) = (two.to_str().unwrap(), sky.psd());
    let psd = psd.to_str().unwrap();
    let answer = sky.answer(&["localize", two_arg, psd, "-o", "out.fits"]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(answer.stderr.contains("(0, 7)"), "{answer:?}");
    assert!(answer.stderr.contains("--coinc-event-id"), "{answer:?}");
    sky.localize(&two, &["-o", "one.fits.gz", "--coinc-event-id", "7"]);
    assert_eq!(sky.info("one.fits.gz")["object"], "7");
    assert_eq!(
        sky.info("one.fits.gz")["instruments"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    sky.localize(&two, &["-o", "maps/"]);
    let mut names: Vec<_> = fs::read_dir(sky.path("maps")).unwrap().collect();
    names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let names: Vec<_> = names
        .into_iter()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["0.multiorder.fits", "7.multiorder.fits"]);
}

#[track_caller]
fn check_complaint(sky: &Sky, change: impl Fn(String) -> String, words: &[&str]) {
    let text = change(fs::read_to_string(sky.coinc()).unwrap());
    fs::write(sky.path("broken.xml"), text).unwrap();
    let psd = sky.psd();
    let answer = sky.answer(&[
        "localize",
        "broken.xml",
        psd.to_str().unwrap(),
        "-o",
        "out.fits",
    ]);
    assert_eq!(answer.status.code(), Some(1), "{answer:?}");
    for word in words {
        assert!(
            answer.stderr.contains(word),
            "no {word:?} in {:?}",
            answer.stderr
        );
    }
    assert_eq!(sky.left(), ["broken.xml"], "nothing is left behind");
}

#[test]
fn complaints_name_file_table_column_row_and_the_way_out() {
    let Some(sky) = Sky::new() else {
        return;
    };
    check_complaint(
        &sky,
        |text| text.replace(",16.447876,", ",loud,"),
        &["broken.xml", "sngl_inspiral", "snr", "row 1", "loud"],
    );
    check_complaint(
        &sky,
        |text| {
            text.replace(
                "\"bayestar-realize-coincs\",1479319887",
                "\"mystery\",1479319887",
            )
        },
        &["broken.xml", "mystery", "--phase 'mystery=as-is'"],
    );
    check_complaint(
        &sky,
        |text| text.replace("\"V1\",,,,1.5", "\"K1\",,,,1.5"),
        &["broken.xml", "PSD", "K1", "--disable-detector"],
    );
    check_complaint(&sky, |text| text[..9_000].to_owned(), &["broken.xml"]);
}

/// The coinc file is a pipe: once the program opens it, it listens for signals.
#[test]
fn an_interrupted_localization_leaves_no_file() {
    let Some(sky) = Sky::new() else {
        return;
    };
    let pipe = sky.path("pipe.xml");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let psd = sky.psd();
    let command = sky.command(&[
        "localize".as_ref(),
        pipe.as_os_str(),
        psd.as_os_str(),
        "-o".as_ref(),
        "out.fits".as_ref(),
    ]);
    let mut process = Process::spawn("gwasp skymap localize", command).unwrap();
    let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
    let id = Pid::from_raw(process.id().cast_signed()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    writer.write_all(&fs::read(sky.coinc()).unwrap()).unwrap();
    drop(writer);
    let status = process.wait(LIMIT).unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(sky.left(), ["pipe.xml"]);
}

/// `cargo xtask soak` and `cargo xtask bench bayestar` install these libraries.
#[test]
fn ligo_skymap_healpy_and_astropy_read_the_same_values() {
    let Some(sky) = Sky::new() else {
        return;
    };
    let Some(venv) = std::env::var_os("GWASP_SKYMAP_VENV").map(PathBuf::from) else {
        eprintln!("skipped: no ligo.skymap, healpy and astropy here; `cargo xtask soak` has them");
        return;
    };
    sky.localize(&sky.coinc(), &["-o", "multi.fits"]);
    for args in [
        &[
            "flatten",
            "multi.fits",
            "-o",
            "nested.fits",
            "--nside",
            "128",
        ][..],
        &[
            "flatten",
            "multi.fits",
            "-o",
            "ring.fits",
            "--nside",
            "128",
            "--ring",
        ],
    ] {
        let answer = sky.answer(args);
        assert!(answer.status.success(), "{answer:?}");
    }
    let mut reader = Command::new(venv.join("bin/python"));
    reader
        .arg(root().join("tests/peers/skymaps.py"))
        .args(["multi.fits", "nested.fits", "ring.fits"])
        .current_dir(sky.directory.path());
    let answer = Answer::of(&mut reader).unwrap();
    assert!(answer.status.success(), "{answer:?}");
    let theirs: Value = serde_json::from_str(&answer.stdout).unwrap();
    let ours = sky.info("multi.fits");
    for key in ["area50_deg2", "area90_deg2", "distance_mean_mpc", "log_bsn"] {
        check_near(key, &ours[key], &theirs[key], 1e-9);
    }
    for key in ["instruments", "object", "creator"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
}
