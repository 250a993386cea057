//! Where listeners hand over what they read.
//!
//! **Invariant:** a delivery is answered `Ok` only once its packet is on disk, so a listener
//! that acknowledges after the answer acknowledges what is kept and nothing else.
//!
//! The channel is bounded: when the disk is slow, listeners stop reading, and the sender waits
//! in its socket. This module knows neither handlers nor the store behind it.

use tokio::sync::{mpsc, oneshot};

use crate::packet::{Packet, Refusal};

/// Why a packet was not kept. The listener closes its connection and sends no receipt.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotKept {
    /// The disk is full, or a mark is passed.
    #[error("the store takes no more packets: {reason}")]
    Full {
        /// What is full, and what to do.
        reason: String,
    },
    /// The host is stopping, or the store failed.
    #[error("the store is gone")]
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

/// One hand-over, and where its answer goes.
#[derive(Debug)]
pub enum Delivery {
    /// A packet.
    Packet(Packet, oneshot::Sender<Result<Kept, NotKept>>),
    /// Bytes that are no packet; they are kept for a person to look at.
    Refusal(Refusal, oneshot::Sender<Result<Kept, NotKept>>),
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

    /// Hands over a packet: waits for room, not for the disk. Await the answer before the
    /// sender gets its receipt.
    ///
    /// # Errors
    /// [`NotKept::Closed`] when nobody takes packets any more.
    pub async fn deliver(&self, packet: Packet) -> Result<Pending, NotKept> {
        self.hand_over(|answer| Delivery::Packet(packet, answer)).await
    }

    /// Hands over bytes that are no packet.
    ///
    /// # Errors
    /// [`NotKept::Closed`] when nobody takes packets any more.
    pub async fn refuse(&self, refusal: Refusal) -> Result<Pending, NotKept> {
        self.hand_over(|answer| Delivery::Refusal(refusal, answer)).await
    }

    async fn hand_over(
        &self,
        delivery: impl FnOnce(oneshot::Sender<Result<Kept, NotKept>>) -> Delivery,
    ) -> Result<Pending, NotKept> {
        let (answer, pending) = oneshot::channel();
        match self.deliveries.send(delivery(answer)).await {
            Ok(()) => Ok(Pending(pending)),
            Err(_closed) => Err(NotKept::Closed),
        }
    }
}

impl Pending {
    /// Waits until the delivery is on disk.
    ///
    /// # Errors
    /// [`NotKept`] when it is not, and will not be.
    pub async fn kept(self) -> Result<Kept, NotKept> {
        self.0.await.unwrap_or(Err(NotKept::Closed))
    }
}
