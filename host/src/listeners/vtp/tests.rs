use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;

use bytes::Bytes;
use gwasp_formats::{Scan, TransportRole, scan};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::author::{Receipt, submit};
use super::broadcast::{BroadcastConfig, Broadcaster, Event};
use super::frame::Decoder;
use super::transport::{Kind, Transport};
use super::*;
use crate::config::{BrokerAddress, TlsConfig, VtpConfig};
use crate::intake::{Delivery, Kept};
use crate::packet::Packet;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn document(n: usize) -> Bytes {
    format!(
        "<VOEvent ivorn='ivo://org.example/test#{n}' version='2.0'><What>\
         <Param name='Packet_Type' value='112'/></What></VOEvent>"
    )
    .into()
}

fn event(n: usize) -> Event {
    Event {
        ivorn: format!("ivo://org.example/test#{n}").into(),
        document: document(n),
    }
}

// ---- connecting again, in simulated time

/// A network with one broker on it, which the test plays.
struct Network {
    /// The other end of each connection; closed when the broker refuses.
    connections: mpsc::Sender<DuplexStream>,
    dials: Arc<Mutex<Vec<Instant>>>,
}

impl Dial for Network {
    type Stream = DuplexStream;

    async fn dial(&mut self) -> Result<DuplexStream, DialError> {
        self.dials.lock().unwrap().push(Instant::now());
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        match self.connections.send(theirs).await {
            Ok(()) => Ok(ours),
            Err(_refused) => Err(DialError::Connect {
                address: LOOPBACK,
                source: std::io::ErrorKind::ConnectionRefused.into(),
            }),
        }
    }
}

/// A link on that network; its jitter takes nothing away.
struct Simulation {
    connections: mpsc::Receiver<DuplexStream>,
    dials: Arc<Mutex<Vec<Instant>>>,
    state: Arc<ListenerState>,
    stop: CancellationToken,
    link: JoinHandle<()>,
    /// Keeps the store open.
    store: mpsc::Receiver<Delivery>,
}

/// Answers what a link says of its connections, and hands on the rest.
async fn note_connections(mut from: mpsc::Receiver<Delivery>, to: mpsc::Sender<Delivery>) {
    while let Some(delivery) = from.recv().await {
        if matches!(delivery.arrival, Arrival::Connected { .. }) {
            delivery.answer.send(Ok(Kept::New)).unwrap();
        } else {
            to.send(delivery).await.unwrap();
        }
    }
}

impl Simulation {
    fn new() -> Self {
        let (sender, connections) = mpsc::channel(1);
        let dials = Arc::new(Mutex::default());
        let network = Network {
            connections: sender,
            dials: Arc::clone(&dials),
        };
        let (intake, deliveries) = Intake::channel(8);
        let (packets, store) = mpsc::channel(8);
        tokio::spawn(note_connections(deliveries, packets));
        let state = Arc::new(ListenerState::new("gcn"));
        let stop = CancellationToken::new();
        let link = Link {
            config: Arc::new(VtpConfig::with_brokers(vec![])),
            intake,
            state: Arc::clone(&state),
            stop: stop.clone(),
            clock: || Timestamp::UNIX_EPOCH,
            jitter: || 1.0,
        };
        let link = tokio::spawn(link.run(network));
        Self {
            connections,
            dials,
            state,
            stop,
            link,
            store,
        }
    }

    /// The waits between the attempts so far, in whole seconds.
    fn waits(&self) -> Vec<u64> {
        let dials = self.dials.lock().unwrap();
        dials
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs())
            .collect()
    }

    async fn stop(self) -> Arc<ListenerState> {
        self.stop.cancel();
        self.link.await.unwrap();
        drop((self.connections, self.store));
        self.state
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_is_tried_less_and_less_often() {
    let mut simulation = Simulation::new();
    simulation.connections.close();
    sleep(Duration::from_secs(200)).await;
    assert_eq!(simulation.waits(), [1, 2, 4, 8, 16, 32, 60, 60]);
    let state = simulation.stop().await.snapshot();
    assert_eq!(state.status.phase, Phase::Stopped);
    assert_eq!(state.reconnects, 8);
    let message = state.status.last_error.unwrap().message;
    assert!(message.contains("check that the broker runs"), "{message}");
    assert!(message.contains("connection refused"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn every_reason_of_a_loss_is_followed_by_a_wait() {
    let greetings: [&[u8]; 4] = [b"", &[0xff; 4], b"HTTP/1.1 400 Bad Request\r\n", &[0, 0, 1]];
    for greeting in greetings {
        let mut simulation = Simulation::new();
        while simulation.waits().len() < 4 {
            let mut connection = simulation.connections.recv().await.unwrap();
            connection.write_all(greeting).await.unwrap();
        }
        assert_eq!(simulation.waits(), [1, 2, 4, 8], "{greeting:?}");
        simulation.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_no_xml_do_not_make_a_reconnect_storm() {
    let mut simulation = Simulation::new();
    let mut keeper = Vec::new();
    while simulation.waits().len() < 3 {
        let mut connection = simulation.connections.recv().await.unwrap();
        let mut bytes = Vec::new();
        frame::encode(b"no XML", &mut bytes).unwrap();
        connection.write_all(&bytes).await.unwrap();
        let delivery = simulation.store.recv().await.unwrap();
        assert!(matches!(delivery.arrival, Arrival::Refusal(_)));
        delivery.answer.send(Ok(Kept::New)).unwrap();
        keeper.push(delivery.tally.read);
    }
    assert_eq!(simulation.waits(), [1, 2, 4]);
    assert_eq!(keeper, [1, 2, 3, 4], "the count goes on over connections");
    simulation.stop().await;
}

/// Lets a session with one frame live for `life`, after three refused ones, and gives the wait
/// that follows it.
async fn wait_after_a_session_of(life: Duration) -> u64 {
    let mut simulation = Simulation::new();
    for _ in 0..3 {
        drop(simulation.connections.recv().await.unwrap());
    }
    let mut connection = simulation.connections.recv().await.unwrap();
    let mut bytes = Vec::new();
    let iamalive = Transport::iamalive("ivo://org.example/broker", Timestamp::UNIX_EPOCH);
    frame::encode(&iamalive.to_xml(), &mut bytes).unwrap();
    connection.write_all(&bytes).await.unwrap();
    sleep(life).await;
    drop(connection);
    let ended = Instant::now();
    drop(simulation.connections.recv().await.unwrap());
    let wait = ended.elapsed().as_secs();
    simulation.stop().await;
    wait
}

#[tokio::test(start_paused = true)]
async fn only_a_session_of_a_minute_starts_the_waits_over() {
    assert_eq!(wait_after_a_session_of(Duration::from_secs(61)).await, 1);
    assert_eq!(wait_after_a_session_of(Duration::from_secs(50)).await, 8);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_does_not_wait_to_the_end_of_a_wait() {
    let mut simulation = Simulation::new();
    simulation.connections.close();
    let mut status = simulation.state.watch();
    sleep(Duration::from_secs(100)).await;
    status
        .wait_for(|status| matches!(status.phase, Phase::Waiting { .. }))
        .await
        .unwrap();
    let before = Instant::now();
    simulation.stop().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_gives_up_connecting() {
    // The network holds one connection that the broker has not accepted; the second hangs.
    let mut simulation = Simulation::new();
    drop(simulation.connections.recv().await.unwrap());
    sleep(Duration::from_secs(1000)).await;
    simulation.stop().await;
}

// ---- over real sockets

/// A listener and its store, which keeps everything.
struct Host {
    states: Vec<Arc<ListenerState>>,
    stop: CancellationToken,
    listener: JoinHandle<()>,
    store: JoinHandle<Vec<Packet>>,
}

fn keep_everything(mut deliveries: mpsc::Receiver<Delivery>) -> JoinHandle<Vec<Packet>> {
    tokio::spawn(async move {
        let mut packets = Vec::new();
        while let Some(delivery) = deliveries.recv().await {
            match delivery.arrival {
                Arrival::Packet(packet) => {
                    delivery.answer.send(Ok(Kept::New)).unwrap();
                    packets.push(packet);
                }
                Arrival::Connected { .. } => delivery.answer.send(Ok(Kept::New)).unwrap(),
                // Nobody waits for the answer to what a connection tells at its end.
                Arrival::Nothing { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        packets
    })
}

fn config(brokers: &[SocketAddr]) -> VtpConfig {
    VtpConfig::with_brokers(brokers.iter().copied().map(BrokerAddress::from).collect())
}

impl Host {
    fn start(config: VtpConfig) -> Self {
        let (intake, deliveries) = Intake::channel(64);
        let listener = VtpListener::new(config).unwrap();
        let states = listener.states().cloned().collect();
        let stop = CancellationToken::new();
        let listener = tokio::spawn(listener.run(intake, stop.clone()));
        Self {
            states,
            stop,
            listener,
            store: keep_everything(deliveries),
        }
    }

    /// Stops, and gives what was kept.
    async fn stop(self) -> Vec<Packet> {
        self.stop.cancel();
        self.listener.await.unwrap();
        self.store.await.unwrap()
    }
}

async fn broadcaster(resend: bool) -> Broadcaster {
    let config = BroadcastConfig {
        resend,
        ..BroadcastConfig::default()
    };
    Broadcaster::bind(LOOPBACK, config).await.unwrap()
}

#[tokio::test]
async fn ten_thousand_events_at_once_are_all_kept_and_acknowledged() {
    const FLOOD: usize = 10_000;
    let broadcaster = broadcaster(false).await;
    let host = Host::start(config(&[broadcaster.address()]));
    broadcaster.wait_for_subscribers(1).await;
    for n in 0..FLOOD {
        broadcaster.publish(&event(n)).await;
    }
    broadcaster.settled().await;
    let counts = host.states[0].snapshot();
    let packets = host.stop().await;
    let payloads = packets.iter().map(|packet| packet.payload.clone());
    assert!(
        payloads.eq((0..FLOOD).map(document)),
        "in order, bit for bit"
    );
    let flood = u64::try_from(FLOOD).unwrap();
    assert_eq!(
        (counts.read, counts.kept, counts.unconfirmed),
        (flood, flood, 0)
    );
    assert_eq!(broadcaster.totals().acked, flood);
}

#[tokio::test]
async fn several_brokers_are_held_at_once() {
    let (one, two) = (broadcaster(false).await, broadcaster(false).await);
    let host = Host::start(config(&[one.address(), two.address()]));
    one.wait_for_subscribers(1).await;
    two.wait_for_subscribers(1).await;
    one.publish(&event(1)).await;
    two.publish(&event(1)).await;
    one.settled().await;
    two.settled().await;
    let packets = host.stop().await;
    assert_eq!(
        packets.len(),
        2,
        "which of them is a duplicate is the store's to tell"
    );
    assert_eq!(packets[0].identity, packets[1].identity);
}

#[tokio::test]
async fn what_was_not_kept_is_taken_when_it_is_offered_again() {
    let broadcaster = broadcaster(true).await;
    let (intake, mut deliveries) = Intake::channel(64);
    let listener = VtpListener::new(config(&[broadcaster.address()])).unwrap();
    let state = Arc::clone(listener.states().next().unwrap());
    let stop = CancellationToken::new();
    let listener = tokio::spawn(listener.run(intake, stop.clone()));
    for n in 0..10 {
        broadcaster.publish(&event(n)).await;
    }
    for _ in 0..4 {
        deliveries
            .recv()
            .await
            .unwrap()
            .answer
            .send(Ok(Kept::New))
            .unwrap();
    }
    let full = NotKept::Full {
        reason: "the disk is full".to_owned(),
    };
    deliveries
        .recv()
        .await
        .unwrap()
        .answer
        .send(Err(full))
        .unwrap();

    let store = keep_everything(deliveries);
    broadcaster.settled().await;
    stop.cancel();
    listener.await.unwrap();
    let kept = store.await.unwrap();
    let last_six = (4..10).map(|n| format!("ivo://org.example/test#{n}"));
    for ivorn in last_six {
        assert!(kept.iter().any(|packet| packet.id == ivorn), "{ivorn}");
    }
    let state = state.snapshot();
    assert!(state.unconfirmed >= 1);
    assert_eq!(state.read, state.kept + state.unconfirmed);
    let reason = state.status.last_error.unwrap().message;
    assert!(reason.contains("the disk is full"), "{reason}");
    assert_eq!(broadcaster.totals().acked, 10);
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_told_as_such() {
    let mut config = config(&[]);
    config.brokers = vec!["no-such-host.invalid:8099".parse().unwrap()];
    let host = Host::start(config);
    let mut status = host.states[0].watch();
    let failed = status
        .wait_for(|status| status.last_error.is_some())
        .await
        .unwrap()
        .clone();
    let message = failed.last_error.unwrap().message;
    assert!(message.contains("no-such-host.invalid"), "{message}");
    host.stop().await;
}

// ---- TLS

const AUTHORITY: &str = "authority.pem";
const OTHER_AUTHORITY: &str = "other_authority.pem";

fn certificate(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src/listeners/vtp/tests", name]
        .iter()
        .collect()
}

/// A broker that sends one event over TLS and gives the answer to it.
async fn tls_broker() -> (SocketAddr, JoinHandle<Option<TransportRole>>) {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let chain = vec![CertificateDer::from_pem_file(certificate("broker.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate("broker.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut bytes = Vec::new();
        frame::encode(&document(1), &mut bytes).unwrap();
        stream.write_all(&bytes).await.unwrap();
        answer(&mut stream).await
    });
    (address, serving)
}

/// The role of the next Transport document.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<TransportRole> {
    let mut decoder = Decoder::new(1 << 20);
    loop {
        if let Some(document) = decoder.next_frame().unwrap() {
            let Ok(Scan::Transport(head)) = scan(&document, &[]) else {
                return None;
            };
            return head.role;
        }
        if stream.read_buf(decoder.space()).await.unwrap() == 0 {
            return None;
        }
    }
}

#[tokio::test]
async fn a_broker_may_speak_tls() {
    let (address, broker) = tls_broker().await;
    let mut config = config(&[address]);
    config.tls = Some(TlsConfig {
        ca_file: Some(certificate(AUTHORITY)),
        server_name: Some("broker.test".to_owned()),
    });
    let host = Host::start(config);
    assert_eq!(broker.await.unwrap(), Some(TransportRole::Ack));
    assert_eq!(host.stop().await.len(), 1);
}

#[tokio::test]
async fn a_broker_that_nobody_vouches_for_is_not_spoken_to() {
    let (address, broker) = tls_broker().await;
    let mut config = config(&[address]);
    config.tls = Some(TlsConfig {
        ca_file: Some(certificate(OTHER_AUTHORITY)),
        server_name: None,
    });
    let host = Host::start(config);
    assert_eq!(broker.await.unwrap(), None);
    let mut status = host.states[0].watch();
    let failed = status
        .wait_for(|status| status.last_error.is_some())
        .await
        .unwrap()
        .clone();
    let message = failed.last_error.unwrap().message;
    assert!(message.contains("check `tls.ca_file`"), "{message}");
    assert!(host.stop().await.is_empty());
}

#[test]
fn a_ca_file_without_certificates_is_refused_at_once() {
    let mut config = config(&[LOOPBACK]);
    let ca_file = certificate("broker.key.pem");
    config.tls = Some(TlsConfig {
        ca_file: Some(ca_file.clone()),
        server_name: None,
    });
    let error = VtpListener::new(config.clone()).unwrap_err();
    assert!(
        matches!(error, TlsSetupError::NoCertificates { .. }),
        "{error}"
    );
    config.tls = Some(TlsConfig {
        ca_file: Some(ca_file.join("absent")),
        server_name: None,
    });
    assert!(matches!(
        VtpListener::new(config).unwrap_err(),
        TlsSetupError::CaFile { .. }
    ));
}

// ---- authors

/// A broker whose author port answers one event with `answers`, then closes.
async fn author_port(answers: Vec<Bytes>) -> (BrokerAddress, JoinHandle<Bytes>) {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap().into();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut decoder = Decoder::new(1 << 20);
        let event = loop {
            if let Some(document) = decoder.next_frame().unwrap() {
                break document;
            }
            stream.read_buf(decoder.space()).await.unwrap();
        };
        let mut bytes = Vec::new();
        for answer in answers {
            frame::encode(&answer, &mut bytes).unwrap();
        }
        stream.write_all(&bytes).await.unwrap();
        event
    });
    (address, serving)
}

async fn check_receipt(answers: Vec<Bytes>, expected: Receipt) {
    let (broker, serving) = author_port(answers).await;
    let receipt = submit(&broker, &document(1), Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(receipt, expected);
    assert_eq!(serving.await.unwrap(), document(1));
}

fn told(kind: Kind, result: Option<&str>) -> Bytes {
    let ivorn = event(1).ivorn;
    let broker = "ivo://org.example/broker";
    let mut told = Transport::answer(kind, &ivorn, broker, Timestamp::UNIX_EPOCH);
    told.result = result;
    told.to_xml()
}

#[tokio::test]
async fn an_author_learns_of_ack_nak_and_neither() {
    let response = Some("ivo://org.example/broker".to_owned());
    check_receipt(
        vec![told(Kind::Ack, None)],
        Receipt::Ack {
            response: response.clone(),
        },
    )
    .await;
    let after_others = vec![
        told(Kind::Authenticate, None),
        told(Kind::Iamalive, None),
        told(Kind::Ack, None),
    ];
    check_receipt(after_others, Receipt::Ack { response }).await;
    let reason = "Event rejected: Previously seen by this broker";
    let nak = Receipt::Nak {
        reason: Some(reason.to_owned()),
    };
    check_receipt(vec![told(Kind::Nak, Some(reason))], nak).await;
    let none = |why: &str| Receipt::None {
        why: why.to_owned(),
    };
    check_receipt(vec![], none("the broker closed without a receipt")).await;
    check_receipt(
        vec!["<html/>".into()],
        none("the broker answered with another document"),
    )
    .await;
}

#[tokio::test]
async fn an_author_does_not_wait_for_ever() {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let broker = listener.local_addr().unwrap().into();
    let patience = Duration::from_millis(50);
    let receipt = submit(&broker, &document(1), patience).await.unwrap();
    assert_eq!(
        receipt,
        Receipt::None {
            why: "no receipt within 50ms".to_owned()
        }
    );
}

#[tokio::test]
async fn an_author_whom_nobody_hears_is_told_so() {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let broker = BrokerAddress::from(listener.local_addr().unwrap());
    drop(listener);
    assert!(
        submit(&broker, &document(1), Duration::from_secs(20))
            .await
            .is_err()
    );
}

// ---- recorded streams and real notices

/// The folder with recorded data, or `None` with a word on it.
#[expect(
    clippy::print_stderr,
    reason = "a test that is skipped must be seen to be"
)]
fn shared(folder: &str) -> Option<PathBuf> {
    let data = std::env::var_os("GWASP_SHARED_DATA").map_or_else(
        || {
            [env!("CARGO_MANIFEST_DIR"), "../../shared/data"]
                .iter()
                .collect()
        },
        PathBuf::from,
    );
    let folder = data.join(folder);
    if !folder.is_dir() {
        eprintln!("skipped: {} is missing", folder.display());
        return None;
    }
    Some(folder)
}

#[tokio::test]
async fn real_notices_arrive_bit_for_bit_and_are_acknowledged() {
    let Some(folder) = shared("gcn") else { return };
    let notices = replay::load(&[folder]).unwrap().notices;
    assert!(notices.len() > 200, "{} notices", notices.len());
    let broadcaster = broadcaster(false).await;
    let host = Host::start(config(&[broadcaster.address()]));
    broadcaster.wait_for_subscribers(1).await;
    for notice in &notices {
        broadcaster.publish(&notice.event).await;
    }
    broadcaster.settled().await;
    let packets = host.stop().await;
    assert_eq!(packets.len(), notices.len());
    for (packet, notice) in packets.iter().zip(&notices) {
        assert_eq!(
            packet.payload,
            notice.event.document,
            "{}",
            notice.path.display()
        );
        assert_eq!(packet.id, *notice.event.ivorn);
    }
}

/// The bytes of one direction of a recorded conversation, in the pieces in which they came.
fn pieces(trace: &str, direction: &str) -> Vec<Vec<u8>> {
    let records = trace.lines().map(serde_json::from_str::<serde_json::Value>);
    records
        .map(Result::unwrap)
        .filter(|record| record["dir"] == direction && record["hex"].is_string())
        .map(|record| {
            let hex = record["hex"].as_str().unwrap().to_owned();
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(byte).collect()
        })
        .collect()
}

#[test]
fn recorded_conversations_are_cut_into_the_documents_that_were_sent() {
    let Some(folder) = shared("gcn/traces") else {
        return;
    };
    let mut documents = 0;
    for name in [
        "T2_comet31_to_pygcn",
        "T10_comet32rc_to_comet32rc_sub",
        "T5_pygcn_serve_to_comet31sub",
    ] {
        let trace = std::fs::read_to_string(folder.join(format!("{name}.raw.jsonl"))).unwrap();
        for direction in ["server->client", "client->server"] {
            let mut decoder = Decoder::new(1 << 20);
            for piece in pieces(&trace, direction) {
                decoder.space().extend_from_slice(&piece);
                while let Some(document) = decoder.next_frame().unwrap() {
                    assert!(document.starts_with(b"<?xml"), "{name} {direction}");
                    assert!(scan(&document, &[]).is_ok(), "{name} {direction}");
                    documents += 1;
                }
            }
        }
    }
    assert!(documents > 50, "{documents} documents");
}
