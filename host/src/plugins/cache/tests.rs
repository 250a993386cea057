use std::path::PathBuf;

use tempfile::TempDir;
use wasmtime::Engine;

use super::{Cache, Compiled, Shelf, write_new};
use crate::packet::Digest;
use crate::plugins::compiler::CompileError;
use crate::plugins::engine::{AddressSpace, probe_engine};

/// A cache that holds one plugin.
struct Stocked {
    _root: TempDir,
    engine: Engine,
    shelf: Shelf,
    digest: Digest,
    compiled: Compiled,
}

impl Stocked {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let engine = probe_engine(AddressSpace::Ample).unwrap();
        let cache = Cache::open(root.path().join("cache")).unwrap();
        let shelf = cache.shelf(&engine).unwrap();
        let digest = Digest::of(b"plugin");
        let compiled = keep(&shelf, digest, &engine);
        Self {
            _root: root,
            engine,
            shelf,
            digest,
            compiled,
        }
    }

    fn load_found(&self) -> Result<(), CompileError> {
        let found = self.shelf.find(self.digest).expect("an entry");
        found.load(&self.engine).map(drop)
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.shelf.directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn keep(shelf: &Shelf, digest: Digest, engine: &Engine) -> Compiled {
    let code = engine
        .precompile_component(&wat::parse_str("(component)").unwrap())
        .unwrap();
    let workshop = shelf.workshop().unwrap();
    let path = workshop.path().join("code");
    write_new(&path, &code).unwrap();
    shelf.keep(digest, &workshop, &path).unwrap()
}

#[test]
fn what_was_kept_is_found_and_loads() {
    let stocked = Stocked::new();
    stocked.load_found().unwrap();
    assert!(stocked.shelf.find(Digest::of(b"another")).is_none());
    assert_eq!(stocked.names().len(), 2, "{:?}", stocked.names());
}

#[test]
fn code_with_one_flipped_byte_is_not_mapped() {
    let stocked = Stocked::new();
    let whole = std::fs::read(&stocked.compiled.path).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&stocked.compiled.path, &flipped).unwrap();
        let found = stocked.load_found();
        assert!(
            matches!(found, Err(CompileError::Damaged { .. })),
            "{at}: {found:?}"
        );
    }
}

#[test]
fn code_that_is_cut_short_is_not_mapped() {
    let stocked = Stocked::new();
    let file = std::fs::File::options()
        .write(true)
        .open(&stocked.compiled.path)
        .unwrap();
    for len in [4096, 1, 0] {
        file.set_len(len).unwrap();
        let found = stocked.load_found();
        assert!(
            matches!(found, Err(CompileError::Damaged { .. })),
            "{len}: {found:?}"
        );
    }
}

#[test]
fn a_note_that_is_no_checksum_is_no_entry() {
    let stocked = Stocked::new();
    let note = stocked.shelf.directory.join(stocked.digest.to_string());
    for text in [
        "",
        "ab",
        "../../../etc/passwd",
        &"g".repeat(64),
        &"a".repeat(65),
    ] {
        std::fs::write(&note, text).unwrap();
        assert!(stocked.shelf.find(stocked.digest).is_none(), "{text:?}");
    }
}

#[test]
fn code_for_other_settings_is_told_from_damaged_code() {
    let stocked = Stocked::new();
    let other = Engine::default();
    let refused = stocked.compiled.load(&other);
    assert!(
        matches!(refused, Err(CompileError::Load(_))),
        "{:?}",
        refused.err()
    );
}

#[test]
fn two_hosts_that_compile_the_same_at_once_both_load_it() {
    let stocked = Stocked::new();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..20 {
                    let kept = keep(&stocked.shelf, stocked.digest, &stocked.engine);
                    kept.load(&stocked.engine).unwrap();
                    stocked.load_found().unwrap();
                }
            });
        }
    });
    assert_eq!(stocked.names().len(), 2, "{:?}", stocked.names());
}

#[test]
fn an_abandoned_workshop_is_swept_and_a_young_one_is_not() {
    let stocked = Stocked::new();
    let young = stocked.shelf.workshop().unwrap();
    let old = stocked.shelf.directory.join(".compiling-old");
    std::fs::create_dir(&old).unwrap();
    let long_ago = std::time::SystemTime::now() - super::ABANDONED * 2;
    std::fs::File::open(&old)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    drop(stocked.shelf.workshop().unwrap());
    assert!(young.path().exists());
    assert!(!old.exists());
}
