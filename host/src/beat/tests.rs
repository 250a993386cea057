use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;

use super::Beat;
use crate::broker::{Broker, Commit, Embedded, Input, Origin, Step};
use crate::packet::Digest;
use crate::routes::{Manifest, PluginRoutes, Routes};
use crate::task::tick_of;

const MANIFEST: &str = r#"{"format": 1, "sdk": "0.1.0", "entries": [
    {"name": "each_second", "kind": "periodic",
     "options": [["every", "1s"], ["catch_up", "all(1000)"]]}]}"#;

/// A broker, and a routing table with one schedule.
struct Stage {
    _directory: tempfile::TempDir,
    broker: Arc<Embedded>,
    routes: watch::Receiver<Arc<Routes>>,
    _newest: watch::Sender<Arc<Routes>>,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Embedded::open(directory.path(), BTreeSet::new()).unwrap();
        let plugin = PluginRoutes {
            plugin: "clean".to_owned(),
            generation: 1,
            digest: Digest::of(b"clean"),
            manifest: Manifest::read(MANIFEST).unwrap(),
        };
        let (newest, routes) = watch::channel(Arc::new(Routes::new(1, &[plugin])));
        Self {
            _directory: directory,
            broker: Arc::new(broker),
            routes,
            _newest: newest,
        }
    }

    fn beat(&self) -> Beat {
        let broker: Arc<dyn Broker> = Arc::<Embedded>::clone(&self.broker);
        Beat::new(broker, self.routes.clone())
    }

    /// Runs every task that is open; answers the ticks that they were made for, in their order.
    async fn run_all(&self) -> Vec<Timestamp> {
        let mut ticks = Vec::new();
        while self.broker.open_tasks() > 0 {
            let lease = self.broker.lease("general", 0).await.unwrap();
            assert_eq!(lease.origin, Origin::Beat);
            let Input::Args(argument) = &lease.input else {
                panic!("{:?}", lease.input);
            };
            ticks.push(tick_of(argument).unwrap());
            let end = Step::Succeed { result: None };
            let commit = Commit::bare(lease.task, lease.token, [7; 32], end);
            self.broker
                .commit(vec![commit])
                .await
                .pop()
                .unwrap()
                .unwrap();
        }
        ticks.sort();
        ticks
    }
}

/// A broker leases what is due by its own clock: the ticks of these tests lie in the past.
fn start() -> Timestamp {
    "2026-01-01T00:00:00.5Z".parse().unwrap()
}

fn seconds_after(start: Timestamp, seconds: impl Iterator<Item = i64>) -> Vec<Timestamp> {
    let whole = start - SignedDuration::from_millis(500);
    seconds
        .map(|second| whole + SignedDuration::from_secs(second))
        .collect()
}

#[tokio::test]
async fn a_beat_sleeps_until_the_next_tick_and_makes_its_task() {
    let stage = Stage::new();
    let mut beat = stage.beat();
    let now = start();
    assert_eq!(beat.beat(now).await.unwrap(), Duration::from_millis(500));
    assert_eq!(stage.broker.open_tasks(), 0);
    let now = now + SignedDuration::from_millis(501);
    assert_eq!(beat.beat(now).await.unwrap(), Duration::from_millis(999));
    assert_eq!(stage.run_all().await, seconds_after(start(), 1..=1));
}

#[tokio::test]
async fn a_schedule_goes_on_where_it_was_after_a_pause_of_its_host() {
    let stage = Stage::new();
    stage.beat().beat(start()).await.unwrap();
    let later = start() + SignedDuration::from_secs(3);
    stage.beat().beat(later).await.unwrap();
    assert_eq!(stage.run_all().await, seconds_after(start(), 1..=3));
}

#[tokio::test]
async fn a_clock_that_leaps_forth_and_back_makes_no_tick_twice() {
    let stage = Stage::new();
    let mut beat = stage.beat();
    for second in [0, 2, 600, 3, 4] {
        let now = start() + SignedDuration::from_secs(second);
        beat.beat(now).await.unwrap();
    }
    let ticks = stage.run_all().await;
    assert_eq!(ticks, seconds_after(start(), 1..=600));
}

/// Two hosts on one broker; each dies again and again, also in the middle of a tick.
#[tokio::test]
async fn two_beats_that_die_again_and_again_make_each_tick_once() {
    const KILLS: u32 = 50;
    let stage = Stage::new();
    let mut random = StdRng::seed_from_u64(20);
    let mut beats = [stage.beat(), stage.beat()];
    let mut now = start();
    beats[0].beat(now).await.unwrap();
    let mut kills = 0;
    while kills < KILLS {
        now += SignedDuration::from_millis(random.random_range(0..2_500));
        let beat = &mut beats[random.random_range(0..2)];
        match random.random_range(0..3) {
            0 => {
                {
                    let mut ticking = std::pin::pin!(beat.beat(now));
                    let _cut = poll!(&mut ticking);
                }
                *beat = stage.beat();
                kills += 1;
            }
            _ => drop(beat.beat(now).await.unwrap()),
        }
    }
    now += SignedDuration::from_secs(1);
    let mut last = stage.beat();
    while last.beat(now).await.unwrap() == Duration::ZERO {}
    let passed = now.duration_since(start()) + SignedDuration::from_millis(500);
    let expected = seconds_after(start(), 1..=passed.as_secs());
    assert_eq!(stage.run_all().await, expected);
}
