//! What journals hold of requests and answers.
//!
//! Journals are read for years, by back-tests and by hosts that do not exist yet. Each type here
//! is CBOR with integer keys that are never given another meaning; a new field gets a new key and
//! is optional, a changed meaning is a new function version in the table. A request's encoding is
//! as binding as an answer's: the journal knows a request by the digest of it.
//!
//! Simple requests are bare: a text is a key, a name or a digest in hexadecimal, a number a
//! length, an empty array nothing at all. An answer that may be refused is `[0, answer]` or
//! `[1, refusal]`.

use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};

use super::function::{Function, GCN_SEND, HTTP_GET, HTTP_SEND, KERNELS_LOCALIZE, TASKS_CALL};

/// Why a plugin does not get what it asks for. Noted like any answer: a replay meets the same
/// refusal, whatever the configuration says by then.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Refused {
    /// No grant; the text has the lines to add.
    #[n(0)]
    Denied(#[n(0)] String),
    /// A limit, named with its value.
    #[n(1)]
    Limit(#[n(0)] String),
    /// There is no such thing.
    #[n(2)]
    Unknown(#[n(0)] String),
    /// It cannot be meant so.
    #[n(3)]
    Invalid(#[n(0)] String),
    /// This host cannot do it.
    #[n(4)]
    Unsupported(#[n(0)] String),
}

/// A moment, since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Moment {
    #[n(0)]
    pub(super) seconds: u64,
    #[n(1)]
    pub(super) nanoseconds: u32,
}

impl Moment {
    /// In nanoseconds; the last moment that can be told for later ones.
    pub(super) fn nanos(self) -> i64 {
        let seconds = i64::try_from(self.seconds).unwrap_or(i64::MAX);
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(self.nanoseconds.into())
    }
}

/// A value of a plugin's own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Value {
    #[n(0)]
    pub(super) bytes: ByteVec,
    /// 0 for what the run wrote itself.
    #[n(1)]
    pub(super) version: u64,
}

/// A write to a plugin's values.
#[derive(Clone, Copy, Debug, Encode)]
#[cbor(map)]
pub(super) struct SetRequest<'a> {
    #[n(0)]
    pub(super) key: &'a str,
    #[n(1)]
    pub(super) value: &'a ByteSlice,
}

/// An addition to one of a plugin's values.
#[derive(Clone, Copy, Debug, Encode)]
#[cbor(map)]
pub(super) struct AddRequest<'a> {
    #[n(0)]
    pub(super) key: &'a str,
    #[n(1)]
    pub(super) delta: i64,
}

/// An HTTP request; its body is a digest in hexadecimal.
#[derive(Clone, Copy, Debug, Encode)]
#[cbor(map)]
pub(super) struct HttpRequest<'a> {
    #[n(0)]
    pub(super) method: &'a str,
    #[n(1)]
    pub(super) url: &'a str,
    #[n(2)]
    pub(super) headers: &'a [(String, String)],
    #[n(3)]
    pub(super) secret: Option<&'a str>,
    #[n(4)]
    pub(super) body: &'a str,
}

/// What came of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum HttpAnswer {
    #[n(0)]
    #[cbor(map)]
    Response {
        #[n(0)]
        status: u16,
        #[n(1)]
        headers: Vec<(String, String)>,
        #[n(2)]
        body: ByteVec,
    },
    #[n(1)]
    Denied(#[n(0)] String),
    #[n(2)]
    Invalid(#[n(0)] String),
    #[n(3)]
    Unreachable(#[n(0)] String),
    #[n(4)]
    Timeout(#[n(0)] String),
    #[n(5)]
    Limit(#[n(0)] String),
    #[n(6)]
    InDoubt(#[n(0)] String),
}

/// A new task, or one that is called; its arguments are a digest in hexadecimal.
#[derive(Clone, Copy, Debug, Encode)]
#[cbor(map)]
pub(super) struct SpawnRequest<'a> {
    #[n(0)]
    pub(super) name: &'a str,
    #[n(1)]
    pub(super) args: &'a str,
    #[n(2)]
    pub(super) options: &'a [(String, String)],
}

/// What was decided about a new task: the routing table may be another on a replay.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Spawned {
    #[n(0)]
    pub(super) plugin: String,
    #[n(1)]
    pub(super) handler: String,
    #[n(2)]
    pub(super) queue: String,
    #[n(3)]
    pub(super) priority: u8,
    /// Nanoseconds since the Unix epoch.
    #[n(4)]
    pub(super) due: i64,
    #[n(5)]
    pub(super) retries: u32,
    #[n(6)]
    pub(super) backoff_ms: u64,
    #[n(7)]
    pub(super) max_backoff_ms: u64,
    #[n(8)]
    pub(super) timeout_ms: u64,
    /// Nanoseconds since the Unix epoch.
    #[n(9)]
    pub(super) deadline: Option<i64>,
}

/// What came of a task that was called.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum CallAnswer {
    /// Its result, as JSON.
    #[n(0)]
    Result(#[n(0)] Option<ByteVec>),
    /// It was not made.
    #[n(1)]
    Refused(#[n(0)] Refused),
    #[n(2)]
    #[cbor(map)]
    Failed {
        #[n(0)]
        kind: FailedAs,
        #[n(1)]
        message: String,
        #[n(2)]
        detail: Option<String>,
    },
    /// Its result, as a blob: the digest in hexadecimal.
    #[n(3)]
    Blob(#[n(0)] String),
}

/// How a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum FailedAs {
    #[n(0)]
    Error,
    #[n(1)]
    Parse,
    #[n(2)]
    Permanent,
    #[n(3)]
    InDoubt,
}

/// Files, as digests in hexadecimal, and options of a sky map.
#[derive(Clone, Copy, Debug, Encode)]
#[cbor(map)]
pub(super) struct LocalizeRequest<'a> {
    #[n(0)]
    pub(super) coinc: &'a str,
    #[n(1)]
    pub(super) psd: Option<&'a str>,
    #[n(2)]
    pub(super) waveform: &'a str,
    #[n(3)]
    pub(super) f_low: f64,
    #[n(4)]
    pub(super) f_high_truncate: f64,
    #[n(5)]
    pub(super) min_distance: f64,
    #[n(6)]
    pub(super) max_distance: Option<f64>,
    #[n(7)]
    pub(super) distance_power: i32,
    #[n(8)]
    pub(super) cosmology: bool,
    #[n(9)]
    pub(super) use_snr_series: bool,
    #[n(10)]
    pub(super) rescale: f32,
    #[n(11)]
    pub(super) disabled_detectors: &'a [String],
    #[n(12)]
    pub(super) object: Option<&'a str>,
}

/// What came of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum KernelAnswer {
    /// A blob's digest in hexadecimal.
    #[n(0)]
    Blob(#[n(0)] String),
    #[n(1)]
    Input(#[n(0)] String),
    #[n(2)]
    Invalid(#[n(0)] String),
    #[n(3)]
    Limit(#[n(0)] String),
    #[n(4)]
    Denied(#[n(0)] String),
}

/// What came of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum GcnAnswer {
    /// Peers that have it.
    #[n(0)]
    Receipts(#[n(0)] Vec<String>),
    #[n(1)]
    Refused(#[n(0)] Refused),
    #[n(2)]
    InDoubt(#[n(0)] String),
}

/// Whether this answer of a function says that the plugin does not get what it asks for: it has no
/// grant, or what it asks for cannot be meant so.
pub(super) fn is_refusal(function: &str, answer: &[u8]) -> bool {
    let is = |known: &Function| known.name == function;
    if is(&HTTP_GET) || is(&HTTP_SEND) {
        let answer = minicbor::decode(answer);
        return matches!(answer, Ok(HttpAnswer::Denied(_) | HttpAnswer::Invalid(_)));
    }
    if is(&KERNELS_LOCALIZE) {
        let answer = minicbor::decode(answer);
        return matches!(
            answer,
            Ok(KernelAnswer::Denied(_) | KernelAnswer::Invalid(_))
        );
    }
    if is(&TASKS_CALL) {
        return matches!(minicbor::decode(answer), Ok(CallAnswer::Refused(_)));
    }
    if is(&GCN_SEND) {
        return matches!(minicbor::decode(answer), Ok(GcnAnswer::Refused(_)));
    }
    // No other answer is an array of 1 and a refusal.
    let refused: Result<(u32, Refused), _> = minicbor::decode(answer);
    matches!(refused, Ok((1, _)))
}

#[cfg(test)]
mod tests;
