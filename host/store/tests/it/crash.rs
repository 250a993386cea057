//! A process that is killed at any moment: what it acknowledged is there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use gwasp_store::{
    KvWrite, Lease, Offer, Options, Origin, PacketSeq, Reader, State, Step, Store, StoreError,
    TaskFilter, TaskId,
};

use crate::common::{
    QUEUE, check_sound, commit, failure, offer, packet_of, success, task, task_id, wait,
};

/// Names the directory of the store to the child process.
const CHILD: &str = "GWASP_STORE_CHILD";
/// Names how many packets the child accepts before it closes; without it there is no end.
const PACKETS: &str = "GWASP_STORE_PACKETS";

/// A command that runs this test binary as a child which works on the store in `dir`.
pub(crate) fn child(dir: &Path, packets: Option<u32>) -> Command {
    through(Command::new(std::env::current_exe().unwrap()), dir, packets)
}

/// As [`child`], run by another program that is given the binary as its last argument.
pub(crate) fn child_of(mut program: Command, dir: &Path, packets: u32) -> Command {
    program.arg(std::env::current_exe().unwrap());
    through(program, dir, Some(packets))
}

fn through(mut command: Command, dir: &Path, packets: Option<u32>) -> Command {
    command
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("crash::the_child_of_other_tests_does_nothing_by_itself")
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(packets) = packets {
        command.env(PACKETS, packets.to_string());
    }
    command
}

#[test]
fn the_child_of_other_tests_does_nothing_by_itself() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let packets = std::env::var_os(PACKETS).map(|text| text.to_str().unwrap().parse().unwrap());
    work(&PathBuf::from(dir), packets.unwrap_or(u32::MAX));
}

/// Writes a line to the parent, which is there when this returns.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Names an error to the parent.
fn say_error(error: &StoreError) {
    let name = format!("{error:?}");
    let name = name.split([' ', '{', '(']).next().unwrap().to_owned();
    say(&format!("error {name}"));
}

fn work(dir: &Path, packets: u32) {
    let store = match Store::open(dir, Options::default()) {
        Ok(store) => store,
        Err(error) => return say(&format!("unopened {error}")),
    };
    say("opened");
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let store = store.clone();
            std::thread::spawn(move || wait(run_tasks(&store, worker)))
        })
        .collect();
    for number in 0..packets {
        let name = format!("{}/{number}", store.incarnation());
        accept(&store, &name, number);
    }
    wait(drained(&store));
    match wait(store.close()) {
        Ok(()) => say("closed"),
        Err(error) => say_error(&error),
    }
    for worker in workers {
        worker.join().unwrap();
    }
}

/// Returns when no task is open, or the store has failed.
async fn drained(store: &Store) {
    loop {
        let depth = store.depth(QUEUE);
        let failed = matches!(store.lease("none", 0), Err(StoreError::Failed { .. }));
        if failed || depth.ready + depth.later + depth.leased == 0 {
            return;
        }
        std::thread::yield_now();
    }
}

/// A packet with two tasks; every third is large.
fn offer_of(name: &str, number: u32) -> Offer {
    let mut offer = offer(name, &[]);
    if number.is_multiple_of(3) {
        let payload = name.repeat(20_000 / name.len() + 1);
        offer.packet = packet_of(name, Bytes::from(payload));
    }
    offer.tasks = vec![task(&format!("{name}/a")), task(&format!("{name}/b"))];
    offer
}

fn accept(store: &Store, name: &str, number: u32) {
    let batch = vec![offer_of(name, number), offer_of(name, number)];
    match wait(store.accept(0, batch)) {
        Ok(accepted) => say(&format!("kept {} {number} {}", seq_of(accepted[0]).0, name)),
        Err(error) => say_error(&error),
    }
    if number.is_multiple_of(10) {
        let bytes = Bytes::from(vec![7; 30_000]);
        let kept = wait(store.put_blob(bytes));
        if let Err(error) = kept {
            say_error(&error);
        }
    }
}

fn seq_of(accepted: gwasp_store::Accepted) -> PacketSeq {
    match accepted {
        gwasp_store::Accepted::New(seq) | gwasp_store::Accepted::Duplicate(seq) => seq,
    }
}

async fn run_tasks(store: &Store, worker: u32) {
    loop {
        let lease = match store.next_lease(QUEUE, worker).await {
            Ok(lease) => lease,
            Err(StoreError::Closed | StoreError::Failed { .. }) => return,
            Err(error) => {
                say_error(&error);
                continue;
            }
        };
        end(store, &lease).await;
    }
}

/// Ends a task; every fourth is tried twice, every packet's first spawns one.
async fn end(store: &Store, lease: &Lease) {
    let is_odd = lease.task.0[0].is_multiple_of(4) && lease.attempt == 1;
    let mut commit = if is_odd {
        let failure = failure("once");
        commit(
            lease,
            Step::Retry {
                due: 0,
                failure,
                keep: 0,
            },
        )
    } else {
        success(lease)
    };
    if !is_odd {
        let key = "ended".to_owned();
        commit.kv = vec![KvWrite::Add { key, delta: 1 }];
        if lease.origin == Origin::Packet {
            let mut child = task(&format!("{}/child", lease.task));
            child.origin = Origin::Spawn;
            child.parent = Some(lease.task);
            commit.spawns = vec![child];
        }
    }
    loop {
        match store.commit(vec![commit.clone()]).await.remove(0) {
            Ok(()) if is_odd => return,
            Ok(()) => return say(&format!("ended {}", lease.task)),
            Err(error @ StoreError::Full { .. }) => say_error(&error),
            Err(error) => return say_error(&error),
        }
    }
}

/// What a child said was done.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    pub(crate) kept: Vec<(PacketSeq, u32, String)>,
    pub(crate) ended: Vec<String>,
    /// Errors, in order, with how much was acknowledged before each.
    pub(crate) errors: Vec<(String, usize)>,
    pub(crate) closed: bool,
    pub(crate) opened: bool,
}

impl Acknowledged {
    pub(crate) fn count(&self) -> usize {
        self.kept.len() + self.ended.len()
    }

    /// Reads the child's lines until it ends; calls `seen` after each.
    pub(crate) fn listen(&mut self, child: &mut Child, mut seen: impl FnMut(&Self, &mut Child)) {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            self.hear(&line);
            seen(self, child);
        }
        child.wait().unwrap();
    }

    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["kept", seq, number, name] => self.kept.push((
                PacketSeq(seq.parse().unwrap()),
                number.parse().unwrap(),
                (*name).to_owned(),
            )),
            ["ended", id] => self.ended.push((*id).to_owned()),
            ["error", name] => self.errors.push(((*name).to_owned(), self.count())),
            ["closed"] => self.closed = true,
            ["opened"] => self.opened = true,
            _ => {}
        }
    }

    /// Checks that all that was acknowledged is in the store, and that it is sound.
    #[track_caller]
    pub(crate) fn check_kept(&self, dir: &Path) {
        check_sound(dir);
        let reader = Reader::open(dir).unwrap();
        for (seq, number, name) in &self.kept {
            let kept = reader
                .packet(*seq)
                .unwrap()
                .expect("an acknowledged packet is kept");
            assert_eq!(kept.packet.payload, offer_of(name, *number).packet.payload);
            for task in ["a", "b"] {
                let id = task_id(&format!("{name}/{task}"));
                assert!(
                    reader.task_by_id(id).unwrap().is_some(),
                    "{name} made its tasks"
                );
            }
        }
        for id in &self.ended {
            let gwasp_store::TaskFound::One(detail) = reader.task(id).unwrap() else {
                panic!("task {id} ended and is gone")
            };
            assert_eq!(detail.task.state, State::Success);
        }
        check_atomic(&reader);
    }
}

/// Checks that each task that ended well added to the count, and made its child.
#[track_caller]
fn check_atomic(reader: &Reader) {
    let filter = TaskFilter {
        limit: Some(u32::MAX),
        ..TaskFilter::default()
    };
    let tasks = reader.tasks(&filter).unwrap();
    let ended: Vec<_> = tasks
        .iter()
        .filter(|task| task.state == State::Success)
        .collect();
    let counted = reader.kv_get("fermi-log", "ended").unwrap();
    let counted = counted.map_or("0".to_owned(), |(text, _)| {
        String::from_utf8(text.to_vec()).unwrap()
    });
    assert_eq!(counted, ended.len().to_string());
    let parents: BTreeSet<TaskId> = tasks.iter().filter_map(|task| task.parent).collect();
    let made: BTreeSet<TaskId> = ended
        .iter()
        .filter(|task| task.origin == Origin::Packet)
        .map(|task| task.id)
        .collect();
    assert_eq!(parents, made);
}

#[test]
fn after_ten_kills_at_random_moments_all_that_was_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut acknowledged = Acknowledged::default();
    // Any moments do; these come from the square numbers modulo a prime.
    for round in 1_usize..=10 {
        let until = acknowledged.count() + 20 + round * round * 57 % 101;
        let mut child = child(&store, None).spawn().unwrap();
        acknowledged.listen(&mut child, |heard, child| {
            if heard.count() >= until {
                child.kill().unwrap();
            }
        });
        assert!(acknowledged.errors.is_empty(), "{:?}", acknowledged.errors);
        acknowledged.check_kept(&store);
    }
    let mut child = child(&store, Some(1)).spawn().unwrap();
    acknowledged.listen(&mut child, |_, _| {});
    assert!(acknowledged.closed);
    acknowledged.check_kept(&store);
    let open = Reader::open(&store).unwrap().tasks(&TaskFilter {
        state: Some(State::Pending),
        ..TaskFilter::default()
    });
    assert_eq!(
        open.unwrap(),
        [],
        "the last process ended what the others left"
    );
    let gaps = Reader::open(&store).unwrap().gaps(None).unwrap();
    assert_eq!(gaps.len(), 10);
}
