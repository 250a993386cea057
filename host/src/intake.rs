//! Where listeners hand over what they read.
//!
//! **Invariant:** a delivery is answered `Ok` only once its packet is on disk, so a listener
//! that acknowledges after the answer acknowledges what is kept and nothing else.
//!
//! The channel is bounded: when the disk is slow, listeners stop reading, and the sender waits
//! in its socket. This module knows neither handlers nor the store behind it.
//!
//! Each delivery carries the listener's own count, so that the commit which keeps a packet
//! writes down in the same moment how many were read: what was read and not kept is then the
//! difference of two durable numbers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::packet::{Packet, Refusal};

/// Deliveries that may wait between a host's listeners and its dispatcher.
pub const CAPACITY: usize = 1024;

/// Why a packet was not kept. The listener closes its connection and sends no receipt.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotKept {
    /// The disk is full, or a mark is passed.
    #[error("the store takes no more packets: {reason}")]
    Full {
        /// What is full, and what to do.
        reason: String,
    },
    /// The store did not keep it.
    #[error("the store did not keep the packet: {reason}")]
    Failed {
        /// Why, and what to do.
        reason: String,
    },
    /// The host is stopping.
    #[error("the host is stopping")]
    Closed,
}

/// What a listener is told of a packet that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is new.
    New,
    /// It was known; the sender gets its receipt all the same.
    Duplicate,
}

/// How much a listener has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The connection that counts, e.g. `gcn 127.0.0.1:8099`; a source may have several.
    pub listener: Arc<str>,
    /// Packets and refusals that it has read since the process began, this one included. It
    /// grows by more than one where something was read and could not be handed over.
    pub read: u64,
}

/// What is handed over.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A packet.
    Packet(Packet),
    /// Bytes that are no packet; they are kept for a person to look at.
    Refusal(Refusal),
    /// Nothing: it goes the way of a packet, and its answer says that the way is open.
    Heartbeat,
}

/// One hand-over, and where its answer goes.
#[derive(Debug)]
pub struct Delivery {
    /// What is handed over.
    pub arrival: Arrival,
    /// The count of the listener that hands it over.
    pub tally: Tally,
    /// Takes the answer.
    pub answer: oneshot::Sender<Result<Kept, NotKept>>,
}

/// The listeners' end.
#[derive(Clone, Debug)]
pub struct Intake {
    deliveries: mpsc::Sender<Delivery>,
}

/// A delivery under way: resolves when the packet is on disk.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Kept, NotKept>>);

impl Intake {
    /// Makes the two ends; at most `capacity` deliveries wait between them.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Delivery>) {
        let (deliveries, receiver) = mpsc::channel(capacity);
        (Self { deliveries }, receiver)
    }

    /// Hands over what was read: waits for room, not for the disk. Await the answer before the
    /// sender gets its receipt.
    ///
    /// # Errors
    /// [`NotKept::Closed`] when nobody takes packets any more.
    pub async fn deliver(&self, arrival: Arrival, tally: Tally) -> Result<Pending, NotKept> {
        let (answer, pending) = oneshot::channel();
        let delivery = Delivery {
            arrival,
            tally,
            answer,
        };
        match self.deliveries.send(delivery).await {
            Ok(()) => Ok(Pending(pending)),
            Err(_closed) => Err(NotKept::Closed),
        }
    }
}

impl Pending {
    /// Waits until the delivery is on disk. A wait that was dropped may be taken up again; the
    /// answer comes once.
    ///
    /// # Errors
    /// [`NotKept`] when it is not, and will not be.
    pub async fn kept(&mut self) -> Result<Kept, NotKept> {
        (&mut self.0).await.unwrap_or(Err(NotKept::Closed))
    }
}
