//! The control socket and callers who ask strangely, slowly, or not at all.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Stage, check_code};

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// More than the host has open for all that it does, and for callers as many as it takes.
const MOST_FILES: usize = 300;

fn connect(stage: &Stage) -> UnixStream {
    let stream = UnixStream::connect(stage.scene.path("state/control.sock")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Everything that the host sends until it closes the connection.
fn rest(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8(answer).unwrap(),
    }
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: gwasp\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

#[track_caller]
fn check_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    assert!(
        head.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer:?}"
    );
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer:?}"));
    assert_eq!(problem["code"], code, "{problem}");
    assert!(!problem["error"].as_str().unwrap().is_empty(), "{problem}");
}

#[test]
fn what_cannot_be_read_is_answered_with_a_problem_and_its_code() {
    const JSON: &str = "Content-Type: application/json\r\n";
    let stage = Stage::new();
    let too_long = json!({"scope": {"queue": "x".repeat(2 << 20)}}).to_string();
    let cases = [
        (post("/v1/pause", JSON, "{"), 400, "E0710"),
        (
            post("/v1/pause", JSON, r#"{"scope": "nothing"}"#),
            422,
            "E0710",
        ),
        (post("/v1/pause", "", r#"{"scope": "all"}"#), 415, "E0710"),
        (post("/v1/pause", JSON, &too_long), 413, "E0710"),
        (post("/v1/packets/one/redispatch", JSON, "{}"), 400, "E0710"),
        (post("/v1/status", JSON, "{}"), 405, "E0710"),
        (post("/v1/nothing", JSON, "{}"), 404, "E0710"),
        (post("/v1/packets/77/redispatch", JSON, "{}"), 404, "E0515"),
        (post("/v1/plugins/nix/disable", JSON, ""), 404, "E0214"),
    ];
    for (request, status, code) in cases {
        let mut stream = connect(&stage);
        // A host that has read enough does not read the rest.
        drop(stream.write_all(request.as_bytes()));
        check_problem(&rest(stream), status, code);
    }
}

#[test]
fn a_host_answers_whatever_a_script_has_left_open() {
    let stage = Stage::new();
    let most = rustix::process::Rlimit {
        current: Some(4_096),
        maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most).unwrap();
    let mut left = Vec::new();
    for _ in 0..1_000 {
        left.push(connect(&stage));
    }
    check_code(&stage.gwasp(&["status", "--quiet"]), 2);
    let files = format!("/proc/{}/fd", stage.host.id());
    let open = std::fs::read_dir(files).unwrap().count();
    assert!(open < MOST_FILES, "the host has {open} files open");
    drop(left);
}

/// They read nothing of answers that do not fit into their sockets.
#[test]
fn callers_that_read_nothing_hold_nobody_up() {
    let stage = Stage::new();
    let mut deaf = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(&stage);
        let request = "GET /v1/openapi.json HTTP/1.1\r\nHost: gwasp\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        deaf.push(stream);
    }
    check_code(&stage.gwasp(&["status", "--quiet"]), 2);
    drop(deaf);
}

#[test]
fn who_does_not_finish_a_request_is_not_waited_for() {
    let stage = Stage::new();
    let mut half_head = connect(&stage);
    half_head.write_all(b"POST /v1/pau").unwrap();
    let mut half_body = connect(&stage);
    let request = "POST /v1/pause HTTP/1.1\r\nHost: gwasp\r\nContent-Length: 20\r\n\
                   Content-Type: application/json\r\n\r\n{\"scope\"";
    half_body.write_all(request.as_bytes()).unwrap();
    check_problem(&rest(half_body), 408, "E0710");
    let answer = rest(half_head);
    assert!(!answer.contains("200"), "{answer}");
    check_code(&stage.gwasp(&["status", "--quiet"]), 2);
}
