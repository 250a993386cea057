//! Why the store could not open, and why it did not do what it was asked.
//!
//! Each [`StoreError`] has one reaction; callers branch on the variant, never on its text.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ffi;

use crate::record::TaskId;

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to it.
    #[error(
        "the store {} is in use by process {pid}, started at {started}; stop that process or give this one another directory",
        dir.display()
    )]
    Locked {
        /// Directory of the store.
        dir: PathBuf,
        /// Process that holds the lock; 0 where it could not be read.
        pid: u32,
        /// When that process opened the store, nanoseconds since the epoch; 0 where it could
        /// not be read.
        started: i64,
    },
    /// A newer program wrote it.
    #[error(
        "the store {} has format {found}, this program knows up to {known}; run the newer program or restore a backup",
        dir.display()
    )]
    NewerFormat {
        /// Directory of the store.
        dir: PathBuf,
        /// Format of the store.
        found: i64,
        /// Newest format that this program reads.
        known: i64,
    },
    /// An older program wrote it, and it was not brought up to date yet.
    #[error(
        "the store {} has format {found}, this program reads {known}; {}",
        dir.display(),
        older_advice(*found, *known)
    )]
    OlderFormat {
        /// Directory of the store.
        dir: PathBuf,
        /// Format of the store.
        found: i64,
        /// Format of this program.
        known: i64,
    },
    /// There is something else.
    #[error(
        "{} is not a store of this program ({found}); give an empty directory or restore a backup",
        path.display()
    )]
    NotAStore {
        /// What was looked at.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// It is damaged.
    #[error(
        "the store {} is damaged; restore a backup, or move the directory away to start afresh",
        dir.display()
    )]
    Damaged {
        /// Directory of the store.
        dir: PathBuf,
        /// What the database found.
        source: rusqlite::Error,
    },
    /// The database refused an operation.
    #[error("cannot {operation} in the store {}; check free space and permissions", dir.display())]
    Database {
        /// Directory of the store.
        dir: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// The system refused an operation.
    #[error("cannot {operation} {}; check free space and permissions", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// What to do about a store of an older format.
fn older_advice(found: i64, known: i64) -> &'static str {
    if found + 1 == known {
        "start `gwasp run` on it once: it keeps a copy and brings the store up to date"
    } else {
        "open it with a program of each format in between"
    }
}

impl OpenError {
    /// Whether the disk failed, or is full; neither is a mistake of who configured it.
    pub fn is_of_disk(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Self::Database { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(Code::SystemIoFailure | Code::DiskFull)
            ),
            Self::Io { source, .. } => {
                // Rust has no name for it.
                const EIO: i32 = 5;
                source.raw_os_error() == Some(EIO)
                    || matches!(
                        source.kind(),
                        io::ErrorKind::StorageFull
                            | io::ErrorKind::QuotaExceeded
                            | io::ErrorKind::WriteZero
                    )
            }
            _ => false,
        }
    }
}

/// What lies under a failed operation.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Cause {
    /// The database refused.
    #[error("database operation failed")]
    Database(#[source] Arc<rusqlite::Error>),
    /// The file system refused.
    #[error("{operation} failed")]
    File {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: Arc<io::Error>,
    },
}

/// Why the store did not do what it was asked. Nothing of the operation was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A passing trouble; try again.
    #[error("the store cannot be read or written just now; trying again may help")]
    Unavailable {
        /// What lies under it.
        #[source]
        cause: Cause,
    },
    /// It was closed.
    #[error("the store is closed; open it again")]
    Closed,
    /// The token is not that of a living lease.
    #[error("task {task} is no longer leased under this token; drop the attempt")]
    Fenced {
        /// The task.
        task: TaskId,
    },
    /// The disk is full; later operations succeed once there is space.
    #[error("the disk of the store is full; free some space, then it goes on by itself")]
    Full {
        /// What lies under it.
        #[source]
        cause: Cause,
    },
    /// A bound was passed.
    #[error("{what} of {length} exceeds the limit of {limit}; {advice}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        length: usize,
        /// How large it may be.
        limit: usize,
        /// What to do about it.
        advice: &'static str,
    },
    /// It went by age or bytes.
    #[error(
        "the payload of packet {packet} is no longer kept; [retention] says for how long it is"
    )]
    Dropped {
        /// The packet's number.
        packet: i64,
    },
    /// The routing table changed meanwhile.
    #[error(
        "decided under routing table {given}, the store has {current}; read the routes again and repeat"
    )]
    Conflict {
        /// Generation that the caller decided under.
        given: u64,
        /// Generation of the store.
        current: u64,
    },
    /// Kept bytes are not what was written.
    #[error("{place} is damaged; restore it from a backup or fetch the packet again")]
    Corrupt {
        /// What and where, such as `segment 3 at offset 4096`.
        place: String,
    },
    /// Something that was named is not there.
    #[error("{what} is not in the store; it expired or never was")]
    Unknown {
        /// What was named, such as `packet 12`.
        what: String,
    },
    /// A sync failed: what is on disk is not known, and nothing more is written.
    #[error("the disk failed under the store; check it, then start the program again")]
    Failed {
        /// What lies under it.
        #[source]
        cause: Cause,
    },
}

impl Cause {
    pub(crate) fn file(operation: &'static str, source: io::Error) -> Self {
        Self::File {
            operation,
            source: Arc::new(source),
        }
    }
}

impl StoreError {
    /// Returns whether what is on disk is not known any more.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let failure = error.sqlite_error().copied();
        let cause = Cause::Database(Arc::new(error));
        let Some(failure) = failure else {
            // A column that cannot be read as what was written there.
            return Self::Corrupt {
                place: "a row of the database".to_owned(),
            };
        };
        match failure.code {
            Code::DiskFull => Self::Full { cause },
            Code::DatabaseCorrupt | Code::NotADatabase => Self::Corrupt {
                place: "the database".to_owned(),
            },
            Code::SystemIoFailure => match failure.extended_code {
                // The index of the log could not grow: nothing was written.
                ffi::SQLITE_IOERR_SHMSIZE => Self::Full { cause },
                ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_NOMEM => {
                    Self::Unavailable { cause }
                }
                _ => Self::Failed { cause },
            },
            _ => Self::Unavailable { cause },
        }
    }
}
