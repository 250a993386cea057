//! Segment files: large payloads and blobs, appended and never changed.
//!
//! Payloads and blobs do not share files, because they expire apart: a file is removed as a whole
//! once no row names a record in it. Odd numbers are files of payloads, even ones of blobs.
//!
//! A file begins with [`HEADER`] bytes; a record is its length (8 bytes, little endian), its
//! SHA-256 and its bytes. A row names a record only after the file was synced, so what lies
//! behind the last named record was never promised. Each read checks all three parts: a damaged
//! record is named, never handed out.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::{Cause, StoreError};

/// Length of a segment file's head.
pub(crate) const HEADER: u64 = 16;
const MAGIC: &[u8; 12] = b"GWASP-SEG\0\0\x01";
const PREFIX: usize = 8 + 32;

/// What a segment file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Payloads of packets.
    Payloads,
    /// Blobs.
    Blobs,
}

impl Kind {
    /// Returns the number of the first file of this kind; the others follow in steps of
    /// [`STEP`].
    pub(crate) fn first(self) -> i64 {
        match self {
            Self::Payloads => 1,
            Self::Blobs => 2,
        }
    }

    /// Returns the name in `meta` of the highest number of a file of this kind that was removed
    /// or set aside.
    pub(crate) fn highest(self) -> &'static str {
        match self {
            Self::Payloads => "payload_segment",
            Self::Blobs => "blob_segment",
        }
    }

    /// Returns what the file with this number holds.
    pub(crate) fn of(number: i64) -> Self {
        if number.rem_euclid(STEP) == 1 {
            Self::Payloads
        } else {
            Self::Blobs
        }
    }
}

/// From the number of a file to the next of its kind.
pub(crate) const STEP: i64 = 2;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the file.
    pub(crate) segment: i64,
    /// Where the record begins in it.
    pub(crate) offset: i64,
    /// Length of the record's bytes, without its prefix.
    pub(crate) length: i64,
}

impl Place {
    pub(crate) fn corrupt(self) -> StoreError {
        let Self {
            segment, offset, ..
        } = self;
        StoreError::Corrupt {
            place: format!("segment {segment} at offset {offset}"),
        }
    }

    /// Returns where the record ends in its file.
    pub(crate) fn end(self) -> i64 {
        self.offset + record_length(self.length)
    }
}

fn record_length(length: i64) -> i64 {
    length + i64::try_from(PREFIX).unwrap_or(i64::MAX)
}

/// Returns the SHA-256 of some bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns the path of a segment file.
pub(crate) fn path_of(dir: &Path, segment: i64) -> PathBuf {
    dir.join(format!("{segment:08}.segment"))
}

/// Returns the number in the name of a segment file.
pub(crate) fn number_of(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".segment")?.parse().ok()
}

/// Reads a record and checks it.
pub(crate) fn read(dir: &Path, place: Place, digest: &[u8; 32]) -> Result<Bytes, StoreError> {
    let file = match File::open(path_of(dir, place.segment)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(place.corrupt()),
        Err(error) => return Err(unreadable(error)),
    };
    let offset = u64::try_from(place.offset).or(Err(place.corrupt()))?;
    let length = usize::try_from(place.length).or(Err(place.corrupt()))?;
    let end = u64::try_from(place.end()).or(Err(place.corrupt()))?;
    if file.metadata().map_err(unreadable)?.len() < end {
        return Err(place.corrupt());
    }
    let mut record = vec![0; PREFIX + length];
    file.read_exact_at(&mut record, offset)
        .map_err(unreadable)?;
    let record = Bytes::from(record);
    let bytes = record.slice(PREFIX..);
    let prefix = prefix_of(place.length, digest);
    if record.get(..PREFIX) != Some(prefix.as_slice()) || digest_of(&bytes) != *digest {
        return Err(place.corrupt());
    }
    Ok(bytes)
}

fn unreadable(source: io::Error) -> StoreError {
    StoreError::Unavailable {
        cause: Cause::file("reading a segment file", source),
    }
}

fn prefix_of(length: i64, digest: &[u8; 32]) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    let (head, tail) = prefix.split_at_mut(8);
    head.copy_from_slice(&length.to_le_bytes());
    tail.copy_from_slice(digest);
    prefix
}

/// Appends records; used by the writer only.
#[derive(Debug)]
pub(crate) struct Appender {
    dir: PathBuf,
    limit: i64,
    number: i64,
    file: Option<File>,
    /// End of the last record that was written.
    end: i64,
    /// End of the last record that a row names.
    named: i64,
    /// The file is new: its name is not yet synced.
    unnamed_file: bool,
}

impl Appender {
    /// Goes on after `end` in the file `number`, or makes it where there is none.
    pub(crate) fn new(dir: PathBuf, limit: u64, number: i64, end: i64) -> Self {
        Self {
            dir,
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
            number,
            file: None,
            end,
            named: end,
            unnamed_file: false,
        }
    }

    /// Returns the folder of the files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the number of the file that is written to.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// Appends a record. It is promised only after [`Appender::sync`].
    pub(crate) fn append(&mut self, digest: &[u8; 32], bytes: &[u8]) -> Result<Place, StoreError> {
        if self.end == self.named && self.end > self.limit {
            self.next_file();
        }
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let place = Place {
            segment: self.number,
            offset: self.end.max(i64::try_from(HEADER).unwrap_or(0)),
            length,
        };
        let write = |file: &mut File| {
            file.write_all(&prefix_of(length, digest))?;
            file.write_all(bytes)
        };
        let file = self.file().map_err(append_error)?;
        write(file).map_err(append_error)?;
        self.end = place.end();
        Ok(place)
    }

    /// Syncs what was appended since the last group; returns the file and its new end, if there
    /// is anything.
    pub(crate) fn sync(&mut self) -> Result<Option<(i64, i64)>, StoreError> {
        let Some(file) = self.file.as_ref().filter(|_| self.end > self.named) else {
            return Ok(None);
        };
        // What a failed sync left on disk is not known, whatever it says: there is no retry.
        let failed = |source| StoreError::Failed {
            cause: Cause::file("syncing a segment file", source),
        };
        file.sync_data().map_err(failed)?;
        if self.unnamed_file {
            let dir = File::open(&self.dir).map_err(failed)?;
            dir.sync_all().map_err(failed)?;
            self.unnamed_file = false;
        }
        Ok(Some((self.number, self.end)))
    }

    /// Notes that rows name all that was appended.
    pub(crate) fn named(&mut self) {
        self.named = self.end;
    }

    /// Takes back what was appended since the last group.
    pub(crate) fn take_back(&mut self) {
        let Some(file) = self.file.as_mut() else {
            return;
        };
        let named = u64::try_from(self.named).unwrap_or(0).max(HEADER);
        let cut = file
            .set_len(named)
            .and_then(|()| file.seek(SeekFrom::Start(named)));
        match cut {
            Ok(_) => self.end = self.named,
            // What could not be cut is named by no row; the next record begins in a new file.
            Err(_) => self.next_file(),
        }
    }

    fn next_file(&mut self) {
        self.file = None;
        self.number += STEP;
        self.end = 0;
        self.named = 0;
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(self.open()?);
        }
        self.file
            .as_mut()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn open(&mut self) -> io::Result<File> {
        let path = path_of(&self.dir, self.number);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        if self.end == 0 {
            file.set_len(0)?;
            file.write_all(MAGIC)?;
            let number = u32::try_from(self.number).unwrap_or(u32::MAX);
            file.write_all(&number.to_le_bytes())?;
            self.unnamed_file = true;
        } else {
            file.seek(SeekFrom::Start(u64::try_from(self.end).unwrap_or(0)))?;
        }
        Ok(file)
    }
}

fn append_error(source: io::Error) -> StoreError {
    let full = matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    let cause = Cause::file("appending to a segment file", source);
    if full {
        StoreError::Full { cause }
    } else {
        StoreError::Failed { cause }
    }
}

/// Returns where the first damaged record of a file begins, looking at the records' prefixes up
/// to `end` only; `None` where all are whole.
pub(crate) fn first_damage(path: &Path, end: u64) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = [0; 16];
    if length < HEADER {
        return Ok(Some(0));
    }
    file.read_exact(&mut head)?;
    if head.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Ok(Some(0));
    }
    let mut offset = HEADER;
    while offset < end {
        let mut prefix = [0; 8];
        if offset + 8 > length {
            return Ok(Some(offset));
        }
        file.read_exact_at(&mut prefix, offset)?;
        let record = i64::from_le_bytes(prefix);
        let next = u64::try_from(record_length(record.clamp(0, i64::MAX / 2)))
            .unwrap_or(u64::MAX)
            .saturating_add(offset);
        if record < 0 || next > end || next > length {
            return Ok(Some(offset));
        }
        offset = next;
    }
    Ok(None)
}
