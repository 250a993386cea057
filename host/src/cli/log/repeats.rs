//! Folds lines of the log that say the same again and again.
//!
//! Of lines from one place with the same fields, the first [`SHOWN`] within [`WINDOW`] are
//! written; of the others there is one line when the window ends, with how often. Lines that
//! differ in anything, a packet's id say, are never folded. At most [`MOST`] lines are known at a
//! time; what comes beyond that is written.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, debug, error, info, trace, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::text::one_line;

/// Where the lines about folded ones come from, at any level.
pub(super) const ALWAYS: &str = "gwasp::log=trace";
/// The target of [`ALWAYS`].
const TARGET: &str = "gwasp::log";

/// How long lines that are the same are one.
const WINDOW: Duration = Duration::from_secs(10);
/// How many of them are written.
const SHOWN: u64 = 3;
/// Lines that are known at a time.
const MOST: usize = 1_024;
/// Bytes of a line's text that are kept to say what was repeated.
const MAX_TEXT: usize = 200;
/// Between two looks at windows that have ended.
const LOOK: Duration = Duration::from_secs(1);

/// Lets a line through, or counts it.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(Arc<Mutex<Known>>);

/// The lines of the last window, by place and fields.
#[derive(Debug, Default)]
struct Known(HashMap<u64, Seen>);

/// How often a line came.
#[derive(Debug)]
struct Seen {
    since: Instant,
    level: Level,
    /// What it says, where more of it came than are written.
    text: Option<String>,
    times: u64,
}

/// A line that was left out.
#[derive(Debug, PartialEq, Eq)]
struct Folded {
    level: Level,
    text: String,
    times: u64,
}

impl Repeats {
    /// Starts the thread that tells what was folded.
    pub(super) fn start() -> std::io::Result<Self> {
        let repeats = Self::default();
        let known = Arc::downgrade(&repeats.0);
        std::thread::Builder::new()
            .name("gwasp-log".to_owned())
            .spawn(move || {
                while let Some(known) = known.upgrade() {
                    let ended = lock(&known).ended(Instant::now());
                    drop(known);
                    ended.iter().for_each(tell);
                    std::thread::sleep(LOOK);
                }
            })?;
        Ok(repeats)
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.target() == TARGET {
            return true;
        }
        let key = key(event);
        let mut known = lock(&self.0);
        known.shows(key, metadata, Instant::now(), || text(event))
    }
}

impl Known {
    /// Counts a line; returns whether it is written.
    fn shows(
        &mut self,
        key: u64,
        metadata: &Metadata<'_>,
        now: Instant,
        text: impl FnOnce() -> String,
    ) -> bool {
        if let Some(seen) = self.0.get_mut(&key)
            && now.duration_since(seen.since) < WINDOW
        {
            seen.times += 1;
            if seen.times > SHOWN {
                seen.text.get_or_insert_with(text);
            }
            return seen.times <= SHOWN;
        }
        // One whose window has ended and that was not told of yet goes on.
        let is_owed = self.0.get(&key).is_some_and(|seen| seen.times > SHOWN);
        if !is_owed && (self.0.len() < MOST || self.0.contains_key(&key)) {
            let seen = Seen {
                since: now,
                level: *metadata.level(),
                text: None,
                times: 1,
            };
            self.0.insert(key, seen);
        }
        true
    }

    /// Forgets the lines whose window has ended, and returns those that were folded.
    fn ended(&mut self, now: Instant) -> Vec<Folded> {
        let mut folded = Vec::new();
        self.0.retain(|_, seen| {
            let is_open = now.duration_since(seen.since) < WINDOW;
            if !is_open && let Some(text) = seen.text.take() {
                folded.push(Folded {
                    level: seen.level,
                    text,
                    times: seen.times - SHOWN,
                });
            }
            is_open
        });
        folded
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells of a line that was folded, at its level.
fn tell(folded: &Folded) {
    let Folded { level, text, times } = folded;
    // A macro's level is a constant.
    macro_rules! at {
        ($level:ident) => {
            $level!(target: TARGET, times, line = text, "a line came so many times more")
        };
    }
    match *level {
        Level::ERROR => at!(error),
        Level::WARN => at!(warn),
        Level::INFO => at!(info),
        Level::DEBUG => at!(debug),
        Level::TRACE => at!(trace),
    }
}

/// What makes lines the same: where they are written, and each field.
fn key(event: &Event<'_>) -> u64 {
    struct Fields(DefaultHasher);
    impl fmt::Write for Fields {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            field.index().hash(&mut self.0);
            // Hashing does not fail.
            let _written = write!(self, "{value:?}");
        }
    }
    let mut fields = Fields(DefaultHasher::new());
    event.metadata().callsite().hash(&mut fields.0);
    event.record(&mut fields);
    fields.0.finish()
}

/// The message of a line and its fields, cut.
fn text(event: &Event<'_>) -> String {
    struct Fields(String);
    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            let gap = if self.0.is_empty() { "" } else { " " };
            // A text takes what is written.
            let _written = match field.name() {
                "message" => write!(self.0, "{gap}{value:?}"),
                name => write!(self.0, "{gap}{name}={value:?}"),
            };
        }
    }
    let mut fields = Fields(String::new());
    event.record(&mut fields);
    one_line(&fields.0, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `work` logs, and what was folded when its window ended.
    fn logged(work: impl FnOnce()) -> (Vec<String>, Vec<Folded>) {
        let (paper, repeats) = (Paper::default(), Repeats::default());
        let to = paper.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || to.clone());
        let subscriber = tracing_subscriber::registry()
            .with(repeats.clone())
            .with(lines);
        with_default(subscriber, work);
        let ended = lock(&repeats.0).ended(Instant::now() + WINDOW);
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        (text.lines().map(str::to_owned).collect(), ended)
    }

    #[test]
    fn a_line_that_comes_again_and_again_is_written_thrice_and_counted() {
        let (lines, folded) = logged(|| {
            for _ in 0..1_000 {
                warn!(reason = "refused", "not connected");
            }
        });
        assert_eq!(lines.len(), 3);
        let (level, times) = (Level::WARN, 997);
        let text = "not connected reason=\"refused\"".to_owned();
        assert_eq!(folded, [Folded { level, text, times }]);
    }

    #[test]
    fn lines_that_differ_are_all_written() {
        let (lines, folded) = logged(|| {
            for packet in 0..100 {
                info!(packet, "accepted");
            }
        });
        assert_eq!((lines.len(), folded.len()), (100, 0));
    }

    #[test]
    fn what_is_known_is_bounded_and_what_comes_beyond_is_written() {
        let (lines, _) = logged(|| {
            for packet in 0..MOST {
                info!(packet, "accepted");
            }
            for _ in 0..10 {
                info!("one more");
            }
        });
        assert_eq!(lines.len(), MOST + 10);
    }

    #[test]
    fn times_are_utc_and_say_so() {
        let (lines, _) = logged(|| info!("now"));
        let time = lines[0].split(' ').next().unwrap();
        assert!(
            time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(),
            "{time}"
        );
    }
}
