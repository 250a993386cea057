//! `gwasp:plugin/gcn`: notices to the peers of the host's VOEvent broker.
//!
//! This host has no such broker yet: it says so, and only dry runs go through.

use std::time::Duration;

use super::Run;
use super::bindings::gwasp::plugin::gcn::{Error, Host};
use super::driver::Driver;
use super::function::{GCN_POST, GCN_SEND};
use super::noted::{GcnAnswer, Refused};
use super::seam::{External, Made, Settled};
use crate::packet::Digest;

/// Longest notice: VTP has four bytes for it, brokers of the field take less.
const MAX_NOTICE: usize = 1 << 20;
/// The peer that has every notice of a dry run.
const DRY_PEER: &str = "dry-run";
const UNSUPPORTED: &str = "this host cannot send notices yet: have another program send them, \
                           e.g. `gwasp send FILE --to HOST:PORT`";

impl Host for Run {
    async fn send(&mut self, voevent: Vec<u8>) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let notice = Notice {
            refused: self.refused(voevent.len()),
        };
        self.seam.note_asked(&GCN_SEND, || what(&voevent));
        let request = Digest::of(&voevent).to_string();
        let answer = self
            .seam
            .external(&GCN_SEND, &request, None, &notice)
            .await?;
        Ok(match answer {
            GcnAnswer::Receipts(peers) => Ok(peers),
            GcnAnswer::Refused(refused) => Err(refused.into()),
            GcnAnswer::InDoubt(reason) => Err(Error::InDoubt(reason)),
        })
    }

    async fn post(&mut self, voevent: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        let decided = self.refused(voevent.len()).map_or(Ok(()), Err);
        let request = Digest::of(&voevent).to_string();
        let noted = self
            .seam
            .note_committed(&GCN_POST, &request, decided, || what(&voevent))?;
        Ok(noted.map_err(Error::from))
    }
}

/// A notice, for a person.
fn what(voevent: &[u8]) -> String {
    format!("a notice of {} bytes", voevent.len())
}

impl Run {
    fn refused(&self, len: usize) -> Option<Refused> {
        if len > MAX_NOTICE {
            return Some(Refused::Limit(format!(
                "a notice has at most {MAX_NOTICE} bytes; this has {len}"
            )));
        }
        match self.seam.driver() {
            Driver::Live(_) => Some(Refused::Unsupported(UNSUPPORTED.to_owned())),
            Driver::Dry(_) => None,
        }
    }
}

/// A notice to be sent.
struct Notice {
    refused: Option<Refused>,
}

impl External for Notice {
    type Answer = GcnAnswer;

    fn refused(&self) -> Option<GcnAnswer> {
        self.refused.clone().map(GcnAnswer::Refused)
    }

    async fn make(&self, _key: &str) -> Made<GcnAnswer> {
        Made::Done(GcnAnswer::Receipts(vec![DRY_PEER.to_owned()]))
    }

    async fn settle(&self, _key: &str, _age: Duration) -> Settled<GcnAnswer> {
        Settled::Never("this host has no broker that could be asked".to_owned())
    }

    fn in_doubt(&self, reason: String) -> GcnAnswer {
        GcnAnswer::InDoubt(reason)
    }

    fn too_long(&self) -> GcnAnswer {
        let text = "the receipts have no room in the run's journal";
        GcnAnswer::Refused(Refused::Limit(text.to_owned()))
    }

    fn longest(&self) -> Duration {
        Duration::ZERO
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(reason) => Self::Denied(reason),
            Refused::Limit(reason) => Self::Limit(reason),
            Refused::Unknown(reason) | Refused::Invalid(reason) => Self::Invalid(reason),
            Refused::Unsupported(reason) => Self::Unsupported(reason),
        }
    }
}
