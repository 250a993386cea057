//! The effects of a task, as its journal has them.

use gwasp_store::{EffectColumns, JournalEntry};
use serde::Serialize;

use crate::cli::table;
use crate::effects::{Class, Entry, Journal, JournalError, Phase, TABLE};

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
    /// It was not made, and the answer is neutral: the task ran in shadow mode.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) shadow: bool,
}

/// The effects in a journal, in the order in which they were asked for, and whether it is that
/// of a run in shadow mode.
pub(super) fn of(journal: &[JournalEntry]) -> Result<(Vec<Effect>, bool), JournalError> {
    let journal = Journal::read(journal)?;
    let effects = journal.entries().iter().map(Effect::of).collect();
    Ok((effects, journal.is_dry() == Some(true)))
}

impl Effect {
    fn of(entry: &Entry) -> Self {
        Self {
            asked: table::moment(entry.time),
            function: entry.function.clone(),
            state: match entry.phase {
                _ if entry.dry == Some(true) && !entry.is_refused() => dry_state(&entry.function),
                Phase::NotDone | Phase::Answered if entry.is_refused() => "refused",
                phase => phase.as_str(),
            },
            request: entry.request_text(),
            key: entry.key.clone(),
            shadow: entry.dry == Some(true),
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

/// How far an effect has come of a run in shadow mode.
fn dry_state(function: &str) -> &'static str {
    let known = TABLE.iter().find(|known| known.name == function);
    match known.map(|known| known.class) {
        Some(Class::External | Class::Committed) => "not made (shadow)",
        Some(Class::Local | Class::Answered) | None => "answered (shadow)",
    }
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
        let text = format!("{asked}  {function}, {state}: {request}");
        table::field(&mut out, "effect", &text)?;
    }
    Ok(())
}
