//! Connecting to a broker: name, addresses, TCP, TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{BrokerAddress, TlsConfig};

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Makes connections; the network for the listener, something else in simulations.
pub(super) trait Dial: Send {
    /// What it connects by.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Connects once.
    fn dial(&mut self) -> impl Future<Output = Result<Self::Stream, DialError>> + Send;
}

/// Why a broker was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Its name was not resolved.
    #[error("no address was found for `{host}`: check the name and the DNS")]
    Lookup {
        /// The name.
        host: String,
        /// What the resolver said; nothing where it gave an empty answer.
        source: Option<io::Error>,
    },
    /// The resolver did not answer.
    #[error("the look-up of `{host}` took more than {after:?}")]
    LookupTimeout {
        /// The name.
        host: String,
        /// How long it may take.
        after: Duration,
    },
    /// An address did not take the connection.
    #[error("cannot connect to {address}: check that the broker runs and lets this host in")]
    Connect {
        /// The address, the last of those tried.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An address did not answer in time.
    #[error("{address} did not answer within {after:?}: check the firewall")]
    ConnectTimeout {
        /// The address, the last of those tried.
        address: std::net::SocketAddr,
        /// How long it may take.
        after: Duration,
    },
    /// TLS was not agreed on.
    #[error("no TLS with {address}: check `tls.ca_file` and that the port speaks TLS")]
    Tls {
        /// The address.
        address: std::net::SocketAddr,
        /// What TLS said.
        source: io::Error,
    },
    /// The name cannot be in a certificate.
    #[error("`{host}` cannot be the name in a certificate: give `tls.server_name`")]
    ServerName {
        /// The name.
        host: String,
        /// What is wrong with it.
        source: InvalidDnsNameError,
    },
}

/// Why the `tls` table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The CA file cannot be read.
    #[error("cannot read certificates from {path}: `tls.ca_file` must be a PEM file")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate cannot be trusted.
    #[error("a certificate in {path} cannot be used as an authority")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// There is nothing to trust.
    #[error("no certificates to trust {place}: give `tls.ca_file`")]
    NoCertificates {
        /// Where they were looked for.
        place: String,
    },
    /// The TLS library refused its defaults.
    #[error("TLS cannot be set up")]
    Provider(#[source] rustls::Error),
}

/// Makes the TLS settings of a `tls` table.
pub(super) fn client_config(config: &TlsConfig) -> Result<Tls, TlsSetupError> {
    let roots = match &config.ca_file {
        Some(path) => roots_of_file(path)?,
        None => roots_of_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsSetupError::Provider)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls {
        client: Arc::new(client),
        server_name: config.server_name.clone(),
    })
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, TlsSetupError> {
    let unreadable = |source| TlsSetupError::CaFile {
        path: path.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|source| TlsSetupError::Certificate {
                path: path.to_owned(),
                source,
            })?;
    }
    non_empty(roots, || format!("in {}", path.display()))
}

fn roots_of_system() -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    non_empty(roots, || "on this system".to_owned())
}

fn non_empty(
    roots: RootCertStore,
    place: impl FnOnce() -> String,
) -> Result<RootCertStore, TlsSetupError> {
    if roots.is_empty() {
        return Err(TlsSetupError::NoCertificates { place: place() });
    }
    Ok(roots)
}

/// TLS settings, ready to be used.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    client: Arc<ClientConfig>,
    server_name: Option<String>,
}

/// Connects to a broker's `host:port`.
#[derive(Clone, Debug)]
pub(super) struct TcpDial {
    broker: BrokerAddress,
    tls: Option<Tls>,
    patience: Duration,
}

impl TcpDial {
    /// Prepares connecting; each address gets `patience`, and so does the look-up.
    pub(super) const fn new(broker: BrokerAddress, tls: Option<Tls>, patience: Duration) -> Self {
        Self {
            broker,
            tls,
            patience,
        }
    }

    async fn look_up(&self) -> Result<Vec<std::net::SocketAddr>, DialError> {
        let host = || self.broker.host().to_owned();
        let answer = tokio::net::lookup_host((self.broker.host(), self.broker.port()));
        match timeout(self.patience, answer).await {
            Ok(Ok(addresses)) => Ok(addresses.take(MAX_ADDRESSES).collect()),
            Ok(Err(source)) => Err(DialError::Lookup {
                host: host(),
                source: Some(source),
            }),
            Err(_elapsed) => Err(DialError::LookupTimeout {
                host: host(),
                after: self.patience,
            }),
        }
    }

    async fn connect(&self, address: std::net::SocketAddr) -> Result<Stream, DialError> {
        let after = self.patience;
        let stream = match timeout(after, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(source)) => return Err(DialError::Connect { address, source }),
            Err(_elapsed) => return Err(DialError::ConnectTimeout { address, after }),
        };
        // Receipts are small and should not wait for each other.
        stream
            .set_nodelay(true)
            .map_err(|source| DialError::Connect { address, source })?;
        let Some(tls) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let host = tls
            .server_name
            .as_deref()
            .unwrap_or(self.broker.host())
            .to_owned();
        let name = ServerName::try_from(host.clone())
            .map_err(|source| DialError::ServerName { host, source })?;
        let handshake = TlsConnector::from(Arc::clone(&tls.client)).connect(name, stream);
        match timeout(after, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(source)) => Err(DialError::Tls { address, source }),
            Err(_elapsed) => Err(DialError::ConnectTimeout { address, after }),
        }
    }
}

impl Dial for TcpDial {
    type Stream = Stream;

    async fn dial(&mut self) -> Result<Stream, DialError> {
        let mut failure = DialError::Lookup {
            host: self.broker.host().to_owned(),
            source: None,
        };
        for address in self.look_up().await? {
            match self.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// A connection to a broker.
#[derive(Debug)]
pub(super) enum Stream {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
