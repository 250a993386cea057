//! Tries a broker once: whether it is there, and whether it speaks as one.
//!
//! A probe acknowledges nothing. An event that comes meanwhile reaches the listener on its own
//! connection.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::dial::{Dial, DialError, TcpDial, TlsSetupError, client_config};
use super::frame::Decoder;
use crate::config::{BrokerAddress, VtpConfig};

/// How long to wait for a frame. Brokers send one when they are connected to, or some only once a
/// minute.
const HELLO: Duration = Duration::from_secs(5);

/// What a broker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// It sent a frame.
    Frame,
    /// It holds the connection, and sent nothing yet.
    Silent,
}

/// Why a broker is none that can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// It was not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It ended the connection.
    #[error("it closed the connection at once: does it let this host in?")]
    Closed,
    /// What it sent is no frame with XML.
    #[error("what it sends is not the VOEvent Transport Protocol: is it the subscribers' port?")]
    Foreign,
}

/// Connects to `broker` as the listener of `config` would, and waits for a frame.
///
/// # Errors
/// [`ProbeError`].
pub async fn probe(config: &VtpConfig, broker: &BrokerAddress) -> Result<Hello, ProbeError> {
    let tls = config.tls.as_ref().map(client_config).transpose()?;
    let mut dial = TcpDial::new(broker.clone(), tls, config.connect_timeout);
    let mut stream = dial.dial().await?;
    let mut decoder = Decoder::new(config.max_packet.get());
    let hello = async {
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) if frame.trim_ascii_start().starts_with(b"<") => {
                    return Ok(Hello::Frame);
                }
                Ok(Some(_)) | Err(_) => return Err(ProbeError::Foreign),
                Ok(None) => {}
            }
            match stream.read_buf(decoder.space()).await {
                Ok(0) | Err(_) if decoder.is_inside_frame() => return Err(ProbeError::Foreign),
                Ok(0) | Err(_) => return Err(ProbeError::Closed),
                Ok(_) => {}
            }
        }
    };
    match tokio::time::timeout(HELLO, hello).await {
        Ok(hello) => hello,
        // The beginning of an answer in another protocol may read as the length of a large frame.
        Err(_elapsed) if decoder.is_inside_frame() => Err(ProbeError::Foreign),
        Err(_elapsed) => Ok(Hello::Silent),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// What a probe says of a peer that sends `bytes`, and then `closes` or not.
    async fn probe_of(bytes: &'static [u8], closes: bool) -> Result<Hello, ProbeError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = BrokerAddress::from(listener.local_addr().unwrap());
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            if !closes {
                // Until the probe goes.
                drop(stream.read_u8().await);
            }
        });
        let config = VtpConfig::with_brokers(vec![address.clone()]);
        let hello = probe(&config, &address).await;
        peer.abort();
        hello
    }

    #[tokio::test]
    async fn a_broker_is_told_from_what_is_none() {
        let frame = b"\0\0\0\x11<Transport></...>";
        assert_eq!(probe_of(frame, false).await.unwrap(), Hello::Frame);
        let http = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert!(matches!(
            probe_of(http, true).await,
            Err(ProbeError::Foreign)
        ));
        assert!(matches!(probe_of(b"", true).await, Err(ProbeError::Closed)));
        assert!(matches!(
            probe_of(b"\0\0\0\x02hi", true).await,
            Err(ProbeError::Foreign)
        ));
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_at_is_told_as_such() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = BrokerAddress::from(listener.local_addr().unwrap());
        drop(listener);
        let config = VtpConfig::with_brokers(vec![address.clone()]);
        let error = probe(&config, &address).await.unwrap_err();
        assert!(
            matches!(error, ProbeError::Dial(DialError::Connect { .. })),
            "{error}"
        );
    }
}
