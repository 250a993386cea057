//! Durable tasks: packets accepted, tasks leased, run and committed; the bare store beside it.
//!
//! In the bare store, offers are ready-made and nothing is run: threads lease and commit.
//! With the host, packets go through intake, dispatch, a pool and a sandbox. Both have the same
//! sender, with the same number of packets under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use gwasp_store::{self as store, Store};
use jiff::Timestamp;

use super::fixture::{Fixture, Parts, QUEUE, join, packet};
use super::timing::{median, process_cpu, thread_cpu};
use super::{Bench, BenchError, Figure};
use crate::broker::{Commit, Lease, Step};
use crate::dispatch::offer;
use crate::intake::{self, Intake, Pending, Tally};
use crate::packet::Packet;

const TURNS: u32 = 3;
/// Packets that are offered to the bare store in one operation.
const BATCH: usize = 64;
/// Packets that are under way between sender and store.
const WINDOW: usize = 4 * BATCH;
/// How long the sender waits while enough tasks wait.
const PAUSE: Duration = Duration::from_millis(1);

/// What is sent.
#[derive(Clone, Copy)]
struct Load {
    bench: &'static str,
    notice_type: u16,
    tasks_per_packet: u64,
    packets: u64,
    payload: fn(u64) -> Bytes,
    /// The sender waits while more tasks than this are ready.
    backlog: usize,
}

const LOADS: [Load; 3] = [
    Load {
        bench: "tasks, 10 per packet",
        notice_type: 60_010,
        tasks_per_packet: 10,
        packets: 2_000,
        payload: notice,
        backlog: 5_000,
    },
    Load {
        bench: "tasks, 1 per packet",
        notice_type: 60_001,
        tasks_per_packet: 1,
        packets: 8_000,
        payload: notice,
        backlog: 5_000,
    },
    Load {
        bench: "alerts of 136 KiB, filtered",
        notice_type: 60_136,
        tasks_per_packet: 1,
        packets: 800,
        payload: alert,
        // As many as stay in memory.
        backlog: 128,
    },
];

/// What one turn took.
struct Took {
    tasks: f64,
    wall: Duration,
    /// Of the whole process, without the sender.
    cpu: Duration,
    sender: Duration,
    group_commits: f64,
}

impl Took {
    fn rate(&self) -> f64 {
        self.tasks / self.wall.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tasks
    }

    fn sender_us(&self) -> f64 {
        self.sender.as_secs_f64() * 1e6 / self.tasks
    }
}

impl Bench {
    /// Sends each load to the bare store and to the host, in turns.
    pub(super) fn tasks(&self) -> Result<Vec<Figure>, BenchError> {
        let mut figures = Vec::new();
        for load in LOADS {
            let mut turns = Vec::new();
            for _ in 0..TURNS * self.settings.scale {
                turns.push((self.bare_turn(load)?, self.our_turn(load)?));
            }
            figures.extend(report(load, &turns, self.bare_call));
        }
        Ok(figures)
    }

    fn bare_turn(&self, load: Load) -> Result<Took, BenchError> {
        let fixture = Fixture::new(self, &self.settings.directory)?;
        let offers: Vec<_> = load
            .packets()
            .map(|packet| offer(&packet, &fixture.routes))
            .collect();
        let threads: Vec<_> = (0..self.settings.slots)
            .map(|number| bare_worker(fixture.store().clone(), number))
            .collect::<Result<_, _>>()?;
        let took = measure(load, &fixture, accept_all(load, &fixture, offers))?;
        self.runtime.block_on(fixture.store().close())?;
        join(threads);
        Ok(took)
    }

    fn our_turn(&self, load: Load) -> Result<Took, BenchError> {
        let fixture = Fixture::new(self, &self.settings.directory)?;
        let packets: Vec<_> = load.packets().collect();
        let clock = Arc::new(Timestamp::now);
        let parts = Parts::start(self, &fixture, clock, self.settings.slots)?;
        // The first task loads the plugin.
        let first = vec![packet(load.notice_type, u64::MAX, (load.payload)(u64::MAX))];
        self.runtime
            .block_on(deliver_all(load, &fixture, &parts.intake, first))?;
        fixture.wait_until_idle()?;
        let took = measure(
            load,
            &fixture,
            deliver_all(load, &fixture, &parts.intake, packets),
        )?;
        parts.stop(self);
        self.runtime.block_on(fixture.store().close())?;
        Ok(took)
    }
}

impl Load {
    /// What is sent, made before it is measured.
    fn packets(self) -> impl Iterator<Item = Packet> {
        (0..self.packets)
            .map(move |number| packet(self.notice_type, number, (self.payload)(number)))
    }

    /// Waits while enough tasks wait.
    async fn wait_for_room(self, fixture: &Fixture) {
        while fixture.ready() > self.backlog {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Runs the sender on a thread of its own, and waits until its tasks ended.
fn measure(
    load: Load,
    fixture: &Fixture,
    send: impl Future<Output = Result<(), BenchError>> + Send,
) -> Result<Took, BenchError> {
    let before = (fixture.store().group_commits(), fixture.succeeded()?);
    let (cpu, began) = (process_cpu(), Instant::now());
    let sender = std::thread::scope(|scope| {
        let sending = scope.spawn(|| sender(send));
        sending
            .join()
            .unwrap_or_else(|_panic| Err(BenchError::Stuck(began.elapsed())))
    })?;
    fixture.wait_until_idle()?;
    let (wall, cpu) = (began.elapsed(), process_cpu().saturating_sub(cpu));
    let group_commits = fixture.store().group_commits() - before.0;
    let tasks = load.packets * load.tasks_per_packet;
    let succeeded = fixture.succeeded()? - before.1;
    if succeeded != tasks {
        return Err(BenchError::Handlers {
            notice_type: load.notice_type,
            succeeded,
            wanted: tasks,
        });
    }
    Ok(Took {
        tasks: tasks as f64,
        wall,
        cpu: cpu.saturating_sub(sender),
        sender,
        group_commits: group_commits as f64,
    })
}

/// Runs `send` and gives the CPU time of this thread.
fn sender(send: impl Future<Output = Result<(), BenchError>>) -> Result<Duration, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(send)?;
    Ok(thread_cpu())
}

/// Has the bare store accept `offers`, several batches at a time.
async fn accept_all(
    load: Load,
    fixture: &Fixture,
    offers: Vec<store::Offer>,
) -> Result<(), BenchError> {
    let generation = fixture.routes.generation();
    let mut offers = offers.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        let batch: Vec<_> = offers.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        load.wait_for_room(fixture).await;
        under_way.push(fixture.store().accept(generation, batch));
        if under_way.len() == WINDOW / BATCH {
            under_way.next().await.transpose()?;
        }
    }
    while let Some(accepted) = under_way.next().await {
        accepted?;
    }
    Ok(())
}

/// Hands `packets` over as a listener does.
async fn deliver_all(
    load: Load,
    fixture: &Fixture,
    intake: &Intake,
    packets: Vec<Packet>,
) -> Result<(), BenchError> {
    let listener: Arc<str> = "bench".into();
    let mut under_way = VecDeque::new();
    for (packet, read) in packets.into_iter().zip(1..) {
        if under_way.len() == WINDOW {
            wait_for_oldest(&mut under_way).await?;
        }
        load.wait_for_room(fixture).await;
        let tally = Tally {
            listener: Arc::clone(&listener),
            read,
        };
        under_way.push_back(
            intake
                .deliver(intake::Arrival::Packet(packet), tally)
                .await?,
        );
    }
    while !under_way.is_empty() {
        wait_for_oldest(&mut under_way).await?;
    }
    Ok(())
}

async fn wait_for_oldest(under_way: &mut VecDeque<Pending>) -> Result<(), BenchError> {
    if let Some(mut oldest) = under_way.pop_front() {
        oldest.kept().await?;
    }
    Ok(())
}

/// Leases and commits until the store is closed.
fn bare_worker(store: Store, number: u16) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let work = async move {
        while let Ok(lease) = store.next_lease(QUEUE, u32::from(number)).await {
            // What was not kept is missed when tasks are counted.
            drop(store.commit(vec![success(&lease)]).await);
        }
    };
    std::thread::Builder::new()
        .name(format!("bare/{number}"))
        .spawn(move || runtime.block_on(work))
}

fn success(lease: &Lease) -> Commit {
    let step = Step::Succeed { result: None };
    Commit::bare(lease.task, lease.token, [0; 32], step)
}

fn report(load: Load, turns: &[(Took, Took)], bare_call: Option<f64>) -> Vec<Figure> {
    let bare = |value: fn(&Took) -> f64| median(turns.iter().map(|(bare, _)| value(bare)));
    let ours = |value: fn(&Took) -> f64| median(turns.iter().map(|(_, ours)| value(ours)));
    let ratio = median(turns.iter().map(|(bare, ours)| ours.rate() / bare.rate()));
    let beyond = median(
        turns
            .iter()
            .map(|(bare, ours)| ours.cpu_us() - bare.cpu_us()),
    );
    let figure = |figure, value, unit| Figure {
        bench: load.bench,
        figure,
        value,
        unit,
    };
    let mut figures = vec![
        figure("bare store", bare(Took::rate), "tasks/s"),
        figure("ours", ours(Took::rate), "tasks/s"),
        figure("ours / bare store", ratio, "×"),
        figure("CPU per task, bare store", bare(Took::cpu_us), "µs"),
        figure("CPU per task, ours", ours(Took::cpu_us), "µs"),
    ];
    if let Some(call) = bare_call {
        let name = "CPU per task beyond bare store and bare call";
        figures.push(figure(name, beyond - call, "µs"));
    }
    figures.extend([
        figure("CPU of the sender per task", ours(Took::sender_us), "µs"),
        figure(
            "group commits per task",
            ours(|took| took.group_commits / took.tasks),
            "",
        ),
    ]);
    figures
}

/// As long as a GCN notice.
fn notice(_number: u64) -> Bytes {
    Bytes::from(vec![b'x'; 2048])
}

/// An alert of a survey of the optical sky: some numbers, a history, and three cut-outs.
fn alert(number: u64) -> Bytes {
    const HISTORY: usize = 220;
    const CUTOUT: usize = 38 << 10;
    let detection = r#"{"mjd":60000.5,"magnitude":19.31,"magnitude_error":0.08,"band":"r","ra":210.910674,"dec":54.311651}"#;
    let history = vec![detection; HISTORY].join(",");
    let cutout = "iVBORw0KGgoAAAAN".repeat(CUTOUT / 16);
    let text = format!(
        r#"{{"alert_id":{number},"candidate":{{"magnitude":18.7,"reliability":0.93}},"history":[{history}],"cutouts":["{cutout}","{cutout}","{cutout}"]}}"#
    );
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_alert_has_136_kib() {
        let length = super::alert(1).len();
        assert!((130 << 10..142 << 10).contains(&length), "{length}");
    }
}
