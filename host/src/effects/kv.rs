//! `gwasp:plugin/kv`: values of a plugin's own.
//!
//! Writes take place with the outcome; the run itself sees them at once.

use bytes::Bytes;
use minicbor::bytes::{ByteSlice, ByteVec};

use super::bindings::gwasp::plugin::kv::{Entry, Error, Host};
use super::driver::Driver;
use super::function::{KV_ADD, KV_CLAIM, KV_DELETE, KV_GET, KV_SET};
use super::noted::{AddRequest, SetRequest, Value};
use super::seam::SeamError;
use super::{Refused, Run, denied};
use crate::broker::KvWrite;

const MAX_KEY: usize = 512;
const MAX_VALUE: usize = 1 << 20;

/// What a run made of a value, before its outcome does.
#[derive(Clone, Debug)]
pub(super) enum OwnValue {
    /// It set it.
    Set(Bytes),
    /// It deleted it.
    Deleted,
    /// It added to it.
    Added(i64),
}

impl Host for Run {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        let allowed = self.allows(&key, 0);
        let own = self.seam.values().get(&key).cloned();
        let driver = self.seam.driver();
        let plugin = self.seam.context().plugin.clone();
        let live = async {
            match allowed {
                Ok(()) => Ok(Ok(value(own, || read(&driver, &plugin, &key))?)),
                Err(refused) => Ok(Err(refused)),
            }
        };
        let noted: Result<Option<Value>, Refused> = self.seam.answered(&KV_GET, &key, live).await?;
        Ok(match noted {
            Ok(noted) => Ok(noted.map(|value| Entry {
                value: value.bytes.into(),
                version: value.version,
            })),
            Err(refused) => Err(refused.into()),
        })
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        let allowed = self.allows(&key, value.len());
        let request = SetRequest {
            key: &key,
            value: <&ByteSlice>::from(value.as_slice()),
        };
        let noted = self.seam.note_committed(&KV_SET, &request, allowed, || {
            format!("{key}: {} bytes", value.len())
        })?;
        if let Err(refused) = noted {
            return Ok(Err(refused.into()));
        }
        let value = Bytes::from(value);
        self.seam.write_value(KvWrite::Set {
            key: key.clone(),
            value: value.clone(),
        })?;
        self.seam.values().insert(key, OwnValue::Set(value));
        Ok(Ok(()))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        let allowed = self.allows(&key, 0);
        let noted = self
            .seam
            .note_committed(&KV_DELETE, &key, allowed, || key.clone())?;
        if let Err(refused) = noted {
            return Ok(Err(refused.into()));
        }
        self.seam
            .write_value(KvWrite::Delete { key: key.clone() })?;
        self.seam.values().insert(key, OwnValue::Deleted);
        Ok(Ok(()))
    }

    async fn add(&mut self, key: String, delta: i64) -> wasmtime::Result<Result<(), Error>> {
        let allowed = self.allows(&key, 0);
        let request = AddRequest { key: &key, delta };
        let noted = self
            .seam
            .note_committed(&KV_ADD, &request, allowed, || format!("{key}: {delta:+}"))?;
        if let Err(refused) = noted {
            return Ok(Err(refused.into()));
        }
        self.seam.write_value(KvWrite::Add {
            key: key.clone(),
            delta,
        })?;
        let values = self.seam.values();
        let own = added(values.get(&key), delta);
        values.insert(key, own);
        Ok(Ok(()))
    }

    async fn claim(&mut self, name: String) -> wasmtime::Result<Result<bool, Error>> {
        let allowed = self.allows(&name, 0);
        let driver = self.seam.driver();
        let plugin = self.seam.context().plugin.clone();
        let live = async {
            if let Err(refused) = allowed {
                return Ok(Err(refused));
            }
            match &driver {
                Driver::Live(live) => {
                    let claimed = live.world.broker.claim(&plugin, &name, live.task).await?;
                    Ok(Ok(claimed))
                }
                Driver::Dry(_) => Ok(Ok(true)),
            }
        };
        let noted: Result<bool, Refused> = self.seam.answered(&KV_CLAIM, &name, live).await?;
        Ok(noted.map_err(Error::from))
    }
}

impl Run {
    fn allows(&self, key: &str, len: usize) -> Result<(), Refused> {
        let context = self.seam.context();
        if !context.grant.kv {
            return Err(Refused::Denied(denied(
                &context.plugin,
                "keep values",
                "kv = true",
            )));
        }
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Refused::Limit(format!(
                "a key has 1 to {MAX_KEY} bytes; this has {}",
                key.len()
            )));
        }
        if len > MAX_VALUE {
            return Err(Refused::Limit(format!(
                "a value has at most {MAX_VALUE} bytes; this has {len}: use a blob"
            )));
        }
        Ok(())
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(reason) => Self::Denied(reason),
            Refused::Limit(reason)
            | Refused::Unknown(reason)
            | Refused::Invalid(reason)
            | Refused::Unsupported(reason) => Self::Limit(reason),
        }
    }
}

/// A value as the run sees it: with what it wrote itself, which has no version yet.
fn value(
    own: Option<OwnValue>,
    kept: impl FnOnce() -> Result<Option<Value>, SeamError>,
) -> Result<Option<Value>, SeamError> {
    let written = |value: &[u8]| {
        Some(Value {
            bytes: ByteVec::from(value.to_vec()),
            version: 0,
        })
    };
    Ok(match own {
        None => kept()?,
        Some(OwnValue::Set(value)) => written(&value),
        Some(OwnValue::Deleted) => None,
        Some(OwnValue::Added(delta)) => {
            let before = kept()?.map_or(0, |value| integer(&value.bytes));
            written(before.saturating_add(delta).to_string().as_bytes())
        }
    })
}

fn added(own: Option<&OwnValue>, delta: i64) -> OwnValue {
    let set = |sum: i64| OwnValue::Set(Bytes::from(sum.to_string()));
    match own {
        None => OwnValue::Added(delta),
        Some(OwnValue::Added(before)) => OwnValue::Added(before.saturating_add(delta)),
        Some(OwnValue::Deleted) => set(delta),
        Some(OwnValue::Set(value)) => set(integer(value).saturating_add(delta)),
    }
}

fn read(driver: &Driver, plugin: &str, key: &str) -> Result<Option<Value>, SeamError> {
    let Driver::Live(live) = driver else {
        return Ok(None);
    };
    let found = live.world.broker.kv_get(plugin, key)?;
    Ok(found.map(|(value, version)| Value {
        bytes: ByteVec::from(value.to_vec()),
        version,
    }))
}

/// A decimal integer; anything else counts as 0, as the broker has it.
fn integer(value: &[u8]) -> i64 {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
