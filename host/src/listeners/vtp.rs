//! VOEvent Transport Protocol: the subscriber, and the broker and author beside it.
//!
//! [`VtpListener`] holds one connection to each broker of its table, for ever. It answers each
//! iamalive, hands every event to the intake, and acknowledges it once it is on disk.
//!
//! **Invariant:** no event is acknowledged before it is kept, acks go out in the order in which
//! events came, and a subscriber never sends a nak, because a nak is permanent. What cannot be
//! kept gets no receipt and ends the connection.
//!
//! The wire is the IVOA Recommendation 2.0 of 2017 (unchanged since the Note 1.1 of 2009), with
//! the timers that brokers in use show. This module knows no handlers and no store.

pub mod author;
pub mod broadcast;
mod dial;
mod document;
pub mod frame;
mod probe;
pub mod replay;
mod session;
pub mod transport;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use self::dial::{Dial, TcpDial};
pub use self::dial::{DialError, TlsSetupError};
use self::document::Document;
pub use self::probe::{Hello, ProbeError, probe};
use self::session::{End, Session};
use super::backoff::Backoff;
use super::state::{Count, ListenerState, Phase};
use crate::config::VtpConfig;
use crate::explain::{Code, Coded as _};
use crate::intake::{Arrival, Intake, NotKept, Tally};
use crate::packet::{Packet, Refusal};

const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The longest wait after a connection that ended because its packets could not be kept: they
/// are to flow again soon after there is space.
const LONGEST_WAIT_FOR_DISK: Duration = Duration::from_secs(3);

/// Listens to VOEvent brokers.
#[derive(Debug)]
pub struct VtpListener {
    connections: Vec<(TcpDial, Arc<ListenerState>)>,
    config: Arc<VtpConfig>,
}

impl VtpListener {
    /// Prepares a connection per broker; nothing is connected yet.
    ///
    /// # Errors
    /// [`TlsSetupError`] when the certificates of the `tls` table cannot be read.
    pub fn new(config: VtpConfig) -> Result<Self, TlsSetupError> {
        let tls = config.tls.as_ref().map(dial::client_config).transpose()?;
        let connections = config
            .brokers
            .iter()
            .map(|broker| {
                let state = ListenerState::new(format!("{} {broker}", config.source));
                let dial = TcpDial::new(broker.clone(), tls.clone(), config.connect_timeout);
                (dial, Arc::new(state))
            })
            .collect();
        Ok(Self {
            connections,
            config: Arc::new(config),
        })
    }

    /// The states of the connections, in the order of the brokers.
    pub fn states(&self) -> impl ExactSizeIterator<Item = &Arc<ListenerState>> {
        self.connections.iter().map(|(_, state)| state)
    }

    /// Listens until `stop`. Then it reads no further, waits for what is under way to be kept,
    /// acknowledges it, and closes.
    pub async fn run(self, intake: Intake, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for (dial, state) in self.connections {
            let span = info_span!("listener", connection = %state.name());
            let link = Link {
                config: Arc::clone(&self.config),
                intake: intake.clone(),
                state,
                stop: stop.clone(),
                clock: Timestamp::now,
                jitter: rand::random,
            };
            tasks.spawn(link.run(dial).instrument(span));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "listener task failed");
            }
        }
    }
}

/// Reads a document as a listener of `source` reads a frame; `received` is when it was whole.
///
/// # Errors
/// The bytes again with the reason, where they are no event.
pub fn packet_of(source: &str, document: Bytes, received: Timestamp) -> Result<Packet, Refusal> {
    match document::read(source, document.clone(), received) {
        Document::Event(packet) => Ok(packet),
        Document::Refused(refusal) => Err(refusal),
        Document::Transport(_) => Err(Refusal {
            source: source.to_owned(),
            received,
            reason: "the document is a message of the transport, not an event".to_owned(),
            payload: document,
        }),
    }
}

/// A wait as people read it.
fn to_tenths(wait: Duration) -> Duration {
    let tenths = wait.subsec_millis() / 100;
    Duration::from_secs(wait.as_secs()) + Duration::from_millis(100) * tenths
}

/// One broker's connection, over and over.
struct Link {
    config: Arc<VtpConfig>,
    intake: Intake,
    state: Arc<ListenerState>,
    stop: CancellationToken,
    clock: fn() -> Timestamp,
    jitter: fn() -> f64,
}

impl Link {
    async fn run(self, mut dial: impl Dial) {
        let mut backoff = Backoff::new(SHORTEST_WAIT, LONGEST_WAIT);
        let mut disk_backoff = Backoff::new(SHORTEST_WAIT, LONGEST_WAIT_FOR_DISK);
        while let Some(end) = self.once(&mut dial).await {
            let time = (self.clock)();
            let reason = self.state.failed(time, &*end.reason);
            if end.healthy {
                backoff.reset();
                disk_backoff.reset();
            }
            let wait = if end.not_kept {
                disk_backoff.after_loss((self.jitter)())
            } else {
                backoff.after_loss((self.jitter)())
            };
            let next = to_tenths(wait);
            let code = end.code.map(Code::as_str);
            if end.connected {
                warn!(
                    code,
                    reason, "connection to broker ended; connecting again in {next:?}"
                );
            } else {
                warn!(
                    code,
                    reason, "not connected to broker; trying again in {next:?}"
                );
            }
            let until = SignedDuration::try_from(wait).map_or(time, |wait| time + wait);
            self.state.enter(Phase::Waiting { until });
            if self
                .stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_none()
            {
                break;
            }
            self.state.count(Count::Reconnects);
        }
        self.state.enter(Phase::Stopped);
    }

    /// Has it written down that packets may be read from now on, before one is.
    async fn announce(&self) -> Result<(), NotKept> {
        let connected = Arrival::Connected {
            source: self.config.source.clone(),
        };
        let tally = Tally {
            listener: Arc::clone(self.state.name()),
            read: self.state.get(Count::Read),
        };
        let mut noted = self.intake.deliver(connected, tally).await?;
        noted.kept().await.map(drop)
    }

    /// Connects once and stays connected; `None` when told to stop.
    async fn once(&self, dial: &mut impl Dial) -> Option<Lost> {
        self.state.enter(Phase::Connecting);
        let stream = match self.stop.run_until_cancelled(dial.dial()).await? {
            Ok(stream) => stream,
            Err(error) => {
                return Some(Lost {
                    code: Some(error.code()),
                    reason: Box::new(error),
                    connected: false,
                    healthy: false,
                    not_kept: false,
                });
            }
        };
        if let Err(not_kept) = self.stop.run_until_cancelled(self.announce()).await? {
            return Some(Lost {
                code: None,
                reason: Box::new(not_kept),
                connected: true,
                healthy: false,
                not_kept: true,
            });
        }
        self.state.enter(Phase::Up {
            since: (self.clock)(),
        });
        info!("connected to broker");
        let session = Session {
            config: &self.config,
            intake: &self.intake,
            state: &self.state,
            stop: self.stop.child_token(),
            clock: self.clock,
        };
        let ended = session.run(stream).await;
        match ended.end {
            End::Stopped => None,
            end => Some(Lost {
                code: None,
                not_kept: matches!(end, End::NotKept(_)),
                connected: true,
                reason: Box::new(end),
                healthy: ended.healthy,
            }),
        }
    }
}

/// Why there is no connection.
struct Lost {
    /// Of the reason, where it has one.
    code: Option<Code>,
    reason: Box<dyn Error + Send + Sync>,
    /// There was one.
    connected: bool,
    healthy: bool,
    /// Its packets could not be kept; the broker did nothing wrong.
    not_kept: bool,
}

#[cfg(test)]
mod tests;
