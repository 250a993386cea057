//! One connection to a broker, from the first byte to the last receipt.
//!
//! Two halves run side by side and meet in two bounded queues. The reading half cuts frames,
//! hands events to the intake and lines them up; the writing half takes them in that order,
//! waits until each is kept, and sends its receipt. Answers to the transport's own messages
//! overtake receipts, so that a slow disk does not look like a dead subscriber.
//!
//! **Invariant:** at most [`IN_FLIGHT`] events wait for their receipts; then nothing is read,
//! and the sender waits in its socket. `read = kept + refused + unconfirmed` when a session has
//! ended.
//!
//! The stream, the clock and the order to stop are arguments; timers are tokio's.

use std::future::ready;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gwasp_formats::{TransportHead, TransportRole};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, trace, warn};

use super::document::{self, Document};
use super::frame::{self, Decoder, TooLong};
use super::transport::{Kind, Transport};
use crate::config::VtpConfig;
use crate::intake::{Arrival, Intake, Kept, NotKept, Pending, Tally};
use crate::listeners::state::{Count, ListenerState};
use crate::packet::Refusal;

/// Events that were read and wait for their receipts.
pub(super) const IN_FLIGHT: usize = 256;

/// Answers to transport messages that wait to be written.
const ANSWERS: usize = 16;

/// Bytes of receipts that are gathered before they are written.
const GATHER: usize = 64 * 1024;

/// A session is healthy after this long, if it brought a frame.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// How long the peer may take to see that we close.
const FAREWELL: Duration = Duration::from_secs(1);

/// IVORNs that a log line names.
const NAMED: usize = 16;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the broker closed the connection")]
    Closed,
    #[error("the broker closed the connection {bytes} bytes into a frame")]
    Truncated { bytes: usize },
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the broker does not speak VTP")]
    Frame(#[source] TooLong),
    #[error("nothing was heard from the broker for {after:?}")]
    Silent { after: Duration },
    #[error("a frame was not whole after {after:?}: {bytes} bytes of it came")]
    Slow { after: Duration, bytes: usize },
    #[error("the broker left our receipts unread for {after:?}")]
    Unread { after: Duration },
    #[error("a packet was not kept and got no receipt")]
    NotKept(#[source] NotKept),
    #[error("told to stop")]
    Stopped,
}

/// How a session went.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    /// It lived for a while and brought frames: the next wait may be short.
    pub(super) healthy: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) config: &'a VtpConfig,
    pub(super) intake: &'a Intake,
    pub(super) state: &'a ListenerState,
    /// Ends the reading; the session goes on until what it read is settled. It is the session's
    /// own, so that the writing half can end the reading one.
    pub(super) stop: CancellationToken,
    pub(super) clock: fn() -> Timestamp,
}

/// An event or refusal on its way to the disk.
#[derive(Debug)]
struct InFlight {
    pending: Pending,
    /// What the receipt is about; a refusal gets none.
    ivorn: Option<String>,
}

/// The reading half's ends of the two queues.
struct Replies {
    answers: mpsc::Sender<Bytes>,
    receipts: mpsc::Sender<InFlight>,
}

/// The writing half's end of the queue of receipts. It outlives that half, so that what was
/// under way can be settled.
struct Receipts {
    queue: mpsc::Receiver<InFlight>,
    /// The first in line, whose answer is awaited.
    first: Option<InFlight>,
    /// IVORNs of what was not kept.
    lost: Vec<String>,
}

impl Session<'_> {
    /// Speaks with a broker until the connection ends, or until told to stop.
    pub(super) async fn run(&self, stream: impl AsyncRead + AsyncWrite) -> Ended {
        let begun = Instant::now();
        let frames_before = self.state.get(Count::Frames);
        let (mut from, mut to) = tokio::io::split(stream);
        let (answer_sender, answers) = mpsc::channel(ANSWERS);
        let (receipt_sender, queue) = mpsc::channel(IN_FLIGHT);
        let replies = Replies {
            answers: answer_sender,
            receipts: receipt_sender,
        };
        let mut receipts = Receipts {
            queue,
            first: None,
            lost: Vec::new(),
        };

        let writing = async {
            let written = self.write(&mut to, answers, &mut receipts).await;
            // The reading half must not wait for room that nobody makes.
            receipts.queue.close();
            written
        };
        let end = self.both(self.read(&mut from, replies), writing).await;
        farewell(&mut from, &mut to).await;
        self.settle(receipts).await;

        let heard = self.state.get(Count::Frames) > frames_before;
        Ended {
            end,
            healthy: heard && begun.elapsed() >= HEALTHY_AFTER,
        }
    }

    /// Runs both halves until the first has ended, and lets the other finish in bounded time.
    /// What is whole in the buffer when the order to stop comes is still taken.
    async fn both(
        &self,
        reading: impl Future<Output = End>,
        writing: impl Future<Output = Result<(), End>>,
    ) -> End {
        let (mut reading, mut writing) = (pin!(reading), pin!(writing));
        let overdue = async {
            self.stop.cancelled().await;
            sleep(self.config.drain).await;
        };
        tokio::select! {
            biased;
            written = &mut writing => {
                self.stop.cancel();
                let read = timeout(self.config.drain, reading).await;
                match (written, read) {
                    (Err(end), _) | (Ok(()), Ok(end)) => end,
                    (Ok(()), Err(_elapsed)) => End::Stopped,
                }
            }
            end = &mut reading => {
                match timeout(self.config.drain, writing).await {
                    Ok(Ok(())) => {}
                    Ok(Err(later)) => debug!(%later, "receipts were cut off"),
                    Err(_elapsed) => warn!("gave up waiting for packets to be kept"),
                }
                end
            }
            () = overdue => End::Stopped,
        }
    }

    async fn read(&self, from: &mut (impl AsyncRead + Unpin), to: Replies) -> End {
        let mut decoder = Decoder::new(self.config.max_packet.get());
        loop {
            // Also after waiting for the disk: a silence counts only while we listen.
            let patience = Instant::now() + self.config.silence;
            match self.next_frame(from, &mut decoder, patience).await {
                Ok(document) => {
                    let taken = self.take(document, &to);
                    if let Err(end) = taken.await {
                        return end;
                    }
                }
                Err(End::Frame(too_long)) if too_long.is_plausible() => {
                    let handed_over = self.refuse(&too_long, &to);
                    return handed_over.await.err().unwrap_or(End::Frame(too_long));
                }
                Err(end) => return end,
            }
        }
    }

    /// Leaves a trace of a packet that is too large: its beginning, and why.
    async fn refuse(&self, too_long: &TooLong, to: &Replies) -> Result<(), End> {
        let received = (self.clock)();
        let refusal = Refusal {
            source: self.config.source.clone(),
            received,
            reason: too_long.to_string(),
            payload: Bytes::copy_from_slice(too_long.head.as_bytes()),
        };
        self.hand_over(Arrival::Refusal(refusal), None, received, to)
            .await
    }

    /// Reads until a frame is whole. The deadline of a frame runs from its first byte; empty
    /// frames do not count as signs of life.
    async fn next_frame(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        decoder: &mut Decoder,
        silent: Instant,
    ) -> Result<Bytes, End> {
        let mut slow = None;
        loop {
            let empty_before = decoder.empty_frames();
            let document = decoder.next_frame().map_err(End::Frame)?;
            self.state
                .add(Count::Ignored, decoder.empty_frames() - empty_before);
            if let Some(document) = document {
                return Ok(document);
            }
            let frame_deadline = self.config.frame_deadline;
            if decoder.is_inside_frame() {
                slow.get_or_insert_with(|| Instant::now().min(silent) + frame_deadline);
            } else {
                slow = None;
            }
            let bytes = decoder.unfinished();
            let reading = timeout_at(slow.unwrap_or(silent), from.read_buf(decoder.space()));
            match self.stop.run_until_cancelled(reading).await {
                None => return Err(End::Stopped),
                Some(Ok(Ok(0))) if bytes == 0 => return Err(End::Closed),
                Some(Ok(Ok(0))) => return Err(End::Truncated { bytes }),
                Some(Ok(Ok(_))) => {}
                Some(Ok(Err(error))) => return Err(End::Broken(error)),
                Some(Err(_elapsed)) if slow.is_some() => {
                    return Err(End::Slow {
                        after: frame_deadline,
                        bytes,
                    });
                }
                Some(Err(_elapsed)) => {
                    return Err(End::Silent {
                        after: self.config.silence,
                    });
                }
            }
        }
    }

    /// Handles one frame. Waits where a queue is full: that is what stops the reading.
    async fn take(&self, document: Bytes, to: &Replies) -> Result<(), End> {
        let received = (self.clock)();
        self.state.count(Count::Frames);
        let (arrival, ivorn) = match document::read(&self.config.source, document, received) {
            Document::Transport(head) => return self.answer(&head, to).await,
            Document::Event(packet) => {
                trace!(
                    ivorn = packet.id,
                    bytes = packet.payload.len(),
                    "event read"
                );
                let ivorn = packet.id.clone();
                (Arrival::Packet(packet), Some(ivorn))
            }
            Document::Refused(refusal) => {
                warn!(reason = refusal.reason, "frame refused");
                (Arrival::Refusal(refusal), None)
            }
        };
        self.hand_over(arrival, ivorn, received, to).await
    }

    async fn hand_over(
        &self,
        arrival: Arrival,
        ivorn: Option<String>,
        received: Timestamp,
        to: &Replies,
    ) -> Result<(), End> {
        self.state.packet_read(received);
        let tally = self.tally();
        let Ok(place) = to.receipts.reserve().await else {
            return Err(End::Stopped);
        };
        match self.intake.deliver(arrival, tally).await {
            Ok(pending) => {
                place.send(InFlight { pending, ivorn });
                Ok(())
            }
            Err(not_kept) => {
                warn!(ivorn, "packet was not handed over");
                Err(End::NotKept(not_kept))
            }
        }
    }

    async fn answer(&self, head: &TransportHead, to: &Replies) -> Result<(), End> {
        self.state.count(Count::Transports);
        let kind = match &head.role {
            Some(TransportRole::IAmAlive) => Kind::Iamalive,
            Some(TransportRole::Authenticate) => Kind::Authenticate,
            other => {
                debug!(role = ?other, "transport message passed over");
                self.state.count(Count::Ignored);
                return Ok(());
            }
        };
        let origin = head.origin.as_deref().unwrap_or_default();
        let filters = self.config.filters.iter();
        let filters: Vec<_> = filters
            .map(|filter| ("xpath-filter", filter.as_str()))
            .collect();
        let mut answer = Transport::answer(kind, origin, &self.config.ivoid, (self.clock)());
        if kind == Kind::Authenticate {
            answer.params = &filters;
        }
        to.answers
            .send(answer.to_xml())
            .await
            .map_err(|_gone| End::Stopped)
    }

    /// Writes answers at once and receipts in order, until the reading half is gone and all it
    /// read is settled.
    async fn write(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        mut answers: mpsc::Receiver<Bytes>,
        receipts: &mut Receipts,
    ) -> Result<(), End> {
        let mut out = Outbox {
            bytes: Vec::new(),
            receipts: 0,
        };
        loop {
            tokio::select! {
                biased;
                Some(answer) = answers.recv() => out.put(&answer),
                Some(next) = receipts.queue.recv(), if receipts.first.is_none() => {
                    receipts.first = Some(next);
                }
                kept = first_kept(&mut receipts.first), if receipts.first.is_some() => {
                    let ivorn = receipts.first.take().and_then(|first| first.ivorn);
                    match kept {
                        Ok(kept) => self.kept(kept, ivorn, &mut out),
                        Err(not_kept) => {
                            receipts.lost.extend(ivorn);
                            self.flush(to, &mut out).await?;
                            return Err(End::NotKept(not_kept));
                        }
                    }
                }
                // Nothing else is ready.
                () = ready(()), if !out.bytes.is_empty() => self.flush(to, &mut out).await?,
                else => return Ok(()),
            }
            if out.bytes.len() >= GATHER {
                self.flush(to, &mut out).await?;
            }
        }
    }

    /// Counts what is on disk, and writes its receipt if it gets one.
    fn kept(&self, kept: Kept, ivorn: Option<String>, out: &mut Outbox) {
        self.count_kept(kept, ivorn.is_some());
        let Some(ivorn) = ivorn else { return };
        let time = (self.clock)();
        out.put(&Transport::answer(Kind::Ack, &ivorn, &self.config.ivoid, time).to_xml());
        out.receipts += 1;
    }

    fn count_kept(&self, kept: Kept, is_event: bool) {
        self.state.count(if is_event {
            Count::Kept
        } else {
            Count::Refused
        });
        if is_event && kept == Kept::Duplicate {
            self.state.count(Count::Duplicates);
        }
    }

    async fn flush(&self, to: &mut (impl AsyncWrite + Unpin), out: &mut Outbox) -> Result<(), End> {
        let after = self.config.write_deadline;
        let writing = async {
            to.write_all(&out.bytes).await?;
            to.flush().await
        };
        match timeout(after, writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(End::Broken(error)),
            Err(_elapsed) => return Err(End::Unread { after }),
        }
        self.state.add(Count::Receipts, out.receipts);
        *out = Outbox {
            bytes: std::mem::take(&mut out.bytes),
            receipts: 0,
        };
        out.bytes.clear();
        Ok(())
    }

    /// Waits for the fate of what got no receipt, and names what is not on disk.
    async fn settle(&self, mut receipts: Receipts) {
        let deadline = Instant::now() + self.config.drain;
        let mut lost = receipts.lost;
        receipts.queue.close();
        let mut first = receipts.first;
        while let Some(mut next) = first.take().or_else(|| receipts.queue.try_recv().ok()) {
            match timeout_at(deadline, next.pending.kept()).await {
                Ok(Ok(kept)) => self.count_kept(kept, next.ivorn.is_some()),
                Ok(Err(_)) | Err(_) => lost.extend(next.ivorn),
            }
        }
        let on_disk = self.state.get(Count::Kept) + self.state.get(Count::Refused);
        let settled = on_disk + self.state.get(Count::Unconfirmed);
        let unconfirmed = self.state.get(Count::Read).saturating_sub(settled);
        if unconfirmed > 0 {
            self.state.add(Count::Unconfirmed, unconfirmed);
            lost.truncate(NAMED);
            warn!(unconfirmed, ivorns = ?lost, "packets were read and not kept");
            self.tell_rest().await;
        }
    }

    /// Tells how much was read: what was not handed over is missed by nobody else.
    async fn tell_rest(&self) {
        let rest = Arrival::Nothing {
            source: self.config.source.clone(),
        };
        let telling = self.intake.deliver(rest, self.tally());
        match timeout(self.config.drain, telling).await {
            // It is counted in its turn, whether or not we wait.
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, "the host has ended before its listener"),
            Err(_elapsed) => {
                warn!("no room to tell what was read; the next packet of this connection tells it");
            }
        }
    }

    /// What was read so far.
    fn tally(&self) -> Tally {
        Tally {
            listener: Arc::clone(self.state.name()),
            read: self.state.get(Count::Read),
        }
    }
}

/// Frames that wait to be written together.
struct Outbox {
    bytes: Vec<u8>,
    /// Receipts among them.
    receipts: u64,
}

impl Outbox {
    fn put(&mut self, document: &[u8]) {
        if let Err(error) = frame::encode(document, &mut self.bytes) {
            // A Transport document is as long as the identifiers in it, and they came in frames.
            debug!(%error, "answer not written");
        }
    }
}

/// Waits for the answer to the first in line; for ever, where there is none.
async fn first_kept(first: &mut Option<InFlight>) -> Result<Kept, NotKept> {
    match first {
        Some(first) => first.pending.kept().await,
        None => std::future::pending().await,
    }
}

/// Closes so that the peer sees every receipt: a socket that is closed while bytes wait in it
/// resets the connection, and a reset may overtake what was written before.
async fn farewell(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
    let closing = async {
        to.shutdown().await?;
        tokio::io::copy(from, &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = timeout(FAREWELL, closing).await {
        trace!(%error, "connection was not closed in order");
    }
}

#[cfg(test)]
mod tests;
