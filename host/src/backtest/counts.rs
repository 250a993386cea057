//! How often what came out.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dryrun::{Outcome, Verdict};
use crate::effects::Asked;

/// What a back-test counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Packets that were read.
    pub(crate) packets: u64,
    /// Packets whose payload is not kept any more.
    pub(crate) without_payload: u64,
    /// Packets that cannot be read.
    pub(crate) damaged: u64,
    /// Packets that no handler was run on, by reason.
    pub(crate) unmatched: BTreeMap<&'static str, u64>,
    /// Outcomes by handler and name of the outcome; `gone` is that of those that ran before.
    pub(crate) outcomes: BTreeMap<(String, String), Outcomes>,
    /// How often handlers asked for what, by handler and function.
    pub(crate) asked: BTreeMap<(String, &'static str), u64>,
    /// CPU time of the handlers.
    pub(crate) cpu: Duration,
}

/// How often one outcome of one handler came, and how it compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// As it was.
    pub(crate) same: u64,
    /// Not as it was.
    pub(crate) different: u64,
    /// Of a handler that was not there.
    pub(crate) new: u64,
    /// Where what was is not known.
    pub(crate) not_compared: u64,
}

impl Outcomes {
    /// All of them.
    pub(crate) const fn runs(self) -> u64 {
        self.same + self.different + self.new + self.not_compared
    }

    fn note(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Same => &mut self.same,
            Verdict::Different | Verdict::Gone => &mut self.different,
            Verdict::New => &mut self.new,
            Verdict::NotCompared => &mut self.not_compared,
        } += 1;
    }
}

impl Counts {
    /// Counts a run.
    pub(super) fn note(
        &mut self,
        handler: &str,
        is: &Outcome,
        verdict: Verdict,
        run: (&[Asked], Duration),
    ) {
        let (asked, cpu) = run;
        let name = (handler.to_owned(), is.name());
        self.outcomes.entry(name).or_default().note(verdict);
        for asked in asked {
            let name = (handler.to_owned(), asked.function);
            *self.asked.entry(name).or_default() += 1;
        }
        self.cpu += cpu;
    }

    /// Counts a handler that ran before and does not match any more.
    pub(super) fn note_gone(&mut self, handler: &str) {
        let name = (handler.to_owned(), Verdict::Gone.as_str().to_owned());
        self.outcomes.entry(name).or_default().note(Verdict::Gone);
    }

    /// Adds what another thread counted.
    pub(super) fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.without_payload += other.without_payload;
        self.damaged += other.damaged;
        self.cpu += other.cpu;
        for (reason, n) in other.unmatched {
            *self.unmatched.entry(reason).or_default() += n;
        }
        for (name, n) in other.asked {
            *self.asked.entry(name).or_default() += n;
        }
        for (name, more) in other.outcomes {
            let outcomes = self.outcomes.entry(name).or_default();
            outcomes.same += more.same;
            outcomes.different += more.different;
            outcomes.new += more.new;
            outcomes.not_compared += more.not_compared;
        }
    }

    /// Outcomes that are not as they were.
    pub(crate) fn differences(&self) -> u64 {
        self.outcomes
            .values()
            .map(|outcomes| outcomes.different)
            .sum()
    }
}
