//! One subscriber of a broadcaster.

use std::io;

use gwasp_formats::{Scan, TransportRole, scan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Event, Shared};
use crate::listeners::vtp::frame::{self, Decoder, TooLong, Unframeable};
use crate::listeners::vtp::transport::Transport;

/// The largest message that a subscriber may send: an authenticate with many filters.
const MAX_MESSAGE: u32 = 1 << 20;

/// Why a subscriber is no longer there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Gone {
    #[error("it closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("it does not speak VTP: {0}")]
    Frame(TooLong),
    #[error("it was silent, also to an iamalive")]
    Silent,
    #[error("it reads nothing")]
    Unread,
    #[error("an event cannot be sent: {0}")]
    Unframeable(Unframeable),
    #[error("the broker closes")]
    Stopped,
}

/// Sends `events` and iamalives, and books receipts, until either side ends it.
pub(super) async fn serve(
    stream: TcpStream,
    events: mpsc::Receiver<Event>,
    id: u64,
    shared: &Shared,
    stop: CancellationToken,
) -> Gone {
    if let Err(error) = stream.set_nodelay(true) {
        return Gone::Broken(error);
    }
    let (from, to) = stream.into_split();
    tokio::select! {
        gone = read(from, id, shared) => gone,
        gone = write(to, events, shared, stop) => gone,
    }
}

async fn read(mut from: OwnedReadHalf, id: u64, shared: &Shared) -> Gone {
    let mut decoder = Decoder::new(MAX_MESSAGE);
    loop {
        loop {
            match decoder.next_frame() {
                Ok(Some(document)) => hear(&document, id, shared),
                Ok(None) => break,
                Err(error) => return Gone::Frame(error),
            }
        }
        match timeout(shared.config.silence, from.read_buf(decoder.space())).await {
            Ok(Ok(0)) => return Gone::Closed,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Gone::Broken(error),
            Err(_elapsed) => return Gone::Silent,
        }
    }
}

/// Takes what a subscriber says. Nothing of it is answered: its iamalive is an answer already.
fn hear(document: &[u8], id: u64, shared: &Shared) {
    let head = match scan(document, &[]) {
        Ok(Scan::Transport(head)) => head,
        Ok(_) => return debug!("subscriber sent what is no transport message"),
        Err(error) => return warn!(%error, "subscriber sent what cannot be read"),
    };
    let origin = head.origin.unwrap_or_default();
    let response = head.response.unwrap_or_default();
    match head.role {
        Some(TransportRole::Ack) => shared.receipt(id, &origin, true),
        Some(TransportRole::Nak) => {
            let reason = head.result.unwrap_or_default();
            warn!(ivorn = origin, reason, "subscriber refused an event");
            shared.receipt(id, &origin, false);
        }
        // Filters in an authenticate are not followed: every event is sent.
        Some(TransportRole::Authenticate) => info!(response, "subscriber told who it is"),
        Some(TransportRole::IAmAlive) => debug!(response, "subscriber is alive"),
        other => debug!(role = ?other, "transport message passed over"),
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut events: mpsc::Receiver<Event>,
    shared: &Shared,
    stop: CancellationToken,
) -> Gone {
    let mut bytes = Vec::new();
    let us = &shared.config.ivoid;
    let greeting = Transport::authenticate(us, (shared.clock)()).to_xml();
    if let Err(gone) = send(&mut to, &greeting, &mut bytes, shared).await {
        return gone;
    }
    let period = shared.config.iamalive;
    let mut iamalive = interval_at(Instant::now() + period, period);
    loop {
        let document = tokio::select! {
            biased;
            Some(event) = events.recv() => event.document,
            // What is queued goes out first.
            () = stop.cancelled() => break,
            _ = iamalive.tick() => Transport::iamalive(us, (shared.clock)()).to_xml(),
        };
        if let Err(gone) = send(&mut to, &document, &mut bytes, shared).await {
            return gone;
        }
    }
    match to.shutdown().await {
        Ok(()) => Gone::Stopped,
        Err(error) => Gone::Broken(error),
    }
}

async fn send(
    to: &mut OwnedWriteHalf,
    document: &[u8],
    bytes: &mut Vec<u8>,
    shared: &Shared,
) -> Result<(), Gone> {
    bytes.clear();
    frame::encode(document, bytes).map_err(Gone::Unframeable)?;
    match timeout(shared.config.silence, to.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Gone::Broken(error)),
        Err(_elapsed) => Err(Gone::Unread),
    }
}
