//! The encodings, to the byte. A journal that is on a disk somewhere holds these bytes: what
//! makes a test here fail is another encoding, not another number of a test.

use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};

use super::{
    AddRequest, CallAnswer, FailedAs, GcnAnswer, HttpAnswer, HttpRequest, KernelAnswer,
    LocalizeRequest, Moment, Refused, SetRequest, SpawnRequest, Spawned, Value, is_refusal,
};
use crate::effects::TABLE;
use crate::effects::seam::encode;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[track_caller]
fn check_request(request: &impl Encode<()>, frozen: &str) {
    assert_eq!(hex(&encode(request)), hex(&bytes(frozen)));
}

#[track_caller]
fn check_answer<A>(answer: &A, frozen: &str)
where
    A: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug,
{
    check_request(answer, frozen);
    assert_eq!(minicbor::decode::<A>(&bytes(frozen)).unwrap(), *answer);
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn bare_requests_are_texts_numbers_or_nothing() {
    check_request(&(), "80");
    check_request(&16_u32, "10");
    check_request(&text("last"), "64 6c617374");
}

#[test]
fn answers_that_may_be_refused_are_pairs() {
    check_answer(&Ok::<(), Refused>(()), "82 00 80");
    check_answer(&Ok::<bool, Refused>(true), "82 00 f5");
    let denied: Result<bool, _> = Err(Refused::Denied(text("no")));
    check_answer(&denied, "82 01 82 00 81 62 6e6f");
    check_answer(&Refused::Limit(text("no")), "82 01 81 62 6e6f");
    check_answer(&Refused::Unknown(text("no")), "82 02 81 62 6e6f");
    check_answer(&Refused::Invalid(text("no")), "82 03 81 62 6e6f");
    check_answer(&Refused::Unsupported(text("no")), "82 04 81 62 6e6f");
}

#[test]
fn moments_random_bytes_and_values() {
    let moment = Moment {
        seconds: 1_187_008_882,
        nanoseconds: 470_000_000,
    };
    check_answer(&moment, "a2 00 1a 46c05172 01 1a 1c03a180");
    check_answer(&ByteVec::from(vec![1, 255]), "42 01ff");
    let value = Value {
        bytes: ByteVec::from(b"3".to_vec()),
        version: 7,
    };
    check_answer(&Ok::<_, Refused>(Some(value)), "82 00 a2 00 41 33 01 07");
    check_answer(&Ok::<Option<Value>, Refused>(None), "82 00 f6");
    let set = SetRequest {
        key: "k",
        value: <&ByteSlice>::from(b"v".as_slice()),
    };
    check_request(&set, "a2 00 61 6b 01 41 76");
    check_request(
        &AddRequest {
            key: "k",
            delta: -1,
        },
        "a2 00 61 6b 01 20",
    );
}

#[test]
fn http_requests_and_their_answers() {
    let headers = [(text("A"), text("b"))];
    let mut request = HttpRequest {
        method: "POST",
        url: "http://x",
        headers: &headers,
        secret: Some("s"),
        body: "e3b0",
    };
    let head = "00 64 504f5354 01 68 687474703a2f2f78 02 81 82 61 41 61 62";
    check_request(&request, &format!("a5 {head} 03 61 73 04 64 65336230"));
    request.secret = None;
    check_request(&request, &format!("a4 {head} 04 64 65336230"));
    let response = HttpAnswer::Response {
        status: 201,
        headers: headers.to_vec(),
        body: ByteVec::from(b"ok".to_vec()),
    };
    check_answer(
        &response,
        "82 00 a3 00 18c9 01 81 82 61 41 61 62 02 42 6f6b",
    );
    check_answer(&HttpAnswer::Denied(text("no")), "82 01 81 62 6e6f");
    check_answer(&HttpAnswer::Invalid(text("no")), "82 02 81 62 6e6f");
    check_answer(&HttpAnswer::Unreachable(text("no")), "82 03 81 62 6e6f");
    check_answer(&HttpAnswer::Timeout(text("no")), "82 04 81 62 6e6f");
    check_answer(&HttpAnswer::Limit(text("no")), "82 05 81 62 6e6f");
    check_answer(&HttpAnswer::InDoubt(text("no")), "82 06 81 62 6e6f");
}

#[test]
fn new_tasks() {
    let options = [(text("delay"), text("1s"))];
    let request = SpawnRequest {
        name: "p.f",
        args: "e3b0",
        options: &options,
    };
    check_request(
        &request,
        "a3 00 63 702e66 01 64 65336230 02 81 82 65 64656c6179 62 3173",
    );
    let mut spawned = Spawned {
        plugin: text("p"),
        handler: text("f"),
        queue: text("q"),
        priority: 5,
        due: 1_000,
        retries: 3,
        backoff_ms: 1_000,
        max_backoff_ms: 600_000,
        timeout_ms: 10_000,
        deadline: Some(2_000),
    };
    let head = "00 61 70 01 61 66 02 61 71 03 05 04 19 03e8 05 03 06 19 03e8 07 1a 000927c0 08 \
                19 2710";
    check_answer(&spawned, &format!("aa {head} 09 19 07d0"));
    spawned.deadline = None;
    check_answer(&spawned, &format!("a9 {head}"));
}

#[test]
fn ends_of_tasks_that_were_called() {
    let result = CallAnswer::Result(Some(ByteVec::from(b"42".to_vec())));
    check_answer(&result, "82 00 81 42 3432");
    check_answer(&CallAnswer::Result(None), "82 00 80");
    let refused = CallAnswer::Refused(Refused::Unsupported(text("no")));
    check_answer(&refused, "82 01 81 82 04 81 62 6e6f");
    let failed = |kind, detail: Option<&str>| CallAnswer::Failed {
        kind,
        message: text("no"),
        detail: detail.map(text),
    };
    let permanent = failed(FailedAs::Permanent, Some("at"));
    check_answer(&permanent, "82 02 a3 00 02 01 62 6e6f 02 62 6174");
    check_answer(&failed(FailedAs::Error, None), "82 02 a2 00 00 01 62 6e6f");
    check_answer(&failed(FailedAs::Parse, None), "82 02 a2 00 01 01 62 6e6f");
    let in_doubt = failed(FailedAs::InDoubt, None);
    check_answer(&in_doubt, "82 02 a2 00 03 01 62 6e6f");
    check_answer(&CallAnswer::Blob(text("ab")), "82 03 81 62 6162");
    let all: Result<Vec<CallAnswer>, Refused> = Ok(vec![CallAnswer::Result(None), result]);
    check_answer(&all, "82 00 82 82 00 80 82 00 81 42 3432");
    let none: Result<Vec<CallAnswer>, Refused> = Err(Refused::Limit(text("no")));
    check_answer(&none, "82 01 82 01 81 62 6e6f");
}

#[test]
fn several_tasks_that_are_called_are_a_list_of_requests() {
    let options = [(text("queue"), text("q"))];
    let request = SpawnRequest {
        name: "f",
        args: "00",
        options: &options,
    };
    let one = "a3 00 61 66 01 62 3030 02 81 82 65 7175657565 61 71";
    check_request(&vec![request, request], &format!("82 {one} {one}"));
    check_request(&(1_u32, request), &format!("82 01 {one}"));
}

#[test]
fn sky_maps() {
    let disabled = [text("V1")];
    let mut request = LocalizeRequest {
        coinc: "e3b0",
        psd: Some("c442"),
        waveform: "TaylorF2",
        f_low: 15.0,
        f_high_truncate: 0.5,
        min_distance: 0.0,
        max_distance: Some(100.0),
        distance_power: 2,
        cosmology: false,
        use_snr_series: true,
        rescale: 0.5,
        disabled_detectors: &disabled,
        object: Some("G1"),
    };
    let number = |high: &str| format!("fb {high} 000000000000");
    let (coinc, psd, object) = ("00 64 65336230", "01 64 63343432", "0c 62 4731");
    let waveform = "02 68 5461796c6f724632";
    let numbers = [number("402e"), number("3fe0"), number("0000")];
    let [low, high, least] = &numbers;
    let most = number("4059");
    let rest = "07 02 08 f4 09 f5 0a fa 3f000000 0b 81 62 5631";
    let middle = format!("{waveform} 03 {low} 04 {high} 05 {least}");
    check_request(
        &request,
        &format!("ad {coinc} {psd} {middle} 06 {most} {rest} {object}"),
    );
    (request.psd, request.max_distance, request.object) = (None, None, None);
    check_request(&request, &format!("aa {coinc} {middle} {rest}"));
    check_answer(&KernelAnswer::Blob(text("e3b0")), "82 00 81 64 65336230");
    check_answer(&KernelAnswer::Input(text("no")), "82 01 81 62 6e6f");
    check_answer(&KernelAnswer::Invalid(text("no")), "82 02 81 62 6e6f");
    check_answer(&KernelAnswer::Limit(text("no")), "82 03 81 62 6e6f");
    check_answer(&KernelAnswer::Denied(text("no")), "82 04 81 62 6e6f");
}

#[test]
fn notices() {
    let receipts = GcnAnswer::Receipts(vec![text("a"), text("b")]);
    check_answer(&receipts, "82 00 81 82 61 61 61 62");
    let refused = GcnAnswer::Refused(Refused::Unsupported(text("no")));
    check_answer(&refused, "82 01 81 82 04 81 62 6e6f");
    check_answer(&GcnAnswer::InDoubt(text("no")), "82 02 81 62 6e6f");
}

#[test]
fn keys_of_a_later_host_are_skipped() {
    let read: Moment = minicbor::decode(&bytes("a3 00 01 01 02 1863 63 6e6577")).unwrap();
    let moment = Moment {
        seconds: 1,
        nanoseconds: 2,
    };
    assert_eq!(read, moment);
}

#[track_caller]
fn check_refusal(function: &str, answer: &impl Encode<()>, refused: bool) {
    let known = TABLE.iter().any(|known| known.name == function);
    assert!(known, "{function}");
    assert_eq!(is_refusal(function, &encode(answer)), refused, "{function}");
}

#[test]
fn a_refusal_is_told_from_an_answer_of_each_function() {
    let text = || "no".to_owned();
    let denied: Result<(), _> = Err(Refused::Denied(text()));
    check_refusal("gwasp:kv/set@0.1", &denied, true);
    check_refusal("gwasp:kv/set@0.1", &Ok::<(), Refused>(()), false);
    check_refusal("gwasp:clock/now@0.1", &1, false);
    check_refusal("gwasp:http/send@0.1", &HttpAnswer::Denied(text()), true);
    check_refusal("gwasp:http/get@0.1", &HttpAnswer::Timeout(text()), false);
    check_refusal(
        "gwasp:kernels/localize@0.1",
        &KernelAnswer::Denied(text()),
        true,
    );
    check_refusal(
        "gwasp:kernels/localize@0.1",
        &KernelAnswer::Blob(text()),
        false,
    );
    let refused = CallAnswer::Refused(Refused::Unknown(text()));
    check_refusal("gwasp:tasks/call@0.1", &refused, true);
    check_refusal("gwasp:tasks/call@0.1", &CallAnswer::Result(None), false);
    let receipts = GcnAnswer::Receipts(vec![text()]);
    check_refusal("gwasp:gcn/send@0.1", &receipts, false);
}
