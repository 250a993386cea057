use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A directory that only its owner can write to, as plugins must lie in.
struct Place {
    dir: tempfile::TempDir,
    watch: Watch,
    now: Instant,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let watch = Watch::new(&dir.path().join("plugins"));
        fs::create_dir(watch.directory()).expect("a directory");
        Self {
            dir,
            watch,
            now: Instant::now(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.watch.directory().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).expect("a file");
    }

    fn look_after(&mut self, pause: Duration) -> Vec<Change> {
        self.now += pause;
        self.watch.look(self.now).expect("a readable directory")
    }

    /// What two looks tell that are as far apart as a file needs to settle.
    fn settled(&mut self) -> Vec<Change> {
        let mut changes = self.look_after(Duration::ZERO);
        changes.extend(self.look_after(SETTLED));
        changes
    }

    fn written(&self, name: &str) -> Vec<Change> {
        vec![Change::Written(self.file(name))]
    }

    fn gone(&self, name: &str) -> Vec<Change> {
        vec![Change::Gone(self.file(name))]
    }
}

#[test]
fn a_file_is_told_of_once_it_has_settled_and_once_only() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    assert_eq!(place.look_after(Duration::ZERO), []);
    assert_eq!(place.look_after(SETTLED), place.written("a.wasm"));
    assert_eq!(place.look_after(SETTLED), []);
}

#[test]
fn a_slow_copy_is_not_told_of_before_its_end() {
    let mut place = Place::new();
    for length in 1..20 {
        place.write("a.wasm", &vec![0; length]);
        assert_eq!(place.look_after(SETTLED), [], "after {length} bytes");
    }
    assert_eq!(place.look_after(SETTLED), place.written("a.wasm"));
}

#[test]
fn a_rename_over_the_file_is_a_change() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    place.settled();
    place.write(".a.wasm.new", b"two");
    assert_eq!(place.settled(), [], "a hidden file is nobody's plugin");
    fs::rename(place.file(".a.wasm.new"), place.file("a.wasm")).expect("a rename");
    assert_eq!(place.settled(), place.written("a.wasm"));
}

#[test]
fn a_link_that_points_elsewhere_is_a_change() {
    let mut place = Place::new();
    let (one, two) = (place.dir.path().join("one"), place.dir.path().join("two"));
    fs::write(&one, b"one").expect("a file");
    fs::write(&two, b"two").expect("a file");
    symlink(&one, place.file("a.wasm")).expect("a link");
    assert_eq!(place.settled(), place.written("a.wasm"));
    let next = place.dir.path().join("next");
    symlink(&two, &next).expect("a link");
    fs::rename(&next, place.file("a.wasm")).expect("a rename");
    assert_eq!(place.settled(), place.written("a.wasm"));
}

#[test]
fn writing_to_the_target_of_a_link_is_a_change() {
    let mut place = Place::new();
    let target = place.dir.path().join("target");
    fs::write(&target, b"one").expect("a file");
    symlink(&target, place.file("a.wasm")).expect("a link");
    place.settled();
    fs::write(&target, b"longer").expect("a file");
    assert_eq!(place.settled(), place.written("a.wasm"));
}

#[test]
fn writing_to_another_name_of_the_file_is_a_change() {
    let mut place = Place::new();
    let original = place.dir.path().join("original");
    fs::write(&original, b"one").expect("a file");
    fs::hard_link(&original, place.file("a.wasm")).expect("a link");
    place.settled();
    fs::write(&original, b"longer").expect("a file");
    assert_eq!(place.settled(), place.written("a.wasm"));
}

#[test]
fn a_directory_that_is_replaced_is_followed() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    place.settled();
    let next = place.dir.path().join("next");
    fs::create_dir(&next).expect("a directory");
    fs::write(next.join("a.wasm"), b"longer").expect("a file");
    fs::rename(place.watch.directory(), place.dir.path().join("old")).expect("a rename");
    fs::rename(&next, place.watch.directory()).expect("a rename");
    assert_eq!(place.settled(), place.written("a.wasm"));
}

#[test]
fn a_file_that_is_deleted_is_gone_after_a_minute() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    place.write("b.wasm", b"one");
    place.settled();
    fs::remove_file(place.file("a.wasm")).expect("a file to delete");
    assert_eq!(place.look_after(SETTLED), []);
    assert_eq!(place.look_after(GRACE - Duration::from_millis(1)), []);
    assert_eq!(
        place.look_after(Duration::from_millis(1)),
        place.gone("a.wasm")
    );
    assert_eq!(place.look_after(GRACE), []);
}

#[test]
fn a_file_that_comes_back_within_a_minute_was_never_gone() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    place.write("b.wasm", b"one");
    place.settled();
    fs::remove_file(place.file("a.wasm")).expect("a file to delete");
    assert_eq!(place.look_after(GRACE / 2), []);
    place.write("a.wasm", b"two");
    assert_eq!(place.settled(), place.written("a.wasm"));
    assert_eq!(place.look_after(GRACE), []);
}

#[test]
fn a_directory_that_has_become_empty_says_nothing() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    place.settled();
    fs::remove_file(place.file("a.wasm")).expect("a file to delete");
    assert_eq!(place.look_after(GRACE), []);
    assert_eq!(place.look_after(GRACE), []);
}

#[test]
fn a_directory_that_is_gone_is_an_error_and_nothing_else() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    place.settled();
    let away = place.dir.path().join("away");
    fs::rename(place.watch.directory(), &away).expect("a rename");
    assert!(place.watch.look(place.now + GRACE).is_err());
    fs::rename(&away, place.watch.directory()).expect("a rename");
    assert_eq!(place.settled(), []);
}

#[test]
fn who_cannot_wait_takes_everything_as_it_is() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    let changes = place.watch.look_now(place.now).expect("a directory");
    assert_eq!(changes, place.written("a.wasm"));
    place.write("a.wasm", b"longer");
    let changes = place.watch.look_now(place.now).expect("a directory");
    assert_eq!(changes, place.written("a.wasm"));
    assert_eq!(place.settled(), []);
}

#[test]
fn who_cannot_wait_is_told_of_what_had_settled_just_then() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    assert_eq!(place.look_after(Duration::ZERO), []);
    place.now += SETTLED;
    let changes = place.watch.look_now(place.now).expect("a directory");
    assert_eq!(changes, place.written("a.wasm"));
    assert_eq!(place.settled(), []);
}

#[test]
fn a_file_that_could_not_be_taken_is_told_of_again() {
    let mut place = Place::new();
    place.write("a.wasm", b"one");
    assert_eq!(place.settled(), place.written("a.wasm"));
    place.watch.tell_again(&place.file("a.wasm"), place.now);
    assert_eq!(place.settled(), []);
    assert_eq!(place.look_after(AGAIN + SETTLED), place.written("a.wasm"));
    assert_eq!(place.settled(), []);
}

#[test]
fn a_file_that_is_expected_is_gone_unless_it_comes_within_a_minute() {
    let mut place = Place::new();
    place.write("other.wasm", b"other");
    place.settled();
    let (a, b) = (place.file("a.wasm"), place.file("b.wasm"));
    assert!(place.watch.expect(&a, place.now) && place.watch.expect(&b, place.now));
    assert!(!place.watch.expect(&place.file("other.wasm"), place.now));
    assert_eq!(place.look_after(Duration::ZERO), []);
    place.write("b.wasm", b"one");
    assert_eq!(place.settled(), place.written("b.wasm"));
    assert_eq!(place.look_after(GRACE), place.gone("a.wasm"));
}

#[test]
fn a_file_that_is_expected_in_a_directory_that_has_none_is_not_gone() {
    let mut place = Place::new();
    let file = place.file("a.wasm");
    assert!(place.watch.expect(&file, place.now));
    assert_eq!(place.look_after(GRACE), []);
    assert_eq!(place.look_after(GRACE), []);
    // Its minute begins when the directory is back.
    place.write("other.wasm", b"other");
    assert_eq!(place.settled(), place.written("other.wasm"));
    assert_eq!(place.look_after(GRACE), place.gone("a.wasm"));
}
