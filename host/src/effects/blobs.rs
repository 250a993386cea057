//! `gwasp:plugin/blobs`: large values by content.

use bytes::Bytes;
use wasmtime::component::Resource;

use super::bindings::gwasp::plugin::blobs::{Error, Host, HostBlob};
use super::driver::Driver;
use super::function::{BLOBS_OPEN, BLOBS_PUT, BLOBS_READ};
use super::seam::SeamError;
use super::{Refused, Run, denied};
use crate::packet::Digest;

/// Most bytes that one read gives.
const MAX_READ: u32 = 4 << 20;
/// Blobs that a run may hold at once.
const MAX_HANDLES: usize = 1_000;
/// Bytes of them: they are in the host's memory, not in the guest's.
const MAX_HELD: usize = 64 << 20;

/// A blob that a guest holds.
#[derive(Debug)]
pub struct Handle {
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
}

impl Host for Run {
    async fn put(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        let allowed = self.allows_blob(bytes.len());
        if allowed.is_ok() {
            self.seam.take_blob(bytes.len())?;
        }
        let bytes = Bytes::from(bytes);
        let digest = Digest::of(&bytes);
        let driver = self.seam.driver();
        let kept = bytes.clone();
        let live = async move {
            if let Err(refused) = allowed {
                return Ok(Err(refused));
            }
            match &driver {
                Driver::Live(live) => drop(live.world.broker.put_blob(kept).await?),
                Driver::Dry(dry) => dry.put_blob(digest, kept),
            }
            Ok(Ok(()))
        };
        let noted: Result<(), Refused> = self
            .seam
            .answered(&BLOBS_PUT, &digest.to_string(), live)
            .await?;
        match noted {
            Ok(()) => self.hand_out(digest, bytes),
            Err(refused) => Ok(Err(refused.into())),
        }
    }

    async fn open(&mut self, digest: String) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        let allowed = self.allows_blob(0);
        let wanted = Digest::parse(&digest);
        let driver = self.seam.driver();
        let live = async {
            if let Err(refused) = allowed {
                return Ok(Err(refused));
            }
            let Some(wanted) = wanted else {
                return Ok(Err(Refused::Unknown(format!(
                    "`{digest}` is no SHA-256 in hexadecimal"
                ))));
            };
            let found = find(&driver, &wanted)?;
            Ok(found.map(|_| ()).ok_or_else(|| unknown(&digest)))
        };
        let noted: Result<(), Refused> = self.seam.answered(&BLOBS_OPEN, &digest, live).await?;
        let wanted = match (noted, wanted) {
            (Ok(()), Some(wanted)) => wanted,
            (Err(refused), _) => return Ok(Err(refused.into())),
            (Ok(()), None) => return Ok(Err(unknown(&digest).into())),
        };
        let driver = self.seam.driver();
        match find(&driver, &wanted)? {
            Some(bytes) => self.hand_out(wanted, bytes),
            None => Ok(Err(unknown(&digest).into())),
        }
    }
}

impl HostBlob for Run {
    async fn digest(&mut self, blob: Resource<Handle>) -> wasmtime::Result<String> {
        Ok(self.table().get(&blob)?.digest.to_string())
    }

    async fn len(&mut self, blob: Resource<Handle>) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.table().get(&blob)?.bytes.len())?)
    }

    async fn read(
        &mut self,
        blob: Resource<Handle>,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.seam.local(&BLOBS_READ)?;
        if len > MAX_READ {
            return Ok(Err(Error::Limit(format!(
                "one read gives at most {MAX_READ} bytes"
            ))));
        }
        let bytes = &self.table().get(&blob)?.bytes;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start.saturating_add(usize::try_from(len)?).min(bytes.len());
        Ok(Ok(bytes[start..end].to_vec()))
    }

    async fn drop(&mut self, blob: Resource<Handle>) -> wasmtime::Result<()> {
        let dropped = self.table().delete(blob)?;
        self.held = self.held.saturating_sub(dropped.bytes.len());
        Ok(())
    }
}

impl Run {
    fn allows_blob(&mut self, len: usize) -> Result<(), Refused> {
        let context = self.seam.context();
        if !context.grant.blobs {
            return Err(Refused::Denied(denied(
                &context.plugin,
                "keep blobs",
                "blobs = true",
            )));
        }
        self.has_room_for_blob(len).map_err(Refused::Limit)
    }

    /// Whether the guest may hold a blob of `len` bytes more; the limit, where it may not.
    pub(super) fn has_room_for_blob(&mut self, len: usize) -> Result<(), String> {
        if self.table().iter_mut().count() >= MAX_HANDLES {
            return Err(format!("a run may hold {MAX_HANDLES} blobs at once"));
        }
        if self.held.saturating_add(len) > MAX_HELD {
            return Err(format!(
                "a run may hold {MAX_HELD} bytes of blobs at once; drop one first"
            ));
        }
        Ok(())
    }

    fn hand_out(
        &mut self,
        digest: Digest,
        bytes: Bytes,
    ) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        Ok(Ok(self.hold_blob(digest, bytes)?))
    }

    /// Has the guest hold a blob.
    pub(super) fn hold_blob(
        &mut self,
        digest: Digest,
        bytes: Bytes,
    ) -> wasmtime::Result<Resource<Handle>> {
        self.seam.mention(&digest);
        self.held = self.held.saturating_add(bytes.len());
        Ok(self.table().push(Handle { digest, bytes })?)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(reason) => Self::Denied(reason),
            Refused::Limit(reason) => Self::Limit(reason),
            Refused::Unknown(reason) | Refused::Invalid(reason) | Refused::Unsupported(reason) => {
                Self::Unknown(reason)
            }
        }
    }
}

/// The bytes of a blob; none where it is not kept.
pub(super) fn find(driver: &Driver, digest: &Digest) -> Result<Option<Bytes>, SeamError> {
    match driver {
        Driver::Live(live) => Ok(live.world.broker.blob(digest.as_bytes())?),
        Driver::Dry(dry) => Ok(dry.blob(digest)),
    }
}

fn unknown(digest: &str) -> Refused {
    Refused::Unknown(format!(
        "there is no blob {digest}; it was never put, or was not mentioned for 7 days"
    ))
}
