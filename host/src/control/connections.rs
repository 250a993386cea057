//! Connections to the socket: how many there are, and how long each may take.
//!
//! **Invariant:** whoever connects costs a bounded number of file descriptors for a bounded time.
//! A connection asks once. Of those that have asked nothing yet the oldest makes room for the
//! newest, so that a person is answered whatever a script has left open. How long an answer takes
//! is the host's affair; how long it may lie unread is not the caller's.
//!
//! Nothing here knows what is asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Problem;
use super::caller::Caller;

/// Most connections that have asked nothing yet.
const MOST_SILENT: usize = 64;
/// Most requests that are being answered.
const MOST_ASKED: usize = 64;
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long an answer may lie unread.
const UNREAD_TIME: Duration = Duration::from_secs(30);
/// Pause after a connection could not be taken.
const ACCEPT_DELAY: Duration = Duration::from_millis(200);

/// What the connections of a socket share.
#[derive(Debug)]
struct Connections {
    router: TowerToHyperService<Router>,
    silent: Mutex<Silent>,
    asked: Arc<Semaphore>,
    closing: CancellationToken,
}

/// Connections that have asked nothing yet, and what ends each.
#[derive(Debug, Default)]
struct Silent {
    last: u64,
    waiting: BTreeMap<u64, CancellationToken>,
}

/// Answers by `router` who connects, until `closing`; then what is being answered is.
pub(super) async fn serve(listener: UnixListener, router: Router, closing: CancellationToken) {
    let shared = Arc::new(Connections {
        router: TowerToHyperService::new(router),
        silent: Mutex::default(),
        asked: Arc::new(Semaphore::new(MOST_ASKED)),
        closing: closing.clone(),
    });
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            Some(_ended) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                open.spawn(Arc::clone(&shared).answer(stream));
            }
            Err(error) => {
                warn!(target: "gwasp::control", %error, "a connection to the control socket was not taken");
                tokio::time::sleep(ACCEPT_DELAY).await;
            }
        }
    }
    while open.join_next().await.is_some() {}
}

impl Connections {
    /// Answers the one request of a connection.
    async fn answer(self: Arc<Self>, stream: UnixStream) {
        let caller = Caller::of(&stream);
        let (number, evicted) = self.silent().add();
        let answered = CancellationToken::new();
        let place = OnceLock::new();
        let service = service_fn(|request| self.ask(request, caller, number, (&place, &answered)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let unread = async {
            answered.cancelled().await;
            tokio::time::sleep(UNREAD_TIME).await;
        };
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(target: "gwasp::control", %error, "a connection to the control socket ended early");
                }
            }
            () = evicted.cancelled() => {}
            () = unread => {}
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                drop(connection.await);
            }
        }
        self.silent().waiting.remove(&number);
    }

    /// Answers a request; it keeps its place among those that are answered to the end of its
    /// connection.
    async fn ask(
        &self,
        mut request: Request<Incoming>,
        caller: Caller,
        number: u64,
        (place, answered): (&OnceLock<OwnedSemaphorePermit>, &CancellationToken),
    ) -> Result<Response, Infallible> {
        self.silent().waiting.remove(&number);
        let _done = answered.clone().drop_guard();
        let Ok(permit) = Arc::clone(&self.asked).try_acquire_owned() else {
            let text = format!("{MOST_ASKED} requests are being answered; ask again in a moment");
            return Ok(Problem::busy(text).into_response());
        };
        place.get_or_init(|| permit);
        request.extensions_mut().insert(ConnectInfo(caller));
        self.router.call(request).await
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, Silent> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Silent {
    /// Adds a connection, and ends the oldest where there are too many; returns its number, and
    /// what ends it.
    fn add(&mut self) -> (u64, CancellationToken) {
        if self.waiting.len() >= MOST_SILENT
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            oldest.cancel();
        }
        self.last += 1;
        let token = CancellationToken::new();
        self.waiting.insert(self.last, token.clone());
        (self.last, token)
    }
}
