//! What changed in a plugin's source.
//!
//! It looks, as a host looks at its plugins: editors write in strange ways (another file that is
//! renamed, several writes, a file that is there for a moment), and what counts is that names
//! stand for other bytes than before, and have for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::plugins::Stamp;

/// How long nothing may change before a change counts.
const SETTLED: Duration = Duration::from_millis(120);
/// Most files that are looked at.
const MOST_FILES: usize = 10_000;
/// How deep folders are looked into.
const DEEPEST: usize = 16;

/// Files under watch.
#[derive(Debug)]
pub(super) struct Sources {
    roots: Vec<PathBuf>,
    /// Where builds write.
    output: PathBuf,
    /// As they were when they were last told of.
    told: BTreeMap<PathBuf, Stamp>,
    /// As they were at the last look, and since when.
    last: (BTreeMap<PathBuf, Stamp>, Instant),
}

impl Sources {
    /// Watches files, and folders with all in them but `output` and what no person writes.
    pub(super) fn new(roots: Vec<PathBuf>, output: PathBuf) -> Self {
        let mut sources = Self {
            roots,
            output,
            told: BTreeMap::new(),
            last: (BTreeMap::new(), Instant::now()),
        };
        sources.told = sources.look();
        sources.last.0 = sources.told.clone();
        sources
    }

    /// Names what changed since it was told of, once nothing changes any more.
    pub(super) fn changed(&mut self, now: Instant) -> Option<Vec<PathBuf>> {
        let seen = self.look();
        if seen != self.last.0 {
            self.last = (seen, now);
            return None;
        }
        if seen == self.told || now.saturating_duration_since(self.last.1) < SETTLED {
            return None;
        }
        let names: BTreeSet<&PathBuf> = seen.keys().chain(self.told.keys()).collect();
        let is_new = |path: &&&PathBuf| seen.get(**path) != self.told.get(**path);
        let changed = names.iter().filter(is_new).map(|path| (*path).clone());
        let changed = changed.collect();
        self.told = seen;
        Some(changed)
    }

    fn look(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut seen = BTreeMap::new();
        for root in &self.roots {
            if root.is_dir() {
                self.look_into(root, DEEPEST, &mut seen);
            } else {
                seen.extend(Stamp::of(root).map(|stamp| (root.clone(), stamp)));
            }
        }
        seen
    }

    fn look_into(&self, dir: &Path, deeper: usize, seen: &mut BTreeMap<PathBuf, Stamp>) {
        // What cannot be read just now is gone, until it is back.
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if seen.len() >= MOST_FILES || path == self.output || !is_written_by_people(&path) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && deeper > 0 => {
                    self.look_into(&path, deeper - 1, seen);
                }
                Ok(kind) if !kind.is_dir() => {
                    seen.extend(Stamp::of(&path).map(|stamp| (path, stamp)));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Leaves out hidden files, editors' copies, and what Cargo and hosts write.
fn is_written_by_people(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_odd = name.starts_with(['.', '#']) || name.ends_with(['~', '#']);
    let is_made = ["target", "gwasp-state", "Cargo.lock"].contains(&name.as_ref());
    let is_output = path.extension().is_some_and(|extension| {
        ["wasm", "swp", "tmp"]
            .iter()
            .any(|known| extension == *known)
    });
    !(is_odd || is_made || is_output)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LATER: Duration = Duration::from_secs(1);

    struct Folder {
        dir: tempfile::TempDir,
        sources: Sources,
        now: Instant,
    }

    impl Folder {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("src")).unwrap();
            fs::write(dir.path().join("src/lib.rs"), "one").unwrap();
            let sources = Sources::new(vec![dir.path().to_owned()], dir.path().join("out"));
            Self {
                dir,
                sources,
                now: Instant::now(),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// What is told after so long.
        fn after(&mut self, time: Duration) -> Option<Vec<PathBuf>> {
            self.now += time;
            self.sources.changed(self.now)
        }

        /// What is told once it settled.
        fn told(&mut self) -> Option<Vec<PathBuf>> {
            let first = self.after(Duration::from_millis(1));
            assert_eq!(first, None, "it may still change");
            self.after(LATER)
        }
    }

    #[test]
    fn a_change_is_told_of_once_and_only_when_it_has_settled() {
        let mut folder = Folder::new();
        assert_eq!(folder.told(), None);
        let file = folder.path("src/lib.rs");
        fs::write(&file, "two, longer").unwrap();
        assert_eq!(folder.after(LATER), None);
        fs::write(&file, "three, longer still").unwrap();
        assert_eq!(folder.after(LATER), None);
        assert_eq!(folder.after(Duration::from_millis(50)), None);
        assert_eq!(folder.after(LATER), Some(vec![file]));
        assert_eq!(folder.after(LATER), None);
    }

    #[test]
    fn a_file_that_is_renamed_into_its_place_has_changed() {
        let mut folder = Folder::new();
        let (new, file) = (folder.path(".lib.rs.new"), folder.path("src/lib.rs"));
        fs::write(&new, "one").unwrap();
        fs::rename(&new, &file).unwrap();
        assert_eq!(folder.told(), Some(vec![file]));
    }

    #[test]
    fn what_is_there_for_a_moment_is_no_change() {
        let mut folder = Folder::new();
        let probe = folder.path("src/4913");
        fs::write(&probe, "").unwrap();
        assert_eq!(folder.after(LATER), None);
        fs::remove_file(&probe).unwrap();
        assert_eq!(folder.told(), None);
    }

    #[test]
    fn what_programs_write_is_no_change() {
        let mut folder = Folder::new();
        for name in ["Cargo.lock", ".swp", "src/lib.rs~", "p.wasm"] {
            fs::write(folder.path(name), "x").unwrap();
        }
        for name in ["out", "target", "gwasp-state"] {
            fs::create_dir(folder.path(name)).unwrap();
            fs::write(folder.path(name).join("x.rs"), "x").unwrap();
        }
        assert_eq!(folder.told(), None);
    }
}
