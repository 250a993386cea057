//! An HTTP service that does uploads, and can be told how to answer.
//!
//! It counts how often it did each upload. Like real services it may do an upload and lose the
//! answer; unlike them it can be asked afterwards what it did.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How an upload is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is done, with this status.
    Done(u16),
    /// It is not done, with this status.
    NotDone(u16),
    /// It is done, and the connection is closed without an answer.
    DoneUnanswered,
    /// It is not done, and the connection is closed without an answer.
    Lost,
    /// It is done, and nothing is said until the other side goes.
    DoneSilent,
    /// It is not done, and nothing is said until the other side goes.
    Silent,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn key(&self) -> &str {
        self.header("Idempotency-Key").unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    honours_key: bool,
    replies: VecDeque<Reply>,
    gate: VecDeque<u16>,
    uploads: Vec<Request>,
    /// Keys of what was done, once per time.
    done: Vec<String>,
    /// How often it was asked about a key.
    asked: usize,
    /// How many of the next questions about a key are answered with 503.
    busy: usize,
}

/// The service; it ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Service {
    /// Starts one that does each upload that it is asked for.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let serving = service.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = serving.clone();
                thread::spawn(move || service.serve(&stream));
            }
        });
        service
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Has it do an upload once per key.
    pub(crate) fn honour_keys(&self) {
        self.state().honours_key = true;
    }

    /// Answers the next uploads so; later ones are done.
    pub(crate) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().replies.extend(replies);
    }

    /// Answers the next looks at the gate so; later ones with 200.
    pub(crate) fn gate(&self, statuses: impl IntoIterator<Item = u16>) {
        self.state().gate.extend(statuses);
    }

    /// Answers the next so many questions about keys with 503.
    pub(crate) fn busy(&self, questions: usize) {
        self.state().busy = questions;
    }

    /// The uploads that came so far.
    pub(crate) fn uploads(&self) -> Vec<Request> {
        self.state().uploads.clone()
    }

    /// How often it did an upload.
    pub(crate) fn done(&self) -> usize {
        self.state().done.len()
    }

    /// How often it was asked about a key.
    pub(crate) fn asked(&self) -> usize {
        self.state().asked
    }

    /// Waits until so many uploads came.
    #[track_caller]
    pub(crate) fn wait_uploads(&self, number: usize, limit: Duration) -> Vec<Request> {
        let end = Instant::now() + limit;
        let mut state = self.state();
        while state.uploads.len() < number {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "only {} uploads came", state.uploads.len());
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
        state.uploads.clone()
    }

    fn serve(&self, stream: &TcpStream) {
        let Some(request) = read(&mut BufReader::new(stream)) else {
            return;
        };
        let (path, key) = match request.path.strip_prefix("/by-key/") {
            Some(key) => ("/by-key", key.to_owned()),
            None => (request.path.as_str(), String::new()),
        };
        match path {
            "/by-key" => answer(stream, self.lookup(&key), "ok"),
            "/upload" if request.method == "GET" => {
                let mut state = self.state();
                state.asked += 1;
                let list = state.done.join("\n");
                drop(state);
                answer(stream, 200, &list);
            }
            "/gate" => {
                let status = self.state().gate.pop_front().unwrap_or(200);
                answer(stream, status, "ok");
            }
            "/upload" => match self.upload(request) {
                Some(status) => answer(stream, status, "ok"),
                None => await_end(stream),
            },
            _ => answer(stream, 404, ""),
        }
    }

    fn lookup(&self, key: &str) -> u16 {
        let mut state = self.state();
        state.asked += 1;
        if state.busy > 0 {
            state.busy -= 1;
            return 503;
        }
        match state.done.iter().any(|done| done == key) {
            true => 200,
            false => 404,
        }
    }

    /// Does an upload or not; 0 closes the connection, none keeps it.
    fn upload(&self, request: Request) -> Option<u16> {
        let mut state = self.state();
        let reply = state.replies.pop_front().unwrap_or(Reply::Done(201));
        let key = request.key().to_owned();
        state.uploads.push(request);
        let is_repeated = state.honours_key && state.done.contains(&key);
        let does = matches!(
            reply,
            Reply::Done(_) | Reply::DoneUnanswered | Reply::DoneSilent
        );
        if does && !is_repeated {
            state.done.push(key);
        }
        self.shared.1.notify_all();
        match reply {
            Reply::Done(status) | Reply::NotDone(status) => Some(status),
            Reply::DoneUnanswered | Reply::Lost => Some(0),
            Reply::DoneSilent | Reply::Silent => None,
        }
    }
}

/// Reads a request; none where the connection ends before it is whole.
pub(crate) fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if !line.ends_with('\n') {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Request {
        method,
        path,
        headers,
        body: Vec::new(),
    };
    let length = request.header("Content-Length").unwrap_or("0").parse();
    request.body = vec![0; length.ok()?];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn answer(mut stream: &TcpStream, status: u16, body: &str) {
    if status == 0 {
        return;
    }
    let text = format!(
        "HTTP/1.1 {status} .\r\nContent-Length: {}\r\nConnection: close\r\nX-Service: probe\r\n\
         Set-Cookie: session=swordfish\r\n\r\n{body}",
        body.len()
    );
    // The other side may have gone.
    drop(stream.write_all(text.as_bytes()));
}

fn await_end(mut stream: &TcpStream) {
    drop(stream.read(&mut [0]));
}
