//! What stands in for the host in a native build: the state of one thread.
//!
//! Each test of `cargo test` has a thread of its own, so tests do not see each other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::bayestar::{self, KernelError};
use crate::blobs::BlobError;
use crate::clock::Timestamp;
use crate::gcn::GcnError;
use crate::http::{Body, HttpError, Method, Request, Response};
use crate::kv::KvError;
use crate::log::Level;
use crate::registry::{self, Input, Output};
use crate::tasks::{Options, TaskError};

/// All that a handler did and will be told.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    /// State of the generator, never 0.
    random: u64,
    pub(crate) log: Vec<(Level, String)>,
    pub(crate) progress: Option<(f64, String)>,
    kv: BTreeMap<String, Vec<u8>>,
    pub(crate) claimed_elsewhere: BTreeSet<String>,
    blobs: BTreeMap<String, Rc<[u8]>>,
    /// Answers not given yet, by URL.
    pub(crate) answers: Vec<(String, Result<Response, HttpError>)>,
    pub(crate) requests: Vec<Sent>,
    pub(crate) spawned: Vec<Spawned>,
    /// Results of called tasks not given yet, by name.
    pub(crate) results: Vec<(String, Result<Vec<u8>, TaskError>)>,
    /// Sky maps not given yet.
    pub(crate) maps: VecDeque<Result<Vec<u8>, KernelError>>,
    pub(crate) notices: Vec<Vec<u8>>,
}

/// Every test begins at 2030-01-01T00:00:00Z with the same random numbers.
impl Default for State {
    fn default() -> Self {
        Self {
            now: Timestamp::from_unix(1_893_456_000, 0),
            random: 0x9e37_79b9_7f4a_7c15,
            log: Vec::new(),
            progress: None,
            kv: BTreeMap::new(),
            claimed_elsewhere: BTreeSet::new(),
            blobs: BTreeMap::new(),
            answers: Vec::new(),
            requests: Vec::new(),
            spawned: Vec::new(),
            results: Vec::new(),
            maps: VecDeque::new(),
            notices: Vec::new(),
        }
    }
}

/// A request that a handler made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// What it did.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// In the order in which they were added.
    pub headers: Vec<(String, String)>,
    /// The secret's name.
    pub secret: Option<String>,
    /// Whether it may be made twice.
    pub idempotent: bool,
    /// Of a blob its bytes.
    pub body: Vec<u8>,
}

/// A task that a handler made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spawned {
    /// As it was asked for.
    pub name: String,
    /// JSON.
    pub arguments: Vec<u8>,
    /// As they were asked for.
    pub options: Options,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Gives access to this thread's state. `change` calls nothing else of this module.
pub(crate) fn with<T>(change: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(change)
}

pub(crate) fn log(level: Level, message: &str) {
    with(|state| state.log.push((level, message.to_owned())));
}

pub(crate) fn progress(fraction: f64, message: &str) {
    with(|state| state.progress = Some((fraction, message.to_owned())));
}

pub(crate) fn now() -> Timestamp {
    with(|state| state.now)
}

pub(crate) fn random(len: u32) -> Vec<u8> {
    with(|state| (0..len).map(|_| next_byte(&mut state.random)).collect())
}

/// The upper byte of xorshift64* (Vigna 2016, ACM TOMS 42, 30).
fn next_byte(seed: &mut u64) -> u8 {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    seed.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, KvError> {
    Ok(with(|state| state.kv.get(key).cloned()))
}

pub(crate) fn kv_set(key: &str, value: &[u8]) -> Result<(), KvError> {
    with(|state| state.kv.insert(key.to_owned(), value.to_vec()));
    Ok(())
}

pub(crate) fn kv_delete(key: &str) -> Result<(), KvError> {
    with(|state| state.kv.remove(key));
    Ok(())
}

pub(crate) fn kv_add(key: &str, delta: i64) -> Result<(), KvError> {
    with(|state| {
        let value = state.kv.get(key).map_or(0, |value| integer(value));
        let sum = value.saturating_add(delta);
        state
            .kv
            .insert(key.to_owned(), sum.to_string().into_bytes());
        Ok(())
    })
}

/// A decimal integer; anything else counts as 0, as in a host.
fn integer(value: &[u8]) -> i64 {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(crate) fn kv_claim(name: &str) -> Result<bool, KvError> {
    Ok(with(|state| !state.claimed_elsewhere.contains(name)))
}

/// A blob of this test.
pub(crate) struct BlobHandle {
    digest: String,
    bytes: Rc<[u8]>,
}

impl BlobHandle {
    pub(crate) fn digest(&self) -> String {
        self.digest.clone()
    }

    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the host's answer may be an error"
    )]
    pub(crate) fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, BlobError> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let rest = self.bytes.get(offset..).unwrap_or_default();
        Ok(rest[..len.min(rest.len())].to_vec())
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the host's answer may be an error"
)]
pub(crate) fn blob_put(bytes: &[u8]) -> Result<BlobHandle, BlobError> {
    let digest = digest(bytes);
    let bytes: Rc<[u8]> = bytes.into();
    with(|state| state.blobs.insert(digest.clone(), Rc::clone(&bytes)));
    Ok(BlobHandle { digest, bytes })
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn blob_open(digest: &str) -> Result<BlobHandle, BlobError> {
    let found = with(|state| state.blobs.get(digest).cloned());
    let bytes =
        found.ok_or_else(|| BlobError::Unknown(format!("no blob is kept under {digest}")))?;
    Ok(BlobHandle {
        digest: digest.to_owned(),
        bytes,
    })
}

/// Each answer is given once; the first set up for a URL comes first.
pub(crate) fn http_send(request: Request<'_>) -> Result<Response, HttpError> {
    let body = match request.body {
        Body::None => Vec::new(),
        Body::Bytes(bytes) => bytes,
        Body::Blob(blob) => blob.handle().bytes.to_vec(),
    };
    let sent = Sent {
        method: request.method,
        url: request.url,
        headers: request.headers,
        secret: request.secret,
        idempotent: request.idempotent,
        body,
    };
    with(|state| {
        let url = sent.url.clone();
        state.requests.push(sent);
        match state.answers.iter().position(|(known, _)| *known == url) {
            Some(index) => state.answers.remove(index).1,
            None => Err(HttpError::Unreachable(format!(
                "this test has no answer from {url}: set one up with `testing::respond`"
            ))),
        }
    })
}

/// The id is the task's number in this test.
pub(crate) fn spawn(name: &str, arguments: &[u8], options: &Options) -> Result<String, TaskError> {
    with(|state| {
        state.spawned.push(Spawned {
            name: name.to_owned(),
            arguments: arguments.to_vec(),
            options: options.clone(),
        });
        Ok(format!("task-{}", state.spawned.len()))
    })
}

/// What was set up for the name comes first; then the plugin's own function runs, here and now.
pub(crate) fn call(name: &str, arguments: &[u8], _options: &Options) -> Result<Output, TaskError> {
    let set_up = with(|state| {
        let place = state.results.iter().position(|(of, _)| of == name);
        place.map(|place| state.results.remove(place).1)
    });
    if let Some(answer) = set_up {
        return answer.map(Some);
    }
    if !registry::has(name) {
        return Err(TaskError::Unknown(format!(
            "this test knows no task `{name}`: set its result up with `testing::result_of`"
        )));
    }
    registry::run(name, Input::Call(arguments.to_vec())).map_err(|error| TaskError::Failed {
        kind: error.kind(),
        message: error.to_string(),
    })
}

/// One after another.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the host's answer may be an error"
)]
pub(crate) fn call_all(
    calls: Vec<(String, Vec<u8>, Options)>,
) -> Result<Vec<Result<Output, TaskError>>, TaskError> {
    let calls = calls.into_iter();
    let answers = calls.map(|(name, arguments, options)| call(&name, &arguments, &options));
    Ok(answers.collect())
}

/// The clock is set to the moment.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the host's answer may be an error"
)]
pub(crate) fn sleep_until(moment: Timestamp) -> Result<(), TaskError> {
    with(|state| state.now = state.now.max(moment));
    Ok(())
}

/// Each map is given once, in the order in which they were set up.
pub(crate) fn localize(
    _coinc: &BlobHandle,
    _psd: Option<&BlobHandle>,
    _options: &bayestar::Options,
) -> Result<BlobHandle, KernelError> {
    let map = with(|state| state.maps.pop_front());
    let no_map = || {
        let text = "this test has no sky map: set one up with `testing::sky_map`";
        Err(KernelError::Input(text.to_owned()))
    };
    let map = map.unwrap_or_else(no_map)?;
    blob_put(&map).map_err(|error| KernelError::Limit(error.to_string()))
}

/// One peer has it.
pub(crate) fn gcn_send(voevent: &[u8]) -> Result<Vec<String>, GcnError> {
    gcn_post(voevent)?;
    Ok(vec!["testing".to_owned()])
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the host's answer may be an error"
)]
pub(crate) fn gcn_post(voevent: &[u8]) -> Result<(), GcnError> {
    with(|state| state.notices.push(voevent.to_vec()));
    Ok(())
}
