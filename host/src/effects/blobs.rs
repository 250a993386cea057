//! `gwasp:plugin/blobs`: large values by content.

use bytes::Bytes;
use wasmtime::component::Resource;

use super::bindings::gwasp::plugin::blobs::{Error, Host, HostBlob};
use super::driver::Driver;
use super::function::{BLOBS_OPEN, BLOBS_PUT, BLOBS_READ};
use super::{Run, denied};
use crate::packet::Digest;

/// Most bytes that one read gives.
const MAX_READ: u32 = 4 << 20;
/// Blobs that a run may hold at once.
const MAX_HANDLES: usize = 1_000;

/// A blob that a guest holds.
#[derive(Debug)]
pub struct Handle {
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
}

impl Host for Run {
    async fn put(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        self.seam.take_bytes(bytes.len())?;
        if let Err(refused) = self.check_blobs() {
            return Ok(Err(refused));
        }
        let bytes = Bytes::from(bytes);
        let digest = Digest::of(&bytes);
        let driver = self.seam.driver();
        let kept = bytes.clone();
        let live = async move {
            if let Driver::Live(live) = &driver {
                live.world.broker.put_blob(kept).await?;
            }
            Ok(())
        };
        self.seam
            .answered(&BLOBS_PUT, &digest.to_string(), live)
            .await?;
        self.hand_out(digest, bytes)
    }

    async fn open(&mut self, digest: String) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        if let Err(refused) = self.check_blobs() {
            return Ok(Err(refused));
        }
        let Some(wanted) = Digest::parse(&digest) else {
            return Ok(Err(Error::Unknown(format!(
                "`{digest}` is no SHA-256 in hexadecimal"
            ))));
        };
        let driver = self.seam.driver();
        let mut found = None;
        let live = async {
            if let Driver::Live(live) = &driver {
                found = live.world.broker.blob(wanted.as_bytes())?;
            }
            Ok(found.is_some())
        };
        let is_known: bool = self.seam.answered(&BLOBS_OPEN, &digest, live).await?;
        if found.is_none()
            && is_known
            && let Driver::Live(live) = &driver
        {
            found = live
                .world
                .broker
                .blob(wanted.as_bytes())
                .map_err(super::SeamError::from)?;
        }
        match found {
            Some(bytes) => self.hand_out(wanted, bytes),
            None => Ok(Err(Error::Unknown(format!(
                "there is no blob {digest}; blobs are kept 7 days after they were last mentioned"
            )))),
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
        self.table().delete(blob)?;
        Ok(())
    }
}

impl Run {
    fn check_blobs(&mut self) -> Result<(), Error> {
        let context = self.seam.context();
        if !context.grant.blobs {
            return Err(Error::Denied(denied(
                &context.plugin,
                "keep blobs",
                "blobs = true",
            )));
        }
        if self.table().iter_mut().count() >= MAX_HANDLES {
            return Err(Error::Limit(format!(
                "a run may hold {MAX_HANDLES} blobs at once"
            )));
        }
        Ok(())
    }

    fn hand_out(
        &mut self,
        digest: Digest,
        bytes: Bytes,
    ) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        self.seam.committed().blobs.push(*digest.as_bytes());
        Ok(Ok(self.table().push(Handle { digest, bytes })?))
    }
}
