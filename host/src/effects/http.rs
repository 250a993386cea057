//! `gwasp:plugin/http`: requests to services that the configuration allows.
//!
//! GET and HEAD are answered effects; everything else is external: its intent, with an
//! idempotency key, is on disk before the request leaves.

use std::time::Duration;

use minicbor::bytes::ByteVec;
use wasmtime::component::Resource;

use super::bindings::gwasp::plugin::http::{Body, Error, Host, Method, Request, Response};
use super::driver::{Driver, DryRun};
use super::function::{HTTP_GET, HTTP_SEND};
use super::noted::{self, HttpAnswer};
use super::seam::{Context, External, Made, Settled, encode};
use super::{Run, denied, list_with};
use crate::explain::{ALLOW_IT, NO_SERVICE};
use crate::packet::Digest;
use crate::services::{
    HttpError, HttpMethod, HttpRequest, HttpResponse, HttpServices, Resolved, Service,
};
use crate::text::chain;

/// Longest idempotency key.
const MAX_KEY: usize = 128;

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
        let body = Digest::of(&request.body).to_string();
        let noted_request = noted::HttpRequest {
            method: request.method.as_str(),
            url: &request.url,
            headers: &request.headers,
            secret: request.secret.as_deref(),
            body: &body,
        };
        let driver = self.seam.driver();
        let call = Call {
            target: checked_key(key.as_deref()).and_then(|()| self.target(&driver, &request)),
            request: &request,
            idempotent,
        };
        let noted = if request.method.is_safe() {
            self.seam.note_asked(&HTTP_GET, || what(&request));
            let live = async { Ok(call.read().await) };
            self.seam.answered(&HTTP_GET, &noted_request, live).await?
        } else {
            self.seam.note_asked(&HTTP_SEND, || what(&request));
            self.seam
                .external(&HTTP_SEND, &noted_request, key, &call)
                .await?
        };
        Ok(answer(noted))
    }
}

/// A key goes into a header and perhaps into a path.
fn checked_key(key: Option<&str>) -> Result<(), Refusal> {
    let is_plain = |key: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(is_plain)
    };
    if key.is_none_or(is_plain) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "a key is made of 1 to {MAX_KEY} letters, digits, `-` and `_`"
    )))
}

/// A request, for a person.
fn what(request: &HttpRequest) -> String {
    let secret = request
        .secret
        .as_ref()
        .map(|name| format!(" with the secret `{name}`"))
        .unwrap_or_default();
    format!(
        "{} {} ({} bytes){secret}",
        request.method.as_str(),
        request.url,
        request.body.len()
    )
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

    /// Where the request goes, if the plugin may send it.
    fn target<'a>(&self, driver: &'a Driver, request: &HttpRequest) -> Result<Target<'a>, Refusal> {
        let services = match driver {
            Driver::Live(live) => &*live.http,
            Driver::Dry(dry) => match dry.services() {
                Some(services) => services,
                None => return Ok(Target::Dry(dry)),
            },
        };
        let invalid = |error: HttpError| Refusal::Invalid(chain(&error));
        services.check(request).map_err(invalid)?;
        let service = services.service_of(&request.url).map_err(invalid)?;
        let refused = refused(self.seam.context(), services, service, request);
        match (service, refused) {
            (Some(service), None) => Ok(match driver {
                Driver::Live(_) => Target::Live(services, service),
                Driver::Dry(dry) => Target::Dry(dry),
            }),
            (_, refused) => Err(Refusal::Denied(refused.unwrap_or_default())),
        }
    }
}

/// Why a plugin may not send a request; none where it may.
fn refused(
    context: &Context,
    services: &HttpServices,
    service: Option<&Service>,
    request: &HttpRequest,
) -> Option<String> {
    let (plugin, grant) = (&context.plugin, &context.grant);
    let Some(service) = service else {
        return Some(unknown_service(plugin, &grant.services, &request.url));
    };
    if !grant.services.contains(&service.name) {
        let line = list_with("services", &grant.services, &service.name);
        let what = format!("send requests to `{}`", service.name);
        return Some(denied(plugin, &what, &line));
    }
    let secret = request.secret.as_ref()?;
    if !grant.secrets.contains(secret) {
        let line = list_with("secrets", &grant.secrets, secret);
        let what = format!("use the secret `{secret}`");
        return Some(denied(plugin, &what, &line));
    }
    if services.secret_is_for(secret, service) {
        return None;
    }
    Some(format!(
        "the secret `{secret}` may not be sent to `{0}`; {ALLOW_IT}\n\n    \
         [secrets.{secret}]\n    file = \"…\"\n    services = [\"{0}\"]\n",
        service.name
    ))
}

fn unknown_service(plugin: &str, granted: &[String], url: &str) -> String {
    format!(
        "{NO_SERVICE} {url}; {ALLOW_IT}\n\n    \
         [services.NAME]\n    origin = \"{}\"\n\n    [grants.{plugin}]\n    {}\n",
        url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"),
        list_with("services", granted, "NAME")
    )
}

/// Where a request goes.
enum Target<'a> {
    Live(&'a HttpServices, &'a Service),
    Dry(&'a DryRun),
}

/// Why a request goes nowhere.
#[derive(Clone)]
enum Refusal {
    Denied(String),
    Invalid(String),
}

/// One request of one run.
struct Call<'a> {
    target: Result<Target<'a>, Refusal>,
    request: &'a HttpRequest,
    idempotent: bool,
}

impl Call<'_> {
    /// Makes a request that changes nothing.
    async fn read(&self) -> HttpAnswer {
        match self.send(None).await {
            Ok(response) => HttpAnswer::of(response),
            Err(error @ HttpError::NoAnswer { .. }) => HttpAnswer::Timeout(chain(&error)),
            Err(error) => HttpAnswer::of_error(&error),
        }
    }

    async fn send(&self, key: Option<&str>) -> Result<HttpResponse, HttpError> {
        match &self.target {
            Ok(Target::Live(services, service)) => services.send(service, self.request, key).await,
            Ok(Target::Dry(dry)) => Ok(self.neutral(dry)),
            Err(Refusal::Denied(reason)) => Err(HttpError::Denied(reason.clone())),
            Err(Refusal::Invalid(reason)) => Err(HttpError::Invalid(reason.clone())),
        }
    }

    fn neutral(&self, dry: &DryRun) -> HttpResponse {
        let answer = dry.http_answer(self.request.method.as_str(), &self.request.url);
        let (status, body) = answer.unwrap_or((200, Vec::new()));
        HttpResponse {
            status,
            headers: Vec::new(),
            body,
        }
    }

    /// Whether doing it twice is doing it once.
    fn may_be_repeated(&self) -> bool {
        let honours_key = match &self.target {
            Ok(Target::Live(_, service)) => service.honours_key(),
            Ok(Target::Dry(_)) | Err(_) => false,
        };
        self.idempotent || honours_key
    }

    /// What an answer says about the effect.
    fn judge(&self, status: u16, noted: HttpAnswer) -> Made<HttpAnswer> {
        match Verdict::of(status) {
            Verdict::Done => Made::Done(noted),
            Verdict::NotDone => Made::NotDone(noted),
            // Another attempt under the same key does no harm, and the handler sees the answer.
            Verdict::Unclear if self.may_be_repeated() => Made::NotDone(noted),
            Verdict::Unclear => Made::InDoubt(format!(
                "{} {} was answered with {status}: a gateway does not know whether it was done",
                self.request.method.as_str(),
                self.request.url
            )),
        }
    }
}

impl External for Call<'_> {
    type Answer = HttpAnswer;

    fn refused(&self) -> Option<HttpAnswer> {
        match self.target.as_ref().err()? {
            Refusal::Denied(reason) => Some(HttpAnswer::Denied(reason.clone())),
            Refusal::Invalid(reason) => Some(HttpAnswer::Invalid(reason.clone())),
        }
    }

    async fn make(&self, key: &str) -> Made<HttpAnswer> {
        match self.send(Some(key)).await {
            Ok(response) => self.judge(response.status, HttpAnswer::of(response)),
            Err(error @ HttpError::NoAnswer { .. }) => Made::InDoubt(chain(&error)),
            Err(error @ HttpError::TooLarge { status, .. }) => {
                self.judge(status, HttpAnswer::of_error(&error))
            }
            Err(error) => Made::NotDone(HttpAnswer::of_error(&error)),
        }
    }

    async fn settle(&self, key: &str, age: Duration) -> Settled<HttpAnswer> {
        let (services, service) = match &self.target {
            Ok(Target::Live(services, service)) => (services, service),
            Ok(Target::Dry(_)) => return Settled::Again,
            // What may not be sent any more cannot be asked about either.
            Err(_) => return Settled::Never("the plugin may not send it any more".to_owned()),
        };
        if self.may_be_repeated() {
            return Settled::Again;
        }
        match services.resolve(service, self.request, key, age).await {
            Resolved::Done(response) => Settled::Done(HttpAnswer::of(response)),
            Resolved::NotDone => Settled::Again,
            Resolved::Unanswered(reason) => Settled::Later(reason),
            Resolved::CannotBeAsked => Settled::Never(format!(
                "the service `{}` cannot be asked: it has no `resolve` in the configuration",
                service.name
            )),
        }
    }

    fn in_doubt(&self, reason: String) -> HttpAnswer {
        HttpAnswer::InDoubt(reason)
    }

    fn too_long(&self) -> HttpAnswer {
        HttpAnswer::Limit(
            "the service answered, and its answer has no room in the run's journal".to_owned(),
        )
    }

    fn longest(&self) -> Duration {
        match &self.target {
            Ok(Target::Live(_, service)) => service.timeout(),
            Ok(Target::Dry(_)) | Err(_) => Duration::ZERO,
        }
    }
}

/// What a status says about a request that was to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    NotDone,
    Unclear,
}

impl Verdict {
    /// An error says that it was not done (RFC 9110 §15.5, §15.6), except where a gateway got no
    /// answer from behind (§15.6.3, §15.6.5) and where the service met what it did not expect
    /// (§15.6.1), which may have been after it had done its part.
    const fn of(status: u16) -> Self {
        match status {
            500 | 502 | 504 => Self::Unclear,
            400.. => Self::NotDone,
            _ => Self::Done,
        }
    }
}

/// The neutral answer as a journal has it: HTTP 200 with this body.
pub(super) fn neutral_answer(body: &[u8]) -> Vec<u8> {
    encode(&HttpAnswer::Response {
        status: 200,
        headers: Vec::new(),
        body: ByteVec::from(body.to_vec()),
    })
}

impl HttpAnswer {
    fn of(response: HttpResponse) -> Self {
        Self::Response {
            status: response.status,
            headers: response.headers,
            body: ByteVec::from(response.body),
        }
    }

    fn of_error(error: &HttpError) -> Self {
        let reason = chain(error);
        match error {
            HttpError::Denied(_) => Self::Denied(reason),
            HttpError::Invalid(_) => Self::Invalid(reason),
            // A secret may come: it is being renewed.
            HttpError::Unreachable { .. } | HttpError::Secret { .. } => Self::Unreachable(reason),
            HttpError::NoAnswer { .. } => Self::InDoubt(reason),
            HttpError::TooLarge { .. } => Self::Limit(reason),
        }
    }
}

fn answer(noted: HttpAnswer) -> Result<Response, Error> {
    match noted {
        HttpAnswer::Response {
            status,
            headers,
            body,
        } => Ok(Response {
            status,
            headers,
            body: body.into(),
        }),
        HttpAnswer::Denied(reason) => Err(Error::Denied(reason)),
        HttpAnswer::Invalid(reason) => Err(Error::Invalid(reason)),
        HttpAnswer::Unreachable(reason) => Err(Error::Unreachable(reason)),
        HttpAnswer::Timeout(reason) => Err(Error::Timeout(reason)),
        HttpAnswer::Limit(reason) => Err(Error::Limit(reason)),
        HttpAnswer::InDoubt(reason) => Err(Error::InDoubt(reason)),
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

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[track_caller]
    fn check(statuses: impl IntoIterator<Item = u16>, expected: Verdict) {
        for status in statuses {
            assert_eq!(Verdict::of(status), expected, "{status}");
        }
    }

    #[test]
    fn a_status_says_whether_a_request_was_done() {
        check([200, 201, 204, 303], Verdict::Done);
        check([400, 404, 409, 422, 429, 503], Verdict::NotDone);
        check([500, 502, 504], Verdict::Unclear);
    }
}
