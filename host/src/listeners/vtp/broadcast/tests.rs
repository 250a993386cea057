use std::net::Ipv4Addr;

use gwasp_formats::{Scan, TransportHead, TransportRole, scan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::listeners::vtp::frame::{self, Decoder};
use crate::listeners::vtp::transport::{Kind, Transport};

fn event(n: usize) -> Event {
    let ivorn = format!("ivo://org.example/test#{n}");
    let document = format!("<VOEvent ivorn='{ivorn}' version='2.0'/>").into();
    Event {
        ivorn: ivorn.into(),
        document,
    }
}

async fn broadcaster(config: BroadcastConfig) -> Broadcaster {
    Broadcaster::bind((Ipv4Addr::LOCALHOST, 0).into(), config)
        .await
        .unwrap()
}

fn resending() -> BroadcastConfig {
    BroadcastConfig {
        resend: true,
        ..BroadcastConfig::default()
    }
}

/// A subscriber as simple as they get; it speaks when the test tells it to.
struct Subscriber {
    stream: TcpStream,
    decoder: Decoder,
}

impl Subscriber {
    /// Connects and reads the broker's greeting.
    async fn connect(broadcaster: &Broadcaster) -> Self {
        let stream = TcpStream::connect(broadcaster.address()).await.unwrap();
        let mut subscriber = Self {
            stream,
            decoder: Decoder::new(1 << 20),
        };
        let greeting = subscriber.transport().await;
        assert_eq!(greeting.role, Some(TransportRole::Authenticate));
        subscriber
    }

    async fn document(&mut self) -> Option<Bytes> {
        loop {
            if let Some(document) = self.decoder.next_frame().unwrap() {
                return Some(document);
            }
            if self.stream.read_buf(self.decoder.space()).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn transport(&mut self) -> TransportHead {
        let document = self.document().await.unwrap();
        let Ok(Scan::Transport(head)) = scan(&document, &[]) else {
            panic!("no transport document: {document:?}");
        };
        head
    }

    async fn check_receives(&mut self, n: usize) {
        assert_eq!(self.document().await.unwrap(), event(n).document);
    }

    async fn send(&mut self, document: &[u8]) {
        let mut bytes = Vec::new();
        frame::encode(document, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn receipt(&mut self, kind: Kind, n: usize) {
        let ivorn = event(n).ivorn;
        let receipt = Transport::answer(kind, &ivorn, "ivo://sub", Timestamp::UNIX_EPOCH);
        self.send(&receipt.to_xml()).await;
    }
}

#[tokio::test]
async fn every_subscriber_gets_every_event_bit_for_bit() {
    let broadcaster = broadcaster(BroadcastConfig::default()).await;
    let mut one = Subscriber::connect(&broadcaster).await;
    let mut two = Subscriber::connect(&broadcaster).await;
    for n in 0..3 {
        assert_eq!(broadcaster.publish(&event(n)).await, 2);
    }
    for n in 0..3 {
        one.check_receives(n).await;
        two.check_receives(n).await;
    }
    assert_eq!(broadcaster.totals().sent, 6);
    assert_eq!(broadcaster.totals().unacked, 6);
}

#[tokio::test]
async fn receipts_are_counted_and_stray_ones_are_not() {
    let broadcaster = broadcaster(BroadcastConfig::default()).await;
    let mut subscriber = Subscriber::connect(&broadcaster).await;
    for n in 0..3 {
        broadcaster.publish(&event(n)).await;
    }
    subscriber.receipt(Kind::Ack, 7).await;
    subscriber.receipt(Kind::Ack, 1).await;
    subscriber.receipt(Kind::Ack, 1).await;
    subscriber.receipt(Kind::Nak, 0).await;
    subscriber.send(b"no XML").await;
    subscriber.send(b"<html/>").await;
    subscriber.receipt(Kind::Ack, 2).await;
    broadcaster.settled().await;
    let totals = broadcaster.totals();
    assert_eq!((totals.acked, totals.naked, totals.unacked), (2, 1, 0));
}

#[tokio::test]
async fn nothing_is_kept_for_who_is_absent() {
    let broadcaster = broadcaster(BroadcastConfig::default()).await;
    assert_eq!(broadcaster.publish(&event(0)).await, 0);
    let mut subscriber = Subscriber::connect(&broadcaster).await;
    broadcaster.publish(&event(1)).await;
    subscriber.check_receives(1).await;
    assert_eq!(broadcaster.totals().unheard, 1);
}

#[tokio::test]
async fn told_to_resend_it_offers_what_has_no_receipt_to_the_next() {
    let broadcaster = broadcaster(resending()).await;
    broadcaster.publish(&event(0)).await;
    let mut one = Subscriber::connect(&broadcaster).await;
    broadcaster.publish(&event(1)).await;
    broadcaster.publish(&event(2)).await;
    for n in 0..3 {
        one.check_receives(n).await;
    }
    one.receipt(Kind::Ack, 1).await;
    broadcaster
        .wait_until(|book| book.totals().acked == 1)
        .await;
    drop(one);
    broadcaster.wait_until(|book| book.peers.is_empty()).await;

    let mut two = Subscriber::connect(&broadcaster).await;
    for n in [0, 2] {
        two.check_receives(n).await;
        two.receipt(Kind::Ack, n).await;
    }
    broadcaster.settled().await;
    let totals = broadcaster.totals();
    assert_eq!((totals.published, totals.sent, totals.acked), (3, 5, 3));
}

#[tokio::test]
async fn more_orphans_than_a_queue_holds_go_with_the_receipts() {
    let all = QUEUE * 2 + 10;
    let broadcaster = broadcaster(resending()).await;
    for n in 0..all {
        broadcaster.publish(&event(n)).await;
    }
    let mut subscriber = Subscriber::connect(&broadcaster).await;
    for n in 0..all {
        subscriber.check_receives(n).await;
        subscriber.receipt(Kind::Ack, n).await;
    }
    broadcaster.settled().await;
}

#[tokio::test]
async fn who_takes_nothing_is_evicted_and_the_others_go_on() {
    let config = BroadcastConfig {
        patience: Duration::from_millis(100),
        ..BroadcastConfig::default()
    };
    let broadcaster = broadcaster(config).await;
    let stalled = Subscriber::connect(&broadcaster).await;
    let mut good = Subscriber::connect(&broadcaster).await;
    // More than sockets and queue of the stalled one hold.
    let large = Event {
        ivorn: "ivo://large".into(),
        document: vec![b' '; 64 * 1024].into(),
    };
    let all = QUEUE + 400;
    let reading = tokio::spawn(async move {
        for _ in 0..all {
            assert_eq!(good.document().await.unwrap().len(), 64 * 1024);
        }
        good
    });
    for _ in 0..all {
        broadcaster.publish(&large).await;
    }
    let good = reading.await.unwrap();
    broadcaster.wait_until(|book| book.peers.len() == 1).await;
    assert_eq!(broadcaster.totals().evicted, 1);
    drop((stalled, good));
}

#[tokio::test]
async fn an_iamalive_comes_again_and_again_and_who_is_silent_is_dropped() {
    let config = BroadcastConfig {
        iamalive: Duration::from_millis(20),
        silence: Duration::from_millis(300),
        ..BroadcastConfig::default()
    };
    let broadcaster = broadcaster(config).await;
    let mut subscriber = Subscriber::connect(&broadcaster).await;
    for _ in 0..3 {
        let head = subscriber.transport().await;
        assert_eq!(head.role, Some(TransportRole::IAmAlive));
        assert_eq!(head.origin.as_deref(), Some("ivo://gwasp.broker/anonymous"));
    }
    // It never answers.
    while subscriber.document().await.is_some() {}
    broadcaster.wait_until(|book| book.peers.is_empty()).await;
}

#[tokio::test]
async fn who_does_not_speak_vtp_is_dropped() {
    let broadcaster = broadcaster(BroadcastConfig::default()).await;
    let mut subscriber = Subscriber::connect(&broadcaster).await;
    subscriber
        .stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(subscriber.document().await, None);
    broadcaster.wait_until(|book| book.peers.is_empty()).await;
}

#[tokio::test]
async fn closing_writes_what_is_queued() {
    let broadcaster = broadcaster(BroadcastConfig::default()).await;
    let mut subscriber = Subscriber::connect(&broadcaster).await;
    for n in 0..100 {
        broadcaster.publish(&event(n)).await;
    }
    let closing = tokio::spawn(broadcaster.close(Duration::from_secs(10)));
    for n in 0..100 {
        subscriber.check_receives(n).await;
    }
    assert_eq!(subscriber.document().await, None);
    assert_eq!(closing.await.unwrap().unacked, 100);
}
