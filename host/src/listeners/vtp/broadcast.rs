//! The broker's side of VTP: sends events to whoever subscribes, and counts their receipts.
//!
//! VTP brokers keep nothing for an absent subscriber. Neither does this one, unless it is told
//! to offer again ([`BroadcastConfig::resend`]): then what nobody took, or a lost subscriber
//! left without a receipt, goes to the next one that connects.
//!
//! **Invariant:** a subscriber costs at most [`QUEUE`] queued and [`REMEMBERED`] unacknowledged
//! events. Who does not take events for [`BroadcastConfig::patience`] is evicted; the others
//! wait no longer than that.
//!
//! This module sends documents bit for bit as it was given them, and knows nothing of what is
//! in them but the IVORN.

mod peer;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, info_span, warn};

/// Events that wait to be written to one subscriber.
pub const QUEUE: usize = 1024;

/// Events that one subscriber may leave without receipt before the oldest are forgotten.
pub const REMEMBERED: usize = 65_536;

/// Subscribers at a time.
const MAX_PEERS: usize = 256;

/// How long to wait when the system has no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An event to be sent.
#[derive(Clone, Debug)]
pub struct Event {
    /// The IVORN that receipts will name.
    pub ivorn: Arc<str>,
    /// The document, sent bit for bit.
    pub document: Bytes,
}

/// How a broadcaster treats its subscribers.
#[derive(Clone, Debug)]
pub struct BroadcastConfig {
    /// Who the broker says it is, an `ivo://` identifier.
    pub ivoid: String,
    /// Time between two iamalives; the Recommendation wants at most 90 s.
    pub iamalive: Duration,
    /// A subscriber that says nothing for this long, not even to an iamalive, is dropped.
    pub silence: Duration,
    /// A subscriber that takes no event for this long is evicted.
    pub patience: Duration,
    /// Offer again, to the next subscriber, what got no receipt.
    pub resend: bool,
}

impl Default for BroadcastConfig {
    fn default() -> Self {
        Self {
            ivoid: "ivo://gwasp.broker/anonymous".to_owned(),
            iamalive: Duration::from_secs(60),
            silence: Duration::from_secs(150),
            patience: Duration::from_secs(5),
            resend: false,
        }
    }
}

/// What was sent and what came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Events that were published.
    pub published: u64,
    /// Copies that went to subscribers, those sent again included.
    pub sent: u64,
    /// Copies that were acknowledged.
    pub acked: u64,
    /// Copies that were refused for ever.
    pub naked: u64,
    /// Copies without receipt.
    pub unacked: u64,
    /// Events that were published while nobody was there, and that wait for nobody.
    pub unheard: u64,
    /// Connections that subscribers made.
    pub connections: u64,
    /// Subscribers that were too slow.
    pub evicted: u64,
}

/// A VOEvent broker.
#[derive(Debug)]
pub struct Broadcaster {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Shared {
    config: BroadcastConfig,
    book: Mutex<Book>,
    /// Woken whenever the book changes.
    changed: watch::Sender<()>,
    clock: fn() -> Timestamp,
}

/// Who is there, and what they owe.
#[derive(Debug, Default)]
struct Book {
    peers: BTreeMap<u64, Peer>,
    /// For the next subscriber.
    orphans: VecDeque<Event>,
    totals: Totals,
}

#[derive(Debug)]
struct Peer {
    queue: mpsc::Sender<Event>,
    evict: CancellationToken,
    unacked: VecDeque<Event>,
}

impl Broadcaster {
    /// Listens on `address` and takes subscribers from now on.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr, config: BroadcastConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            config,
            book: Mutex::default(),
            changed: watch::Sender::new(()),
            clock: Timestamp::now,
        });
        let broadcaster = Self {
            shared,
            address,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let accepting = accept(
            listener,
            Arc::clone(&broadcaster.shared),
            broadcaster.stop.clone(),
            broadcaster.tasks.clone(),
        );
        broadcaster.tasks.spawn(accepting);
        Ok(broadcaster)
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `event` to all who are there, and gives their number. Waits for a subscriber that
    /// is behind, at most [`BroadcastConfig::patience`]; then evicts it.
    pub async fn publish(&self, event: &Event) -> usize {
        let queues = self.shared.book().publish(event, self.shared.config.resend);
        let mut taken = 0;
        for (peer, queue, evict) in queues {
            // A queue that is closed belongs to a subscriber that is just leaving; the event is
            // among what it leaves behind.
            match timeout(self.shared.config.patience, queue.send(event.clone())).await {
                Ok(Ok(())) => taken += 1,
                Ok(Err(_closed)) => {}
                Err(_elapsed) => {
                    warn!(peer, "subscriber is too slow and is evicted");
                    self.shared.book().totals.evicted += 1;
                    evict.cancel();
                }
            }
        }
        self.shared.changed.send_replace(());
        taken
    }

    /// What was sent and what came back.
    pub fn totals(&self) -> Totals {
        self.shared.book().totals()
    }

    /// Subscribers that are connected.
    pub fn subscribers(&self) -> usize {
        self.shared.book().peers.len()
    }

    /// Waits until `n` subscribers are connected.
    pub async fn wait_for_subscribers(&self, n: usize) {
        self.wait_until(|book| book.peers.len() >= n).await;
    }

    /// Waits until every copy has its receipt, and nothing waits for a subscriber.
    pub async fn settled(&self) {
        self.wait_until(|book| book.totals().unacked == 0).await;
    }

    /// IVORNs of events without receipt, at most `limit`.
    pub fn unacked(&self, limit: usize) -> Vec<Arc<str>> {
        let book = self.shared.book();
        let owed = book.peers.values().flat_map(|peer| &peer.unacked);
        let events = owed.chain(&book.orphans).take(limit);
        events.map(|event| Arc::clone(&event.ivorn)).collect()
    }

    async fn wait_until(&self, mut condition: impl FnMut(&Book) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        // The sender lives as long as `self`, so an error cannot come.
        while !condition(&self.shared.book()) && changed.changed().await.is_ok() {}
    }

    /// Takes no more subscribers, writes what is queued within `grace`, and closes.
    pub async fn close(self, grace: Duration) -> Totals {
        self.stop.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            warn!(
                ?grace,
                "leaving subscribers that do not take what is queued"
            );
        }
        self.totals()
    }
}

impl Drop for Broadcaster {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => {
                let span = info_span!("subscriber", %address);
                tasks.spawn(
                    welcome(stream, Arc::clone(&shared), stop.child_token()).instrument(span),
                );
            }
            Err(error) => {
                warn!(%error, "cannot accept subscribers");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one subscriber from its first byte to its last.
async fn welcome(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    let (queue, events) = mpsc::channel(QUEUE);
    let evict = CancellationToken::new();
    let Some(id) = shared.book().join(queue, evict.clone()) else {
        warn!("too many subscribers, one was turned away");
        return;
    };
    shared.changed.send_replace(());
    info!("subscriber connected");
    let serving = peer::serve(stream, events, id, &shared, stop);
    match evict.run_until_cancelled(serving).await {
        Some(end) => info!(reason = %end, "subscriber left"),
        None => info!("subscriber was evicted"),
    }
    shared.book().leave(id, shared.config.resend);
    shared.changed.send_replace(());
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a receipt of subscriber `id` about `ivorn`.
    fn receipt(&self, id: u64, ivorn: &str, good: bool) {
        if !self.book().receipt(id, ivorn, good) {
            debug!(ivorn, "receipt for nothing that waits for one");
        }
        self.changed.send_replace(());
    }
}

impl Book {
    fn join(&mut self, queue: mpsc::Sender<Event>, evict: CancellationToken) -> Option<u64> {
        if self.peers.len() >= MAX_PEERS {
            return None;
        }
        self.totals.connections += 1;
        let id = self.totals.connections;
        self.peers.insert(
            id,
            Peer {
                queue,
                evict,
                unacked: VecDeque::new(),
            },
        );
        self.offer_orphans(id);
        Some(id)
    }

    /// Gives subscriber `id` as many orphans as its queue holds; more go with its receipts.
    fn offer_orphans(&mut self, id: u64) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        while let Some(event) = self.orphans.pop_front() {
            if let Err(refused) = peer.queue.try_send(event.clone()) {
                self.orphans.push_front(refused.into_inner());
                return;
            }
            self.totals.sent += 1;
            peer.unacked.push_back(event);
        }
    }

    /// Books `event` for all who are there, before it is sent: a receipt may be quick.
    fn publish(
        &mut self,
        event: &Event,
        resend: bool,
    ) -> Vec<(u64, mpsc::Sender<Event>, CancellationToken)> {
        self.totals.published += 1;
        if self.peers.is_empty() {
            if resend {
                self.orphans.push_back(event.clone());
            } else {
                self.totals.unheard += 1;
            }
        }
        let mut queues = Vec::with_capacity(self.peers.len());
        for (id, peer) in &mut self.peers {
            self.totals.sent += 1;
            if peer.unacked.len() >= REMEMBERED {
                peer.unacked.pop_front();
                self.totals.unacked += 1;
            }
            peer.unacked.push_back(event.clone());
            queues.push((*id, peer.queue.clone(), peer.evict.clone()));
        }
        queues
    }

    fn receipt(&mut self, id: u64, ivorn: &str, good: bool) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else {
            return false;
        };
        let Some(at) = peer.unacked.iter().position(|event| *event.ivorn == *ivorn) else {
            return false;
        };
        peer.unacked.remove(at);
        if good {
            self.totals.acked += 1;
        } else {
            self.totals.naked += 1;
        }
        self.offer_orphans(id);
        true
    }

    fn leave(&mut self, id: u64, resend: bool) {
        let Some(peer) = self.peers.remove(&id) else {
            return;
        };
        if resend {
            self.orphans.extend(peer.unacked);
        } else {
            self.totals.unacked += u64::try_from(peer.unacked.len()).unwrap_or(u64::MAX);
        }
    }

    fn totals(&self) -> Totals {
        let waiting = self
            .peers
            .values()
            .map(|peer| peer.unacked.len())
            .sum::<usize>();
        let waiting = waiting + self.orphans.len();
        let mut totals = self.totals;
        totals.unacked += u64::try_from(waiting).unwrap_or(u64::MAX);
        totals
    }
}

#[cfg(test)]
mod tests;
