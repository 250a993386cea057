//! Large values by content: sky maps, coinc files.
//!
//! A blob stays with the host; the plugin holds a handle and reads as much as it wants. Between
//! tasks, in results and in JSON a blob is its digest. It is kept for at least 7 days after it was last
//! mentioned.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::boundary;

/// Most bytes of one reading.
const AT_MOST: u32 = 4 << 20;

/// A value that the host keeps, known by the SHA-256 of its bytes.
///
/// As JSON it is `{"blob": "<digest>"}`, so it can be an argument or a result of a task.
///
/// ```
/// use gwasp_sdk::Blob;
///
/// let map = Blob::put(b"SIMPLE  =                    T")?;
/// assert_eq!(map.len(), 30);
/// let same = Blob::open(&map.digest())?;
/// assert_eq!(same.bytes()?, b"SIMPLE  =                    T");
/// # Ok::<(), gwasp_sdk::blobs::BlobError>(())
/// ```
pub struct Blob(boundary::BlobHandle);

impl Blob {
    /// Gives bytes to the host. The same bytes are the same blob.
    ///
    /// # Errors
    /// More bytes than one blob may have.
    ///
    /// ```
    /// let blob = gwasp_sdk::Blob::put("a coinc file")?;
    /// assert_eq!(blob.digest().len(), 64);
    /// # Ok::<(), gwasp_sdk::blobs::BlobError>(())
    /// ```
    pub fn put(bytes: impl AsRef<[u8]>) -> Result<Self, BlobError> {
        boundary::blob_put(bytes.as_ref()).map(Self)
    }

    /// Opens what is kept under a digest: SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// Nothing is kept under it (any more).
    ///
    /// ```
    /// use gwasp_sdk::{Blob, blobs::BlobError};
    ///
    /// assert!(matches!(Blob::open("00"), Err(BlobError::Unknown(_))));
    /// ```
    pub fn open(digest: &str) -> Result<Self, BlobError> {
        boundary::blob_open(digest).map(Self)
    }

    /// Returns the SHA-256 in hexadecimal.
    ///
    /// ```
    /// let blob = gwasp_sdk::Blob::put(b"")?;
    /// assert!(blob.digest().starts_with("e3b0c44298fc1c14"));
    /// # Ok::<(), gwasp_sdk::blobs::BlobError>(())
    /// ```
    #[must_use]
    pub fn digest(&self) -> String {
        self.0.digest()
    }

    /// Returns the number of bytes.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::Blob::put(b"abc")?.len(), 3);
    /// # Ok::<(), gwasp_sdk::blobs::BlobError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Tells whether it has no bytes.
    ///
    /// ```
    /// assert!(gwasp_sdk::Blob::put(b"")?.is_empty());
    /// # Ok::<(), gwasp_sdk::blobs::BlobError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads up to `len` bytes from `offset` on: fewer at the end, and at most 4 MiB.
    ///
    /// # Errors
    /// The blob is not kept any more, or the run has read too much.
    ///
    /// ```
    /// let blob = gwasp_sdk::Blob::put(b"SIMPLE  = T")?;
    /// assert_eq!(blob.read(8, 100)?, b"= T");
    /// # Ok::<(), gwasp_sdk::blobs::BlobError>(())
    /// ```
    pub fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, BlobError> {
        self.0.read(offset, len.min(AT_MOST))
    }

    /// Reads all bytes, into the plugin's own memory.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::Blob::put(b"abc")?.bytes()?, b"abc");
    /// # Ok::<(), gwasp_sdk::blobs::BlobError>(())
    /// ```
    pub fn bytes(&self) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        loop {
            let offset = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let part = self.read(offset, AT_MOST)?;
            if part.is_empty() {
                return Ok(bytes);
            }
            bytes.extend(part);
        }
    }

    pub(crate) fn from_handle(handle: boundary::BlobHandle) -> Self {
        Self(handle)
    }

    pub(crate) fn handle(&self) -> &boundary::BlobHandle {
        &self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.digest(), self.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut blob = serializer.serialize_struct("Blob", 1)?;
        blob.serialize_field("blob", &self.digest())?;
        blob.end()
    }
}

#[derive(Deserialize)]
struct Mention {
    blob: String,
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mention = Mention::deserialize(deserializer)?;
        Self::open(&mention.blob).map_err(serde::de::Error::custom)
    }
}

/// Why a blob was not kept or read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobError {
    /// Nothing is kept under this digest.
    Unknown(String),
    /// A limit, named with its value.
    Limit(String),
    /// The host's configuration does not allow it; the text has the lines to add.
    Denied(String),
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(text) | Self::Limit(text) | Self::Denied(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for BlobError {}
