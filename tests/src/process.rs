//! Child processes whose lines are read while they run.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Lines kept for who reads slowly; beyond it the oldest go.
const MAX_LINES: usize = 200_000;
/// Lines shown with an error.
const SHOWN: usize = 25;

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a child wrote.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where.
    pub stream: Stream,
    /// Without its line end.
    pub text: String,
    /// The line as JSON, where it is JSON.
    pub json: Value,
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
    exit: Option<ExitStatus>,
}

#[derive(Debug, Default)]
struct Lines {
    state: Mutex<Written>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Written {
    unread: VecDeque<Line>,
    /// The last lines that were read, for errors.
    read: VecDeque<String>,
    /// Streams that are still open.
    open: usize,
}

impl Line {
    fn new(stream: Stream, text: String) -> Self {
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { stream, text, json }
    }

    /// The target of a log line; empty for any other.
    pub fn target(&self) -> &str {
        self.json["target"].as_str().unwrap_or_default()
    }

    /// The message of a log line; empty for any other.
    pub fn message(&self) -> &str {
        self.field("message").as_str().unwrap_or_default()
    }

    /// A field of a log line; null where it has none.
    pub fn field(&self, name: &str) -> &Value {
        &self.json[name]
    }
}

impl Process {
    /// Starts `command` and begins to read what it writes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let lines = Arc::new(Lines::default());
        lines.lock().open = 2;
        if let Some(stdout) = child.stdout.take() {
            lines.follow(stdout, Stream::Stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            lines.follow(stderr, Stream::Stderr);
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            lines,
            exit: None,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line, or none when the time is over or the child closed its streams.
    pub fn next_line(&self, limit: Duration) -> Option<Line> {
        self.lines.next(Instant::now() + limit)
    }

    /// Reads lines until one is `wanted`; the others are dropped.
    ///
    /// # Errors
    /// When the child ends or the time is over first; the error shows its last lines.
    pub fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Line) -> bool,
    ) -> Result<Line> {
        let end = Instant::now() + limit;
        while let Some(line) = self.lines.next(end) {
            if wanted(&line) {
                return Ok(line);
            }
        }
        let reason = if Instant::now() < end {
            "closed its output".to_owned()
        } else {
            format!("went on for {limit:?}")
        };
        bail!(
            "{} {reason} without {what}\n{}",
            self.name,
            self.last_lines()
        )
    }

    /// Whether it still writes; once it does not, all that it wrote has been read.
    pub fn is_running(&self) -> bool {
        let state = self.lines.lock();
        state.open > 0 || !state.unread.is_empty()
    }

    /// The last lines that were read, for an error.
    pub fn last_lines(&self) -> String {
        let state = self.lines.lock();
        let lines: Vec<&str> = state.read.iter().map(String::as_str).collect();
        format!("its last lines:\n  {}", lines.join("\n  "))
    }

    /// Ends it without a warning.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // It may have ended by itself.
        drop(self.child.kill());
        self.wait(Duration::from_secs(10))
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Asks it to end as Ctrl-C does (SIGINT).
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a process id out of range")?;
        kill_process(pid, signal).with_context(|| format!("ending {}", self.name))
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait()?;
        }
        Ok(self.exit)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it goes on beyond `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!(
                    "{} did not end within {limit:?}\n{}",
                    self.name,
                    self.last_lines()
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell.
        drop(self.kill());
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, from: impl Read + Send + 'static, stream: Stream) {
        let lines = Arc::clone(self);
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut bytes = Vec::new();
            while from
                .read_until(b'\n', &mut bytes)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                lines.push(Line::new(stream, text));
                bytes.clear();
            }
            lines.lock().open -= 1;
            lines.changed.notify_all();
        });
    }

    fn push(&self, line: Line) {
        let mut state = self.lock();
        if state.unread.len() == MAX_LINES {
            state.unread.pop_front();
        }
        state.unread.push_back(line);
        self.changed.notify_all();
    }

    fn next(&self, end: Instant) -> Option<Line> {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.unread.pop_front() {
                if state.read.len() == SHOWN {
                    state.read.pop_front();
                }
                state.read.push_back(line.text.clone());
                return Some(line);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.open == 0 {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
