//! External effects: the intent is on disk before anything leaves, and what became of it is
//! found out after a crash.
//!
//! An effect whose answer is missing is *in doubt*. It is settled before anything else
//! happens: by asking the service, or by making it again where that is safe. Where the service
//! cannot be asked just now the run ends and another attempt settles it; where it can never be
//! asked the handler is told so, and that is noted.

use std::time::Duration;

use minicbor::{Decode, Encode};

use super::{Seam, SeamError, decode, encode};
use crate::broker::TaskId;
use crate::effects::driver::Driver;
use crate::effects::function::{Class, Function};
use crate::effects::journal::{Entry, Found, Phase};
use crate::task::nanos;

/// How an external effect came out.
#[derive(Debug)]
pub(in crate::effects) enum Made<A> {
    /// It is done, and this is the answer.
    Done(A),
    /// It is not done, and this is the answer: a retry makes it anew.
    NotDone(A),
    /// Whether it is done is not known.
    InDoubt(String),
}

/// What became of an effect in doubt.
#[derive(Debug)]
pub(in crate::effects) enum Settled<A> {
    /// It is done; this stands for its answer.
    Done(A),
    /// It is not done, or doing it twice is doing it once.
    Again,
    /// Nobody can be asked just now.
    Later(String),
    /// Nobody can be asked.
    Never(String),
}

/// An external effect, as its interface makes it.
pub(in crate::effects) trait External {
    /// What the guest sees.
    type Answer: Encode<()> + for<'b> Decode<'b, ()>;

    /// The answer to a plugin that may not have the effect.
    fn refused(&self) -> Option<Self::Answer>;

    /// Makes it under `key`.
    fn make(&self, key: &str) -> impl Future<Output = Made<Self::Answer>> + Send;

    /// Finds out whether the effect under `key`, whose request left so long ago, is done.
    fn settle(
        &self,
        key: &str,
        age: Duration,
    ) -> impl Future<Output = Settled<Self::Answer>> + Send;

    /// What the guest sees where nobody knows.
    fn in_doubt(&self, reason: String) -> Self::Answer;

    /// What the guest sees in the place of an answer that is too long to be noted.
    fn too_long(&self) -> Self::Answer;

    /// How long a request is sent and awaited at most.
    fn longest(&self) -> Duration;
}

impl Seam {
    /// Makes an external effect, or gives the noted answer; one that an earlier leg left in
    /// doubt is settled. `key` is the service's name for it, where the guest has one.
    pub(in crate::effects) async fn external<E: External>(
        &mut self,
        function: &'static Function,
        request: &impl Encode<()>,
        key: Option<String>,
        effect: &E,
    ) -> Result<E::Answer, SeamError> {
        debug_assert_eq!(function.class, Class::External);
        self.admit(function)?;
        let request = encode(request);
        let (entry, made) = match self.find(function, &request)? {
            Found::Answer(answer) => {
                self.journal.advance();
                return decode(&answer);
            }
            Found::Intent(entry) => {
                until_silent(&self.driver, &entry).await;
                let reason = "the host stopped before the answer was noted".to_owned();
                self.settle(entry, effect, reason).await?
            }
            Found::New => {
                let entry = self.entry(function, &request);
                match effect.refused() {
                    Some(refused) => (entry, Made::NotDone(refused)),
                    None => self.begin(entry, key, effect).await?,
                }
            }
        };
        self.conclude(entry, made, effect)
    }

    /// Makes an effect for the first time.
    async fn begin<E: External>(
        &mut self,
        mut entry: Entry,
        key: Option<String>,
        effect: &E,
    ) -> Result<(Entry, Made<E::Answer>), SeamError> {
        let number = self.journal.external_before();
        let is_guests = key.is_some();
        entry.key = Some(key.unwrap_or_else(|| effect_key(self.driver.task(), number)));
        if self.driver.is_asked() {
            return self.begin_asked(entry, is_guests, effect).await;
        }
        self.is_unsent = true;
        let entry = self.intend(entry, effect.longest()).await?;
        self.is_unsent = false;
        match self.make(&entry, effect).await {
            Made::InDoubt(reason) => self.settle(entry, effect, reason).await,
            made => Ok((entry, made)),
        }
    }

    /// Makes an effect that may have been made before, by the store that this one was restored
    /// from: it is settled first. A key that the guest drew is another than it was then, and
    /// nobody can be asked for it.
    async fn begin_asked<E: External>(
        &mut self,
        entry: Entry,
        is_guests: bool,
        effect: &E,
    ) -> Result<(Entry, Made<E::Answer>), SeamError> {
        let reason = "the store was restored from a backup, and it may have been made since";
        if is_guests {
            return Ok((entry, Made::InDoubt(reason.to_owned())));
        }
        self.settle(entry, effect, reason.to_owned()).await
    }

    /// Settles an effect that is in doubt for `reason`; makes it once more where it is not
    /// done.
    async fn settle<E: External>(
        &mut self,
        entry: Entry,
        effect: &E,
        reason: String,
    ) -> Result<(Entry, Made<E::Answer>), SeamError> {
        if let Some(made) = self.ask(&entry, effect, &reason).await? {
            return Ok((entry, made));
        }
        let entry = self.intend(entry, effect.longest()).await?;
        let reason = match self.make(&entry, effect).await {
            Made::InDoubt(reason) => reason,
            made => return Ok((entry, made)),
        };
        match self.ask(&entry, effect, &reason).await? {
            Some(made) => Ok((entry, made)),
            None => Err(self.leave(&entry, reason)?),
        }
    }

    /// Asks what became of an effect; none where it is to be made again.
    async fn ask<E: External>(
        &mut self,
        entry: &Entry,
        effect: &E,
        reason: &str,
    ) -> Result<Option<Made<E::Answer>>, SeamError> {
        if self.hold.is_ending() {
            return Err(self.leave(entry, reason.to_owned())?);
        }
        let age = nanos_between(entry.sent.unwrap_or(0), self.driver.nanos());
        match effect.settle(key_of(entry), age).await {
            Settled::Done(answer) => Ok(Some(Made::Done(answer))),
            Settled::Again => Ok(None),
            Settled::Later(why) => Err(self.leave(entry, format!("{reason}; {why}"))?),
            Settled::Never(why) => Ok(Some(Made::InDoubt(format!("{reason}; {why}")))),
        }
    }

    /// Leaves an effect in doubt that is not under way any more: another attempt settles it.
    fn leave(&mut self, entry: &Entry, reason: String) -> Result<SeamError, SeamError> {
        let mut entry = entry.clone();
        entry.until = Some(self.driver.nanos());
        self.journal.write(entry)?;
        Ok(SeamError::Unsettled { reason })
    }

    /// Writes an intent, with all that was noted before it, and waits until it is on disk.
    async fn intend(&mut self, mut entry: Entry, longest: Duration) -> Result<Entry, SeamError> {
        let now = self.driver.nanos();
        let longest = nanos(longest);
        entry.sent = Some(now);
        entry.until = Some(now.saturating_add(longest));
        if let Driver::Live(live) = &self.driver {
            entry.incarnation = Some(live.token.incarnation);
        }
        self.journal.write(entry.clone())?;
        self.save().await?;
        Ok(entry)
    }

    /// Makes an effect whose intent is on disk, and does not wait longer than that says.
    async fn make<E: External>(&mut self, entry: &Entry, effect: &E) -> Made<E::Answer> {
        let given = self.driver.noted(&entry.function, *entry.request);
        if let Some(answer) = given.and_then(|given| decode(&given).ok()) {
            return Made::Done(answer);
        }
        let left = nanos_between(self.driver.nanos(), entry.until.unwrap_or(0));
        let _under_way = self.hold.under_way();
        match tokio::time::timeout(left, effect.make(key_of(entry))).await {
            Ok(made) => made,
            Err(_elapsed) => Made::InDoubt(format!("no answer within {:?}", effect.longest())),
        }
    }

    /// Notes how an effect came out.
    fn conclude<E: External>(
        &mut self,
        entry: Entry,
        made: Made<E::Answer>,
        effect: &E,
    ) -> Result<E::Answer, SeamError> {
        let (mut answer, phase) = match made {
            Made::Done(answer) => (answer, Phase::Answered),
            Made::NotDone(answer) => (answer, Phase::NotDone),
            Made::InDoubt(reason) => (effect.in_doubt(reason), Phase::InDoubt),
        };
        let mut noted = encode(&answer);
        if !self.journal.has_room(noted.len()) {
            answer = effect.too_long();
            noted = encode(&answer);
        }
        let had_intent = entry.key.is_some();
        self.journal.append(entry.answered(noted, phase))?;
        if had_intent {
            self.save_unawaited()?;
        }
        if self.hold.is_ending() {
            return Err(SeamError::Ended);
        }
        Ok(answer)
    }
}

/// Waits until the request of an intent that another process may still be making is neither
/// sent nor awaited any more. A process of a former incarnation is dead.
async fn until_silent(driver: &Driver, entry: &Entry) {
    let Driver::Live(live) = driver else {
        return;
    };
    let is_dead = entry
        .incarnation
        .is_some_and(|incarnation| incarnation < live.token.incarnation);
    if !is_dead {
        let left = nanos_between(driver.nanos(), entry.until.unwrap_or(0));
        tokio::time::sleep(left).await;
    }
}

fn key_of(entry: &Entry) -> &str {
    entry.key.as_deref().unwrap_or_default()
}

/// The idempotency key of external effect `number` of a task: the same on every attempt, however
/// often the handler reads the clock before it, and whatever its request holds. An attempt that
/// was answered with 500 may have been done; the next one, with a later time in its body, must
/// not be done beside it.
fn effect_key(task: TaskId, number: usize) -> String {
    format!("{task}-{number}")
}

fn nanos_between(from: i64, to: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}
