//! Tasks that a run waits for.
//!
//! A called task's id is a hash of its caller, its place in the run and its request, so that a
//! caller that asks again, after a crash or on another attempt, asks for the same task. One that
//! ended well is not run again; one that did not begins again, because another attempt of the
//! caller would fail on the same answer.

use bytes::Bytes;
use minicbor::Encode;

use super::bindings::gwasp::plugin::tasks::{Error, Failure};
use super::driver::{Driver, LiveRun};
use super::function::{Function, TASKS_ALL, TASKS_CALL};
use super::noted::{CallAnswer, FailedAs, SpawnRequest, Spawned};
use super::seam::{Recalled, SeamError, encode};
use super::tasks::Options;
use super::{Refused, Run, blobs};
use crate::broker::{NewTask, Origin, TaskEnd, TaskId, Wait};
use crate::packet::Digest;
use crate::task::child_task_id;

/// Most tasks that are called at once.
const MAX_CALLS: usize = 2_000;
/// Longer results stand in the journal as a blob, in bytes.
const MAX_NOTED: usize = 4 << 10;
/// Most bytes of results that are answered at once.
const MAX_RESULTS: usize = 8 << 20;

/// What one called task answers.
pub(super) type Answered = Result<Option<Vec<u8>>, Error>;

/// A task that is called.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) args: Vec<u8>,
    pub(super) options: Vec<(String, String)>,
    digest: String,
}

impl Call {
    pub(super) fn new(name: String, args: Vec<u8>, options: Vec<(String, String)>) -> Self {
        let digest = Digest::of(&args).to_string();
        Self {
            name,
            args,
            options,
            digest,
        }
    }

    fn request(&self) -> SpawnRequest<'_> {
        SpawnRequest {
            name: &self.name,
            args: &self.digest,
            options: &self.options,
        }
    }
}

/// Tasks that are called together, and how the journal knows them.
struct Calls<'a, R> {
    function: &'static Function,
    request: R,
    calls: &'a [Call],
    ids: Vec<TaskId>,
}

impl Run {
    /// Calls one task.
    pub(super) async fn call_one(&mut self, call: Call) -> wasmtime::Result<Answered> {
        let (task, place) = (self.seam.driver().task(), self.seam.place());
        let request = call.request();
        let id = child_task_id(task, place, &Digest::of(&encode(&request)));
        let calls = Calls {
            function: &TASKS_CALL,
            request: &request,
            calls: std::slice::from_ref(&call),
            ids: vec![id],
        };
        let answer = match self.seam.recall(&TASKS_CALL, &request)? {
            Recalled::Over(answer) => answer,
            recalled => {
                let begun = begun(recalled);
                let one = match self.wait_for(&calls, begun).await? {
                    Err(refused) => CallAnswer::Refused(refused),
                    Ok(mut answers) => answers.pop().unwrap_or(CallAnswer::Result(None)),
                };
                let is_done = one.is_done();
                self.seam.note_over(&TASKS_CALL, &request, &one, is_done)?;
                one
            }
        };
        self.seen_by_guest(answer)
    }

    /// Calls several tasks, and waits for all.
    pub(super) async fn call_all(
        &mut self,
        calls: Vec<Call>,
    ) -> wasmtime::Result<Result<Vec<Answered>, Error>> {
        let (task, place) = (self.seam.driver().task(), self.seam.place());
        let request: Vec<SpawnRequest<'_>> = calls.iter().map(Call::request).collect();
        // Two that ask for the same are two tasks.
        let numbered = (0_u32..).zip(&request);
        let ids = numbered.map(|of| child_task_id(task, place, &Digest::of(&encode(&of))));
        let together = Calls {
            function: &TASKS_ALL,
            request: &request,
            calls: &calls,
            ids: ids.collect(),
        };
        let answers = match self.seam.recall(&TASKS_ALL, &request)? {
            Recalled::Over(answers) => answers,
            recalled => {
                let begun = begun(recalled);
                let answers = self.wait_for(&together, begun).await?;
                let is_done = answers
                    .as_ref()
                    .is_ok_and(|answers| answers.iter().all(CallAnswer::is_done));
                self.seam
                    .note_over(&TASKS_ALL, &request, &answers, is_done)?;
                answers
            }
        };
        let answers: Vec<CallAnswer> = match answers {
            Ok(answers) => answers,
            Err(refused) => return Ok(Err(refused.into())),
        };
        let mut seen = Vec::with_capacity(answers.len());
        for answer in answers {
            seen.push(self.seen_by_guest(answer)?);
        }
        Ok(Ok(seen))
    }

    /// Answers what came of the tasks, if all have ended; ends the leg else. `begun` is what was
    /// decided when the run began to wait.
    async fn wait_for<R: Encode<()>>(
        &mut self,
        calls: &Calls<'_, R>,
        begun: Option<Vec<Spawned>>,
    ) -> wasmtime::Result<Result<Vec<CallAnswer>, Refused>> {
        let driver = self.seam.driver();
        for call in calls.calls {
            self.seam.note_asked(calls.function, || call.name.clone());
        }
        let is_new = begun.is_none();
        let decided = match begun {
            Some(begun) => begun,
            None => match self.decide(&driver, calls.calls) {
                Ok(decided) => decided,
                Err(refused) => return Ok(Err(refused)),
            },
        };
        let live = match &driver {
            Driver::Live(live) => live,
            Driver::Dry(dry) => {
                let answers = calls.calls.iter().map(|call| dry.task_answer(&call.name));
                return Ok(Ok(answers.map(CallAnswer::Result).collect()));
            }
        };
        let ends = live
            .world
            .broker
            .ends(&calls.ids)
            .map_err(SeamError::from)?;
        let ends = calls.ids.iter().zip(ends);
        let ends: Vec<Option<End>> = ends.map(|(id, end)| ended(*id, end, is_new)).collect();
        if ends.iter().all(Option::is_some) {
            let ends = ends.into_iter().flatten().collect();
            return Ok(self.answers_of(live, ends).await?);
        }
        // One that ended is not asked for again by who is only woken early.
        let tasks = made(calls, &decided, driver.task());
        let tasks = tasks.zip(&ends).filter(|(_, end)| end.is_none());
        let tasks = tasks.map(|(task, _)| task).collect();
        let begun = is_new.then_some(&decided);
        let parked = (Wait::Called, tasks);
        let ended = self
            .seam
            .park(calls.function, &calls.request, begun, parked)?;
        Err(ended.into())
    }

    fn decide(&self, driver: &Driver, calls: &[Call]) -> Result<Vec<Spawned>, Refused> {
        if calls.len() > MAX_CALLS {
            return Err(Refused::Limit(format!(
                "at most {MAX_CALLS} tasks are called at once; these are {}",
                calls.len()
            )));
        }
        let decide = |call: &Call| {
            let route = self.find_task(driver, &call.name, call.args.len())?;
            let options = Options::read(&call.options)?;
            Spawned::of(&route, options, driver.nanos()).in_a_queue_of(driver)
        };
        calls.iter().map(decide).collect()
    }

    /// What is noted of ends; a long result is a blob, on disk before the entry that names it.
    async fn answers_of(
        &mut self,
        live: &LiveRun,
        ends: Vec<End>,
    ) -> Result<Result<Vec<CallAnswer>, Refused>, SeamError> {
        let results = ends.iter().filter_map(|end| end.as_ref().ok()?.as_ref());
        let bytes: usize = results.map(Bytes::len).sum();
        if bytes > MAX_RESULTS {
            return Ok(Err(Refused::Limit(format!(
                "the results of tasks that are called at once have at most {MAX_RESULTS} bytes; \
                 these have {bytes}: let the tasks answer blobs"
            ))));
        }
        let mut answers = Vec::with_capacity(ends.len());
        for end in ends {
            answers.push(match end {
                Ok(Some(result)) if result.len() > MAX_NOTED => {
                    let digest = live.world.broker.put_blob(result).await?;
                    let digest = Digest::from_bytes(digest);
                    self.seam.mention(&digest);
                    CallAnswer::Blob(digest.to_string())
                }
                Ok(result) => CallAnswer::Result(result.map(|result| Vec::from(result).into())),
                Err(failed) => failed,
            });
        }
        Ok(Ok(answers))
    }

    fn seen_by_guest(&mut self, answer: CallAnswer) -> wasmtime::Result<Answered> {
        Ok(match answer {
            CallAnswer::Result(result) => Ok(result.map(Vec::from)),
            CallAnswer::Blob(digest) => Ok(Some(self.result_in(&digest)?)),
            CallAnswer::Refused(refused) => Err(refused.into()),
            CallAnswer::Failed {
                kind,
                message,
                detail,
            } => Err(Error::Failed(Failure {
                kind: kind.into(),
                retry_after: None,
                message,
                detail,
            })),
        })
    }

    fn result_in(&mut self, digest: &str) -> Result<Vec<u8>, SeamError> {
        let gone = || SeamError::BlobGone {
            digest: digest.to_owned(),
        };
        let known = Digest::parse(digest).ok_or_else(gone)?;
        let bytes = blobs::find(&self.seam.driver(), &known)?.ok_or_else(gone)?;
        self.seam.mention(&known);
        Ok(bytes.into())
    }
}

impl CallAnswer {
    /// Whether a noted answer of `function` names a blob.
    pub(super) fn are_of_blobs(function: &str, answer: &[u8]) -> bool {
        let is_blob = |answer: &Self| matches!(answer, Self::Blob(_));
        if function == TASKS_CALL.name {
            return minicbor::decode(answer).is_ok_and(|answer| is_blob(&answer));
        }
        let all = || minicbor::decode::<Result<Vec<Self>, Refused>>(answer);
        function == TASKS_ALL.name
            && all().is_ok_and(|all| all.is_ok_and(|all| all.iter().any(is_blob)))
    }

    /// Whether it need not be asked for again.
    fn is_done(&self) -> bool {
        matches!(self, Self::Result(_) | Self::Blob(_))
    }
}

fn begun<A>(recalled: Recalled<A, Vec<Spawned>>) -> Option<Vec<Spawned>> {
    match recalled {
        Recalled::Begun(begun) => Some(begun),
        Recalled::Over(_) | Recalled::New => None,
    }
}

/// How a task came out; where it failed, as it is noted.
type End = Result<Option<Bytes>, CallAnswer>;

/// How a task came out, if the run need not wait for it. A run that asks anew does not take a
/// failure for an answer.
fn ended(id: TaskId, end: Option<TaskEnd>, is_new: bool) -> Option<End> {
    let (kind, mut failure) = match end? {
        TaskEnd::Open => return None,
        TaskEnd::Succeeded(result) => return Some(Ok(result)),
        TaskEnd::Failed(_) | TaskEnd::Revoked(_) if is_new => return None,
        TaskEnd::Failed(failure) => (failed_as(&failure.kind), failure),
        // A decision: the caller is not to try again by itself.
        TaskEnd::Revoked(mut reason) => {
            reason.message = format!("it was revoked ({}): {}", reason.kind, reason.message);
            (FailedAs::Permanent, reason)
        }
    };
    if kind == FailedAs::InDoubt {
        failure.message.push_str(&format!(
            "; decide about it first, by `gwasp task resume {id}` with --done or --not-done"
        ));
    }
    Some(Err(CallAnswer::Failed {
        kind,
        message: failure.message,
        detail: failure.detail,
    }))
}

fn made<R>(
    calls: &Calls<'_, R>,
    decided: &[Spawned],
    caller: TaskId,
) -> impl Iterator<Item = NewTask> {
    let tasks = calls.calls.iter().zip(&calls.ids).zip(decided);
    tasks.map(move |((call, id), decided)| NewTask {
        id: *id,
        policy: decided.policy(),
        plugin: decided.plugin.clone(),
        handler: decided.handler.clone(),
        queue: decided.queue.clone(),
        origin: Origin::Call,
        parent: Some(caller),
        priority: decided.priority,
        due: decided.due,
        order_key: None,
        args: Some(Bytes::from(call.args.clone())),
    })
}

fn failed_as(kind: &str) -> FailedAs {
    match kind {
        "parse" => FailedAs::Parse,
        "permanent" => FailedAs::Permanent,
        "in-doubt" => FailedAs::InDoubt,
        _ => FailedAs::Error,
    }
}
