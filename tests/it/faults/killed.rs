//! A host that is killed again and again while packets come.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::sender::Again;
use super::{SLOTS, Stage};
use crate::harness::{Random, number, record};

#[test]
fn a_host_that_is_killed_while_packets_come_does_everything_once() {
    let kills = number("GWASP_KILLS", 5);
    let packets = number("GWASP_PACKETS", 2_000);
    let mut random = Random::new();
    let seed = random.seed();
    // By receipts and not by time: each kill comes while packets and tasks are under way.
    let mut moments = BTreeSet::new();
    while moments.len() < usize::try_from(kills).unwrap() {
        moments.insert(1 + random.below(packets * 9 / 10));
    }
    let stage = Stage::new(Again::Half(random.branch()), 0);
    let begun = Instant::now();
    let mut host = stage.host("warn");
    for (number, moment) in moments.iter().enumerate() {
        stage.advance(packets, *moment, &host);
        // Then a burst, whose packets are on their way, on disk or acknowledged when it dies.
        let burst = 1 + random.below(100);
        stage
            .sender
            .allow((stage.sender.sent() + burst).min(packets));
        // A receipt takes a sync, on a good disk a fraction of a millisecond.
        let longest = 1 + random.below(20_000);
        thread::sleep(Duration::from_micros(random.below(longest)));
        host.kill().unwrap();
        if number % 10 == 0 {
            stage.gwasp().ledger(&stage.state).unwrap();
        }
        host = stage.host("warn");
    }
    let outcome = stage.finish(packets, host);
    let bound = kills * SLOTS;
    record(&json!({
        "seed": seed,
        "faults": kills,
        "packets": outcome.packets,
        "tasks": outcome.tasks,
        "lost": outcome.lost,
        "doubled": outcome.doubled,
        "worst": format!(
            "{} runs repeated of {bound} allowed; {} packets sent again, {} lost their receipt for \
             good; {} s",
            outcome.repeated_runs,
            stage.sender.repeats(),
            stage.sender.given_up(),
            begun.elapsed().as_secs(),
        ),
    }))
    .unwrap();
    assert!(outcome.repeated_runs <= bound, "{outcome:?}");
    // Hosts that are killed as they start are among them, and not the rule.
    assert!(stage.sender.connections() > kills / 2, "{:?}", stage.sender);
    // A few kills may all come while nothing is on the wire.
    let unacknowledged = stage.sender.repeats() + stage.sender.given_up();
    assert!(kills < 20 || unacknowledged > 0, "{:?}", stage.sender);
}
