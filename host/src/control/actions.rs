//! What a person does to queues, handlers, tasks and packets: pauses, decisions, another dispatch.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::caller::Caller;
use super::{Control, Problem};
use crate::broker::{self, Acted, PacketSeq, TaskAction, TaskFilter, TaskId, TaskSelection, read};
use crate::effects::Decision;
use crate::operations::{self, HeldDispatched, Redispatched, Resumed};
use crate::packet::{from_unix_nanos, unix_nanos};
use crate::routes::Unmatched;
use crate::text::{is_meant, nearest};

/// What is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every queue.
    All,
    /// A queue.
    Queue(String),
    /// A handler, as `PLUGIN.HANDLER`.
    Handler(String),
}

/// Stops handlers, and lets packets come.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// What.
    pub scope: Scope,
    /// Until when; until somebody ends it where this is left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// Lets handlers run again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpauseRequest {
    /// What, exactly as it was paused.
    pub scope: Scope,
}

/// A pause as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// What is paused.
    pub scope: Scope,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Who set it.
    pub who: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Queue(queue) => write!(f, "queue {queue}"),
            Self::Handler(handler) => write!(f, "handler {handler}"),
        }
    }
}

impl Scope {
    /// What ends a pause of it.
    fn end(&self) -> String {
        let name = match self {
            Self::All => "--all",
            Self::Queue(name) | Self::Handler(name) => name,
        };
        format!("`gwasp unpause {name}`")
    }

    /// Whether tasks of this handler and queue are meant.
    pub fn covers(&self, plugin: &str, handler: &str, queue: &str) -> bool {
        match self {
            Self::All => true,
            Self::Queue(name) => name == queue,
            Self::Handler(name) => name.split_once('.') == Some((plugin, handler)),
        }
    }
}

impl fmt::Display for Pause {
    /// Says what is paused, since when, by whom, until when, and what ends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope, since, who, ..
        } = self;
        write!(f, "{scope} is paused since {since:.0} by {who}, ")?;
        match self.until {
            Some(until) => write!(f, "until {until:.0}, or until {}", scope.end()),
            None => write!(f, "until {}", scope.end()),
        }
    }
}

/// Which tasks are meant: those with these ids, or those that match.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tasks {
    /// By id.
    Ids(Vec<String>),
    /// The newest 1,000 of those that match.
    Matching(Matching),
}

/// Tasks that are alike.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Matching {
    /// Only those that are set aside.
    pub dead: bool,
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only of this plugin.
    pub plugin: Option<String>,
    /// Only of this handler, without its plugin.
    pub handler: Option<String>,
    /// Only those made since.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Only those whose last failure has this text in its message.
    pub error: Option<String>,
}

/// What is done to tasks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TasksRequest {
    /// Which.
    pub tasks: Tasks,
}

/// Has tasks go on where they failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Which.
    pub tasks: Tasks,
    /// What became of the effect in doubt of each, where one is.
    pub decision: Option<Settled>,
}

/// What became of an effect in doubt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    /// It happened; this is the body of the answer that the handler sees, in Base64.
    Done(String),
    /// It did not happen, and is made again.
    NotDone,
}

/// What came of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskAnswer {
    /// Its id.
    pub task: String,
    /// Whether what was asked for was done.
    pub is_done: bool,
    /// What it is now, or why nothing was done.
    pub text: String,
}

/// Dispatches a packet again.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedispatchRequest {
    /// To these handlers, `PLUGIN.HANDLER`, whatever they ask for; to those that it matches now
    /// where this is left out.
    pub handlers: Option<Vec<String>>,
}

/// Why packets were held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// No handler takes their role: they are tests.
    Role,
    /// No handler takes old packets.
    Age,
}

/// Makes the tasks that packets would have made which were held back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldRequest {
    /// Why they were.
    pub held: Held,
    /// Only of those received since.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// For these handlers, `PLUGIN.HANDLER`, whatever they ask for; for those that take them now
    /// where this is left out.
    pub handlers: Option<Vec<String>>,
}

/// What became of packets that were held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldAnswer {
    /// How many there are; at most the newest 10,000 are looked at.
    pub packets: usize,
    /// Whether there are more, older ones.
    pub is_cut: bool,
    /// How many no handler takes now either.
    pub unmatched: usize,
    /// How many cannot be read any more.
    pub unreadable: usize,
    /// The tasks that were made; those that were made before are not among them.
    pub tasks: Vec<MadeTask>,
}

/// The tasks that another dispatch made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RedispatchAnswer {
    /// The number of the dispatch, from 1; the packet's arrival is 0.
    pub dispatch: u32,
    /// What it made.
    pub tasks: Vec<MadeTask>,
}

/// A task that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeTask {
    /// Its id.
    pub task: String,
    /// Its handler, `PLUGIN.HANDLER`.
    pub handler: String,
}

/// What is paused now.
#[utoipa::path(get, path = "/v1/pauses", responses((status = 200, body = Vec<Pause>), (status = 500, body = Problem)))]
pub(super) async fn pauses(
    State(control): State<Arc<Control>>,
) -> Result<Json<Vec<Pause>>, Problem> {
    super::routes::blocking(move || control.pauses())
        .await
        .map(Json)
}

/// Pauses a queue, a handler or everything: packets are kept and tasks wait.
#[utoipa::path(post, path = "/v1/pause", request_body = PauseRequest, responses((status = 200, body = Pause), (status = 400, body = Problem)))]
pub(super) async fn pause(
    State(control): State<Arc<Control>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Body(wish): Body<PauseRequest>,
) -> Result<Json<Pause>, Problem> {
    control.check_scope(&wish.scope)?;
    let until = wish.until.map(unix_nanos);
    let scope = wish.scope.try_into()?;
    let who = caller.to_string();
    let paused = control.broker.pause(scope, until, &who).await?;
    Ok(Json(paused.into()))
}

/// Ends a pause; `all` ends every pause.
#[utoipa::path(post, path = "/v1/unpause", request_body = UnpauseRequest, responses((status = 200, body = Vec<Pause>, description = "What is still paused."), (status = 404, body = Problem)))]
pub(super) async fn unpause(
    State(control): State<Arc<Control>>,
    Body(wish): Body<UnpauseRequest>,
) -> Result<Json<Vec<Pause>>, Problem> {
    // Who ends the pause of everything means all pauses.
    if wish.scope == Scope::All {
        for pause in read(&control.broker, |broker| broker.pauses()).await? {
            control.broker.unpause(pause.scope).await?;
        }
        // One whose row is damaged pauses everything, and is in no list.
        control.broker.unpause(broker::Scope::All).await?;
        return pauses(State(control)).await;
    }
    let scope: broker::Scope = wish.scope.try_into()?;
    if !control.broker.unpause(scope.clone()).await? {
        let paused = read(&control.broker, |broker| broker.pauses()).await?;
        let paused: Vec<String> = paused.iter().map(|pause| pause.scope.to_string()).collect();
        let paused = if paused.is_empty() {
            "nothing is".to_owned()
        } else {
            format!("paused are: {}", paused.join(", "))
        };
        return Err(Problem::unknown(format!("{scope} is not paused; {paused}")));
    }
    pauses(State(control)).await
}

/// Has tasks that are set aside begin anew: what they did is done again.
#[utoipa::path(post, path = "/v1/tasks/restart", request_body = TasksRequest, responses((status = 200, body = Vec<TaskAnswer>), (status = 400, body = Problem)))]
pub(super) async fn restart(
    State(control): State<Arc<Control>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Body(wish): Body<TasksRequest>,
) -> Result<Json<Vec<TaskAnswer>>, Problem> {
    control.act(wish.tasks, TaskAction::Restart, caller).await
}

/// Ends tasks that are set aside.
#[utoipa::path(post, path = "/v1/tasks/drop", request_body = TasksRequest, responses((status = 200, body = Vec<TaskAnswer>), (status = 400, body = Problem)))]
pub(super) async fn drop_tasks(
    State(control): State<Arc<Control>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Body(wish): Body<TasksRequest>,
) -> Result<Json<Vec<TaskAnswer>>, Problem> {
    control.act(wish.tasks, TaskAction::Drop, caller).await
}

/// Ends tasks that wait, run or are set aside.
#[utoipa::path(post, path = "/v1/tasks/revoke", request_body = TasksRequest, responses((status = 200, body = Vec<TaskAnswer>), (status = 400, body = Problem)))]
pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Body(wish): Body<TasksRequest>,
) -> Result<Json<Vec<TaskAnswer>>, Problem> {
    control.act(wish.tasks, TaskAction::Revoke, caller).await
}

/// Puts tasks that are set aside back into their queues: each goes on where it failed.
#[utoipa::path(post, path = "/v1/tasks/resume", request_body = ResumeRequest, responses((status = 200, body = Vec<TaskAnswer>), (status = 400, body = Problem)))]
pub(super) async fn resume(
    State(control): State<Arc<Control>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Body(wish): Body<ResumeRequest>,
) -> Result<Json<Vec<TaskAnswer>>, Problem> {
    let decision = wish.decision.map(Decision::try_from).transpose()?;
    let tasks = wish.tasks.try_into()?;
    let resumed = operations::resume(
        &control.broker,
        tasks,
        decision.as_ref(),
        &caller.to_string(),
    )
    .await?;
    Ok(Json(
        resumed.into_iter().map(TaskAnswer::of_resumed).collect(),
    ))
}

/// Makes new tasks of an archived packet.
#[utoipa::path(post, path = "/v1/packets/{packet}/redispatch", params(("packet" = i64, Path, description = "Its number, as `gwasp packet list` has it.")), request_body = RedispatchRequest, responses((status = 200, body = RedispatchAnswer), (status = 404, body = Problem)))]
pub(super) async fn redispatch(
    State(control): State<Arc<Control>>,
    Named(packet): Named<i64>,
    Body(wish): Body<RedispatchRequest>,
) -> Result<Json<RedispatchAnswer>, Problem> {
    let routes = Arc::clone(&control.routes.borrow());
    let packet = PacketSeq(packet);
    let handlers = wish.handlers.as_deref();
    let made = operations::redispatch(&control.broker, &routes, packet, handlers).await?;
    Ok(Json(made.into()))
}

/// Makes the tasks that packets would have made which were held back; doing it twice makes them
/// once.
#[utoipa::path(post, path = "/v1/packets/redispatch", request_body = HeldRequest, responses((status = 200, body = HeldAnswer), (status = 404, body = Problem)))]
pub(super) async fn redispatch_held(
    State(control): State<Arc<Control>>,
    Body(wish): Body<HeldRequest>,
) -> Result<Json<HeldAnswer>, Problem> {
    let routes = Arc::clone(&control.routes.borrow());
    let reason = match wish.held {
        Held::Role => Unmatched::HeldBack,
        Held::Age => Unmatched::TooOld,
    };
    let held = (reason, unix_nanos(wish.since));
    let handlers = wish.handlers.as_deref();
    let done = operations::redispatch_held(&control.broker, &routes, held, handlers).await?;
    Ok(Json(done.into()))
}

impl Control {
    pub(super) fn pauses(&self) -> Result<Vec<Pause>, Problem> {
        let pauses = self.broker.pauses()?;
        Ok(pauses.into_iter().map(Pause::from).collect())
    }

    /// A misspelt name would pause nothing, and nobody would notice.
    fn check_scope(&self, scope: &Scope) -> Result<(), Problem> {
        let (kind, name, known): (_, _, Vec<String>) = match scope {
            Scope::All => return Ok(()),
            Scope::Queue(queue) => {
                let queues = self.pools.slots().into_iter();
                ("queue", queue, queues.map(|(queue, _)| queue).collect())
            }
            Scope::Handler(handler) => {
                let routes = Arc::clone(&self.routes.borrow());
                ("handler", handler, routes.names())
            }
        };
        if known.contains(name) {
            return Ok(());
        }
        let near = nearest(name, known.iter().map(String::as_str));
        let meant = is_meant(near.as_deref());
        Err(Problem::unknown(format!(
            "there is no {kind} `{name}`{meant}; there are: {}",
            known.join(", ")
        )))
    }

    async fn act(
        &self,
        tasks: Tasks,
        action: TaskAction,
        caller: Caller,
    ) -> Result<Json<Vec<TaskAnswer>>, Problem> {
        let who = caller.to_string();
        let acted = operations::act(&self.broker, tasks.try_into()?, action, &who).await?;
        let acted = acted.into_iter();
        Ok(Json(acted.map(TaskAnswer::of_acted).collect()))
    }
}

impl TryFrom<Scope> for broker::Scope {
    type Error = Problem;

    fn try_from(scope: Scope) -> Result<Self, Problem> {
        Ok(match scope {
            Scope::All => Self::All,
            Scope::Queue(queue) => Self::Queue(queue),
            Scope::Handler(name) => {
                let (plugin, handler) = name.split_once('.').ok_or_else(|| {
                    Problem::invalid(format!("`{name}` is no handler; write PLUGIN.HANDLER"))
                })?;
                Self::Handler {
                    plugin: plugin.to_owned(),
                    handler: handler.to_owned(),
                }
            }
        })
    }
}

impl From<broker::Pause> for Pause {
    fn from(pause: broker::Pause) -> Self {
        Self {
            scope: match pause.scope {
                broker::Scope::All => Scope::All,
                broker::Scope::Queue(queue) => Scope::Queue(queue),
                broker::Scope::Handler { plugin, handler } => {
                    Scope::Handler(format!("{plugin}.{handler}"))
                }
            },
            since: from_unix_nanos(pause.since),
            until: pause.until.map(from_unix_nanos),
            who: pause.who,
        }
    }
}

impl TryFrom<Tasks> for TaskSelection {
    type Error = Problem;

    fn try_from(tasks: Tasks) -> Result<Self, Problem> {
        Ok(match tasks {
            Tasks::Ids(ids) => {
                let id = |text: &String| {
                    text.parse::<TaskId>()
                        .map_err(|error| Problem::invalid(format!("`{text}`: {error}")))
                };
                Self::Ids(ids.iter().map(id).collect::<Result<_, _>>()?)
            }
            Tasks::Matching(matching) => Self::Matching(matching.into()),
        })
    }
}

impl From<Matching> for TaskFilter {
    fn from(matching: Matching) -> Self {
        Self {
            state: matching.dead.then_some(broker::State::Failure),
            queue: matching.queue,
            plugin: matching.plugin,
            handler: matching.handler,
            since: matching.since.map(unix_nanos),
            error: matching.error,
            ..Self::default()
        }
    }
}

impl From<Decision> for Settled {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Done(body) => Self::Done(BASE64.encode(body)),
            Decision::NotDone => Self::NotDone,
        }
    }
}

impl TryFrom<Settled> for Decision {
    type Error = Problem;

    fn try_from(settled: Settled) -> Result<Self, Problem> {
        Ok(match settled {
            Settled::NotDone => Self::NotDone,
            Settled::Done(body) => Self::Done(BASE64.decode(body).map_err(|error| {
                Problem::invalid(format!("the answer's body is no Base64: {error}"))
            })?),
        })
    }
}

impl TaskAnswer {
    fn of_acted((task, acted): (TaskId, Acted)) -> Self {
        let (is_done, text) = match acted {
            Acted::Done(state) => (true, format!("is {} now", state.as_str())),
            Acted::Asked => (
                true,
                "runs; its worker was asked to end it, and does unless it succeeds before"
                    .to_owned(),
            ),
            Acted::Runs => (false, "runs: revoke it, or wait for its end".to_owned()),
            Acted::Not(state) => (
                false,
                format!("is {}: not for a task in this state", state.as_str()),
            ),
            Acted::Unknown => (false, "there is none: it expired, or never was".to_owned()),
            Acted::Damaged => (
                false,
                "its row is damaged: see `gwasp store check`".to_owned(),
            ),
        };
        Self::new(task, is_done, text)
    }

    /// What came of resuming one.
    pub fn of_resumed((task, resumed): (TaskId, Resumed)) -> Self {
        let (is_done, text) = match resumed {
            Resumed::Waits { replayed } => (
                true,
                format!("waits in its queue; {replayed} of its effects are replayed"),
            ),
            Resumed::Not(state) => (
                false,
                format!("is {}: there is nothing to resume", state.as_str()),
            ),
            Resumed::Unknown => (false, "there is none: it expired, or never was".to_owned()),
            Resumed::Refused(reason) => (false, reason),
        };
        Self::new(task, is_done, text)
    }

    fn new(task: TaskId, is_done: bool, text: String) -> Self {
        Self {
            task: task.to_string(),
            is_done,
            text,
        }
    }
}

impl From<Redispatched> for RedispatchAnswer {
    fn from(made: Redispatched) -> Self {
        Self {
            dispatch: made.dispatch,
            tasks: made.tasks.into_iter().map(MadeTask::from).collect(),
        }
    }
}

impl From<HeldDispatched> for HeldAnswer {
    fn from(done: HeldDispatched) -> Self {
        Self {
            packets: done.packets,
            is_cut: done.is_cut,
            unmatched: done.unmatched,
            unreadable: done.unreadable,
            tasks: done.tasks.into_iter().map(MadeTask::from).collect(),
        }
    }
}

impl From<(TaskId, String)> for MadeTask {
    fn from((task, handler): (TaskId, String)) -> Self {
        Self {
            task: task.to_string(),
            handler,
        }
    }
}
