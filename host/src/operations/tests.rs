use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use gwasp_formats::{NoticeType, Role};
use jiff::Timestamp;

use super::{RedispatchError, Resumed, redispatch, redispatch_held, resume};
use crate::broker::{
    Accepted, Commit, Embedded, Failure, Lease, Operations, Origin, PacketSeq, State, Step, TaskId,
    TaskSelection,
};
use crate::dispatch::offer;
use crate::packet::{Digest, Key, Packet};
use crate::routes::{Manifest, PluginRoutes, Routes, Unmatched};

const MANIFEST: &str = r#"{"format":1,"sdk":"0.1.0","entries":[
    {"name":"on_flight","kind":"handler","keys":[{"notice":111}]},
    {"name":"on_ground","kind":"handler","keys":[{"notice":112}]}]}"#;

fn routes(broker: &Arc<dyn Operations>) -> Routes {
    declared(broker, MANIFEST)
}

fn declared(broker: &Arc<dyn Operations>, manifest: &str) -> Routes {
    let manifest = Manifest::read(manifest).unwrap();
    let plugin = PluginRoutes {
        plugin: "fermi".to_owned(),
        generation: 1,
        digest: Digest::of(b"fermi"),
        manifest,
    };
    Routes::new(broker.routes().unwrap().0, &[plugin])
}

/// A packet that `fermi.on_flight` asks for.
fn packet() -> Packet {
    let payload = Bytes::from_static(b"<VOEvent/>");
    Packet {
        source: "gcn".to_owned(),
        key: Key::Notice(NoticeType(111)),
        id: "ivo://nasa.gsfc.gcn/Fermi#1".to_owned(),
        identity: Digest::of(&payload),
        role: Role::Observation,
        received: Timestamp::UNIX_EPOCH,
        sent: None,
        content_type: "application/xml",
        headers: Vec::new(),
        flags: Vec::new(),
        payload,
    }
}

/// A broker with one packet and one task, which is leased.
async fn stage() -> (
    tempfile::TempDir,
    Arc<dyn Operations>,
    Routes,
    PacketSeq,
    Lease,
) {
    let directory = tempfile::tempdir().unwrap();
    let broker = Embedded::open(directory.path(), BTreeSet::new()).unwrap();
    let broker: Arc<dyn Operations> = Arc::new(broker);
    let routes = routes(&broker);
    let offers = vec![offer(&packet(), &routes)];
    let accepted = broker.accept(routes.generation(), offers).await.unwrap();
    let [Accepted::New(seq)] = accepted[..] else {
        panic!("{accepted:?}");
    };
    let lease = broker.lease("general", 0).await.unwrap();
    (directory, broker, routes, seq, lease)
}

async fn end(broker: &Arc<dyn Operations>, lease: &Lease, step: Step) {
    let commit = Commit::bare(lease.task, lease.token, [7; 32], step);
    broker.commit(vec![commit]).await.pop().unwrap().unwrap();
}

#[tokio::test]
async fn a_packet_that_is_dispatched_again_makes_new_tasks_each_time() {
    let (_keep, broker, routes, packet, first) = stage().await;
    end(&broker, &first, Step::Succeed { result: None }).await;
    let mut seen = BTreeSet::from([first.task]);
    for dispatch in 1..=2 {
        let made = redispatch(&broker, &routes, packet, None).await.unwrap();
        assert_eq!((made.dispatch, made.tasks.len()), (dispatch, 1));
        let lease = broker.lease("general", 0).await.unwrap();
        assert_eq!(made.tasks[0], (lease.task, "fermi.on_flight".to_owned()));
        assert_eq!(lease.origin, Origin::Redispatch);
        assert!(seen.insert(lease.task), "another task");
    }
}

#[tokio::test]
async fn a_packet_is_dispatched_to_the_handlers_that_are_named() {
    let (_keep, broker, routes, packet, _) = stage().await;
    let named = ["fermi.on_ground".to_owned()];
    let made = redispatch(&broker, &routes, packet, Some(&named)).await;
    assert_eq!(made.unwrap().tasks[0].1, "fermi.on_ground");

    let misspelt = ["fermi.on_grund".to_owned()];
    let refused = redispatch(&broker, &routes, packet, Some(&misspelt)).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("fermi.on_ground"), "{refused}");
    let none = redispatch(&broker, &routes, PacketSeq(9), None).await;
    assert!(matches!(none, Err(RedispatchError::Unknown(9))));
}

#[tokio::test]
async fn a_task_that_is_set_aside_is_resumed_while_the_host_runs() {
    let (_keep, broker, _, _, lease) = stage().await;
    let task = lease.task;
    let one = || TaskSelection::Ids(vec![task, TaskId([0; 16])]);
    let resumed = resume(&broker, one(), None, "alice").await.unwrap();
    let expected = [
        (task, Resumed::Not(State::Pending)),
        (TaskId([0; 16]), Resumed::Unknown),
    ];
    assert_eq!(resumed, expected);

    let failure = Failure {
        kind: "error".to_owned(),
        message: "m".to_owned(),
        detail: None,
    };
    end(&broker, &lease, Step::Fail { failure }).await;
    let decision = crate::effects::Decision::NotDone;
    let refused = resume(&broker, one(), Some(&decision), "alice")
        .await
        .unwrap();
    assert!(matches!(&refused[0].1, Resumed::Refused(why) if why.contains("no effect")));
    let resumed = resume(&broker, one(), None, "alice").await.unwrap();
    assert_eq!(resumed[0].1, Resumed::Waits { replayed: 0 });
    assert_eq!(broker.lease("general", 0).await.unwrap().task, task);
}

#[tokio::test]
async fn what_was_held_back_is_made_up_for_once() {
    let (_keep, broker, before, _, _) = stage().await;
    let test = Packet {
        identity: Digest::of(b"test"),
        role: Role::Test,
        ..packet()
    };
    let offers = vec![offer(&test, &before)];
    assert_eq!(offers[0].unmatched.as_deref(), Some("held-back"));
    broker.accept(before.generation(), offers).await.unwrap();
    let held = (Unmatched::HeldBack, 0);
    let done = redispatch_held(&broker, &before, held, None).await.unwrap();
    assert_eq!((done.packets, done.unmatched, done.tasks.len()), (1, 1, 0));

    let options = r#"[{"notice":111}],"options":[["accept","test"]]"#;
    let after = declared(&broker, &MANIFEST.replace(r#"[{"notice":111}]"#, options));
    let done = redispatch_held(&broker, &after, held, None).await.unwrap();
    assert_eq!((done.packets, done.unmatched, done.tasks.len()), (1, 0, 1));
    let lease = broker.lease("general", 0).await.unwrap();
    let made = (lease.task, "fermi.on_flight".to_owned());
    assert_eq!((done.tasks, lease.origin), (vec![made], Origin::Redispatch));

    let again = redispatch_held(&broker, &after, held, None).await.unwrap();
    assert_eq!((again.packets, again.tasks), (1, Vec::new()));
    let later = (Unmatched::HeldBack, 1);
    let none = redispatch_held(&broker, &after, later, None).await.unwrap();
    assert_eq!(none.packets, 0);
    let age = (Unmatched::TooOld, 0);
    let none = redispatch_held(&broker, &after, age, None).await.unwrap();
    assert_eq!(none.packets, 0);
}

#[tokio::test]
async fn a_packet_that_a_backup_brought_back_reaches_only_who_takes_old_ones_or_is_named() {
    let (keep, broker, before, packet, first) = stage().await;
    end(&broker, &first, Step::Succeed { result: None }).await;
    broker.close().await.unwrap();
    let backup = keep.path().join("backup");
    gwasp_store::backup(keep.path(), &backup, "alice", 1).unwrap();
    let broker = Embedded::open(&backup, BTreeSet::new()).unwrap();
    let broker: Arc<dyn Operations> = Arc::new(broker);
    let paused = broker.pauses().unwrap().remove(0);
    broker.unpause(paused.scope).await.unwrap();

    let refused = redispatch(&broker, &before, packet, None).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("accept(old)"), "{refused}");
    let named = ["fermi.on_flight".to_owned()];
    redispatch(&broker, &before, packet, Some(&named))
        .await
        .unwrap();
    let lease = broker.lease("general", 0).await.unwrap();
    assert!(lease.is_asked, "it may have been done since the backup");

    let options = r#"[{"notice":111}],"options":[["accept","old"]]"#;
    let takes_old = declared(&broker, &MANIFEST.replace(r#"[{"notice":111}]"#, options));
    let made = redispatch(&broker, &takes_old, packet, None).await.unwrap();
    assert_eq!(made.tasks[0].1, "fermi.on_flight");
}
