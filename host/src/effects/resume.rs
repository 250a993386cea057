//! What a person's decision makes of the journal of a task that was set aside.

use super::function::HTTP_SEND;
use super::http::neutral_answer;
use super::journal::{Entry, Journal, JournalError, Phase};
use crate::broker::JournalEntry;

/// What a person found out about an effect in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It happened; this is the body of the answer that the handler sees.
    Done(Vec<u8>),
    /// It did not happen, and is to be made again.
    NotDone,
}

/// How a journal goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// How many entries are replayed.
    pub keep: u32,
    /// What takes the place of one of them.
    pub replace: Option<JournalEntry>,
}

/// Why a journal cannot go on as a person wants.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The journal cannot be read.
    #[error("the task's journal cannot be read")]
    Journal(#[from] JournalError),
    /// There is nothing to decide.
    #[error("no effect of this task is in doubt; resume it without `--done` and `--not-done`")]
    NothingInDoubt,
    /// Somebody has to decide.
    #[error(
        "nobody knows whether this was done:\n\n    {what}\n\nfind out at the service, then say \
         `--done` (the handler goes on as if it was answered with HTTP 200) or `--not-done` (it \
         is made again)"
    )]
    Undecided {
        /// The effect, for a person.
        what: String,
    },
    /// Making it again would make what came after it again, too.
    #[error(
        "after the effect in doubt another one was done, which `--not-done` would make again:\n\n    \
         {what}\n\nsay `--done`"
    )]
    DoneAfter {
        /// The other one, for a person.
        what: String,
    },
    /// This host does not know how an answer of this function looks.
    #[error("an answer of `{0}` cannot be made up; say `--not-done`, or use a newer host")]
    NoAnswer(String),
}

/// Plans how a task goes on that failed with this journal. `is_in_doubt` says that it failed
/// because of an effect in doubt.
///
/// # Errors
/// [`ResumeError`].
pub fn resumption(
    stored: &[JournalEntry],
    is_in_doubt: bool,
    decision: Option<Decision>,
) -> Result<Resumption, ResumeError> {
    let journal = Journal::read(stored)?;
    let entries = journal.entries();
    let doubt = entries.iter().rposition(Entry::is_in_doubt);
    let as_it_is = Resumption {
        keep: journal.keep_for_retry(),
        replace: None,
    };
    let (decision, at) = match (decision, doubt) {
        (Some(decision), Some(at)) => (decision, at),
        (Some(_), None) => return Err(ResumeError::NothingInDoubt),
        (None, Some(at)) if is_in_doubt => {
            return Err(ResumeError::Undecided {
                what: entries[at].describe(),
            });
        }
        (None, _) => return Ok(as_it_is),
    };
    match decision {
        Decision::Done(body) => Ok(Resumption {
            replace: Some(done(&entries[at], &body)?),
            ..as_it_is
        }),
        Decision::NotDone => {
            let mut after = entries[at + 1..].iter();
            if let Some(done) =
                after.find(|entry| entry.is_external() && entry.phase != Phase::NotDone)
            {
                return Err(ResumeError::DoneAfter {
                    what: done.describe(),
                });
            }
            Ok(Resumption {
                keep: entries[at].seq,
                replace: None,
            })
        }
    }
}

fn done(entry: &Entry, body: &[u8]) -> Result<JournalEntry, ResumeError> {
    if entry.function != HTTP_SEND.name {
        return Err(ResumeError::NoAnswer(entry.function.clone()));
    }
    let answer = neutral_answer(body);
    Ok(entry.clone().answered(answer, Phase::Answered).stored())
}

#[cfg(test)]
mod tests;
