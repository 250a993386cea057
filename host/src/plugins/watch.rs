//! What changed in a directory of plugins.
//!
//! It looks, again and again, instead of being told: file systems send no event when the target
//! of a link is written to, when another name of a hard-linked file is, when the directory itself
//! is replaced, nor over a network. A look reads no file: inode, length and times of each.
//!
//! A file counts once two looks a while apart saw the same of it, so that a slow copy is not read
//! half. A file that is gone keeps its plugin for a minute: a replacement is often a deletion and
//! a creation. A directory that is gone or has become empty says nothing at all, since that is
//! how a lost mount looks.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{DirectoryError, plugin_files};

/// How long a file must stay the same before it counts.
const SETTLED: Duration = Duration::from_millis(300);
/// How long after a file could not be taken it is told of again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a plugin is kept whose file is gone.
const GRACE: Duration = Duration::from_secs(60);

/// A directory of plugins under watch.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    files: BTreeMap<PathBuf, File>,
}

/// What happened to a plugin's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, or has other bytes, perhaps.
    Written(PathBuf),
    /// It is gone for good.
    Gone(PathBuf),
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

#[derive(Clone, Copy, Debug)]
struct File {
    stamp: Stamp,
    /// Since when nothing about it changed.
    since: Instant,
    /// Whether this content was told of.
    told: bool,
    is_there: bool,
}

impl Watch {
    /// Begins to watch `directory`; all that is in it counts as new.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            files: BTreeMap::new(),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Looks once and tells what has settled since; each change is told once.
    ///
    /// # Errors
    /// [`DirectoryError`]; nothing counts as gone then.
    pub fn look(&mut self, now: Instant) -> Result<Vec<Change>, DirectoryError> {
        let seen = self.seen()?;
        Ok(self.compare(&seen, now))
    }

    /// Looks once and takes everything as it is, however new; tells of all that was not told.
    ///
    /// # Errors
    /// [`DirectoryError`]; nothing counts as gone then.
    pub fn look_now(&mut self, now: Instant) -> Result<Vec<Change>, DirectoryError> {
        let seen = self.seen()?;
        let mut changes = self.compare(&seen, now);
        changes.extend(self.compare(&seen, now + GRACE.max(SETTLED)));
        Ok(changes)
    }

    /// Takes a file for one that was there when it is not, so that it is told of as gone a minute
    /// after the next look; answers whether it is not there.
    pub fn expect(&mut self, path: &Path, now: Instant) -> bool {
        let is_there = self.files.get(path).is_some_and(|file| file.is_there);
        if !is_there {
            let expected = File {
                stamp: Stamp::NONE,
                since: now,
                told: true,
                is_there: true,
            };
            self.files.insert(path.to_path_buf(), expected);
        }
        !is_there
    }

    /// Tells of a file again after a while, though it stays as it is: it could not be taken.
    pub fn tell_again(&mut self, path: &Path, now: Instant) {
        if let Some(file) = self.files.get_mut(path) {
            (file.told, file.since) = (false, now + AGAIN);
        }
    }

    fn seen(&self) -> Result<BTreeMap<PathBuf, Stamp>, DirectoryError> {
        let files = plugin_files(&self.directory)?;
        // A file that vanished meanwhile is seen as gone.
        Ok(files
            .into_iter()
            .filter_map(|path| Some((path.clone(), Stamp::of(&path)?)))
            .collect())
    }

    #[must_use]
    fn compare(&mut self, seen: &BTreeMap<PathBuf, Stamp>, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        for (path, &stamp) in seen {
            let file = self.files.entry(path.clone()).or_insert(File {
                stamp,
                since: now,
                told: false,
                is_there: true,
            });
            if file.stamp != stamp {
                (file.stamp, file.since, file.told) = (stamp, now, false);
            }
            file.is_there = true;
            if !file.told && now.saturating_duration_since(file.since) >= SETTLED {
                file.told = true;
                changes.push(Change::Written(path.clone()));
            }
        }
        if !seen.is_empty() {
            self.compare_missing(seen, now, &mut changes);
        }
        changes
    }

    fn compare_missing(
        &mut self,
        seen: &BTreeMap<PathBuf, Stamp>,
        now: Instant,
        changes: &mut Vec<Change>,
    ) {
        for (path, file) in &mut self.files {
            if file.is_there && !seen.contains_key(path) {
                (file.is_there, file.since) = (false, now);
            }
        }
        self.files.retain(|path, file| {
            let is_gone = !file.is_there && now.saturating_duration_since(file.since) >= GRACE;
            if is_gone && file.told {
                changes.push(Change::Gone(path.clone()));
            }
            !is_gone
        });
    }
}

impl Stamp {
    /// That of no file.
    const NONE: Self = Self {
        device: 0,
        inode: 0,
        length: 0,
        written: (0, 0),
        changed: (0, 0),
    };

    /// Follows links: what a name stands for is what counts.
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests;
