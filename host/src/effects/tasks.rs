//! `gwasp:plugin/tasks`: other tasks.

use bytes::Bytes;
use serde_bytes::ByteBuf;

use super::bindings::gwasp::plugin::tasks::{Error, Host, Options};
use super::driver::Driver;
use super::function::TASKS_SPAWN;
use super::seam::SeamError;
use super::{Run, denied};
use crate::broker::{NewTask, Origin};
use crate::routes::Route;
use crate::task::{child_task_id, policy_of};

/// Tasks that one run may make.
const MAX_SPAWNS: usize = 2_000;
const MAX_ARGS: usize = 1 << 20;

impl Host for Run {
    async fn spawn(
        &mut self,
        name: String,
        args: Vec<u8>,
        options: Options,
    ) -> wasmtime::Result<Result<String, Error>> {
        self.seam.take_bytes(args.len())?;
        let driver = self.seam.driver();
        let route = match self.find_task(&driver, &name, args.len()) {
            Ok(route) => route,
            Err(refused) => return Ok(Err(refused)),
        };
        let id = child_task_id(driver.task(), self.seam.place());
        let request = (
            &name,
            ByteBuf::from(args.clone()),
            &options.queue,
            options.delay,
            options.priority,
        );
        self.seam
            .note_committed(&TASKS_SPAWN, &request, || format!("{name} as {id}"))?;
        if let Some(route) = route {
            if self.seam.committed().spawns.len() >= MAX_SPAWNS {
                let limit = u32::try_from(MAX_SPAWNS)?;
                return Err(SeamError::Limit {
                    what: "new tasks",
                    limit,
                }
                .into());
            }
            let now = driver.nanos();
            let delay = i64::try_from(options.delay.unwrap_or(0)).unwrap_or(i64::MAX);
            let entry = &route.entry;
            let task = NewTask {
                id,
                plugin: route.plugin.clone(),
                handler: entry.name.clone(),
                queue: options.queue.unwrap_or_else(|| entry.options.queue.clone()),
                origin: Origin::Spawn,
                parent: Some(driver.task()),
                priority: options.priority.unwrap_or(entry.options.priority).min(9),
                due: now.saturating_add(delay.saturating_mul(1_000_000)),
                order_key: None,
                policy: policy_of(&entry.options, now),
                args: Some(Bytes::from(args)),
            };
            self.seam.committed().spawns.push(task);
        }
        Ok(Ok(id.to_string()))
    }
}

impl Run {
    /// The task named `PLUGIN.NAME`, or `NAME` of the plugin itself; none in a dry run.
    fn find_task(
        &self,
        driver: &Driver,
        name: &str,
        args_len: usize,
    ) -> Result<Option<std::sync::Arc<Route>>, Error> {
        let context = self.seam.context();
        let (plugin, task) = name.split_once('.').unwrap_or((&context.plugin, name));
        if plugin != context.plugin && !context.grant.allows_task(plugin, task) {
            let line = format!("tasks = [\"{plugin}.{task}\"]");
            return Err(Error::Denied(denied(
                &context.plugin,
                &format!("make the task `{name}`"),
                &line,
            )));
        }
        if args_len > MAX_ARGS {
            return Err(Error::Limit(format!(
                "an argument has at most {MAX_ARGS} bytes; this has {args_len}: pass a blob"
            )));
        }
        let Driver::Live(live) = driver else {
            return Ok(None);
        };
        let routes = live.world.routes.borrow();
        routes.task(plugin, task).map(Some).map_err(Error::Unknown)
    }
}
