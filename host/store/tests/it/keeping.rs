//! Packets: what is kept, what is known, what is refused.

use bytes::Bytes;
use gwasp_store::{Accepted, Input, NewRefusal, OpenError, PacketFilter, Store, StoreError};

use crate::common::{QUEUE, Rig, offer, packet_of, sha256, success, task, wait};

#[test]
fn a_packet_is_kept_with_its_exact_bytes_and_makes_one_task_per_handler() {
    let rig = Rig::new();
    let seq = rig.keep(offer("1", &["1/a", "1/b"]));

    let reader = rig.store().reader().unwrap();
    let kept = reader.packet(seq).unwrap().unwrap().packet;
    let sent = offer("1", &[]).packet;
    assert_eq!(kept.payload, sent.payload);
    assert_eq!(kept.headers, sent.headers);
    assert_eq!(kept.identity, sent.identity);
    assert_eq!(rig.store().depth(QUEUE).ready, 2);
    rig.check_sound();
}

#[test]
fn the_same_packet_again_is_a_duplicate_and_makes_nothing() {
    let rig = Rig::new();
    let seq = rig.keep(offer("1", &["1/a"]));
    assert_eq!(
        rig.accept(offer("1", &["1/a", "1/b"])),
        Accepted::Duplicate(seq)
    );
    assert_eq!(rig.store().depth(QUEUE).ready, 1);
    let packets = rig
        .store()
        .reader()
        .unwrap()
        .packets(&PacketFilter::default());
    assert_eq!(packets.unwrap()[0].repeats, 1);
    rig.check_sound();
}

#[test]
fn a_known_packet_under_another_key_shares_the_payload_and_makes_only_new_tasks() {
    let rig = Rig::new();
    let first = rig.keep(offer("1", &["1/a"]));
    let mut other = offer("1", &["1/a", "1/b"]);
    other.packet.key = "gcn.classic.voevent.FERMI_GBM_GND_POS".to_owned();
    let second = rig.keep(other);

    let reader = rig.store().reader().unwrap();
    let view = reader.packet_view(second).unwrap().unwrap();
    assert_eq!(view.same_as, Some(first));
    assert!(view.flags.is_empty());
    let payloads = [first, second].map(|seq| reader.packet(seq).unwrap().unwrap().packet.payload);
    assert_eq!(payloads[0], payloads[1]);
    assert_eq!(rig.store().depth(QUEUE).ready, 2);
    rig.check_sound();
}

#[test]
fn one_identity_with_other_bytes_around_it_keeps_both() {
    let rig = Rig::new();
    let first = rig.keep(offer("1", &[]));
    let mut other = offer("1", &[]);
    other.packet.key = "other".to_owned();
    other.packet.payload = Bytes::from_static(b"<?xml version='1.0'?><voe:VOEvent/>");
    other.packet.digest = sha256(&other.packet.payload);
    let second = rig.keep(other.clone());

    let reader = rig.store().reader().unwrap();
    let kept = reader.packet(second).unwrap().unwrap();
    assert_eq!(kept.packet.payload, other.packet.payload);
    assert_eq!(
        reader.packet_view(second).unwrap().unwrap().same_as,
        Some(first)
    );
    rig.check_sound();
}

#[test]
fn one_id_with_other_bytes_is_kept_and_flagged() {
    let rig = Rig::new();
    rig.keep(offer("1", &["1/a"]));
    let mut changed = offer("2", &["2/a"]);
    changed.packet.id = offer("1", &[]).packet.id;
    let seq = rig.keep(changed);

    let view = rig
        .store()
        .reader()
        .unwrap()
        .packet_view(seq)
        .unwrap()
        .unwrap();
    assert_eq!(view.flags, ["same-id-other-bytes"]);
    assert_eq!(rig.store().depth(QUEUE).ready, 2);
}

#[test]
fn packets_of_one_group_see_each_other() {
    let rig = Rig::new();
    let offers = vec![offer("1", &["1/a"]), offer("1", &["1/a"]), offer("2", &[])];
    let accepted = wait(rig.store().accept(0, offers)).unwrap();
    assert!(matches!(
        accepted.as_slice(),
        [Accepted::New(a), Accepted::Duplicate(b), Accepted::New(_)] if a == b
    ));
    rig.check_sound();
}

#[test]
fn a_packet_decided_under_old_routes_is_a_conflict_and_nothing_is_kept() {
    let rig = Rig::new();
    let generation = wait(rig.store().put_route("fermi-log", [1; 32], "{}")).unwrap();
    let refused = wait(rig.store().accept(0, vec![offer("1", &["1/a"])]));
    assert!(matches!(
        refused,
        Err(StoreError::Conflict { given: 0, current }) if current == generation
    ));
    let packets = rig
        .store()
        .reader()
        .unwrap()
        .packets(&PacketFilter::default());
    assert!(packets.unwrap().is_empty());
    rig.keep(offer("1", &["1/a"]));
    rig.check_sound();
}

#[test]
fn routes_bump_the_generation_and_are_there_after_a_crash() {
    let mut rig = Rig::new();
    assert_eq!(rig.store().routes().unwrap(), (0, Vec::new()));
    wait(rig.store().put_route("a", [1; 32], "{\"v\":1}")).unwrap();
    wait(rig.store().put_route("b", [2; 32], "{}")).unwrap();
    wait(rig.store().put_route("a", [3; 32], "{\"v\":2}")).unwrap();
    wait(rig.store().remove_route("b")).unwrap();
    rig.crash();
    let (generation, routes) = rig.store().routes().unwrap();
    assert_eq!(generation, 4);
    assert_eq!(routes.len(), 1);
    assert_eq!((routes[0].generation, routes[0].digest), (3, [3; 32]));
}

#[test]
fn refused_bytes_are_kept_up_to_a_bound_and_counted() {
    let rig = Rig::with(|options| options.refusal_cut = 10);
    let refusal = NewRefusal {
        source: "gcn".to_owned(),
        received: crate::common::START,
        reason: "no VOEvent".to_owned(),
        payload: Bytes::from_static(b"0123456789abcdef"),
    };
    wait(rig.store().refuse(vec![refusal])).unwrap();
    wait(rig.store().note_unconfirmed("gcn", 3)).unwrap();
    let reader = rig.store().reader().unwrap();
    let refusals = reader.refusals(Some("gcn"), None, None).unwrap();
    assert_eq!(refusals[0].payload.as_ref(), b"0123456789");
    assert_eq!(refusals[0].length, 16);
    rig.check_sound();
}

#[test]
fn large_payloads_and_blobs_live_in_segment_files_and_come_back() {
    let mut rig = Rig::with(|options| options.segment_size = 100_000);
    let mut kept = Vec::new();
    for fill in 0..8_u8 {
        let payload = Bytes::from(vec![fill; 40_000]);
        let mut offer = offer("", &[]);
        offer.packet = packet_of(&fill.to_string(), payload.clone());
        offer.tasks = vec![task(&format!("{fill}/a"))];
        kept.push((rig.keep(offer), payload));
    }
    let small = wait(rig.store().put_blob(Bytes::from_static(b"small"))).unwrap();
    let large = wait(rig.store().put_blob(Bytes::from(vec![9; 70_000]))).unwrap();
    assert_eq!(
        wait(rig.store().put_blob(Bytes::from(vec![9; 70_000]))).unwrap(),
        large
    );
    rig.crash();

    assert!(
        std::fs::read_dir(rig.path().join("segments"))
            .unwrap()
            .count()
            > 2
    );
    for (seq, payload) in kept {
        let lease = rig.lease();
        let Input::Packet(record) = &lease.input else {
            panic!("the input is a packet")
        };
        assert_eq!((record.seq, &record.packet.payload), (seq, &payload));
        rig.commit(success(&lease));
    }
    assert_eq!(
        rig.store().blob(&small).unwrap().unwrap().as_ref(),
        b"small"
    );
    assert_eq!(
        rig.store().blob(&large).unwrap().unwrap().as_ref(),
        [9; 70_000]
    );
    assert_eq!(rig.store().blob(&[0; 32]).unwrap(), None);
    rig.check_sound();
}

#[test]
fn what_exceeds_a_bound_is_refused_by_name() {
    let rig = Rig::with(|options| options.max_payload = 1_000);
    let mut large = offer("1", &["1/a"]);
    large.packet = packet_of("1", Bytes::from(vec![0; 1_001]));
    let refused = wait(rig.store().accept(0, vec![large]));
    let expected = "a payload of 1001 exceeds the limit of 1000; make it smaller or use a blob";
    assert_eq!(refused.unwrap_err().to_string(), expected);
}

#[test]
fn a_second_writer_is_refused_by_the_first_ones_pid() {
    let rig = Rig::new();
    match Store::open(&rig.path(), rig.options.clone()) {
        Err(OpenError::Locked { pid, started, .. }) => {
            assert_eq!(pid, std::process::id());
            assert_eq!(started, crate::common::START);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_close_the_store_may_be_opened_while_handles_remain() {
    let rig = Rig::new();
    wait(rig.store().close()).unwrap();
    assert!(matches!(
        wait(rig.store().accept(0, vec![offer("1", &[])])),
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        rig.store().lease(QUEUE, 0),
        Err(StoreError::Closed)
    ));
    Store::open(&rig.path(), rig.options.clone()).unwrap();
}
