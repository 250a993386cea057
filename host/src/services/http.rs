//! HTTP requests on behalf of plugins.
//!
//! A request goes to a service that the configuration names; its answer is bounded in time and
//! size. Redirects are not followed: a redirect could lead to a host that nobody allowed.
//!
//! Connections live on a runtime of the host's, never on a worker's thread: a connection may be
//! used by one task after another, and must not wait while the first computes.

mod exchange;
mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

pub use request::{HttpMethod, HttpRequest};

use super::secret::{self, SecretError};
use crate::config::{Lookup, SecretConfig, ServiceConfig};

/// Largest response body.
const MAX_BODY: usize = 8 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Servers close idle connections after a few seconds; a request that meets that would be in
/// doubt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Headers, without cookies.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody allowed the request.
    #[error("{0}")]
    Denied(String),
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Invalid(String),
    /// The secret cannot be put in: the request was not sent.
    #[error("the secret `{name}` cannot be put in")]
    Secret {
        /// Its name.
        name: String,
        /// Why.
        source: SecretError,
    },
    /// The service was not reached: it has not seen the request.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// Where to.
        url: String,
        /// Why.
        reason: String,
    },
    /// The service may have seen the request; there is no answer.
    #[error("{url} gave no complete answer: {reason}")]
    NoAnswer {
        /// Where to.
        url: String,
        /// Why.
        reason: String,
    },
    /// The answer is too large.
    #[error("{url} answered {status} with more than {MAX_BODY} bytes")]
    TooLarge {
        /// Where to.
        url: String,
        /// Status.
        status: u16,
    },
}

/// What a service says of a request that may or may not have been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It was done; this stands for its answer.
    Done(HttpResponse),
    /// It was not done.
    NotDone,
    /// The service gave no answer, or another one.
    Unanswered(String),
    /// The configuration does not say how to ask.
    CannotBeAsked,
}

/// A service by its configuration.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    config: ServiceConfig,
}

impl Service {
    /// Whether the service does a request once per key, however often it is sent.
    pub fn honours_key(&self) -> bool {
        self.config.honours_key
    }

    /// How long one request may take.
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }
}

/// The services that the configuration names.
#[derive(Debug)]
pub struct HttpServices {
    client: Client,
    runtime: Handle,
    services: Vec<Service>,
    secrets: BTreeMap<String, SecretConfig>,
}

impl HttpServices {
    /// Makes the services of a configuration; their connections live on `runtime`.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] when there is no TLS.
    pub fn new(
        services: &BTreeMap<String, ServiceConfig>,
        secrets: &BTreeMap<String, SecretConfig>,
        runtime: Handle,
    ) -> Result<Self, HttpError> {
        // A connection that takes longer than its request may would leave that in doubt.
        let shortest = services.values().map(|service| service.timeout / 2).min();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT.min(shortest.unwrap_or(CONNECT_TIMEOUT)))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tls_backend_preconfigured(tls_config()?)
            .user_agent(concat!("gwasp/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpError::Invalid(crate::text::chain(&error)))?;
        let services = services
            .iter()
            .map(|(name, config)| Service {
                name: name.clone(),
                config: config.clone(),
            })
            .collect();
        Ok(Self {
            client,
            runtime,
            services,
            secrets: secrets.clone(),
        })
    }

    /// Checks all of a request that does not depend on the service.
    ///
    /// # Errors
    /// [`HttpError::Invalid`].
    pub fn check(&self, request: &HttpRequest) -> Result<(), HttpError> {
        request::url(&request.url)?;
        request::guest_headers(&request.headers)?;
        Ok(())
    }

    /// The service that `url` belongs to; of several the one with the longest path.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] for a URL that does not parse.
    pub fn service_of(&self, url: &str) -> Result<Option<&Service>, HttpError> {
        let url = request::url(url)?;
        let covering = self
            .services
            .iter()
            .filter(|service| service.config.origin.covers(&url));
        Ok(covering.max_by_key(|service| service.config.origin.url().path().len()))
    }

    /// Whether the secret `name` may be sent to `service`.
    pub fn secret_is_for(&self, name: &str, service: &Service) -> bool {
        self.secrets
            .get(name)
            .is_some_and(|secret| secret.services.contains(&service.name))
    }

    /// Sends a request to `service`, with `key` as its `Idempotency-Key`.
    ///
    /// # Errors
    /// [`HttpError`]; only [`HttpError::NoAnswer`] leaves open whether the service did it.
    pub async fn send(
        &self,
        service: &Service,
        request: &HttpRequest,
        key: Option<&str>,
    ) -> Result<HttpResponse, HttpError> {
        let mut headers = request::guest_headers(&request.headers)?;
        if let Some(key) = key {
            request::set_header(&mut headers, "idempotency-key", key)?;
        }
        if let Some((name, config)) = self.secret(request)? {
            let at = |source| HttpError::Secret {
                name: name.to_owned(),
                source,
            };
            let (header, value) = secret::header(config).map_err(at)?;
            request::set_header(&mut headers, &header, &value)?;
        }
        let built = self
            .client
            .request(request.method.method(), request::url(&request.url)?)
            .headers(headers)
            .body(request.body.clone())
            .timeout(service.timeout());
        let url = request.url.clone();
        let exchange = self.runtime.spawn(exchange::run(built, url));
        let answer = AbortOnDropHandle::new(exchange).await;
        answer.unwrap_or_else(|ended| {
            Err(HttpError::NoAnswer {
                url: request.url.clone(),
                reason: ended.to_string(),
            })
        })
    }

    fn secret<'a>(
        &'a self,
        request: &'a HttpRequest,
    ) -> Result<Option<(&'a str, &'a SecretConfig)>, HttpError> {
        let Some(name) = &request.secret else {
            return Ok(None);
        };
        match self.secrets.get(name) {
            Some(config) => Ok(Some((name, config))),
            None => Err(HttpError::Invalid(format!("there is no secret `{name}`"))),
        }
    }

    /// Asks `service` whether `sent`, which left `age` ago under `key`, was done.
    pub async fn resolve(
        &self,
        service: &Service,
        sent: &HttpRequest,
        key: &str,
        age: Duration,
    ) -> Resolved {
        let Some(resolve) = &service.config.resolve else {
            return Resolved::CannotBeAsked;
        };
        let asked = self.ask(service, sent, key).await;
        let wait = resolve.after.saturating_sub(age);
        if asked != Resolved::NotDone || wait.is_zero() {
            return asked;
        }
        // The service may still be at it.
        tokio::time::sleep(wait).await;
        self.ask(service, sent, key).await
    }

    async fn ask(&self, service: &Service, sent: &HttpRequest, key: &str) -> Resolved {
        let config = &service.config;
        let Some(resolve) = &config.resolve else {
            return Resolved::CannotBeAsked;
        };
        let url = match &resolve.get {
            Lookup::Path(path) => config.origin.at(&path.with_key(key)),
            Lookup::List => sent.url.clone(),
        };
        let request = HttpRequest {
            method: HttpMethod::Get,
            url,
            headers: Vec::new(),
            secret: sent.secret.clone(),
            body: bytes::Bytes::new(),
        };
        let must_hold_key = resolve.get == Lookup::List;
        match self.send(service, &request, None).await {
            Ok(response) if response.status == resolve.present => {
                if must_hold_key && !holds(&response.body, key) {
                    return Resolved::NotDone;
                }
                Resolved::Done(response)
            }
            Ok(response) if response.status == resolve.absent => Resolved::NotDone,
            Ok(response) => Resolved::Unanswered(format!(
                "{} answered {}, which is neither `present` nor `absent`",
                request.url, response.status
            )),
            Err(error) => Resolved::Unanswered(crate::text::chain(&error)),
        }
    }
}

fn holds(body: &[u8], key: &str) -> bool {
    body.windows(key.len().max(1))
        .any(|part| part == key.as_bytes())
}

/// TLS with the machine's certificates.
fn tls_config() -> Result<rustls::ClientConfig, HttpError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| HttpError::Invalid(format!("TLS cannot be used: {error}")))
}

#[cfg(test)]
mod tests;
