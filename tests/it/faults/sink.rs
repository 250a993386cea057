//! Two HTTP services that count what was done at them, outside of what is killed.
//!
//! `/keyed` does an upload once per `Idempotency-Key`, however often it comes; `/asked` does each
//! one that comes, and can be asked at `/asked/by-key/KEY`. `GET /asked/began/HANDLER/PACKET`
//! says that a run has begun.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::service::{Request, read};

/// What the services saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Bodies of uploads, by service and key.
    uploads: BTreeMap<(String, String), Vec<u8>>,
    /// How often each (service, packet) was changed.
    pub(super) changes: BTreeMap<(String, u64), u32>,
    /// How often a run of each (handler, packet) began.
    pub(super) begun: BTreeMap<(String, u64), u32>,
    /// Uploads that came again with a known key, at the service that honours keys.
    repeats: u64,
    /// Keys that were asked for.
    asked: BTreeSet<String>,
    /// What must not be.
    pub(super) violations: Vec<String>,
    /// Requests are not answered.
    is_held: bool,
    /// Requests that came while they were not answered.
    pub(super) held: u32,
}

/// The services; they end with the process.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

impl Seen {
    /// How often a service was changed for `packet`.
    pub(super) fn changes_of(&self, service: &str, packet: u64) -> u32 {
        let found = self.changes.get(&(service.to_owned(), packet));
        found.copied().unwrap_or_default()
    }

    /// How often a run of `handler` for `packet` began.
    pub(super) fn begun_of(&self, handler: &str, packet: u64) -> u32 {
        let found = self.begun.get(&(handler.to_owned(), packet));
        found.copied().unwrap_or_default()
    }

    /// Packets that anything was done for.
    pub(super) fn packets(&self) -> BTreeSet<u64> {
        let changed = self.changes.keys().map(|(_, packet)| *packet);
        changed
            .chain(self.begun.keys().map(|(_, packet)| *packet))
            .collect()
    }

    /// Runs that were repeated or taken up again, as far as they can be seen from here.
    pub(super) fn repeated_runs(&self) -> u64 {
        let begun: u64 = self.begun.values().map(|times| u64::from(times - 1)).sum();
        begun + self.repeats + u64::try_from(self.asked.len()).unwrap()
    }

    fn upload(&mut self, service: &str, request: &Request) {
        let packet = packet_of(&request.body);
        let key = (service.to_owned(), request.key().to_owned());
        if key.1.is_empty() {
            self.violations.push(format!("{packet}: no key"));
        }
        if let Some(first) = self.uploads.get(&key) {
            if *first != request.body {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                self.violations
                    .push(format!("{service}: another body under a known key: {body}"));
            }
            if service == "keyed" {
                self.repeats += 1;
                return;
            }
        }
        self.uploads.insert(key, request.body.clone());
        *self
            .changes
            .entry((service.to_owned(), packet))
            .or_default() += 1;
    }
}

impl Sink {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let serving = sink.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = serving.clone();
                thread::spawn(move || sink.serve(&stream));
            }
        });
        sink
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().unwrap()
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// For how many packets both services were changed, at least.
    pub(super) fn done(&self) -> u64 {
        u64::try_from(self.lock().changes.len() / 2).unwrap()
    }

    /// Answers no more requests, until [`Sink::release`].
    pub(super) fn hold(&self) {
        self.lock().is_held = true;
    }

    /// Answers requests again; those that were held are not done.
    pub(super) fn release(&self) {
        self.lock().is_held = false;
        self.shared.1.notify_all();
    }

    /// Waits until `done` holds; tells whether it did within `limit`.
    pub(super) fn waits(&self, limit: Duration, mut done: impl FnMut(&Seen) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut seen = self.lock();
        while !done(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.shared.1.wait_timeout(seen, left).unwrap().0;
        }
        true
    }

    /// Answers requests of one connection until the other side goes.
    fn serve(&self, stream: &TcpStream) {
        let mut from = BufReader::new(stream);
        // What is cut in the middle was not done.
        while let Some(request) = read(&mut from) {
            let status = self.answer(&request);
            let text = format!("HTTP/1.1 {status} .\r\nContent-Length: 0\r\n\r\n");
            let mut stream = stream;
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> u16 {
        let path: Vec<&str> = request.path.split('/').skip(1).collect();
        let mut seen = self.lock();
        if seen.is_held {
            seen.held += 1;
            self.shared.1.notify_all();
            drop(self.shared.1.wait_while(seen, |seen| seen.is_held).unwrap());
            return 503;
        }
        let status = match (request.method.as_str(), path.as_slice()) {
            ("POST", [service, "upload"]) => {
                seen.upload(service, request);
                201
            }
            ("GET", ["asked", "by-key", key]) => {
                seen.asked.insert((*key).to_owned());
                let key = ("asked".to_owned(), (*key).to_owned());
                if seen.uploads.contains_key(&key) {
                    200
                } else {
                    404
                }
            }
            ("GET", ["asked", "began", handler, packet]) => {
                let packet = packet.parse().unwrap();
                *seen
                    .begun
                    .entry(((*handler).to_owned(), packet))
                    .or_default() += 1;
                200
            }
            _ => {
                seen.violations
                    .push(format!("{} {}", request.method, request.path));
                400
            }
        };
        drop(seen);
        self.shared.1.notify_all();
        status
    }
}

/// The packet's number, the first word of a body.
fn packet_of(body: &[u8]) -> u64 {
    let text = std::str::from_utf8(body).unwrap();
    let number = text.split(' ').next().unwrap();
    number.parse().unwrap()
}
