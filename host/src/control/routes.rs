//! The table of requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::openapi::OpenApi as Description;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Named};
use super::caller::Caller;
use super::{Control, Problem, RunningTask, Status, actions};
use crate::packet::Digest;
use crate::rollout::{PluginView, PluginsError, Reloaded};
use crate::settings::ReloadAnswer;

/// How long a status waits for what is said of plugins.
const PLUGINS_SOON: Duration = Duration::from_secs(2);
/// The longest body of a request, bytes.
const MAX_BODY: usize = 1 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "GWASP control",
    description = "Control of a running GWASP host, on the Unix socket `control.sock` in its \
                   store's directory."
))]
struct Api;

/// What each request asks and answers, as `OpenAPI` has it.
pub fn description() -> Description {
    table().split_for_parts().1
}

fn table() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(status))
        .routes(routes!(running))
        .routes(routes!(plugins))
        .routes(routes!(reload))
        .routes(routes!(reload_plugins))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(roll_back))
        .routes(routes!(actions::pauses))
        .routes(routes!(actions::pause))
        .routes(routes!(actions::unpause))
        .routes(routes!(actions::restart))
        .routes(routes!(actions::drop_tasks))
        .routes(routes!(actions::revoke))
        .routes(routes!(actions::resume))
        .routes(routes!(actions::redispatch))
        .routes(routes!(actions::redispatch_held))
}

pub(super) fn router(control: Arc<Control>) -> axum::Router {
    let (router, _) = table().split_for_parts();
    router
        .route(
            "/v1/openapi.json",
            axum::routing::get(async || Json(description())),
        )
        .fallback(async || Problem::malformed(StatusCode::NOT_FOUND, "there is no such request"))
        .method_not_allowed_fallback(async || {
            let text = "it is asked for with another method";
            Problem::malformed(StatusCode::METHOD_NOT_ALLOWED, text)
        })
        .layer(from_fn(check))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(control)
}

/// Lets those in who may ask, and logs what they do.
async fn check(
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !caller.may_ask() {
        return Err(Problem::forbidden(
            "only the user that the host runs as may control it",
        ));
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    if method != Method::GET {
        info!(target: "gwasp::control", %path, uid = caller.uid, pid = caller.pid, status = response.status().as_u16(), "asked for");
    }
    Ok(response)
}

/// How the host is.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status), (status = 500, body = Problem)))]
async fn status(State(control): State<Arc<Control>>) -> Result<Json<Status>, Problem> {
    // While the host stops nobody answers for its plugins; how it is counts the more.
    let plugins = match tokio::time::timeout(PLUGINS_SOON, control.plugins.list()).await {
        Ok(Ok(plugins)) => plugins,
        Ok(Err(PluginsError::Stopping)) | Err(_) => Vec::new(),
        Ok(Err(error)) => return Err(error.into()),
    };
    blocking(move || control.status(&plugins)).await.map(Json)
}

/// The tasks that a handler runs for, the longest first.
#[utoipa::path(get, path = "/v1/tasks/running", responses((status = 200, body = Vec<RunningTask>)))]
async fn running(State(control): State<Arc<Control>>) -> Json<Vec<RunningTask>> {
    Json(control.running())
}

/// The plugins with their versions, and how many tasks and runs are on each.
#[utoipa::path(get, path = "/v1/plugins", responses((status = 200, body = Vec<PluginView>), (status = 500, body = Problem)))]
async fn plugins(State(control): State<Arc<Control>>) -> Result<Json<Vec<PluginView>>, Problem> {
    Ok(Json(control.plugins.list().await?))
}

/// Looks at the plugin directory now, and answers when each file is loaded or refused.
#[utoipa::path(post, path = "/v1/plugins/reload", responses((status = 200, body = Vec<Reloaded>), (status = 500, body = Problem)))]
async fn reload_plugins(
    State(control): State<Arc<Control>>,
) -> Result<Json<Vec<Reloaded>>, Problem> {
    Ok(Json(control.plugins.reload().await?))
}

/// Reads the configuration again and applies it, all or nothing, then looks at the plugin
/// directory; answers when both are done.
#[utoipa::path(post, path = "/v1/reload", responses((status = 200, body = ReloadAnswer), (status = 422, body = Problem, description = "It cannot be used; nothing changed.")))]
async fn reload(
    State(control): State<Arc<Control>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
) -> Result<Json<ReloadAnswer>, Problem> {
    Ok(Json(control.settings.reload(&caller.to_string()).await?))
}

/// Takes a plugin that was disabled as the plugin directory has it.
#[utoipa::path(post, path = "/v1/plugins/{plugin}/enable", params(("plugin" = String, Path)), responses((status = 200, body = Vec<Reloaded>), (status = 404, body = Problem)))]
async fn enable(
    State(control): State<Arc<Control>>,
    Named(plugin): Named<String>,
) -> Result<Json<Vec<Reloaded>>, Problem> {
    Ok(Json(control.plugins.enable(&plugin).await?))
}

/// Ends the routes of a plugin until it is enabled; tasks that are open wait.
#[utoipa::path(post, path = "/v1/plugins/{plugin}/disable", params(("plugin" = String, Path)), responses((status = 200, body = Vec<Reloaded>), (status = 404, body = Problem)))]
async fn disable(
    State(control): State<Arc<Control>>,
    Named(plugin): Named<String>,
) -> Result<Json<Vec<Reloaded>>, Problem> {
    Ok(Json(control.plugins.disable(&plugin).await?))
}

/// Which version to go back to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// The version; the one before the current one where it is left out.
    #[schema(value_type = Option<String>)]
    pub to: Option<Digest>,
}

/// Goes back to a former version of a plugin, until its file is another than now.
#[utoipa::path(post, path = "/v1/plugins/{plugin}/rollback", params(("plugin" = String, Path)), request_body = RollBack, responses((status = 200, body = Vec<Reloaded>), (status = 404, body = Problem)))]
async fn roll_back(
    State(control): State<Arc<Control>>,
    Named(plugin): Named<String>,
    Body(wish): Body<RollBack>,
) -> Result<Json<Vec<Reloaded>>, Problem> {
    Ok(Json(control.plugins.roll_back(&plugin, wish.to).await?))
}

/// Reads what may wait for a disk.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(read).await {
        Ok(answer) => answer,
        Err(error) => Err(Problem::failed(&error)),
    }
}
