//! Handlers that wait: for a moment, and for other tasks.

use gwasp_sdk::prelude::*;

use super::{body, pass_gate, post, url};

/// How long a short sleep is, in milliseconds.
const SHORT: u64 = 300;

fn pause_of(notice: &VoEvent) -> Result<Duration> {
    let seconds = notice.param("Pause")?.as_f64()?;
    Ok(Duration::from_secs_f64(seconds))
}

/// Sleeps, uploads, calls a task, sleeps again, and uploads what came of it all.
#[handler(240, backoff = "50ms")]
fn wait_between_effects(notice: &VoEvent) -> Result<String> {
    kv::set("last", "before the sleep")?;
    let before = body();
    sleep(Duration::from_millis(SHORT))?;
    post(notice)?;
    let greeting = super::greet::call("G298048")?;
    kv::add("runs", 1)?;
    sleep(Duration::from_millis(SHORT))?;
    let seen = super::values()?;
    let text = format!("{before} {greeting} {seen:?}");
    http::post(url(notice, "/upload")?)
        .bytes(text.clone())
        .send()?;
    Ok(text)
}

/// Calls a task that calls a task, a thousand times.
#[handler(241)]
fn chain() -> Result<u32> {
    link::call(1_000)
}

#[task]
fn link(number: u32) -> Result<u32> {
    match number.checked_sub(1) {
        None => Ok(0),
        Some(rest) => Ok(1 + link::call(rest)?),
    }
}

/// Calls a thousand tasks at once, and joins what they answer.
#[handler(242)]
fn group() -> Result<u32> {
    let halves = tasks::all((0..1_000).map(double::prepare))?;
    Ok(halves.into_iter().sum())
}

#[task]
fn double(number: u32) -> Result<u32> {
    Ok(2 * number)
}

/// Counts down, and uploads at zero.
#[handler(243)]
fn count_down(notice: &VoEvent) -> Result<String> {
    let began = clock::now();
    sleep(Duration::from_secs(5))?;
    post(notice)?;
    Ok(format!("{} ms", (clock::now() - began).as_millis()))
}

/// Awaits a task of the queue that it is run in itself.
#[handler(244, queue = "one")]
fn await_own_queue() -> Result<String> {
    let names = ["a", "b", "c"];
    let answers = tasks::all(names.map(in_one::prepare))?;
    Ok(answers.join(" "))
}

#[task(queue = "one")]
fn in_one(name: &str) -> Result<String> {
    nested::call(name)
}

#[task(queue = "one")]
fn nested(name: &str) -> Result<String> {
    Ok(name.to_uppercase())
}

/// Sleeps for long; others of its key do not wait for it.
#[handler(245, order_by = "param:Key")]
fn sleep_in_order(notice: &VoEvent) -> Result<()> {
    sleep(pause_of(notice)?)?;
    post(notice)?;
    Ok(())
}

/// Has the same key, and does not sleep.
#[handler(246, order_by = "param:Key")]
fn go_in_order(notice: &VoEvent) -> Result<()> {
    post(notice)?;
    Ok(())
}

/// Calls a task that fails, and tells why.
#[handler(247)]
fn call_what_fails() -> Result<String> {
    match never::call() {
        Ok(()) => Ok("it did not fail".to_owned()),
        Err(error) => Ok(format!("{:?}: {error}", error.kind())),
    }
}

#[task(retries = 1, backoff = "50ms")]
fn never() -> Result<()> {
    bail!("no such event")
}

/// Passes on that a task failed; it succeeds once the gate is open.
#[handler(248)]
fn pass_failure_on(notice: &VoEvent) -> Result<String> {
    let service = notice.param("Service")?.as_str()?;
    gated::call(service)
}

#[task(retries = 0)]
fn gated(service: &str) -> Result<String> {
    http::get(format!("{service}/gate")).send()?;
    Ok("the gate is open".to_owned())
}

/// Waits longer than its deadline.
#[handler(249, deadline = "1s")]
fn wait_too_long(notice: &VoEvent) -> Result<()> {
    sleep_long::call()?;
    pass_gate(notice)
}

/// Calls a task that uploads.
#[handler(237)]
fn call_an_upload(notice: &VoEvent) -> Result<u16> {
    upload_there::call(&url(notice, "/upload")?)
}

#[task]
fn upload_there(url: &str) -> Result<u16> {
    Ok(http::post(url).bytes("map").send()?.status())
}

/// Waits for as long as nobody minds.
#[handler(239)]
fn wait_long() -> Result<()> {
    sleep_long::call()
}

#[task]
fn sleep_long() -> Result<()> {
    sleep(Duration::from_secs(600))?;
    Ok(())
}

/// Calls a task with a large result.
#[handler(238, backoff = "50ms")]
fn call_for_much(notice: &VoEvent) -> Result<usize> {
    let much = much::call(100_000)?;
    sleep(Duration::from_millis(1))?;
    pass_gate(notice)?;
    Ok(much.len())
}

#[task]
fn much(len: usize) -> Result<String> {
    Ok("x".repeat(len))
}
