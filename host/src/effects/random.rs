//! `gwasp:plugin/random`.

use minicbor::bytes::ByteVec;

use super::Run;
use super::bindings::gwasp::plugin::random::Host;
use super::function::RANDOM_GET_BYTES;
use super::seam::SeamError;

const MAX_BYTES: u32 = 65_536;

impl Host for Run {
    async fn get_bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        if len > MAX_BYTES {
            return Err(SeamError::Limit {
                what: "random bytes at once",
                limit: MAX_BYTES,
            }
            .into());
        }
        let driver = self.seam.driver();
        let place = self.seam.place();
        let bytes: ByteVec = self
            .seam
            .answered(&RANDOM_GET_BYTES, &len, async move {
                Ok(ByteVec::from(driver.random(len, place)))
            })
            .await?;
        Ok(bytes.into())
    }
}
