//! A VOEvent broker that numbers its packets, and notes which of them were acknowledged.
//!
//! Brokers do not send a packet again. This one may for half of what a connection that broke
//! left without a receipt, so that both are seen: a packet that comes again although it was
//! kept, and one that perhaps was lost on its way and never comes again.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::Random;

/// Packets that wait for their receipts at one time.
const WINDOW: usize = 128;

/// Which packets are sent again whose connection broke before their receipt came.
#[derive(Debug)]
pub(super) enum Again {
    All,
    /// Half of them, at random.
    Half(Random),
}

/// Makes the document of a packet.
type Document = Box<dyn Fn(u64) -> String + Send + Sync>;

#[derive(Default)]
struct State {
    /// Packets with smaller numbers may be sent.
    allowed: u64,
    /// The first packet that was not sent yet.
    next: u64,
    again: VecDeque<u64>,
    on_the_wire: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    /// Sent, without a receipt, and not sent again.
    given_up: BTreeSet<u64>,
    /// How often a packet was sent again.
    repeats: u64,
    connections: u64,
    is_connected: bool,
}

/// The broker; it ends with the process.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    document: Document,
}

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(
            formatter,
            "{} of {} allowed packets sent, {} acknowledged, {} given up, {} on the wire, \
             {} to be sent again, {} connections",
            state.next,
            state.allowed,
            state.acknowledged.len(),
            state.given_up.len(),
            state.on_the_wire.len(),
            state.again.len(),
            state.connections,
        )
    }
}

impl Sender {
    /// Starts one that sends nothing yet.
    pub(super) fn start(
        again: Again,
        document: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Condvar::new(),
                document: Box::new(document),
            }),
        };
        let serving = sender.clone();
        thread::spawn(move || serving.serve(&listener, again));
        sender
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Lets packets with numbers below `number` be sent.
    pub(super) fn allow(&self, number: u64) {
        let mut state = self.state();
        state.allowed = state.allowed.max(number);
        self.shared.changed.notify_all();
    }

    /// Numbers of the packets that have a receipt.
    pub(super) fn acknowledged(&self) -> BTreeSet<u64> {
        self.state().acknowledged.clone()
    }

    /// How many packets were sent and will get no receipt.
    pub(super) fn given_up(&self) -> u64 {
        count(&self.state().given_up)
    }

    /// How many packets were sent, each counted once.
    pub(super) fn sent(&self) -> u64 {
        self.state().next
    }

    /// How often a packet was sent again.
    pub(super) fn repeats(&self) -> u64 {
        self.state().repeats
    }

    /// How often a host connected.
    pub(super) fn connections(&self) -> u64 {
        self.state().connections
    }

    /// Waits until each packet that may be sent was sent, and has its receipt or was given up.
    /// Tells whether that came within `limit`.
    pub(super) fn settles(&self, limit: Duration) -> bool {
        self.waits(limit, |state| {
            state.next >= state.allowed && state.again.is_empty() && state.on_the_wire.is_empty()
        })
    }

    /// Waits until so many packets have a receipt; tells whether that came within `limit`.
    pub(super) fn acknowledges(&self, number: u64, limit: Duration) -> bool {
        self.waits(limit, |state| count(&state.acknowledged) >= number)
    }

    /// Waits until the host has closed its connection; tells whether that came within `limit`.
    pub(super) fn is_left(&self, limit: Duration) -> bool {
        self.waits(limit, |state| !state.is_connected)
    }

    fn waits(&self, limit: Duration, mut done: impl FnMut(&State) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.state();
        while !done(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }

    fn serve(&self, listener: &TcpListener, mut again: Again) {
        for stream in listener.incoming().flatten() {
            {
                let mut state = self.state();
                state.connections += 1;
                state.is_connected = true;
            }
            let hearing = self.clone();
            let incoming = stream.try_clone().unwrap();
            let receipts = thread::spawn(move || hearing.hear(incoming));
            // A connection that breaks is what is tested here.
            drop(self.send(&stream));
            drop(stream.shutdown(Shutdown::Both));
            receipts.join().unwrap();
            self.sort_out(&mut again);
        }
    }

    /// Decides what becomes of packets whose connection broke before their receipt came.
    fn sort_out(&self, again: &mut Again) {
        let mut state = self.state();
        for number in std::mem::take(&mut state.on_the_wire) {
            let is_repeated = match again {
                Again::All => true,
                Again::Half(random) => random.below(2) == 0,
            };
            if is_repeated {
                state.again.push_back(number);
                state.repeats += 1;
            } else {
                state.given_up.insert(number);
            }
        }
        self.shared.changed.notify_all();
    }

    /// Sends what may be sent until the connection breaks.
    fn send(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut frames = Vec::new();
        loop {
            let Some(numbers) = self.next_packets() else {
                return Ok(());
            };
            frames.clear();
            for number in numbers {
                let document = (self.shared.document)(number);
                let length = u32::try_from(document.len()).unwrap();
                frames.extend(length.to_be_bytes());
                frames.extend(document.bytes());
            }
            stream.write_all(&frames)?;
        }
    }

    /// Takes what is to be sent now, and waits for it; none when the connection broke.
    fn next_packets(&self) -> Option<Vec<u64>> {
        let mut state = self.state();
        loop {
            if !state.is_connected {
                return None;
            }
            let mut numbers = Vec::new();
            while state.on_the_wire.len() < WINDOW {
                let again = state.again.pop_front();
                let Some(number) = again.or_else(|| state.take_new()) else {
                    break;
                };
                state.on_the_wire.insert(number);
                numbers.push(number);
            }
            if !numbers.is_empty() {
                return Some(numbers);
            }
            state = self.shared.changed.wait(state).unwrap();
        }
    }

    /// Reads receipts until the connection breaks.
    fn hear(&self, stream: TcpStream) {
        let mut from = BufReader::new(stream);
        while let Ok(document) = read_frame(&mut from) {
            assert!(!document.contains("role=\"nak\""), "{document}");
            let Some(number) = receipt(&document) else {
                continue;
            };
            let mut state = self.state();
            assert!(state.on_the_wire.remove(&number), "a receipt for {number}");
            state.acknowledged.insert(number);
            self.shared.changed.notify_all();
        }
        self.state().is_connected = false;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn take_new(&mut self) -> Option<u64> {
        (self.next < self.allowed).then(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

fn count(numbers: &BTreeSet<u64>) -> u64 {
    u64::try_from(numbers.len()).unwrap()
}

fn read_frame(from: &mut impl Read) -> io::Result<String> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
    let mut document = vec![0; length];
    from.read_exact(&mut document)?;
    Ok(String::from_utf8(document).unwrap())
}

/// The number of the packet that a receipt is about; none for any other message.
fn receipt(document: &str) -> Option<u64> {
    if !document.contains("role=\"ack\"") {
        return None;
    }
    let (_, rest) = document.split_once("<Origin>")?;
    let (ivorn, _) = rest.split_once("</Origin>")?;
    let (_, number) = ivorn.rsplit_once('#')?;
    number.parse().ok()
}
