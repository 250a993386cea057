//! How much of the disk is left, and the marks below which the store does less.
//!
//! Below the first mark what is kept is kept half as long. Below the second nothing new is
//! taken: what is left is for tasks to end in, and for what is removed, which needs space too.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::options::Retention;

/// From one look at the disk to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Free bytes of the disk below which the store does less; 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskMarks {
    /// What is kept is kept half as long.
    pub low: u64,
    /// Nothing new is taken.
    pub reserve: u64,
}

impl DiskMarks {
    /// The first mark, unless the disk is small: 1 GiB.
    const LOW: u64 = 1 << 30;
    /// The second: 256 MiB.
    const RESERVE: u64 = 256 << 20;

    /// Returns the marks for the disk of a directory: a tenth and a fiftieth of a small one.
    ///
    /// # Errors
    /// When the system does not say how large the disk is.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let (total, _) = sizes(dir)?;
        Ok(Self {
            low: Self::LOW.min(total / 10),
            reserve: Self::RESERVE.min(total / 50),
        })
    }
}

/// How the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskLevel {
    /// There is enough.
    Enough,
    /// It is below the first mark: what is kept is kept half as long.
    Low,
    /// It is below the second: nothing new is taken.
    Reserve,
}

/// What is left of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Free bytes.
    pub free: u64,
    /// The first mark, bytes.
    pub low: u64,
    /// The second mark, bytes.
    pub reserve: u64,
    /// Where it stands.
    pub level: DiskLevel,
}

/// Looks at the disk of a directory.
pub(crate) fn look(dir: &Path, marks: DiskMarks) -> io::Result<Disk> {
    let (_, free) = sizes(dir)?;
    let level = if free < marks.reserve {
        DiskLevel::Reserve
    } else if free < marks.low {
        DiskLevel::Low
    } else {
        DiskLevel::Enough
    };
    Ok(Disk {
        free,
        low: marks.low,
        reserve: marks.reserve,
        level,
    })
}

/// Returns how large a disk is, and how much of it this user may still write.
fn sizes(dir: &Path) -> io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok((bytes(disk.f_blocks), bytes(disk.f_bavail)))
}

/// The writer's looks at the disk.
#[derive(Debug)]
pub(crate) struct Watch {
    dir: PathBuf,
    marks: DiskMarks,
    last: Option<(Instant, Disk)>,
}

impl Watch {
    pub(crate) fn new(dir: PathBuf, marks: DiskMarks) -> Self {
        Self {
            dir,
            marks,
            last: None,
        }
    }

    /// Looks where the last look was a while ago; says so where the level is another.
    pub(crate) fn look(&mut self) {
        let is_fresh = self.last.is_some_and(|(at, _)| at.elapsed() < LOOK);
        if self.marks == DiskMarks::default() || is_fresh {
            return;
        }
        let before = self.level();
        match look(&self.dir, self.marks) {
            Ok(disk) => {
                self.last = Some((Instant::now(), disk));
                if disk.level != before {
                    tell(disk);
                }
            }
            Err(error) => tracing::warn!(%error, "free space of the disk is not known"),
        }
    }

    pub(crate) fn level(&self) -> DiskLevel {
        self.last.map_or(DiskLevel::Enough, |(_, disk)| disk.level)
    }

    /// Returns what is left, where nothing new is taken.
    pub(crate) fn reserve(&self) -> Option<Disk> {
        let (_, disk) = self.last?;
        (disk.level == DiskLevel::Reserve).then_some(disk)
    }
}

fn tell(disk: Disk) {
    let free_mib = disk.free >> 20;
    match disk.level {
        DiskLevel::Enough => tracing::info!(free_mib, "the disk has enough space again"),
        DiskLevel::Low => tracing::error!(
            free_mib,
            mark_mib = disk.low >> 20,
            "CRITICAL: the disk is almost full; what is kept is kept half as long; free some space"
        ),
        DiskLevel::Reserve => tracing::error!(
            free_mib,
            mark_mib = disk.reserve >> 20,
            "CRITICAL: the disk is full but for the reserve; no packets are taken; free some space"
        ),
    }
}

/// Returns how long what is kept at this level: all ages and bytes are halved on a disk that is
/// low. For how long identities are remembered does not change.
pub(crate) fn kept(retention: &Retention, level: DiskLevel) -> Retention {
    if level == DiskLevel::Enough {
        return retention.clone();
    }
    Retention {
        packets: retention.packets / 2,
        packet_bytes: retention.packet_bytes / 2,
        results: retention.results / 2,
        journals: retention.journals / 2,
        blobs: retention.blobs / 2,
        events: retention.events / 2,
        event_count: retention.event_count / 2,
        every: retention.every,
    }
}
