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

use crate::boundary::native::with;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::packet::{FromPacket, Packet};
use crate::registry::{self, Input};

pub use crate::boundary::native::Spawned;

/// Makes a packet of these bytes, as a listener would; its other fields are empty.
///
/// ```
/// let packet = gwasp_sdk::testing::packet_from(br#"{"uid": "G298048"}"#);
/// assert_eq!(packet.payload.len(), 18);
/// ```
#[must_use]
pub fn packet_from(payload: impl AsRef<[u8]>) -> Packet {
    Packet::of(payload.as_ref().to_vec())
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
    registry::run(name, Input::Packet(packet))
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

/// Returns what the plugin tells the host about itself, as JSON.
///
/// ```
/// assert!(gwasp_sdk::testing::manifest().starts_with(r#"{"sdk":"#));
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
    match now.try_into() {
        Ok(now) => with(|state| state.now = now),
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
