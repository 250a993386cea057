//! What stands in for the host in a native build: the state of one thread.
//!
//! Each test of `cargo test` has a thread of its own, so tests do not see each other.

use std::cell::RefCell;

use crate::clock::Timestamp;
use crate::log::Level;
use crate::tasks::{Options, TaskError};

/// All that a handler did and will be told.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    /// State of the generator (xorshift64*), never 0.
    pub(crate) random: u64,
    pub(crate) log: Vec<(Level, String)>,
    pub(crate) progress: Option<(f64, String)>,
    pub(crate) spawned: Vec<Spawned>,
}

/// A task that a handler made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawned {
    /// As it was asked for.
    pub name: String,
    /// JSON.
    pub arguments: Vec<u8>,
    /// As they were asked for.
    pub options: Options,
}

/// Every test begins at 2030-01-01T00:00:00Z with the same random numbers.
impl Default for State {
    fn default() -> Self {
        Self {
            now: Timestamp::from_unix(1_893_456_000, 0),
            random: 0x9e37_79b9_7f4a_7c15,
            log: Vec::new(),
            progress: None,
            spawned: Vec::new(),
        }
    }
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Gives access to this thread's state. `change` calls nothing of this crate's boundary.
pub(crate) fn with<T>(change: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(change)
}

pub(crate) fn log(level: Level, message: &str) {
    with(|state| state.log.push((level, message.to_owned())));
}

pub(crate) fn progress(fraction: f64, message: &str) {
    with(|state| state.progress = Some((fraction, message.to_owned())));
}

pub(crate) fn now() -> Timestamp {
    with(|state| state.now)
}

/// xorshift64* (Vigna 2016, ACM TOMS 42, 30): its upper byte, step by step.
pub(crate) fn random(len: u32) -> Vec<u8> {
    with(|state| (0..len).map(|_| next_byte(&mut state.random)).collect())
}

fn next_byte(seed: &mut u64) -> u8 {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    seed.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
}

/// The id is the task's number in this test.
pub(crate) fn spawn(name: &str, arguments: Vec<u8>, options: Options) -> Result<String, TaskError> {
    with(|state| {
        state.spawned.push(Spawned {
            name: name.to_owned(),
            arguments,
            options,
        });
        Ok(format!("task-{}", state.spawned.len()))
    })
}
