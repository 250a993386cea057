use std::collections::HashMap;

use gwasp_formats::{Role, Scan, scan};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

use super::*;
use crate::config::VtpConfig;
use crate::intake::Delivery;
use crate::packet::{Flag, Key, Packet, Refusal};

const BROKER: &str = "ivo://org.example/broker";
const US: &str = "ivo://org.example/us";

fn clock() -> Timestamp {
    "2026-11-21T17:50:07Z".parse().unwrap()
}

/// A small event as Comet sends it.
fn event(local: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<voe:VOEvent \
         xmlns:voe=\"http://www.ivoa.net/xml/VOEvent/v2.0\" version=\"2.0\" \
         role=\"observation\" ivorn=\"ivo://org.example/test#{local}\">\n  \
         <What><Param name=\"Packet_Type\" value=\"112\"/></What>\n</voe:VOEvent>"
    )
}

fn ivorn(local: &str) -> String {
    format!("ivo://org.example/test#{local}")
}

fn config() -> VtpConfig {
    let mut config = VtpConfig::with_brokers(vec!["broker.test:8099".parse().unwrap()]);
    config.ivoid = US.to_owned();
    config
}

/// A session under way, with the test as its broker and as its store.
struct Scene {
    broker: DuplexStream,
    decoder: Decoder,
    store: Receiver<Delivery>,
    state: Arc<ListenerState>,
    stop: CancellationToken,
    session: JoinHandle<Ended>,
}

impl Scene {
    fn new() -> Self {
        Self::with(config(), 64 * 1024)
    }

    /// `window` is what the network holds in each direction, in bytes.
    fn with(config: VtpConfig, window: usize) -> Self {
        let (broker, stream) = duplex(window);
        let (intake, store) = Intake::channel(8);
        let state = Arc::new(ListenerState::new("gcn broker.test:8099"));
        let stop = CancellationToken::new();
        let (shared, order) = (Arc::clone(&state), stop.child_token());
        let session = tokio::spawn(async move {
            let session = Session {
                config: &config,
                intake: &intake,
                state: &shared,
                stop: order,
                clock,
            };
            session.run(stream).await
        });
        Self {
            broker,
            decoder: Decoder::new(1 << 20),
            store,
            state,
            stop,
            session,
        }
    }

    async fn send(&mut self, document: impl AsRef<[u8]>) {
        let mut bytes = Vec::new();
        frame::encode(document.as_ref(), &mut bytes).unwrap();
        self.send_raw(&bytes).await;
    }

    async fn send_raw(&mut self, bytes: &[u8]) {
        self.broker.write_all(bytes).await.unwrap();
    }

    /// The next thing that is handed over, with its tally and the way to answer.
    async fn delivery(&mut self) -> Delivery {
        self.store.recv().await.expect("a delivery")
    }

    async fn keep_packet(&mut self) -> Packet {
        let delivery = self.delivery().await;
        delivery.answer.send(Ok(Kept::New)).unwrap();
        match delivery.arrival {
            Arrival::Packet(packet) => packet,
            other => panic!("not a packet: {other:?}"),
        }
    }

    async fn keep_refusal(&mut self) -> Refusal {
        let delivery = self.delivery().await;
        delivery.answer.send(Ok(Kept::New)).unwrap();
        match delivery.arrival {
            Arrival::Refusal(refusal) => refusal,
            other => panic!("not a refusal: {other:?}"),
        }
    }

    /// The next document that the session writes.
    async fn answer(&mut self) -> TransportHead {
        loop {
            if let Some(document) = self.decoder.next_frame().unwrap() {
                let Ok(Scan::Transport(head)) = scan(&document, &[]) else {
                    panic!("no transport document: {document:?}");
                };
                return head;
            }
            let read = self.broker.read_buf(self.decoder.space()).await.unwrap();
            assert!(read > 0, "the session closed the connection");
        }
    }

    async fn check_acks(&mut self, local: &str) {
        let head = self.answer().await;
        assert_eq!(head.role, Some(TransportRole::Ack));
        assert_eq!(head.origin, Some(ivorn(local)));
        assert_eq!(head.response.as_deref(), Some(US));
    }

    /// Sends a good event and checks that it is handled: the connection has survived.
    async fn check_goes_on(&mut self, local: &str) {
        self.send(event(local)).await;
        assert_eq!(self.keep_packet().await.id, ivorn(local));
        self.check_acks(local).await;
    }

    /// Checks that `payload` becomes a packet between two good ones.
    async fn check_accepts(payload: &[u8]) -> Packet {
        let mut scene = Self::new();
        scene.check_goes_on("before").await;
        scene.send(payload).await;
        let packet = scene.keep_packet().await;
        assert_eq!(packet.payload, payload);
        let ack = scene.answer().await;
        assert_eq!(ack.role, Some(TransportRole::Ack));
        assert_eq!(ack.origin.as_ref(), Some(&packet.id));
        scene.check_goes_on("after").await;
        packet
    }

    /// Checks that `payload` is refused and kept raw between two good packets, without receipt.
    async fn check_refuses(payload: &[u8]) -> Refusal {
        let mut scene = Self::new();
        scene.check_goes_on("before").await;
        scene.send(payload).await;
        let refusal = scene.keep_refusal().await;
        assert_eq!(refusal.payload, payload);
        scene.check_goes_on("after").await;
        assert_eq!(scene.state.get(Count::Refused), 1);
        assert_eq!(scene.state.get(Count::Receipts), 2);
        refusal
    }

    /// Checks that the transport message `document` gets no answer and does no harm.
    async fn check_passes_over(document: &str) {
        let mut scene = Self::new();
        scene.send(document).await;
        scene.check_goes_on("after").await;
        assert_eq!(scene.state.get(Count::Transports), 1);
        assert_eq!(scene.state.get(Count::Ignored), 1);
    }

    /// Lets the session end and gives how it ended.
    async fn ended(self) -> (Ended, Arc<ListenerState>) {
        let Self {
            broker,
            store,
            state,
            session,
            ..
        } = self;
        let ended = session.await.unwrap();
        drop((broker, store));
        (ended, state)
    }
}

fn transport(role: &str, body: &str) -> String {
    format!("<Transport version='1.0' {role}>{body}</Transport>")
}

// ---- the conversation

#[tokio::test(start_paused = true)]
async fn an_event_is_acknowledged_once_it_is_kept() {
    let mut scene = Scene::new();
    scene.send(event("e1")).await;
    let delivery = scene.delivery().await;
    let Arrival::Packet(packet) = delivery.arrival else {
        panic!("no packet")
    };
    assert_eq!(packet.source, "gcn");
    assert_eq!(packet.id, ivorn("e1"));
    assert_eq!(packet.key.to_string(), "FERMI_GBM_GND_POS");
    assert_eq!(packet.role, Role::Observation);
    assert_eq!(packet.received, clock());
    assert_eq!(packet.payload, event("e1"));
    assert!(packet.flags.is_empty());

    // Not kept yet: an hour passes, of which the broker uses each minute, and no ack comes.
    for _ in 0..60 {
        scene
            .send(transport("role='iamalive'", "<Origin>b</Origin>"))
            .await;
        assert_eq!(scene.answer().await.role, Some(TransportRole::IAmAlive));
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    delivery.answer.send(Ok(Kept::New)).unwrap();
    scene.check_acks("e1").await;
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_acknowledged_too() {
    let mut scene = Scene::new();
    for kept in [Kept::New, Kept::Duplicate] {
        scene.send(event("e1")).await;
        scene.delivery().await.answer.send(Ok(kept)).unwrap();
        scene.check_acks("e1").await;
    }
    assert_eq!(scene.state.get(Count::Kept), 2);
    assert_eq!(scene.state.get(Count::Duplicates), 1);
}

#[tokio::test(start_paused = true)]
async fn acks_go_out_in_the_order_in_which_events_came() {
    let mut scene = Scene::new();
    let mut deliveries = Vec::new();
    for local in ["a", "b", "c"] {
        scene.send(event(local)).await;
        deliveries.push(scene.delivery().await);
    }
    // The disk answers the last first.
    for delivery in deliveries.into_iter().rev() {
        delivery.answer.send(Ok(Kept::New)).unwrap();
    }
    for local in ["a", "b", "c"] {
        scene.check_acks(local).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_delivery_carries_how_much_was_read() {
    let mut scene = Scene::new();
    scene.send(event("a")).await;
    scene.send(b"no packet").await;
    for read in [1, 2] {
        let delivery = scene.delivery().await;
        delivery.answer.send(Ok(Kept::New)).unwrap();
        let listener = "gcn broker.test:8099".into();
        assert_eq!(delivery.tally, Tally { listener, read });
    }
}

#[tokio::test(start_paused = true)]
async fn an_iamalive_is_answered_with_its_own_origin() {
    let mut scene = Scene::new();
    let origin = format!("<Origin>{BROKER}</Origin><TimeStamp>2026-11-21T17:50:59Z</TimeStamp>");
    scene.send(transport("role='iamalive'", &origin)).await;
    let answer = scene.answer().await;
    assert_eq!(answer.role, Some(TransportRole::IAmAlive));
    assert_eq!(answer.origin.as_deref(), Some(BROKER));
    assert_eq!(answer.response.as_deref(), Some(US));
    assert_eq!(answer.time_stamp.as_deref(), Some("2026-11-21T17:50:07Z"));
}

#[tokio::test(start_paused = true)]
async fn an_authenticate_is_answered_with_the_filters() {
    let mut config = config();
    config.filters = vec!["//Param[@name=\"Packet_Type\"]".to_owned()];
    let mut scene = Scene::with(config, 4096);
    scene
        .send(transport(
            "role='authenticate'",
            &format!("<Origin>{BROKER}</Origin>"),
        ))
        .await;
    let mut answer = vec![0; 4];
    scene.broker.read_exact(&mut answer).await.unwrap();
    let len = u32::from_be_bytes(answer.try_into().unwrap());
    let mut answer = vec![0; usize::try_from(len).unwrap()];
    scene.broker.read_exact(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("role=\"authenticate\""), "{answer}");
    assert!(
        answer.contains(&format!("<Origin>{BROKER}</Origin>")),
        "{answer}"
    );
    let filter = "name=\"xpath-filter\" value=\"//Param[@name=&quot;Packet_Type&quot;]\"";
    assert!(answer.contains(filter), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_the_disk() {
    let mut scene = Scene::new();
    scene.send(event("slow")).await;
    let delivery = scene.delivery().await;
    scene
        .send(transport("role='iamalive'", "<Origin>b</Origin>"))
        .await;
    assert_eq!(scene.answer().await.role, Some(TransportRole::IAmAlive));
    delivery.answer.send(Ok(Kept::New)).unwrap();
    scene.check_acks("slow").await;
}

// ---- ends

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_gets_no_receipt_and_ends_the_connection() {
    let mut scene = Scene::new();
    for local in ["kept", "lost", "late"] {
        scene.send(event(local)).await;
    }
    scene.keep_packet().await;
    let full = NotKept::Full {
        reason: "the disk has 200 MiB left".to_owned(),
    };
    scene.delivery().await.answer.send(Err(full)).unwrap();
    scene.delivery().await.answer.send(Ok(Kept::New)).unwrap();
    scene.check_acks("kept").await;

    let mut rest = Vec::new();
    scene.broker.read_to_end(&mut rest).await.unwrap();
    assert!(
        rest.is_empty(),
        "no receipt after the one that could not be given"
    );
    scene.broker.shutdown().await.unwrap();
    let (ended, state) = scene.ended().await;
    assert!(matches!(ended.end, End::NotKept(NotKept::Full { .. })));
    assert_eq!(state.get(Count::Read), 3);
    assert_eq!(state.get(Count::Kept), 2);
    assert_eq!(state.get(Count::Unconfirmed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_and_not_handed_over_is_told_at_the_end() {
    let mut scene = Scene::new();
    // More than the intake holds: the reading half waits when the first is not kept.
    let mut segment = Vec::new();
    for n in 0..20 {
        frame::encode(event(&n.to_string()).as_bytes(), &mut segment).unwrap();
    }
    scene.send_raw(&segment).await;
    let first = scene.delivery().await;
    let failed = NotKept::Failed {
        reason: "the disk does not answer".to_owned(),
    };
    first.answer.send(Err(failed)).unwrap();
    let (mut handed_over, mut told) = (1, 1);
    while let Some(delivery) = scene.store.recv().await {
        handed_over += u64::from(!matches!(delivery.arrival, Arrival::Nothing { .. }));
        told = delivery.tally.read;
    }
    let (_, state) = scene.ended().await;
    assert!(handed_over < state.get(Count::Read), "one was left over");
    assert_eq!(told, state.get(Count::Read));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_ends_the_connection() {
    let mut scene = Scene::new();
    scene.store.close();
    scene.send(event("e")).await;
    let (ended, state) = scene.ended().await;
    assert!(matches!(ended.end, End::NotKept(NotKept::Closed)));
    assert_eq!(state.get(Count::Unconfirmed), 1);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_acknowledges_what_it_read_and_closes() {
    let mut scene = Scene::new();
    scene.send(event("e")).await;
    let delivery = scene.delivery().await;
    scene.stop.cancel();
    tokio::task::yield_now().await;
    delivery.answer.send(Ok(Kept::New)).unwrap();
    scene.check_acks("e").await;
    scene.broker.shutdown().await.unwrap();
    let (ended, state) = scene.ended().await;
    assert!(matches!(ended.end, End::Stopped));
    assert_eq!(state.get(Count::Receipts), 1);
    assert_eq!(state.get(Count::Unconfirmed), 0);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_does_not_wait_for_ever_for_a_disk() {
    let mut scene = Scene::new();
    scene.send(event("e")).await;
    let delivery = scene.delivery().await;
    scene.stop.cancel();
    let Scene {
        session,
        state,
        broker,
        ..
    } = scene;
    let ended = session.await.unwrap();
    assert!(matches!(ended.end, End::Stopped));
    assert_eq!(state.get(Count::Unconfirmed), 1);
    drop((delivery, broker));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_closes_is_told_apart_from_one_that_breaks_off() {
    let mut scene = Scene::new();
    scene.check_goes_on("e").await;
    scene.broker.shutdown().await.unwrap();
    assert!(matches!(scene.ended().await.0.end, End::Closed));

    let mut scene = Scene::new();
    scene.send_raw(&[0, 0, 1, 0, b'<', b'?']).await;
    scene.broker.shutdown().await.unwrap();
    assert!(matches!(
        scene.ended().await.0.end,
        End::Truncated { bytes: 6 }
    ));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_after_the_broker_closed_is_not_lost() {
    let mut scene = Scene::new();
    scene.send(event("e")).await;
    scene.broker.shutdown().await.unwrap();
    scene.keep_packet().await;
    let (ended, state) = scene.ended().await;
    assert!(matches!(ended.end, End::Closed));
    assert_eq!(state.get(Count::Kept), 1);
    assert_eq!(state.get(Count::Unconfirmed), 0);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection() {
    let begun = Instant::now();
    let mut scene = Scene::new();
    scene.check_goes_on("e").await;
    let (ended, _) = scene.ended().await;
    assert!(matches!(ended.end, End::Silent { .. }));
    assert!(begun.elapsed() >= Duration::from_secs(150));
    assert!(
        ended.healthy,
        "it lived for more than a minute and brought a frame"
    );
}

#[tokio::test(start_paused = true)]
async fn empty_frames_are_no_sign_of_life() {
    let mut scene = Scene::new();
    for _ in 0..15 {
        scene.send_raw(&[0; 5]).await;
        sleep(Duration::from_secs(10)).await;
    }
    let (ended, state) = scene.ended().await;
    assert!(matches!(ended.end, End::Silent { .. } | End::Slow { .. }));
    assert!(state.get(Count::Ignored) >= 3);
    assert!(!ended.healthy, "it brought no frame");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_drips_is_given_up_after_its_deadline() {
    let mut scene = Scene::new();
    let begun = Instant::now();
    let (dripping, mut rest) = tokio::io::split(scene.broker);
    let drip = tokio::spawn(async move {
        let mut dripping = dripping;
        let mut ignored = Vec::new();
        dripping.read_to_end(&mut ignored).await
    });
    let mut bytes = Vec::new();
    frame::encode(event("drip").as_bytes(), &mut bytes).unwrap();
    for byte in bytes {
        if rest.write_all(&[byte]).await.is_err() || scene.session.is_finished() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    drop(rest);
    let ended = scene.session.await.unwrap();
    assert!(matches!(ended.end, End::Slow { .. }), "{:?}", ended.end);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(scene.store.try_recv().is_err());
    drip.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_frame_may_come_a_byte_at_a_time_if_it_comes_fast() {
    let mut scene = Scene::new();
    let mut bytes = Vec::new();
    frame::encode(event("bytes").as_bytes(), &mut bytes).unwrap();
    for byte in bytes {
        scene.send_raw(&[byte]).await;
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(scene.keep_packet().await.id, ivorn("bytes"));
    scene.check_acks("bytes").await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_reads_our_acks_is_given_up() {
    // The network holds 1 KiB of answers; more than that is never read.
    let mut scene = Scene::with(config(), 1024);
    for n in 0..8 {
        scene.send(event(&n.to_string())).await;
        scene.keep_packet().await;
    }
    let (ended, state) = scene.ended().await;
    assert!(matches!(ended.end, End::Unread { .. }), "{:?}", ended.end);
    assert_eq!(state.get(Count::Unconfirmed), 0, "all eight are on disk");
}

#[tokio::test(start_paused = true)]
async fn a_flood_stops_at_the_bound_and_nothing_of_it_is_lost() {
    const FLOOD: usize = 10_000;
    let mut scene = Scene::new();
    let (mut answers, mut events) = tokio::io::split(scene.broker);
    let flood = tokio::spawn(async move {
        for n in 0..FLOOD {
            let mut bytes = Vec::new();
            frame::encode(event(&n.to_string()).as_bytes(), &mut bytes).unwrap();
            events.write_all(&bytes).await.unwrap();
        }
        events
    });
    // The store takes what it gets and answers nothing, until nothing more comes.
    let mut taken = Vec::new();
    while let Ok(delivery) = timeout(Duration::from_secs(10), scene.store.recv()).await {
        taken.push(delivery.unwrap());
    }
    // Beside the queue: the first in line, and the one that waits for a place.
    assert!(
        taken.len() <= IN_FLIGHT + 1,
        "{} are in flight",
        taken.len()
    );
    assert!(scene.state.get(Count::Read) <= u64::try_from(IN_FLIGHT).unwrap() + 2);

    let store = tokio::spawn(async move {
        for delivery in taken {
            delivery.answer.send(Ok(Kept::New)).unwrap();
        }
        while let Some(delivery) = scene.store.recv().await {
            delivery.answer.send(Ok(Kept::New)).unwrap();
        }
    });
    let mut decoder = Decoder::new(1 << 20);
    for n in 0..FLOOD {
        let document = loop {
            if let Some(document) = decoder.next_frame().unwrap() {
                break document;
            }
            answers.read_buf(decoder.space()).await.unwrap();
        };
        let origin = format!("<Origin>{}</Origin>", ivorn(&n.to_string()));
        assert!(str::from_utf8(&document).unwrap().contains(&origin));
    }
    drop((answers, flood.await.unwrap()));
    scene.session.await.unwrap();
    store.await.unwrap();
    assert_eq!(scene.state.get(Count::Kept), u64::try_from(FLOOD).unwrap());
}

// ---- bad input: the connection that cannot go on

#[track_caller]
fn check_no_vtp(ended: &Ended, words: &str) {
    let End::Frame(error) = &ended.end else {
        panic!("{:?}", ended.end)
    };
    assert!(error.to_string().contains(words), "{error}");
}

async fn check_closes(stream: &[u8], words: &str) {
    let mut scene = Scene::new();
    scene.check_goes_on("before").await;
    scene.send_raw(stream).await;
    let mut rest = Vec::new();
    scene.broker.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "nothing is answered");
    scene.broker.shutdown().await.unwrap();
    let (ended, state) = scene.ended().await;
    check_no_vtp(&ended, words);
    assert_eq!(state.get(Count::Read), 1, "no partial frame is handed over");
}

#[tokio::test(start_paused = true)]
async fn a_length_above_the_limit_closes() {
    check_closes(&[0xff; 4], "raise `max_packet`").await;
}

#[tokio::test(start_paused = true)]
async fn a_packet_above_the_limit_closes_and_leaves_a_trace() {
    let mut scene = Scene::new();
    scene.check_goes_on("before").await;
    scene.send_raw(&[0x00, 0x10, 0x00, 0x01, b'<']).await;
    let refusal = scene.keep_refusal().await;
    assert!(
        refusal.reason.contains("claims 1048577 bytes"),
        "{}",
        refusal.reason
    );
    assert!(
        refusal.reason.contains("raise `max_packet`"),
        "{}",
        refusal.reason
    );
    scene.broker.shutdown().await.unwrap();
    let (ended, state) = scene.ended().await;
    check_no_vtp(&ended, "claims 1048577 bytes");
    assert_eq!(state.get(Count::Read), 2, "it is counted");
}

#[tokio::test(start_paused = true)]
async fn a_little_endian_length_closes() {
    check_closes(&[0xee, 0x01, 0, 0, b'<', b'?'], "little-endian").await;
}

#[tokio::test(start_paused = true)]
async fn http_closes() {
    check_closes(b"GET / HTTP/1.1\r\n\r\n", "looks like HTTP").await;
}

#[tokio::test(start_paused = true)]
async fn a_tls_hello_closes() {
    check_closes(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "looks like TLS").await;
}

// ---- bad input: the connection goes on

#[tokio::test(start_paused = true)]
async fn many_frames_in_one_segment_are_all_handled() {
    let mut scene = Scene::new();
    let mut segment = Vec::new();
    for n in 0..20 {
        frame::encode(event(&n.to_string()).as_bytes(), &mut segment).unwrap();
    }
    scene.send_raw(&segment).await;
    for n in 0..20 {
        assert_eq!(scene.keep_packet().await.id, ivorn(&n.to_string()));
    }
    for n in 0..20 {
        scene.check_acks(&n.to_string()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_frame_is_passed_over() {
    let mut scene = Scene::new();
    scene.check_goes_on("before").await;
    scene.send(b"").await;
    scene.check_goes_on("after").await;
    assert_eq!(scene.state.get(Count::Ignored), 1);
}

#[tokio::test(start_paused = true)]
async fn entities_are_refused_and_never_expanded() {
    let root = event("bomb").replace("<?xml version='1.0' encoding='UTF-8'?>\n", "");
    let laughs = format!("<!DOCTYPE v [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>{root}");
    Scene::check_refuses(laughs.as_bytes()).await;
    let external = format!("<!DOCTYPE v [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>{root}");
    Scene::check_refuses(external.as_bytes()).await;
}

#[tokio::test(start_paused = true)]
async fn a_doctype_without_entities_is_accepted() {
    let root = event("doctype").replace("<?xml version='1.0' encoding='UTF-8'?>\n", "");
    Scene::check_accepts(format!("<!DOCTYPE VOEvent>{root}").as_bytes()).await;
}

#[tokio::test(start_paused = true)]
async fn too_deep_documents_and_too_long_attributes_are_refused() {
    let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
    let inner = format!("<What>{deep}");
    Scene::check_refuses(event("deep").replace("<What>", &inner).as_bytes()).await;
    Scene::check_refuses(event(&"x".repeat(90_000)).as_bytes()).await;
}

#[tokio::test(start_paused = true)]
async fn nine_megabytes_of_params_pass_where_the_limit_lets_them() {
    let param = "<Param name=\"p\" value=\"0123456789\"/>";
    let many = format!("<What>{}", param.repeat(9 * 1024 * 1024 / param.len()));
    let mut config = config();
    config.max_packet = (16 << 20).try_into().unwrap();
    let mut scene = Scene::with(config, 64 * 1024);
    scene.send(event("large").replace("<What>", &many)).await;
    assert_eq!(scene.keep_packet().await.id, ivorn("large"));
    scene.check_acks("large").await;
    scene.check_goes_on("after").await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_xml_document_are_kept_raw() {
    let good = event("x");
    let latin1 = [
        good.replace("<What>", "<What><Param name='").as_bytes(),
        &[0xe9],
    ]
    .concat();
    let trailing_nul = [good.as_bytes(), b"\0"].concat();
    let cases: [&[u8]; 9] = [
        b"not XML at all".as_slice(),
        b"   \n ",
        b"{\"json\": true}",
        &latin1,
        &trailing_nul,
        &good.replace("112", "1\u{0}2").into_bytes(),
        &format!("  {good}").into_bytes(),
        &format!("{good}{good}").into_bytes(),
        &good.as_bytes()[..good.len() - 9],
    ];
    for case in cases {
        Scene::check_refuses(case).await;
    }
}

#[tokio::test(start_paused = true)]
async fn byte_order_marks_utf_16_and_declared_latin_1_are_accepted() {
    let good = event("x");
    Scene::check_accepts(format!("\u{feff}{good}").as_bytes()).await;
    Scene::check_accepts(format!("{good}\n").as_bytes()).await;
    let declared = good
        .replace("UTF-8", "ISO-8859-1")
        .replace("<What>", "<What><!-- \u{e9} -->");
    let latin1: Vec<u8> = declared.chars().map(|c| u8::try_from(c).unwrap()).collect();
    Scene::check_accepts(&latin1).await;
    let declared = good.replace("UTF-8", "UTF-16");
    let utf16: Vec<u8> = "\u{feff}"
        .chars()
        .chain(declared.chars())
        .flat_map(|c| u16::try_from(u32::from(c)).unwrap().to_le_bytes())
        .collect();
    Scene::check_accepts(&utf16).await;
}

#[tokio::test(start_paused = true)]
async fn a_document_of_another_kind_is_refused_by_its_name() {
    let refusal = Scene::check_refuses(b"<html><body>502 Bad Gateway</body></html>").await;
    assert_eq!(
        refusal.reason,
        "the document is `html`, neither VOEvent nor Transport"
    );
}

#[tokio::test(start_paused = true)]
async fn a_voevent_without_an_ivorn_cannot_be_acknowledged() {
    let nameless = event("x").replace("ivorn=\"ivo://org.example/test#x\"", "");
    let refusal = Scene::check_refuses(nameless.as_bytes()).await;
    assert!(refusal.reason.contains("no ivorn"), "{}", refusal.reason);
}

#[tokio::test(start_paused = true)]
async fn an_odd_ivorn_is_escaped_in_the_ack_and_flagged() {
    let odd = event("x").replace("ivo://org.example/test#x", "a&amp;b&lt;c&#10;d");
    let packet = Scene::check_accepts(odd.as_bytes()).await;
    assert_eq!(packet.id, "a&b<c\nd");
    assert_eq!(packet.flags, [Flag::OddIvorn]);
}

#[tokio::test(start_paused = true)]
async fn every_version_and_namespace_is_accepted() {
    let good = event("x");
    for (from, to) in [
        ("version=\"2.0\"", "version=\"1.1\""),
        ("VOEvent/v2.0", "VOEvent/v2.1"),
        ("http://www.ivoa", "https://www.ivoa"),
        ("xmlns:voe=\"http://www.ivoa.net/xml/VOEvent/v2.0\"", ""),
        ("voe:VOEvent", "VOEvent"),
    ] {
        Scene::check_accepts(good.replace(from, to).as_bytes()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_usable_type_has_no_key() {
    let good = event("x");
    let missing = good.replace("Packet_Type", "Other");
    let packet = Scene::check_accepts(missing.as_bytes()).await;
    assert_eq!((packet.key, packet.flags), (Key::None, vec![]));
    for bad in [
        "value=\"gnd\"",
        "value=\"70000\"",
        "value=\"-1\"",
        "value=\"\"",
        "",
    ] {
        let packet = Scene::check_accepts(good.replace("value=\"112\"", bad).as_bytes()).await;
        assert_eq!(
            (packet.key, packet.flags),
            (Key::None, vec![Flag::BadNoticeType]),
            "{bad}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_types_the_first_counts_and_the_packet_is_flagged() {
    let twice = event("x").replace("<What>", "<What><Param name='Packet_Type' value='61'/>");
    let packet = Scene::check_accepts(twice.as_bytes()).await;
    assert_eq!(packet.key.to_string(), "SWIFT_BAT_GRB_POS_ACK");
    assert_eq!(packet.flags, [Flag::RepeatedNoticeType]);
}

#[tokio::test(start_paused = true)]
async fn keepalives_and_kills_that_come_as_events_are_packets() {
    for number in ["3", "4", "142", "143"] {
        let packet = Scene::check_accepts(event("x").replace("112", number).as_bytes()).await;
        let Key::Notice(notice_type) = packet.key else {
            panic!("no notice")
        };
        assert!(notice_type.is_keepalive(), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_role_is_an_observation_and_flagged() {
    let odd = event("x").replace("observation", "observe");
    let packet = Scene::check_accepts(odd.as_bytes()).await;
    assert_eq!(packet.role, Role::Observation);
    assert_eq!(packet.flags, [Flag::UnknownRole]);
}

#[tokio::test(start_paused = true)]
async fn the_same_element_with_another_prolog_is_the_same_packet() {
    let good = event("x");
    let mut identities = HashMap::new();
    for payload in [
        good.clone(),
        good.replace("?>\n", "?>\n<!-- relayed -->\n"),
        good.replace("'1.0' encoding='UTF-8'", "\"1.0\""),
        format!("{good}\n<!-- after -->"),
    ] {
        let packet = Scene::check_accepts(payload.as_bytes()).await;
        *identities.entry(packet.identity).or_insert(0) += 1;
    }
    assert_eq!(identities.values().collect::<Vec<_>>(), [&4]);
    let other = Scene::check_accepts(good.replace("112", "115").as_bytes()).await;
    assert!(
        !identities.contains_key(&other.identity),
        "same IVORN, other bytes"
    );
}

#[tokio::test(start_paused = true)]
async fn an_iamalive_is_answered_with_what_there_is() {
    for (body, origin) in [
        ("", None),
        ("<Origin/>", None),
        ("<Origin></Origin>", None),
        ("<Origin>a&amp;b</Origin>", Some("a&b")),
    ] {
        let mut scene = Scene::new();
        scene.send(transport("role='iamalive'", body)).await;
        let answer = scene.answer().await;
        assert_eq!(answer.role, Some(TransportRole::IAmAlive));
        assert_eq!(answer.origin.as_deref(), origin);
        scene.check_goes_on("after").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_in_an_odd_namespace_is_answered() {
    let mut scene = Scene::new();
    let odd = transport("xmlns='urn:odd' role='iamalive'", "<Origin>o</Origin>");
    scene.send(odd).await;
    assert_eq!(scene.answer().await.origin.as_deref(), Some("o"));
}

#[tokio::test(start_paused = true)]
async fn stray_transport_messages_are_passed_over() {
    for role in ["", "role='shutdown'", "role='ack'", "role='nak'"] {
        Scene::check_passes_over(&transport(role, "<Origin>o</Origin>")).await;
    }
}
