//! What runs by the time.

use std::time::{Duration, Instant};

use gwasp_tests::gwasp::{START_LIMIT, is_ready};
use gwasp_tests::process::Process;
use serde_json::Value;

use crate::commands::{Site, check_says};

/// What takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(60);
const EACH_SECOND: &str = "beat-probe.each_second";

struct Stage {
    site: Site,
}

impl Stage {
    fn new() -> Self {
        let site = Site::new("").with_plugin("GWASP_TEST_PLUGINS", "beat-probe");
        Self { site }
    }

    fn host(&self) -> Process {
        let host = self.site.scene.gwasp.run(&self.site.config()).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        host
    }

    /// The seconds for which the entry has run, in order.
    fn ticks(&self) -> Vec<i64> {
        let state = self.site.scene.path("state");
        let tasks = self.site.scene.gwasp.rows(&["task", "list"], &state);
        let ran = |task: &Value| task["handler"] == EACH_SECOND && task["state"] == "SUCCESS";
        let tasks = tasks.unwrap().into_iter().filter(ran);
        let mut ticks: Vec<i64> = tasks
            .map(|task| {
                let id = task["id"].as_str().unwrap();
                let answer = self.site.gwasp(&["task", "show", id, "--json"]);
                let shown: Value = serde_json::from_str(&answer.stdout).unwrap();
                let due = shown["result"].as_str().unwrap().trim_matches('"');
                let due: jiff::Timestamp = due.parse().unwrap();
                assert_eq!(due.subsec_nanosecond(), 0, "{due}");
                due.as_second()
            })
            .collect();
        ticks.sort_unstable();
        ticks
    }

    fn wait_for_ticks(&self, at_least: usize) -> Vec<i64> {
        let end = Instant::now() + LIMIT;
        loop {
            let ticks = self.ticks();
            if ticks.len() >= at_least {
                return ticks;
            }
            assert!(Instant::now() < end, "{ticks:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn each_tick_runs_once_over_kills_and_what_was_missed_is_made_up_for() {
    let stage = Stage::new();
    let mut ticks = Vec::new();
    for hosts in 1..=3 {
        let mut host = stage.host();
        ticks = stage.wait_for_ticks(ticks.len() + 2);
        host.kill().unwrap();
        assert!(ticks.len() >= 2 * hosts);
    }
    let whole: Vec<i64> = (ticks[0]..).take(ticks.len()).collect();
    assert_eq!(ticks, whole, "each second once, and none left out");
}

#[test]
fn schedules_are_listed_with_their_next_tick() {
    let stage = Stage::new();
    let host = stage.host();
    stage.wait_for_ticks(1);
    let answer = stage.site.gwasp(&["beat", "list"]);
    check_says(&answer, 0, &[EACH_SECOND, "every 1s", "beat-probe.seldom"]);
    let answer = stage.site.gwasp(&["beat", "list", "--json"]);
    let rows = answer.stdout.lines();
    let rows: Vec<Value> = rows.map(|row| serde_json::from_str(row).unwrap()).collect();
    let [each_second, seldom] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(each_second["catch_up"], "all(1000)");
    assert!(each_second["last"].is_string(), "{each_second}");
    // Rome is an hour ahead of UTC in winter.
    assert_eq!(seldom["next"], "2028-02-29T01:30:00Z");
    assert_eq!(seldom["runs"], "\"30 2 29 2 *\" Europe/Rome");
    drop(host);
}
