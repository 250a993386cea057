//! The effects of a task, as its journal has them.

use std::io::Write as _;

use gwasp_store::{EffectColumns, JournalEntry};
use serde::Serialize;

use crate::cli::table;
use crate::effects::{Entry, Journal, JournalError, Phase};

/// One effect, for a person.
#[derive(Debug, Serialize)]
pub(super) struct Effect {
    /// When it was asked for.
    pub(super) asked: String,
    /// Name of the host function.
    pub(super) function: String,
    /// How far it has come.
    pub(super) state: &'static str,
    /// What was asked for.
    pub(super) request: String,
    /// Idempotency key of an external effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

/// The effects in a journal, in the order in which they were asked for.
pub(super) fn of(journal: &[JournalEntry]) -> Result<Vec<Effect>, JournalError> {
    let journal = Journal::read(journal)?;
    Ok(journal.entries().iter().map(Effect::of).collect())
}

impl Effect {
    fn of(entry: &Entry) -> Self {
        Self {
            asked: table::moment(entry.time),
            function: entry.function.clone(),
            state: match entry.phase {
                Phase::Intent => "not known yet",
                Phase::NotDone => "not done",
                Phase::Answered => "answered",
                Phase::InDoubt => "in doubt",
            },
            request: entry.request_text(),
            key: entry.key.clone(),
        }
    }
}

/// Reads one entry of a journal for a question in SQL; none where it cannot be read.
pub(in crate::cli) fn columns(bytes: &[u8]) -> Option<EffectColumns> {
    let entry: Entry = minicbor::decode(bytes).ok()?;
    let Effect {
        function,
        state,
        request,
        key,
        ..
    } = Effect::of(&entry);
    Some(EffectColumns {
        function,
        state,
        asked: entry.time,
        request,
        key,
    })
}

/// Prints a line for each.
pub(super) fn print(effects: &[Effect]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for effect in effects {
        let Effect {
            asked,
            function,
            state,
            request,
            ..
        } = effect;
        let line = format!("effect    {asked}  {function}, {state}: {request}");
        writeln!(out, "{}", table::clean(&line))?;
    }
    Ok(())
}
