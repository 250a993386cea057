//! A plugin for tests of the effects: a handler per way to ask for them.
//!
//! The notice names the service, in its param `Service`. Bodies hold the time and a random id:
//! a run that is taken up again must send the same bytes, or it was not taken up but begun anew.

use gwasp_sdk::http::{HttpError, Response};
use gwasp_sdk::prelude::*;
use gwasp_sdk::random;

/// The second program of the SDK's front page, to the letter.
mod front_page;
mod waits;

fn url(notice: &VoEvent, path: &str) -> Result<String> {
    Ok(format!("{}{path}", notice.param("Service")?.as_str()?))
}

fn body() -> String {
    format!("{} {}", clock::now(), random::uuid())
}

fn post(notice: &VoEvent) -> Result<Response, Error> {
    let answered = http::post(url(notice, "/upload")?).bytes(body()).send()?;
    Ok(answered)
}

/// Fails until the service opens its gate.
fn pass_gate(notice: &VoEvent) -> Result<()> {
    http::get(url(notice, "/gate")?).send()?;
    Ok(())
}

/// Uploads, and that is all.
#[handler(FERMI_GBM_FLT_POS, backoff = "50ms")]
fn upload(notice: &VoEvent) -> Result<String> {
    let before = body();
    post(notice)?;
    Ok(before)
}

/// Uploads twice, and fails in between until the gate is open.
#[handler(FERMI_GBM_GND_POS, backoff = "50ms")]
fn upload_twice(notice: &VoEvent) -> Result<()> {
    post(notice)?;
    pass_gate(notice)?;
    post(notice)?;
    Ok(())
}

/// What a plugin's values were.
#[derive(Debug, serde::Serialize)]
struct Values {
    last: Option<String>,
    runs: Option<String>,
}

fn values() -> Result<Values> {
    let text = |key| -> Result<Option<String>> {
        let value = kv::get(key)?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    };
    Ok(Values {
        last: text("last")?,
        runs: text("runs")?,
    })
}

/// Writes values, and fails until the gate is open; tells the values that it found.
#[handler(FERMI_GBM_ALERT, backoff = "50ms")]
fn write(notice: &VoEvent) -> Result<Values> {
    let found = values()?;
    kv::set("last", notice.ivorn.as_deref().unwrap_or_default())?;
    kv::add("runs", 1)?;
    let own = values()?;
    info!("sees its own writes: {own:?}");
    pass_gate(notice)?;
    Ok(found)
}

/// Tells the values that it found.
#[handler(FERMI_GBM_FIN_POS)]
fn read(_notice: &VoEvent) -> Result<Values> {
    values()
}

/// Takes an upload in doubt for an answer.
#[handler(SWIFT_BAT_GRB_POS_ACK, backoff = "50ms")]
fn tell_doubt(notice: &VoEvent) -> Result<String> {
    match http::post(url(notice, "/upload")?).bytes(body()).send() {
        Ok(_) => Ok("done".to_owned()),
        Err(HttpError::InDoubt(reason)) => Ok(format!("in doubt: {reason}")),
        Err(error) => Err(error.into()),
    }
}

/// Logs more than anybody reads.
#[handler(SWIFT_XRT_POSITION)]
fn flood(_notice: &VoEvent) {
    for number in 0..3_000 {
        info!("line {number}");
    }
}

/// Makes two tasks, then fails until the gate is open.
#[handler(INTEGRAL_WAKEUP, backoff = "50ms")]
fn spread(notice: &VoEvent) -> Result<()> {
    tasks::spawn("greet", "first")?;
    tasks::spawn("greet", "second")?;
    pass_gate(notice)
}

/// Answers what it was given.
#[task]
fn greet(name: &str) -> Result<String> {
    Ok(format!("greeted {name}"))
}

/// Uploads a blob.
#[handler(ICECUBE_ASTROTRACK_GOLD, backoff = "50ms")]
fn upload_blob(notice: &VoEvent) -> Result<String> {
    let map = Blob::put(body())?;
    http::put(url(notice, "/upload")?).blob(&map).send()?;
    Ok(map.digest())
}

/// Asks for everything, and tells what it did not get.
#[handler(INTEGRAL_REFINED)]
fn ask(notice: &VoEvent) -> Result<Vec<String>> {
    let refusals = [
        http::post(url(notice, "/upload")?).send().err().map(text),
        kv::set("last", "x").err().map(text),
        Blob::put("x").err().map(text),
        tasks::spawn("other.task", &()).err().map(text),
    ];
    Ok(refusals.into_iter().flatten().collect())
}

/// Uploads without values, where it may have none.
#[handler(250, retries = 0)]
fn upload_without_values(notice: &VoEvent) -> Result<bool> {
    let is_refused = kv::get("last").is_err();
    post(notice)?;
    pass_gate(notice)?;
    Ok(is_refused)
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

/// Does something once among all tasks, and is not tried again when the gate is closed.
#[handler(SVOM_GRM_TRIGGER, retries = 0)]
fn claim(notice: &VoEvent) -> Result<bool> {
    let is_first = kv::claim("the one")?;
    pass_gate(notice)?;
    Ok(is_first)
}

/// Uploads with a secret, and tells the headers that came back.
#[handler(SWIFT_UVOT_POSITION, backoff = "50ms")]
fn upload_with_secret(notice: &VoEvent) -> Result<Vec<String>> {
    let answered = http::post(url(notice, "/upload")?)
        .secret("key")
        .header("X-Plugin", "probe")
        .send()?;
    let named = ["set-cookie", "x-service"];
    let found = named.iter().filter_map(|name| answered.header(name));
    Ok(found.map(str::to_owned).collect())
}

/// Waits, and then sends a notice.
#[handler(251)]
fn wait_and_send() -> Result<()> {
    sleep(Duration::from_secs(270))?;
    send()
}

/// Calls a task, and tells what came of it.
#[handler(253)]
fn call_a_task() -> Result<String> {
    greet::call("G298048")
}

/// Sends a notice.
#[handler(252)]
fn send() -> Result<()> {
    let peers = gcn::send("<voe:VOEvent/>")?;
    gcn::post("<voe:VOEvent/>")?;
    info!("{}", peers.join(", "));
    Ok(())
}
