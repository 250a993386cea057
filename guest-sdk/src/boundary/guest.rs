//! The host's functions, and the two that the host calls.

use std::time::Duration;

use crate::bayestar::{self, KernelError};
use crate::blobs::BlobError;
use crate::clock::Timestamp;
use crate::error::{Error, FailureKind};
use crate::gcn::GcnError;
use crate::http::{Body, HttpError, Method, Request, Response};
use crate::kv::KvError;
use crate::log::Level;
use crate::packet::Packet;
use crate::registry::{self, Input, Output};
use crate::tasks::{Options, TaskError};

#[expect(
    unsafe_code,
    reason = "generated calls across the component boundary have no safe form"
)]
mod bindings {
    wit_bindgen::generate!({
        path: "wit/dev",
        world: "plugin",
    });
    export!(Plugin);

    /// What the host sees.
    pub(super) struct Plugin;
}

use bindings::gwasp::plugin as host;
use bindings::{Guest, Plugin};
use host::types;

impl Guest for Plugin {
    fn describe() -> String {
        report_panics();
        registry::describe()
    }

    fn handle(handler: String, input: types::Input) -> Result<Option<Vec<u8>>, types::Failure> {
        report_panics();
        registry::run(&handler, input.into()).map_err(types::Failure::from)
    }
}

/// Writes a panic as a line of the log before it becomes a trap, which has no text.
///
/// The host looks for the word `panicked` at the beginning of an error line.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let line = match panic.location() {
            Some(place) => format!("panicked at {place}: {message}"),
            None => format!("panicked: {message}"),
        };
        log(Level::Error, &line);
    }));
}

impl From<types::Input> for Input {
    fn from(input: types::Input) -> Self {
        match input {
            types::Input::Packet(packet) => Self::Packet(Box::new(packet.into())),
            types::Input::Call(arguments) => Self::Call(arguments),
            types::Input::Tick(due) => Self::Tick(due.into()),
        }
    }
}

impl From<types::Packet> for Packet {
    fn from(packet: types::Packet) -> Self {
        Self {
            source: packet.source,
            key: packet.key,
            id: packet.id,
            role: packet.role,
            flags: packet.flags,
            digest: packet.digest,
            sent: packet.sent.map(Timestamp::from),
            received: packet.received.into(),
            content_type: packet.content_type,
            headers: packet.headers,
            payload: packet.payload,
        }
    }
}

impl From<types::Datetime> for Timestamp {
    fn from(moment: types::Datetime) -> Self {
        Self::from_unix(moment.seconds, moment.nanoseconds)
    }
}

impl From<Error> for types::Failure {
    fn from(error: Error) -> Self {
        let chain = error.chain();
        Self {
            kind: match error.kind() {
                FailureKind::Error => types::FailureKind::Error,
                FailureKind::Parse => types::FailureKind::Parse,
                FailureKind::Permanent => types::FailureKind::Permanent,
                FailureKind::InDoubt => types::FailureKind::InDoubt,
            },
            retry_after: error.delay().map(milliseconds),
            message: chain.join(": "),
            detail: (chain.len() > 1).then(|| chain.join("\ncaused by: ")),
        }
    }
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => host::log::Level::Trace,
        Level::Debug => host::log::Level::Debug,
        Level::Info => host::log::Level::Info,
        Level::Warn => host::log::Level::Warn,
        Level::Error => host::log::Level::Error,
    };
    host::log::write(level, message);
}

pub(crate) fn progress(fraction: f64, message: &str) {
    host::progress::report(fraction, message);
}

pub(crate) fn now() -> Timestamp {
    host::clock::now().into()
}

pub(crate) fn random(len: u32) -> Vec<u8> {
    host::random::get_bytes(len)
}

pub(crate) fn spawn(name: &str, arguments: &[u8], options: &Options) -> Result<String, TaskError> {
    host::tasks::spawn(name, arguments, &options.pairs()).map_err(task_error)
}

pub(crate) fn call(name: &str, arguments: &[u8], options: &Options) -> Result<Output, TaskError> {
    host::tasks::call(name, arguments, &options.pairs()).map_err(task_error)
}

pub(crate) fn call_all(
    calls: Vec<(String, Vec<u8>, Options)>,
) -> Result<Vec<Result<Output, TaskError>>, TaskError> {
    let calls: Vec<host::tasks::Called> = calls
        .into_iter()
        .map(|(name, args, options)| host::tasks::Called {
            name,
            args,
            options: options.pairs(),
        })
        .collect();
    let answers = host::tasks::all(&calls).map_err(task_error)?;
    let answers = answers.into_iter();
    Ok(answers.map(|answer| answer.map_err(task_error)).collect())
}

pub(crate) fn sleep_until(moment: Timestamp) -> Result<(), TaskError> {
    let moment = types::Datetime {
        seconds: moment.unix_seconds(),
        nanoseconds: moment.subsec_nanoseconds(),
    };
    host::tasks::sleep_until(moment).map_err(task_error)
}

fn task_error(error: host::tasks::Error) -> TaskError {
    match error {
        host::tasks::Error::Unknown(text) => TaskError::Unknown(text),
        host::tasks::Error::Denied(text) => TaskError::Denied(text),
        host::tasks::Error::Limit(text) => TaskError::Limit(text),
        host::tasks::Error::Invalid(text) => TaskError::Invalid(text),
        host::tasks::Error::Unsupported(text) => TaskError::Unsupported(text),
        host::tasks::Error::Failed(failure) => TaskError::Failed {
            kind: match failure.kind {
                types::FailureKind::Error => FailureKind::Error,
                types::FailureKind::Parse => FailureKind::Parse,
                types::FailureKind::Permanent => FailureKind::Permanent,
                types::FailureKind::InDoubt => FailureKind::InDoubt,
            },
            message: failure.message,
        },
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, KvError> {
    let entry = host::kv::get(key).map_err(kv_error)?;
    Ok(entry.map(|entry| entry.value))
}

pub(crate) fn kv_set(key: &str, value: &[u8]) -> Result<(), KvError> {
    host::kv::set(key, value).map_err(kv_error)
}

pub(crate) fn kv_delete(key: &str) -> Result<(), KvError> {
    host::kv::delete(key).map_err(kv_error)
}

pub(crate) fn kv_add(key: &str, delta: i64) -> Result<(), KvError> {
    host::kv::add(key, delta).map_err(kv_error)
}

pub(crate) fn kv_claim(name: &str) -> Result<bool, KvError> {
    host::kv::claim(name).map_err(kv_error)
}

fn kv_error(error: host::kv::Error) -> KvError {
    match error {
        host::kv::Error::Denied(text) => KvError::Denied(text),
        host::kv::Error::Limit(text) => KvError::Limit(text),
    }
}

/// A blob that the host keeps.
pub(crate) struct BlobHandle(host::blobs::Blob);

impl BlobHandle {
    pub(crate) fn digest(&self) -> String {
        self.0.digest()
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, BlobError> {
        self.0.read(offset, len).map_err(blob_error)
    }
}

pub(crate) fn blob_put(bytes: &[u8]) -> Result<BlobHandle, BlobError> {
    host::blobs::put(bytes).map(BlobHandle).map_err(blob_error)
}

pub(crate) fn blob_open(digest: &str) -> Result<BlobHandle, BlobError> {
    host::blobs::open(digest)
        .map(BlobHandle)
        .map_err(blob_error)
}

fn blob_error(error: host::blobs::Error) -> BlobError {
    match error {
        host::blobs::Error::Unknown(text) => BlobError::Unknown(text),
        host::blobs::Error::Limit(text) => BlobError::Limit(text),
        host::blobs::Error::Denied(text) => BlobError::Denied(text),
    }
}

pub(crate) fn localize(
    coinc: &BlobHandle,
    psd: Option<&BlobHandle>,
    options: &bayestar::Options,
) -> Result<BlobHandle, KernelError> {
    let options = host::kernels::SkyMapOptions {
        waveform: options.waveform.clone(),
        f_low: options.f_low,
        f_high_truncate: options.f_high_truncate,
        min_distance: options.min_distance,
        max_distance: options.max_distance,
        distance_power: options.distance_power,
        cosmology: options.cosmology,
        use_snr_series: options.use_snr_series,
        rescale_loglikelihood: options.rescale_loglikelihood,
        disabled_detectors: options.disabled_detectors.clone(),
        object: options.object.clone(),
    };
    let map = host::kernels::localize(&coinc.0, psd.map(|psd| &psd.0), &options);
    map.map(BlobHandle).map_err(|error| match error {
        host::kernels::Error::Denied(text) => KernelError::Denied(text),
        host::kernels::Error::Input(text) => KernelError::Input(text),
        host::kernels::Error::Invalid(text) => KernelError::Invalid(text),
        host::kernels::Error::Limit(text) => KernelError::Limit(text),
    })
}

pub(crate) fn gcn_send(voevent: &[u8]) -> Result<Vec<String>, GcnError> {
    host::gcn::send(voevent).map_err(gcn_error)
}

pub(crate) fn gcn_post(voevent: &[u8]) -> Result<(), GcnError> {
    host::gcn::post(voevent).map_err(gcn_error)
}

fn gcn_error(error: host::gcn::Error) -> GcnError {
    match error {
        host::gcn::Error::Denied(text) => GcnError::Denied(text),
        host::gcn::Error::Invalid(text) => GcnError::Invalid(text),
        host::gcn::Error::Limit(text) => GcnError::Limit(text),
        host::gcn::Error::Unsupported(text) => GcnError::Unsupported(text),
        host::gcn::Error::InDoubt(text) => GcnError::InDoubt(text),
    }
}

pub(crate) fn http_send(request: Request<'_>) -> Result<Response, HttpError> {
    let head = host::http::Request {
        method: method(request.method),
        url: request.url,
        headers: request.headers,
        secret: request.secret,
        idempotent: request.idempotent,
        key: request.key,
    };
    let body = match request.body {
        Body::None => None,
        Body::Bytes(bytes) => Some(host::http::Body::Bytes(bytes)),
        Body::Blob(blob) => Some(host::http::Body::Blob(&blob.handle().0)),
    };
    let response = host::http::send(&head, body.as_ref()).map_err(http_error)?;
    Ok(Response {
        status: response.status,
        headers: response.headers,
        body: response.body,
    })
}

fn method(method: Method) -> host::http::Method {
    match method {
        Method::Get => host::http::Method::Get,
        Method::Head => host::http::Method::Head,
        Method::Post => host::http::Method::Post,
        Method::Put => host::http::Method::Put,
        Method::Patch => host::http::Method::Patch,
        Method::Delete => host::http::Method::Delete,
    }
}

fn http_error(error: host::http::Error) -> HttpError {
    match error {
        host::http::Error::Denied(text) => HttpError::Denied(text),
        host::http::Error::Invalid(text) => HttpError::Invalid(text),
        host::http::Error::Unreachable(text) => HttpError::Unreachable(text),
        host::http::Error::Timeout(text) => HttpError::Timeout(text),
        host::http::Error::Limit(text) => HttpError::Limit(text),
        host::http::Error::InDoubt(text) => HttpError::InDoubt(text),
    }
}
