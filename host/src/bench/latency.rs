//! From a broker's socket to a handler: one packet at a time through the whole host.
//!
//! The time begins when a broker in this process hands the packet to its own socket's task, and
//! ends when the handler asks for the time. In a directory that is in memory a sync costs
//! nothing: this is the same way without the disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, LONGEST, Parts};
use super::timing::quantile_us;
use super::{Bench, BenchError, Figure};
use crate::config::VtpConfig;
use crate::effects::Clock;
use crate::listeners::vtp::VtpListener;
use crate::listeners::vtp::broadcast::{BroadcastConfig, Broadcaster, Event};

const PACKETS: u32 = 500;
/// Packets before those that count.
const WARM_UP: u32 = 20;
/// A directory in memory, where the system has one.
const IN_MEMORY: &str = "/dev/shm";
/// Slots, as a queue has them by default.
const SLOTS: u16 = 32;

/// What the packets of one run took.
struct Took {
    times: Vec<Duration>,
    group_commits: f64,
}

impl Bench {
    /// Sends packets one by one, with a store on disk and with one in memory.
    pub(super) fn latency(&self) -> Result<Vec<Figure>, BenchError> {
        let mut figures = Vec::new();
        let took = self.send_one_by_one(&self.settings.directory)?;
        figures.extend(report("latency, on disk", took));
        let in_memory = Path::new(IN_MEMORY);
        if in_memory.is_dir() {
            let took = self.send_one_by_one(in_memory)?;
            figures.extend(report("latency, in memory", took));
        }
        Ok(figures)
    }

    fn send_one_by_one(&self, directory: &Path) -> Result<Took, BenchError> {
        let fixture = Fixture::new(self, directory)?;
        let (clock, asked) = noting_clock();
        let parts = Parts::start(self, &fixture, clock, SLOTS)?;
        let stop = CancellationToken::new();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = Broadcaster::bind(address, BroadcastConfig::default());
        let broadcaster = self.runtime.block_on(bound)?;
        let listener = VtpListener::new(listen_to(&broadcaster)?)?;
        let listening = self
            .runtime
            .spawn(listener.run(parts.intake.clone(), stop.clone()));
        self.runtime.block_on(broadcaster.wait_for_subscribers(1));

        let mut times = Vec::new();
        let mut commits = 0;
        for number in 0..WARM_UP + PACKETS * self.settings.scale {
            if number == WARM_UP {
                times.clear();
                commits = fixture.store().group_commits();
            }
            times.push(self.send(&broadcaster, number, &asked)?);
            fixture.wait_until_idle()?;
        }
        let commits = fixture.store().group_commits() - commits;
        let group_commits = commits as f64 / times.len() as f64;

        stop.cancel();
        drop(self.runtime.block_on(listening));
        parts.stop(self);
        self.runtime.block_on(fixture.store().close())?;
        Ok(Took {
            times,
            group_commits,
        })
    }

    /// Sends one packet and waits for its handler.
    fn send(
        &self,
        broadcaster: &Broadcaster,
        number: u32,
        asked: &Receiver<Instant>,
    ) -> Result<Duration, BenchError> {
        let event = event(number);
        // The host asks for the time at a task's end, too.
        while asked.try_recv().is_ok() {}
        let began = Instant::now();
        self.runtime.block_on(broadcaster.publish(&event));
        let asked = asked.recv_timeout(LONGEST);
        let asked = asked.map_err(|_elapsed| BenchError::Stuck(LONGEST))?;
        self.runtime.block_on(broadcaster.settled());
        Ok(asked.saturating_duration_since(began))
    }
}

/// The wall clock, and when it was asked.
fn noting_clock() -> (Clock, Receiver<Instant>) {
    let (sender, receiver) = sync_channel(64);
    let clock = move || {
        // When nobody empties it, nobody waits for what is in it.
        sender.try_send(Instant::now()).ok();
        Timestamp::now()
    };
    (Arc::new(clock), receiver)
}

fn listen_to(broadcaster: &Broadcaster) -> Result<VtpConfig, BenchError> {
    let address = broadcaster.address().to_string();
    let address = address.parse().map_err(std::io::Error::other)?;
    Ok(VtpConfig::with_brokers(vec![address]))
}

fn event(number: u32) -> Event {
    let ivorn = format!("ivo://gwasp.bench/latency#{number}");
    let padding = "x".repeat(1500);
    let document = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent ivorn="{ivorn}" role="observation" version="2.0" xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">
<Who><AuthorIVORN>ivo://gwasp.bench</AuthorIVORN><Date>2026-01-01T00:00:00</Date></Who>
<What><Param name="Packet_Type" value="60002"/></What>
<Description>{padding}</Description>
</voe:VOEvent>"#
    );
    Event {
        ivorn: ivorn.into(),
        document: Bytes::from(document),
    }
}

fn report(bench: &'static str, mut took: Took) -> Vec<Figure> {
    let figure = |figure, value, unit| Figure {
        bench,
        figure,
        value,
        unit,
    };
    let median = quantile_us(&mut took.times, 500) / 1e3;
    vec![
        figure("socket to handler, median", median, "ms"),
        figure(
            "socket to handler, p99",
            quantile_us(&mut took.times, 990) / 1e3,
            "ms",
        ),
        figure("group commits per packet", took.group_commits, ""),
    ]
}
