//! Files whose bytes were changed or cut: the store opens or refuses by name, and what it hands
//! out is what was written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gwasp_store::{
    Input, NewPacket, OpenError, Options, PacketFilter, Reader, RouteRecord, Step, Store,
    StoreError, TaskFilter, TaskId, TaskView,
};

use crate::common::{QUEUE, Rig, commit, failure, offer, packet_of, success, task, task_id, wait};

/// What was written, to compare with.
struct Truth {
    packets: BTreeMap<i64, NewPacket>,
    tasks: BTreeMap<TaskId, TaskView>,
    routes: Vec<RouteRecord>,
    values: BTreeMap<String, Bytes>,
}

impl Truth {
    fn of(dir: &Path) -> Self {
        let reader = Reader::open(dir).unwrap();
        let packets = reader.packets(&PacketFilter::default()).unwrap();
        let packets = packets.iter().map(|view| {
            let record = reader.packet(view.seq).unwrap().unwrap();
            (view.seq.0, record.packet)
        });
        let tasks = reader.tasks(&TaskFilter::default()).unwrap();
        let values = reader.kv(None, "", None).unwrap();
        Self {
            packets: packets.collect(),
            tasks: tasks.into_iter().map(|task| (task.id, task)).collect(),
            routes: reader.routes().unwrap().1,
            values: values
                .into_iter()
                .map(|entry| (entry.key, entry.value))
                .collect(),
        }
    }

    /// Checks all that can be read; returns how much was read.
    #[track_caller]
    fn check(&self, dir: &Path, place: &str) -> usize {
        let Ok(reader) = Reader::open(dir) else {
            return 0;
        };
        let mut read = 0;
        for (seq, packet) in &self.packets {
            if let Ok(Some(record)) = reader.packet(gwasp_store::PacketSeq(*seq)) {
                assert_same_packet(&record.packet, packet, place);
                read += 1;
            }
        }
        for task in reader.tasks(&TaskFilter::default()).unwrap_or_default() {
            self.check_task(&task, place);
            read += 1;
        }
        if let Ok((_, routes)) = reader.routes() {
            assert!(
                routes.iter().all(|route| self.routes.contains(route)),
                "{place}"
            );
        }
        for key in self.values.keys() {
            if let Ok(Some((value, _))) = reader.kv_get("fermi-log", key) {
                assert_eq!(Some(&value), self.values.get(key), "{place}");
                read += 1;
            }
        }
        read
    }

    #[track_caller]
    fn check_task(&self, task: &TaskView, place: &str) {
        let truth = self
            .tasks
            .get(&task.id)
            .unwrap_or_else(|| panic!("{place}: no such task"));
        // Why an attempt failed is a text for a person and has no seal.
        let task = TaskView {
            failure: truth.failure.clone(),
            ..task.clone()
        };
        // A group that was cut off the log took its changes with it.
        let earlier = TaskView {
            state: task.state,
            attempts: task.attempts,
            due: task.due,
            started: task.started,
            ended: task.ended,
            cpu: task.cpu,
            version: task.version,
            ..truth.clone()
        };
        assert_eq!(task, earlier, "{place}");
    }

    /// Runs what the store hands out, and checks it.
    #[track_caller]
    fn check_leases(&self, store: &Store, place: &str) {
        for _ in 0..2 * self.tasks.len() {
            match store.lease(QUEUE, 0) {
                Ok(Some(lease)) => {
                    let truth = &self.tasks[&lease.task];
                    assert_eq!(lease.handler, truth.handler, "{place}");
                    if let Input::Packet(record) = &lease.input {
                        let packet = &self.packets[&record.seq.0];
                        assert_eq!(truth.packet, Some(record.seq), "{place}");
                        assert_same_packet(&record.packet, packet, place);
                    }
                }
                Ok(None) => return,
                Err(StoreError::Corrupt { .. } | StoreError::Unknown { .. }) => {}
                Err(StoreError::Unavailable { .. } | StoreError::Failed { .. }) => return,
                Err(error) => panic!("{place}: {error:?}"),
            }
        }
    }
}

#[track_caller]
fn assert_same_packet(found: &NewPacket, truth: &NewPacket, place: &str) {
    assert_eq!(format!("{found:?}"), format!("{truth:?}"), "{place}");
}

/// A store with a bit of everything, left as a crash would leave it or closed.
fn filled(is_closed: bool) -> (Rig, Truth) {
    let mut rig = Rig::new();
    wait(
        rig.store()
            .put_route("fermi-log", [5; 32], "{\"handlers\":[]}"),
    )
    .unwrap();
    for number in 0..6_u8 {
        let name = number.to_string();
        let mut offer = offer(&name, &[]);
        if number.is_multiple_of(2) {
            offer.packet = packet_of(&name, Bytes::from(vec![number; 20_000]));
        }
        offer.packet.received += i64::from(number);
        offer.tasks = vec![task(&format!("{name}/a")), task(&format!("{name}/b"))];
        rig.keep(offer);
    }
    let mut end = success(&rig.lease());
    end.kv = vec![gwasp_store::KvWrite::Set {
        key: "last".to_owned(),
        value: Bytes::from_static(b"a value of some length"),
    }];
    rig.commit(end);
    rig.commit(commit(
        &rig.lease(),
        Step::Fail {
            failure: failure("x"),
        },
    ));
    if is_closed {
        rig.close();
    }
    rig.store = None;
    let truth = Truth::of(&rig.path());
    (rig, truth)
}

/// Copies a store, changes one file, and checks what opens.
#[track_caller]
fn check_changed(rig: &Rig, truth: &Truth, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> usize {
    let dir = tempfile::tempdir().unwrap();
    copy(&rig.path(), dir.path());
    let path = dir.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let place = format!("{file} in {}", dir.path().display());
    let read = truth.check(dir.path(), &place);
    match Store::open(dir.path(), rig.options.clone()) {
        Ok(store) => {
            truth.check(dir.path(), &place);
            truth.check_leases(&store, &place);
        }
        Err(
            OpenError::Damaged { .. } | OpenError::NotAStore { .. } | OpenError::Database { .. },
        ) => {}
        Err(error) => panic!("{place}: {error:?}"),
    }
    read
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else if entry.file_name() != "store.sqlite-shm" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn flip(position: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[position] ^= 0x10
}

fn cut(position: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes.truncate(position)
}

fn length(rig: &Rig, file: &str) -> usize {
    usize::try_from(fs::metadata(rig.path().join(file)).unwrap().len()).unwrap()
}

#[test]
fn a_segment_that_is_changed_at_a_record_boundary_never_gives_a_wrong_record() {
    let (rig, truth) = filled(false);
    let file = "segments/00000001.segment";
    let record = 8 + 32 + 20_000;
    assert_eq!(length(&rig, file), 16 + 3 * record);
    let all = truth.packets.len() + truth.tasks.len() + truth.values.len();
    for boundary in (0..=3).map(|n| 16 + n * record) {
        for position in [
            boundary - 1,
            boundary,
            boundary + 1,
            boundary + 8,
            boundary + 40,
        ] {
            if position < length(&rig, file) {
                let read = check_changed(&rig, &truth, file, flip(position));
                let expected = if position >= 16 { all - 1 } else { all };
                assert_eq!(read, expected, "flipped at {position}");
                check_changed(&rig, &truth, file, cut(position));
            }
        }
    }
    assert_eq!(check_changed(&rig, &truth, file, |_| {}), all);
}

#[test]
fn an_unfinished_end_of_a_segment_is_cut_and_a_damaged_one_is_set_aside() {
    let (mut rig, truth) = filled(false);
    let segment = |rig: &Rig, number: u8| -> PathBuf {
        rig.path().join(format!("segments/0000000{number}.segment"))
    };
    let whole = fs::read(segment(&rig, 1)).unwrap();
    fs::write(segment(&rig, 1), [&whole[..], &[1; 100]].concat()).unwrap();
    rig.crash();
    assert_eq!(fs::read(segment(&rig, 1)).unwrap(), whole);
    assert!(!rig.path().join("quarantine").exists());

    rig.store = None;
    let mut damaged = whole.clone();
    // The most significant byte of the second record's length.
    damaged[16 + 20_040 + 7] ^= 1;
    fs::write(segment(&rig, 1), &damaged).unwrap();
    rig.open();
    let aside = rig.path().join("quarantine/00000001-20056.damaged");
    assert_eq!(fs::read(aside).unwrap(), damaged[20_056..]);
    assert_eq!(fs::read(segment(&rig, 1)).unwrap(), damaged);

    let digest = wait(rig.store().put_blob(Bytes::from(vec![3; 20_000]))).unwrap();
    assert!(segment(&rig, 2).exists());
    assert!(rig.store().blob(&digest).unwrap().is_some());
    let damaged = truth.packets.len() + truth.tasks.len() + truth.values.len() - 1;
    assert_eq!(truth.check(&rig.path(), "after going on"), damaged);
}

#[test]
fn a_task_whose_packet_is_damaged_is_set_aside_with_the_place_named() {
    let mut rig = Rig::new();
    let mut large = offer("1", &[]);
    large.packet = packet_of("1", Bytes::from(vec![1; 20_000]));
    large.tasks = vec![task("1/a")];
    rig.keep(large);
    rig.store = None;
    let path = rig.path().join("segments/00000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    rig.open();

    let refused = rig.store().lease(QUEUE, 0).unwrap_err();
    let StoreError::Corrupt { place } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(place, "segment 1 at offset 16");
    // The next operation is answered after the task was set aside.
    rig.keep(offer("2", &[]));
    let reader = rig.store().reader().unwrap();
    let task = reader.task_by_id(task_id("1/a")).unwrap().unwrap().task;
    let failure = task.failure.unwrap();
    assert_eq!(failure.kind, "corrupt");
    assert!(failure.message.contains("segment 1 at offset 16"));
    assert!(rig.try_lease().is_none());
}

#[test]
fn a_log_that_is_changed_or_cut_loses_its_end_and_nothing_else() {
    let (rig, truth) = filled(false);
    let file = "store.sqlite-wal";
    let frame = 24 + 4096;
    let frames = (length(&rig, file) - 32) / frame;
    for boundary in (0..frames).map(|n| 32 + n * frame).step_by(frames / 24 + 1) {
        for position in [boundary - 1, boundary, boundary + 1, boundary + 24 + 2_000] {
            check_changed(&rig, &truth, file, flip(position));
            check_changed(&rig, &truth, file, cut(position));
        }
    }
}

#[test]
fn a_database_that_is_changed_or_cut_never_gives_a_wrong_record() {
    let (rig, truth) = filled(true);
    let file = "store.sqlite";
    let length = length(&rig, file);
    let mut positions: Vec<usize> = (0..length).step_by(1_021).collect();
    positions.extend((0..length / 4096).map(|page| page * 4096));
    positions.extend((0..length / 4096).map(|page| page * 4096 + 4095));
    for position in positions {
        check_changed(&rig, &truth, file, flip(position));
    }
    for position in (0..length).step_by(16_000) {
        check_changed(&rig, &truth, file, cut(position));
    }
}

/// Where records begin in a file of a store, and that file.
struct Bounds {
    file: &'static str,
    places: Vec<usize>,
}

impl Bounds {
    /// Of the segment, whose three records are those of [`filled`].
    fn of_segment() -> Self {
        Self {
            file: "segments/00000001.segment",
            places: (0..=3).map(|n| 16 + n * (8 + 32 + 20_000)).collect(),
        }
    }

    /// Of the frames of the log.
    fn of_log(rig: &Rig) -> Self {
        let file = "store.sqlite-wal";
        let frame = 24 + 4096;
        let places = (32..length(rig, file)).step_by(frame).collect();
        Self { file, places }
    }

    /// Of the pages of the database.
    fn of_database(rig: &Rig) -> Self {
        let file = "store.sqlite";
        let places = (0..length(rig, file)).step_by(4096).collect();
        Self { file, places }
    }
}

#[test]
fn a_byte_that_is_changed_or_cut_beside_any_boundary_never_gives_a_wrong_record() {
    let changes = crate::common::number("GWASP_CHANGES", 60);
    let seed = crate::common::number("GWASP_SEED", 27);
    let mut random = crate::common::Random::new(seed);
    let (crashed, of_crashed) = filled(false);
    let (closed, of_closed) = filled(true);
    let kinds = [
        (&crashed, &of_crashed, Bounds::of_segment()),
        (&crashed, &of_crashed, Bounds::of_log(&crashed)),
        (&closed, &of_closed, Bounds::of_database(&closed)),
    ];
    let (mut whole, mut fewest) = (0, usize::MAX);
    for _ in 0..changes {
        let (rig, truth, bounds) = &kinds[random.below(kinds.len())];
        let place = bounds.places[random.below(bounds.places.len())];
        let last = length(rig, bounds.file) - 1;
        let position = (place + random.below(3)).saturating_sub(1).min(last);
        let bit = 1 << random.below(8);
        let read = match random.below(2) {
            0 => check_changed(rig, truth, bounds.file, |bytes| bytes[position] ^= bit),
            _ => check_changed(rig, truth, bounds.file, cut(position)),
        };
        let all = truth.packets.len() + truth.tasks.len() + truth.values.len();
        whole += usize::from(read == all);
        fewest = fewest.min(read);
    }
    crate::common::record(&format!(
        "{{\"seed\":{seed},\"faults\":{changes},\"worst\":\"no record was wrong; {whole} stores gave every record, the worst {fewest}\"}}"
    ));
}

#[test]
fn a_missing_log_index_is_made_anew() {
    let (rig, truth) = filled(false);
    let dir = tempfile::tempdir().unwrap();
    copy(&rig.path(), dir.path());
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let all = truth.packets.len() + truth.tasks.len() + truth.values.len();
    assert_eq!(truth.check(dir.path(), "a copy"), all);
    drop(store);
}
