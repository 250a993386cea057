//! Values that outlive a run, in a name space of the plugin's own.
//!
//! A run sees what it wrote itself; others see it with the run's outcome, in one commit. The last
//! writer wins: where reading, changing and writing must not be interleaved, the handler has
//! `order_by = …`. To do something once and for all, [`claim`] it.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::boundary;

/// Returns the value of `key`.
///
/// # Errors
/// No permission, or a key beyond the limits.
///
/// ```
/// use gwasp_sdk::kv;
///
/// kv::set("last", b"S190425z")?;
/// assert_eq!(kv::get("last")?.as_deref(), Some(b"S190425z".as_slice()));
/// assert_eq!(kv::get("first")?, None);
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn get(key: &str) -> Result<Option<Vec<u8>>, KvError> {
    boundary::kv_get(key)
}

/// Sets the value of `key`.
///
/// # Errors
/// No permission, or a key or value beyond the limits.
///
/// ```
/// gwasp_sdk::kv::set("last", "S190425z")?;
/// # Ok::<(), gwasp_sdk::kv::KvError>(())
/// ```
pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), KvError> {
    boundary::kv_set(key, value.as_ref())
}

/// Returns the value of `key`, read from JSON.
///
/// # Errors
/// As [`get`]; a value that is not JSON of this shape.
///
/// ```
/// use gwasp_sdk::kv;
///
/// kv::set_json("best", &("S190425z", 4.5e-13))?;
/// let best: Option<(String, f64)> = kv::get_json("best")?;
/// assert_eq!(best, Some(("S190425z".to_owned(), 4.5e-13)));
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn get_json<T: DeserializeOwned>(key: &str) -> Result<Option<T>, KvError> {
    let Some(value) = get(key)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&value).map_err(|source| KvError::json(key, source))?;
    Ok(Some(value))
}

/// Sets the value of `key`, written as JSON.
///
/// # Errors
/// As [`set`]; a value that JSON cannot hold.
///
/// ```
/// gwasp_sdk::kv::set_json("seen", &["S190425z", "S190426c"])?;
/// # Ok::<(), gwasp_sdk::kv::KvError>(())
/// ```
pub fn set_json<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<(), KvError> {
    let json = serde_json::to_vec(value).map_err(|source| KvError::json(key, source))?;
    set(key, json)
}

/// Removes `key`; one that is not there is no error.
///
/// # Errors
/// No permission, or a key beyond the limits.
///
/// ```
/// use gwasp_sdk::kv;
///
/// kv::set("last", "S190425z")?;
/// kv::delete("last")?;
/// assert_eq!(kv::get("last")?, None);
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn delete(key: &str) -> Result<(), KvError> {
    boundary::kv_delete(key)
}

/// Adds to a decimal integer of 64 bits.
///
/// The sum is made when the outcome is committed, so that runs side by side lose no addition. By
/// then there is nobody to tell: a key that is not there, or whose value is no such integer,
/// counts as 0, and a sum beyond 64 bits stays at the nearest that has them.
///
/// # Errors
/// No permission, or a key beyond the limits.
///
/// ```
/// use gwasp_sdk::kv;
///
/// kv::add("notices", 2)?;
/// kv::add("notices", 1)?;
/// assert_eq!(kv::get("notices")?.as_deref(), Some(b"3".as_slice()));
///
/// kv::set("notices", "many")?;
/// kv::add("notices", 1)?;
/// assert_eq!(kv::get("notices")?.as_deref(), Some(b"1".as_slice()));
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn add(key: &str, delta: i64) -> Result<(), KvError> {
    boundary::kv_add(key, delta)
}

/// Tells whether this task is the first to ask for `name`: the way to do something once.
///
/// The first task gets `true`, again on its later attempts; every other task gets `false`, for 30
/// days. Decided on disk before it is answered.
///
/// # Errors
/// No permission, or a name beyond the limits.
///
/// ```
/// use gwasp_sdk::kv;
///
/// if kv::claim("notice for S190425z")? {
///     // send it
/// }
/// # gwasp_sdk::testing::claimed_elsewhere("notice for S190426c");
/// # assert!(!kv::claim("notice for S190426c")?);
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn claim(name: &str) -> Result<bool, KvError> {
    boundary::kv_claim(name)
}

/// Why a value was not read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum KvError {
    /// The host's configuration does not allow it; the text has the lines to add.
    Denied(String),
    /// A limit, named with its value.
    Limit(String),
    /// The value of `key` is not JSON of the shape asked for, or JSON cannot hold it.
    Json {
        /// Which.
        key: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}

impl KvError {
    fn json(key: &str, source: serde_json::Error) -> Self {
        Self::Json {
            key: key.to_owned(),
            source,
        }
    }
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Limit(text) => f.write_str(text),
            Self::Json { key, .. } => write!(f, "value of `{key}` does not fit its type as JSON"),
        }
    }
}

impl std::error::Error for KvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json { source, .. } => Some(source),
            Self::Denied(_) | Self::Limit(_) => None,
        }
    }
}
