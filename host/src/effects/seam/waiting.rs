//! Waits that end the leg: the run holds no slot and no instance, and goes on in a later leg.
//!
//! A wait that is not over is noted as such, with what was decided when it began, and its leg
//! ends. The worker commits both at once with the tasks that are called, so that no crash leaves
//! a run that waits for what was never made. The leg that comes when the wait is over replays the
//! journal up to here, finds the note, and asks again.

use minicbor::{Decode, Encode};

use super::{Seam, SeamError, decode, encode};
use crate::broker::{NewTask, Wait};
use crate::effects::function::{Class, Function};
use crate::effects::journal::{Found, Phase};

/// What the journal knows of a wait.
#[derive(Debug)]
pub(in crate::effects) enum Recalled<A, B> {
    /// It is over, and this is the answer.
    Over(A),
    /// The run began to wait, and this was decided then.
    Begun(B),
    /// It was not asked for yet.
    New,
}

/// What a run begins to wait for.
#[derive(Debug)]
pub struct Parking {
    /// Tasks to make, whose ends are waited for.
    pub called: Vec<NewTask>,
    /// The journal's entry that says so, where it is new: it is only true once they are made.
    pub seq: Option<u32>,
}

impl Seam {
    /// Looks what the journal, or what a dry run was given, says of a wait.
    pub(in crate::effects) fn recall<A, B>(
        &mut self,
        function: &Function,
        request: &impl Encode<()>,
    ) -> Result<Recalled<A, B>, SeamError>
    where
        A: for<'b> Decode<'b, ()>,
        B: for<'b> Decode<'b, ()>,
    {
        debug_assert_eq!(function.class, Class::Answered);
        self.admit(function)?;
        let request = encode(request);
        match self.journal.find(function, &request)? {
            Found::Answer(answer) => {
                self.journal.advance();
                Ok(Recalled::Over(decode(&answer)?))
            }
            Found::Intent(entry) => {
                let begun = entry.answer.unwrap_or_else(|| Vec::new().into());
                Ok(Recalled::Begun(decode(&begun)?))
            }
            Found::New => {
                let entry = self.entry(function, &request);
                let Some(given) = self.driver.noted(function.name, *entry.request) else {
                    return Ok(Recalled::New);
                };
                let answer = decode(&given)?;
                self.journal
                    .append(entry.answered(given, Phase::Answered))?;
                Ok(Recalled::Over(answer))
            }
        }
    }

    /// Notes that a wait is over. Where what was waited for is not `done`, another attempt waits
    /// for it anew.
    pub(in crate::effects) fn note_over(
        &mut self,
        function: &Function,
        request: &impl Encode<()>,
        answer: &impl Encode<()>,
        is_done: bool,
    ) -> Result<(), SeamError> {
        let entry = self.entry(function, &encode(request));
        let phase = if is_done {
            Phase::Answered
        } else {
            Phase::NotDone
        };
        self.journal.append(entry.answered(encode(answer), phase))?;
        Ok(())
    }

    /// Ends the leg with a wait; `begun` is what is decided now that it begins.
    pub(in crate::effects) fn park<B: Encode<()>>(
        &mut self,
        function: &Function,
        request: &impl Encode<()>,
        begun: Option<&B>,
        (on, called): (Wait, Vec<NewTask>),
    ) -> Result<SeamError, SeamError> {
        for task in &called {
            let len = task.args.as_ref().map_or(0, bytes::Bytes::len);
            self.budget.take_committed(len)?;
        }
        let seq = match begun {
            Some(begun) => {
                let entry = self.entry(function, &encode(request));
                let seq = entry.seq;
                self.journal
                    .write(entry.answered(encode(begun), Phase::Waiting))?;
                Some(seq)
            }
            None => None,
        };
        self.parking = Some(Parking { called, seq });
        Ok(SeamError::Parked(on))
    }
}
