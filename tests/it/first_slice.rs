//! From a broker's socket to a handler's outcome, and through the host's death.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gwasp_tests::gwasp::{START_LIMIT, is_ready};
use gwasp_tests::process::Line;
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
    let mut replay = scene.gwasp.replay(&dir, &args).unwrap();
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
    let ledger = scene.gwasp.ledger(&scene.path("state")).unwrap();
    assert_eq!(ledger.accepted, u64::try_from(notices.len()).unwrap());
    assert_eq!(
        (ledger.tasks.made, ledger.tasks.succeeded),
        (pairs(&notices), pairs(&notices))
    );
}

#[test]
fn a_host_that_is_killed_loses_and_doubles_nothing() {
    let kills = number("GWASP_KILLS", 5);
    let mut random = Random::new();
    let seed = random.seed();
    let scene = Scene::new().unwrap();
    // Enough for the sender to be still at it when the last kill comes.
    let copies = u32::try_from(kills * 4).unwrap();
    let (dir, notices) = scene.notices(copies).unwrap();
    let args = [
        "--interval",
        "20ms",
        "--wait-subscribers",
        "1",
        "--until-acked",
    ];
    let mut replay = scene.gwasp.replay(&dir, &args).unwrap();

    let mut successes = Successes::default();
    for _ in 0..kills {
        let mut host = scene.host(replay.address).unwrap();
        let death = Instant::now() + Duration::from_millis(random.below(2500));
        while let Some(line) = host.next_line(death.saturating_duration_since(Instant::now())) {
            successes.note(&line);
        }
        host.kill().unwrap();
        while let Some(line) = host.next_line(Duration::from_secs(5)) {
            successes.note(&line);
        }
    }
    let mut host = scene.host(replay.address).unwrap();
    host.wait_for("being ready", START_LIMIT, is_ready).unwrap();
    let limit = LIMIT + Duration::from_millis(100) * u32::try_from(notices.len()).unwrap();
    assert!(
        replay.process.wait(limit).unwrap().success(),
        "{}",
        replay.process.last_lines()
    );
    let ledger = scene.settled_ledger(limit).unwrap();
    host.terminate().unwrap();
    assert!(host.wait(LIMIT).unwrap().success(), "{}", host.last_lines());
    while let Some(line) = host.next_line(Duration::from_secs(5)) {
        successes.note(&line);
    }

    let doubled = successes.0.values().filter(|times| **times > 1).count();
    let lost = pairs(&notices) - ledger.tasks.succeeded.min(pairs(&notices));
    record(&json!({
        "lane": "kill -9 of the host while notices arrive",
        "seed": seed,
        "kills": kills,
        "packets": ledger.accepted,
        "tasks": ledger.tasks.made,
        "lost": lost,
        "doubled": doubled,
    }))
    .unwrap();
    assert_eq!(doubled, 0, "{successes:?}");
    assert_eq!(ledger.accepted, u64::try_from(notices.len()).unwrap());
    assert_eq!(
        (ledger.tasks.made, ledger.tasks.succeeded),
        (pairs(&notices), pairs(&notices))
    );
    assert_eq!(scene.gwasp.ledger(&scene.path("state")).unwrap(), ledger);
}
