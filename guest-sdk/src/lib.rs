//! What authors of GWASP plugins write against.
//!
//! A plugin is a library of ordinary functions. An attribute says for which packets the host runs
//! one, and the function's argument says what it wants to have of the packet:
//!
//! ```
//! use gwasp_sdk::prelude::*;
//!
//! #[handler(FERMI_GBM_GND_POS)]
//! fn log_position(notice: &VoEvent) -> Result<()> {
//!     let position = notice.position()?;
//!     info!("Fermi GBM at ra {:.2}, dec {:.2}", position.ra, position.dec);
//!     Ok(())
//! }
//! ```
//!
//! That is a whole plugin: no `main`, no list of handlers. `gwasp new` makes the folder around it,
//! `gwasp build` the plugin. So is this one, which localizes a candidate and sends a notice:
//!
//! ```
//! use gwasp_sdk::prelude::*;
//!
//! #[handler("cbc_gstlal")]
//! fn localize(alert: &LvAlert) -> Result<()> {
//!     let coinc = gracedb::download(alert, "coinc.xml")?;
//!     let map = bayestar::localize(&coinc)?;
//!     gracedb::upload(alert, "bayestar.multiorder.fits", &map, "sky map")?;
//!     sleep(Duration::from_secs(270))?;
//!     gcn::send(gracedb::download(alert, "preliminary.xml")?.bytes()?)?;
//!     Ok(())
//! }
//! # use gwasp_sdk::testing;
//! # fn main() -> Result<()> {
//! # let alert = testing::argument_from(r#"{"uid": "G298048", "alert_type": "new", "object":
//! #     {"links": {"self": "https://gracedb.example/api/events/G298048/"}}}"#)?;
//! # let url = |path| format!("https://gracedb.example/api/events/G298048/{path}");
//! # testing::respond(&url("files/coinc.xml"), 200, "<LIGO_LW/>");
//! # testing::respond(&url("log/"), 201, "{}");
//! # testing::respond(&url("files/preliminary.xml"), 200, "<voe:VOEvent/>");
//! # testing::sky_map("SIMPLE  =                    T");
//! # let before = clock::now();
//! # localize(&alert)?;
//! # assert_eq!(clock::now() - before, Duration::from_secs(270));
//! # assert_eq!(testing::notices(), [b"<voe:VOEvent/>"]);
//! # Ok(())
//! # }
//! ```
//!
//! What waits (`sleep`, [`tasks::call`], [`tasks::all`]) holds nothing of the host meanwhile and goes
//! on after any crash. In this version the host sends no notices: [`gcn::send`] answers that it is
//! not supported. A dry run (`gwasp test`) goes through, and sleeps nothing.
//!
//! # Packets
//! Bare names are GCN notice types, [all of them](notices); a number is one that has no name yet;
//! a string is a node or topic, with a `*` at its end all that begin with it. See
//! [`handler`](macro@handler) for the options, and [`FromPacket`] for the arguments: an own type
//! with `#[derive(Deserialize)]` is read from JSON.
//!
//! ```
//! use gwasp_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Alert {
//!     superevent_id: String,
//!     alert_type: String,
//! }
//!
//! #[handler("igwn.gwalert", order_by = "/superevent_id", retries = 5, timeout = "30s")]
//! fn note(alert: &Alert) -> Result<()> {
//!     kv::set(&alert.superevent_id, &alert.alert_type)?;
//!     Ok(())
//! }
//! ```
//!
//! Functions of any module are found, and those of another crate if the plugin names that crate:
//! `use my_handlers as _;` (without it the linker leaves the crate out).
//!
//! # Errors
//! `?` takes any error and knows what it means for another attempt: see [`Error`].
//!
//! # The world
//! A plugin has no clock, randomness, files or sockets of its own. What it needs comes from the
//! host, through the modules of this crate: [`clock`], [`random`], [`kv`], [`blobs`], [`http`],
//! [`gracedb`], [`bayestar`], [`gcn`], [`tasks`], [`log`] and [`progress`]. The host notes each answer, so a handler can
//! be taken up again after a crash where it was, without doing anything twice. A handler is
//! therefore written as if it ran once, from top to bottom.
//!
//! # Tests
//! In a native build the same functions are answered by a stand-in, see `testing`: handlers are
//! tested by plain `cargo test`.
//!
//! ```
//! use gwasp_sdk::prelude::*;
//! use gwasp_sdk::testing;
//!
//! #[handler("gcn.circulars")]
//! fn count(text: &str) -> Result<()> {
//!     kv::add("circulars", 1)?;
//!     info!("{} bytes", text.len());
//!     Ok(())
//! }
//!
//! # fn main() -> Result<()> {
//! count("TITLE: GCN CIRCULAR")?;
//! assert_eq!(kv::get("circulars")?.as_deref(), Some(b"1".as_slice()));
//! assert_eq!(testing::log_lines(), ["info: 19 bytes"]);
//! # Ok(())
//! # }
//! ```

#[doc(hidden)]
pub mod __private;
pub mod bayestar;
pub mod blobs;
mod boundary;
pub mod clock;
mod error;
pub mod gcn;
pub mod gracedb;
pub mod http;
pub mod kv;
pub mod log;
mod outcome;
mod packet;
pub mod prelude;
pub mod progress;
pub mod random;
mod registry;
pub mod tasks;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use blobs::Blob;
pub use error::{Context, Error, FailureKind, Result};
/// The alert formats, as a crate of their own.
pub use gwasp_formats as formats;
pub use gwasp_formats::{LvAlert, NoticeType, VoEvent, notices};
pub use outcome::IntoOutcome;
pub use packet::{FromPacket, Packet};

/// Lets the host run a function for each packet of the kinds that it names.
///
/// Kinds are notice types by name or number, and nodes or topics as strings; any of them runs the
/// function. A mistyped name is an error that suggests the right one.
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// #[handler(SWIFT_BAT_GRB_POS_ACK, SWIFT_XRT_POSITION, 999)]
/// fn follow_up(notice: &VoEvent) -> Result<()> {
///     info!("burst at {}", notice.time()?);
///     Ok(())
/// }
///
/// #[handler("cbc_*", "mdc_superevent", queue = "superevent", retries = 10, backoff = "1s",
///           max_backoff = "10m", timeout = "30s", order_by = "/uid", accept(test))]
/// fn log_uid(packet: &Packet, alert: serde_json::Value) {
///     info!("{} on {}", alert["uid"], packet.key);
/// }
/// ```
///
/// # Arguments
/// Up to four, each made of the packet: [`Packet`], `&[u8]`, `&str`, [`VoEvent`], [`LvAlert`] or a type of your
/// own by [`FromPacket`], any other type with `serde::Deserialize` of its JSON; or a reference to
/// one of these. A packet of which one cannot be made is set aside with a message that names the
/// place.
///
/// # Options
/// | option | what it does | without it |
/// |---|---|---|
/// | `queue = "openmp"` | runs in that queue | `general` |
/// | `retries = 10` | attempts after the first that failed | 3 |
/// | `backoff = "1s"` | wait before the first retry; doubled for each further one | 1 s |
/// | `max_backoff = "10m"` | longest wait before a retry | 10 min |
/// | `timeout = "30s"` | longest time to run between two waits | 10 s |
/// | `deadline = "1h"` | longest time since the packet was accepted, waits included | none |
/// | `priority = 0` | 0 (served first) to 9 | 5 |
/// | `order_by = "/uid"` | packets with the same value take turns: a JSON pointer, `param:TrigID`, `ivorn` or `id` | no order |
/// | `accept(test, old)` | gets packets of these roles too | observations, predictions, utility |
/// | `only(test)` | gets packets of these roles and no others | |
/// | `name = "bat"` | its name in the host | its path in the plugin, as `swift::handle_bat` |
///
/// # Result
/// `()`, `Result<()>`, or `Result<T>` where `T` can be written as JSON: see [`IntoOutcome`].
#[doc(inline)]
pub use gwasp_macros::handler;

/// Lets the host run a function when its task is made by name, here or in another plugin.
///
/// Arguments and result travel as JSON; a [`Blob`] travels as its digest. Beside the function
/// `f` stand `f::call`, which runs it as a task, in its own queue and with its own retries, and
/// waits for the result; `f::prepare`, for several that run side by side, see [`tasks::all`]; and
/// `f::spawn`, which makes a task of it with this run's outcome and does not wait. Between plugins
/// the task is named by a text, see [`tasks::call`] and [`tasks::spawn`].
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// #[task(queue = "openmp", timeout = "10m")]
/// fn reverse(map: Blob) -> Result<Blob> {
///     let mut bytes = map.bytes()?;
///     bytes.reverse();
///     Ok(Blob::put(bytes)?)
/// }
///
/// #[handler("skymaps")]
/// fn on_map(bytes: &[u8]) -> Result<()> {
///     let reversed = reverse::call(Blob::put(bytes)?)?;
///     reverse::spawn(reversed)?;
///     Ok(())
/// }
/// # fn main() -> Result<()> {
/// # on_map(b"map")?;
/// # let spawned = gwasp_sdk::testing::spawned();
/// # assert!(spawned[0].name.ends_with("reverse"));
/// # let pam = Blob::put("pam")?.digest();
/// # assert!(String::from_utf8_lossy(&spawned[0].arguments).contains(&pam));
/// # Ok(())
/// # }
/// ```
///
/// Of the options of [`handler`](macro@handler) it takes all but those about packets: `queue`,
/// `retries`, `backoff`, `max_backoff`, `timeout`, `deadline`, `priority` and `name`.
#[doc(inline)]
pub use gwasp_macros::task;

/// Lets the host run a function by a schedule: five fields as in `crontab`, or an interval.
///
/// Fields are minute, hour, day of month, month and day of week (crontab(5)), in UTC, or in the
/// time zone `tz`. A time that the clocks of a zone skip is run once, when they skip it; one that
/// they show twice is run the first time. `every` counts from 1970-01-01T00:00:00Z: `"1h"` is each
/// full hour. The function takes nothing, or the moment for which it was due.
///
/// Runs that were missed, because the host was down, are made up for as `catch_up` says: the last
/// one (`"one"`, without the option), `"none"`, or up to so many (`"all(10)"`). No run is made
/// twice.
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// #[periodic("*/5 * * * *")]
/// fn sweep(due: clock::Timestamp) {
///     info!("the sweep of {due}");
/// }
///
/// #[periodic("30 8 * * 1-5", tz = "Europe/Rome", catch_up = "none")]
/// fn remind() {
///     info!("the morning's shift begins");
/// }
///
/// #[periodic(every = "1h", retries = 0)]
/// fn forget() -> Result<()> {
///     kv::delete("last")?;
///     Ok(())
/// }
/// ```
///
/// Other options are those of [`task`](macro@task).
#[doc(inline)]
pub use gwasp_macros::periodic;
