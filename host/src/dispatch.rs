//! From what listeners read to tasks: matches packets and has them accepted.
//!
//! Accepting waits for no queue and no handler. Deliveries that wait together are accepted
//! together, in one commit. Packets that find no space wait for it: listeners read no more
//! meanwhile than they may have under way, and their senders wait in turn.

mod record;

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error, info, warn};

use self::record::new_refusal;
pub use self::record::{archived, new_packet, offer, tasks_of};
use crate::broker::{Accepted, Broker, BrokerError, NewRefusal, Offer};
use crate::explain::Coded as _;
use crate::intake::{Arrival, Delivery, Kept, NotKept, Receipt};
use crate::packet::{Packet, Refusal};
use crate::routes::Routes;
use crate::stop::StopSignal;
use crate::text::{chain, one_line};

/// Most deliveries that are accepted in one commit.
const BATCH: usize = 512;

/// How long a newer routing table is waited for.
const ROUTES_DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes that are accepted in one commit, unless one packet has more.
const BATCH_BYTES: usize = 16 << 20;

/// Most bytes of a refusal's reason in a line of a log.
const MAX_REASON: usize = 4_096;

/// Most bytes of a packet's name in a line of a log.
const MAX_NAME: usize = 512;

/// Pause before packets that found no space are tried again.
const SPACE_DELAY: Duration = Duration::from_secs(1);

/// What listeners hand over, in order.
struct Line {
    deliveries: mpsc::Receiver<Delivery>,
    /// What was taken while packets before it waited for space; the intake bounds it.
    held: Vec<Delivery>,
    /// Something waited for space and was not kept yet.
    has_waited: bool,
}

/// What a dispatcher leaves when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// Packets that were kept and are no duplicates.
    pub packets: u64,
    /// The ledger has everything that was read. Where it has not, the store must not be closed
    /// cleanly, so that the next start marks a gap.
    pub all_counted: bool,
}

/// Turns deliveries into tasks until the last listener is gone.
#[derive(Debug)]
pub struct Dispatcher {
    broker: Arc<dyn Broker>,
    routes: watch::Receiver<Arc<Routes>>,
    stop: StopSignal,
    read: HashMap<Arc<str>, u64>,
    /// Packets that were read and not kept, by source, and that the ledger does not have yet.
    owed: BTreeMap<String, u64>,
    /// New packets so far.
    kept: u64,
}

impl Dispatcher {
    /// Makes a dispatcher that matches by the newest of `routes`, and stops the host when the
    /// broker keeps nothing any more.
    pub fn new(
        broker: Arc<dyn Broker>,
        routes: watch::Receiver<Arc<Routes>>,
        stop: StopSignal,
    ) -> Self {
        Self {
            broker,
            routes,
            stop,
            read: HashMap::new(),
            owed: BTreeMap::new(),
            kept: 0,
        }
    }

    /// Runs until the other end of `deliveries` is closed and all are answered.
    pub async fn run(mut self, deliveries: mpsc::Receiver<Delivery>) -> Dispatched {
        let mut line = Line {
            deliveries,
            held: Vec::new(),
            has_waited: false,
        };
        let mut batch = Vec::with_capacity(BATCH);
        while line.next(&mut batch).await {
            let mut packets = Vec::new();
            let mut refusals = Vec::new();
            let mut heartbeats = Vec::new();
            for delivery in batch.drain(..) {
                self.note_tally(&delivery);
                match delivery.arrival {
                    Arrival::Packet(packet) => packets.push((packet, delivery.answer)),
                    Arrival::Refusal(refusal) => refusals.push((refusal, delivery.answer)),
                    Arrival::Nothing { .. } => answer(delivery.answer, Ok(Kept::New)),
                    Arrival::Connected { source } => {
                        self.connected(&source, delivery.answer).await;
                    }
                    Arrival::Heartbeat => heartbeats.push(delivery.answer),
                }
            }
            if !refusals.is_empty() {
                self.refuse(refusals, &mut line).await;
            }
            for packets in in_batches(packets) {
                self.accept(packets, &mut line).await;
            }
            self.pay().await;
            for receipt in heartbeats {
                self.beat(receipt).await;
            }
        }
        self.pay().await;
        Dispatched {
            packets: self.kept,
            all_counted: self.owed.is_empty(),
        }
    }

    /// A listener's count that grows by more than it hands over tells of packets that it read
    /// and could not hand over.
    fn note_tally(&mut self, delivery: &Delivery) {
        let (source, handed_over) = match &delivery.arrival {
            Arrival::Packet(packet) => (&packet.source, 1),
            Arrival::Refusal(refusal) => (&refusal.source, 1),
            Arrival::Nothing { source } | Arrival::Connected { source } => (source, 0),
            Arrival::Heartbeat => return,
        };
        let tally = &delivery.tally;
        let before = self.read.insert(Arc::clone(&tally.listener), tally.read);
        let missing = tally
            .read
            .saturating_sub(before.unwrap_or(0))
            .saturating_sub(handed_over);
        if missing > 0 {
            warn!(target: "gwasp::packet", listener = %tally.listener, missing, "packets were read and not kept");
            self.owe(source, missing);
        }
    }

    fn owe(&mut self, source: &str, packets: u64) {
        *self.owed.entry(source.to_owned()).or_default() += packets;
    }

    /// Writes down what was read and not kept; what cannot be written now is tried again.
    async fn pay(&mut self) {
        for (source, packets) in std::mem::take(&mut self.owed) {
            if let Err(error) = self.broker.note_unconfirmed(&source, packets).await {
                self.stop.heed(&error);
                error!(target: "gwasp::packet", code = error.code().as_str(), %error, source, packets, "unconfirmed packets not counted yet");
                self.owe(&source, packets);
            }
        }
    }

    /// Notes that packets of `source` may be read from now on.
    async fn connected(&self, source: &str, receipt: Receipt) {
        let noted = self.broker.note_listening(source, true).await;
        let noted = noted.map(|()| Kept::New).map_err(|error| {
            self.stop.heed(&error);
            not_kept(&error)
        });
        answer(receipt, noted);
    }

    /// Answers a heartbeat: whether the way of a packet is open, or full.
    async fn beat(&self, receipt: Receipt) {
        let open = self.accept_all(&[]).await;
        let kept = open.map(|_| Kept::New).map_err(|error| not_kept(&error));
        answer(receipt, kept);
    }

    async fn accept(&mut self, packets: Vec<(Packet, Receipt)>, line: &mut Line) {
        let (packets, receipts): (Vec<_>, Vec<_>) = packets.into_iter().unzip();
        let accepted = loop {
            match self.accept_all(&packets).await {
                Err(error) if self.waits(&error, packets.len(), line).await => {}
                accepted => break accepted,
            }
        };
        match accepted {
            Ok(accepted) => {
                line.note_space(packets.len());
                for ((packet, accepted), receipt) in packets.iter().zip(accepted).zip(receipts) {
                    let (accepted, fate) = accepted;
                    self.kept += u64::from(matches!(accepted, Accepted::New(_)));
                    report(packet, accepted, &fate);
                    answer(receipt, Ok(kept(accepted)));
                }
            }
            Err(BrokerError::TooLarge { .. }) if packets.len() > 1 => {
                for one in packets.into_iter().zip(receipts) {
                    Box::pin(self.accept(vec![one], line)).await;
                }
            }
            Err(error @ BrokerError::TooLarge { .. }) => {
                let refusals = packets.into_iter().map(|packet| too_large(packet, &error));
                self.refuse(refusals.zip(receipts).collect(), line).await;
            }
            Err(error) => {
                error!(target: "gwasp::packet", code = error.code().as_str(), error = %chain(&error), packets = packets.len(), "packets not kept");
                for packet in &packets {
                    self.owe(&packet.source, 1);
                }
                self.fail(&error, receipts);
            }
        }
    }

    fn fail(&self, error: &BrokerError, receipts: Vec<Receipt>) {
        self.stop.heed(error);
        let not_kept = not_kept(error);
        for receipt in receipts {
            answer(receipt, Err(not_kept.clone()));
        }
    }

    /// Waits a while where `error` says that there is no space; false where that is of no use.
    async fn waits(&self, error: &BrokerError, packets: usize, line: &mut Line) -> bool {
        let waits = matches!(error, BrokerError::Full { .. }) && !self.stop.drain.is_cancelled();
        if waits {
            error!(target: "gwasp::packet", code = error.code().as_str(), error = %chain(error), packets, "no space; packets wait and get no receipts");
            line.has_waited = true;
            self.pause(line).await;
        }
        waits
    }

    /// Waits before another try, answers heartbeats, and holds what else comes.
    async fn pause(&self, line: &mut Line) {
        let mut over = pin!(tokio::time::sleep(SPACE_DELAY));
        loop {
            tokio::select! {
                () = &mut over => return,
                () = self.stop.drain.cancelled() => return,
                Some(delivery) = line.deliveries.recv() => match delivery.arrival {
                    Arrival::Heartbeat => self.beat(delivery.answer).await,
                    _ => line.held.push(delivery),
                },
            }
        }
    }

    /// Accepts under the newest routing table; decides again when it changed meanwhile.
    async fn accept_all(&self, packets: &[Packet]) -> Result<Vec<(Accepted, Fate)>, BrokerError> {
        let deadline = Instant::now() + ROUTES_DEADLINE;
        loop {
            let routes = Arc::clone(&self.routes.borrow());
            let offers: Vec<Offer> = packets
                .iter()
                .map(|packet| offer(packet, &routes))
                .collect();
            let fates: Vec<Fate> = offers.iter().map(Fate::of).collect();
            match self.broker.accept(routes.generation(), offers).await {
                Err(conflict @ BrokerError::Conflict { .. }) => {
                    debug!(target: "gwasp::packet", "the routing table changed; matching again");
                    // Where someone else writes the table, news of it may never come.
                    let newer = self.newer_than(routes.generation());
                    timeout_at(deadline, newer).await.unwrap_or(Err(conflict))?;
                }
                accepted => return Ok(accepted?.into_iter().zip(fates).collect()),
            }
        }
    }

    /// Waits until a table after `generation` is known here.
    async fn newer_than(&self, generation: u64) -> Result<(), BrokerError> {
        let mut routes = self.routes.clone();
        let newer = routes
            .wait_for(|routes| routes.generation() > generation)
            .await;
        newer.map(drop).map_err(|_closed| BrokerError::Closed)
    }

    async fn refuse(&mut self, refusals: Vec<(Refusal, Receipt)>, line: &mut Line) {
        let (refusals, receipts): (Vec<_>, Vec<_>) = refusals.into_iter().unzip();
        for refusal in &refusals {
            warn!(
                target: "gwasp::packet",
                source = %refusal.source, reason = %one_line(&refusal.reason, MAX_REASON), bytes = refusal.payload.len(),
                "packet refused"
            );
        }
        let sources: Vec<String> = refusals.iter().map(|one| one.source.clone()).collect();
        let records: Vec<NewRefusal> = refusals.into_iter().map(new_refusal).collect();
        let refused = loop {
            match self.broker.refuse(records.clone()).await {
                Err(error) if self.waits(&error, records.len(), line).await => {}
                refused => break refused,
            }
        };
        match refused {
            Ok(()) => {
                line.note_space(records.len());
                for receipt in receipts {
                    answer(receipt, Ok(Kept::New));
                }
            }
            Err(error) => {
                error!(target: "gwasp::packet", code = error.code().as_str(), error = %chain(&error), "refused packets not kept");
                for source in &sources {
                    self.owe(source, 1);
                }
                self.fail(&error, receipts);
            }
        }
    }
}

impl Line {
    /// Says so where something is kept again that had to wait.
    fn note_space(&mut self, packets: usize) {
        if std::mem::take(&mut self.has_waited) {
            info!(target: "gwasp::packet", packets, "there is space again");
        }
    }

    /// Takes what comes next, all that waits up to a batch; false once nothing comes any more.
    async fn next(&mut self, batch: &mut Vec<Delivery>) -> bool {
        if self.held.is_empty() {
            return self.deliveries.recv_many(batch, BATCH).await > 0;
        }
        let number = self.held.len().min(BATCH);
        batch.extend(self.held.drain(..number));
        true
    }
}

/// Cuts `packets` into batches of bounded size, in order.
fn in_batches(packets: Vec<(Packet, Receipt)>) -> Vec<Vec<(Packet, Receipt)>> {
    let mut batches: Vec<Vec<(Packet, Receipt)>> = Vec::new();
    let mut bytes = 0;
    for (packet, receipt) in packets {
        bytes += packet.payload.len();
        match batches.last_mut() {
            Some(batch) if bytes <= BATCH_BYTES => batch.push((packet, receipt)),
            _ => {
                bytes = packet.payload.len();
                batches.push(vec![(packet, receipt)]);
            }
        }
    }
    batches
}

/// A packet that no broker would keep whole.
fn too_large(packet: Packet, error: &BrokerError) -> Refusal {
    Refusal {
        source: packet.source,
        received: packet.received,
        reason: format!("the packet {} cannot be kept: {}", packet.id, chain(error)),
        payload: packet.payload,
    }
}

fn answer(receipt: Receipt, result: Result<Kept, NotKept>) {
    // A listener whose connection broke does not wait for its answer any more.
    drop(receipt.send(result));
}

fn kept(accepted: Accepted) -> Kept {
    match accepted {
        Accepted::New(_) => Kept::New,
        Accepted::Duplicate(_) => Kept::Duplicate,
    }
}

fn not_kept(error: &BrokerError) -> NotKept {
    match error {
        BrokerError::Full { .. } => NotKept::Full {
            reason: error.to_string(),
        },
        BrokerError::Closed => NotKept::Closed,
        _ => NotKept::Failed {
            reason: chain(error),
        },
    }
}

/// What became of a packet that is new.
#[derive(Debug)]
struct Fate {
    tasks: usize,
    unmatched: Option<String>,
}

impl Fate {
    fn of(offer: &Offer) -> Self {
        Self {
            tasks: offer.tasks.len(),
            unmatched: offer.unmatched.clone(),
        }
    }
}

fn report(packet: &Packet, accepted: Accepted, fate: &Fate) {
    let role = packet.role.as_str();
    let source = &packet.source;
    // The sender's own words.
    let key = one_line(&packet.key.to_string(), MAX_NAME);
    let id = one_line(&packet.id, MAX_NAME);
    match (accepted, &fate.unmatched) {
        (Accepted::Duplicate(_), _) => {
            info!(target: "gwasp::packet", %source, %key, %id, role, "packet is a duplicate");
        }
        (Accepted::New(_), None) => {
            info!(target: "gwasp::packet", %source, %key, %id, role, tasks = fate.tasks, "packet accepted");
        }
        (Accepted::New(_), Some(unmatched)) => {
            info!(target: "gwasp::packet", %source, %key, %id, role, tasks = 0, %unmatched, "packet accepted");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::broker::Embedded;
    use crate::intake::{Intake, Tally};
    use crate::packet::Digest;

    /// What a connection read and never handed over is in the ledger, although nothing of it
    /// follows.
    #[tokio::test]
    async fn what_the_last_connection_read_and_did_not_hand_over_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let broker: Arc<dyn Broker> =
            Arc::new(Embedded::open(directory.path(), BTreeSet::new()).unwrap());
        let (_known, routes) = watch::channel(Arc::new(Routes::new(0, &[])));
        let dispatcher = Dispatcher::new(Arc::clone(&broker), routes, StopSignal::default());
        let (intake, deliveries) = Intake::channel(4);
        let (arrival, tally) = (
            Arrival::Nothing {
                source: "gcn".to_owned(),
            },
            Tally {
                listener: "gcn broker.test:8099".into(),
                read: 2,
            },
        );
        drop(intake.deliver(arrival, tally).await.unwrap());
        drop(intake);
        let dispatched = dispatcher.run(deliveries).await;
        assert!(dispatched.all_counted);
        broker.close().await.unwrap();
        let reader = gwasp_store::Reader::open(directory.path()).unwrap();
        let ledger = reader.ledger(0).unwrap();
        let unconfirmed: Vec<u64> = ledger
            .accounts
            .iter()
            .map(|account| account.listener.unconfirmed)
            .collect();
        assert_eq!(unconfirmed, [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_routing_table_that_nobody_tells_of_is_not_waited_for_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let broker: Arc<dyn Broker> =
            Arc::new(Embedded::open(directory.path(), BTreeSet::new()).unwrap());
        let (_known, routes) = watch::channel(Arc::new(Routes::new(0, &[])));
        let dispatcher = Dispatcher::new(Arc::clone(&broker), routes, StopSignal::default());
        broker.put_route("other", [0; 32], "{}").await.unwrap();
        let began = Instant::now();
        let refused = dispatcher.accept_all(&[]).await.unwrap_err();
        assert!(matches!(refused, BrokerError::Conflict { .. }), "{refused}");
        assert_eq!(began.elapsed().as_secs(), ROUTES_DEADLINE.as_secs());
    }

    /// Takes what a subscriber writes.
    #[derive(Clone, Default)]
    struct Written(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_name_of_a_packet_forges_no_line_of_the_log() {
        let packet = Packet {
            source: "gcn".to_owned(),
            key: crate::packet::Key::None,
            id: "ivo://a.b/c#1\nINFO forged\u{9b}2J".to_owned(),
            identity: Digest::of(b"a"),
            role: gwasp_formats::Role::Test,
            received: jiff::Timestamp::UNIX_EPOCH,
            sent: None,
            content_type: "application/xml",
            headers: Vec::new(),
            flags: Vec::new(),
            payload: bytes::Bytes::new(),
        };
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        let fate = Fate {
            tasks: 0,
            unmatched: None,
        };
        let accepted = Accepted::New(gwasp_store::PacketSeq(1));
        tracing::subscriber::with_default(subscriber, || report(&packet, accepted, &fate));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("INFO forged\\u{9b}2J"), "{text}");
    }
}
