//! The lanes. A new one is an entry of [`LANES`].
//!
//! Rows are those of the project's fault matrix. Most lanes are tests that do by default what a
//! short run needs, and as often as variables of the environment say; they leave their row
//! themselves. A lane may also be a program whose output is read here.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Run, pp, table};
use crate::build;
use crate::{peers, step};

/// One kind of fault, or none, for a long time.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: &'static str,
    /// Of the fault matrix.
    pub(super) row: &'static str,
    /// What happens.
    pub(super) about: &'static str,
    work: Work,
}

/// What a lane runs.
#[derive(Debug)]
enum Work {
    Test {
        package: &'static str,
        name: &'static str,
        /// Variables that the test reads, with their values in a long and in a quick run.
        lengths: &'static [(&'static str, u64, u64)],
    },
    /// Runs something, and leaves the row with `table::note`.
    Program(fn(&Run, &Lane) -> Result<()>),
}

/// All lanes, in the order in which they run.
pub(super) const LANES: &[Lane] = &[
    Lane {
        name: "steady",
        row: "1",
        about: "no fault: a mix of notices, three handlers",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::steady::many_packets_without_a_fault_leave_one_outcome_each_and_nothing_grows",
            lengths: &[("GWASP_PACKETS", 100_000, 10_000)],
        },
    },
    Lane {
        name: "kill",
        row: "3",
        about: "kill -9 at random moments while packets come",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::killed::a_host_that_is_killed_while_packets_come_does_everything_once",
            lengths: &[("GWASP_KILLS", 50, 5), ("GWASP_PACKETS", 20_000, 2_000)],
        },
    },
    Lane {
        name: "broker",
        row: "3",
        about: "kill -9 at random times while a broker sends the example notices",
        work: Work::Test {
            package: "gwasp-tests",
            name: "first_slice::a_host_that_is_killed_at_random_loses_and_doubles_nothing",
            lengths: &[("GWASP_KILLS", 40, 5)],
        },
    },
    Lane {
        name: "sync",
        row: "3",
        about: "kill -9 at the n-th sync of a thread, n at random",
        work: Work::Test {
            package: "gwasp-tests",
            name: "first_slice::a_host_that_dies_as_it_syncs_loses_and_doubles_nothing",
            lengths: &[("GWASP_KILLS", 40, 5)],
        },
    },
    Lane {
        name: "calls",
        row: "4",
        about: "SIGKILL at each durable call of one packet's life",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::calls::a_host_that_dies_at_any_durable_call_of_a_packets_life_does_everything_once",
            lengths: &[("GWASP_POINTS", 10_000, 20)],
        },
    },
    Lane {
        name: "upload",
        row: "4",
        about: "SIGKILL at each sync of one run with an upload, at each kind of service",
        work: Work::Test {
            package: "gwasp-tests",
            name: "effects::a_host_that_dies_at_any_sync_of_a_run_uploads_once",
            lengths: &[("GWASP_EVERY_SYNC", 1, 0)],
        },
    },
    Lane {
        name: "reload",
        row: "11",
        about: "a plugin is replaced in six ways under traffic, two of them broken or slow",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::reloads::reloads_under_traffic_lose_nothing_and_no_run_is_on_two_versions",
            lengths: &[("GWASP_RELOADS", 30, 6)],
        },
    },
    Lane {
        name: "settings",
        row: "19",
        about: "SIGHUP with good and bad configurations in turn under traffic",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::settings::good_and_bad_configurations_in_turn_under_traffic_lose_nothing_and_have_one_line_each",
            lengths: &[("GWASP_RELOADS", 200, 20)],
        },
    },
    Lane {
        name: "hostile",
        row: "12",
        about: "handlers that do wrong, over and over",
        work: Work::Test {
            package: "gwasp-tests",
            name: "hostile::running::misdeeds_over_and_over_end_in_bounds_and_the_next_task_succeeds",
            lengths: &[("GWASP_MISDEEDS", 1_000, 100)],
        },
    },
    Lane {
        name: "neighbours",
        row: "12",
        about: "what a handler that spins costs a neighbour, beside a native thread",
        work: Work::Program(neighbours),
    },
    Lane {
        name: "full",
        row: "14",
        about: "a disk that is full, and freed again",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::full::a_full_disk_gives_no_receipts_and_packets_flow_again_once_there_is_space",
            lengths: &[("GWASP_CYCLES", 10, 2)],
        },
    },
    Lane {
        name: "disk",
        row: "15",
        about: "syncs and writes that fail, and writes that are short",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::calls::a_disk_that_fails_under_a_host_ends_it_with_74_and_the_next_one_goes_on",
            lengths: &[("GWASP_POINTS", 20, 2)],
        },
    },
    Lane {
        name: "damage",
        row: "27",
        about: "a byte of a store changed or cut beside a boundary",
        work: Work::Test {
            package: "gwasp-store",
            name: "damage::a_byte_that_is_changed_or_cut_beside_any_boundary_never_gives_a_wrong_record",
            lengths: &[("GWASP_CHANGES", 2_000, 200)],
        },
    },
    Lane {
        name: "systemd",
        row: "17",
        about: "restarts, stops, reloads and kills by a person's systemd while packets come",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::supervised::a_host_that_systemd_restarts_under_load_loses_and_doubles_nothing",
            lengths: &[("GWASP_PACKETS", 1_250, 125), ("GWASP_RESTARTS", 20, 4)],
        },
    },
    Lane {
        name: "supervisord",
        row: "17",
        about: "the same by supervisord",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::supervised::a_host_that_supervisord_restarts_under_load_loses_and_doubles_nothing",
            lengths: &[("GWASP_PACKETS", 1_250, 125), ("GWASP_RESTARTS", 20, 4)],
        },
    },
    Lane {
        name: "renewal",
        row: "18",
        about: "a host that ends by itself every 100 tasks, under a person's systemd",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::supervised::a_host_that_ends_by_itself_is_started_again_by_systemd_however_often",
            lengths: &[("GWASP_RENEWALS", 100, 10)],
        },
    },
    Lane {
        name: "renewal2",
        row: "18",
        about: "the same under supervisord",
        work: Work::Test {
            package: "gwasp-tests",
            name: "faults::supervised::a_host_that_ends_by_itself_is_started_again_by_supervisord_however_often",
            lengths: &[("GWASP_RENEWALS", 100, 10)],
        },
    },
    Lane {
        name: "skymaps",
        row: "",
        about: "sky maps beside ligo.skymap's, and the P-P test; an hour or more",
        work: Work::Program(skymaps),
    },
];

impl Lane {
    /// Runs it to its end.
    pub(super) fn run(&self, run: &Run) -> Result<()> {
        match &self.work {
            Work::Test {
                package,
                name,
                lengths,
            } => {
                let mut test = test(run, package, name)?;
                for (variable, long, quick) in *lengths {
                    let value = if run.quick { quick } else { long };
                    test.env(variable, value.to_string());
                }
                let what = format!("lane `{}`, seed {}: {}", self.name, run.seed, self.about);
                step::run(&what, &mut test)
            }
            Work::Program(program) => program(run, self),
        }
    }
}

/// The command line of one test, as a lane.
fn test(run: &Run, package: &str, name: &str) -> Result<Command> {
    let mut test = build::cargo()?;
    test.args(["test", "--package", package, "--test", "it", "--"])
        .args(["--exact", name, "--nocapture"])
        .env("GWASP_BIN", &run.built.binary)
        .env("GWASP_PLUGINS", &run.built.plugins)
        .env("GWASP_TEST_PLUGINS", &run.built.test_plugins)
        .env("GWASP_PEERS_VENV", peers::python(&run.built.target)?)
        .env("GWASP_SEED", run.seed.to_string())
        .env("GWASP_RESULTS", &run.results);
    Ok(test)
}

/// Compares a neighbour's latency beside a handler that spins with that beside a native thread.
fn neighbours(run: &Run, lane: &Lane) -> Result<()> {
    let rounds = if run.quick { "2" } else { "20" };
    let mut program = build::cargo()?;
    program.args(["run", "--package", "gwasp", "--example", "bench-neighbours"]);
    if !run.quick {
        program.arg("--release");
    }
    program
        .arg("--")
        .arg(&run.built.binary)
        .arg(run.built.test_plugins.join("hostile-probe.wasm"))
        .arg(rounds);
    let what = format!("lane `{}`: {}", lane.name, lane.about);
    let said = step::output(&what, &mut program)?;
    let last = said.lines().last().context("it says nothing")?;
    table::note(
        &run.results,
        &serde_json::json!({ "worst": format!("{last}, {rounds} rounds") }),
    )
}

/// Compares sky maps with the reference, and true positions with their credible levels.
fn skymaps(run: &Run, lane: &Lane) -> Result<()> {
    if run.quick {
        step::say(&format!("skipped in a quick run: lane `{}`", lane.name));
        return Ok(());
    }
    pp::run(&run.built)?;
    let page = "see the P-P test below";
    table::note(&run.results, &serde_json::json!({ "worst": page }))
}
