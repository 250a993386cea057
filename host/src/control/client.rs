//! The other end: what asks a running host.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Problem;
use super::socket::Short;

/// How long a host may take over what waits for nothing.
const SOON: Duration = Duration::from_secs(10);
/// The longest answer that is read, bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Asks the host that runs on a store.
#[derive(Debug)]
pub struct Client {
    socket: Short,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No host answers at this store.
    #[error("no host runs on the store in {}", directory.display())]
    NoHost {
        /// The store.
        directory: PathBuf,
    },
    /// The host did not grant it.
    #[error("{0}")]
    Refused(Problem),
    /// The host is there and does not answer in time.
    #[error("the host did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The connection failed.
    #[error("the connection to the host failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Client {
    /// Finds the host that runs on the store in `directory`.
    ///
    /// # Errors
    /// [`ClientError::NoHost`].
    pub fn new(directory: &Path) -> Result<Self, ClientError> {
        let none = |_error: io::Error| ClientError::NoHost {
            directory: directory.to_owned(),
        };
        let socket = Short::of(directory).map_err(none)?;
        // A socket that nobody listens at any more is no host.
        std::os::unix::net::UnixStream::connect(socket.path()).map_err(none)?;
        Ok(Self { socket })
    }

    /// Asks for what is under `path`, e.g. `/v1/status`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, Bytes::new(), SOON).await
    }

    /// Has the host do what `path` names, and waits at most `patience`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let json = serde_json::to_vec(body).map_err(failed)?;
        self.ask(Method::POST, path, json.into(), patience).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let asked = self.exchange(method, path, body);
        let late = |_elapsed| ClientError::Late(patience);
        let (status, answer) = tokio::time::timeout(patience, asked)
            .await
            .map_err(late)??;
        read(status, &answer)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(self.socket.path())
            .await
            .map_err(failed)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        // It ends with the sender; what goes wrong is told by the answer.
        tokio::spawn(async { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "gwasp")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(failed)?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        Ok((status, body.map_err(ClientError::Failed)?.to_bytes()))
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, answer: &[u8]) -> Result<T, ClientError> {
    let strange = |error: serde_json::Error| {
        let text = String::from_utf8_lossy(answer);
        ClientError::Refused(Problem::invalid(format!(
            "the host answered {status} and what this gwasp does not read ({error}): {text}; are \
             host and command of one version?"
        )))
    };
    if status.is_success() {
        return serde_json::from_slice(answer).map_err(strange);
    }
    Err(serde_json::from_slice(answer).map_or_else(strange, ClientError::Refused))
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Failed(error.into())
}
