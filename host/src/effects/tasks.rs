//! `gwasp:plugin/tasks`: other tasks.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bindings::gwasp::plugin::tasks::{Error, Host, Options};
use super::driver::Driver;
use super::function::TASKS_SPAWN;
use super::{Refused, Run, denied, list_with};
use crate::broker::{NewTask, Origin, RetryPolicy};
use crate::packet::Digest;
use crate::routes::Route;
use crate::task::{child_task_id, policy_of};

const MAX_ARGS: usize = 1 << 20;

/// What was decided about a new task, as a journal has it: the routing table may be another on
/// a replay.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    plugin: String,
    handler: String,
    queue: String,
    priority: u8,
    due: i64,
    retries: u32,
    backoff_ms: u64,
    max_backoff_ms: u64,
    timeout_ms: u64,
    deadline: Option<i64>,
}

impl Host for Run {
    async fn spawn(
        &mut self,
        name: String,
        args: Vec<u8>,
        options: Options,
    ) -> wasmtime::Result<Result<String, Error>> {
        let driver = self.seam.driver();
        let id = child_task_id(driver.task(), self.seam.place());
        let decided = self
            .find_task(&driver, &name, args.len())
            .map(|route| Noted::of(&route, &options, driver.nanos()))
            .and_then(|noted| noted.in_a_queue_of(&driver));
        let request = (
            &name,
            Digest::of(&args).to_string(),
            &options.queue,
            options.delay,
            options.priority,
        );
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
}

impl Noted {
    fn of(route: &Route, options: &Options, now: i64) -> Self {
        let entry = &route.entry;
        let policy = policy_of(&entry.options, now);
        let delay = i64::try_from(options.delay.unwrap_or(0)).unwrap_or(i64::MAX);
        let queue = options.queue.as_ref().unwrap_or(&entry.options.queue);
        Self {
            plugin: route.plugin.clone(),
            handler: entry.name.clone(),
            queue: queue.clone(),
            priority: options.priority.unwrap_or(entry.options.priority).min(9),
            due: now.saturating_add(delay.saturating_mul(1_000_000)),
            retries: policy.retries,
            backoff_ms: policy.backoff_ms,
            max_backoff_ms: policy.max_backoff_ms,
            timeout_ms: policy.timeout_ms,
            deadline: policy.deadline,
        }
    }

    /// A task in a queue that nobody serves would wait for ever.
    fn in_a_queue_of(self, driver: &Driver) -> Result<Self, Refused> {
        match driver {
            Driver::Live(live) if !live.world.queues.contains(&self.queue) => {
                Err(Refused::Unknown(format!(
                    "no worker serves the queue `{0}`; to have one, add to the configuration:\n\n    \
                     [queues.{0}]\n",
                    self.queue
                )))
            }
            _ => Ok(self),
        }
    }

    const fn policy(&self) -> RetryPolicy {
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
    fn find_task(
        &self,
        driver: &Driver,
        name: &str,
        args_len: usize,
    ) -> Result<std::sync::Arc<Route>, Refused> {
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

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(reason) => Self::Denied(reason),
            Refused::Limit(reason) => Self::Limit(reason),
            Refused::Unknown(reason) => Self::Unknown(reason),
        }
    }
}
