//! The author's side of VTP: gives one event to a broker and waits for its receipt.
//!
//! One connection per event: brokers lose receipts of events that share one. A broker that
//! closes without a receipt is a normal third outcome; Comet does so for documents that it
//! cannot read at all, and the event may or may not have been taken.

use std::time::Duration;

use bytes::Bytes;
use gwasp_formats::{Scan, TransportHead, TransportRole, scan};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::dial::{Dial as _, TcpDial};
use super::frame::{self, Decoder};
use super::{DialError, frame::Unframeable};
use crate::config::BrokerAddress;

/// The largest receipt that is read: a reason may be long.
const MAX_RECEIPT: u32 = 1 << 20;

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The broker took the event over.
    Ack {
        /// Who answered, if it told.
        response: Option<String>,
    },
    /// The broker refused the event, for ever.
    Nak {
        /// Why, in the broker's words.
        reason: Option<String>,
    },
    /// The broker closed, or answered something else: the event may or may not be taken.
    None {
        /// What happened instead.
        why: String,
    },
}

/// Why an event was not submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The broker was not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The document does not fit a frame.
    #[error(transparent)]
    Unframeable(#[from] Unframeable),
}

/// Submits `document` to the author port `broker`. Reaching it and its answer get `patience`
/// each.
///
/// # Errors
/// [`SubmitError`] when the event certainly did not reach the broker.
pub async fn submit(
    broker: &BrokerAddress,
    document: &[u8],
    patience: Duration,
) -> Result<Receipt, SubmitError> {
    let mut bytes = Vec::new();
    frame::encode(document, &mut bytes)?;
    let mut stream = TcpDial::new(broker.clone(), None, patience).dial().await?;
    Ok(
        match timeout(patience, exchange(&mut stream, &bytes)).await {
            Ok(receipt) => receipt,
            Err(_elapsed) => none(format!("no receipt within {patience:?}")),
        },
    )
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> Receipt {
    if let Err(error) = stream.write_all(bytes).await {
        return none(format!(
            "the connection broke while the event was sent: {error}"
        ));
    }
    let mut decoder = Decoder::new(MAX_RECEIPT);
    loop {
        match decoder.next_frame() {
            Ok(Some(document)) => match receipt(&document) {
                Some(receipt) => return receipt,
                // An iamalive or an authenticate before the receipt.
                None => continue,
            },
            Ok(None) => {}
            Err(error) => return none(format!("the broker does not speak VTP: {error}")),
        }
        match stream.read_buf(decoder.space()).await {
            Ok(0) => return none("the broker closed without a receipt".to_owned()),
            Ok(_) => {}
            Err(error) => return none(format!("the connection broke before a receipt: {error}")),
        }
    }
}

fn receipt(document: &Bytes) -> Option<Receipt> {
    let TransportHead {
        role,
        response,
        result,
        ..
    } = match scan(document, &[]) {
        Ok(Scan::Transport(head)) => head,
        Ok(_) => return Some(none("the broker answered with another document".to_owned())),
        Err(error) => return Some(none(format!("the broker's answer cannot be read: {error}"))),
    };
    match role {
        Some(TransportRole::Ack) => Some(Receipt::Ack { response }),
        Some(TransportRole::Nak) => Some(Receipt::Nak { reason: result }),
        _ => None,
    }
}

const fn none(why: String) -> Receipt {
    Receipt::None { why }
}
