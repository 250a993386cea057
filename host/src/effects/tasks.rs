//! `gwasp:plugin/tasks`: other tasks, and waiting.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::bindings::gwasp::plugin::tasks::{Called, Datetime, Error, Host};
use super::bindings::gwasp::plugin::types::FailureKind;
use super::calls::{Answered, Call};
use super::driver::Driver;
use super::function::{TASKS_SLEEP_UNTIL, TASKS_SPAWN};
use super::noted::{FailedAs, Moment, SpawnRequest, Spawned};
use super::seam::{Recalled, encode};
use super::{Refused, Run, denied, list_with};
use crate::broker::{NewTask, Origin, RetryPolicy, Wait};
use crate::packet::Digest;
use crate::routes::Route;
use crate::task::{child_task_id, nanos, policy_of};

const MAX_ARGS: usize = 1 << 20;
/// Last of the priorities: served after all others.
const LOWEST_PRIORITY: u8 = 9;

impl Host for Run {
    async fn spawn(
        &mut self,
        name: String,
        args: Vec<u8>,
        options: Vec<(String, String)>,
    ) -> wasmtime::Result<Result<String, Error>> {
        let driver = self.seam.driver();
        let digest = Digest::of(&args).to_string();
        let request = SpawnRequest {
            name: &name,
            args: &digest,
            options: &options,
        };
        let place = self.seam.place();
        let id = child_task_id(driver.task(), place, &Digest::of(&encode(&request)));
        let decided = self
            .find_task(&driver, &name, args.len())
            .and_then(|route| {
                Ok(Spawned::of(
                    &route,
                    Options::read(&options)?,
                    driver.nanos(),
                ))
            })
            .and_then(|noted| noted.in_a_queue_of(&driver));
        let noted = self
            .seam
            .note_committed(&TASKS_SPAWN, &request, decided, || {
                format!("{name} as {id}")
            })?;
        let noted = match noted {
            Ok(noted) => noted,
            Err(refused) => return Ok(Err(refused.into())),
        };
        let task = NewTask {
            id,
            policy: noted.policy(),
            plugin: noted.plugin,
            handler: noted.handler,
            queue: noted.queue,
            origin: Origin::Spawn,
            parent: Some(driver.task()),
            priority: noted.priority,
            due: noted.due,
            order_key: None,
            args: Some(Bytes::from(args)),
        };
        self.seam.spawn(task)?;
        Ok(Ok(id.to_string()))
    }

    async fn call(
        &mut self,
        name: String,
        args: Vec<u8>,
        options: Vec<(String, String)>,
    ) -> wasmtime::Result<Answered> {
        self.call_one(Call::new(name, args, options)).await
    }

    async fn all(&mut self, calls: Vec<Called>) -> wasmtime::Result<Result<Vec<Answered>, Error>> {
        let calls = calls.into_iter();
        let calls = calls.map(|call| Call::new(call.name, call.args, call.options));
        self.call_all(calls.collect()).await
    }

    async fn sleep_until(&mut self, moment: Datetime) -> wasmtime::Result<Result<(), Error>> {
        let request = Moment {
            seconds: moment.seconds,
            nanoseconds: moment.nanoseconds,
        };
        self.seam.note_asked(&TASKS_SLEEP_UNTIL, || until(&request));
        let is_new = match self.seam.recall(&TASKS_SLEEP_UNTIL, &request)? {
            Recalled::Over(answer) => return Ok(noted(answer)),
            Recalled::Begun(()) => false,
            Recalled::New => true,
        };
        let driver = self.seam.driver();
        let due = request.nanos();
        match &driver {
            Driver::Dry(dry) => dry.sleep_until(due),
            Driver::Live(_) if driver.nanos() < due => {
                let parked = (Wait::Until(due), Vec::new());
                let begun = is_new.then_some(&());
                let ended = self
                    .seam
                    .park(&TASKS_SLEEP_UNTIL, &request, begun, parked)?;
                return Err(ended.into());
            }
            Driver::Live(_) => {}
        }
        let over: Result<(), Refused> = Ok(());
        self.seam
            .note_over(&TASKS_SLEEP_UNTIL, &request, &over, true)?;
        Ok(Ok(()))
    }
}

fn noted(answer: Result<(), Refused>) -> Result<(), Error> {
    answer.map_err(Error::from)
}

/// A moment, for a person.
fn until(moment: &Moment) -> String {
    let seconds = i64::try_from(moment.seconds).unwrap_or(i64::MAX);
    let nanoseconds = i32::try_from(moment.nanoseconds).unwrap_or(0);
    match jiff::Timestamp::new(seconds, nanoseconds) {
        Ok(moment) => moment.to_string(),
        Err(_out_of_range) => format!("{seconds} s"),
    }
}

/// What a new task has other than its function says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    queue: Option<String>,
    delay: Duration,
    priority: Option<u8>,
}

impl Options {
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Self, Refused> {
        let mut options = Self::default();
        for (name, value) in pairs {
            let wrong = |what: &str| {
                Refused::Invalid(format!(
                    "the option `{name}` of a new task cannot be {value:?}: {what}"
                ))
            };
            match name.as_str() {
                "queue" => options.queue = Some(value.clone()),
                "delay" => {
                    options.delay = humantime::parse_duration(value)
                        .map_err(|_not_one| wrong("it is a time such as `90s` or `1500ms`"))?;
                }
                "priority" => {
                    let priority = value.parse().ok();
                    let priority = priority.filter(|priority| *priority <= LOWEST_PRIORITY);
                    options.priority = Some(priority.ok_or_else(|| wrong("it is 0 to 9"))?);
                }
                _ => {
                    return Err(Refused::Invalid(format!(
                        "a new task has no option {name:?} in this host; it knows `queue`, \
                         `delay` and `priority`"
                    )));
                }
            }
        }
        Ok(options)
    }
}

impl Spawned {
    pub(super) fn of(route: &Route, options: Options, now: i64) -> Self {
        let entry = &route.entry;
        let policy = policy_of(&entry.options, now);
        let delay = nanos(options.delay);
        Self {
            plugin: route.plugin.clone(),
            handler: entry.name.clone(),
            queue: options.queue.unwrap_or_else(|| entry.options.queue.clone()),
            priority: options.priority.unwrap_or(entry.options.priority),
            due: now.saturating_add(delay),
            retries: policy.retries,
            backoff_ms: policy.backoff_ms,
            max_backoff_ms: policy.max_backoff_ms,
            timeout_ms: policy.timeout_ms,
            deadline: policy.deadline,
        }
    }

    /// A task in a queue that nobody serves would wait for ever.
    pub(super) fn in_a_queue_of(self, driver: &Driver) -> Result<Self, Refused> {
        match driver {
            Driver::Live(live) if !live.world.queues.borrow().contains(&self.queue) => {
                Err(Refused::Unknown(format!(
                    "no worker serves the queue `{0}`; to have one, add to the configuration:\n\n    \
                     [queues.{0}]\n",
                    self.queue
                )))
            }
            _ => Ok(self),
        }
    }

    pub(super) const fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            retries: self.retries,
            backoff_ms: self.backoff_ms,
            max_backoff_ms: self.max_backoff_ms,
            timeout_ms: self.timeout_ms,
            deadline: self.deadline,
        }
    }
}

impl Run {
    /// The task named `PLUGIN.NAME`, or `NAME` of the plugin itself.
    pub(super) fn find_task(
        &self,
        driver: &Driver,
        name: &str,
        args_len: usize,
    ) -> Result<Arc<Route>, Refused> {
        let context = self.seam.context();
        let (plugin, task) = name.split_once('.').unwrap_or((&context.plugin, name));
        if plugin != context.plugin && !context.grant.allows_task(plugin, task) {
            let line = list_with("tasks", &context.grant.tasks, &format!("{plugin}.{task}"));
            return Err(Refused::Denied(denied(
                &context.plugin,
                &format!("make the task `{name}`"),
                &line,
            )));
        }
        if args_len > MAX_ARGS {
            return Err(Refused::Limit(format!(
                "an argument has at most {MAX_ARGS} bytes; this has {args_len}: pass a blob"
            )));
        }
        let found = match driver {
            Driver::Live(live) => live.world.routes.borrow().task(plugin, task),
            Driver::Dry(dry) => dry.task_named(&context.plugin, plugin, task),
        };
        found.map_err(Refused::Unknown)
    }
}

impl From<FailedAs> for FailureKind {
    fn from(kind: FailedAs) -> Self {
        match kind {
            FailedAs::Error => Self::Error,
            FailedAs::Parse => Self::Parse,
            FailedAs::Permanent => Self::Permanent,
            FailedAs::InDoubt => Self::InDoubt,
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(reason) => Self::Denied(reason),
            Refused::Limit(reason) => Self::Limit(reason),
            Refused::Unknown(reason) => Self::Unknown(reason),
            Refused::Invalid(reason) => Self::Invalid(reason),
            Refused::Unsupported(reason) => Self::Unsupported(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Options, Refused};

    fn read(pairs: &[(&str, &str)]) -> Result<Options, Refused> {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Options::read(&pairs)
    }

    #[test]
    fn options_of_a_task_are_pairs_of_texts() {
        let given = [("queue", "openmp"), ("delay", "1500ms"), ("priority", "0")];
        let options = Options {
            queue: Some("openmp".to_owned()),
            delay: Duration::from_millis(1_500),
            priority: Some(0),
        };
        assert_eq!(read(&given), Ok(options));
        assert_eq!(read(&[]), Ok(Options::default()));
    }

    #[track_caller]
    fn check_invalid(name: &str, value: &str) {
        let refused = read(&[("queue", "openmp"), (name, value)]);
        let Err(Refused::Invalid(reason)) = refused else {
            panic!("{refused:?}");
        };
        assert!(reason.contains(name), "{reason}");
    }

    #[test]
    fn an_option_that_cannot_be_is_named() {
        check_invalid("colour", "red");
        check_invalid("delay", "soon");
        check_invalid("priority", "10");
        check_invalid("priority", "high");
    }
}
