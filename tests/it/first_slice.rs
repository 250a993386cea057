//! From a broker's socket to a handler's outcome, and through the host's death.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gwasp_tests::gwasp::{ANY_PORT, Replay, START_LIMIT, is_ready};
use gwasp_tests::process::{Line, Process};
use gwasp_tests::sample::Notice;
use serde_json::json;

use crate::harness::{Random, Scene, number, record};

/// A test that takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// How often each (IVORN, handler) was logged as succeeded.
#[derive(Debug, Default)]
struct Successes(BTreeMap<(String, String), u32>);

impl Successes {
    fn note(&mut self, line: &Line) {
        if line.target() == "gwasp::task" && line.message() == "task succeeded" {
            let text = |name| line.field(name).as_str().unwrap_or_default().to_owned();
            *self
                .0
                .entry((text("packet_id"), text("handler")))
                .or_default() += 1;
        }
    }

    fn of(&self, notice: &Notice, handler: &str) -> u32 {
        let of_handler = self
            .0
            .iter()
            .filter(|((ivorn, name), _)| *ivorn == notice.ivorn && name.ends_with(handler));
        of_handler.map(|(_, times)| *times).sum()
    }
}

fn pairs(notices: &[Notice]) -> u64 {
    let pairs: usize = notices.iter().map(|notice| notice.handlers.len()).sum();
    u64::try_from(pairs).unwrap()
}

/// Each notice has one task per handler of its own, and no other; each ended well.
#[track_caller]
fn check_outcomes(scene: &Scene, notices: &[Notice]) {
    let mut tasks = scene.gwasp.tasks(&scene.path("state")).unwrap();
    tasks.sort();
    let mut expected = Vec::new();
    for notice in notices {
        for handler in &notice.handlers {
            let name = format!("fermi-log.{handler}");
            expected.push((notice.ivorn.clone(), name, "SUCCESS".to_owned()));
        }
    }
    expected.sort();
    assert_eq!(tasks, expected);
}

#[test]
fn each_notice_meets_each_of_its_handlers_once() {
    let scene = Scene::new().unwrap();
    let (dir, notices) = scene.notices(2).unwrap();
    let args = [
        "--interval",
        "5ms",
        "--wait-subscribers",
        "1",
        "--until-acked",
    ];
    let mut replay = scene.gwasp.replay(&dir, ANY_PORT, &args).unwrap();
    let mut host = scene.host(replay.address).unwrap();
    host.wait_for("being ready", START_LIMIT, is_ready).unwrap();

    let mut successes = Successes::default();
    let mut ended = 0;
    while ended < pairs(&notices) {
        let wanted = |line: &Line| line.target() == "gwasp::task";
        let line = host.wait_for("the end of a task", LIMIT, wanted).unwrap();
        assert_eq!(line.message(), "task succeeded", "{}", line.text);
        successes.note(&line);
        ended += 1;
    }
    assert!(
        replay.process.wait(LIMIT).unwrap().success(),
        "{}",
        replay.process.last_lines()
    );
    host.terminate().unwrap();
    assert!(host.wait(LIMIT).unwrap().success(), "{}", host.last_lines());

    for notice in &notices {
        for handler in &notice.handlers {
            assert_eq!(
                successes.of(notice, handler),
                1,
                "{handler} on {}",
                notice.ivorn
            );
        }
    }
    check_outcomes(&scene, &notices);
    let ledger = scene.gwasp.ledger(&scene.path("state")).unwrap();
    assert_eq!(ledger.accepted, u64::try_from(notices.len()).unwrap());
    assert_eq!(
        (ledger.tasks.made, ledger.tasks.succeeded),
        (pairs(&notices), pairs(&notices))
    );
}

/// A sender that goes on until all its notices are acknowledged, and the hosts that die over
/// them; at the end everything is counted.
struct Campaign {
    scene: Scene,
    notices: Vec<Notice>,
    replay: Replay,
    successes: Successes,
    deaths: u64,
}

impl Campaign {
    fn begin(copies: u64) -> Self {
        let scene = Scene::new().unwrap();
        let (dir, notices) = scene.notices(u32::try_from(copies).unwrap()).unwrap();
        let args = [
            "--interval",
            "20ms",
            "--wait-subscribers",
            "1",
            "--until-acked",
        ];
        let replay = scene.gwasp.replay(&dir, ANY_PORT, &args).unwrap();
        Self {
            scene,
            notices,
            replay,
            successes: Successes::default(),
            deaths: 0,
        }
    }

    /// Reads a host's log until `end`, or until the host is gone.
    fn read(&mut self, host: &Process, end: Instant) {
        while let Some(line) = host.next_line(end.saturating_duration_since(Instant::now())) {
            self.successes.note(&line);
        }
    }

    /// Ends a host at `death` at the latest, without a warning.
    fn kill(&mut self, mut host: Process, death: Instant) {
        self.read(&host, death);
        host.kill().unwrap();
        self.read(&host, Instant::now() + LIMIT);
        self.deaths += 1;
    }

    /// Lets a last host finish, and compares what it and its forerunners did with what was
    /// sent.
    fn check(mut self, lane: &str, seed: u64) {
        let mut host = self.scene.host(self.replay.address).unwrap();
        host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
        let sent = u64::try_from(self.notices.len()).unwrap();
        let expected = pairs(&self.notices);
        let limit = LIMIT + Duration::from_millis(100) * u32::try_from(sent).unwrap();
        let status = self.replay.process.wait(limit).unwrap();
        assert!(status.success(), "{}", self.replay.process.last_lines());
        let ledger = self.scene.settled_ledger(limit).unwrap();
        host.terminate().unwrap();
        assert!(host.wait(LIMIT).unwrap().success(), "{}", host.last_lines());
        self.read(&host, Instant::now() + LIMIT);

        let doubled = self
            .successes
            .0
            .values()
            .filter(|times| **times > 1)
            .count();
        record(&json!({
            "what": lane,
            "seed": seed,
            "faults": self.deaths,
            "packets": ledger.accepted,
            "tasks": ledger.tasks.made,
            "lost": expected.saturating_sub(ledger.tasks.succeeded),
            "doubled": doubled,
        }))
        .unwrap();
        assert_eq!(doubled, 0, "{:?}", self.successes);
        assert_eq!(ledger.accepted, sent);
        assert_eq!(
            (ledger.tasks.made, ledger.tasks.succeeded),
            (expected, expected)
        );
        check_outcomes(&self.scene, &self.notices);
        let again = self.scene.gwasp.ledger(&self.scene.path("state")).unwrap();
        assert_eq!(again, ledger, "a stopped host's books");
    }
}

#[test]
fn a_host_that_is_killed_at_random_loses_and_doubles_nothing() {
    let kills = number("GWASP_KILLS", 5);
    let mut random = Random::new();
    let seed = random.seed();
    // Enough for the sender to be still at it when the last kill comes.
    let mut campaign = Campaign::begin(kills * 4);
    for _ in 0..kills {
        let host = campaign.scene.host(campaign.replay.address).unwrap();
        campaign.kill(
            host,
            Instant::now() + Duration::from_millis(random.below(2500)),
        );
    }
    campaign.check("kill -9 at random moments while notices arrive", seed);
}

#[test]
fn a_host_that_dies_as_it_syncs_loses_and_doubles_nothing() {
    let deaths = number("GWASP_KILLS", 5);
    let mut random = Random::new();
    let seed = random.seed();
    let mut campaign = Campaign::begin(deaths * 4);
    for _ in 0..deaths {
        // The first few are those of opening the store, which each start has.
        let nth = 1 + random.below(30);
        let broker = campaign.replay.address;
        let host = campaign.scene.host_that_dies_at_sync(broker, nth).unwrap();
        // It may have nothing to write any more; then this ends it.
        campaign.kill(host, Instant::now() + Duration::from_secs(10));
    }
    campaign.check("kill -9 at the n-th sync of a thread, n at random", seed);
}
