//! `gwasp store` and `gwasp sql` on a store that another process has open.

use std::path::Path;
use std::task::{Context, Poll, Waker};

use gwasp_store::{NewPacket, NewTask, Offer, Options, Origin, RetryPolicy, Store, TaskId};
use gwasp_tests::gwasp::Answer;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::Scene;

/// Bytes that go to a segment file.
const LARGE: usize = 20_000;

/// A store in `directory` with two packets, each with a task that waits.
fn filled(directory: &Path) -> Store {
    let store = Store::open(directory, Options::default()).unwrap();
    let generation = store.routes().unwrap().0;
    let offers = [(1, vec![b'x'; LARGE]), (2, b"<VOEvent/>".to_vec())];
    let offers = offers.map(|(number, payload)| offer(number, payload));
    wait(store.accept(generation, offers.to_vec())).unwrap();
    store
}

/// Polls a future to its end on this thread: the store needs no runtime.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::yield_now();
    }
}

fn offer(number: u8, payload: Vec<u8>) -> Offer {
    let task = NewTask {
        id: TaskId([number; 16]),
        plugin: "fermi".to_owned(),
        handler: "on_flight".to_owned(),
        queue: "general".to_owned(),
        origin: Origin::Packet,
        parent: None,
        priority: 5,
        due: 0,
        order_key: None,
        policy: RetryPolicy {
            retries: 3,
            backoff_ms: 1_000,
            max_backoff_ms: 1_000,
            timeout_ms: 1_000,
            deadline: None,
        },
        args: None,
    };
    let digest: [u8; 32] = Sha256::digest(&payload).into();
    Offer {
        packet: NewPacket {
            source: "gcn".to_owned(),
            key: "FERMI_GBM_FLT_POS".to_owned(),
            id: format!("ivo://gwasp.test/{number}"),
            identity: digest,
            digest,
            role: "observation".to_owned(),
            received: 1_767_312_000_000_000_000,
            sent: None,
            content_type: "application/xml".to_owned(),
            headers: Vec::new(),
            flags: Vec::new(),
            payload: payload.into(),
        },
        tasks: vec![task],
        unmatched: None,
    }
}

fn gwasp(scene: &Scene, state: &Path, args: &[&str]) -> Answer {
    let mut command = scene.gwasp.command();
    command.args(args).arg("--state").arg(state);
    Answer::of(&mut command).unwrap()
}

#[track_caller]
fn check_done(answer: &Answer, says: &str) {
    assert!(answer.status.success(), "{answer:?}");
    assert!(answer.stdout.contains(says), "{answer:?}");
}

fn lines(answer: &Answer) -> Vec<Value> {
    let lines = answer.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_store_is_checked_copied_and_brought_back_paused() {
    let scene = Scene::new().unwrap();
    let (state, backup) = (scene.path("state"), scene.path("backup"));
    let store = filled(&state);
    check_done(&gwasp(&scene, &state, &["store", "check"]), "sound");
    let to = backup.to_str().unwrap();
    check_done(&gwasp(&scene, &state, &["store", "backup", to]), "paused");
    let again = gwasp(&scene, &state, &["store", "backup", to]);
    assert!(again.stderr.contains("is not empty"), "{again:?}");
    let compact = gwasp(&scene, &state, &["store", "compact"]);
    assert_eq!(compact.status.code(), Some(75), "{compact:?}");

    let over = gwasp(&scene, &state, &["store", "restore", to]);
    assert!(over.stderr.contains("move it away"), "{over:?}");
    drop(store);
    let restored = scene.path("restored");
    let done = gwasp(&scene, &restored, &["store", "restore", to]);
    check_done(&done, "gwasp unpause --all");
    check_done(&gwasp(&scene, &restored, &["store", "compact"]), "from");
    check_done(&gwasp(&scene, &restored, &["store", "check"]), "sound");
    let store = Store::open(&restored, Options::default()).unwrap();
    assert_eq!(store.open_tasks(), 2);
    assert!(store.lease("general", 0).unwrap().is_none());
}

#[test]
fn everything_is_written_out_and_asked_for() {
    let scene = Scene::new().unwrap();
    let state = scene.path("state");
    let _store = filled(&state);
    let export = gwasp(&scene, &state, &["store", "export"]);
    let kinds: Vec<Value> = lines(&export)
        .iter()
        .map(|line| line["type"].clone())
        .collect();
    let expected = [
        "packet", "packet", "task", "task", "event", "event", "event", "event",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(lines(&export)[1]["payload_base64"], "PFZPRXZlbnQvPg==");

    let folder = scene.path("payloads");
    let to = ["store", "export", "--payloads", folder.to_str().unwrap()];
    let export = gwasp(&scene, &state, &to);
    let file = lines(&export)[0]["payload_file"].clone();
    let kept = std::fs::read(folder.join(file.as_str().unwrap())).unwrap();
    assert_eq!(kept.len(), LARGE);

    let query = "select handler, state, count(*) as n from tasks group by 1, 2";
    let answer = gwasp(&scene, &state, &["sql", "--json", query]);
    let row = serde_json::json!({"handler": "fermi.on_flight", "state": "PENDING", "n": 2});
    assert_eq!(lines(&answer), [row]);
    let refused = gwasp(&scene, &state, &["sql", "select nonsense from tasks"]);
    assert!(refused.stderr.contains("docs/sql.md"), "{refused:?}");
}
