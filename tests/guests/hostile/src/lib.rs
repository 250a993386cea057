//! One misdeed per handler; the tests send the notice type beside its name and look at what the
//! host does about it.
//!
//! Types 60001 to 60099 run in the queue `hostile`, 60100 and above are honest.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "to do wrong is what these handlers are for"
)]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gwasp_sdk::prelude::*;
use gwasp_sdk::tasks::Options;

/// More than a guest may pass in one call.
const TOO_MUCH: usize = 12 << 20;
/// More than a value or an argument may have.
const LARGE: usize = 2 << 20;

#[handler(60001, queue = "hostile", retries = 0, timeout = "1s")]
fn spin(packet: &Packet) {
    let mut sum = packet.payload.len();
    loop {
        sum = black_box(sum.wrapping_mul(31));
    }
}

#[handler(60002, queue = "hostile", retries = 0)]
fn storm(_packet: &Packet) {
    for _ in 0..1_000_000 {
        black_box(clock::now());
    }
}

#[handler(60003, queue = "hostile", retries = 0)]
fn grow(_packet: &Packet) {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
}

#[handler(60004, queue = "hostile", retries = 0)]
fn recurse(packet: &Packet) -> Result<String> {
    Ok(deeper(packet.payload.len()).to_string())
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn deeper(depth: usize) -> usize {
    let frame = black_box([depth; 64]);
    deeper(frame[0] + 1) + black_box(frame)[1]
}

#[handler(60005, queue = "hostile", retries = 0)]
fn panic(_packet: &Packet) {
    panic!("no PSD\u{1b}[31m\nforged line");
}

#[handler(60006, queue = "hostile", retries = 0)]
fn unreachable(_packet: &Packet) {
    std::process::abort();
}

#[handler(60007, queue = "hostile", retries = 0)]
fn result_beyond_passing(_packet: &Packet) -> Result<String> {
    Ok("r".repeat(TOO_MUCH))
}

#[handler(60008, queue = "hostile", retries = 0)]
fn result_beyond_keeping(_packet: &Packet) -> Result<String> {
    Ok("r".repeat(LARGE))
}

#[handler(60009, queue = "hostile", retries = 0)]
fn value_beyond_passing(_packet: &Packet) -> Result<()> {
    kv::set("huge", vec![0; TOO_MUCH])?;
    Ok(())
}

#[handler(60010, queue = "hostile", retries = 0)]
fn value_beyond_keeping(_packet: &Packet) -> Result<()> {
    kv::set("large", vec![0; LARGE])?;
    Ok(())
}

#[handler(60011, queue = "hostile", retries = 0)]
fn line_beyond_passing(_packet: &Packet) {
    info!("{}", "l".repeat(TOO_MUCH));
}

#[handler(60012, queue = "hostile", retries = 0)]
fn arguments_beyond_passing(_packet: &Packet) -> Result<()> {
    tasks::spawn("honest_task", &"a".repeat(TOO_MUCH))?;
    Ok(())
}

#[handler(60013, queue = "hostile", retries = 0)]
fn arguments_beyond_keeping(_packet: &Packet) -> Result<()> {
    tasks::spawn("honest_task", &"a".repeat(LARGE))?;
    Ok(())
}

#[handler(60014, queue = "hostile", retries = 0)]
fn log_flood(_packet: &Packet) {
    for line in 0..5_000 {
        info!("\u{1b}[2J\u{1b}[31m{line}\r\n2025-01-01T00:00:00Z ERROR forged\u{9b}31m");
    }
}

/// Each value is allowed; all of them together would be gigabytes of the host's memory.
#[handler(60015, queue = "hostile", retries = 0)]
fn value_flood(_packet: &Packet) -> Result<()> {
    let value = vec![7; 1 << 20];
    for number in 0..5_000 {
        kv::set(&number.to_string(), &value)?;
    }
    Ok(())
}

#[handler(60016, queue = "hostile", retries = 0)]
fn argument_flood(_packet: &Packet) -> Result<()> {
    let argument = "a".repeat((1 << 20) - 2);
    for _ in 0..1_999 {
        tasks::spawn("honest_task", &argument)?;
    }
    Ok(())
}

#[handler(60017, queue = "hostile", retries = 0)]
fn blob_flood(_packet: &Packet) -> Result<()> {
    let mut blob = vec![7; 1 << 20];
    let mut held = Vec::new();
    for number in 0_u64..2_000 {
        blob[..8].copy_from_slice(&number.to_le_bytes());
        held.push(Blob::put(&blob)?);
    }
    Ok(())
}

#[handler(60018, queue = "hostile", retries = 0)]
fn handle_flood(_packet: &Packet) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..2_000 {
        held.push(Blob::put(b"small")?);
    }
    Ok(())
}

/// Each handle is allowed; the host would hold the blob as often.
#[handler(60030, queue = "hostile", retries = 0)]
fn open_flood(_packet: &Packet) -> Result<()> {
    let blob = Blob::put(vec![7; 4 << 20])?;
    let mut held = Vec::new();
    for _ in 0..900 {
        held.push(Blob::open(&blob.digest())?);
    }
    Ok(())
}

/// Holds one blob at a time, and would fill the disk with them.
#[handler(60031, queue = "hostile", retries = 0, timeout = "2m")]
fn blob_churn(_packet: &Packet) -> Result<()> {
    let mut blob = vec![7; 4 << 20];
    for number in 0_u64..1_000 {
        blob[..8].copy_from_slice(&number.to_le_bytes());
        drop(Blob::put(&blob)?);
    }
    Ok(())
}

/// Each makes two of its kind.
#[task(queue = "hostile", retries = 0)]
fn bomb(generation: u32) -> Result<()> {
    tasks::spawn("bomb", &(generation + 1))?;
    tasks::spawn("bomb", &(generation + 1))?;
    Ok(())
}

#[handler(60019, queue = "hostile", retries = 0)]
fn fork_bomb(_packet: &Packet) -> Result<()> {
    tasks::spawn("bomb", &0)?;
    Ok(())
}

/// Makes more than a packet may have, in six parts.
#[handler(60090, queue = "hostile", retries = 0)]
fn wide_bomb(_packet: &Packet) -> Result<()> {
    for part in 0..6 {
        tasks::spawn("spread", &part)?;
    }
    Ok(())
}

/// Makes tasks that are not due for long.
#[task(queue = "hostile", retries = 0)]
fn spread(_part: u32) -> Result<()> {
    kv::add("spread", 1)?;
    for _ in 0..1_900 {
        let options = Options {
            delay: Some(Duration::from_secs(86_400)),
            ..Options::default()
        };
        tasks::spawn_with("honest_task", &"later", &options)?;
    }
    Ok(())
}

#[handler(60020, queue = "hostile", retries = 0)]
fn unknown_task(_packet: &Packet) -> Result<()> {
    tasks::spawn("bomp", &0)?;
    Ok(())
}

#[handler(60021, queue = "hostile", retries = 0)]
fn unknown_queue(_packet: &Packet) -> Result<()> {
    let options = Options {
        queue: Some("nowhere\u{1b}[31m".to_owned()),
        ..Options::default()
    };
    tasks::spawn_with("honest_task", &0, &options)?;
    Ok(())
}

#[handler(60022, queue = "hostile", retries = 0)]
fn huge_key(_packet: &Packet) -> Result<()> {
    kv::set(&"k".repeat(1 << 20), b"")?;
    Ok(())
}

#[handler(60023, queue = "hostile", retries = 0)]
fn greedy_random(_packet: &Packet) {
    black_box(random::bytes(usize::MAX));
}

/// The host looks for the nearest name, which takes time and memory with its length.
#[handler(60024, queue = "hostile", retries = 0)]
fn huge_task_name(_packet: &Packet) -> Result<()> {
    for _ in 0..10 {
        tasks::spawn(&"n".repeat(4 << 20), &0).unwrap_err();
    }
    bail!("refused")
}

#[handler(60025, queue = "hostile", retries = 0)]
fn forged_failure(_packet: &Packet) -> Result<()> {
    bail!(
        "\u{1b}[2Jno position\r2025-01-01T00:00:00Z ERROR forged {}",
        "m".repeat(4 << 20)
    )
}

#[handler(60026, queue = "hostile", retries = 0)]
fn progress_flood(_packet: &Packet) {
    for _ in 0..20_000 {
        progress::report(f64::NAN, &"\u{1b}[31m".repeat(1_000));
    }
}

#[handler(60027, queue = "hostile", retries = 0)]
fn forged_result(_packet: &Packet) -> Result<String> {
    Ok("\u{1b}[2J\nforged line".to_owned())
}

#[handler(60028, queue = "hostile", retries = 0, timeout = "10ms")]
fn spin_briefly(packet: &Packet) {
    spin(packet);
}

#[handler(60029, queue = "hostile", retries = 0, timeout = "2s")]
fn spin_long(packet: &Packet) {
    spin(packet);
}

/// Its time in the slot would last longer.
#[handler(
    60032,
    queue = "hostile",
    retries = 3,
    timeout = "10m",
    deadline = "8s"
)]
fn spin_past_its_deadline(packet: &Packet) {
    spin(packet);
}

static RUNS: AtomicU64 = AtomicU64::new(0);

/// Answers what an earlier run left in a static.
#[handler(60101, queue = "hostile")]
fn count_runs(_packet: &Packet) -> Result<u64> {
    Ok(RUNS.fetch_add(1, Ordering::Relaxed))
}

/// Counts in its plugin's values; answers how often it was there before.
#[handler(60103, queue = "hostile")]
fn count_in_values(_packet: &Packet) -> Result<u64> {
    let before: Option<u64> = kv::get_json("count")?;
    kv::add("count", 1)?;
    Ok(before.unwrap_or(0))
}

#[handler(60104, queue = "hostile")]
fn honest(packet: &Packet) -> Result<usize> {
    Ok(packet.payload.len())
}

#[handler(60104, 60105, queue = "neighbour")]
fn neighbour(packet: &Packet) -> Result<usize> {
    Ok(packet.payload.len())
}

#[task(queue = "hostile")]
fn honest_task(_argument: &str) {}
