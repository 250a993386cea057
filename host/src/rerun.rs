//! A task that was run, once more: on the dry driver, against the journal that is kept of it.
//!
//! A run is a function of its input and its journal, so that the version which wrote a journal
//! asks for the same things again, in the same order, and ends in the same way. Another version
//! that does so as far as the journal goes can go on with it.
//!
//! **Invariant:** nothing but reading is done, and no effect is made. This module does not know
//! where a task, its journal or a version is kept.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::broker::{Input, JournalEntry, TaskDetail};
use crate::dryrun::{DryOutcome, DryPlugin, Given, Outcome, Replay, Stands, Verdict, Was};
use crate::effects::{BlobSource, DryAnswer, Entry, Journal, JournalError};

/// What is kept of a task.
pub(crate) struct Kept {
    /// The task and how it ended.
    pub(crate) detail: TaskDetail,
    /// What it asked for and was answered, oldest first.
    pub(crate) journal: Vec<JournalEntry>,
    /// What it was run on.
    pub(crate) input: Input,
    /// Where the blobs are that it opened or made.
    pub(crate) blobs: BlobSource,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept")
            .field("task", &self.detail.task.id)
            .finish_non_exhaustive()
    }
}

/// Why a task cannot be run again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RerunError {
    /// Its journal cannot be read.
    #[error("the task's journal cannot be read")]
    Journal(#[from] JournalError),
    /// The version does not have its handler.
    #[error("this version cannot run it: {0}")]
    NoHandler(String),
}

/// The first thing that is not as it was. Places are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Difference {
    /// It asks for another effect.
    #[error("at {at} it asks for {asked}, where its journal holds {noted}")]
    Asks {
        /// The place in the run.
        at: u32,
        /// What the journal holds.
        noted: String,
        /// What the run asks for.
        asked: String,
    },
    /// It asks for more.
    #[error("it asks for {asked} after the {at} effects that its journal holds")]
    More {
        /// How many the journal holds.
        at: u32,
        /// What the run asks for.
        asked: String,
    },
    /// It ends too early.
    #[error("at {at} it ends with {ended}, where its journal holds {noted}")]
    Ends {
        /// The place in the run.
        at: u32,
        /// What the journal holds.
        noted: String,
        /// How it ends.
        ended: String,
    },
    /// It asks for the same, and comes to another end.
    #[error("it asks for the same, and comes to another end")]
    Outcome,
}

/// A task run again, beside what was.
#[derive(Debug)]
pub(crate) struct Rerun {
    /// How it ended.
    pub(crate) was: Was,
    /// How it ends now.
    pub(crate) is: Outcome,
    /// Whether all is as it was.
    pub(crate) verdict: Verdict,
    /// The first thing that is not.
    pub(crate) difference: Option<Difference>,
    /// What it asked for.
    pub(crate) asked_then: Vec<Entry>,
    /// What it asks for now.
    pub(crate) asks: Vec<Entry>,
    /// What else there is to say of the run.
    pub(crate) run: DryOutcome,
}

/// Runs a task again: it replays its journal, and is answered from `answers` and neutrally where
/// it goes on. Where it asks for something else than the journal holds, it is run once more, free
/// to ask in its own order, and what was answered is answered again to the same request.
///
/// # Errors
/// [`RerunError`].
pub(crate) async fn rerun(
    plugin: &DryPlugin,
    kept: &Kept,
    answers: &[DryAnswer],
    cancelled: &CancellationToken,
) -> Result<Rerun, RerunError> {
    let journal = Journal::read(&kept.journal)?;
    let asked_then = journal.entries().to_vec();
    let was = Was::of(&kept.detail);
    let mut given = given(kept, answers, cancelled);
    let run = run(plugin, kept, Replay::First(journal), given).await?;
    let mut is = Outcome::of(&run.ended);
    let mut difference = difference(&asked_then, &run, matches!(was, Was::Ended(_)));
    let mut asks = asks(&asked_then, &run);
    let mut run = run;
    if matches!(difference, Some(Difference::Asks { .. })) {
        let noted = Journal::read(&kept.journal)?;
        given.noted = Some(&noted);
        run = self::run(plugin, kept, Replay::Nothing, given).await?;
        is = Outcome::of(&run.ended);
        asks = run.journal.iter().filter_map(Entry::read).collect();
    }
    let mut verdict = was.verdict(&is);
    match (&difference, verdict) {
        (Some(_), _) => verdict = Verdict::Different,
        (None, Verdict::Different) => difference = Some(Difference::Outcome),
        (None, _) => {}
    }
    Ok(Rerun {
        was,
        is,
        verdict,
        difference,
        asked_then,
        asks,
        run,
    })
}

/// Tries whether a version asks for what the first `keep` entries of a journal hold; answers the
/// first difference.
///
/// # Errors
/// [`RerunError`].
pub(crate) async fn tried(
    plugin: &DryPlugin,
    kept: &Kept,
    keep: u32,
    cancelled: &CancellationToken,
) -> Result<Option<Difference>, RerunError> {
    let journal = Journal::read(&kept.journal)?.cut(keep);
    let entries = journal.entries().to_vec();
    let given = given(kept, &[], cancelled);
    let run = run(plugin, kept, Replay::Only(journal), given).await?;
    Ok(difference(&entries, &run, false))
}

fn given<'a>(
    kept: &'a Kept,
    answers: &'a [DryAnswer],
    cancelled: &'a CancellationToken,
) -> Given<'a> {
    let task = &kept.detail.task;
    let began = i128::from(task.started.unwrap_or(task.made));
    Given {
        began: Timestamp::from_nanosecond(began).unwrap_or_default(),
        answers,
        noted: None,
        blobs: Some(&kept.blobs),
        cancelled,
    }
}

async fn run(
    plugin: &DryPlugin,
    kept: &Kept,
    replay: Replay,
    given: Given<'_>,
) -> Result<DryOutcome, RerunError> {
    let task = &kept.detail.task;
    let route = plugin.entry(&task.handler).map_err(RerunError::NoHandler)?;
    let stands = Stands {
        task: task.id,
        input: &kept.input,
        route: &route,
    };
    Ok(plugin.run_task(stands, replay, given).await)
}

/// The first difference of a run from the journal that it replayed. Where `has_ended` says that
/// the journal is the whole of a run, asking for more is one.
fn difference(entries: &[Entry], run: &DryOutcome, has_ended: bool) -> Option<Difference> {
    if let Some(differs) = &run.differs {
        return Some(Difference::Asks {
            at: differs.seq,
            noted: differs.noted.clone(),
            asked: differs.asked.clone(),
        });
    }
    let at = run.position;
    let place = usize::try_from(at).unwrap_or(usize::MAX);
    if let Some(missed) = entries.get(place) {
        let is = Outcome::of(&run.ended);
        return Some(Difference::Ends {
            at,
            noted: missed.describe(),
            ended: format!("{} {}", is.name(), is.text()).trim_end().to_owned(),
        });
    }
    let more = new_entries(entries, run).next().filter(|_| has_ended)?;
    Some(Difference::More {
        at: more.seq,
        asked: more.describe(),
    })
}

/// What a run asked for that replayed these entries.
fn asks(entries: &[Entry], run: &DryOutcome) -> Vec<Entry> {
    let passed = usize::try_from(run.position).unwrap_or(usize::MAX);
    let replayed = entries.iter().take(passed).cloned();
    replayed.chain(new_entries(entries, run)).collect()
}

/// What a run asked for after the end of the journal that it replayed.
fn new_entries<'a>(entries: &'a [Entry], run: &'a DryOutcome) -> impl Iterator<Item = Entry> + 'a {
    let all = run.journal.iter().filter_map(Entry::read);
    all.filter(|entry| usize::try_from(entry.seq).is_ok_and(|seq| seq >= entries.len()))
}
