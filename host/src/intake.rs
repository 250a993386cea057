//! Where listeners hand over what they read.
//!
//! **Invariant:** a delivery is answered `Ok` only once its packet is on disk, so a listener
//! that acknowledges after the answer acknowledges what is kept and nothing else.
//!
//! What waits for its answer is bounded, in bytes: when the disk is slow or full, listeners stop
//! reading, and the sender waits in its socket. A heartbeat needs no room, so it never stands
//! behind packets that wait for some. This module knows neither handlers nor the store behind it.
//!
//! Each delivery carries the listener's own count, so that the commit which keeps a packet
//! writes down in the same moment how many were read: what was read and not kept is then the
//! difference of two durable numbers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::packet::{Packet, Refusal};

/// Deliveries that may wait between a host's listeners and its dispatcher.
pub const CAPACITY: usize = 1024;

/// Most bytes that wait for an answer.
const ROOM: usize = 64 << 20;

/// Bytes that a delivery counts as at least, so that no more than 4096 wait.
const LEAST: usize = 16 << 10;

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
    /// grows by more than was handed over where something was read and could not be.
    pub read: u64,
}

/// What is handed over.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A packet.
    Packet(Packet),
    /// Bytes that are no packet; they are kept for a person to look at.
    Refusal(Refusal),
    /// A connection was made: packets of this source may be read once this is answered. A store
    /// that is not closed leaves a gap mark for it.
    Connected {
        /// The stream, e.g. `gcn`.
        source: String,
    },
    /// Nothing more of a connection that has ended: its tally tells what was read of this source
    /// and never handed over.
    Nothing {
        /// The stream, e.g. `gcn`.
        source: String,
    },
    /// It goes the way of a packet, and its answer says that the way is open.
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
    pub answer: Receipt,
}

/// Where the answer to a delivery goes. Its room is free for others when it is gone.
#[derive(Debug)]
pub struct Receipt {
    answer: oneshot::Sender<Result<Kept, NotKept>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Receipt {
    /// Answers.
    ///
    /// # Errors
    /// The answer, where nobody waits for it any more.
    pub fn send(self, answer: Result<Kept, NotKept>) -> Result<(), Result<Kept, NotKept>> {
        self.answer.send(answer)
    }
}

/// The listeners' end.
#[derive(Clone, Debug)]
pub struct Intake {
    deliveries: mpsc::Sender<Delivery>,
    /// A permit per byte.
    room: Arc<Semaphore>,
}

/// A delivery under way: resolves when the packet is on disk.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Kept, NotKept>>);

impl Intake {
    /// Makes the two ends; at most `capacity` deliveries wait between them, and at most 64 MiB
    /// for an answer.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Delivery>) {
        let (deliveries, receiver) = mpsc::channel(capacity);
        let room = Arc::new(Semaphore::new(ROOM));
        (Self { deliveries, room }, receiver)
    }

    /// Hands over what was read: waits for room, not for the disk. Await the answer before the
    /// sender gets its receipt.
    ///
    /// # Errors
    /// [`NotKept::Closed`] when nobody takes packets any more.
    pub async fn deliver(&self, arrival: Arrival, tally: Tally) -> Result<Pending, NotKept> {
        let room = self.room_for(&arrival).await;
        let (answer, pending) = oneshot::channel();
        let delivery = Delivery {
            arrival,
            tally,
            answer: Receipt {
                answer,
                _room: room,
            },
        };
        match self.deliveries.send(delivery).await {
            Ok(()) => Ok(Pending(pending)),
            Err(_closed) => Err(NotKept::Closed),
        }
    }

    /// Waits for room; whoever asked first gets it first.
    async fn room_for(&self, arrival: &Arrival) -> Option<OwnedSemaphorePermit> {
        let bytes = match arrival {
            Arrival::Packet(packet) => packet.payload.len(),
            Arrival::Refusal(refusal) => refusal.payload.len(),
            Arrival::Connected { .. } | Arrival::Nothing { .. } | Arrival::Heartbeat => {
                return None;
            }
        };
        // One that is larger than the whole goes through alone.
        let bytes = u32::try_from(bytes.clamp(LEAST, ROOM)).unwrap_or(u32::MAX);
        // Nobody closes it.
        Arc::clone(&self.room).acquire_many_owned(bytes).await.ok()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use jiff::Timestamp;
    use tokio::task::unconstrained;

    use super::{Arrival, Intake, Kept, ROOM, Tally};
    use crate::packet::Refusal;

    fn refusal(bytes: usize) -> Arrival {
        Arrival::Refusal(Refusal {
            source: "gcn".to_owned(),
            received: Timestamp::UNIX_EPOCH,
            reason: "for the test".to_owned(),
            payload: Bytes::from(vec![0; bytes]),
        })
    }

    fn tally() -> Tally {
        Tally {
            listener: Arc::from("test"),
            read: 1,
        }
    }

    /// Hands over `arrival` again and again; returns how often there was room.
    async fn fill(intake: &Intake, arrival: &Arrival) -> usize {
        let mut times = 0;
        loop {
            // The number of polls is no room.
            let handing_over = unconstrained(intake.deliver(arrival.clone(), tally()));
            match handing_over.now_or_never() {
                Some(handed_over) => drop(handed_over.unwrap()),
                None => return times,
            }
            times += 1;
        }
    }

    #[tokio::test]
    async fn what_waits_for_an_answer_is_bounded_in_bytes_and_a_heartbeat_passes_it() {
        let (intake, mut deliveries) = Intake::channel(10_000);
        let megabyte = refusal(1 << 20);
        assert_eq!(fill(&intake, &megabyte).await, 64);
        let heartbeat = intake.deliver(Arrival::Heartbeat, tally()).now_or_never();
        assert!(heartbeat.is_some_and(|handed_over| handed_over.is_ok()));
        // Taken is not answered.
        let delivery = deliveries.recv().await.unwrap();
        assert_eq!(fill(&intake, &megabyte).await, 0);
        drop(delivery.answer.send(Ok(Kept::New)));
        assert_eq!(fill(&intake, &megabyte).await, 1);
    }

    #[tokio::test]
    async fn small_deliveries_are_bounded_in_number() {
        let (intake, _deliveries) = Intake::channel(10_000);
        assert_eq!(fill(&intake, &refusal(1)).await, 4_096);
    }

    #[tokio::test]
    async fn one_that_is_larger_than_the_room_goes_through_alone() {
        let (intake, _deliveries) = Intake::channel(10_000);
        let large = refusal(ROOM + 1);
        assert_eq!(fill(&intake, &large).await, 1);
    }
}
