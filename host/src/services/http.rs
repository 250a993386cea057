//! HTTP requests on behalf of plugins.
//!
//! A request goes to a service that the configuration names; its answer is bounded in time and
//! size. Redirects are not followed: a redirect could lead to a host that nobody allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};

use super::secret::{self, SecretError};
use crate::config::{SecretConfig, ServiceConfig};

/// Largest response body.
const MAX_BODY: usize = 8 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Methods that plugins may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are HTTP's (RFC 9110 §9, RFC 5789)")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// Whether a request with this method changes nothing (RFC 9110 §9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Method.
    pub method: HttpMethod,
    /// Where to.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Name of a secret to put in.
    pub secret: Option<String>,
    /// Body.
    pub body: bytes::Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Invalid(String),
    /// The secret cannot be put in.
    #[error("the secret cannot be put in")]
    Secret(#[from] SecretError),
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
    #[error("the answer of {url} is larger than {MAX_BODY} bytes")]
    TooLarge {
        /// Where to.
        url: String,
    },
}

/// What a service says of a request that may or may not have been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was done; this stands for its answer.
    Done(HttpResponse),
    /// It was not done.
    NotDone,
    /// The service cannot be asked, or gave another answer.
    Unknown(String),
}

/// A service by its configuration.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    origin: Url,
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

    fn covers(&self, url: &Url) -> bool {
        url.origin() == self.origin.origin() && url.path().starts_with(self.origin.path())
    }
}

/// The services that the configuration names.
#[derive(Debug)]
pub struct HttpServices {
    client: Client,
    services: Vec<Service>,
    secrets: BTreeMap<String, SecretConfig>,
}

impl HttpServices {
    /// Makes the services of a configuration.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] for an origin that is no URL, or when there is no TLS.
    pub fn new(
        services: &BTreeMap<String, ServiceConfig>,
        secrets: &BTreeMap<String, SecretConfig>,
    ) -> Result<Self, HttpError> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_backend_preconfigured(tls_config())
            .user_agent(concat!("gwasp/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpError::Invalid(error.to_string()))?;
        let services = services
            .iter()
            .map(|(name, config)| {
                let origin = Url::parse(&config.origin).map_err(|error| {
                    HttpError::Invalid(format!(
                        "[services.{name}] origin = \"{}\": {error}",
                        config.origin
                    ))
                })?;
                Ok(Service {
                    name: name.clone(),
                    origin,
                    config: config.clone(),
                })
            })
            .collect::<Result<_, HttpError>>()?;
        Ok(Self {
            client,
            services,
            secrets: secrets.clone(),
        })
    }

    /// The service that `url` belongs to.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] for a URL that does not parse.
    pub fn service_of(&self, url: &str) -> Result<Option<&Service>, HttpError> {
        let url = parse_url(url)?;
        Ok(self.services.iter().find(|service| service.covers(&url)))
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
    /// [`HttpError`]; only [`HttpError::NoAnswer`] and [`HttpError::TooLarge`] leave open
    /// whether the service did it.
    pub async fn send(
        &self,
        service: &Service,
        request: &HttpRequest,
        key: Option<&str>,
    ) -> Result<HttpResponse, HttpError> {
        let url = parse_url(&request.url)?;
        let mut headers = headers(&request.headers)?;
        if let Some(key) = key {
            let value = HeaderValue::from_str(key)
                .map_err(|error| HttpError::Invalid(error.to_string()))?;
            headers.insert("idempotency-key", value);
        }
        if let Some(secret) = request
            .secret
            .as_ref()
            .and_then(|name| self.secrets.get(name))
        {
            let (name, value) = secret::header(secret)?;
            headers.extend(self::headers(&[(name, value)])?);
        }
        let sent = self
            .client
            .request(request.method.method(), url)
            .headers(headers)
            .body(request.body.clone())
            .timeout(service.timeout())
            .send()
            .await;
        let response = sent.map_err(|error| send_error(&request.url, &error))?;
        read_response(&request.url, response).await
    }

    /// Asks `service` whether the request with `key` was done.
    pub async fn settle(&self, service: &Service, key: &str, secret: Option<&str>) -> Settled {
        let Some(resolve) = &service.config.resolve else {
            return Settled::Unknown(format!("service `{}` has no `resolve`", service.name));
        };
        let path = resolve.get.replace("{key}", key);
        let Ok(url) = service.origin.join(&path) else {
            return Settled::Unknown(format!("`{path}` is no path"));
        };
        let request = HttpRequest {
            method: HttpMethod::Get,
            url: url.to_string(),
            headers: Vec::new(),
            secret: secret.map(str::to_owned),
            body: bytes::Bytes::new(),
        };
        match self.send(service, &request, None).await {
            Ok(response) if response.status == resolve.present => Settled::Done(response),
            Ok(response) if response.status == resolve.absent => Settled::NotDone,
            Ok(response) => Settled::Unknown(format!("{url} answered {}", response.status)),
            Err(error) => Settled::Unknown(error.to_string()),
        }
    }
}

fn parse_url(url: &str) -> Result<Url, HttpError> {
    Url::parse(url).map_err(|error| HttpError::Invalid(format!("`{url}` is no URL: {error}")))
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let invalid = |error: &dyn std::fmt::Display| {
            HttpError::Invalid(format!("header `{}`: {error}", name.escape_default()))
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(&error))?;
        let mut value = HeaderValue::from_str(value).map_err(|error| invalid(&error))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// A request that could not even be connected was not seen by the service.
fn send_error(url: &str, error: &reqwest::Error) -> HttpError {
    let reason = crate::text::chain(error);
    if error.is_connect() || error.is_builder() {
        HttpError::Unreachable {
            url: url.to_owned(),
            reason,
        }
    } else {
        HttpError::NoAnswer {
            url: url.to_owned(),
            reason,
        }
    }
}

async fn read_response(url: &str, response: reqwest::Response) -> Result<HttpResponse, HttpError> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| HttpError::NoAnswer {
            url: url.to_owned(),
            reason: crate::text::chain(&error),
        })?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(HttpError::TooLarge {
                url: url.to_owned(),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse {
        status,
        headers,
        body,
    })
}

/// TLS with the machine's certificates.
fn tls_config() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
    .unwrap_or_else(|_| unreachable!("ring offers the default versions of TLS"))
}
