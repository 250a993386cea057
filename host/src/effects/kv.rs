//! `gwasp:plugin/kv`: values of a plugin's own.
//!
//! Writes take place with the outcome; the run itself sees them at once.

use bytes::Bytes;
use serde_bytes::ByteBuf;

use super::bindings::gwasp::plugin::kv::{Entry, Error, Host};
use super::driver::Driver;
use super::function::{KV_ADD, KV_CLAIM, KV_DELETE, KV_GET, KV_SET};
use super::seam::SeamError;
use super::{Run, denied};
use crate::broker::KvWrite;

const MAX_KEY: usize = 512;
const MAX_VALUE: usize = 1 << 20;

/// A value and its version, as a journal has them.
type Noted = Option<(ByteBuf, u64)>;

impl Host for Run {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        if let Err(refused) = self.check(&key, 0) {
            return Ok(Err(refused));
        }
        let own = self.seam.values().get(&key).cloned();
        let driver = self.seam.driver();
        let plugin = self.seam.context().plugin.clone();
        let live = async {
            if let Some(own) = own {
                return Ok(own.map(|value| (ByteBuf::from(value.to_vec()), 0)));
            }
            read(&driver, &plugin, &key)
        };
        let noted: Noted = self.seam.answered(&KV_GET, &key, live).await?;
        Ok(Ok(noted.map(|(value, version)| Entry {
            value: value.into_vec(),
            version,
        })))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        self.seam.take_bytes(value.len())?;
        if let Err(refused) = self.check(&key, value.len()) {
            return Ok(Err(refused));
        }
        let request = (&key, serde_bytes::Bytes::new(&value));
        self.seam.note_committed(&KV_SET, &request, || {
            format!("{key}: {} bytes", value.len())
        })?;
        let value = Bytes::from(value);
        self.seam.values().insert(key.clone(), Some(value.clone()));
        self.seam.committed().kv.push(KvWrite::Set { key, value });
        Ok(Ok(()))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        if let Err(refused) = self.check(&key, 0) {
            return Ok(Err(refused));
        }
        self.seam.note_committed(&KV_DELETE, &key, || key.clone())?;
        self.seam.values().insert(key.clone(), None);
        self.seam.committed().kv.push(KvWrite::Delete { key });
        Ok(Ok(()))
    }

    async fn add(&mut self, key: String, delta: i64) -> wasmtime::Result<Result<(), Error>> {
        if let Err(refused) = self.check(&key, 0) {
            return Ok(Err(refused));
        }
        self.seam
            .note_committed(&KV_ADD, &(&key, delta), || format!("{key}: {delta:+}"))?;
        let driver = self.seam.driver();
        let plugin = self.seam.context().plugin.clone();
        let before = match self.seam.values().get(&key) {
            Some(own) => own.as_ref().and_then(|value| integer(value)),
            None => read(&driver, &plugin, &key)?.and_then(|(value, _)| integer(&value)),
        };
        let after = before.unwrap_or(0).saturating_add(delta);
        self.seam
            .values()
            .insert(key.clone(), Some(Bytes::from(after.to_string())));
        self.seam.committed().kv.push(KvWrite::Add { key, delta });
        Ok(Ok(()))
    }

    async fn claim(&mut self, name: String) -> wasmtime::Result<Result<bool, Error>> {
        if let Err(refused) = self.check(&name, 0) {
            return Ok(Err(refused));
        }
        let driver = self.seam.driver();
        let plugin = self.seam.context().plugin.clone();
        let live = async {
            match &driver {
                Driver::Live(live) => {
                    Ok(live.world.broker.claim(&plugin, &name, live.task).await?)
                }
                Driver::Dry(_) => Ok(true),
            }
        };
        Ok(Ok(self.seam.answered(&KV_CLAIM, &name, live).await?))
    }
}

impl Run {
    fn check(&self, key: &str, len: usize) -> Result<(), Error> {
        let context = self.seam.context();
        if !context.grant.kv {
            return Err(Error::Denied(denied(
                &context.plugin,
                "keep values",
                "kv = true",
            )));
        }
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Error::Limit(format!(
                "a key has 1 to {MAX_KEY} bytes; this has {}",
                key.len()
            )));
        }
        if len > MAX_VALUE {
            return Err(Error::Limit(format!(
                "a value has at most {MAX_VALUE} bytes; this has {len}: use a blob"
            )));
        }
        Ok(())
    }
}

fn read(driver: &Driver, plugin: &str, key: &str) -> Result<Noted, SeamError> {
    let Driver::Live(live) = driver else {
        return Ok(None);
    };
    let found = live.world.broker.kv_get(plugin, key)?;
    Ok(found.map(|(value, version)| (ByteBuf::from(value.to_vec()), version)))
}

fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
