//! A stand-in for the host, for unit tests of handlers: plain `cargo test`, no wasm, no host.
//!
//! A handler is an ordinary function: a test makes its argument and calls it. What the handler
//! asks of the host is answered by the thread's own stand-in, so tests do not see each other. It
//! keeps values in memory, answers requests with what [`respond`] was given and remembers what
//! was done. It knows no permissions, no retries and no journal.
//!
//! ```
//! use gwasp_sdk::prelude::*;
//! use gwasp_sdk::testing;
//!
//! #[handler("gcn.circulars")]
//! fn note(text: &str) {
//!     info!("{} at {}", text, clock::now());
//! }
//!
//! testing::set_now("2017-08-17T13:21:42Z");
//! note("LIGO/Virgo G298048");
//! assert_eq!(testing::log_lines(), ["info: LIGO/Virgo G298048 at 2017-08-17T13:21:42Z"]);
//! ```

use crate::bayestar::KernelError;
use crate::boundary::native::{digest, with};
use crate::clock::{self, Timestamp};
use crate::error::Result;
use crate::http::{HttpError, Response};
use crate::packet::{FromPacket, Packet};
use crate::registry::{self, Input};
use crate::tasks::TaskError;

pub use crate::boundary::native::{Sent, Spawned};

/// Makes a packet of these bytes, as a listener would: an observation that was received now, its
/// other fields empty.
///
/// ```
/// let packet = gwasp_sdk::testing::packet_from(br#"{"uid": "G298048"}"#);
/// assert_eq!(packet.payload.len(), 18);
/// ```
#[must_use]
pub fn packet_from(payload: impl AsRef<[u8]>) -> Packet {
    let payload = payload.as_ref().to_vec();
    Packet {
        source: String::new(),
        key: String::new(),
        id: String::new(),
        role: "observation".to_owned(),
        flags: Vec::new(),
        digest: digest(&payload),
        sent: None,
        received: clock::now(),
        content_type: String::new(),
        headers: Vec::new(),
        payload,
    }
}

/// Makes a handler's argument of these bytes, as the host would.
///
/// # Errors
/// As the handler's packet would fail: a payload that does not parse.
///
/// ```
/// use gwasp_sdk::testing;
///
/// let text: String = testing::argument_from("a notice")?;
/// assert_eq!(text, "a notice");
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn argument_from<T: for<'a> FromPacket<'a>>(payload: impl AsRef<[u8]>) -> Result<T> {
    T::from_packet(&packet_from(payload))
}

/// Runs the handler registered under `name` on a packet, its arguments read as in the host.
///
/// # Errors
/// The handler's own; a packet that does not parse; a name that nothing has.
///
/// ```
/// use gwasp_sdk::prelude::*;
/// use gwasp_sdk::testing;
///
/// #[handler("mdc_*", name = "size")]
/// fn size(payload: &[u8]) -> Result<usize> {
///     Ok(payload.len())
/// }
///
/// let result = testing::handle("size", testing::packet_from("12345"))?;
/// assert_eq!(result.as_deref(), Some(b"5".as_slice()));
/// # Ok::<(), Error>(())
/// ```
pub fn handle(name: &str, packet: Packet) -> Result<Option<Vec<u8>>> {
    registry::run(name, Input::Packet(Box::new(packet)))
}

/// Runs the task registered under `name` with arguments as JSON.
///
/// # Errors
/// The task's own; arguments that do not parse; a name that nothing has.
///
/// ```
/// use gwasp_sdk::prelude::*;
/// use gwasp_sdk::testing;
///
/// #[task]
/// fn double(number: u32) -> Result<u32> {
///     Ok(2 * number)
/// }
///
/// # let name = testing::manifest();
/// # let name = name.split('"').find(|part| part.ends_with("double")).unwrap();
/// let result = testing::call(name, "21")?;
/// assert_eq!(result.as_deref(), Some(b"42".as_slice()));
/// # Ok::<(), Error>(())
/// ```
pub fn call(name: &str, arguments: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
    registry::run(name, Input::Call(arguments.as_ref().to_vec()))
}

/// Runs the periodic function registered under `name`, as if it were due at that moment.
///
/// # Errors
/// The function's own; a name that nothing has.
///
/// # Panics
/// If `due` is neither a [`Timestamp`] nor text as RFC 3339 writes it.
///
/// ```
/// use gwasp_sdk::prelude::*;
/// use gwasp_sdk::testing;
///
/// #[periodic("0 12 * * *", name = "noon")]
/// fn noon(due: clock::Timestamp) {
///     info!("noon at {due}");
/// }
///
/// testing::tick("noon", "2017-08-17T12:00:00Z")?;
/// assert_eq!(testing::log_lines(), ["info: noon at 2017-08-17T12:00:00Z"]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn tick(
    name: &str,
    due: impl TryInto<Timestamp, Error: std::fmt::Display>,
) -> Result<Option<Vec<u8>>> {
    registry::run(name, Input::Tick(moment(due)))
}

/// Returns what the plugin tells the host about itself, as JSON.
///
/// ```
/// assert!(gwasp_sdk::testing::manifest().starts_with(r#"{"format":1,"sdk":"#));
/// ```
#[must_use]
pub fn manifest() -> String {
    registry::describe()
}

/// Sets the time, which then stands still.
///
/// # Panics
/// If it is neither a [`Timestamp`] nor text as RFC 3339 writes it.
///
/// ```
/// gwasp_sdk::testing::set_now("2017-08-17T12:41:04Z");
/// assert_eq!(gwasp_sdk::clock::now().gps(), 1187008882.0);
/// ```
#[track_caller]
pub fn set_now(now: impl TryInto<Timestamp, Error: std::fmt::Display>) {
    let now = moment(now);
    with(|state| state.now = now);
}

#[track_caller]
fn moment(text: impl TryInto<Timestamp, Error: std::fmt::Display>) -> Timestamp {
    match text.try_into() {
        Ok(moment) => moment,
        #[expect(clippy::panic, reason = "a mistake in the test, told at its line")]
        Err(error) => panic!("{error}"),
    }
}

/// Returns the lines logged so far by this test, each as `level: message`.
///
/// ```
/// gwasp_sdk::warn!("no position");
/// assert_eq!(gwasp_sdk::testing::log_lines(), ["warn: no position"]);
/// ```
#[must_use]
pub fn log_lines() -> Vec<String> {
    with(|state| {
        let lines = state.log.iter();
        lines
            .map(|(level, message)| format!("{}: {message}", level.as_str()))
            .collect()
    })
}

/// Returns the latest report of progress.
///
/// ```
/// gwasp_sdk::progress::report(0.5, "half");
/// assert_eq!(gwasp_sdk::testing::progress(), Some((0.5, "half".to_owned())));
/// ```
#[must_use]
pub fn progress() -> Option<(f64, String)> {
    with(|state| state.progress.clone())
}

/// Sets up the answer to a request of this URL. Each answer is given once, in the order in which
/// they were set up; a request without one fails as unreachable.
///
/// ```
/// use gwasp_sdk::{http, testing};
///
/// testing::respond("https://obs.example/targets", 200, r#"["M31"]"#);
/// let targets: Vec<String> = http::get("https://obs.example/targets").send()?.json()?;
/// assert_eq!(targets, ["M31"]);
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn respond(url: &str, status: u16, body: impl AsRef<[u8]>) {
    let response = Response {
        status,
        headers: Vec::new(),
        body: body.as_ref().to_vec(),
    };
    with(|state| state.answers.push((url.to_owned(), Ok(response))));
}

/// Sets up a failure of the next request of this URL, as [`respond`] sets up an answer.
///
/// ```
/// use gwasp_sdk::http::{self, HttpError};
/// use gwasp_sdk::testing;
///
/// testing::fail("https://obs.example/lamp", HttpError::InDoubt("no answer".to_owned()));
/// assert!(http::post("https://obs.example/lamp").send().is_err());
/// ```
pub fn fail(url: &str, error: HttpError) {
    with(|state| state.answers.push((url.to_owned(), Err(error))));
}

/// Returns the requests made so far.
///
/// ```
/// use gwasp_sdk::{http, testing};
///
/// testing::respond("https://obs.example/targets", 201, "");
/// http::post("https://obs.example/targets").bytes("M31").send()?;
/// assert_eq!(testing::requests()[0].body, b"M31");
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
#[must_use]
pub fn requests() -> Vec<Sent> {
    with(|state| state.requests.clone())
}

/// Lets another task have claimed `name` first.
///
/// ```
/// use gwasp_sdk::{kv, testing};
///
/// testing::claimed_elsewhere("notice for S190425z");
/// assert!(!kv::claim("notice for S190425z")?);
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn claimed_elsewhere(name: &str) {
    with(|state| state.claimed_elsewhere.insert(name.to_owned()));
}

/// Returns the tasks made so far.
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// tasks::spawn("annotate.plot", "S190425z")?;
/// assert_eq!(testing::spawned()[0].name, "annotate.plot");
/// # Ok::<(), tasks::TaskError>(())
/// ```
#[must_use]
pub fn spawned() -> Vec<Spawned> {
    with(|state| state.spawned.clone())
}

/// Sets up the result, as JSON, of the next [call](crate::tasks::call) of the task `name`. Each is
/// given once. A task of the plugin itself that has none runs at the call.
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// testing::result_of("annotate.plot", r#""plot.png""#);
/// let plot: String = tasks::call("annotate.plot", "S190425z")?;
/// assert_eq!(plot, "plot.png");
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn result_of(name: &str, result: impl AsRef<[u8]>) {
    let result = result.as_ref().to_vec();
    with(|state| state.results.push((name.to_owned(), Ok(result))));
}

/// Sets up a failure of the next call of the task `name`, as [`result_of`] sets up a result.
///
/// ```
/// use gwasp_sdk::tasks::{self, TaskError};
/// use gwasp_sdk::testing;
///
/// testing::no_result_of("annotate.plot", TaskError::Limit("no memory".to_owned()));
/// assert!(tasks::call::<String>("annotate.plot", "S190425z").is_err());
/// ```
pub fn no_result_of(name: &str, error: TaskError) {
    with(|state| state.results.push((name.to_owned(), Err(error))));
}

/// Sets up the next sky map that [`bayestar`](crate::bayestar) answers: the bytes of its file.
///
/// ```
/// use gwasp_sdk::{Blob, bayestar, testing};
///
/// testing::sky_map("SIMPLE  =                    T");
/// let map = bayestar::localize(&Blob::put("<LIGO_LW>")?)?;
/// assert_eq!(map.bytes()?, b"SIMPLE  =                    T");
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn sky_map(map: impl AsRef<[u8]>) {
    let map = map.as_ref().to_vec();
    with(|state| state.maps.push_back(Ok(map)));
}

/// Sets up a failure of the next sky localization, as [`sky_map`] sets up a map.
///
/// ```
/// use gwasp_sdk::bayestar::{self, KernelError};
/// use gwasp_sdk::{Blob, testing};
///
/// testing::no_sky_map(KernelError::Input("no PSD for H1".to_owned()));
/// assert!(bayestar::localize(&Blob::put("<LIGO_LW>")?).is_err());
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn no_sky_map(error: KernelError) {
    with(|state| state.maps.push_back(Err(error)));
}

/// Returns the notices sent so far.
///
/// ```
/// gwasp_sdk::gcn::send("<voe:VOEvent/>")?;
/// assert_eq!(gwasp_sdk::testing::notices(), [b"<voe:VOEvent/>"]);
/// # Ok::<(), gwasp_sdk::gcn::GcnError>(())
/// ```
#[must_use]
pub fn notices() -> Vec<Vec<u8>> {
    with(|state| state.notices.clone())
}

/// Forgets all that happened in this test and all that was set up.
///
/// ```
/// gwasp_sdk::info!("one");
/// gwasp_sdk::testing::reset();
/// assert!(gwasp_sdk::testing::log_lines().is_empty());
/// ```
pub fn reset() {
    with(|state| *state = Default::default());
}
