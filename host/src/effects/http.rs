//! `gwasp:plugin/http`: requests to services that the configuration allows.
//!
//! GET and HEAD are answered effects; everything else is external: its intent, with an
//! idempotency key, is on disk before the request leaves.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use wasmtime::component::Resource;

use super::bindings::gwasp::plugin::http::{Body, Error, Host, Method, Request, Response};
use super::driver::{Driver, LiveRun};
use super::function::{HTTP_GET, HTTP_SEND};
use super::seam::{External, Made};
use super::{Run, denied};
use crate::packet::Digest;
use crate::services::{HttpError, HttpMethod, HttpRequest, HttpResponse, Service, Settled};
use crate::text::chain;

/// An answer as a journal has it.
#[derive(Serialize, Deserialize)]
enum Noted {
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: ByteBuf,
    },
    Denied(String),
    Invalid(String),
    Unreachable(String),
    Timeout(String),
    Limit(String),
    InDoubt(String),
}

/// A request as a journal has it: what it asks for, with its body as a digest.
#[derive(Serialize)]
struct NotedRequest<'a> {
    method: &'static str,
    url: &'a str,
    headers: &'a [(String, String)],
    secret: Option<&'a str>,
    body: String,
}

impl Host for Run {
    async fn send(
        &mut self,
        request: Request,
        body: Option<Body>,
    ) -> wasmtime::Result<Result<Response, Error>> {
        let idempotent = request.idempotent;
        let key = request.key.clone();
        let request = HttpRequest {
            method: method(request.method),
            url: request.url,
            headers: request.headers,
            secret: request.secret,
            body: self.body(body)?,
        };
        let noted_request = NotedRequest {
            method: name(request.method),
            url: &request.url,
            headers: &request.headers,
            secret: request.secret.as_deref(),
            body: Digest::of(&request.body).to_string(),
        };
        let driver = self.seam.driver();
        let refused = self.check_http(&driver, &request);
        let call = Call {
            driver: &driver,
            request: &request,
            refused,
            idempotent,
        };
        if !request.method.is_safe() && matches!(driver, Driver::Dry(_)) {
            let what = format!(
                "{} {} ({} bytes)",
                name(request.method),
                request.url,
                request.body.len()
            );
            self.seam.note_asked(&HTTP_SEND, what);
        }
        let noted = if request.method.is_safe() {
            let live = async { Ok(call.read().await) };
            self.seam.answered(&HTTP_GET, &noted_request, live).await?
        } else {
            self.seam
                .external(&HTTP_SEND, &noted_request, key, &call)
                .await?
        };
        Ok(answer(noted))
    }
}

impl Run {
    fn body(&mut self, body: Option<Body>) -> wasmtime::Result<bytes::Bytes> {
        Ok(match body {
            None => bytes::Bytes::new(),
            Some(Body::Bytes(bytes)) => bytes.into(),
            Some(Body::Blob(blob)) => {
                let blob: Resource<super::blobs::Handle> = blob;
                self.table().get(&blob)?.bytes.clone()
            }
        })
    }

    /// Whether the plugin may send the request.
    fn check_http(&self, driver: &Driver, request: &HttpRequest) -> Result<(), Noted> {
        let Driver::Live(live) = driver else {
            return Ok(());
        };
        let context = self.seam.context();
        let services = &live.world.http;
        let service = services
            .service_of(&request.url)
            .map_err(|error| Noted::Invalid(error.to_string()))?;
        let Some(service) = service else {
            return Err(Noted::Denied(unknown_service(
                &context.plugin,
                &request.url,
            )));
        };
        if !context.grant.services.contains(&service.name) {
            let line = format!("services = [\"{}\"]", service.name);
            let what = format!("send requests to `{}`", service.name);
            return Err(Noted::Denied(denied(&context.plugin, &what, &line)));
        }
        let Some(secret) = &request.secret else {
            return Ok(());
        };
        if !context.grant.secrets.contains(secret) {
            let line = format!("secrets = [\"{secret}\"]");
            let what = format!("use the secret `{secret}`");
            return Err(Noted::Denied(denied(&context.plugin, &what, &line)));
        }
        if !services.secret_is_for(secret, service) {
            return Err(Noted::Denied(format!(
                "the secret `{secret}` may not be sent to `{0}`; to allow it, set in the configuration:\n\n    \
                 [secrets.{secret}]\n    file = \"…\"\n    services = [\"{0}\"]\n",
                service.name
            )));
        }
        Ok(())
    }
}

fn unknown_service(plugin: &str, url: &str) -> String {
    format!(
        "no service covers {url}; to allow it, add to the configuration:\n\n    \
         [services.NAME]\n    origin = \"{}\"\n\n    [grants.{plugin}]\n    services = [\"NAME\"]\n",
        url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
    )
}

/// One request of one run.
struct Call<'a> {
    driver: &'a Driver,
    request: &'a HttpRequest,
    refused: Result<(), Noted>,
    idempotent: bool,
}

impl Call<'_> {
    /// Makes a request that changes nothing.
    async fn read(&self) -> Noted {
        let sent = match self.prepare() {
            Ok(Prepared::Live(live, service)) => {
                live.world.http.send(service, self.request, None).await
            }
            Ok(Prepared::Dry(response)) => Ok(response),
            Err(refused) => return refused,
        };
        match sent {
            Ok(response) => Noted::of(response),
            Err(HttpError::NoAnswer { .. }) => Noted::Timeout(text(sent)),
            Err(error) => Noted::of_error(&error),
        }
    }

    fn prepare(&self) -> Result<Prepared<'_>, Noted> {
        if let Err(refused) = &self.refused {
            return Err(refused.copy());
        }
        match self.driver {
            Driver::Live(live) => match live.world.http.service_of(&self.request.url) {
                Ok(Some(service)) => Ok(Prepared::Live(live, service)),
                _ => Err(Noted::Invalid(self.request.url.clone())),
            },
            Driver::Dry(dry) => {
                let answer = dry.http_answer(&self.request.url);
                Ok(Prepared::Dry(HttpResponse {
                    status: answer.as_ref().map_or(200, |answer| answer.status),
                    headers: Vec::new(),
                    body: answer
                        .map(|answer| answer.body.into_bytes())
                        .unwrap_or_default(),
                }))
            }
        }
    }
}

enum Prepared<'a> {
    Live(&'a LiveRun, &'a Service),
    Dry(HttpResponse),
}

impl External for Call<'_> {
    type Answer = Noted;

    async fn make(&self, key: &str) -> Made<Noted> {
        let sent = match self.prepare() {
            Ok(Prepared::Live(live, service)) => {
                live.world.http.send(service, self.request, Some(key)).await
            }
            Ok(Prepared::Dry(response)) => Ok(response),
            Err(refused) => return Made::NotDone(refused),
        };
        match sent {
            Ok(response) if is_worth_another_attempt(response.status) => {
                Made::NotDone(Noted::of(response))
            }
            Ok(response) => Made::Done(Noted::of(response)),
            Err(error @ (HttpError::NoAnswer { .. } | HttpError::TooLarge { .. })) => {
                Made::InDoubt(chain(&error))
            }
            Err(error) => Made::NotDone(Noted::of_error(&error)),
        }
    }

    async fn settle(&self, key: &str, reason: String) -> Made<Noted> {
        let (live, service) = match self.prepare() {
            Ok(Prepared::Live(live, service)) => (live, service),
            Ok(Prepared::Dry(_)) => return self.make(key).await,
            // What may not be sent any more cannot be asked about either.
            Err(_) => return Made::InDoubt(reason),
        };
        if self.idempotent || service.honours_key() {
            return self.make(key).await;
        }
        let secret = self.request.secret.as_deref();
        match live.world.http.settle(service, key, secret).await {
            Settled::Done(response) => Made::Done(Noted::of(response)),
            Settled::NotDone => self.make(key).await,
            Settled::Unknown(unknown) => Made::InDoubt(format!("{reason}; {unknown}")),
        }
    }

    fn in_doubt(&self, reason: String) -> Noted {
        Noted::InDoubt(reason)
    }

    fn longest(&self) -> Duration {
        match self.prepare() {
            Ok(Prepared::Live(_, service)) => service.timeout(),
            _ => Duration::ZERO,
        }
    }
}

impl Noted {
    fn of(response: HttpResponse) -> Self {
        Self::Response {
            status: response.status,
            headers: response.headers,
            body: ByteBuf::from(response.body),
        }
    }

    fn of_error(error: &HttpError) -> Self {
        let reason = chain(error);
        match error {
            HttpError::Invalid(_) | HttpError::Secret(_) => Self::Invalid(reason),
            HttpError::Unreachable { .. } => Self::Unreachable(reason),
            HttpError::NoAnswer { .. } => Self::InDoubt(reason),
            HttpError::TooLarge { .. } => Self::Limit(reason),
        }
    }

    /// A refusal again; there is no other kind to be copied.
    fn copy(&self) -> Self {
        match self {
            Self::Denied(reason) => Self::Denied(reason.clone()),
            Self::Invalid(reason) => Self::Invalid(reason.clone()),
            _ => Self::Invalid("the request was refused".to_owned()),
        }
    }
}

/// Statuses that say: not now (RFC 9110 §15.5.9 and §15.5.10, RFC 8470, RFC 6585, and 5xx).
const fn is_worth_another_attempt(status: u16) -> bool {
    matches!(status, 408 | 425 | 429) || status >= 500
}

fn text(sent: Result<HttpResponse, HttpError>) -> String {
    sent.err().map(|error| chain(&error)).unwrap_or_default()
}

fn answer(noted: Noted) -> Result<Response, Error> {
    match noted {
        Noted::Response {
            status,
            headers,
            body,
        } => Ok(Response {
            status,
            headers,
            body: body.into_vec(),
        }),
        Noted::Denied(reason) => Err(Error::Denied(reason)),
        Noted::Invalid(reason) => Err(Error::Invalid(reason)),
        Noted::Unreachable(reason) => Err(Error::Unreachable(reason)),
        Noted::Timeout(reason) => Err(Error::Timeout(reason)),
        Noted::Limit(reason) => Err(Error::Limit(reason)),
        Noted::InDoubt(reason) => Err(Error::InDoubt(reason)),
    }
}

const fn method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Head => HttpMethod::Head,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

const fn name(method: HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Head => "HEAD",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Delete => "DELETE",
    }
}
